"""From a sandbox's specification to bubblewrap's options: pure, and the order is the safety.

A later mount hides an earlier one, so the system comes first, then writable places, then what is bound
into them, and the root is made read-only last. Contents that bubblewrap reads from open files stand in
the list as `Contents`; `launch` turns them into descriptor numbers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spe.adapters.bubblewrap.host import Host

HOME = "/home/researcher"
UID = 1000

_MiB = 1024 * 1024

# What /proc tells about the machine and not about the sandbox's own processes; readable nowhere inside.
HIDDEN_PROC = (
    "acpi", "asound", "buddyinfo", "bus", "cmdline", "config.gz", "consoles", "crypto", "devices",
    "diskstats", "dma", "driver", "dynamic_debug", "execdomains", "fb", "fs", "interrupts", "iomem",
    "ioports", "irq", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount",
    "kpageflags", "latency_stats", "locks", "mdstat", "misc", "modules", "mtrr", "pagetypeinfo",
    "partitions", "pressure", "sched_debug", "schedstat", "scsi", "slabinfo", "softirqs", "swaps",
    "sysrq-trigger", "sysvipc", "timer_list", "timer_stats", "tty", "vmallocinfo", "zoneinfo",
)  # fmt: skip

_PASSWD = f"root:x:0:0:root:/:/bin/false\nresearcher:x:{UID}:{UID}:Researcher:{HOME}:/bin/sh\n"
_GROUP = f"root:x:0:\nresearcher:x:{UID}:\n"
_HOSTS = "127.0.0.1 localhost workspace\n::1 localhost workspace\n"
_NAMES = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A folder or file of the host and where it appears inside."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the processes inside may use: bytes, numbers, seconds; 0 means that no limit is set.

    `memory_bytes` is the sandbox's whole memory where control groups are delegated, and the address space
    of a single process (with room for libraries) everywhere. `disk_bytes` bounds a single file here; the
    sum is watched by the supervisor.
    """

    memory_bytes: int = 2 * 1024**3
    cpu: float = 1.0
    processes: int = 512
    open_files: int = 4096
    disk_bytes: int = 4 * 1024**3
    cpu_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """Everything that decides what a sandbox is; equal specifications make equal sandboxes.

    `command` is what runs inside, `environment` all it finds in its environment besides the fixed part,
    `files` small texts that appear read-only, `watched` the host folders whose sum `bounds.disk_bytes` limits.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    read_only: tuple[Bind, ...] = ()
    writable: tuple[Bind, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    bounds: Bounds = Bounds()
    tmp_bytes: int = 512 * _MiB
    run_bytes: int = 16 * _MiB
    shm_bytes: int = 256 * _MiB
    hostname: str = "workspace"
    work_folder: str = HOME
    watched: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """`sha256:` over all fields: the same digest is the same sandbox."""
        text = json.dumps(to_json(self), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def without_environment(self) -> "SandboxSpec":
        """The same sandbox with no environment of its own, for comparisons that tokens must not disturb."""
        return replace(self, environment={})


def to_json(spec: SandboxSpec) -> dict[str, Any]:
    """The specification as plain values, for the control socket."""
    return asdict(replace(spec, environment=dict(spec.environment), files=dict(spec.files)))


def from_json(values: Mapping[str, Any]) -> SandboxSpec:
    """The reverse of `to_json`. Raises `KeyError`, `TypeError` or `ValueError` on anything else."""
    plain = dict(values)
    return SandboxSpec(
        **{
            **plain,
            "command": tuple(map(str, plain["command"])),
            "environment": {str(k): str(v) for k, v in dict(plain.get("environment", {})).items()},
            "files": {str(k): str(v) for k, v in dict(plain.get("files", {})).items()},
            "read_only": tuple(Bind(**bind) for bind in plain.get("read_only", ())),
            "writable": tuple(Bind(**bind) for bind in plain.get("writable", ())),
            "folders": tuple(map(str, plain.get("folders", ()))),
            "watched": tuple(map(str, plain.get("watched", ()))),
            "bounds": Bounds(**plain.get("bounds", {})),
        }
    )


@dataclass(frozen=True, slots=True)
class Contents:
    """Bytes that bubblewrap reads from a descriptor; stands where the number will stand."""

    data: bytes


Option = str | Contents


def options(spec: SandboxSpec, host: Host) -> tuple[Option, ...]:
    """bubblewrap's options in their order, without the filter's and the info descriptor."""
    return (
        *_ISOLATION,
        "--hostname", spec.hostname, "--clearenv",
        *_environment(spec, host),
        *_system(host),
        *_proc(host),
        *_scratch(spec),
        *_python(host),
        *_binds(spec),
        *_texts(spec),
        "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", spec.work_folder,
    )  # fmt: skip


_ISOLATION = (
    "--unshare-all", "--unshare-user", "--disable-userns", "--uid", str(UID), "--gid", str(UID),
    "--cap-drop", "ALL", "--new-session", "--die-with-parent",
)  # fmt: skip


def _environment(spec: SandboxSpec, host: Host) -> Iterator[Option]:
    threads = str(max(1, round(spec.bounds.cpu))) if spec.bounds.cpu else "1"
    fixed = {
        "HOME": HOME, "USER": "researcher", "LOGNAME": "researcher", "SHELL": "/bin/sh",
        "LANG": "C.UTF-8", "TMPDIR": "/tmp", "TERM": "dumb",  # noqa: S108 - the sandbox's own tmpfs
        "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
        **host.python.environment(),
    }  # fmt: skip
    for name, value in {**fixed, **spec.environment}.items():
        yield from ("--setenv", name, value)


def _system(host: Host) -> Iterator[Option]:
    """The operating system's programs, without what the machine's owner has added."""
    yield from ("--ro-bind", "/usr", "/usr")
    for place in host.masked_usr:
        yield from ("--tmpfs", place, "--remount-ro", place)
    for link, target in host.root_links.items():
        yield from ("--symlink", target, link)
    for place in host.root_folders:
        yield from ("--ro-bind", place, place)
    for place in host.etc:
        yield from ("--ro-bind", place, place)


def _proc(host: Host) -> Iterator[Option]:
    """The sandbox's own processes; settings of the kernel read-only, facts of the machine hidden."""
    yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    for name in HIDDEN_PROC:
        if name in host.proc_files:
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")
        elif name in host.proc_folders:
            yield from ("--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")


def _scratch(spec: SandboxSpec) -> Iterator[Option]:
    yield from ("--dev", "/dev")
    yield from ("--perms", "1777", "--size", str(spec.shm_bytes), "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--perms", "1777", "--size", str(spec.tmp_bytes), "--tmpfs", "/tmp")  # noqa: S108
    yield from ("--size", str(spec.run_bytes), "--tmpfs", "/run")
    for folder in spec.folders:
        yield from ("--dir", folder)


def _python(host: Host) -> Iterator[Option]:
    for bind in host.python.binds():
        yield from ("--ro-bind", bind[0], bind[1])
    for folder in host.python.hidden_folders():
        yield from ("--tmpfs", folder)
    for path, target in host.python.links().items():
        yield from ("--symlink", target, path)
    for path, text in host.python.texts().items():
        yield from ("--ro-bind-data", Contents(text.encode()), path)
    for path, text in host.python.commands().items():
        yield from ("--perms", "0755", "--file", Contents(text.encode()), path)
    for folder in host.python.hidden_folders():
        yield from ("--remount-ro", folder)


def _binds(spec: SandboxSpec) -> Iterator[Option]:
    for bind in spec.writable:
        yield from ("--bind", bind.source, bind.target)
    for bind in spec.read_only:
        yield from ("--ro-bind", bind.source, bind.target)


def _texts(spec: SandboxSpec) -> Iterator[Option]:
    fixed = {"/etc/passwd": _PASSWD, "/etc/group": _GROUP, "/etc/hosts": _HOSTS, "/etc/nsswitch.conf": _NAMES}
    for path, text in {**fixed, **spec.files}.items():
        yield from ("--perms", "0444", "--ro-bind-data", Contents(text.encode()), path)


def bounded_command(spec: SandboxSpec, host: Host) -> tuple[str, ...]:
    """The command behind `prlimit`, run inside: there the number of processes is the sandbox's own.

    Set outside, RLIMIT_NPROC would count every process of the host's account.
    """
    return (host.prlimit, *_rlimits(spec.bounds), "--", *spec.command)


_ROOM_FOR_LIBRARIES = 1024**3


def _rlimits(bounds: Bounds) -> Iterator[str]:
    yield "--core=0:0"
    table = {
        "nproc": bounds.processes,
        "nofile": bounds.open_files,
        "fsize": bounds.disk_bytes,
        "as": bounds.memory_bytes + _ROOM_FOR_LIBRARIES if bounds.memory_bytes else 0,
        "cpu": bounds.cpu_seconds,
    }
    for name, value in table.items():
        if value:
            yield f"--{name}={value}:{value}"
