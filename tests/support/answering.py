"""A server on loopback that speaks TLS and answers every request as a test wants, and counts what it heard."""

import http.server
import json
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.vault import make_certificate


class Answering:
    """Answers with `status`, `headers` and `body`; with `silent` it reads the request and never answers."""

    def __init__(self, folder: Path, name: str = "answering") -> None:
        self.status, self.silent = 200, False
        self.headers: Mapping[str, str] = {}
        self.body = json.dumps({"data": {}}).encode()
        self.heard: list[tuple[str, str]] = []
        self.connections = 0
        self.ca = folder / f"{name}.pem"
        make_certificate(self.ca, folder / f"{name}.key")
        self._over = threading.Event()
        self._server = _Server(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, folder / f"{name}.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.heard.append((request.command, request.path))
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.silent:
            self._over.wait(30)
            return
        request.send_response(self.status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(self.body)))
        request.end_headers()
        request.wfile.write(self.body)

    def close(self) -> None:
        """Stop listening."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, told: Answering) -> None:
        self.told = told
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request, client_address):
        self.told.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        """A client that hangs up in the middle is what some tests want."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.told.answer(self)

    do_POST = do_DELETE = do_PUT = do_LIST = do_GET  # noqa: N815

    def log_message(self, *args):
        """Write nothing."""
