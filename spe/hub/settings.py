"""What the Hub's process is told: one JSON file, readable by its owner only.

The supervisor writes it (`spe.adapters.hub.settings`); this is the reading side, kept apart because code
inside the Hub sees nothing of ours but the domain. A file others may read, a missing field or an unknown one
stops the Hub: half a configuration is none.
"""

import json
import stat
import string
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

_KEY_DIGITS = 64
_MAY_BE_EMPTY = {"hub_bind_url"}
_SPAWNERS = {"portal", "pod"}
# Zero would switch the question "may this person still enter?" off (the Hub reads it so), hours would too.
_RANGES = {
    "refresh_seconds": (1, 60),
    "poll_seconds": (1, 60),
    "route_check_seconds": (1, 300),
    "start_seconds": (5, 600),
    "sessions_per_person": (1, 1000),
    "concurrent_starts": (1, 1000),
    "active_sessions": (0, 100_000),
}


class BadSettings(Exception):
    """The settings or token file cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """Everything the Hub's configuration depends on. URLs carry no trailing slash; times are seconds.

    `hub_token` is what the portal shows the Hub; the file `portal_token_file` holds what the Hub shows the
    portal, whose internal application is at `portal_internal`: a socket's path or `http://host:port`.
    `hub_url` is where others reach the Hub, `hub_bind_url` where it listens when that is another address.
    `spawner` says where sessions run: `portal` on its host, `pod` in a cluster. `notebook_hub_url` is the
    Hub's address as seen from inside a session on the portal's host.
    """

    db_url: str
    cookie_secret_file: str
    crypt_key: str = field(repr=False)
    public_url: str
    hub_url: str
    proxy_api_url: str
    proxy_auth_token: str = field(repr=False)
    portal_url: str
    portal_internal: str
    portal_token_file: str
    oauth_client_id: str
    oauth_client_secret: str = field(repr=False)
    hub_token: str = field(repr=False)
    hub_bind_url: str = ""
    spawner: str = "portal"
    notebook_hub_url: str = "http+unix://%2Frun%2Fdoor%2Fhub.sock"
    sessions_per_person: int = 8
    concurrent_starts: int = 16
    active_sessions: int = 0
    start_seconds: int = 60
    refresh_seconds: int = 30
    route_check_seconds: int = 10
    poll_seconds: int = 5
    log_level: str = "INFO"

    @property
    def portal_asked(self) -> str:
        """Where the Hub itself asks the portal as its OAuth issuer: inside the cluster, else as browsers do."""
        return self.portal_url if is_socket(self.portal_internal) else self.portal_internal

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check the file; `BadSettings` when it is open to others, incomplete or not understood."""
        try:
            document = json.loads(read_private(path))
        except ValueError as error:
            raise BadSettings(f"{path} is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise BadSettings(f"{path} must hold one JSON object.")
        _check_names(cls, document, path)
        settings = cls(**document)
        _check_values(settings, path)
        return settings


def is_socket(address: str) -> bool:
    """Whether an address of the portal is the path of a Unix socket."""
    return address.startswith("/")


def read_private(path: Path) -> str:
    """The text of a file which nobody but its owner may read; `BadSettings` otherwise."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise BadSettings(f"{path} is open to others (mode {mode:04o}); run `chmod 600` on it.")
            return file.read()
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}.") from error


def _check_names(cls: type[HubSettings], document: dict[str, Any], path: Path) -> None:
    known = {entry.name for entry in fields(cls)}
    needed = {entry.name for entry in fields(cls) if entry.default is MISSING}
    if unknown := sorted(document.keys() - known):
        raise BadSettings(f"{path} has unknown fields: {', '.join(unknown)}.")
    if missing := sorted(needed - document.keys()):
        raise BadSettings(f"{path} lacks these fields: {', '.join(missing)}.")


def _check_values(settings: HubSettings, path: Path) -> None:
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if type(value) is not entry.type:
            raise BadSettings(f"{path}: {entry.name} must be of type {getattr(entry.type, '__name__', '?')}.")
        if value == "" and entry.name not in _MAY_BE_EMPTY:
            raise BadSettings(f"{path}: {entry.name} is empty.")
    for name, (least, most) in _RANGES.items():
        if not least <= getattr(settings, name) <= most:
            raise BadSettings(f"{path}: {name} must be between {least} and {most}.")
    if len(settings.crypt_key) != _KEY_DIGITS or not set(settings.crypt_key) <= set(string.hexdigits):
        raise BadSettings(f"{path}: crypt_key must be {_KEY_DIGITS} hexadecimal digits.")
    if not is_socket(settings.portal_internal) and not settings.portal_internal.startswith("http://"):
        raise BadSettings(f"{path}: portal_internal must be the path of a socket or `http://host:port`.")
    if settings.spawner not in _SPAWNERS:
        raise BadSettings(f"{path}: spawner must be one of {', '.join(sorted(_SPAWNERS))}.")
    # At DEBUG the Hub's libraries print requests whole; nothing may make them do so here.
    if settings.log_level not in {"INFO", "WARNING", "ERROR"}:
        raise BadSettings(f"{path}: log_level must be INFO, WARNING or ERROR, so that no token is ever logged.")
