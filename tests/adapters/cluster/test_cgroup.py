"""Control groups: the values that are written, and that nothing is promised without them."""

import os
from pathlib import Path

from spe.adapters.bubblewrap.sandbox import Bounds
from spe.adapters.cluster.embedded.cgroup import ControlGroups, delegated, limits


def group(root: Path, controllers: str = "cpu memory pids io") -> Path:
    """Plain files in the shape of a delegated group: they keep what is written, as the kernel's do."""
    root.mkdir()
    for name, text in {"cgroup.procs": "", "cgroup.controllers": controllers, "cgroup.subtree_control": ""}.items():
        (root / name).write_text(text)
    return root


def test_limits_become_the_kernels_values() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    found = limits(Bounds(memory_bytes=10 * page + 1, cpu=1.5, processes=7))
    assert found["memory.max"] == str(10 * page)
    assert found["cpu.max"] == "150000 100000"
    assert found["pids.max"] == "7"


def test_no_limit_is_said_as_such() -> None:
    found = limits(Bounds(memory_bytes=0, cpu=0, processes=0))
    assert (found["memory.max"], found["pids.max"], found["cpu.max"]) == ("max", "max", "max 100000")


def test_a_group_for_a_sandbox_holds_its_limits(tmp_path: Path) -> None:
    groups = ControlGroups(root=group(tmp_path / "g"))
    made = groups.make("ws-1/p-1", Bounds(processes=7))
    assert made.name == "s-ws-1--p-1"
    assert (made / "pids.max").read_text() == "7"


def test_without_the_controllers_nothing_is_promised(tmp_path: Path) -> None:
    assert delegated(group=group(tmp_path / "g", controllers="cpu pids")) is None


def test_without_a_group_of_its_own_nothing_is_promised(tmp_path: Path) -> None:
    assert delegated(group=tmp_path / "none") is None


def test_a_group_that_cannot_be_written_promises_nothing(tmp_path: Path) -> None:
    root = group(tmp_path / "g")
    root.chmod(0o500)
    try:
        assert delegated(group=root) is None
    finally:
        root.chmod(0o700)
