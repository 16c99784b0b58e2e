"""A JupyterHub as its handbook sets one up, without us: the proxy its child, a process for each server.

Its servers run the very command and settings of ours. Its spawner waits for the server's port before it says
that it has started; without that the Hub asks with growing pauses and a start costs what chance wants.
"""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from jupyterhub.spawner import SimpleLocalProcessSpawner

from spe.adapters.cluster.embedded.notebook import Places, notebook_shape, server_command
from spe.adapters.cluster.embedded.readiness import Listening, until
from spe.adapters.hub.jupyterhub import JupyterHub
from spe.adapters.hub.processes import find_node, find_proxy
from spe.domain.permit import Limits
from tests.support.hub_stack import free_ports, node_modules, wait_for

SETTINGS = "/opt/jupyter"
SCOPES = ("admin:users", "list:users", "read:users", "read:servers", "servers", "access:servers")


class WaitingSpawner(SimpleLocalProcessSpawner):  # type: ignore[misc]  # the Hub ships no types
    """A process of this account for each server; it has started when its port accepts."""

    async def start(self) -> tuple[str, int]:
        """Start and wait."""
        ip, port = await super().start()
        alive = asyncio.create_task(_ended(self))
        try:
            listens = await until(Listening(port=port), seconds=self.start_timeout, alive=lambda: not alive.done())
        finally:
            alive.cancel()
        if not listens:
            raise RuntimeError("the server ended before it listened")
        return ip, port


async def _ended(spawner: Any) -> None:
    while await spawner.poll() is None:
        await asyncio.sleep(0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class BareHub:
    """Where it is, and a client of its API."""

    public: str
    api: JupyterHub


def configuration(folder: Path, *, public: int, hub: int, proxy: int, token: str) -> str:
    """The Hub's configuration file."""
    home = folder / "people"
    settings = _settings(folder)
    command = [
        *(w for w in server_command(sys.executable) if not w.startswith(("--ServerApp.sock", "--ServerApp.root_dir"))),
        f"--ServerApp.root_dir={home}",
    ]
    environment = {
        "JUPYTER_CONFIG_PATH": str(settings),
        "JUPYTERHUB_DISABLE_USER_CONFIG": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    values: dict[str, object] = {
        "JupyterHub.bind_url": f"http://127.0.0.1:{public}",
        "JupyterHub.hub_bind_url": f"http://127.0.0.1:{hub}",
        "JupyterHub.db_url": f"sqlite:///{folder}/hub.sqlite",
        "JupyterHub.cookie_secret_file": f"{folder}/cookie-secret",
        "JupyterHub.pid_file": f"{folder}/hub.pid",
        "JupyterHub.authenticator_class": "dummy",
        "Authenticator.allow_all": True,
        "JupyterHub.allow_named_servers": True,
        "JupyterHub.tornado_settings": {"slow_spawn_timeout": 0},
        "JupyterHub.spawner_class": "tests.bench.bare_hub.WaitingSpawner",
        "JupyterHub.services": [{"name": "bench", "api_token": token}],
        "JupyterHub.load_roles": [{"name": "bench", "services": ["bench"], "scopes": list(SCOPES)}],
        "ConfigurableHTTPProxy.command": [str(find_node()), str(find_proxy(node_modules())), "--log-level", "warn"],
        "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{proxy}",
        "ConfigurableHTTPProxy.pid_file": f"{folder}/proxy.pid",
        "SimpleLocalProcessSpawner.home_dir_template": f"{home}/{{username}}",
        "Spawner.cmd": command,
        "Spawner.environment": environment,
        "Spawner.default_url": "/lab",
    }
    return "".join(f"c.{name} = {value!r}\n" for name, value in values.items())


def _settings(folder: Path) -> Path:
    """The settings files that our sandboxes show their servers, here in a folder."""
    places = Places(home=folder, outputs=folder, shared=folder, notebook=folder, door=folder)
    shape = notebook_shape(
        name="bare", command=(), environment={}, places=places, data=(), limits=Limits(), workspace="ws-bare"
    )
    for name, text in shape.files.items():
        if name.startswith(SETTINGS):
            path = folder / name.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder / SETTINGS.removeprefix("/")


@contextmanager
def bare_hub(folder: Path) -> Iterator[BareHub]:
    """It runs in a folder; it, its proxy and its servers are gone afterwards."""
    public, hub, proxy = free_ports(3)
    token = secrets.token_hex(32)
    file = folder / "jupyterhub_config.py"
    file.write_text(configuration(folder, public=public, hub=hub, proxy=proxy, token=token))
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(file)], cwd=folder, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{hub}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "hub.log").read_text()[-4000:]
        try:
            return httpx2.get(f"{url}/hub/api/health", trust_env=False).is_success
        except httpx2.TransportError:
            return False

    try:
        wait_for(answers, "the bare Hub answers")
        api = JupyterHub(hub_url=url, token=token)
        yield BareHub(public=f"http://127.0.0.1:{public}", api=api)
        api.close()
    finally:
        process.terminate()  # the Hub ends its servers and its proxy before itself
        process.wait(30)
