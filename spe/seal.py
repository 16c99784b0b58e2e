"""The seal probe: waits, inside a pod, until its one door answers and everything else is closed, in the same look.

`python -I seal.py ALLOWED_URL FORBIDDEN…` with places such as `tcp:10.0.0.1:443` and `udp:10.0.0.2:53`. It stands
alone in the notebook image, with nothing but the standard library. A refused and an unanswered connection are
both closed; only an established one, or an answer, is open. Exit status 0: sealed; 1: not within
`SPE_SEAL_SECONDS` (60); 2: cannot be tried.
"""

import http.client
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

SECONDS = 60.0
FIRST_PATIENCE = 0.5
LONGEST_PATIENCE = 4.0
PAUSE = 0.1
REPORT = "/dev/termination-log"
LARGEST_REPORT = 4096
ANSWERED, STOPPED, PASSED = "answered", "stopped", "PASSED"

Place = tuple[str, str, str, int]
"""A forbidden place: as it was written, `tcp` or `udp`, host, port."""


def main(arguments: list[str]) -> int:
    """Look until it is sealed or time is over; prints one line of JSON."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))  # the first process of a container does not end by itself
    try:
        door, forbidden = parse(arguments)
        seconds = float(os.environ.get("SPE_SEAL_SECONDS", SECONDS))
    except ValueError as error:
        print(json.dumps({"sealed": False, "error": str(error)}), flush=True)
        return 2
    report = watch(door, forbidden, seconds)
    print(json.dumps(report), flush=True)
    try:
        with open(REPORT, "w", encoding="ascii") as file:
            file.write(fitting(report))
    except OSError:
        pass  # not in a pod; the line on standard output says the same
    return 0 if report["sealed"] else 1


def fitting(report: dict[str, Any]) -> str:
    """The report as text that the cluster keeps whole: when it is too long, what was stopped is only counted."""
    text = json.dumps(report)
    if len(text) <= LARGEST_REPORT:
        return text
    told = {name: said for name, said in report["attempts"].items() if name == "door" or not said.startswith(STOPPED)}
    short = dict(list(told.items())[:20])
    left = len(report["attempts"]) - len(short)
    return json.dumps({**report, "attempts": {**short, "others": f"{STOPPED}: {left} places"}})


def parse(arguments: list[str]) -> tuple[str, list[Place]]:
    """The door's address and the forbidden places as (text, kind, host, port). Raises ValueError."""
    if len(arguments) < 2:
        raise ValueError("usage: seal.py ALLOWED_URL FORBIDDEN…")
    door = urlsplit(arguments[0])
    if door.scheme != "http" or not door.hostname or door.port is None:
        raise ValueError(f"{arguments[0]} is not an http address with a port")
    return arguments[0], [place(text) for text in arguments[1:]]


def place(text: str) -> Place:
    """One forbidden place. Raises ValueError."""
    kind, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("tcp", "udp") or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text} is not a place such as tcp:10.0.0.1:443")
    return text, kind, host.strip("[]"), int(port)


def watch(door: str, forbidden: list[Place], seconds: float) -> dict[str, Any]:
    """Sample until one shows the seal, at most so long; the last sample as a report.

    How long a closed place is waited for grows with the time the door takes, so that a slow network does not
    look like a closed one.
    """
    began = time.monotonic()
    patience, samples = FIRST_PATIENCE, 0
    with ThreadPoolExecutor(max_workers=len(forbidden) + 1) as pool:
        while True:
            samples += 1
            said, took, outcomes = sample(pool, door, forbidden, patience)
            quick = took <= patience / 2 or patience >= LONGEST_PATIENCE
            closed = all(outcome.startswith(STOPPED) for outcome in outcomes.values())
            sealed = said == ANSWERED and quick and closed
            elapsed = time.monotonic() - began
            if sealed or elapsed >= seconds:
                attempts = {"door": said, **outcomes}
                return {"sealed": sealed, "attempts": attempts, "samples": samples, "seconds": round(elapsed, 2)}
            if not quick:
                patience = min(LONGEST_PATIENCE, patience * 2)
            time.sleep(PAUSE)


def sample(
    pool: ThreadPoolExecutor, door: str, forbidden: list[Place], patience: float
) -> tuple[str, float, dict[str, str]]:
    """One look at everything at once: what the door said and how long it took, and each place's outcome."""
    asked = pool.submit(knock, door, max(patience, 1.0))
    tried = {text: pool.submit(TRIES[kind], host, port, patience) for text, kind, host, port in forbidden}
    said, took = asked.result()
    return said, took, {text: attempt.result() for text, attempt in tried.items()}


def knock(door: str, patience: float) -> tuple[str, float]:
    """Whether the door answers, and the seconds it took."""
    parts = urlsplit(door)
    began = time.monotonic()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
        said = ANSWERED if status == 200 else f"status {status}"
    except (OSError, http.client.HTTPException) as error:
        said = f"no answer ({reason(error)})"
    finally:
        connection.close()
    return said, time.monotonic() - began


def try_stream(host: str, port: int, patience: float) -> str:
    """Try to connect."""
    try:
        with socket.create_connection((host, port), timeout=patience):
            return f"{PASSED}: connected"
    except OSError as error:
        return f"{STOPPED}: {reason(error)}"


def try_datagram(host: str, port: int, patience: float) -> str:
    """Send a question that a name server would answer, and wait for any answer."""
    question = struct.pack(">HHHHHH", 0x5E41, 0x0100, 1, 0, 0, 0) + b"\x07example\x00" + struct.pack(">HH", 1, 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as end:
            end.settimeout(patience)
            end.connect((host, port))
            end.send(question)
            end.recv(512)
            return f"{PASSED}: an answer came"
    except OSError as error:
        return f"{STOPPED}: {reason(error)}"


def reason(error: Exception) -> str:
    """In a word or two."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(getattr(error, "strerror", None) or type(error).__name__)


TRIES: dict[str, Callable[[str, int, float], str]] = {"tcp": try_stream, "udp": try_datagram}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
