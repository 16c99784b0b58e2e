"""The doctor: what is well is said, what is not is named with the command that mends it."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from spe.adapters.cluster.embedded.doctor import Check, Surroundings, clock_check, examine, may_start
from spe.adapters.cluster.embedded.layout import Layout
from tests.adapters.bubblewrap.support import host


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(layout=Layout(run=Path("/tmp/spe-doctor"), home=tmp_path / "home"), host=host(), uid=1000)


def found(around: Surroundings) -> dict[str, Check]:
    return {check.name: check for check in examine(around)}


def test_on_this_host_everything_required_is_well(around: Surroundings) -> None:
    checks = examine(around)
    for check in checks:
        print(f"{'ok' if check.ok else '--'} {check.name:22} {check.sentence}")
    assert may_start(checks)


def test_a_real_sandbox_was_made_and_the_filter_met(around: Surroundings) -> None:
    checks = found(around)
    assert checks["user namespaces"].ok
    assert checks["filter in a sandbox"].ok


def test_every_failure_names_a_command(around: Surroundings, tmp_path: Path) -> None:
    def broken() -> None:
        raise OSError("disk I/O error")

    def missing() -> Path:
        raise LookupError("it is not installed")

    worst = replace(
        around,
        uid=0,
        host=replace(host(), bwrap=str(tmp_path / "none")),
        layout=Layout(run=Path("/tmp/Upper"), home=Path("/proc/none")),
        database=broken,
        node=missing,
        proxy=missing,
    )
    failed = [check for check in examine(worst) if not check.ok]
    assert {"account", "bubblewrap", "Node.js", "proxy", "run folder", "disk", "database"} <= {c.name for c in failed}
    assert all(check.remedy and check.sentence.endswith((".", "r", "d", "e")) for check in failed)
    assert not may_start(tuple(failed))


def test_root_may_not_start_and_no_sandbox_is_tried_for_it(around: Surroundings) -> None:
    checks = found(replace(around, uid=0))
    assert not checks["account"].ok
    assert "user namespaces" not in checks


def test_a_host_whose_sandboxes_do_not_start_is_refused(around: Surroundings) -> None:
    """`false` in the place of bubblewrap: it runs and makes nothing."""
    checks = examine(replace(around, host=replace(host(), bwrap="/bin/false")))
    assert not may_start(checks)
    assert not {c.name: c for c in checks}["user namespaces"].ok


def test_a_taken_port_is_named(around: Surroundings) -> None:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        end.listen()
        port = end.getsockname()[1]
        check = found(replace(around, ports=(port,)))[f"port {port}"]
    assert not check.ok
    assert "--hub-port" in check.remedy


@pytest.mark.parametrize(("year", "drift", "ok"), [(2026, 0.0, True), (1970, 0.0, False), (2026, 3600.0, False)])
def test_a_clock_that_is_wrong_or_steps_is_not_well(year: int, drift: float, ok: bool) -> None:
    assert clock_check(year=year, drift=drift).ok is ok


def test_missing_control_groups_are_a_note_and_no_obstacle(around: Surroundings) -> None:
    assert not found(around)["control groups"].required
