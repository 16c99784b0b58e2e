"""JupyterHub, configurable-http-proxy and the stand-in portal as real processes on loopback, and a browser of
sorts: an HTTP client with cookies."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from spe.adapters.hub.jupyterhub import JupyterHub
from spe.adapters.hub.processes import Launch, find_proxy, hub_launch, proxy_launch
from spe.adapters.hub.settings import HubSettings, write_hub_settings, write_private
from spe.domain.ids import PersonId, WorkspaceId, new_person, new_workspace
from spe.ports.hub import Progress
from tests.support.standin_portal import Session, StandinPortal

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def node_modules() -> Path:
    """Where the proxy's package is; a test that needs it fails without it."""
    folder = Path(os.environ.get("SPE_NODE_MODULES", ROOT / "node_modules"))
    try:
        find_proxy(folder)
    except Exception as error:
        pytest.fail(f"{error} Run `npm ci` in the project's folder, or set SPE_NODE_MODULES.")
    return folder


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; `what` names it when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.05)


class Stack:
    """The running chain. `settings` is what the Hub was told; `portal` is the stand-in."""

    def __init__(self, folder: Path, hub_environment: Mapping[str, str] | None = None, **changes: object) -> None:
        self.folder = folder
        self._hub_environment = dict(hub_environment or {})
        public, hub, proxy_api, portal = free_ports(4)
        self.settings = HubSettings(
            **{
                "db_url": f"sqlite:///{folder}/hub/hub.sqlite",
                "cookie_secret_file": f"{folder}/hub/cookie_secret",
                "crypt_key": secrets.token_hex(32),
                "public_url": f"http://localhost:{public}",
                "hub_url": f"http://127.0.0.1:{hub}",
                "proxy_api_url": f"http://127.0.0.1:{proxy_api}",
                "proxy_auth_token": secrets.token_hex(32),
                "portal_url": f"http://127.0.0.1:{portal}",
                "portal_internal": str(folder / "internal.sock"),
                "portal_token_file": str(folder / "portal.token"),
                "oauth_client_id": "hub",
                "oauth_client_secret": secrets.token_hex(32),
                "hub_token": secrets.token_hex(32),
                **changes,
            }  # type: ignore[arg-type]
        )
        self.portal = StandinPortal(
            folder=folder,
            port=portal,
            hub_url=self.settings.hub_url,
            callback=f"{self.settings.public_url}/hub/oauth_callback",
            client=("hub", self.settings.oauth_client_secret),
        )
        self.api = JupyterHub(hub_url=self.settings.hub_url, token=self.settings.hub_token)
        self._proxy_ports = (public, proxy_api)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Stack":
        self.portal.__enter__()
        write_private(Path(self.settings.portal_token_file), self.portal.token + "\n")
        write_hub_settings(self.folder / "hub" / "settings.json", self.settings)
        try:
            self.start_proxy()
            self.start_hub()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.api.close()
        for name in tuple(self._children):
            self.kill(name)
        self.portal.__exit__()

    # -- processes

    def start_hub(self) -> None:
        launch = hub_launch(settings_file=self.folder / "hub" / "settings.json", folder=self.folder / "hub")
        self._launch("hub", replace(launch, env={**launch.env, **self._hub_environment}))
        self._up("hub", f"{self.settings.hub_url}/hub/api/health")

    def start_proxy(self) -> None:
        public, api_port = self._proxy_ports
        launch = proxy_launch(
            node_modules=node_modules(),
            port=public,
            api_port=api_port,
            auth_token=self.settings.proxy_auth_token,
            hub_url=self.settings.hub_url,
            folder=self.folder,
        )
        self._launch("proxy", launch)
        self._up("proxy", f"{self.settings.proxy_api_url}/api/routes")

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        child = self._children.pop(name)
        child.send_signal(how)
        child.wait()

    def pids(self) -> list[int]:
        """The Hub and the proxy."""
        return [child.pid for child in self._children.values()]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _launch(self, name: str, launch: Launch) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                launch.argv, env=dict(launch.env), cwd=launch.cwd, stdout=log, stderr=log
            )

    def _up(self, name: str, url: str) -> None:
        def answers() -> bool:
            assert self._children[name].poll() is None, f"{name} ended:\n{self.log(name)[-4000:]}"
            try:
                return httpx2.get(url, trust_env=False).status_code < 500
            except httpx2.TransportError:
                return False

        wait_for(answers, f"{name} answers")

    # -- people and sessions

    def someone(self, *, entitled: bool = True) -> tuple[WorkspaceId, PersonId]:
        """A person and workspace nobody has seen."""
        workspace, person = new_workspace(), new_person()
        if entitled:
            self.portal.script.entitled.add(person)
        return workspace, person

    def started(self, workspace: WorkspaceId, person: PersonId) -> Session:
        """Started through the adapter and ready."""
        self.api.start(workspace, person)
        last = self.last_step(workspace, person)
        assert last.ready, f"{last}\n{self.log('hub')[-4000:]}"
        return self.portal.sessions[workspace, person]

    def last_step(self, workspace: WorkspaceId, person: PersonId) -> Progress:
        return list(self.api.progress(workspace, person))[-1]

    @contextmanager
    def browser(self, person: PersonId | None = None) -> Iterator[httpx2.Client]:
        """A client that keeps cookies and follows redirects; signed in at the portal as `person`."""
        with httpx2.Client(follow_redirects=True, trust_env=False, timeout=30) as client:
            if person is not None:
                client.get(f"{self.settings.portal_url}/login/{person}").raise_for_status()
            yield client

    def page(self, workspace: WorkspaceId, person: PersonId, rest: str = "lab") -> str:
        """The public address of a page of a session."""
        return f"{self.settings.public_url}/user/{person}/{workspace}/{rest}"

    def as_token(self, token: str, method: str, path: str, **body: object) -> httpx2.Response:
        """One call to the Hub's API with somebody's token."""
        return httpx2.request(
            method,
            f"{self.settings.hub_url}/hub/api{path}",
            headers={"Authorization": f"Bearer {token}"},
            json=body or None,
            trust_env=False,
        )


@contextmanager
def running_stack(hub_environment: Mapping[str, str] | None = None, **changes: object) -> Iterator[Stack]:
    """A chain in a folder with a short lower-case path, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="spe-", dir="/tmp").lower())
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with Stack(folder, hub_environment, **changes) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)
