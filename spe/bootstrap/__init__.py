"""The one place where choices meet: settings to adapters to the use cases.

Everything is made here and handed in; nothing else knows which adapter stands behind a port. What only one
way of running needs is imported when that way is chosen.
"""

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spe.adapters.checker.remote import RemoteChecker
from spe.adapters.clock import DemoClock, SystemClock
from spe.adapters.hub.jupyterhub import JupyterHub
from spe.adapters.hub.settings import HubSettings
from spe.adapters.notify.log import LogNotifier
from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets import ed25519
from spe.adapters.secrets.local import LocalSecrets
from spe.adapters.sql.postgres import is_postgres
from spe.adapters.sql.store import SqlStore
from spe.bootstrap.keys import Tokens, tokens
from spe.domain.errors import Invalid
from spe.policy.loader import read_policies
from spe.policy.policyset import PolicySet
from spe.ports.checker import Checker
from spe.ports.identity import IdentityProvider
from spe.ports.objects import ObjectStore, Zone
from spe.ports.secrets import SecretStore
from spe.services.app import App
from spe.services.context import House, Ports, gate_token
from spe.services.oauth import Client
from spe.settings import Settings
from spe.web.settings import WebSettings

__all__ = ["Tokens", "bind", "build", "holder", "hub_settings", "policies", "tokens", "web_settings"]

if TYPE_CHECKING:
    from spe.adapters.objects.s3settings import S3Settings
    from spe.adapters.secrets.vault import VaultSettings

HUB_CLIENT = "spe-hub"
T = TypeVar("T")


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
    """The use cases over the adapters that the settings choose. Raises what is wrong with keys or policies."""
    given = tokens(settings)
    secrets = _SECRETS[settings.secrets](settings)
    ports = Ports(
        store=SqlStore(settings.database),
        objects=_OBJECTS[settings.objects](settings),
        secrets=secrets,
        checker=_CHECKERS[settings.checker](settings),
        hub=JupyterHub(hub_url=settings.hub_api, token=given.hub),
        identity=_LOGINS[settings.login](settings),
        notifier=LogNotifier(),
        clock=DemoClock(settings.home.resolve() / "clock-offset") if settings.demo else SystemClock(),
        **_PLACES[settings.cluster](settings, secrets),
    )
    house = House(ports=ports, policies=policies(settings.policies), origin=settings.origin)
    house.policies()
    return bind(settings, house)


def _on_this_host(settings: Settings, _: SecretStore) -> Any:
    from spe.bootstrap import embedded

    return embedded.places(settings)


def _on_a_cluster(settings: Settings, secrets: SecretStore) -> Any:
    from spe.bootstrap import cluster

    return cluster.places(settings, lambda workspace: gate_token(secrets, workspace))


def _checks_on_this_host(settings: Settings) -> Checker:
    from spe.bootstrap import embedded

    return embedded.checker(settings)


def _checks_elsewhere(settings: Settings) -> Checker:
    if not settings.checker_address:
        raise Invalid({"checker_address": "Say where the checker's service is, `http://…:9002`."})
    return RemoteChecker(address=settings.checker_address, token=tokens(settings).checker)


def _local_objects(settings: Settings) -> ObjectStore:
    return LocalObjects(settings.home.resolve() / "objects")


def _local_secrets(settings: Settings) -> SecretStore:
    # Beside what it seals, also where the processes' tokens come from elsewhere: it is made here, once.
    home = settings.home.resolve()
    return LocalSecrets(home / "secrets.sealed", home / "keys" / "seal.key")


def s3_settings(settings: Settings) -> "S3Settings":
    """The S3 service as the adapter wants it. Raises `Invalid`."""
    from spe.adapters.objects.s3settings import LockMode, Retention, S3Settings

    given = _needed(settings.s3, "s3", "objects: s3")
    kept = {
        Zone(zone): Retention(length=timedelta(days=one.days), mode=LockMode(one.mode))
        for zone, one in given.retention.items()
    }
    return S3Settings(
        buckets={Zone(zone): bucket for zone, bucket in given.buckets.items()},
        endpoint=given.endpoint,
        region=given.region,
        path_style=given.path_style,
        ca_file=given.ca_file,
        access_key=given.access_key,
        secret_key=given.secret_key.get_secret_value(),
        account=given.account,
        retention=kept,
    )


def _s3(settings: Settings) -> ObjectStore:
    from spe.adapters.objects.s3 import S3Objects

    return S3Objects(s3_settings(settings))


def vault_settings(settings: Settings) -> "VaultSettings":
    """Vault as the adapter wants it. Raises `Invalid`."""
    from spe.adapters.secrets.vault import KubernetesLogin, TokenLogin, VaultSettings

    given = _needed(settings.vault, "vault", "secrets: vault")
    login = (
        KubernetesLogin(role=given.role, token_file=given.token_file, mount=given.mount)
        if given.role
        else TokenLogin(token_file=given.token_file)
    )
    return VaultSettings(
        address=given.address,
        ca_file=given.ca_file,
        login=login,
        instance=given.instance,
        namespace=given.namespace,
        databases=frozenset(given.databases),
    )


def _vault(settings: Settings) -> SecretStore:
    from spe.adapters.secrets.vault import VaultSecrets

    return VaultSecrets(vault_settings(settings))


def _oidc(settings: Settings) -> IdentityProvider:
    from spe.adapters.identity.oidc import OidcProvider
    from spe.adapters.identity.settings import OidcSettings

    given = _needed(settings.oidc, "oidc", "login: oidc")
    return OidcProvider(OidcSettings(redirect_base=settings.portal_url, **given.model_dump()))


def _needed(given: T | None, name: str, reason: str) -> T:
    if given is None:
        raise Invalid({name: f"The settings say `{reason}`; say there too what belongs to it."})
    return given


_LOGINS: dict[str, Callable[[Settings], IdentityProvider | None]] = {"links": lambda _: None, "oidc": _oidc}
_OBJECTS: dict[str, Callable[[Settings], ObjectStore]] = {"local": _local_objects, "s3": _s3}
_SECRETS: dict[str, Callable[[Settings], SecretStore]] = {"local": _local_secrets, "vault": _vault}
_CHECKERS: dict[str, Callable[[Settings], Checker]] = {
    "embedded": _checks_on_this_host,
    "remote": _checks_elsewhere,
}
_PLACES: dict[str, Callable[[Settings, SecretStore], Any]] = {
    "embedded": _on_this_host,
    "kubernetes": _on_a_cluster,
}


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
        dataset_roots=settings.dataset_roots,
        title=settings.title,
        demo=settings.demo,
        secure=settings.portal_url.startswith("https://"),
    )


def hub_settings(settings: Settings) -> HubSettings:
    """What the Hub is told."""
    from spe.bootstrap import embedded

    given, folder = tokens(settings), settings.home.resolve() / "hub"
    return HubSettings(
        db_url=f"sqlite:///{folder / 'hub.sqlite'}",
        cookie_secret_file=str(folder / "cookie-secret"),
        crypt_key=given.crypt,
        public_url=settings.hub_url,
        hub_url=settings.hub_api,
        proxy_api_url=settings.proxy_api,
        proxy_auth_token=given.proxy,
        portal_url=settings.portal_url,
        portal_internal=settings.internal_address or str(embedded.layout(settings).internal),
        portal_token_file=str(given.portal_file),
        oauth_client_id=HUB_CLIENT,
        oauth_client_secret=given.oauth,
        hub_token=given.hub,
        # In a cluster the Hub is asked by pods of the same namespace, whose policies say by which.
        hub_bind_url="" if settings.on_one_host else f"http://0.0.0.0:{settings.hub_internal}",
        spawner="portal" if settings.on_one_host else "pod",
    )


def holder(settings: Settings) -> str:
    """The name under which this process leads the loops.

    On one host the supervisor keeps exactly one portal for a home, and a new one starts only when the old
    one is gone; so the name is the home's, and a restarted portal goes on at once. Over PostgreSQL, or on a
    cluster, there are several, which may share a host, a home and a number; so each process has a name that no
    other ever had.
    """
    host = os.uname().nodename
    if settings.on_one_host and not is_postgres(settings.database):
        return f"{host}:{settings.home.resolve()}"
    return f"{host}:{os.urandom(8).hex()}"
