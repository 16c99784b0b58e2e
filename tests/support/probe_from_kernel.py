"""Sent as a cell into a researcher's kernel: tries to get out, to look around and to change data; tells what it met.

`reach(plan)`, `doors(plan)` and `around()` return plain values. Network attempts aim at the loopback only, at
what the plan names there. Standard library only: it runs where the product is not known.
"""

import ctypes
import fcntl
import http.client
import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
MACHINE = os.uname().machine
# Numbers of system calls by machine; those from 424 on are the same everywhere.
NUMBERS = {
    "x86_64": {
        "clone": 56, "pivot_root": 155, "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298,
        "process_vm_readv": 310, "kcmp": 312, "finit_module": 313, "bpf": 321, "userfaultfd": 323, "kexec_load": 246,
    },
    "aarch64": {
        "clone": 220, "pivot_root": 41, "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241,
        "process_vm_readv": 270, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282, "kexec_load": 104,
    },
}[MACHINE]  # fmt: skip
NUMBERS |= {
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "pidfd_open": 434, "clone3": 435,
    "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
NEW = {"mount": 0x20000, "user": 0x10000000, "pid": 0x20000000, "network": 0x40000000}
RDONLY, REMOUNT, BIND, MOVE = 1, 32, 4096, 8192
AT_FDCWD = -100
SECONDS = 1.0
Act = Callable[[], object]


def outcome(act: Act) -> list[str]:
    """["DONE", what came of it] or ["stopped", the error]."""
    try:
        return ["DONE", str(act())[:160]]
    except Exception as error:
        return ["stopped", f"{type(error).__name__}: {error}"[:160]]


def checked(result: int) -> int:
    """The result of a call of the C library, or its error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def system(name: str, *arguments: Any) -> int:
    """A system call by its number."""
    return checked(LIBC.syscall(NUMBERS[name], *arguments))


def library(name: str, *arguments: Any) -> int:
    """A call of the C library."""
    return checked(getattr(LIBC, name)(*arguments))


# the network


def stream(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as end:
        end.settimeout(SECONDS)
        end.connect(address)
    return "connected"


def datagram(family: int, address: Any) -> str:
    """Done means answered: the sandbox's own loopback takes a datagram that nobody receives."""
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.settimeout(SECONDS / 2)
        end.connect(address)
        end.send(b"probe")
        return str(end.recv(16))


def early_data(port: int) -> str:
    """Data with the first packet of a connection."""
    with socket.socket() as end:
        end.sendto(b"probe", socket.MSG_FASTOPEN, ("127.0.0.1", port))
        return str(end.recv(16))


def opens(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "opened"


def interfaces() -> str:
    with open("/proc/net/dev") as file:
        return none_of([line.split(":")[0].strip() for line in file if ":" in line and "lo:" not in line])


def network(plan: dict[str, Any]) -> Iterator[tuple[str, Act]]:
    v4, v6, unix = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
    yield "tcp ipv4", lambda: stream(v4, ("127.0.0.1", plan["tcp4"]))
    yield "tcp ipv6", lambda: stream(v6, ("::1", plan["tcp6"]))
    yield "tcp ipv4 within ipv6", lambda: stream(v6, ("::ffff:127.0.0.1", plan["tcp4"]))
    yield "tcp with early data", lambda: early_data(plan["tcp4"])
    yield "udp ipv4", lambda: datagram(v4, ("127.0.0.1", plan["udp4"]))
    yield "udp ipv6", lambda: datagram(v6, ("::1", plan["udp6"]))
    for name, port in plan["ports"].items():
        yield f"tcp to the {name}", lambda port=port: stream(v4, ("127.0.0.1", port))
    yield "abstract stream socket", lambda: stream(unix, "\0" + plan["abstract"])
    yield "abstract datagram socket", lambda: datagram(unix, "\0" + plan["abstract_datagram"])
    for name, path in plan["sockets"].items():
        yield f"socket: {name}", lambda path=path: stream(unix, path)
        yield f"socket: {name}, by way of process 1", lambda path=path: stream(unix, f"/proc/1/root{path}")
    for name in plan["names"]:
        yield f"name lookup: {name}", lambda name=name: socket.getaddrinfo(name, 80)
    yield "another interface than lo", interfaces
    yield "vsock", lambda: opens(40, socket.SOCK_STREAM)
    yield "vsock datagram", lambda: opens(40, socket.SOCK_DGRAM)
    yield "netlink", lambda: opens(socket.AF_NETLINK, socket.SOCK_RAW)
    yield "packet socket", lambda: opens(socket.AF_PACKET, socket.SOCK_RAW)
    yield "raw ipv4", lambda: opens(v4, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    yield "raw ipv6", lambda: opens(v6, socket.SOCK_RAW, 58)
    yield "raw ipv4 with flags", lambda: opens(v4, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 255)
    yield "kernel crypto socket", lambda: opens(socket.AF_ALG, socket.SOCK_SEQPACKET)
    yield "bluetooth", lambda: opens(31, socket.SOCK_RAW)
    yield "express data path", lambda: opens(44, socket.SOCK_RAW)


# privileges


def server() -> int:
    """The notebook server's process: the parent of this kernel."""
    return os.getppid()


def clones() -> str:
    pid = system("clone", NEW["user"] | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "cloned"


def joins(pid: int, kind: str) -> int:
    descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
    try:
        return library("setns", descriptor, 0)
    finally:
        os.close(descriptor)


def types_into_terminal() -> object:
    with open("/dev/ptmx", "rb", buffering=0) as terminal:
        return fcntl.ioctl(terminal, 0x5412, b"x")


def reads_server_memory() -> str:
    room = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(room), 8)
    return str(system("process_vm_readv", server(), vector, 1, vector, 1, 0))


def privileges(plan: dict[str, Any]) -> Iterator[tuple[str, Act]]:
    yield "mount a tmpfs", lambda: library("mount", b"none", b"/tmp", b"tmpfs", 0, None)
    yield "mount proc", lambda: library("mount", b"proc", b"/tmp", b"proc", 0, None)
    yield "fsopen", lambda: system("fsopen", b"tmpfs", 0)
    yield "open_tree", lambda: system("open_tree", AT_FDCWD, b"/", 1)
    yield "move_mount", lambda: system("move_mount", AT_FDCWD, b"/home", AT_FDCWD, b"/tmp", 0)
    yield "pivot_root", lambda: system("pivot_root", b"/", b"/tmp")
    yield "chroot", lambda: os.chroot("/tmp")
    yield "ptrace process 1", lambda: library("ptrace", 16, 1, 0, 0)
    yield "ptrace the server", lambda: library("ptrace", 16, server(), 0, 0)
    yield "seize the server", lambda: library("ptrace", 0x4206, server(), 0, 0)
    yield "process_vm_readv of the server", reads_server_memory
    yield "pidfd_getfd of the server", lambda: system("pidfd_getfd", system("pidfd_open", server(), 0), 0, 0)
    yield "kcmp with the server", lambda: system("kcmp", os.getpid(), server(), 0, 0, 0)
    for kind, flag in NEW.items():
        yield f"unshare: new {kind} namespace", lambda flag=flag: library("unshare", flag)
    yield "unshare: user and network", lambda: library("unshare", NEW["user"] | NEW["network"])
    yield "clone: new user namespace", clones
    yield "clone3", lambda: system("clone3", 0, 0)
    yield "unshare program", lambda: subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True)
    for kind in ("net", "user", "mnt", "pid"):
        yield f"setns: {kind} of process 1", lambda kind=kind: joins(1, kind)
    yield "bpf", lambda: system("bpf", 0, 0, 0)
    yield "keyctl", lambda: system("keyctl", 0, -3, 0)
    yield "add_key", lambda: system("add_key", b"user", b"x", b"x", 1, -3)
    yield "request_key", lambda: system("request_key", b"user", b"x", 0, 0)
    yield "perf_event_open", lambda: system("perf_event_open", 0, 0, -1, -1, 0)
    yield "userfaultfd", lambda: system("userfaultfd", 1)
    yield "io_uring", lambda: system("io_uring_setup", 1, 0)
    yield "open_by_handle_at", lambda: library("open_by_handle_at", AT_FDCWD, None, 0)
    yield "finit_module", lambda: system("finit_module", 0, b"", 0)
    yield "kexec_load", lambda: system("kexec_load", 0, 0, 0, 0)
    yield "personality", lambda: library("personality", 0x0040000)
    yield "set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())
    yield "type into a terminal", types_into_terminal
    yield "become root", lambda: os.setuid(0)
    yield "make a device", lambda: os.mknod("/tmp/device", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    yield "core_pattern", lambda: opened("/proc/sys/kernel/core_pattern", "w")
    yield "signal a process of the host", lambda: [os.kill(pid, 0) for pid in plan["pids"]]
    yield "kernel's keys", lambda: shown("/proc/keys")
    yield "kernel's symbols", lambda: shown("/proc/kallsyms")
    yield "kernel's command line", lambda: shown("/proc/cmdline")
    yield "/sys", lambda: os.listdir("/sys")


def opened(path: str, mode: str) -> str:
    """Opened, and closed again."""
    with open(path, mode) as file:
        return file.name


def shown(path: str) -> str:
    """The beginning of a file that is there and not empty."""
    with open(path) as file:
        return file.read(40) or none_of([])


def none_of(found: list[str]) -> str:
    """What was found; nothing is an error."""
    if not found:
        raise FileNotFoundError("nothing to be seen")
    return ", ".join(found)


# places of the host


def places(plan: dict[str, Any]) -> Iterator[tuple[str, Act]]:
    for name, path in plan["places"].items():
        yield f"look: {name}", lambda path=path: os.lstat(path)
        yield f"look: {name}, by way of process 1", lambda path=path: os.lstat(f"/proc/1/root{path}")
        yield f"look: {name}, upwards", lambda path=path: os.lstat(f"/data/../../../../..{path}")
    yield "shadow", lambda: shown("/etc/shadow")
    yield "write to the door", lambda: opened("/run/door/x", "w")
    yield "replace the door", lambda: os.rename("/run/door/spe.sock", "/run/door/old.sock")
    yield "write to the system", lambda: opened("/usr/x", "w")
    yield "write to the root", lambda: opened("/x", "w")
    yield "write to Python", lambda: opened(os.path.join(os.path.dirname(os.__file__), "x.py"), "w")
    yield "write to the product", lambda: opened(os.path.join(__import__("spe").__path__[0], "x.py"), "w")


# the data


def remount(path: str) -> int:
    return library("mount", None, path.encode(), None, REMOUNT | BIND, None)


def reopen(path: str) -> object:
    """Through the descriptor of a file that was opened for reading."""
    with open(path, "rb") as file:
        return os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDWR)


def change_mode(path: str) -> object:
    with open(path, "rb") as file:
        return os.fchmod(file.fileno(), 0o666)


def change_flags(path: str) -> object:
    with open(path, "rb") as file:
        flags = fcntl.ioctl(file, 0x80086601, b"\0" * 8)
        return fcntl.ioctl(file, 0x40086602, bytes([flags[0] | 0x40]) + flags[1:])


def data(root: str) -> Iterator[tuple[str, Act]]:
    file = next(os.path.join(place, name) for place, _, names in sorted(os.walk(root)) for name in sorted(names))
    folder = os.path.dirname(file)
    yield "data: write", lambda: opened(file, "w")
    yield "data: append", lambda: opened(file, "a")
    yield "data: open for both", lambda: os.open(file, os.O_RDWR)
    yield "data: reopen", lambda: reopen(file)
    yield "data: truncate", lambda: os.truncate(file, 0)
    yield "data: rename", lambda: os.rename(file, file + ".old")
    yield "data: rename the folder", lambda: os.rename(folder, folder + ".old")
    yield "data: move out", lambda: os.rename(file, "/home/researcher/stolen")
    yield "data: remove", lambda: os.unlink(file)
    yield "data: link out", lambda: os.link(file, "/home/researcher/linked")
    yield "data: mode", lambda: os.chmod(file, 0o666)
    yield "data: mode by descriptor", lambda: change_mode(file)
    yield "data: owner", lambda: os.chown(file, os.getuid(), os.getgid())
    yield "data: times", lambda: os.utime(file, (0, 0))
    yield "data: attribute", lambda: os.setxattr(file, "user.x", b"x")
    yield "data: flags", lambda: change_flags(file)
    yield "data: new file", lambda: opened(os.path.join(folder, "new"), "w")
    yield "data: new folder", lambda: os.mkdir(os.path.join(folder, "new"))
    yield "data: new link", lambda: os.symlink("/", os.path.join(folder, "new"))
    yield "data: new folder beside", lambda: os.mkdir(os.path.join(root, "new"))
    yield "data: remount writable", lambda: remount(folder)
    yield "data: remount the root writable", lambda: remount("/")
    yield "data: mount_setattr", lambda: system("mount_setattr", AT_FDCWD, folder.encode(), 0, b"\0" * 32, 32)
    yield "data: unmount", lambda: library("umount2", folder.encode(), 2)
    yield "data: bind elsewhere", lambda: library("mount", folder.encode(), b"/tmp", None, BIND, None)
    yield "data: cover", lambda: library("mount", b"/tmp", folder.encode(), None, BIND, None)
    yield "data: move the mount", lambda: library("mount", folder.encode(), b"/tmp", None, MOVE, None)


def reach(plan: dict[str, Any]) -> dict[str, list[str]]:
    """Every attempt → what happened."""
    attempts = [*network(plan), *privileges(plan), *places(plan), *data(os.environ["SPE_DATA_DIR"])]
    return {name: outcome(act) for name, act in attempts}


# what can be seen

NOT_WALKED = ("/proc", "/usr", "/opt", "/dev")


def around() -> dict[str, Any]:
    """Processes with their environments, sockets, folders: all that can be seen without trying anything."""
    import hashlib

    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    root = os.environ["SPE_DATA_DIR"]
    files = [os.path.join(place, name) for place, _, names in os.walk(root) for name in names]
    walked = [os.path.join(p, n) for p, _, names in walk() for n in names]
    return {
        "uid": [os.getuid(), os.geteuid(), os.getgid()],
        "groups": os.getgroups(),
        "status": dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines()),
        "commands": {pid: text_of(f"/proc/{pid}/cmdline").strip() for pid in pids},
        "environments": {pid: text_of(f"/proc/{pid}/environ") for pid in pids},
        "own environment": dict(os.environ),
        "network": "".join(text_of(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6", "raw", "packet")),
        "names of the host": text_of("/proc/net/unix") + text_of("/proc/self/mountinfo"),
        "sockets": sorted(path for path in walked if stat.S_ISSOCK(os.lstat(path).st_mode)),
        "names": walked,
        "workspace": sorted(os.listdir("/workspace")),
        "data": sorted(f"{d}/{v}" for d in os.listdir(root) for v in os.listdir(os.path.join(root, d))),
        "hashes": {
            os.path.relpath(path, root): hashlib.sha256(open(path, "rb").read()).hexdigest() for path in sorted(files)
        },
    }


def walk() -> Iterator[tuple[str, list[str], list[str]]]:
    for place, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(place, name) not in NOT_WALKED]
        yield place, folders, [*names, *folders]


def text_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


# the door


class Door(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("workspace", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(door: str, method: str, address: str, headers: dict[str, str], body: str | None) -> list[Any]:
    """[status, the answer's text]; 0 when the door hung up."""
    connection = Door(f"/run/door/{door}.sock")
    try:
        connection.putrequest(method, address, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body is not None else None)
        answer = connection.getresponse()
        return [answer.status, answer.read().decode(errors="replace")]
    except (OSError, http.client.HTTPException) as error:
        return [0, f"{type(error).__name__}: {error}"]
    finally:
        connection.close()


def doors(calls: dict[str, Any]) -> dict[str, list[Any]]:
    """Name → [status, answer] of calls given as [door, method, address, headers, body]."""
    return {name: call(*given) for name, given in calls.items()}
