"""The seal probe against real listeners on loopback: it believes what answers, and nothing else."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spe import seal

PROGRAM = Path(seal.__file__)


class Door(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


class Shut(Door):
    status = 503


@contextlib.contextmanager
def serving(handler: type[Door] = Door) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hello"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as end:
        yield f"tcp:127.0.0.1:{end.getsockname()[1]}"


@contextlib.contextmanager
def answering_datagrams() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    data, whence = end.recvfrom(512)
                    end.sendto(data, whence)

        threading.Thread(target=answer, daemon=True).start()
        yield f"udp:127.0.0.1:{end.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with listening() as place:
        return place


def run(*arguments: str, seconds: str = "1") -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "SPE_SEAL_SECONDS": seconds},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_a_sealed_place_is_found_sealed(closed: str) -> None:
    with serving() as door:
        status, report = run(door, closed)
    assert (status, report["sealed"]) == (0, True)
    attempts = report["attempts"]
    assert isinstance(attempts, dict)
    assert attempts["door"] == "answered"
    assert attempts[closed].startswith("stopped")


def test_one_open_place_among_closed_ones_is_no_seal(closed: str) -> None:
    with serving() as door, listening() as opened:
        status, report = run(door, closed, opened)
    assert status == 1
    attempts = report["attempts"]
    assert isinstance(attempts, dict)
    assert attempts[opened].startswith("PASSED")


def test_an_answered_datagram_is_no_seal() -> None:
    with serving() as door, answering_datagrams() as opened:
        status, report = run(door, opened)
    assert (status, report["sealed"]) == (1, False)


def test_silence_everywhere_is_no_seal(closed: str) -> None:
    """A network that is not there yet stops everything; the door has to answer in the same look."""
    address = closed.removeprefix("tcp:")
    status, report = run(f"http://{address}/hello", closed)
    assert (status, report["sealed"]) == (1, False)


def test_a_door_that_says_no_is_no_seal(closed: str) -> None:
    with serving(Shut) as door:
        status, report = run(door, closed)
    attempts = report["attempts"]
    assert isinstance(attempts, dict)
    assert (status, attempts["door"]) == (1, "status 503")


def test_it_waits_until_the_seal_holds() -> None:
    with serving() as door, socket.create_server(("127.0.0.1", 0)) as late:
        place = f"tcp:127.0.0.1:{late.getsockname()[1]}"
        threading.Timer(1.0, lambda: (late.shutdown(socket.SHUT_RDWR), late.close())).start()
        status, report = run(door, place, seconds="30")
    assert (status, report["sealed"]) == (0, True)
    samples = report["samples"]
    assert isinstance(samples, int)
    assert samples > 1


class Slow(Door):
    def do_GET(self) -> None:
        threading.Event().wait(0.6)
        super().do_GET()


def test_a_slow_network_does_not_look_closed(closed: str) -> None:
    """A look counts only when the door answered well within the time that closed places were given."""
    with serving(Slow) as door:
        status, report = run(door, closed, seconds="30")
    assert status == 0
    samples = report["samples"]
    assert isinstance(samples, int)
    assert samples > 1


@pytest.mark.parametrize(
    "arguments",
    [(), ("http://127.0.0.1:1/hello",), ("https://127.0.0.1:1/", "tcp:127.0.0.1:1"), ("http://127.0.0.1/", "tcp:a:1"),
     ("http://127.0.0.1:1/", "icmp:127.0.0.1:1"), ("http://127.0.0.1:1/", "tcp:127.0.0.1"),
     ("http://127.0.0.1:1/", "tcp:127.0.0.1:0"), ("http://127.0.0.1:1/", "tcp:127.0.0.1:70000")],
)  # fmt: skip
def test_what_cannot_be_tried_is_an_error_and_no_seal(arguments: tuple[str, ...]) -> None:
    status, report = run(*arguments)
    assert (status, report["sealed"]) == (2, False)


def test_a_report_fits_where_the_cluster_keeps_it_and_still_names_what_was_open() -> None:
    attempts = {f"tcp:10.0.{n}.1:443": "stopped: timed out" for n in range(250)}
    report = {"sealed": False, "attempts": {"door": "answered", **attempts, "tcp:10.9.9.9:1": "PASSED: connected"}}
    text = seal.fitting(report)
    assert len(text) <= seal.LARGEST_REPORT
    told = json.loads(text)["attempts"]
    assert told["door"] == "answered"
    assert told["tcp:10.9.9.9:1"] == "PASSED: connected"
    assert told["others"] == "stopped: 250 places"


def test_it_needs_nothing_but_the_standard_library() -> None:
    imported = {
        line.split()[1].partition(".")[0]
        for line in PROGRAM.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names
