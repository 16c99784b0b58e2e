"""Sent into a sandbox: a notebook server under the attacker's control, in place of the real one.

It gives the planted text to whatever reaches it, in every place an answer has. Started by a cell; the real
server keeps running without its socket. Standard library only.
"""

import base64
import hashlib
import os
import socketserver
import sys
from typing import BinaryIO

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
ENDLESS = 30_000_000


class Accomplice(socketserver.StreamRequestHandler):
    """One connection: answers every request on it."""

    planted = b""

    def handle(self) -> None:
        """Read requests until the other side ends."""
        while request := read_request(self.rfile):
            self.wfile.write(self.answer(*request))
            if b"upgrade" in request[1]:
                return

    def answer(self, target: bytes, headers: dict[bytes, bytes]) -> bytes:
        """The planted text in the shape that the end of the address asks for."""
        text = self.planted
        usual = b"Content-Type: text/html\r\nX-Leak: " + text + b'\r\nETag: "' + text + b'"\r\n'
        body = b"Content-Length: %d\r\n\r\n" % len(text) + text
        if b"sec-websocket-key" in headers:
            key = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + MAGIC).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            protocol = b"Sec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org\r\n"
            return (
                head
                + b"Sec-WebSocket-Accept: "
                + key
                + b"\r\n"
                + protocol
                + usual
                + b"\r\n"
                + framed(text, b"events" in target)
            )
        return {
            b"endless": b"HTTP/1.1 200 OK\r\n" + usual + b"\r\n" + text * (ENDLESS // len(text)),
            b"long": b"HTTP/1.1 200 OK\r\n" + usual + b"Content-Length: %d\r\n\r\n" % ENDLESS + text,
            b"status": b"HTTP/1.1 277 " + text + b"\r\n" + usual + body,
            b"reason": b"HTTP/1.1 200 " + text + b"\r\n" + usual + body,
            b"error": b"HTTP/1.1 404 " + text + b"\r\n" + usual + body,
            b"gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + usual + body,
            b"redirect": b"HTTP/1.1 302 Found\r\nLocation: http://localhost/?" + text + b"\r\n" + usual + body,
            b"partial": b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-1/2\r\n" + usual + body,
            b"cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: leak=" + text + b"\r\n" + usual + body,
            b"hints": b"HTTP/1.1 103 Early Hints\r\nLink: " + text + b"\r\n\r\nHTTP/1.1 200 OK\r\n" + usual + body,
            b"empty": b"HTTP/1.1 204 No Content\r\n" + usual + body,
            b"two": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n" + usual + body,
            b"lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + usual + body,
            b"both": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + usual + body,
            b"trailer": CHUNKS + b"Trailer: X-Leak\r\n\r\n2\r\n{}\r\n0\r\nX-Leak: " + text + b"\r\n\r\n",
        }.get(target.partition(b"?")[0].rpartition(b"-")[2], b"HTTP/1.1 200 OK\r\n" + usual + body)


def framed(text: bytes, events: bool) -> bytes:
    """Frames of a websocket: bytes (not for events), text, and a close frame whose reason is the text."""
    short = text[:120]
    kinds = [(0x81, short), (0x88, b"\x03\xe8" + short)]
    return b"".join(bytes([kind, len(data)]) + data for kind, data in [(0x82, short)][events:] + kinds)


def read_request(source: BinaryIO) -> tuple[bytes, dict[bytes, bytes]] | None:
    """Target and headers of the next request, its body read; None at the end."""
    first = source.readline(100_000).split(b" ")
    if len(first) < 3:
        return None
    headers = {}
    while line := source.readline(100_000).strip():
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    source.read(int(headers.get(b"content-length", b"0")))
    return first[1], headers


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Any number of connections at once."""

    daemon_threads = True


def main() -> None:
    """Take the place of the notebook's socket: `accomplice.py SOCKET TEXT`."""
    place, Accomplice.planted = sys.argv[1], sys.argv[2].encode()
    with Server(place + ".x", Accomplice) as server:
        os.rename(place + ".x", place)
        print("in place", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
