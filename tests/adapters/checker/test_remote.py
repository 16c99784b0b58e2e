"""The checker as a service: its answer comes through, whatever an engine does stays inside, silence is no answer."""

import asyncio
import http.client
import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spe.adapters.checker.answer import AnswerLimits
from spe.adapters.checker.remote import RemoteChecker
from spe.adapters.checker.service import Service
from spe.domain.errors import Rejected, Unavailable
from spe.policy.loader import load_disclosure, policies_folder
from spe.ports.checker import CheckJob
from tests.adapters.cluster.support import mentions

TOKEN = "t" * 40


class Running:
    """A service on a loopback port, on a thread of its own."""

    def __init__(self, service: Service) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, args=(service,), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self, service: Service) -> None:
        async def serve() -> web.AppRunner:
            runner = web.AppRunner(service.application())
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            return runner

        runner = self._loop.run_until_complete(serve())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def scripted(scratch: Path) -> Iterator[Running]:
    running = Running(Service(TOKEN, scratch, engine="tests.support.scripted_engine"))
    yield running
    running.end()


@pytest.fixture
def job(tmp_path: Path) -> CheckJob:
    place = tmp_path / "airlock"
    place.mkdir()
    (place / "0").write_text("n\n12\n")
    (place / "1").write_bytes(b"\x89PNG")
    return CheckJob(
        files={"table.csv": place / "0", "figures/ö ne.png": place / "1"},
        declaration="purpose: a test\n",
        policy={"name": "default"},
        profiles=(b'{"dataset": "ds"}',),
        history=({"old.csv": place / "0"},),
        seconds=30,
    )


@pytest.fixture
def check(scripted: Running, job: CheckJob) -> Callable[..., Any]:
    """Run code in the engine's place."""

    def run(code: str, limits: AnswerLimits | None = None, **changes: Any) -> Any:
        policy = {"name": "default", "code": f"import os\n{code}"}
        asker = RemoteChecker(address=scripted.address, token=TOKEN, limits=limits)
        return asker.check(replace(job, policy=policy, **changes))

    return run


def test_the_engine_finds_its_whole_job_and_its_answer_comes_back(check: Callable[..., Any]) -> None:
    result = check("""
report(files=sorted(p.relative_to(job).as_posix() for p in job.rglob("*") if p.is_file()),
       table=(job / "input/table.csv").read_text())
(job / "out/views").mkdir()
(job / "out/views/0.json").write_text("{}")
""")
    report = json.loads(result.report)
    assert report["files"] == [
        "declaration.yaml", "history/0000/old.csv", "input/figures/ö ne.png", "input/table.csv", "job.json",
        "profiles/0.json",
    ]  # fmt: skip
    assert report["table"] == "n\n12\n"
    assert result.views == {"0.json": b"{}"}


def test_the_engine_has_no_socket_no_rights_over_others_and_no_environment(
    check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPE_DATABASE", "secret-address")
    result = check("""
import ctypes, signal, socket
def attempt(call):
    try:
        call()
    except OSError:
        return "stopped"
    return "PASSED"
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
report(tried={
    "inet": attempt(lambda: socket.socket()),
    "unix": attempt(lambda: socket.socket(socket.AF_UNIX)),
    "pair": attempt(lambda: socket.socketpair()),
    "kill the parent": attempt(lambda: os.kill(os.getppid(), signal.SIGTERM)),
    "look into the parent": "stopped" if ptrace(16, os.getppid(), 0, 0) == -1 else "PASSED",
    "new namespace": attempt(lambda: os.unshare(0x10000000)) if hasattr(os, "unshare") else "stopped",
}, environment=sorted(os.environ))
""")
    report = json.loads(result.report)
    assert set(report["tried"].values()) == {"stopped"}
    assert "SPE_DATABASE" not in report["environment"]
    assert TOKEN not in json.dumps(report)


def test_a_crash_is_refused_with_its_last_words(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="the parser fell over"):
        check("report()\nraise SystemExit('the parser fell over')")


def test_a_check_that_never_ends_is_ended_with_everything_it_started(check: Callable[..., Any]) -> None:
    mark = f"never-ending-{os.getpid()}"
    code = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(999)', '{mark}'])
time.sleep(999)
"""
    with pytest.raises(Rejected, match="longer than"):
        check(code, seconds=1.0)
    assert mentions(mark) == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "left no report.json"),
        ("(job / 'out/report.json').write_text('{')", "not JSON"),
        ("os.mkfifo(job / 'out/report.json')", "regular file"),
        ("os.symlink('/etc/passwd', job / 'out/report.json')", "cannot be read"),
        ("report(); (job / 'out/views').mkdir(); os.symlink('/etc/passwd', job / 'out/views/0')", "cannot be read"),
        ("report(); (job / 'out/views').mkdir(); (job / 'out/views/..json ').touch()", "name"),
        ("bytearray(4 * 1024**3)", "MemoryError"),
    ],
)
def test_an_answer_that_is_none_is_refused(check: Callable[..., Any], code: str, sentence: str) -> None:
    with pytest.raises(Rejected, match=sentence):
        check(code)


def test_an_answer_too_large_is_refused(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="too large"):
        check("report(text='x' * 50000)", limits=AnswerLimits(report=1000, views=1000))


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "", ".", "a//b", "a\0b"])
def test_a_file_name_that_leads_elsewhere_is_refused_before_it_is_sent(
    check: Callable[..., Any], job: CheckJob, name: str
) -> None:
    with pytest.raises(Rejected, match="not a path inside"):
        check("report()", files={name: next(iter(job.files.values()))})


def test_nothing_of_a_job_stays_and_nothing_an_engine_left_is_seen_by_the_next(
    check: Callable[..., Any], scratch: Path
) -> None:
    check("report(); (job.parent.parent / 'planted').write_text('x'); os.mkdir(job / 'out/closed', 0)")
    found = json.loads(check("report(left=sorted(os.listdir(job.parent.parent)))").report)["left"]
    assert "planted" not in found
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("token", ["x", "x" * 40, TOKEN[:-1]])
def test_whoever_has_no_token_starts_nothing(scripted: Running, job: CheckJob, token: str) -> None:
    with pytest.raises(Unavailable, match="401"):
        RemoteChecker(address=scripted.address, token=token).check(job)


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for facts, data in members:
            facts.size = len(data)
            tar.addfile(facts, io.BytesIO(data))
    return made.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    facts = tarfile.TarInfo(name)
    facts.type, facts.linkname = kind, link
    return facts


JOB = (
    _member("job.json"),
    b'{"policy": {"code": "report()"}, "limits": {"wall_seconds": 5, "memory_bytes": 200000000}}',
)
WRONG = {
    "outside": _tar(JOB, (_member("../escaped"), b"x")),
    "absolute": _tar(JOB, (_member("/tmp/escaped"), b"x")),
    "a link": _tar(JOB, (_member("input/a", tarfile.SYMTYPE, "/etc"), b"")),
    "a hard link": _tar(JOB, (_member("input/a", tarfile.LNKTYPE, "job.json"), b"")),
    "a device": _tar(JOB, (_member("input/a", tarfile.CHRTYPE), b"")),
    "twice": _tar(JOB, JOB),
    "an unknown folder": _tar(JOB, (_member("out/report.json"), b"{}")),
    "no declaration": _tar(JOB),
    "cut off": _tar(JOB, (_member("declaration.yaml"), b"x" * 5000))[:1500],
    "not a tar": b"x" * 5000,
    "nothing": b"",
    "no limits": _tar((_member("job.json"), b'{"policy": {}}'), (_member("declaration.yaml"), b"")),
    "a limit of words": _tar(
        (_member("job.json"), b'{"limits": {"wall_seconds": "9"}}'), (_member("declaration.yaml"), b"")
    ),
    "not JSON": _tar((_member("job.json"), b"{"), (_member("declaration.yaml"), b"")),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_job_that_is_none_is_refused_with_a_sentence(scripted: Running, scratch: Path, kind: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", scripted.port, timeout=10)
    connection.request("POST", "/checks", WRONG[kind], {"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    assert response.status == 422
    assert json.loads(response.read())["detail"]
    connection.close()
    assert not (scratch.parent / "escaped").exists()
    assert list(scratch.iterdir()) == []


def test_nobody_there_is_silence(job: CheckJob) -> None:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        port = end.getsockname()[1]
    with pytest.raises(Unavailable):
        RemoteChecker(address=f"http://127.0.0.1:{port}", token=TOKEN).check(job)


def test_a_checker_that_hangs_up_in_the_middle_is_silence(job: CheckJob) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            one, _ = server.accept()
            one.recv(100)
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\nabc")
            time.sleep(0.05)
            one.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unavailable):
            RemoteChecker(address=f"http://127.0.0.1:{server.getsockname()[1]}", token=TOKEN).check(job)
        thread.join()


def test_the_real_engine_reads_the_files_and_writes_report_and_views(scratch: Path, tmp_path: Path) -> None:
    policy = load_disclosure(policies_folder()).effective(("default",))
    place = tmp_path / "0"
    place.write_text("arm,n\na,120\nb,4\n")
    job = CheckJob(files={"table1.csv": place}, declaration="purpose: a test\n", policy=policy.to_json())
    running = Running(Service(TOKEN, scratch))
    try:
        result = RemoteChecker(address=running.address, token=TOKEN).check(job)
    finally:
        running.end()
    report = json.loads(result.report)
    assert report["policy"]["digest"] == policy.digest
    assert [output["path"] for output in report["outputs"]] == ["table1.csv"]
    assert result.views
