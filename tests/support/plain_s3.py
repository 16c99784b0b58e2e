"""A small object service on loopback that does the least: it stores, reads, lists and deletes, and knows nothing else.

Conditions, checksums, versions, parts, locks and policies are not there, as with simple or old services; what is
asked besides is answered "not implemented". It can be told to damage what it stores, and to answer what a
service in trouble answers.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from spe.adapters.objects.s3settings import S3Settings
from spe.ports.objects import Zone

NOW = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer in place of the usual one."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class PlainS3:
    """The service: `objects` maps bucket and key to bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        """Method and path of every request."""
        self.headers: list[dict[str, str]] = []
        self.replies: list[Reply] = []
        """Answers to the next requests, before the service answers by itself again."""
        self.always: Callable[[str, str], Reply | None] = lambda method, path: None
        """An answer for every request it wants to answer."""
        self.store: Callable[[bytes], bytes] = bytes
        """What becomes of bytes that are stored."""
        self.condition: Callable[[bytes | None], str] = lambda there: ""
        """The error code for a write that asks to be the first, by what is there; none: it knows no conditions."""
        self.silence = threading.Event()
        """Set: requests are never answered."""
        self.drip = 0.0
        """Seconds between single bytes of an object that is read."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def settings(self, **changes: Any) -> S3Settings:
        """Settings for it, with a bucket for each zone, which are made."""
        buckets = {zone: f"spe-{zone}" for zone in Zone}
        for bucket in buckets.values():
            self.objects.setdefault(bucket, {})
        known: dict[str, Any] = {"access_key": "key", "secret_key": "secret"}
        return S3Settings(**({"endpoint": self.url, "buckets": buckets} | known | changes))

    def close(self) -> None:
        self.silence.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _handler(service: PlainS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            service.asked.append(f"{self.command} {self.path}")
            service.headers.append({name.lower(): value for name, value in self.headers.items()})
            while service.silence.is_set():
                time.sleep(0.05)
            reply = service.replies.pop(0) if service.replies else service.always(self.command, self.path)
            if reply:
                self._refuse(reply)
                return
            bucket, _, key = unquote(url.path).lstrip("/").partition("/")
            query = parse_qs(url.query, keep_blank_values=True)
            getattr(self, "_key" if key else "_bucket")(bucket, key, query, body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 - the base class's names

        def _bucket(self, bucket: str, _: str, query: dict[str, list[str]], body: bytes) -> None:
            if self.command == "PUT" and not query:
                service.objects.setdefault(bucket, {})
                self._answer(200)
            elif bucket not in service.objects:
                self._refuse(Reply(status=404, code="NoSuchBucket"))
            elif self.command == "HEAD":
                self._answer(200)
            elif "list-type" in query and "Authorization" not in self.headers:
                self._refuse(Reply(status=403, code="AccessDenied"))
            elif "list-type" in query:
                self._answer(200, _listing(service.objects[bucket], query, "ListBucketResult", "Contents"))
            elif "versions" in query:
                self._answer(200, _listing(service.objects[bucket], query, "ListVersionsResult", "Version"))
            else:
                self._refuse(Reply(status=501, code="NotImplemented"))

        def _key(self, bucket: str, key: str, query: dict[str, list[str]], body: bytes) -> None:
            objects = service.objects.get(bucket)
            if objects is None:
                self._refuse(Reply(status=404, code="NoSuchBucket"))
            elif set(query) - {"versionId", "x-id"}:
                self._refuse(Reply(status=501, code="NotImplemented"))
            elif self.command == "PUT" and "If-None-Match" in self.headers and service.condition(objects.get(key)):
                self._refuse(Reply(status=412, code=service.condition(objects.get(key))))
            elif self.command == "PUT":
                objects[key] = service.store(body)
                self._answer(200)
            elif self.command == "DELETE":
                objects.pop(key, None)
                self._answer(204)
            elif key not in objects:
                self._refuse(Reply(status=404, code="NoSuchKey"))
            else:
                self._answer(200, objects[key])

        def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            for start in range(0, len(body), 1 if service.drip else max(len(body), 1)):
                self.wfile.write(body[start : start + 1] if service.drip else body)
                time.sleep(service.drip)

        def _refuse(self, reply: Reply) -> None:
            text = f"<Error><Code>{reply.code}</Code><Message>No.</Message></Error>" if reply.code else ""
            self._answer(reply.status, reply.body or text.encode(), reply.headers)

    return Handler


def _listing(objects: dict[str, bytes], query: dict[str, list[str]], root: str, row: str) -> bytes:
    """Pages of seven, so that a caller who looks at the first page only is found out."""
    prefix = query.get("prefix", [""])[0]
    after = next((query[name][0] for name in ("continuation-token", "key-marker") if name in query), "")
    keys = [key for key in sorted(objects) if key.startswith(prefix) and key > after]
    page, more = keys[:7], len(keys) > 7
    rows = "".join(
        f"<{row}><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size><LastModified>{NOW}</LastModified>"
        f"<VersionId>null</VersionId><IsLatest>true</IsLatest></{row}>"
        for key in page
    )
    last = escape(page[-1]) if page else ""
    next_ = (
        f"<NextContinuationToken>{last}</NextContinuationToken><NextKeyMarker>{last}</NextKeyMarker>" if more else ""
    )
    next_ += "<NextVersionIdMarker>null</NextVersionIdMarker>" if more else ""
    return f"<{root}><IsTruncated>{str(more).lower()}</IsTruncated>{next_}{rows}</{root}>".encode()


@contextmanager
def serving() -> Iterator[PlainS3]:
    """The service for as long as the block lasts."""
    service = PlainS3()
    try:
        yield service
    finally:
        service.close()
