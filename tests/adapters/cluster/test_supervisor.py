"""The supervisor: what it keeps, what it ends, and what is left when it is killed."""

import contextlib
import json
import os
import random
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.bubblewrap.launch import mark_of
from spe.adapters.bubblewrap.sandbox import Bind, Bounds
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.supervisor import refuse_root
from spe.domain.errors import Rejected, Unavailable
from tests.adapters.cluster.support import LISTEN, World, alive, gone, mentions, until

SERVE = """
import socket, sys
end = socket.socket(socket.AF_UNIX)
end.bind(sys.argv[1])
end.listen()
while True:
    end.accept()[0].close()
"""


def portal(run: Path, name: str = "portal") -> dict[str, Any]:
    path = str(run / f"{name}.sock")
    return {"name": name, "arguments": [sys.executable, "-c", SERVE, path], "socket": path}


def test_root_is_refused_with_a_sentence() -> None:
    with pytest.raises(Rejected, match="does not run as root"):
        refuse_root(0)


def test_an_ordinary_account_is_not_refused() -> None:
    refuse_root(1000)


def test_a_sandbox_is_started_and_ready_when_its_socket_accepts(world: World) -> None:
    facts = world.start()
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(world.socket()))
    assert alive(facts["inner"])
    assert world.client.sandbox("ws/p")["running"] is True


def test_starting_an_equal_sandbox_again_leaves_it_as_it_is(world: World) -> None:
    first = world.start()
    assert world.start() == first


def test_starting_another_one_of_the_same_name_replaces_it(world: World) -> None:
    first = world.start()
    second = world.start(environment={"JUPYTERHUB_API_TOKEN": "another"})
    assert second["inner"] != first["inner"]
    assert gone(first["inner"])


def test_many_askers_at_once_get_one_sandbox(world: World) -> None:
    threads = [threading.Thread(target=world.start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.client.status()["sandboxes"]) == 1


def test_a_stopped_sandbox_leaves_no_process_and_no_zombie(world: World) -> None:
    code = "import os\nfor _ in range(5): os.fork()\n" + LISTEN.replace(
        'end.bind("nb.sock")',
        """
try:
    end.bind("nb.sock")
except OSError:
    import time
    time.sleep(1000)
""",
    )
    facts = world.start(code=code)
    inside = until(lambda: len(_members(facts["inner"])) > 10 and _members(facts["inner"]), "processes inside")
    world.client.stop_sandbox("ws/p")
    assert all(gone(pid) for pid in (facts["pid"], facts["inner"], *inside))


def _members(inner: int) -> list[int]:
    """Host ids of the processes in the inner process's namespace."""
    try:
        space = os.readlink(f"/proc/{inner}/ns/pid")
    except OSError:
        return []
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and os.readlink(f"/proc/{name}/ns/pid") == space:
                found.append(int(name))
        except OSError:
            continue
    return found


def test_a_sandbox_that_ignores_every_signal_is_ended_too(world: World) -> None:
    code = "import signal\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\n" + LISTEN
    facts = world.start(code=code)
    world.client.stop_sandbox("ws/p")
    assert gone(facts["inner"])


def test_stopping_what_is_not_there_is_fine(world: World) -> None:
    world.client.stop_sandbox("ws/nobody")


def test_a_sandbox_that_ends_at_once_is_refused_with_its_last_words(world: World) -> None:
    with pytest.raises(Rejected, match="no such module as this"):
        world.start(code="raise SystemExit('no such module as this')")
    ended = world.client.sandbox("ws/p")
    assert (ended["running"], ended["exit"]) == (False, 1)


def test_a_sandbox_that_never_listens_is_ended_and_told_so(world: World) -> None:
    spec = world.specification(code="import time; time.sleep(1000)")
    with pytest.raises(Rejected, match="not ready"):
        world.client.start_sandbox(spec, socket_path=world.socket(), seconds=0.5)
    assert world.client.status()["sandboxes"] == []


def test_a_link_in_the_place_of_the_socket_does_not_count_as_ready(world: World) -> None:
    """A notebook could else lead whoever connects to a socket of the host."""
    code = f"import os, time; os.symlink({str(world.layout.control)!r}, '/run/nb/nb.sock'); time.sleep(1000)"
    with pytest.raises(Rejected, match="not ready"):
        world.client.start_sandbox(world.specification(code=code), socket_path=world.socket(), seconds=0.5)


def test_a_sandbox_may_write_only_folders_of_the_environment(world: World, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="not a folder that a sandbox may write"):
        world.start(writable=(Bind(source=str(tmp_path), target="/home/researcher"),))


def test_a_way_around_by_a_link_is_not_a_folder_of_the_environment(world: World, tmp_path: Path) -> None:
    (world.run / "link").symlink_to(tmp_path)
    with pytest.raises(Rejected, match="not a folder that a sandbox may write"):
        world.start(writable=(Bind(source=str(world.run / "link"), target="/home/researcher"),))


def test_a_sandbox_over_the_permits_disk_limit_is_ended_with_a_sentence(world: World) -> None:
    folder = world.home / "workspaces" / "w"
    folder.mkdir(parents=True)
    code = LISTEN.replace(
        "while True:", "open('/home/researcher/go', 'wb').write(bytes(40 * 1024 * 1024))\nwhile True:"
    )
    world.start(
        code=code,
        writable=(
            Bind(source=str(world.run / "n/ws/p"), target="/run/nb"),
            Bind(source=str(folder), target="/home/researcher"),
        ),
        bounds=Bounds(disk_bytes=8 * 1024 * 1024, memory_bytes=0, processes=0),
        watched=(str(folder),),
        command=(_python(), "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + _many_files()),
    )
    ended = until(lambda: not (f := world.client.sandbox("ws/p"))["running"] and f, "ended by the watch")
    assert "the permit allows 8 MiB" in ended["log"]


def _python() -> str:
    from tests.adapters.bubblewrap.support import host

    return host().python.executable


def _many_files() -> str:
    return LISTEN.replace(
        "while True:",
        "for n in range(12): open(f'/home/researcher/{n}', 'wb').write(bytes(4 * 1024 * 1024))\nwhile True:",
    )


def test_a_folder_closed_to_the_measurer_ends_the_session(world: World) -> None:
    folder = world.home / "workspaces" / "w"
    folder.mkdir(parents=True)
    code = LISTEN.replace("while True:", "os.mkdir('/home/researcher/x', 0)\nwhile True:")
    world.start(
        code=code,
        writable=(
            Bind(source=str(world.run / "n/ws/p"), target="/run/nb"),
            Bind(source=str(folder), target="/home/researcher"),
        ),
        watched=(str(folder),),
    )
    ended = until(lambda: not (f := world.client.sandbox("ws/p"))["running"] and f, "ended by the watch")
    assert "cannot be measured" in ended["log"]


def test_a_session_over_the_limit_at_its_start_may_tidy_up(world: World) -> None:
    folder = world.home / "workspaces" / "w"
    folder.mkdir(parents=True)
    (folder / "old").write_bytes(bytes(20 * 1024 * 1024))
    world.start(
        writable=(
            Bind(source=str(world.run / "n/ws/p"), target="/run/nb"),
            Bind(source=str(folder), target="/home/researcher"),
        ),
        bounds=Bounds(disk_bytes=8 * 1024 * 1024),
        watched=(str(folder),),
    )
    (folder / "old").unlink()
    assert world.client.sandbox("ws/p")["running"] is True


def test_no_token_shows_in_arguments_or_in_the_status(world: World) -> None:
    facts = world.start(environment={"JUPYTERHUB_API_TOKEN": "very-secret-token"})
    assert mentions("very-secret-token") == []
    assert "very-secret-token" not in json.dumps(world.client.status())
    assert "very-secret-token" not in json.dumps(facts)


def test_the_log_of_a_sandbox_stays_within_bounds(world: World) -> None:
    code = "import os\nfor _ in range(64): os.write(1, b'x' * 65536)\n" + LISTEN
    world.start(code=code)
    logs = [p.stat().st_size for p in world.layout.logs.glob("session-ws-p.log*")]
    assert sum(logs) < 5 * 1024 * 1024


def test_a_command_runs_to_its_end_and_tells_how(world: World) -> None:
    spec = world.specification(code="print('done'); raise SystemExit(3)")
    found = world.client.run_sandbox(spec, run_seconds=20)
    assert (found["exit"], found["log"]) == (3, "done")


def test_a_command_that_takes_too_long_is_ended(world: World) -> None:
    spec = world.specification(code="import time; time.sleep(1000)")
    found = world.client.run_sandbox(spec, run_seconds=0.3)
    assert "longer" in found["reason"]
    assert world.client.status()["sandboxes"] == []


def test_a_service_that_is_killed_is_started_again_while_a_sandbox_lives(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.services.append(portal(world.run))
    world.up()
    facts = world.start()
    before = world.service("portal")["pid"]
    os.kill(before, signal.SIGKILL)
    after = until(lambda: (s := world.service("portal"))["ready"] and s["pid"] != before and s, "started again")
    assert after["starts"] == 2
    assert world.facts()["inner"] == facts["inner"]
    assert alive(facts["inner"])


def test_an_asker_killed_in_the_middle_leaves_a_supervisor_that_works(world: World) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(world.layout.control))
        end.send(b'{"verb": "sta')
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(world.layout.control))
        end.send(b'{"verb": "status"}\n')
    assert world.start()["inner"]


def test_a_killed_supervisor_takes_everything_with_it(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.services.append(portal(world.run))
    world.up()
    facts = world.start()
    inside = _members(facts["inner"])
    pids = [world.service("portal")["pid"], facts["pid"], facts["inner"], *inside]
    world.end(signal.SIGKILL)
    for pid in pids:
        until(lambda pid=pid: not alive(pid), f"{pid} ended")


def test_a_supervisor_killed_at_any_instant_of_a_start_leaves_nothing_for_the_next(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(10):
        world.up()
        starting = threading.Thread(target=_start_in_vain, args=(world,))
        starting.start()
        time.sleep(chance.uniform(0, 0.06))
        world.end(signal.SIGKILL)
        starting.join()
    world.up()
    until(lambda: not mentions(mark_of(world.run)), "nothing of the killed ones lives on")


def _start_in_vain(world: World) -> None:
    with contextlib.suppress(Unavailable, Rejected):
        world.start()


def test_a_killed_supervisor_can_be_started_again(make_world: Callable[..., World]) -> None:
    world = make_world().up()
    world.start()
    world.end(signal.SIGKILL)
    world.up()
    assert world.client.status()["sandboxes"] == []
    assert world.start()["inner"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_stops_everything_and_removes_the_run_folder(
    make_world: Callable[..., World], number: signal.Signals, status: int
) -> None:
    world = make_world()
    world.services.append(portal(world.run))
    world.up()
    facts = world.start()
    pids = [world.service("portal")["pid"], facts["pid"], facts["inner"]]
    assert world.end(number) == status
    assert all(gone(pid) for pid in pids)
    assert not world.run.exists()
    assert str(world.run) not in Path("/proc/self/mountinfo").read_text()


def test_a_service_deaf_to_the_polite_signal_is_killed(make_world: Callable[..., World]) -> None:
    world = make_world()
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    world.services.append({"name": "deaf", "arguments": [sys.executable, "-c", deaf]})
    world.up()
    pid = world.service("deaf")["pid"]
    world.end()
    assert gone(pid)


def test_orphans_of_a_service_are_ended(make_world: Callable[..., World]) -> None:
    world = make_world()
    orphan = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\ntime.sleep(1000)"
    world.services.append({"name": "parent", "arguments": [sys.executable, "-c", orphan, str(world.run)]})
    world.up()
    parent = world.service("parent")["pid"]
    children = Path(f"/proc/{parent}/task/{parent}/children")
    child = int(until(lambda: children.read_text().split(), "a grandchild")[0])
    os.kill(parent, signal.SIGKILL)
    until(lambda: gone(child), "the orphan was ended and reaped")


def test_a_decisive_service_ends_everything_with_its_status(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.services.append(portal(world.run))
    go = world.run / "go"
    story = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nraise SystemExit(23)"
    world.services.append({"name": "story", "arguments": [sys.executable, "-c", story], "decisive": True})
    world.up()
    go.touch()
    assert world.process is not None
    assert world.process.wait(30) == 23
    assert not world.run.exists()


def test_two_supervisors_do_not_share_a_run_folder(make_world: Callable[..., World]) -> None:
    first = make_world().up()
    second = make_world(run=first.run)
    with pytest.raises(AssertionError, match="Another one runs"):
        second.up()
    assert first.client.status()["ok"]


def test_a_run_folder_that_others_may_enter_is_refused(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.run.chmod(0o755)
    with pytest.raises(AssertionError, match="open to others"):
        world.up()


def test_the_control_socket_is_for_one_account_only(world: World) -> None:
    assert stat.S_IMODE(world.layout.control.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.run.stat().st_mode) == 0o700


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b"[]\n", b'{"verb": "none"}\n', b'{"verb": "start-sandbox"}\n'])
def test_an_unreadable_request_gets_a_sentence(world: World, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(world.layout.control))
        end.sendall(line)
        answer = json.loads(end.makefile().readline())
    assert answer["ok"] is False
    assert answer["message"]


def test_a_silent_supervisor_is_unavailable_and_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="spe up"):
        SupervisorClient(tmp_path / "none.sock").status()


def test_a_sandbox_killed_from_outside_is_seen_as_ended(world: World) -> None:
    facts = world.start()
    os.kill(facts["pid"], signal.SIGKILL)
    until(lambda: not world.client.sandbox("ws/p")["running"], "seen as ended")
    until(lambda: gone(facts["inner"]), "nothing inside lives on")
