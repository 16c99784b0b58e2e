"""Runs inside a sandbox and tries to get out: every attempt must be stopped, the door must answer.

Started as `python -m spe.adapters.cluster.embedded.probe_inside PLAN RESULT`; PLAN names what the host
has planted on its own loopback. It aims at nothing else, and reports what each attempt met.
"""

import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

STOPPED = "stopped: "
PASSED = "PASSED: "
ANSWERED = "answered"

_SECONDS = 1.0
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PTRACE_ATTACH = 16
_AF_VSOCK = 40

_libc = ctypes.CDLL(None, use_errno=True)

Plan = Mapping[str, Any]
Attempt = Callable[[Plan], str]


def _called(result: int) -> None:
    """Raise the error of a call of the C library that failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _connect(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as end:
        end.settimeout(_SECONDS)
        end.connect(address)
        _another_than(end)
    return "it connected"


def _datagram(family: int, address: Any) -> str:
    """Stopped means: no answer. The sandbox's own loopback takes datagrams that nobody receives."""
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.settimeout(_SECONDS / 2)
        end.connect(address)
        end.send(b"probe")
        end.recv(16)
        _another_than(end)
    return "it was answered"


def _another_than(end: socket.socket) -> None:
    """Raise `OSError` when the one that answered is the socket itself.

    The system picks the port of a socket at random, and on the sandbox's own empty loopback nothing keeps it from
    picking the very one that is aimed at: then the socket is its own peer (RFC 9293, 3.5, "simultaneous open").
    """
    if end.getsockname() == end.getpeername():
        raise OSError(errno.ECONNREFUSED, "only the socket itself answered")


def _opens(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "the socket opened"


def _resolves(plan: Plan) -> str:
    try:
        socket.getaddrinfo(plan["name"], 80)
    except socket.gaierror as error:
        raise OSError(errno.ENOENT, error.strerror) from error
    return "the name was resolved"


def _mounts(_plan: Plan) -> str:
    _called(_libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
    return "it was mounted"


def _remounts(plan: Plan) -> str:
    _called(_libc.mount(None, str(plan["data"]).encode(), None, 32 | 4096, None))
    return "it was remounted writable"


def _unshares(flag: int) -> str:
    _called(_libc.unshare(flag))
    return "a namespace was made"


def _clones(_plan: Plan) -> str:
    number = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
    if number is None:
        return _unshares(_CLONE_NEWUSER)
    pid = _libc.syscall(number, _CLONE_NEWUSER | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    _called(pid)
    return "a process with a namespace of its own was made"


def _traces(_plan: Plan) -> str:
    _called(_libc.ptrace(_PTRACE_ATTACH, 1, 0, 0))
    return "process 1 was attached"


def _writes(path: str) -> str:
    with open(path, "w", encoding="ascii") as file:
        file.write("probe")
    return "it was written"


def _renames(plan: Plan) -> str:
    os.rename(plan["data"] + "/file", plan["data"] + "/other")
    return "it was renamed"


def _deletes(plan: Plan) -> str:
    os.unlink(plan["data"] + "/file")
    return "it was deleted"


def _foreign_interfaces(_plan: Plan) -> str:
    with open("/proc/net/dev", encoding="ascii") as file:
        names = [line.split(":")[0].strip() for line in file if ":" in line]
    return _none_of([name for name in names if name != "lo"])


def _foreign_processes(_plan: Plan) -> str:
    """Besides this one: bubblewrap's first process only."""
    return _none_of([pid for pid in os.listdir("/proc") if pid.isdecimal() and int(pid) not in (1, os.getpid())])


def _foreign_environment(plan: Plan) -> str:
    return _none_of(sorted(set(os.environ) - set(plan["environment"]) - {"PWD", "LC_CTYPE"}))


def _foreign_folders(plan: Plan) -> str:
    return _none_of([path for path in plan["absent"] if os.path.lexists(path)])


def _none_of(found: list[str]) -> str:
    if found:
        return "visible: " + ", ".join(found)[:200]
    raise OSError(errno.ENOENT, "nothing to be seen")


ATTEMPTS: Mapping[str, Attempt] = {
    "tcp-ipv4": lambda plan: _connect(socket.AF_INET, ("127.0.0.1", plan["tcp4"])),
    "tcp-ipv6": lambda plan: _connect(socket.AF_INET6, ("::1", plan["tcp6"])),
    "udp-ipv4": lambda plan: _datagram(socket.AF_INET, ("127.0.0.1", plan["udp4"])),
    "udp-ipv6": lambda plan: _datagram(socket.AF_INET6, ("::1", plan["udp6"])),
    "abstract-socket": lambda plan: _connect(socket.AF_UNIX, "\0" + plan["abstract"]),
    "name-lookup": _resolves,
    "vsock": lambda _plan: _opens(_AF_VSOCK, socket.SOCK_STREAM),
    "netlink": lambda _plan: _opens(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet-socket": lambda _plan: _opens(socket.AF_PACKET, socket.SOCK_RAW),
    "raw-ipv4": lambda _plan: _opens(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "raw-ipv6": lambda _plan: _opens(socket.AF_INET6, socket.SOCK_RAW, 58),
    "mount": _mounts,
    "remount-data": _remounts,
    "new-user-namespace": lambda _plan: _unshares(_CLONE_NEWUSER),
    "new-network-namespace": lambda _plan: _unshares(_CLONE_NEWNET),
    "clone-with-namespace": _clones,
    "ptrace": _traces,
    "write-root": lambda _plan: _writes("/probe"),
    "write-system": lambda _plan: _writes("/usr/probe"),
    "write-door": lambda _plan: _writes("/run/door/probe"),
    "create-data": lambda plan: _writes(plan["data"] + "/new"),
    "overwrite-data": lambda plan: _writes(plan["data"] + "/file"),
    "rename-data": _renames,
    "delete-data": _deletes,
    "kernel-setting": lambda _plan: _writes("/proc/sys/kernel/core_pattern"),
    "foreign-interfaces": _foreign_interfaces,
    "foreign-processes": _foreign_processes,
    "foreign-environment": _foreign_environment,
    "foreign-folders": _foreign_folders,
}
"""Name → what is tried. Each returns what it achieved, or raises `OSError` when it was stopped."""


def attempt(what: Attempt, plan: Plan) -> str:
    """The outcome of one attempt in words that begin with `STOPPED` or `PASSED`."""
    try:
        return PASSED + what(plan)
    except OSError as error:
        return STOPPED + (error.strerror or str(error))


def door(plan: Plan) -> str:
    """Whether what must answer answers: a seal that stops everything is a broken workspace."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.settimeout(_SECONDS)
            end.connect("/run/door/probe.sock")
            said = end.recv(64).decode("ascii", "replace")
    except OSError as error:
        return f"silent: {error.strerror or error}"
    return ANSWERED if said == plan["word"] else "answered wrongly"


def main(arguments: list[str]) -> int:
    """Try everything, write the outcomes as JSON."""
    plan_path, result_path = arguments
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    outcomes = {name: attempt(what, plan) for name, what in ATTEMPTS.items() if name not in plan["leave_out"]}
    with open(result_path, "w", encoding="utf-8") as file:
        json.dump({**outcomes, "door": door(plan)}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
