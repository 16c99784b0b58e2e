"""The options of a sandbox: their order, what is in them, and what must never be."""

import json
from dataclasses import replace

import pytest

from spe.adapters.bubblewrap.host import PythonPlace
from spe.adapters.bubblewrap.launch import prepared
from spe.adapters.bubblewrap.sandbox import (
    Bind,
    Bounds,
    Contents,
    SandboxSpec,
    bounded_command,
    from_json,
    options,
    to_json,
)
from tests.adapters.bubblewrap.support import answer, host


def spec() -> SandboxSpec:
    return SandboxSpec(
        name="w/p",
        command=("/bin/true",),
        environment={"TOKEN": "very-secret"},
        read_only=(Bind(source="/srv/data", target="/data/ds/1"),),
        writable=(Bind(source="/srv/home", target="/home/researcher"),),
        files={"/etc/note": "hello"},
    )


def words() -> list[str]:
    return [o if isinstance(o, str) else "<contents>" for o in options(spec(), host())]


@pytest.mark.parametrize(
    "option",
    ["--unshare-all", "--unshare-user", "--disable-userns", "--new-session", "--clearenv", "--die-with-parent"],
)
def test_isolation_is_always_asked_for(option: str) -> None:
    assert option in words()


def test_the_root_is_made_read_only_after_everything_was_put_in_place() -> None:
    found = words()
    last = [n for n, word in enumerate(found) if word == "--remount-ro" and found[n + 1] == "/"]
    mounts = {"--bind", "--ro-bind", "--tmpfs", "--ro-bind-data", "--symlink", "--proc", "--dev", "--file"}
    assert len(last) == 1
    assert not mounts & set(found[last[0] :])


def test_what_is_exposed_for_reading_is_bound_after_what_may_be_written() -> None:
    found = words()
    assert found.index("/data/ds/1") > found.index("/srv/home")
    assert found[found.index("/srv/data") - 1] == "--ro-bind"


def test_the_environment_does_not_show_in_the_argument_list() -> None:
    with prepared(spec(), host()) as ready:
        assert "very-secret" not in " ".join(ready.arguments)
    ready.close()


def test_a_specification_survives_its_way_over_the_control_socket() -> None:
    assert from_json(json.loads(json.dumps(to_json(spec())))) == spec()


def test_the_digest_changes_with_every_part() -> None:
    one = spec()
    others = [
        replace(one, command=("/bin/false",)),
        replace(one, environment={"TOKEN": "other"}),
        replace(one, read_only=()),
        replace(one, bounds=Bounds(processes=3)),
    ]
    assert len({other.digest for other in (one, *others)}) == 5
    assert spec().digest == one.digest


def test_limits_are_set_inside_where_the_number_of_processes_is_the_sandboxs_own() -> None:
    line = bounded_command(replace(spec(), bounds=Bounds(processes=7, memory_bytes=1024**3, cpu_seconds=9)), host())
    assert "--nproc=7:7" in line
    assert f"--as={2 * 1024**3}:{2 * 1024**3}" in line
    assert "--cpu=9:9" in line
    assert line[-2:] == ("--", "/bin/true")


def test_no_path_of_the_environments_own_place_shows_inside() -> None:
    place = host().python
    if not place.separate:
        pytest.fail("the tests run in a virtual environment")
    code = f"""
import json, os, sys
shown = [sys.prefix, sys.executable, *sys.path, open("/opt/env/pyvenv.cfg").read(), *os.listdir("/opt/env/bin")]
print(json.dumps([text for text in shown if {place.prefix!r} in text]))
"""
    assert answer(code) == []


def test_the_commands_of_a_notebook_are_there() -> None:
    code = """
import json, subprocess
found = {name: subprocess.run([name, "--version"], capture_output=True).returncode for name in ("jupyter", "python")}
print(json.dumps(found))
"""
    assert answer(code) == {"jupyter": 0, "python": 0}


def test_an_interpreter_outside_of_usr_is_shown_below_opt() -> None:
    place = PythonPlace(
        prefix="/home/ada/project/.venv",
        base="/home/ada/python3.12",
        interpreter="/home/ada/python3.12/bin/python3.12",
        version="3.12",
        source="/home/ada/project",
    )
    assert ("/home/ada/python3.12", "/opt/python") in place.binds()
    assert place.links()["/opt/env/bin/python"] == "/opt/python/bin/python3.12"
    assert place.texts()["/opt/env/pyvenv.cfg"].startswith("home = /opt/python/bin\n")
    assert place.environment()["LD_LIBRARY_PATH"] == "/opt/python/lib"


def test_a_system_interpreter_without_an_environment_is_started_directly() -> None:
    place = PythonPlace(
        prefix="/usr", base="/usr", interpreter="/usr/bin/python3.11", version="3.11", source="/srv/spe"
    )
    assert place.executable == "/usr/bin/python3.11"
    assert place.links()["/opt/bin/python"] == "/usr/bin/python3.11"
    assert place.binds() == (("/srv/spe/spe", "/opt/spe/spe"),)


def test_contents_travel_as_open_files_and_not_as_words() -> None:
    texts = [o.data for o in options(spec(), host()) if isinstance(o, Contents)]
    assert b"hello" in texts


def test_a_sandbox_finds_no_open_file_of_ours() -> None:
    code = """
import json, os
numbers = [n for n in os.listdir("/proc/self/fd") if int(n) > 2]
print(json.dumps([n for n in numbers if os.path.lexists(f"/proc/self/fd/{n}")]))
"""
    assert answer(code) == []
