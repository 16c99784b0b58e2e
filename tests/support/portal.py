"""The portal on an address of its own, with an identity provider, over a world of a test; in replicas if wanted."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from spe.adapters.identity.oidc import OidcProvider
from spe.adapters.identity.settings import OidcSettings
from spe.domain.audit import AuditEntry
from spe.domain.person import Person
from spe.domain.principal import Role
from spe.services.app import App
from spe.web.app import create_public
from spe.web.settings import WebSettings
from tests.support.ground import SETUP, Ground
from tests.support.instance import free_ports
from tests.support.prepared import over
from tests.support.provider import CLIENT_SECRET, Provider

SCOPES = ("openid", "profile", "aarc")


@dataclass
class Portal:
    """Where the portal is, and the world behind it."""

    ground: Ground
    url: str
    settings: OidcSettings
    ports: list[int] = field(default_factory=list)

    def person(self, subject: str, *roles: Role, issuer: str = "") -> Person:
        """Register somebody under their identity at the provider."""
        return self.ground.app.people.register(
            issuer=issuer or self.settings.issuer,
            subject=subject,
            name=subject.title(),
            organisation="Institute",
            roles=roles or (Role.OPERATOR,),
            by=SETUP,
        )

    def entries(self, event: str) -> tuple[AuditEntry, ...]:
        """What the log holds of an event, newest first."""
        with self.ground.app.house.ports.store.read() as uow:
            return uow.audit.select(event=event)


def oidc_settings(provider: Provider, portal_url: str, folder: Path, **changes: Any) -> OidcSettings:
    """The settings under which the portal is registered at the provider."""
    secret = folder / "client-secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    given: dict[str, Any] = {
        "issuer": provider.issuer,
        "client_id": "spe",
        "client_secret_file": secret,
        "redirect_base": portal_url,
        "scopes": SCOPES,
    }
    return OidcSettings(**(given | changes))


@contextmanager
def portal(ground: Ground, settings: OidcSettings, *, replicas: int = 1) -> Iterator[Portal]:
    """The portal of this world, served until the block ends. The first replica has the address of the settings."""
    first = int(settings.redirect_base.rpartition(":")[2])
    made = Portal(ground, settings.redirect_base, settings, [first, *free_ports(replicas - 1)])
    web = WebSettings(
        portal_url=made.url, views_url=f"http://localhost:{first}", service_token="h" * 64, body_bytes=64 * 1024
    )
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []
    try:
        for port in made.ports:
            ground.app = over(ground, identity=OidcProvider(settings))
            servers.append(_serve(ground.app, web, port))
        yield made
    finally:
        for server, _ in servers:
            server.should_exit = True
        for _, thread in servers:
            thread.join(timeout=20)


def _serve(app: App, web: WebSettings, port: int) -> tuple[uvicorn.Server, threading.Thread]:
    server = uvicorn.Server(
        uvicorn.Config(create_public(app, web), host="127.0.0.1", port=port, log_level="warning", log_config=None)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the portal did not start"
        time.sleep(0.01)
    return server, thread
