"""The two kinds of JSON a gate reads: `gate.json` and `sessions/<person>.json`.

Apart from the rest because it is the only trust a gate is given at start: unknown fields, wrong types
and values outside their grammar are `Invalid`, one sentence per field, and nothing is guessed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spe.domain.errors import Invalid

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
TOKEN = re.compile(r"[\x21-\x7e]{16,4096}")
PACKAGE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
LONGEST_SOCKET_PATH = 107
LARGEST_CONFIG = 256 * 1024
MESSAGE_FAMILIES = frozenset({"comm", "debug"})
SMALLEST_MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Folders of the gate's own copy of the notebook's static files.

    `lab` is `share/jupyter/lab` (holds `static` and `themes`), `server` is `jupyter_server/static`,
    `extensions` is `share/jupyter/labextensions` or None.
    """

    lab: Path
    server: Path
    extensions: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """`gate.json`. Times in seconds, origins as `scheme://host[:port]` without a path.

    `portal` is the socket the gate itself asks, `portal_url` the address to which browsers are sent.
    """

    workspace: str
    permit: str
    token: str
    portal: Path
    hub: str
    mirror: str | None
    mirror_names: frozenset[str]
    assets: Assets
    state: Path
    deadline_seconds: float
    public_origins: tuple[str, ...]
    portal_url: str

    @property
    def public_hosts(self) -> frozenset[str]:
        """What a browser may write into `Host`."""
        return frozenset(urlsplit(origin).netloc for origin in self.public_origins)

    @property
    def secure(self) -> bool:
        """True when every public origin is https, so that cookies are marked `Secure`."""
        return all(origin.startswith("https://") for origin in self.public_origins)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """`sessions/<person>.json`: one person's running notebook and its limits, in bytes.

    `expires` is seconds since the epoch. `message_families` names what is refused by default and
    allowed here (`comm`, `debug`).
    """

    person: str
    name: str
    base_url: str
    notebook: Path
    door: Path
    daily_bytes: int
    message_bytes: int
    terminals: bool
    expires: float
    message_families: frozenset[str]

    @property
    def identity(self) -> tuple[str, str, Path, Path]:
        """What cannot change while the session lives; a change of anything else is applied in place."""
        return (self.person, self.base_url, self.notebook, self.door)


class _Fields:
    """Takes fields out of one JSON object and collects one sentence per wrong one."""

    def __init__(self, raw: Any) -> None:
        self.wrong: dict[str, str] = {}
        self._left: dict[str, Any] = dict(raw) if isinstance(raw, Mapping) else {}
        if not isinstance(raw, Mapping):
            self.wrong["file"] = "must be a JSON object."

    def take(self, name: str, default: Any = None) -> Any:
        return self._left.pop(name, default)

    def text(self, name: str, grammar: re.Pattern[str], meaning: str) -> str:
        value = self.take(name)
        if not isinstance(value, str) or not grammar.fullmatch(value):
            self.wrong[name] = f"must be {meaning}."
            return ""
        return value

    def folder(self, name: str, value: Any) -> Path:
        if not isinstance(value, str) or not value.startswith("/") or "\0" in value or "/../" in value + "/":
            self.wrong[name] = "must be an absolute path without `..`."
            return Path("/")
        return Path(value)

    def socket(self, name: str, value: Any, suffix: str = "") -> Path:
        path = self.folder(name, value)
        if len(bytes(path)) + len(suffix) > LONGEST_SOCKET_PATH:
            self.wrong[name] = f"is too long for a Unix socket (at most {LONGEST_SOCKET_PATH} bytes)."
        return path

    def whole(self, name: str, least: int) -> int:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong[name] = f"must be a whole number of at least {least}."
            return 0
        return value

    def finish(self) -> None:
        self.wrong.update(dict.fromkeys(map(str, self._left), "is not a known field."))
        if self.wrong:
            raise Invalid(self.wrong)


def parse_gate(raw: Any) -> GateConfig:
    """Read a decoded `gate.json`. Raises Invalid with every wrong field."""
    fields = _Fields(raw)
    gate = GateConfig(
        workspace=fields.text("workspace", SLUG, "a workspace id"),
        permit=fields.text("permit", SLUG, "a permit id"),
        token=fields.text("token", TOKEN, "a token of at least 16 visible characters"),
        portal=fields.socket("portal", fields.take("portal")),
        hub=_base(fields, "hub", fields.take("hub")),
        mirror=_optional_base(fields, "mirror"),
        mirror_names=_names(fields, "mirror_names", PACKAGE),
        assets=_assets(fields),
        state=fields.folder("state", fields.take("state")),
        deadline_seconds=_seconds(fields, "deadline_seconds"),
        public_origins=_origins(fields, "public_origins"),
        portal_url=_base(fields, "portal_url", fields.take("portal_url")),
    )
    fields.finish()
    return gate


def parse_session(raw: Any, *, workspace: str) -> SessionConfig:
    """Read a decoded session file of `workspace`. Raises Invalid with every wrong field."""
    fields = _Fields(raw)
    person = fields.text("person", SLUG, "a person id")
    session = SessionConfig(
        person=person,
        name=_name(fields),
        base_url=_base_url(fields, person, workspace),
        notebook=fields.socket("notebook", fields.take("notebook")),
        door=fields.socket("door", fields.take("door"), suffix="/hub.sock.new"),
        daily_bytes=fields.whole("daily_bytes", 0),
        message_bytes=fields.whole("message_bytes", SMALLEST_MESSAGE_LIMIT),
        terminals=_flag(fields, "terminals"),
        expires=_moment(fields, "expires"),
        message_families=_families(fields),
    )
    fields.finish()
    return session


def load_gate(path: Path) -> GateConfig:
    """Read `gate.json` from disk. Raises Invalid."""
    return parse_gate(_decode(path))


def load_session(path: Path, *, workspace: str) -> SessionConfig:
    """Read one session file; its name must be the person's. Raises Invalid."""
    session = parse_session(_decode(path), workspace=workspace)
    if path.stem != session.person:
        raise Invalid({"person": f"must be the name of the file, {path.stem!r}."})
    return session


def _decode(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_CONFIG + 1)
    except OSError as error:
        raise Invalid({"file": f"cannot be read: {error.strerror}."}) from error
    if len(data) > LARGEST_CONFIG:
        raise Invalid({"file": f"is larger than {LARGEST_CONFIG} bytes."})
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid({"file": "is not JSON."}) from error


def _base(fields: _Fields, name: str, value: Any) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        fields.wrong[name] = "must be an http(s) address."
        return ""
    if parts.query or parts.fragment:
        fields.wrong[name] = "must not carry a query."
    return str(value).rstrip("/")


def _optional_base(fields: _Fields, name: str) -> str | None:
    value = fields.take(name)
    return None if value is None else _base(fields, name, value)


def _names(fields: _Fields, name: str, grammar: re.Pattern[str]) -> frozenset[str]:
    value = fields.take(name, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and grammar.fullmatch(v) for v in value):
        fields.wrong[name] = "must be a list of names in lower-case letters, digits and hyphens."
        return frozenset()
    return frozenset(value)


def _assets(fields: _Fields) -> Assets:
    raw = fields.take("assets")
    if not isinstance(raw, Mapping) or not {"lab", "server"} <= set(raw) <= {"lab", "server", "extensions"}:
        fields.wrong["assets"] = "must name the folders `lab` and `server`, and may name `extensions`."
        return Assets(lab=Path("/"), server=Path("/"), extensions=None)
    lab = fields.folder("assets.lab", raw["lab"])
    extensions = raw.get("extensions", str(lab.parent / "labextensions"))
    return Assets(
        lab=lab,
        server=fields.folder("assets.server", raw["server"]),
        extensions=None if extensions is None else fields.folder("assets.extensions", extensions),
    )


def _seconds(fields: _Fields, name: str) -> float:
    value = fields.take(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86400:
        fields.wrong[name] = "must be a number of seconds, more than 0 and at most one day."
        return 0.0
    return float(value)


def _origins(fields: _Fields, name: str) -> tuple[str, ...]:
    value = fields.take(name)
    if not isinstance(value, list) or not value or not all(_is_origin(item) for item in value):
        fields.wrong[name] = "must be a list of at least one origin such as `https://host:port`."
        return ()
    return tuple(value)


def _is_origin(value: Any) -> bool:
    if not isinstance(value, str) or value != value.lower() or "@" in value:
        return False
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and value == f"{parts.scheme}://{parts.netloc}" and "*" not in value


def _name(fields: _Fields) -> str:
    value = fields.take("name")
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
        fields.wrong["name"] = "must be text of at most 200 printable characters."
        return ""
    return value


def _base_url(fields: _Fields, person: str, workspace: str) -> str:
    expected = f"/user/{person}/{workspace}/"
    if fields.take("base_url") != expected:
        fields.wrong["base_url"] = f"must be {expected!r}, made of the person and this gate's workspace."
    return expected


def _flag(fields: _Fields, name: str) -> bool:
    value = fields.take(name)
    if not isinstance(value, bool):
        fields.wrong[name] = "must be true or false."
    return value is True


def _moment(fields: _Fields, name: str) -> float:
    value = fields.take(name)
    try:
        return moment(value)
    except ValueError:
        fields.wrong[name] = "must be a time such as 2030-01-31T12:00:00Z (RFC 3339, with its zone)."
        return 0.0


def moment(value: Any) -> float:
    """RFC 3339 text to seconds since the epoch. Raises ValueError, also for a time without a zone."""
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("not a time")
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError("a time needs its zone")
    return parsed.timestamp()


def _families(fields: _Fields) -> frozenset[str]:
    value = fields.take("message_families", [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or set(value) - MESSAGE_FAMILIES:
        fields.wrong["message_families"] = "may name `comm` and `debug`, nothing else."
        return frozenset()
    return frozenset(value)
