"""Sent as a cell into a kernel that runs in a pod: tries every way out that the plan names; tells what it met.

Every target of the plan was planted or made by the test, or belongs to the environment. Standard library only.
"""

import concurrent.futures
import os
import socket
from collections.abc import Callable
from typing import Any

SECONDS = 2.0


def outcome(act: Callable[[], object]) -> list[str]:
    """["DONE", what came of it] or ["stopped", the error]."""
    try:
        return ["DONE", str(act())[:160]]
    except Exception as error:
        return ["stopped", f"{type(error).__name__}: {error}"[:160]]


def tcp(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as end:
        end.settimeout(SECONDS)
        end.connect((host, port))
    return "connected"


def udp(host: str, port: int) -> str:
    """Done means answered: every target that was planted answers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04kube\x03dns\x00\x00\x01\x00\x01"
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.settimeout(SECONDS)
        end.connect((host, port))
        end.send(question)
        return str(end.recv(64))


def ping(host: str) -> str:
    """An echo request by the kind of socket that needs no right where the kernel allows it."""
    echo = b"\x08\x00\xf7\xfd\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as end:
        end.settimeout(SECONDS)
        end.sendto(echo, (host, 0))
        return str(end.recv(64))


def everybody_on_the_link() -> str:
    """An echo request by IPv6 to all hosts beside; done means answered by another one."""
    with open("/proc/net/if_inet6") as known:
        own = {":".join(row[at : at + 4] for at in range(0, 32, 4)) for row in (line.split()[0] for line in known)}
    mine = {socket.inet_pton(socket.AF_INET6, address) for address in own}
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6) as end:
        end.settimeout(SECONDS)
        end.sendto(b"\x80\x00\x00\x00\x00\x01\x00\x01", ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
        while True:
            _, (who, *_) = end.recvfrom(64)
            if socket.inet_pton(socket.AF_INET6, who.partition("%")[0]) not in mine:
                return who


def opens(family: int, kind: int, protocol: int) -> str:
    socket.socket(family, kind, protocol).close()
    return "opened"


def looks_up(name: str) -> str:
    return str(socket.getaddrinfo(name, 80))


def neighbours() -> str:
    """Interfaces besides the loopback and the pod's one."""
    found = sorted(set(os.listdir("/sys/class/net")) - {"lo", "eth0"})
    if not found:
        raise OSError("none")
    return str(found)


def reach(plan: dict[str, Any]) -> dict[str, list[str]]:
    """Every attempt by name; all at once, because a closed door is silent."""
    acts: dict[str, Callable[[], object]] = {}
    for name, (host, port) in plan["tcp"].items():
        acts[f"tcp {name}"] = lambda host=host, port=port: tcp(host, port)
        if ":" not in host:
            acts[f"tcp within ipv6 {name}"] = lambda host=host, port=port: tcp(f"::ffff:{host}", port)
    for name, (host, port) in plan["udp"].items():
        acts[f"udp {name}"] = lambda host=host, port=port: udp(host, port)
    for name, host in plan["ping"].items():
        acts[f"icmp {name}"] = lambda host=host: ping(host)
    for name in plan["names"]:
        acts[f"name {name}"] = lambda name=name: looks_up(name)
    acts["icmp of ipv6 everybody on the link"] = everybody_on_the_link
    acts["raw socket"] = lambda: opens(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    acts["raw socket of ipv6"] = lambda: opens(socket.AF_INET6, socket.SOCK_RAW, 58)
    acts["packet socket"] = lambda: opens(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
    acts["another interface"] = neighbours
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return dict(zip(acts, pool.map(outcome, acts.values()), strict=True))
