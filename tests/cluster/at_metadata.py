"""Runs in a pod in a node's own network: the node listens at the address at which clouds tell machines their secrets.

Two rules and one route of the kernel, in a table of their own, have it take in what comes from outside of the node
for that address; what the node itself sends is left alone, and no interface gets the address. They are taken away at
SIGTERM. Standard library only.
"""

import contextlib
import errno
import os
import signal
import socket
import struct
import sys
import threading
import time

ADDRESS = "169.254.169.254"
PORTS = (80, 7777)
TABLE, OWN_FIRST, OTHERS = 169, 16_901, 16_902
_MAIN, _LOOPBACK = 254, 1
_NEW_ROUTE, _END_ROUTE, _NEW_RULE, _END_RULE = 24, 25, 32, 33
_ASKED, _MAKE = 0x5, 0x600  # request, with an answer; create, nothing that is there
_TRANSPARENT = 19


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute of a message to the kernel."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def header(lookup: int, *last: int) -> bytes:
    """What rules and routes begin with: of IPv4, to one address, in a table."""
    return struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, lookup, *last, 0)


def rule(order: int, lookup: int, *, own: bool) -> bytes:
    """Packets to the address, the node's own or any, look into a table."""
    body = header(lookup, 0, 0, 1) + attribute(1, socket.inet_aton(ADDRESS)) + attribute(6, struct.pack("=I", order))
    return body + (attribute(3, b"lo\0") if own else b"")


def route() -> bytes:
    """The address is here."""
    here = header(TABLE, 4, 254, 2)
    return here + attribute(1, socket.inet_aton(ADDRESS)) + attribute(4, struct.pack("=I", _LOOPBACK))


def tell(kind: int, body: bytes, *fine: int) -> None:
    """One change of the kernel's tables. OSError, unless it is one that is fine."""
    flags = _ASKED | (_MAKE if kind in (_NEW_ROUTE, _NEW_RULE) else 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as end:
        end.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        (said,) = struct.unpack_from("=i", end.recv(4096), 16)
    if said and -said not in fine:
        raise OSError(-said, os.strerror(-said))


def plant() -> None:
    """Take the address in. What an earlier run left is fine."""
    tell(_NEW_ROUTE, route(), errno.EEXIST)
    tell(_NEW_RULE, rule(OWN_FIRST, _MAIN, own=True), errno.EEXIST)
    tell(_NEW_RULE, rule(OTHERS, TABLE, own=False), errno.EEXIST)


def clear() -> None:
    """The kernel's tables as they were."""
    for kind, body in (
        (_END_RULE, rule(OTHERS, TABLE, own=False)),
        (_END_RULE, rule(OWN_FIRST, _MAIN, own=True)),
        (_END_ROUTE, route()),
    ):
        with contextlib.suppress(OSError):
            tell(kind, body)


def door(kind: int, port: int) -> socket.socket:
    """A socket at the address, which no interface has; waits for whoever else listens there."""
    end = socket.socket(socket.AF_INET, kind)
    end.setsockopt(socket.SOL_IP, _TRANSPARENT, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
    while True:
        try:
            end.bind((ADDRESS, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            time.sleep(0.5)
        else:
            return end


def streams(end: socket.socket) -> None:
    """Answer by the end of the connection."""
    while True:
        one, who = end.accept()
        sys.stdout.write(f"tcp {who[0]}\n")  # whole, whoever else writes
        one.close()


def datagrams(end: socket.socket) -> None:
    """Answer each."""
    while True:
        _, who = end.recvfrom(512)
        sys.stdout.write(f"udp {who[0]}\n")  # whole, whoever else writes
        end.sendto(b"here", who)


def main() -> None:
    """Listen until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    for port in PORTS:
        stream = door(socket.SOCK_STREAM, port)
        stream.listen(64)
        threading.Thread(target=streams, args=(stream,), daemon=True).start()
        threading.Thread(target=datagrams, args=(door(socket.SOCK_DGRAM, port),), daemon=True).start()
    try:
        plant()
        open("/tmp/hears", "w").close()
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    finally:
        clear()
    sys.exit(0)


if __name__ == "__main__":
    main()
