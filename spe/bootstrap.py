"""The one place where choices meet: settings to adapters to the use cases.

Everything is made here and handed in; nothing else knows which adapter stands behind a port.
"""

import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap import host as hosts
from spe.adapters.bubblewrap.launch import mark_of
from spe.adapters.checker.embedded import EmbeddedChecker
from spe.adapters.clock import DemoClock, SystemClock
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.cluster import EmbeddedCluster, GateFacts
from spe.adapters.cluster.embedded.layout import Layout, run_folder
from spe.adapters.cluster.embedded.outputs import EmbeddedOutputs
from spe.adapters.cluster.embedded.sessions import EmbeddedSandboxes
from spe.adapters.hub.jupyterhub import JupyterHub
from spe.adapters.hub.settings import HubSettings, write_private
from spe.adapters.notify.log import LogNotifier
from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets import ed25519
from spe.adapters.secrets.local import LocalSecrets
from spe.adapters.sql.store import SqlStore
from spe.domain.errors import Corrupt, Invalid
from spe.policy.loader import read_policies
from spe.policy.policyset import PolicySet
from spe.services.app import App
from spe.services.context import House, Ports
from spe.services.oauth import Client
from spe.settings import Settings
from spe.web.settings import WebSettings

HUB_CLIENT = "spe-hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the environment's own processes show each other; made once, kept in files of mode 0600."""

    hub: str = field(repr=False)
    portal: str = field(repr=False)
    proxy: str = field(repr=False)
    oauth: str = field(repr=False)
    crypt: str = field(repr=False)
    folder: Path

    @property
    def portal_file(self) -> Path:
        """Where the Hub reads what it shows the portal."""
        return self.folder / "portal"


def layout(settings: Settings) -> Layout:
    """Where everything lies."""
    home = settings.home.resolve()
    return Layout(run=settings.run or run_folder(home), home=home)


def tokens(settings: Settings) -> Tokens:
    """The tokens of this home; missing ones are made."""
    folder = settings.home.resolve() / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found: dict[str, str] = {}
    for name in ("hub", "portal", "proxy", "oauth", "crypt"):
        path = folder / name
        if not path.exists():
            write_private(path, secrets.token_hex(32))
        if path.stat().st_mode & 0o077:
            raise Corrupt(f"{path} can be read by others; run `chmod 600 {path}`, and replace the token it holds.")
        found[name] = path.read_text().strip()
    return Tokens(folder=folder, **found)


def policies(folder: Path) -> Callable[[], PolicySet]:
    """The policies as they stand now: read again as soon as a file differs. A broken file refuses everything."""
    known: dict[str, Any] = {}
    guard = threading.Lock()

    def current() -> PolicySet:
        mark = tuple(
            (str(path), (facts := path.stat()).st_mtime_ns, facts.st_size)
            for path in sorted(folder.rglob("*.yaml"))
            if "cases" not in path.parts
        )
        with guard:
            if known.get("mark") != mark:
                known["set"] = read_policies(folder)
                known["mark"] = mark
            found: PolicySet = known["set"]
            return found

    return current


def build(settings: Settings) -> App:
    """The use cases over the embedded adapters. Raises what is wrong with the home, the keys or the policies."""
    place = layout(settings)
    given = tokens(settings)
    client = SupervisorClient(place.control)
    host = hosts.look()
    ports = Ports(
        store=SqlStore(settings.database),
        objects=LocalObjects(place.home / "objects"),
        secrets=LocalSecrets(place.home / "secrets.sealed", given.folder / "seal.key"),
        cluster=EmbeddedCluster(layout=place, client=client, host=host, gate=gate_facts(settings)),
        sandboxes=EmbeddedSandboxes(layout=place, client=client, host=host, terminals=settings.terminals),
        outputs=EmbeddedOutputs(place),
        hub=JupyterHub(hub_url=f"http://127.0.0.1:{settings.hub_internal}", token=given.hub),
        checker=EmbeddedChecker(host=host, mark=mark_of(place.run)),
        notifier=LogNotifier(),
        clock=DemoClock(place.home / "clock-offset") if settings.demo else SystemClock(),
    )
    house = House(ports=ports, policies=policies(settings.policies), origin=settings.origin)
    house.policies()
    return bind(settings, house)


def bind(settings: Settings, house: House) -> App:
    """The use cases over a house; the loops bind them again over a fenced store."""
    client = Client(id=HUB_CLIENT, secret=tokens(settings).oauth, redirect=f"{settings.hub_url}/hub/oauth_callback")
    return App.over(house, client=client, verify=ed25519.verify)


def web_settings(settings: Settings) -> WebSettings:
    """What the pages and the API need to know."""
    return WebSettings(
        portal_url=settings.portal_url,
        hub_url=settings.hub_url,
        views_url=settings.views_url,
        service_token=tokens(settings).portal,
        title=settings.title,
        demo=settings.demo,
        secure=False,
    )


def gate_facts(settings: Settings) -> GateFacts:
    """What every gate is told."""
    share = _package("jupyterlab").parents[3] / "share" / "jupyter" / "lab"
    if not (share / "static").is_dir():
        raise Invalid({"jupyterlab": f"JupyterLab's static files are not at {share}; run `make demo` again."})
    return GateFacts(
        hub=f"http://127.0.0.1:{settings.hub_internal}",
        lab=share,
        server=_package("jupyter_server") / "static",
        public_origins=(settings.hub_url,),
        portal_url=settings.portal_url,
        message_bytes=settings.message_bytes,
        terminals=settings.terminals,
    )


def _package(name: str) -> Path:
    """The folder of an installed package, found without importing it: that would take seconds."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise Invalid({name: "It is not installed; run `make demo`, which installs what is missing."})
    return Path(found.origin).parent


def hub_settings(settings: Settings) -> HubSettings:
    """What the Hub is told."""
    place, given = layout(settings), tokens(settings)
    folder = place.home / "hub"
    return HubSettings(
        db_url=f"sqlite:///{folder / 'hub.sqlite'}",
        cookie_secret_file=str(folder / "cookie-secret"),
        crypt_key=given.crypt,
        public_url=settings.hub_url,
        hub_url=f"http://127.0.0.1:{settings.hub_internal}",
        proxy_api_url=f"http://127.0.0.1:{settings.proxy_control}",
        proxy_auth_token=given.proxy,
        portal_url=settings.portal_url,
        portal_socket=str(place.internal),
        portal_token_file=str(given.portal_file),
        oauth_client_id=HUB_CLIENT,
        oauth_client_secret=given.oauth,
        hub_token=given.hub,
    )


def holder(settings: Settings) -> str:
    """The name under which the portal leads.

    On one host the supervisor keeps exactly one portal for a home, and a new one starts only when the old
    one is gone; so the name is the home's, and a restarted portal goes on at once.
    """
    return f"{os.uname().nodename}:{settings.home.resolve()}"
