"""The checker's sandbox: a good answer comes through, everything else is refused with a sentence."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.checker.answer import AnswerLimits
from spe.adapters.checker.embedded import EmbeddedChecker
from spe.domain.errors import Rejected
from spe.policy.loader import load_disclosure, policies_folder
from spe.ports.checker import CheckJob
from tests.adapters.bubblewrap.support import host
from tests.adapters.cluster.support import World, gone, mentions, until

_ANSWER = """
import json, os, pathlib
job = pathlib.Path("/job")
def report(**facts):
    (job / "out" / "report.json").write_text(json.dumps({"schema": "spe.report/1", **facts}))
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def job(tmp_path: Path) -> CheckJob:
    place = tmp_path / "airlock"
    place.mkdir()
    (place / "0").write_text("n\n12\n")
    (place / "1").write_bytes(b"\x89PNG")
    return CheckJob(
        files={"table.csv": place / "0", "figures/one.png": place / "1"},
        declaration="purpose: a test\n",
        policy={"name": "default"},
        profiles=(b'{"dataset": "ds"}',),
        history=({"old.csv": place / "0"},),
        seconds=30,
    )


@pytest.fixture
def check(scratch: Path, job: CheckJob) -> Callable[..., Any]:
    """Run code in the engine's place."""

    def run(code: str, limits: AnswerLimits | None = None, **changes: Any) -> Any:
        from dataclasses import replace

        checker = EmbeddedChecker(host=host(), scratch=scratch, engine=("-c", _ANSWER + code), limits=limits)
        return checker.check(replace(job, **changes))

    return run


def test_the_engine_finds_its_whole_job_and_its_answer_comes_back(check: Callable[..., Any]) -> None:
    result = check("""
report(files=sorted(p.relative_to(job).as_posix() for p in job.rglob("*") if p.is_file()),
       table=(job / "input/table.csv").read_text(), policy=json.loads((job / "policy.json").read_text()))
(job / "out/views").mkdir()
(job / "out/views/0.json").write_text("{}")
""")
    report = json.loads(result.report)
    assert report["files"] == [
        "declaration.yaml", "history/0000/old.csv", "input/figures/one.png", "input/table.csv", "policy.json",
        "profiles/0.json",
    ]  # fmt: skip
    assert report["table"] == "n\n12\n"
    assert report["policy"] == {"name": "default"}
    assert result.views == {"0.json": b"{}"}


def test_the_same_check_may_be_run_again(check: Callable[..., Any]) -> None:
    assert check("report()").report == check("report()").report


def test_the_input_cannot_be_changed(check: Callable[..., Any]) -> None:
    result = check("""
def attempt(call):
    try:
        call()
    except OSError:
        return "stopped"
    return "PASSED"
report(found=[attempt(lambda: (job / "input/table.csv").write_text("x")),
              attempt(lambda: (job / "input/table.csv").unlink()),
              attempt(lambda: (job / "policy.json").write_text("{}")),
              attempt(lambda: (job / "new").write_text("x"))])
""")
    assert json.loads(result.report)["found"] == ["stopped"] * 4


def test_the_engine_has_no_network_no_credentials_and_sees_nobody(
    check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPE_DATABASE", "secret-address")
    result = check(f"""
import socket
names = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
leaks = [name for name, value in os.environ.items() if "secret-address" in value]
processes = [pid for pid in os.listdir("/proc") if pid.isdecimal() and int(pid) not in (1, os.getpid())]
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
    opened = True
except OSError:
    opened = False
report(found=[names, leaks, processes, opened, os.path.exists({str(tmp_path)!r})])
""")
    assert json.loads(result.report)["found"] == [["lo"], [], [], False, False]


def test_a_crash_is_refused_with_its_last_words(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="the parser fell over"):
        check("report()\nraise SystemExit('the parser fell over')")


def test_an_engine_killed_by_a_signal_is_refused(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="status"):
        check("import signal\nreport()\nos.kill(os.getpid(), signal.SIGSEGV)")


def test_a_check_that_never_ends_is_ended_with_everything_it_started(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="longer than"):
        check("import time\nreport()\nmark = 'never-ending-check'\nos.fork()\ntime.sleep(1000)", seconds=0.5)
    assert mentions("never-ending-check") == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "left no report.json"),
        ("(job / 'out/report.json').write_text('{')", "not JSON"),
        ("(job / 'out/report.json').write_text('[' * 100000)", "not JSON"),
        ("(job / 'out/report.json').write_text('[]')", "not an object"),
        ("(job / 'out/report.json').mkdir()", "regular file"),
        ("os.mkfifo(job / 'out/report.json')", "regular file"),
        ("os.symlink('/etc/passwd', job / 'out/report.json')", "cannot be read"),
        ("report(); os.symlink('/etc', job / 'out/views')", ""),
        (
            "report(); (job / 'out/views').mkdir(); os.symlink('/etc/passwd', job / 'out/views/0.json')",
            "cannot be read",
        ),
        ("report(); (job / 'out/views').mkdir(); (job / 'out/views/..json ').touch()", "name"),
        ("report(); (job / 'out/views/0').mkdir(parents=True)", "regular file"),
    ],
)
def test_an_answer_that_is_none_is_refused(check: Callable[..., Any], code: str, sentence: str) -> None:
    if not sentence:
        assert check(code).views == {}
        return
    with pytest.raises(Rejected, match=sentence):
        check(code)


def test_an_answer_too_large_is_refused(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="too large"):
        check("report(text='x' * 5000)", limits=AnswerLimits(report=1000))


def test_views_too_many_or_too_large_are_refused(check: Callable[..., Any]) -> None:
    code = "report(); (job / 'out/views').mkdir(); [(job / f'out/views/{n}').write_bytes(b'x' * 100) for n in range(9)]"
    with pytest.raises(Rejected, match="too many"):
        check(code, limits=AnswerLimits(view_count=8))
    with pytest.raises(Rejected, match="too large"):
        check(code, limits=AnswerLimits(views=500))


def test_an_engine_that_fills_the_disk_is_ended(check: Callable[..., Any]) -> None:
    code = """
import time
for n in range(64):
    (job / f"out/{n}").write_bytes(bytes(range(256)) * 4096)
    time.sleep(0.02)
time.sleep(1000)
"""
    with pytest.raises(Rejected, match="more than an answer may hold"):
        check(code, limits=AnswerLimits(folder=8 * 1024 * 1024))


def test_memory_is_bounded(check: Callable[..., Any]) -> None:
    with pytest.raises(Rejected, match="MemoryError"):
        check("bytearray(4 * 1024**3)")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "", ".", "a//b", "a\0b"])
def test_a_file_name_that_leads_elsewhere_is_refused(check: Callable[..., Any], job: CheckJob, name: str) -> None:
    with pytest.raises(Rejected, match="not a path inside"):
        check("report()", files={name: next(iter(job.files.values()))})


def test_a_link_among_the_files_is_refused(check: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="not a regular file"):
        check("report()", files={"table.csv": tmp_path / "link"})


def test_a_file_that_is_gone_is_refused(check: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="not a regular file"):
        check("report()", files={"table.csv": tmp_path / "none"})


@pytest.mark.parametrize("code", ["report()", "raise SystemExit(1)", "report(); os.mkdir(job / 'out/closed', 0)"])
def test_nothing_of_a_check_stays_on_disk(check: Callable[..., Any], scratch: Path, code: str) -> None:
    with contextlib.suppress(Rejected):
        check(code)
    assert list(scratch.iterdir()) == []


def test_checks_on_several_threads_answer_each_their_own(scratch: Path, tmp_path: Path) -> None:
    checker = EmbeddedChecker(
        host=host(), scratch=scratch, engine=("-c", _ANSWER + "report(text=(job / 'input/a').read_text())")
    )
    found: dict[int, str] = {}

    def run(number: int) -> None:
        place = tmp_path / str(number)
        place.write_text(str(number))
        job = CheckJob(files={"a": place}, declaration="", policy={})
        found[number] = json.loads(checker.check(job).report)["text"]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number) for number in range(5)}


ASKER = """
import sys
from pathlib import Path
from spe.adapters.bubblewrap import host
from spe.adapters.checker.embedded import EmbeddedChecker
from spe.ports.checker import CheckJob
engine = ("-c", "import time; time.sleep(1000)", sys.argv[1])
checker = EmbeddedChecker(host=host.look(), scratch=Path(sys.argv[2]), engine=engine)
checker.check(CheckJob(files={}, declaration="", policy={}, seconds=900))
"""


def engines(mark: str) -> list[int]:
    """Engines that run, not what is about to become one."""
    return [pid for pid in mentions(mark) if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/opt/env/")]


def test_a_check_dies_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    mark = f"orphan-check-{os.getpid()}"
    asker = subprocess.Popen([sys.executable, "-c", ASKER, mark, str(tmp_path)])
    until(lambda: len([pid for pid in engines(mark) if pid != asker.pid]) > 0, "the engine runs")
    asker.send_signal(signal.SIGKILL)
    asker.wait()
    until(lambda: not mentions(mark), "nothing of it lives on")


def test_an_asker_killed_at_any_instant_leaves_nothing_under_a_supervisor(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """While the sandbox is being made, its halves are not tied to each other yet: the supervisor adopts and ends."""
    world = make_world()
    marks = [f"early-check-{number}-{os.getpid()}" for number in range(4)]
    for mark in marks:
        world.services.append({"name": mark, "arguments": [sys.executable, "-c", ASKER, mark, str(tmp_path)]})
    world.up()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for mark in marks * 3:
        pid = until(lambda mark=mark: world.service(mark)["pid"], "the asker runs")
        until(lambda mark=mark: len(mentions(mark)) > 2, "a sandbox is being made")
        time.sleep(chance.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: gone(pid), "the asker is gone")
    world.end()
    assert [mark for mark in marks if mentions(mark)] == []


def test_the_real_engine_reads_the_files_and_writes_report_and_views(scratch: Path, tmp_path: Path) -> None:
    policy = load_disclosure(policies_folder()).effective(("default",))
    place = tmp_path / "0"
    place.write_text("arm,n\na,120\nb,4\n")
    job = CheckJob(files={"table1.csv": place}, declaration="purpose: a test\n", policy=policy.to_json())
    result = EmbeddedChecker(host=host(), scratch=scratch).check(job)
    report = json.loads(result.report)
    assert report["verdict"] in {"refer", "block"}
    assert report["policy"]["digest"] == policy.digest
    assert [output["path"] for output in report["outputs"]] == ["table1.csv"]
    assert result.views
