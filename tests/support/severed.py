"""A way to the tests' own PostgreSQL that can be severed at the one moment that matters: when a COMMIT is sent.

It stands on a Unix socket as the server does. Of the connections it tells apart only those that write.
"""

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NAME = ".s.PGSQL.5432"
_WRITES = b"pg_advisory_xact_lock"
_COMMIT = b"COMMIT\x00"
KEPT, LOST = "kept", "lost"
"""Severed after the server has answered the COMMIT, or before it has heard of it; the client cannot tell which."""


class Severed:
    """`url` leads to the same database as the one given; `arm` says which COMMIT severs the connection."""

    def __init__(self, url: str) -> None:
        self._target = parse_qs(urlsplit(url).query)["host"][0]
        self.folder = Path(tempfile.mkdtemp(prefix="spe-cut-", dir="/tmp"))
        self.url = url.replace(self._target, str(self.folder))
        self.commits = self.cuts = 0
        self._at, self._how = -1, ""
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / NAME))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, how: str, *, commit: int = 1) -> None:
        """Sever once, at the writers' COMMIT of this number from now on."""
        with self._lock:
            self._at, self._how = self.commits + commit, how

    def cut(self) -> None:
        """Sever every connection now; new ones are let through."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            _hang_up(end)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(f"{self._target}/{NAME}")
                with self._lock:
                    self._ends += [near, far]
                quiet = threading.Event()
                for work, words in ((self._there, (near, far, quiet)), (self._back, (far, near, quiet))):
                    thread = threading.Thread(target=work, args=words, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _there(self, near: socket.socket, far: socket.socket, quiet: threading.Event) -> None:
        """From the client to the server, until it ends or is severed."""
        writes = False
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                writes = writes or _WRITES in data
                how = self._met() if writes and _COMMIT in data else ""
                if how == LOST:
                    break
                if how == KEPT:
                    quiet.set()  # from here on the client hears nothing, and the answer severs it
                far.sendall(data)
            else:
                far.shutdown(socket.SHUT_WR)
                return
        _hang_up(near)
        _hang_up(far)

    def _back(self, far: socket.socket, near: socket.socket, quiet: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                if quiet.is_set():
                    break
                near.sendall(data)
        _hang_up(near)
        _hang_up(far)

    def _met(self) -> str:
        with self._lock:
            self.commits += 1
            if self.commits != self._at:
                return ""
            self.cuts += 1
            return self._how


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def severed(url: str) -> Iterator[Severed]:
    """A way that may be severed, for as long as the block lasts."""
    made = Severed(url)
    try:
        yield made
    finally:
        made.close()
