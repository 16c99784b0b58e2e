"""What a gate is told: about itself (`gate.json`) and about each session (`sessions/<person>.json`).

Apart from the rest because it is the only trust a gate is given at start. On a host both are files; in a
pod they come as one document over the control port, where the pod itself settles what concerns only it:
its token, the portal's address and its folder, and a session has no sockets.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spe.domain.errors import Invalid
from spe.gate.fields import Fields

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
TOKEN = re.compile(r"[\x21-\x7e]{16,4096}")
PACKAGE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
LARGEST_CONFIG = 256 * 1024
LONGEST_NAME = 200
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
    """What concerns all sessions. Times in seconds, origins as `scheme://host[:port]` without a path.

    `portal` is where the gate itself asks: a socket on a host, an http address in a pod; `portal_url` is the
    address to which browsers are sent.
    """

    workspace: str
    permit: str
    token: str
    portal: Path | str
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
class Sockets:
    """A session's places on a host: the notebook's socket, and the folder in which the gate makes its doors."""

    notebook: Path
    door: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """One person's running notebook and its limits, in bytes.

    `sockets` is None in a pod: there the portal says at which address the notebook is. `expires` is seconds
    since the epoch. `message_families` names what is refused by default and allowed here (`comm`, `debug`).
    """

    person: str
    name: str
    base_url: str
    sockets: Sockets | None
    daily_bytes: int
    message_bytes: int
    terminals: bool
    expires: float
    message_families: frozenset[str]

    @property
    def identity(self) -> tuple[str, str, Sockets | None]:
        """What cannot change while the session lives; a change of anything else is applied in place."""
        return (self.person, self.base_url, self.sockets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a gate in a pod knows by itself, whatever the document says: who it is, whom it asks, where it writes."""

    workspace: str
    token: str
    portal: str
    state: Path


def parse_gate(raw: Any) -> GateConfig:
    """Read a decoded `gate.json`. Raises Invalid with every wrong field."""
    fields = Fields(raw)
    token = fields.text("token", TOKEN, "a token of at least 16 visible characters")
    return _gate(
        fields, token=token, portal=fields.socket("portal"), state=fields.folder("state", fields.take("state"))
    )


def parse_gate_in_pod(raw: Any, settled: Settled) -> GateConfig:
    """Read the `gate` part of a configuration. Raises Invalid with every wrong field, another workspace too."""
    fields = Fields(raw)
    fields.settled("portal", settled.portal)
    fields.settled("state", str(settled.state))
    gate = _gate(fields, token=settled.token, portal=settled.portal, state=settled.state)
    if gate.workspace != settled.workspace:
        raise Invalid({"workspace": "is not the one whose gate this is."})
    return gate


def _gate(fields: Fields, *, token: str, portal: Path | str, state: Path) -> GateConfig:
    gate = GateConfig(
        workspace=fields.text("workspace", SLUG, "a workspace id"),
        permit=fields.text("permit", SLUG, "a permit id"),
        token=token,
        portal=portal,
        hub=fields.base("hub"),
        mirror=fields.optional_base("mirror"),
        mirror_names=fields.names("mirror_names", PACKAGE),
        assets=_assets(fields),
        state=state,
        deadline_seconds=fields.seconds("deadline_seconds"),
        public_origins=fields.origins("public_origins"),
        portal_url=fields.base("portal_url"),
    )
    fields.finish()
    return gate


ReadPlace = Callable[[Fields], Sockets | None]


def on_this_host(fields: Fields) -> Sockets:
    """The sockets of a session file."""
    return Sockets(notebook=fields.socket("notebook"), door=fields.socket("door", suffix="/hub.sock.new"))


def in_a_pod(fields: Fields) -> None:
    """A session in a pod names no place; the null says that this is meant."""
    fields.nothing("address")


def parse_session(raw: Any, *, workspace: str, place: ReadPlace = on_this_host) -> SessionConfig:
    """Read one decoded session of `workspace`. Raises Invalid with every wrong field."""
    fields = Fields(raw)
    person = fields.text("person", SLUG, "a person id")
    session = SessionConfig(
        person=person,
        name=fields.line("name", LONGEST_NAME),
        base_url=fields.exactly(
            "base_url", f"/user/{person}/{workspace}/", "made of the person and this gate's workspace"
        ),
        sockets=place(fields),
        daily_bytes=fields.whole("daily_bytes", 0),
        message_bytes=fields.whole("message_bytes", SMALLEST_MESSAGE_LIMIT),
        terminals=fields.flag("terminals"),
        expires=fields.moment("expires"),
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


def _assets(fields: Fields) -> Assets:
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


def _families(fields: Fields) -> frozenset[str]:
    value = fields.take("message_families", [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or set(value) - MESSAGE_FAMILIES:
        fields.wrong["message_families"] = "may name `comm` and `debug`, nothing else."
        return frozenset()
    return frozenset(value)
