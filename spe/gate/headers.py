"""Which headers pass, in both directions, and which are the gate's own.

Pure. A header is a channel like a body: what the notebook answers is taken from a short list, each value
against its grammar; what the browser sends loses everything between two hops. The content security
policy is the gate's, whatever the notebook says.
"""

import re
from collections.abc import Iterable, Sequence

from spe.domain.errors import Denial
from spe.gate.rules import Kind

Pairs = Iterable[tuple[str, str]]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
"""For answers that are never a page: opened by themselves they can load and run nothing."""

FIXED: tuple[tuple[str, str], ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("X-Frame-Options", "DENY"),
    ("X-DNS-Prefetch-Control", "off"),
    ("Server", "spe"),
)
NO_STORE = ("Cache-Control", "no-store")

SINGLE = frozenset(
    [
        "host",
        "cookie",
        "authorization",
        "content-length",
        "content-type",
        "origin",
        "range",
        "upgrade",
        "x-xsrftoken",
        "sec-websocket-key",
    ]
)
TO_NOTEBOOK = frozenset(
    [
        "host",
        "authorization",
        "content-type",
        "accept",
        "accept-language",
        "user-agent",
        "origin",
        "referer",
        "x-xsrftoken",
        "x-requested-with",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-user",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    ]
)
FROM_DOOR = frozenset(["content-type", "accept", "user-agent", "if-match", "idempotency-key"])
TO_DOOR = frozenset(["content-type", "etag", "retry-after", "x-jupyterhub-version", "www-authenticate"])

JSON = "application/json"
FORCED_TYPE = {
    Kind.JSON: "application/json",
    Kind.VERSION: "application/json",
    Kind.PAGE: "text/html; charset=utf-8",
}
LOGO_TYPES = {"png": "image/png", "svg": "image/svg+xml"}

LONGEST_VALUE = 4096
MOST_COOKIES = 8
VISIBLE = re.compile(r"[\x20-\x7e]*")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,24}")
_LOCATION = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?\[\]|]*)?")
_COOKIE_VALUE = re.compile(r"[\x21\x22\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{0,4000}")
_COOKIE_LIFE = re.compile(r"(?:Max-Age=-?[0-9]{1,10}|Expires=[A-Za-z0-9 ,:+-]{1,40})", re.IGNORECASE)


def own_headers(kind: Kind | None) -> list[tuple[str, str]]:
    """The headers the gate puts on an answer of this class; None is a page of the gate's own."""
    policy = PAGE_POLICY if kind in {Kind.PAGE, Kind.ASSET, None} else DATA_POLICY
    return [*FIXED, ("Content-Security-Policy", policy)]


def denial_of(
    pairs: Sequence[tuple[str, str]],
    *,
    method: str,
    kind: Kind,
    hosts: frozenset[str],
    origins: Sequence[str],
) -> Denial | None:
    """Why the headers of an inbound request are refused, or None."""
    seen: dict[str, str] = {}
    for name, value in pairs:
        low = name.lower()
        if low in SINGLE and low in seen:
            return Denial(code="double-header", message=f"The request carries {low} twice.")
        seen[low] = value
    return _framing(seen, method) or _tricks(seen, kind) or _whence(seen, kind=kind, hosts=hosts, origins=origins)


def _framing(seen: dict[str, str], method: str) -> Denial | None:
    """Two readings of where a request ends are refused here (CL.TE, TE.CL, a body where none belongs)."""
    length = seen.get("content-length")
    if "transfer-encoding" in seen:
        return Denial(code="framing", message="A request must state its length; transfer encodings are refused.")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) <= 12):
        return Denial(code="framing", message="The length of the request is not a number.")
    body = int(length or 0) > 0
    if body and method in {"GET", "HEAD"}:
        return Denial(code="framing", message="A reading request carries no body.")
    if body and not _is_json(seen):
        return Denial(code="body-type", message="A request body must be JSON.")
    if "content-encoding" in seen or "expect" in seen:
        return Denial(code="framing", message="Encoded or conditional request bodies are refused.")
    return None


def _is_json(seen: dict[str, str]) -> bool:
    """JupyterLab sends the JSON of contents and workspaces as text; a foreign form could do that too, but without
    the token's header, which a browser lets another site set only after asking, and with that site's origin.
    """
    said = seen.get("content-type", "").partition(";")[0].strip().lower()
    return said == JSON or (said == "text/plain" and bool(seen.get("x-xsrftoken")) and "origin" in seen)


def _tricks(seen: dict[str, str], kind: Kind) -> Denial | None:
    if "range" in seen or "if-range" in seen:
        return Denial(code="range", message="Parts of files cannot be asked for.")
    if "service-worker" in seen:
        return Denial(code="worker", message="Service workers are not allowed in a workspace.")
    upgrade = seen.get("upgrade", "").strip().lower()
    if kind.is_socket and upgrade != "websocket":
        return Denial(code="upgrade", message="This address answers websockets only.")
    if upgrade and not kind.is_socket:
        return Denial(code="upgrade", message="This address does not change protocol.")
    return None


def _whence(seen: dict[str, str], *, kind: Kind, hosts: frozenset[str], origins: Sequence[str]) -> Denial | None:
    if kind is not Kind.VERSION and seen.get("host", "") not in hosts:
        return Denial(code="host", message="This workspace is not served under that host name.")
    origin = seen.get("origin")
    if (origin is not None or kind.is_socket) and origin not in origins:
        return Denial(code="origin", message="The request comes from another site.")
    if kind not in {Kind.PAGE, Kind.ASSET} and seen.get("sec-fetch-site", "same-origin") not in {
        "same-origin",
        "none",
    }:
        return Denial(code="cross-site", message="The request was made by another site.")
    return None


def to_notebook(pairs: Pairs, *, person: str, workspace: str) -> list[tuple[str, str]]:
    """What of the browser's headers the notebook sees: a short list, and only the cookies that are its own."""
    kept = [
        (name, JSON if name.lower() == "content-type" else value)
        for name, value in pairs
        if name.lower() in TO_NOTEBOOK
    ]
    cookies = "; ".join(value for name, value in pairs if name.lower() == "cookie")
    own = [
        part.strip() for part in cookies.split(";") if is_own_cookie(part.partition("=")[0].strip(), person, workspace)
    ]
    if own:
        kept.append(("Cookie", "; ".join(own)))
    kept.append(("Accept-Encoding", "identity"))
    return kept


def cookies_named(pairs: Pairs, name: str) -> list[str]:
    """Every value that the browser's cookie headers give this name."""
    parts = [part.strip() for key, value in pairs if key.lower() == "cookie" for part in value.split(";")]
    return [value for key, mark, value in (part.partition("=") for part in parts) if mark and key == name]


def is_own_cookie(name: str, person: str, workspace: str) -> bool:
    """True for the cookies JupyterHub's single-user server reads."""
    if name in {"_xsrf", "jupyterhub-session-id"}:
        return True
    own = f"jupyterhub-user-{person}-{workspace}"
    bare = name.removeprefix("__Host-")
    return bare == own or bare.startswith(own + "-oauth-state")


def cookies_out(values: Iterable[str], *, person: str, workspace: str, base_url: str, secure: bool) -> list[str]:
    """The notebook's `Set-Cookie` values written anew: own names only, own path, no domain."""
    written = []
    for value in list(values)[:MOST_COOKIES]:
        first, *attributes = value.split(";")
        name, mark, content = first.strip().partition("=")
        if not mark or name == "jupyterhub-session-id" or not is_own_cookie(name, person, workspace):
            continue
        if not _COOKIE_VALUE.fullmatch(content):
            continue
        path = "/" if name.startswith("__Host-") else base_url
        life = [item.strip() for item in attributes if _COOKIE_LIFE.fullmatch(item.strip())]
        parts = [f"{name}={content}", *life[:2], f"Path={path}", "SameSite=Lax"]
        parts += [] if name == "_xsrf" else ["HttpOnly"]  # the page's script reads _xsrf and sends it back
        parts += ["Secure"] if secure else []
        written.append("; ".join(parts))
    return written


def location_out(value: str | None, *, base_url: str, origins: Sequence[str]) -> str | None:
    """A redirect's target when it stays in this session or goes to the Hub's own login; else None."""
    if value is None or len(value) > LONGEST_VALUE:
        return None
    for origin in origins:
        if value.startswith(origin + "/"):
            value = value.removeprefix(origin)
    if not _LOCATION.fullmatch(value) or value.startswith("//"):
        return None
    path = value.partition("?")[0]
    if "//" in path or any(part in {".", ".."} for part in path.split("/")):
        return None
    return value if path.startswith(base_url) or path in {"/hub/api/oauth2/authorize", "/hub/login"} else None


def version_out(value: str | None) -> str | None:
    """The Hub's version header when it looks like a version."""
    return value if value is not None and _VERSION.fullmatch(value) else None


def content_type(kind: Kind, path: str) -> str:
    """The type an answer of this class is given, whatever the notebook said."""
    if kind is Kind.IMAGE:
        return LOGO_TYPES.get(path.rpartition(".")[2], "application/octet-stream")
    return FORCED_TYPE.get(kind, "application/octet-stream")


def through_door(pairs: Pairs, allowed: frozenset[str]) -> list[tuple[str, str]]:
    """The listed headers with printable values of sane length, for the doors towards Hub and portal."""
    return [(n, v) for n, v in pairs if n.lower() in allowed and len(v) <= LONGEST_VALUE and VISIBLE.fullmatch(v)]
