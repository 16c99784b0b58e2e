"""A real JupyterLab server at a pod's address behind a pod's gate: held until it is up, then a cell runs."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from typing import Any

from tests.gate.pods import cluster
from tests.gate.support import BASE, PERSON
from tests.gate.test_lab import AUTHORIZED, TOKEN, answers, code, request

ADA = 10


def test_a_server_that_is_just_starting_is_waited_for_and_its_kernel_answers() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            home = around.root / "home"
            home.mkdir()
            around.portal.table[PERSON] = around.at(ADA)
            asking = asyncio.create_task(_up(around))
            environment = {**os.environ, "HOME": str(home), "JUPYTER_RUNTIME_DIR": str(around.root / "rt")}
            command = [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--ip={around.at(ADA)}", "--port=8888"),
                *(f"--ServerApp.base_url={BASE}", f"--ServerApp.root_dir={home}", f"--IdentityProvider.token={TOKEN}"),
                *("--ServerApp.port_retries=0", "--ServerApp.allow_remote_access=true"),
            ]
            with (around.root / "lab.log").open("wb") as log:
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            try:
                held = await asking
                made = await around.get("api/kernels", method="POST", headers=AUTHORIZED, json={"name": "python3"})
                path = f"api/kernels/{json.loads(made[2])['id']}/channels?session_id={uuid.uuid4()}"
                async with around.socket(path, headers=AUTHORIZED) as ws:
                    await ws.send_bytes(request("kernel_info_request", {}))
                    await answers(ws, "kernel_info_reply")
                    await ws.send_bytes(code("print(6 * 7)"))
                    seen, _ = await answers(ws, "stream")
                return held, seen["stream"]
            finally:
                process.terminate()
                process.wait(60)

    held, printed = asyncio.run(story())
    assert held == 200
    assert printed == [{"name": "stdout", "text": "42\n"}]


async def _up(around: Any) -> int:
    """The Hub's question, again when it was answered before the server was up: a busy machine starts slowly."""
    for _ in range(10):
        status = int(await around.check())
        if status < 500:
            return status
    raise AssertionError("it never came up")
