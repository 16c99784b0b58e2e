"""A provider that does what no provider should: every answer can be bent, every token forged. On the loopback."""

import hashlib
import json
import ssl
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import RSAKey

Answer = Callable[["Hostile", BaseHTTPRequestHandler], None]


@cache
def rsa_key(kid: str) -> RSAKey:
    """A key under this id; making one takes a while, so each is made once."""
    return RSAKey.generate_key(2048, {"kid": kid}, private=True)


@dataclass
class Hostile:
    """Its answers: documents by path, or functions that answer as they like; `asked` counts the requests by path."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: rsa_key("one"))
    documents: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    forms: list[Mapping[str, list[str]]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def metadata(self, **changes: Any) -> dict[str, Any]:
        """What it says about itself; a change to None leaves the line out."""
        made = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/me",
            "end_session_endpoint": f"{self.issuer}/end",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in (made | changes).items() if value is not None}

    def claims(self, nonce: str, /, **changes: Any) -> dict[str, Any]:
        """The claims of a good ID token, changed; a change to None leaves the claim out."""
        now = int(time.time())
        made = {
            "iss": self.issuer,
            "sub": "olga",
            "aud": "spe",
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": nonce,
            "sid": "s-1",
            "acr": "https://refeds.org/profile/mfa",
            "amr": ["pwd", "mfa"],
            "eduperson_assurance": ["https://refeds.org/assurance/IAP/high"],
        }
        return {name: value for name, value in (made | changes).items() if value is not None}

    def signed(self, claims: Mapping[str, Any], *, key: Any = None, **header: Any) -> str:
        """A token over the claims; the header may say anything."""
        given = {"alg": "RS256", "kid": "one", **header}
        return jwt.encode(
            {name: value for name, value in given.items() if value is not None},
            dict(claims),
            key or self.key,
            algorithms=[given["alg"]],
        )

    def gives(self, id_token: str, **more: Any) -> None:
        """The answer of the token endpoint from now on."""
        self.documents["/token"] = {"access_token": "at", "token_type": "Bearer", "id_token": id_token, **more}

    def publishes(self, *keys: Mapping[str, Any]) -> None:
        """The keys that it shows from now on."""
        self.documents["/keys"] = {"keys": list(keys)}


def at_hash(access_token: str) -> str:
    """The hash of an access token as an RS256 ID token carries it."""
    digest = hashlib.sha256(access_token.encode()).digest()
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hostile: Hostile

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hostile.forms.append(parse_qs(body.decode()))
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hostile.asked[path] = self.hostile.asked.get(path, 0) + 1
        self.hostile.headers.append(dict(self.headers))
        if path in self.hostile.answers:
            self.close_connection = True
            self.hostile.answers[path](self.hostile, self)
            return
        document = self.hostile.documents.get(path)
        say(self, json.dumps(document).encode(), status=200 if document is not None else 404)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def say(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, **headers: str) -> None:
    """One whole answer."""
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def hostile(*, tls: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """A hostile provider that is still well-behaved, until the block ends; over TLS if wanted."""
    made = Hostile()
    handler = type("Handler", (_Handler,), {"hostile": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made.issuer = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    made.documents["/.well-known/openid-configuration"] = made.metadata()
    made.publishes({**made.key.as_dict(private=False), "use": "sig"})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=20)
