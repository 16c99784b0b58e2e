"""Uploads over a real socket: streamed, bounded, and nothing left behind by what broke off."""

import contextlib
import http.client
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from spe.ports.objects import Zone
from spe.web.app import create_internal
from tests.web.front import WEB


class Line(http.client.HTTPConnection):
    """HTTP to a Unix socket, closed at the end of a `with` block."""

    def __init__(self, path: Path) -> None:
        super().__init__("portal", timeout=60)
        self._path = str(path)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def put(self, ground, request: str, name: str, length: int) -> None:
        """Begin an upload of so many bytes."""
        self.putrequest("PUT", f"/workspace/egress/{request}/files/{name}")
        for header, value in (headers(ground) | {"Content-Length": str(length)}).items():
            self.putheader(header, value)
        self.endheaders()

    def answer(self) -> tuple[int, bytes]:
        """Status and body."""
        with self.getresponse() as response:
            return response.status, response.read()

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


@pytest.fixture
def served(ground) -> Iterator[Path]:
    with serving(ground) as path:
        yield path


@contextlib.contextmanager
def serving(ground) -> Iterator[Path]:
    """The socket of a server; at the end it has finished with every request."""
    ground.accept("researcher")
    with tempfile.TemporaryDirectory(prefix="spe-", dir="/tmp") as folder:
        path = Path(folder, "in.sock")
        config = uvicorn.Config(
            create_internal(ground.app, WEB), uds=str(path), log_config=None, access_log=False, lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield path
        server.should_exit = True
        thread.join()


def headers(ground) -> dict[str, str]:
    token = ground.app.house.gate_token(ground.workspace_id)
    return {"Authorization": f"Bearer {token}", "X-Spe-Person": ground.id_of("researcher")}


def stored(ground) -> list[str]:
    left = [str(p) for p in (ground.folder / "objects" / ".incoming").iterdir()]
    return left + [o.digest for o in ground.app.house.ports.objects.list(Zone.AIRLOCK)]


def draft(ground) -> str:
    return ground.app.egress.create(ground.workspace_id, by=ground.by("researcher")).id


def eventually(holds) -> bool:
    deadline = time.monotonic() + 20
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(held)


def test_a_large_file_is_streamed_without_being_held(ground, served):
    request = draft(ground)
    piece, count = b"0123456789abcdef" * 65536, 200
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Line(served) as line:
        line.put(ground, request, "big.bin", len(piece) * count)
        for _ in range(count):
            line.send(piece)
        assert line.answer()[0] == 200
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60 * 1024
    assert ground.request(request).outputs[0].size == len(piece) * count


def test_two_gibibytes_are_refused_with_a_sentence_and_nothing_is_left(ground, served):
    request = draft(ground)
    with Line(served) as line:
        line.put(ground, request, "huge.bin", 2 * 1024**3)
        status, body = line.answer()
    assert status == 413
    assert b"At most 512 MiB" in body
    assert stored(ground) == []


@pytest.mark.parametrize(
    ("door", "store", "pieces", "status"), [(1, 9, 8, 413), (9, 2, 8, 422), (9, 2, 3, 422), (9, 2, 1, 200)]
)
def test_a_body_without_a_length_is_cut_off_at_the_limit(ground, served, monkeypatch, door, store, pieces, status):
    monkeypatch.setattr("spe.web.shield.LARGEST_FILE", door * 1024**2)
    monkeypatch.setattr("spe.services.egress.LARGEST_FILE", store * 1024**2)
    request = draft(ground)
    with Line(served) as line:
        body = (bytes([n]) * 1024**2 for n in range(pieces))
        path = f"/workspace/egress/{request}/files/x.bin"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.request("PUT", path, body=body, headers=headers(ground), encode_chunked=True)
        with contextlib.suppress(ConnectionResetError):
            assert line.answer()[0] == status
    done = status == 200
    assert eventually(lambda: len(stored(ground)) == done)
    assert len(ground.request(request).outputs) == done


def test_an_upload_that_breaks_off_leaves_nothing(ground, served):
    request = draft(ground)
    with Line(served) as line:
        line.put(ground, request, "half.bin", 1_000_000)
        line.send(b"x" * 500_000)
        assert eventually(lambda: stored(ground))
    assert eventually(lambda: stored(ground) == [])
    assert ground.request(request).outputs == ()


def test_pages_answer_while_many_uploads_hang(ground):
    with serving(ground) as served, contextlib.ExitStack() as open_lines:
        request = draft(ground)
        for n in range(60):
            line = open_lines.enter_context(Line(served))
            line.put(ground, request, f"{n}.bin", 1_000_000)
            line.send(b"x")
        with Line(served) as asking:
            asking.request("GET", "/workspace/permit", headers=headers(ground))
            assert asking.answer()[0] == 200
    assert stored(ground) == []


def test_who_sends_too_much_hears_why_and_not_a_broken_connection(ground, served):
    """A connection that is closed on bytes nobody read is reset, and the answer in it is lost."""
    for _ in range(10):
        with Line(served) as line:
            line.request("POST", "/workspace/egress", b" " * (4 * 1024**2), headers(ground))
            status, body = line.answer()
        assert status == 413
        assert b"1 MiB" in body
