"""The API server behind a front on loopback that misbehaves as it is told: refuses, breaks off, is silent, lies.

The front speaks to the real server as the account whose client is given; `faults` says, request by request, what
happens to it.
"""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import urllib3
from kubernetes.client import ApiClient, Configuration

Fault = str
"""`busy` 429, `broken` 500, `away` 503, `silent` no answer, `cut` half of one, `lost` done but answered with 500,
`page` something that is not JSON; anything else: as it should be."""

_STATUS = {"busy": 429, "broken": 500, "away": 503}
_PASSED_ON = ("content-type", "accept")


class Front:
    """`faults` gets method and path of each request."""

    def __init__(self, real: ApiClient) -> None:
        self.faults: Callable[[str, str], Fault] = lambda method, path: ""
        self.met = 0
        self._real = real
        self._over = threading.Event()
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                front.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - as http.server names them

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def client(self) -> ApiClient:
        settings = Configuration(host=self.url)
        settings.retries = False
        return ApiClient(settings)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Any) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self.faults(request.command, request.path)
        self.met += bool(fault)
        if fault == "silent":
            self._over.wait(30)
            request.close_connection = True
        elif fault in _STATUS:
            self._say(request, _STATUS[fault], b'{"kind":"Status","message":"told to"}', {"Retry-After": "1"})
        elif fault == "page":
            self._say(request, 200, b"<html>a proxy's sign-in page</html>", {})
        else:
            self._pass(request, body, fault)

    def _pass(self, request: Any, body: bytes, fault: Fault) -> None:
        headers = {n: v for n, v in request.headers.items() if n.lower() in _PASSED_ON}
        given: dict[str, str] = {}
        self._real.update_params_for_auth(given, [], ["BearerToken"], "", "", None)
        pool: urllib3.PoolManager = self._real.rest_client.pool_manager
        real = pool.request(
            request.command, self._real.configuration.host + request.path, body=body or None,
            headers={**headers, **given}, preload_content=False, timeout=urllib3.Timeout(connect=5, read=60),
        )  # fmt: skip
        with contextlib.closing(real), contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
            if "watch=true" in request.path:
                self._stream(request, real, fault)
            elif fault == "lost":
                real.read()
                self._say(request, 500, b"{}", {})
            elif fault == "cut":
                whole = real.read()
                self._say(request, real.status, whole[: len(whole) // 2], {}, length=len(whole))
                request.close_connection = True
            else:
                self._say(request, real.status, real.read(), {})

    def _stream(self, request: Any, real: Any, fault: Fault) -> None:
        """A watch, in chunks as the server sends it; one that is cut ends in the middle of its first."""
        request.send_response(real.status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.close_connection = True
        for chunk in real.stream(None, decode_content=True):
            request.wfile.write(b"%x\r\n" % len(chunk))
            request.wfile.write(chunk[: len(chunk) // 2] if fault == "cut" else chunk + b"\r\n")
            request.wfile.flush()
            if fault == "cut":
                return
        request.wfile.write(b"0\r\n\r\n")

    def _say(self, request: Any, status: int, body: bytes, headers: dict[str, str], *, length: int = -1) -> None:
        with contextlib.suppress(OSError):
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(body) if length < 0 else length))
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)


@contextlib.contextmanager
def front(real: ApiClient) -> Iterator[Front]:
    """A front that is closed at the end."""
    made = Front(real)
    try:
        yield made
    finally:
        made.close()
