"""The certified OpenID provider of the tests as a process of its own, and a browser that goes there and back."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from joserfc.jwk import RSAKey

from spe.adapters.hub.processes import find_node
from tests.support.instance import SOURCE, free_ports

SCRIPT = Path(__file__).with_suffix(".mjs")
MFA = "https://refeds.org/profile/mfa"
HIGH = "https://refeds.org/assurance/IAP/high"
CLIENT_SECRET = "a-secret-of-the-tests-that-is-long-enough"


def new_key(kid: str) -> dict[str, Any]:
    """A signing key as the provider keeps it."""
    return {**RSAKey.generate_key(2048, private=True).as_dict(private=True), "kid": kid, "use": "sig", "alg": "RS256"}


def account(*, acr: str = MFA, amr: tuple[str, ...] = ("pwd", "mfa"), **claims: Any) -> dict[str, Any]:
    """Somebody who can sign in at the provider; by default with two factors and a well-proven identity."""
    return {"acr": acr, "amr": list(amr), "claims": {"eduperson_assurance": [HIGH], **claims}}


@dataclass
class Provider:
    """A running provider."""

    process: subprocess.Popen[str]
    settings: dict[str, Any]
    said: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Its name."""
        return str(self.settings["issuer"])

    def change(self, **settings: Any) -> None:
        """Other settings from now on; sessions and codes that it gave out stay."""
        self.settings |= settings
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "ready", "".join(self.said)


def client_of(portal: str, client_id: str = "spe", secret: str = CLIENT_SECRET) -> dict[str, Any]:
    """The portal as it is registered at the provider."""
    return {
        "client_id": client_id,
        "client_secret": secret,
        "redirect_uris": [f"{portal}/login/callback"],
        "post_logout_redirect_uris": [f"{portal}/signed-out"],
        "backchannel_logout_uri": f"{portal}/login/ended",
        "backchannel_logout_session_required": True,
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
    }


@contextmanager
def provider(accounts: Mapping[str, Any], *clients: Mapping[str, Any], **settings: Any) -> Iterator[Provider]:
    """A provider with these accounts and clients, until the block ends."""
    modules = Path(os.environ.get("SPE_NODE_MODULES", SOURCE / "node_modules"))
    library = modules / "oidc-provider" / "lib" / "index.js"
    assert library.is_file(), f"oidc-provider is not installed below {modules}; run `make test`, which installs it"
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [str(find_node()), str(SCRIPT), str(library)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    made = Provider(process, {})
    assert process.stderr
    errors = threading.Thread(target=made.said.extend, args=(process.stderr,), daemon=True)
    errors.start()
    first = {"port": port, "issuer": f"http://localhost:{port}", "jwks": {"keys": [new_key("one")]}}
    try:
        made.change(**first, accounts=dict(accounts), clients=list(clients), **settings)
        yield made
    finally:
        process.terminate()
        process.wait(timeout=20)
        errors.join(timeout=20)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


class Visitor:
    """A browser without script that keeps cookies: it follows redirects one by one and fills in forms.

    `doors` maps an origin to another port of this machine where it is answered, as a balancer would.
    """

    def __init__(self) -> None:
        self.client = httpx2.Client(follow_redirects=False, timeout=30, trust_env=False)
        self.doors: dict[str, int] = {}

    def close(self) -> None:
        """Close its connections."""
        self.client.close()

    def ask(self, method: str, address: str, **options: Any) -> httpx2.Response:
        """One request."""
        parts = urlsplit(address)
        headers = options.pop("headers", {})
        if port := self.doors.get(f"{parts.scheme}://{parts.netloc}"):
            headers = {"Host": parts.netloc, **headers}
            address = parts._replace(netloc=f"{parts.hostname}:{port}").geturl()
        return self.client.request(method, address, headers=headers, **options)

    def follow(self, address: str, *, until: str = "") -> tuple[str, httpx2.Response]:
        """Go to an address and on; stops at a page, or before an address that begins with `until`."""
        for _ in range(20):
            if until and address.startswith(until):
                return address, httpx2.Response(0)
            answer = self.ask("GET", address)
            if answer.status_code not in (301, 302, 303, 307, 308):
                return address, answer
            address = urljoin(address, answer.headers["location"])
        raise AssertionError(f"no end of redirects: {address}")

    def submit(self, address: str, page: httpx2.Response, *, until: str = "", **fields: str) -> Any:
        """Fill in the one form of a page, send it, and follow."""
        form = re.search(r"<form[^>]*>", page.text)
        assert form, page.text
        action = re.search(r'action="([^"]*)"', form[0])
        target = urljoin(address, unescape(action[1])) if action else address
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        answer = self.ask("POST", target, data={**hidden, **fields})
        if answer.status_code not in (302, 303):
            return target, answer
        return self.follow(urljoin(target, answer.headers["location"]), until=until)

    def answered(self, portal: str, name: str, *, start: str = "/login", **fields: str) -> str:
        """Sign in at the provider up to its answer: the address of the portal that it sends the browser to."""
        back = f"{portal}/login/callback"
        address, page = self.follow(portal + start, until=back)
        if not address.startswith(back):
            address, page = self.submit(address, page, until=back, login=name, **fields)
        assert address.startswith(back), page.text
        return str(address)

    def sign_in(self, portal: str, name: str, *, start: str = "/login") -> tuple[str, httpx2.Response]:
        """Sign in and arrive."""
        return self.follow(self.answered(portal, name, start=start))
