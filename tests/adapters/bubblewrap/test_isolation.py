"""Attacks from inside a real sandbox: the network, the data, the host, other processes, the limits."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.bubblewrap.sandbox import Bind, Bounds
from tests.adapters.bubblewrap.support import answer, data_folder, run

_TRY = """
import json, socket
def attempt(call):
    try:
        call()
    except OSError as error:
        return error.__class__.__name__
    return "PASSED"
def connect(family, address):
    with socket.socket(family) as end:
        end.settimeout(1)
        end.connect(address)
"""


@pytest.fixture
def listener() -> Iterator[Any]:
    """A listening socket of the host, made by family and address; each is reached from here first."""
    with ExitStack() as stack:

        def make(family: int, address: Any) -> socket.socket:
            end = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            end.bind(address)
            end.listen()
            with socket.socket(family) as own:
                own.connect(end.getsockname())
                end.accept()[0].close()
            return end

        yield make


def nobody_came(end: socket.socket) -> bool:
    end.setblocking(False)
    try:
        end.accept()[0].close()
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listener_on_the_hosts_loopback_is_not_reached(listener: Any, family: int, host: str) -> None:
    end = listener(family, (host, 0))
    code = _TRY + f"print(json.dumps(attempt(lambda: connect({int(family)}, {end.getsockname()[:2]!r}))))"
    assert answer(code) == "ConnectionRefusedError"
    assert nobody_came(end)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_datagram_does_not_arrive_at_the_host(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.bind((host, 0))
        end.setblocking(False)
        code = f"""
import json, socket
s = socket.socket({int(family)}, socket.SOCK_DGRAM)
try:
    s.sendto(b"x", {end.getsockname()[:2]!r})
except OSError:
    pass
print("0")
"""
        assert answer(code) == 0
        with pytest.raises(BlockingIOError):
            end.recv(10)


def test_an_abstract_socket_of_the_host_is_not_reached(listener: Any) -> None:
    end = listener(socket.AF_UNIX, "\0spe-test-" + os.urandom(6).hex())
    name = end.getsockname().decode() if isinstance(end.getsockname(), bytes) else end.getsockname()
    code = _TRY + f"print(json.dumps(attempt(lambda: connect(socket.AF_UNIX, {name!r}))))"
    assert answer(code) == "ConnectionRefusedError"
    assert nobody_came(end)


def test_a_socket_file_of_the_host_is_not_to_be_found(listener: Any, tmp_path: Path) -> None:
    end = listener(socket.AF_UNIX, str(tmp_path / "s"))
    code = _TRY + f"print(json.dumps(attempt(lambda: connect(socket.AF_UNIX, {end.getsockname()!r}))))"
    assert answer(code) == "FileNotFoundError"


def test_names_are_not_resolved_and_there_is_no_resolver() -> None:
    code = f"""
import json, os, socket
try:
    found = socket.getaddrinfo({socket.gethostname()!r}, 80) and "PASSED"
except socket.gaierror:
    found = "stopped"
print(json.dumps([found, os.path.exists("/etc/resolv.conf")]))
"""
    assert answer(code) == ["stopped", False]


def test_there_is_no_interface_and_no_route_but_the_sandboxs_own_loopback() -> None:
    code = """
import json
names = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
routes = len(open("/proc/net/route").read().splitlines()) - 1
print(json.dumps([names, routes]))
"""
    assert answer(code) == [["lo"], 0]


def test_data_reads_as_it_is_and_nothing_of_it_can_be_changed(tmp_path: Path) -> None:
    folder, data = data_folder(tmp_path)
    before = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in _files(folder)}
    code = """
import ctypes, hashlib, json, os, pathlib
root = pathlib.Path("/data/ds/1")
libc = ctypes.CDLL(None, use_errno=True)
def attempt(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return "PASSED"
def mount(*arguments):
    if libc.mount(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
found = {
    "write": attempt(lambda: (root / "a.csv").write_text("x")),
    "append": attempt(lambda: open(root / "a.csv", "a")),
    "create": attempt(lambda: (root / "new").write_text("x")),
    "rename": attempt(lambda: (root / "a.csv").rename(root / "z.csv")),
    "move out": attempt(lambda: (root / "a.csv").rename("/tmp/a.csv")),
    "delete": attempt(lambda: (root / "a.csv").unlink()),
    "link": attempt(lambda: os.link(root / "a.csv", "/tmp/a.csv")),
    "chmod": attempt(lambda: (root / "a.csv").chmod(0o777)),
    "touch": attempt(lambda: os.utime(root / "a.csv")),
    "truncate": attempt(lambda: os.truncate(root / "a.csv", 0)),
    "remove folder": attempt(lambda: (root / "deep").rmdir()),
    "rename mount": attempt(lambda: root.rename("/data/ds/2")),
    "remount": attempt(lambda: mount(None, b"/data/ds/1", None, 32 | 4096, None)),
    "cover": attempt(lambda: mount(b"none", b"/data/ds/1", b"tmpfs", 0, None)),
    "through proc": attempt(lambda: open("/proc/self/root/data/ds/1/a.csv", "w")),
}
files = [p for p in root.rglob("*") if p.is_file()]
digests = {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
print(json.dumps([found, digests]))
"""
    attempts, digests = answer(code, read_only=data)
    print(json.dumps(attempts, indent=1))
    assert "PASSED" not in attempts.values()
    assert digests == before
    assert before == {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in _files(folder)
    }


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def test_no_process_of_the_host_is_visible_or_can_be_signalled() -> None:
    code = f"""
import json, os
try:
    os.kill({os.getpid()}, 0)
    found = "PASSED"
except ProcessLookupError:
    found = "stopped"
names = [open(f"/proc/{{pid}}/comm").read().strip() for pid in os.listdir("/proc") if pid.isdecimal()]
print(json.dumps([found, sorted(names)]))
"""
    stopped, names = answer(code)
    assert stopped == "stopped"
    assert set(names) <= {"bwrap", "python", "python3.11", "prlimit"}
    assert len(names) <= 3


def test_no_file_of_the_host_and_no_variable_of_ours_is_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPE_TEST_SECRET", "do-not-show")
    (tmp_path / "secret").write_text("do-not-show")
    own = [str(tmp_path), str(Path.home()), "/root", "/var", "/srv", "/sys", "/boot", "/etc/shadow", "/etc/ssh", "/mnt"]
    code = f"""
import json, os
shown = [path for path in {own!r} if os.path.lexists(path)]
environment = [name for name, value in os.environ.items() if "do-not-show" in value or name.startswith("SUDO")]
sockets = open("/proc/net/unix").read().count("/")
print(json.dumps([shown, environment, sockets]))
"""
    assert answer(code) == [[], [], 0]


@pytest.mark.parametrize(
    "path", ["/proc/kallsyms", "/proc/keys", "/proc/cmdline", "/proc/timer_list", "/proc/locks", "/proc/partitions"]
)
def test_facts_of_the_machine_are_hidden(path: str) -> None:
    code = f"""
import json
try:
    found = open({path!r}).read()
except OSError:
    found = ""
print(json.dumps(found))
"""
    assert answer(code) == ""


@pytest.mark.parametrize("path", ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger"])
def test_settings_of_the_kernel_cannot_be_written(path: str) -> None:
    assert answer(_TRY + f"print(json.dumps(attempt(lambda: open({path!r}, 'w'))))") != "PASSED"


@pytest.mark.parametrize(
    "path", ["/new", "/etc/new", "/usr/new", "/opt/new", "/opt/env/new", "/opt/bin/spe", "/dev/new"]
)
def test_the_system_cannot_be_written(path: str) -> None:
    assert answer(_TRY + f"print(json.dumps(attempt(lambda: open({path!r}, 'w'))))") == "OSError"


def test_process_1_cannot_be_traced_or_read() -> None:
    code = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
found = libc.ptrace(16, 1, 0, 0)
print(json.dumps([found, ctypes.get_errno()]))
"""
    assert answer(code) == [-1, 1]


def test_nothing_inside_has_a_capability_or_can_gain_one() -> None:
    code = """
import json
facts = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps([int(facts["CapEff"], 16), int(facts["CapBnd"], 16), facts["NoNewPrivs"].strip()]))
"""
    assert answer(code) == [0, 0, "1"]


def test_the_temporary_folder_is_bounded() -> None:
    code = """
import json
try:
    with open("/tmp/big", "wb") as file:
        for _ in range(64):
            file.write(bytes(1024 * 1024))
    found = "PASSED"
except OSError as error:
    found = error.strerror
print(json.dumps(found))
"""
    assert answer(code, tmp_bytes=8 * 1024 * 1024) == "No space left on device"


def test_processes_are_bounded_for_each_sandbox_by_itself() -> None:
    code = """
import json, os, signal
children = []
try:
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
    found = "PASSED"
except BlockingIOError:
    found = "stopped"
for pid in children:
    os.kill(pid, signal.SIGKILL)
print(json.dumps([found, len(children) < 30]))
"""
    assert answer(code, bounds=Bounds(processes=30)) == ["stopped", True]


def test_memory_of_a_process_is_bounded() -> None:
    code = """
import json
try:
    found = bool(bytearray(3 * 1024**3)) and "PASSED"
except MemoryError:
    found = "stopped"
print(json.dumps(found))
"""
    assert answer(code, bounds=Bounds(memory_bytes=1024**3)) == "stopped"


def test_a_single_file_is_bounded(tmp_path: Path) -> None:
    code = """
import json, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open("/home/researcher/big", "wb") as file:
        for _ in range(8):
            file.write(bytes(1024 * 1024))
    found = "PASSED"
except OSError as error:
    found = error.strerror
print(json.dumps(found))
"""
    home = (Bind(source=str(tmp_path), target="/home/researcher"),)
    assert answer(code, writable=home, bounds=Bounds(disk_bytes=4 * 1024 * 1024)) == "File too large"


def test_what_may_be_written_belongs_to_the_ordinary_account_outside(tmp_path: Path) -> None:
    home = (Bind(source=str(tmp_path), target="/home/researcher"),)
    status, said = run("open('/home/researcher/note', 'w').write('mine')", writable=home)
    assert status == 0, said
    assert (tmp_path / "note").stat().st_uid == os.geteuid()
