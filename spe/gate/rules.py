"""The inbound table: which path and method reach which class of route. Everything else is refused.

Pure, so that the table can be read and tested without a socket. The paths are those a JupyterLab session
was seen to ask for; a class decides how the answer is treated (own copy, forced content type, websocket).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from spe.domain.errors import Denial

READ_HEAD = frozenset({"GET", "HEAD"})


class Kind(Enum):
    """How a route is served and how its answer is counted; the value is the word in the counters."""

    ASSET = "asset"
    PAGE = "page"
    JSON = "json"
    IMAGE = "image"
    VERSION = "version"
    KERNEL_SOCKET = "kernel-socket"
    EVENTS_SOCKET = "events-socket"
    TERMINAL_SOCKET = "terminal-socket"

    @property
    def is_socket(self) -> bool:
        """True for the three websocket classes."""
        return self.value.endswith("-socket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table. `name` stands in counters and logs; `path` is relative to the base URL."""

    name: str
    kind: Kind
    methods: frozenset[str]
    path: re.Pattern[str]
    terminal: bool = False


def _route(name: str, kind: Kind, methods: str, path: str, *, terminal: bool = False) -> Route:
    expanded = (
        path.replace("<seg>", "[^/]+").replace("<rest>", "[^/]+(?:/[^/]+)*").replace("<id>", "[0-9A-Za-z-]{1,64}")
    )
    return Route(name=name, kind=kind, methods=frozenset(methods.split()), path=re.compile(expanded), terminal=terminal)


ROUTES: tuple[Route, ...] = (
    _route("assets", Kind.ASSET, "GET HEAD", r"static/lab/<rest>"),
    _route("assets", Kind.ASSET, "GET HEAD", r"static/favicons/<seg>"),
    _route("assets", Kind.ASSET, "GET HEAD", r"lab/api/themes/<rest>"),
    _route("assets", Kind.ASSET, "GET HEAD", r"lab/extensions/<rest>"),
    _route("contents", Kind.JSON, "GET POST PUT PATCH DELETE", r"api/contents(?:/(?:<rest>)?)?"),
    _route("kernels", Kind.JSON, "GET POST", r"api/kernels"),
    _route("kernels", Kind.JSON, "GET DELETE", r"api/kernels/<id>"),
    _route("kernels", Kind.JSON, "POST", r"api/kernels/<id>/(?:interrupt|restart)"),
    _route("channels", Kind.KERNEL_SOCKET, "GET", r"api/kernels/<id>/channels"),
    _route("sessions", Kind.JSON, "GET POST", r"api/sessions"),
    _route("sessions", Kind.JSON, "GET PATCH DELETE", r"api/sessions/<id>"),
    _route("events", Kind.EVENTS_SOCKET, "GET", r"api/events/subscribe"),
    _route("workspaces", Kind.JSON, "GET", r"lab/api/workspaces"),
    _route("workspaces", Kind.JSON, "GET PUT", r"lab/api/workspaces/<rest>"),
    _route("settings", Kind.JSON, "GET", r"lab/api/settings"),
    _route("settings", Kind.JSON, "GET PUT", r"lab/api/settings/<rest>"),
    _route("translations", Kind.JSON, "GET", r"lab/api/translations(?:/<seg>)?"),
    _route("build", Kind.JSON, "GET", r"lab/api/build"),
    _route("config", Kind.JSON, "GET", r"api/config/<seg>"),
    _route("me", Kind.JSON, "GET", r"api/me"),
    _route("version", Kind.VERSION, "GET", r"api/?"),
    _route("kernelspecs", Kind.JSON, "GET", r"api/kernelspecs(?:/<seg>)?"),
    _route("logo", Kind.IMAGE, "GET", r"kernelspecs/<seg>/logo[A-Za-z0-9-]*\.(?:png|svg)"),
    _route("page", Kind.PAGE, "GET", r""),
    _route("page", Kind.PAGE, "GET", r"lab/?"),
    _route("page", Kind.PAGE, "GET", r"lab/tree(?:/(?:<rest>)?)?"),
    _route("page", Kind.PAGE, "GET", r"lab/workspaces/<seg>(?:/tree(?:/<rest>)?)?"),
    _route("enter", Kind.PAGE, "GET", r"spe/enter"),
    _route("login", Kind.PAGE, "GET", r"oauth_callback"),
    _route("terminals", Kind.JSON, "GET POST", r"api/terminals", terminal=True),
    _route("terminals", Kind.JSON, "GET DELETE", r"api/terminals/<id>", terminal=True),
    _route("terminal", Kind.TERMINAL_SOCKET, "GET", r"terminals/websocket/<id>", terminal=True),
)

TERMINALS = re.compile(r"(?:api/)?terminals(?:/.*)?")
WAYS_OUT = re.compile(r"(?:files|view|nbconvert|api/nbconvert|custom|voila|directories|bundle)(?:/.*)?")
ASKED_AT_START = re.compile(
    r"api/nbconvert|lsp/status|api/terminals|api/status|lab/api/(?:news|update|extensions|listings).*"
)


def classify(method: str, path: str, *, terminals: bool) -> Route | Denial:
    """The route of `path` (relative to the session's base URL, no leading slash), or why it is closed."""
    known: set[str] = set()
    for route in ROUTES:
        if not route.path.fullmatch(path):
            continue
        if route.terminal and not terminals:
            break
        if method in route.methods:
            return route
        known |= route.methods
    return _denial(method, path, known)


def _denial(method: str, path: str, known: set[str]) -> Denial:
    if known:
        return Denial(code="method", message=f"{_short(method)} is not allowed here.")
    if WAYS_OUT.fullmatch(path):
        return Denial(code="way-out", message="Downloads and conversions are closed in this workspace.")
    if TERMINALS.fullmatch(path):
        return Denial(code="terminals", message="Terminals are not part of this permit. Use a notebook instead.")
    return Denial(code="not-listed", message="This address is not open in this workspace.")


def is_expected(path: str) -> bool:
    """True for what JupyterLab asks by itself at start and does without: refused, but no sign of anything."""
    return ASKED_AT_START.fullmatch(path) is not None


def _short(method: str) -> str:
    return method if method.isascii() and method.isalpha() and len(method) <= 10 else "This method"


HUB_PATHS: Mapping[str, str] = {
    "/hub/api": "GET",
    "/hub/api/user": "GET",
    "/hub/api/oauth2/token": "POST",
}


def hub_call(method: str, raw: str, *, person: str) -> Denial | None:
    """Whether a notebook may make this call to the Hub: exactly four, the fourth only for its own person."""
    if HUB_PATHS.get(raw) == method or (method == "POST" and raw == f"/hub/api/users/{person}/activity"):
        return None
    return Denial(code="hub-call", message="A notebook may not make this call to the Hub.")


PORTAL_METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
_MIRROR_INDEX = re.compile(r"/mirror/simple/([a-z0-9-]+)/")
_MIRROR_FILE = re.compile(r"/mirror/(?:packages|files)/(?:[A-Za-z0-9_.-]{1,128}/){0,6}([A-Za-z0-9_.+-]{1,200})")


def portal_call(method: str, path: str) -> Denial | None:
    """Whether a call from inside a workspace may go to the portal's workspace API."""
    if path.startswith("/workspace/") and method in PORTAL_METHODS:
        return None
    return Denial(code="portal-call", message="From inside a workspace only the workspace API can be called.")


def mirror_call(method: str, raw: str, *, names: frozenset[str]) -> Denial | None:
    """Whether a package may be fetched: reading only, no query, and the project's name is listed."""
    if method not in READ_HEAD:
        return Denial(code="mirror-call", message="Packages can only be read.")
    index = _MIRROR_INDEX.fullmatch(raw)
    file = _MIRROR_FILE.fullmatch(raw)
    project = index.group(1) if index else project_of(file.group(1)) if file else ""
    if project and project in names:
        return None
    return Denial(
        code="mirror-name",
        message="This package is not listed for this workspace; ask its operator to list it.",
    )


def project_of(file: str) -> str:
    """The normalised project name of a wheel or source archive (PEP 503, PEP 427, PEP 625)."""
    name = file.split("-", 1)[0] if "-" in file else ""
    return re.sub(r"[-_.]+", "-", name).lower()
