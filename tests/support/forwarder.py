"""A forwarder of connections in front of a real server, on loopback, that can be told to break off.

What passes is counted; at a limit every connection is reset, and new ones are refused until it is let go on.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Forwarder:
    """Forwards to the address of `url`; `url` of its own is what clients are given."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{target.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = self.received = 0
        self.cut_sent: int | None = None
        self.cut_received: int | None = None
        self.once = False
        self.cuts = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self, *, sent: int | None = None, received: int | None = None, once: bool = False) -> None:
        """Break off when so many more bytes have passed to the server, or from it; `once`: then let go on."""
        with self._lock:
            self.cut_sent = None if sent is None else self.sent + sent
            self.cut_received = None if received is None else self.received + received
            self.once = once

    def mend(self) -> None:
        """Forward again."""
        self.cut()

    @property
    def broken(self) -> bool:
        """Whether a limit is reached."""
        return (self.cut_sent is not None and self.sent >= self.cut_sent) or (
            self.cut_received is not None and self.received >= self.cut_received
        )

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.broken:
                    _hang_up(near)
                    continue
                far = socket.create_connection(self._target)
                with self._lock:
                    self._open += [near, far]
                for ends in ((near, far, "sent"), (far, near, "received")):
                    thread = threading.Thread(target=self._pass, args=ends, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                with self._lock:
                    setattr(self, counter, getattr(self, counter) + len(data))
                    broken = self.broken
                if broken:
                    self._reset()
                    return
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        with self._lock:
            self.cuts += 1
            ends, self._open = self._open, []
            if self.once:
                self.cut_sent = self.cut_received = None
        for end in ends:
            _hang_up(end)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def forwarding(url: str) -> Iterator[Forwarder]:
    """A forwarder for as long as the block lasts."""
    forwarder = Forwarder(url)
    try:
        yield forwarder
    finally:
        forwarder.close()
