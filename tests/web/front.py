"""The public application as programs and browsers of the cast meet it, without a network."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from spe.web.app import create_public
from spe.web.settings import WebSettings
from tests.support.ground import Ground

WEB = WebSettings(service_token="h" * 64, demo=True)


@dataclass
class Front:
    """The application, and one client for each of the cast."""

    ground: Ground
    web: WebSettings = WEB
    app: FastAPI = field(init=False)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_public(self.ground.app, self.web)

    def client(self, name: str = "", *, base: str = "") -> TestClient:
        """A program with the API token of one of the cast, or of nobody."""
        if name and name not in self.tokens:
            self.tokens[name] = self.ground.token(name)
        headers = {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}
        client = TestClient(self.app, base_url=base or self.web.portal_url, follow_redirects=False)
        client.headers.update(headers)
        return client

    def browser(self, name: str = "") -> TestClient:
        """A browser in which one of the cast is signed in, or nobody."""
        client = self.client()
        if name:
            client.cookies.set("spe_session", self.ground.session(name), domain="127.0.0.1")
        return client

    def api(self, name: str, method: str, path: str, **options: Any) -> Any:
        """One call to the API that succeeds; its JSON."""
        answer = self.client(name).request(method, f"/api/v1{path}", **options)
        assert answer.status_code < 300, answer.text
        return answer.json()
