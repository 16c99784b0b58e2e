"""Where things lie: short, lower case, private, and never outside."""

import os
import stat
from pathlib import Path

import pytest

from spe.adapters.cluster.embedded.layout import (
    LONGEST_SOCKET,
    Layout,
    make_run,
    private,
    run_folder,
    run_folder_problem,
)
from spe.domain.errors import Rejected
from spe.domain.ids import new_person, new_workspace


def layout(run: str = "/tmp/spe-0123456789") -> Layout:
    return Layout(run=Path(run), home=Path("/home/ada/spe"))


def test_every_socket_fits_into_a_socket_address() -> None:
    place, workspace, person = layout("/run/user/1000/spe-0123456789"), new_workspace(), new_person()
    sockets = (
        place.control, place.internal, place.gate(workspace) / "control.sock", place.gate(workspace) / "in.sock",
        place.door(workspace, person) / "hub.sock.new", place.notebook(workspace, person) / "nb.sock",
    )  # fmt: skip
    assert max(len(os.fsencode(path)) for path in sockets) <= LONGEST_SOCKET
    assert all(str(path) == str(path).lower() for path in sockets)


@pytest.mark.parametrize("run", ["/tmp/Spe-1", "/run/" + "long" * 20])
def test_a_run_folder_that_sockets_cannot_live_in_is_named(run: str) -> None:
    assert run_folder_problem(Path(run))


def test_two_homes_have_two_run_folders(tmp_path: Path) -> None:
    assert run_folder(tmp_path / "a") != run_folder(tmp_path / "b")
    assert run_folder(tmp_path / "a") == run_folder(tmp_path / "a")


def test_the_run_folder_is_the_runtime_folder_s_when_that_can_hold_it(tmp_path: Path) -> None:
    assert run_folder(tmp_path, environment={"XDG_RUNTIME_DIR": "/nowhere"}).parent == Path("/tmp")
    assert not run_folder_problem(run_folder(tmp_path, environment={"XDG_RUNTIME_DIR": str(tmp_path / "Upper")}))


def test_somebody_elses_folder_is_not_taken(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    link = Path(f"/tmp/spe-link-{os.getpid()}")
    link.symlink_to(target)
    try:
        with pytest.raises(Rejected, match="somebody else"):
            make_run(link)
    finally:
        link.unlink()


def test_private_folders_are_private_all_the_way_down(tmp_path: Path) -> None:
    private(tmp_path / "a" / "b" / "c")
    assert all(stat.S_IMODE((tmp_path / part).stat().st_mode) == 0o700 for part in ("a", "a/b", "a/b/c"))


@pytest.mark.parametrize("name", ["..", "a/b", "ws-", "WS-0123456789abcdef", "ws-0123456789abcdef/../x", ""])
def test_what_is_no_id_names_no_folder(name: str) -> None:
    with pytest.raises(Rejected, match="not an id"):
        layout().workspace(name)
    with pytest.raises(Rejected, match="not an id"):
        layout().session(new_workspace(), name)


def test_the_entrance_is_an_address_that_the_hub_can_lower_case() -> None:
    url = layout().entrance(new_workspace())
    assert url.startswith("http+unix://%2Ftmp%2Fspe-0123456789%2Fg%2Fws-")
    assert url.endswith("%2Fin.sock")
