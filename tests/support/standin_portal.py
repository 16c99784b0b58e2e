"""A small real server that speaks the portal's side towards the Hub: OAuth issuer with PKCE on a loopback
port, the internal `/hub/…` application on a Unix socket, and notebooks on Unix sockets.

For the Hub's tests only. It holds no rules: a test says who is entitled, what is refused, what a pod is made of and
when it is silent.
"""

import asyncio
import base64
import hashlib
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from aiohttp import ClientError, ClientSession, UnixConnector, web

T = TypeVar("T")
Key = tuple[str, str]
COOKIE = "portal_session"


@dataclass
class Session:
    """One notebook the stand-in started: what the Hub sent, and how it ends."""

    workspace: str
    person: str
    request: dict[str, Any]
    url: str
    running: bool = True
    exit: int | None = None
    runner: web.AppRunner | None = None
    process: asyncio.subprocess.Process | None = None

    @property
    def token(self) -> str:
        """The session token which the Hub gave this notebook."""
        return str(self.request["env"]["JUPYTERHUB_API_TOKEN"])


@dataclass
class Script:
    """What a test wants to happen."""

    entitled: set[str] = field(default_factory=set)
    refusals: dict[Key, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    pods: dict[Key, dict[str, Any]] = field(default_factory=dict)
    steps: dict[Key, tuple[int, str]] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)
    slow_to_stop: set[Key] = field(default_factory=set)
    slow_to_tell: set[Key] = field(default_factory=set)
    silent: bool = False
    broken: bool = False
    jupyter: bool = False


class StandinPortal:
    """Runs in its own thread; everything public may be called from a test's thread."""

    def __init__(self, *, folder: Path, port: int, hub_url: str, callback: str, client: tuple[str, str]) -> None:
        self.folder = folder
        self.port = port
        self.socket = folder / "internal.sock"
        self.token = secrets.token_hex(32)
        self.script = Script()
        self.sessions: dict[Key, Session] = {}
        self.calls: list[tuple[str, str]] = []
        self.issued: list[str] = []
        self._hub_url = hub_url
        self._callback = callback
        self._client_id, self._client_secret = client
        self._signed_in: dict[str, str] = {}
        self._codes: dict[str, tuple[str, str]] = {}
        self._access: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="standin-portal")
        self._ended_early: set[Key] = set()
        self._runners: list[web.AppRunner] = []

    # -- life

    def __enter__(self) -> "StandinPortal":
        self._thread.start()
        self.do(self._open())
        return self

    def __exit__(self, *exc: object) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T], seconds: float = 60) -> T:
        """Run in the stand-in's loop and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _open(self) -> None:
        public = web.Application()
        public.router.add_get("/login/{person}", self._sign_in)
        public.router.add_get("/oauth/authorize", self._authorize)
        public.router.add_post("/oauth/token", self._exchange)
        public.router.add_get("/oauth/userinfo", self._userinfo)
        public.router.add_get("/{rest:.*}", self._page)
        internal = web.Application(middlewares=[self._door])
        internal.router.add_get("/hub/entitled", self._entitled)
        internal.router.add_post("/hub/sessions/{workspace}/{person}:start", self._start)
        internal.router.add_post("/hub/sessions/{workspace}/{person}:stop", self._stop)
        internal.router.add_post("/hub/sessions/{workspace}/{person}:opened", self._opened)
        internal.router.add_get("/hub/sessions/{workspace}/{person}", self._session)
        for app, site in (
            (public, lambda runner: web.TCPSite(runner, "127.0.0.1", self.port)),
            (internal, lambda runner: web.UnixSite(runner, str(self.socket))),
        ):
            self._runners.append(await _served(app, site))

    async def _close(self) -> None:
        self.script.silent = False
        for session in self.sessions.values():
            await self._end(session, 0)
        for runner in self._runners:
            await runner.cleanup()

    # -- the issuer

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text="<h1>Portal</h1>", content_type="text/html")

    async def _sign_in(self, request: web.Request) -> web.Response:
        cookie = self._secret()
        self._signed_in[cookie] = request.match_info["person"]
        response = web.Response(text="signed in")
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="Lax")
        return response

    async def _authorize(self, request: web.Request) -> web.Response:
        query = request.query
        person = self._signed_in.get(request.cookies.get(COOKIE, ""))
        if person is None:
            return web.Response(status=401, text="Sign in first.")
        wrong = query.get("client_id") != self._client_id or query.get("redirect_uri") != self._callback
        if wrong or query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            return web.Response(status=400, text="Not a request of the Hub.")
        if person not in self.script.entitled:
            return web.Response(status=403, text="No active permit names you.")
        code = self._secret()
        self._codes[code] = (person, query["code_challenge"])
        raise web.HTTPFound(f"{self._callback}?{urlencode({'code': code, 'state': query['state']})}")

    async def _exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        person, challenge = self._codes.pop(str(form.get("code")), ("", ""))
        digest = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
        proven = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        mine = (form.get("client_id"), form.get("client_secret")) == (self._client_id, self._client_secret)
        if not (person and proven and mine and form.get("redirect_uri") == self._callback):
            return web.json_response({"error": "invalid_grant"}, status=400)
        access = self._secret()
        self._access[access] = person
        return web.json_response({"access_token": access, "token_type": "Bearer", "expires_in": 300})

    async def _userinfo(self, request: web.Request) -> web.Response:
        person = self._access.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({"sub": person})

    def _secret(self) -> str:
        self.issued.append(secrets.token_urlsafe(24))
        return self.issued[-1]

    # -- the internal application

    async def _opened(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"done": True})

    @web.middleware
    async def _door(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        self.calls.append((request.method, request.path))
        while self.script.silent:
            await asyncio.sleep(0.05)
        if self.script.broken:
            return web.Response(status=500, text="traceback")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _problem(401, {"title": "Unauthenticated"})
        response: web.StreamResponse = await handler(request)
        return response

    async def _entitled(self, request: web.Request) -> web.Response:
        return web.json_response({"entitled": request.query.get("user") in self.script.entitled})

    async def _start(self, request: web.Request) -> web.Response:
        key = _key(request)
        body = await request.json()
        held = key in self.script.held
        while key in self.script.held:
            await asyncio.sleep(0.02)
        if held and key in self._ended_early:
            return _problem(409, {"title": "Stopped while starting"})
        if refusal := self.script.refusals.get(key):
            return _problem(*refusal)
        if answer := self.script.pods.get(key):
            self.sessions[key] = Session(*key, request=body, url=answer["url"])
            return web.json_response(answer)
        folder = Path(self.folder, key[0][-6:], key[1][-6:])
        folder.mkdir(parents=True, exist_ok=True)
        socket = folder / "in.sock"
        socket.unlink(missing_ok=True)
        if former := self.sessions.get(key):
            # A new start brings new tokens: what ran with the old ones is of no use.
            await self._end(former, 0)
        session = Session(*key, request=body, url=f"http+unix://{quote(str(socket), safe='')}")
        await (self._run_jupyter if self.script.jupyter else self._run_tiny)(session, socket)
        self.sessions[key] = session
        return web.json_response({"url": session.url})

    async def _session(self, request: web.Request) -> web.Response:
        key = _key(request)
        percent, message = self.script.steps.get(key, (None, None))
        session = self.sessions.get(key)
        while key in self.script.slow_to_tell:
            await asyncio.sleep(0.02)
        if session is None and key not in self.script.held:
            return _problem(404, {"title": "No such session"})
        running = session is None or session.running
        answer = {"running": running, "exit": session.exit if session else None, "percent": percent}
        return web.json_response(answer | {"message": message})

    async def _stop(self, request: web.Request) -> web.Response:
        key = _key(request)
        session = self.sessions.get(key)
        if key in self.script.held:
            self._ended_early.add(key)
            self.script.held.discard(key)
            return web.json_response({"running": False})
        if session is None:
            return _problem(404, {"title": "No such session"})
        while key in self.script.slow_to_stop:
            await asyncio.sleep(0.02)
        await self._end(session, 0)
        return web.json_response({"running": False})

    # -- notebooks

    def kill(self, workspace: str, person: str, code: int = 137) -> None:
        """The session dies by itself."""
        self.do(self._end(self.sessions[workspace, person], code))

    async def _end(self, session: Session, code: int) -> None:
        if not session.running:
            return
        session.running, session.exit = False, code
        if session.runner is not None:
            await session.runner.cleanup()
        if session.process is not None:
            if session.process.returncode is None:
                os.killpg(session.process.pid, signal.SIGKILL)
            await session.process.wait()

    async def _run_tiny(self, session: Session, socket: Path) -> None:
        base = session.request["base_url"]
        app = web.Application()

        async def page(request: web.Request) -> web.Response:
            return web.Response(text=f"{session.person} in {session.workspace}")

        app.router.add_get(base + "{rest:.*}", page)
        session.runner = await _served(app, lambda runner: web.UnixSite(runner, str(socket)))

    async def _run_jupyter(self, session: Session, socket: Path) -> None:
        # What runs a notebook knows where it listens; here there is no sandbox with a door to the Hub.
        base = session.request["base_url"]
        env = dict(session.request["env"])
        for name in ("JUPYTERHUB_API_URL", "JUPYTERHUB_ACTIVITY_URL"):
            env[name] = env[name].replace("http+unix://%2Frun%2Fdoor%2Fhub.sock", self._hub_url)
        env["JUPYTERHUB_SERVICE_URL"] = f"http+unix://{quote(str(socket), safe='')}{base}"
        args = (f"--ServerApp.sock={socket}", "--HubOAuth.cache_max_age=1")
        env |= {"PATH": os.path.dirname(sys.executable) + ":/usr/bin:/bin", "HOME": str(socket.parent)}
        with (socket.parent / "notebook.log").open("wb") as log:
            session.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "jupyterhub.singleuser", *args),
                env=env,
                cwd=socket.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await _answers(socket, base + "api")


async def _served(app: web.Application, site: Callable[[web.AppRunner], web.BaseSite]) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await site(runner).start()
    return runner


async def _answers(socket: Path, path: str) -> None:
    async with ClientSession(connector=UnixConnector(str(socket))) as client:
        for _ in range(600):
            try:
                async with client.get(f"http://notebook{path}") as answer:
                    if answer.status == 200:
                        return
            except (ClientError, OSError):
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError("the notebook does not answer")


def _key(request: web.Request) -> Key:
    return request.match_info["workspace"], request.match_info["person"]


def _problem(status: int, document: dict[str, Any]) -> web.Response:
    return web.json_response(document, status=status, content_type="application/problem+json")
