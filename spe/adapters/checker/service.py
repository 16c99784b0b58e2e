"""`python -m spe.adapters.checker.service`: the checker as a service of its own, one job at a time.

It knows a token, a scratch folder and the engine; it reaches nothing and holds nothing: a job's folder is gone
when its answer is given. Whoever wants more at once starts more of them.
"""

import asyncio
import contextlib
import hmac
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from spe.adapters.checker import child, wire
from spe.adapters.checker.answer import AnswerLimits, read_answer
from spe.domain.errors import Rejected

PORT = 9002
SECONDS = (1, 600)
MEMORY = (64 * 1024**2, 8 * 1024**3)
TYPE = "application/x-tar"
_MiB = 1024 * 1024


class Service:
    """Answers `POST /checks` with the report and views of a job."""

    def __init__(self, token: str, scratch: Path, *, engine: str = child.ENGINE) -> None:
        if len(token) < 32:
            raise ValueError("the token has at least 32 characters")
        self._token = token.encode()
        self._scratch = scratch
        self._engine = engine
        self._turn = asyncio.Lock()
        self._limits = AnswerLimits()

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application(client_max_size=wire.MOST_BYTES)
        application.router.add_post("/checks", self._check)
        application.router.add_get("/healthz", _healthy)
        return application

    async def _check(self, request: web.Request) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(self._token, token.encode()):
            return web.json_response({"detail": "Only the portal asks here."}, status=401)
        async with self._turn:
            with self._folder() as folder:
                try:
                    answer = await self._answer(request, folder)
                except Rejected as error:
                    return web.json_response({"detail": error.reason}, status=422)
        return web.Response(body=answer, content_type=TYPE)

    async def _answer(self, request: web.Request, folder: Path) -> bytes:
        job = folder / "job"
        job.mkdir(mode=0o700)
        with (folder / "body").open("w+b") as body:
            async for piece in request.content.iter_chunked(_MiB):
                body.write(piece)
                if body.tell() > wire.MOST_BYTES:
                    raise Rejected("checker", "The job is too large.")
            body.seek(0)
            document = await asyncio.to_thread(wire.unpack_job, body, job)
        (folder / "body").unlink()
        limits = document.get("limits", {})
        await asyncio.to_thread(
            child.run_engine,
            job,
            seconds=_within(limits, "wall_seconds", SECONDS),
            memory_bytes=_within(limits, "memory_bytes", MEMORY),
            engine=self._engine,
        )
        answer = io.BytesIO()
        wire.pack_answer(await asyncio.to_thread(read_answer, job / "out", self._limits), answer)
        return answer.getvalue()

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """An empty folder of this job; what an earlier engine left anywhere in the scratch is gone first."""
        for left in self._scratch.iterdir():
            _remove(left)
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            yield folder
        finally:
            _remove(folder)


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _within(limits: Any, name: str, bounds: tuple[int, int]) -> int:
    value = limits.get(name) if isinstance(limits, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not bounds[0] <= value <= bounds[1]:
        raise Rejected("checker", f"The job's limit {name} is a whole number from {bounds[0]} to {bounds[1]}.")
    return value


def _remove(place: Path) -> None:
    """Remove a file or a folder, also one that an engine has closed to its owner."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
        return
    for here, names, _ in os.walk(place):
        for name in names:
            inner = os.path.join(here, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(place, ignore_errors=True)


def main() -> int:
    """Serve until a signal. `SPE_CHECKER_TOKEN_FILE` names the token, `SPE_CHECKER_SCRATCH` the folder."""
    try:
        token = Path(os.environ["SPE_CHECKER_TOKEN_FILE"]).read_text().strip()
        scratch = Path(os.environ["SPE_CHECKER_SCRATCH"])
        service = Service(token, scratch)
    except (KeyError, OSError, ValueError) as error:
        sys.stderr.write(f"checker: not started: {error}\n")
        return 2
    child.hide_self()
    port = int(os.environ.get("SPE_CHECKER_PORT", str(PORT)))
    host = os.environ.get("SPE_CHECKER_LISTEN", "127.0.0.1")
    web.run_app(service.application(), host=host, port=port, print=None, access_log=None, shutdown_timeout=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
