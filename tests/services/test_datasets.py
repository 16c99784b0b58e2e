"""Datasets: what is registered, what is found again, and what then is no longer shown."""

import os
from pathlib import Path

import pytest

from spe.adapters.cluster.folder import manifest_of
from spe.domain.dataset import DatasetVersion, Guarantee
from spe.domain.errors import NotFound
from spe.domain.ids import DatasetId
from spe.domain.workspace import WorkspaceState
from tests.support.asking import denied, invalid, told
from tests.support.ground import Ground


@pytest.fixture
def folder(ground: Ground) -> Path:
    """A small dataset that lies ready."""
    source = ground.folder / "data" / "registry"
    (source / "tables").mkdir(parents=True)
    (source / "readme.txt").write_text("a registry\n")
    (source / "tables" / "people.csv").write_text("id,age\n1,40\n2,50\n")
    return source


def register(ground: Ground, folder: Path, **changes: object) -> DatasetVersion:
    given = {"title": "Registry", "holder": "Hospital", "by": ground.by("operator")} | changes
    return ground.app.datasets.register(str(folder), **given)  # type: ignore[arg-type]


def granted(ground: Ground, *versions: DatasetVersion) -> None:
    """Another permit, on these versions; the ground's permit and workspace become those."""
    terms = ground.terms("researcher", datasets=frozenset(v.key for v in versions))
    ground.permit_id = ground.grant(terms)
    ground.settle()
    ground.workspace_id = ground.workspace_of(ground.permit_id)


def exposed(ground: Ground) -> set[str]:
    return {key for key, _ in ground.cluster.observe(ground.workspace_id).data}


# --- registering --------------------------------------------------------------------------------------------


def test_a_folder_is_registered_with_every_file_and_its_digest(ground: Ground, folder: Path) -> None:
    version = register(ground, folder)
    assert [(f.path, f.size) for f in version.manifest.files] == [("readme.txt", 11), ("tables/people.csv", 17)]
    assert ground.app.datasets.verify(version.key, by=ground.by("operator")) == version
    (entry,) = ground.app.audit.entries(event="dataset.registered", subject=version.key, by=ground.by("auditor"))
    assert entry.digests["manifest"] == version.manifest.digest


def test_a_link_out_of_the_folder_is_refused_and_never_followed(ground: Ground, folder: Path) -> None:
    (folder / "tables" / "passwords").symlink_to("/etc/passwd")
    assert "tables/passwords is a symbolic link" in invalid(lambda: register(ground, folder))["folder"]


def test_a_link_to_a_folder_and_a_folder_that_is_a_link_are_refused(ground: Ground, folder: Path) -> None:
    (folder / "more").symlink_to("/etc")
    assert "more is a symbolic link" in invalid(lambda: register(ground, folder))["folder"]
    (folder / "more").unlink()
    (folder.parent / "alias").symlink_to(folder)
    assert "is a link" in invalid(lambda: register(ground, folder.parent / "alias"))["folder"]


def test_a_pipe_is_refused_without_waiting_for_its_writer(ground: Ground, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "pipe is not a regular file" in invalid(lambda: register(ground, folder))["folder"]


@pytest.mark.parametrize("name", [b"a\nb.csv", b"a\x1b[2J.csv", b"a\x7f.csv", b"\xff.csv", "a\u202ecsv.exe".encode()])
def test_names_with_control_characters_are_refused_and_shown_harmlessly(
    ground: Ground, folder: Path, name: bytes
) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("a\n")
    sentence = invalid(lambda: register(ground, folder))["folder"]
    assert "control characters" in sentence
    assert sentence.isprintable()


def test_an_empty_folder_a_file_and_a_missing_folder_are_refused(ground: Ground, folder: Path) -> None:
    empty = folder.parent / "empty"
    (empty / "inner").mkdir(parents=True)
    assert "holds no files" in invalid(lambda: register(ground, empty))["folder"]
    assert "not a folder" in invalid(lambda: register(ground, folder / "readme.txt"))["folder"]
    assert "cannot be read" in invalid(lambda: register(ground, folder / "nowhere"))["folder"]


def test_a_file_that_may_not_be_read_is_named(ground: Ground, folder: Path) -> None:
    (folder / "readme.txt").chmod(0)
    assert "readme.txt cannot be read" in invalid(lambda: register(ground, folder))["folder"]
    (folder / "readme.txt").chmod(0o600)
    (folder / "tables").chmod(0)
    try:
        assert "tables cannot be read" in invalid(lambda: register(ground, folder))["folder"]
    finally:
        (folder / "tables").chmod(0o700)


def test_nothing_half_done_stays_behind_after_a_refusal(ground: Ground, folder: Path) -> None:
    before = ground.app.datasets.all(by=ground.by("operator"))
    (folder / "out").symlink_to("/etc/passwd")
    invalid(lambda: register(ground, folder))
    assert ground.app.datasets.all(by=ground.by("operator")) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", " "),
        ("title", "a\nb"),
        ("holder", ""),
        ("holder", "a\x00"),
        ("number", "1/2"),
        ("number", ""),
        ("number", "x" * 21),
        ("disclosure_policy", "no-such-policy"),
        ("description", "seen\x1b[2J"),
        ("description", "turned \u202e around"),
        ("profile", b"not json"),
        ("profile", b"[]"),
        ("profile", b'{"schema": "spe.report/1"}'),
        ("dataset", DatasetId("ds-abcdefghjkmnpqrs")),
    ],
)
def test_what_describes_a_dataset_is_examined(ground: Ground, folder: Path, field: str, value: object) -> None:
    assert set(invalid(lambda: register(ground, folder, **{field: value}))) == {field}


def test_a_version_is_never_registered_twice(ground: Ground, folder: Path) -> None:
    first = register(ground, folder)
    assert "new number" in invalid(lambda: register(ground, folder, dataset=first.dataset))["number"]
    assert register(ground, folder, dataset=first.dataset, number="2").key == f"{first.dataset}/2"


def test_only_operators_register_and_withdraw(ground: Ground, folder: Path) -> None:
    assert ground.dataset is not None
    for name in ("researcher", "board", "checker", "auditor"):
        assert denied(lambda name=name: register(ground, folder, by=ground.by(name))) == ("no-permission",)
        assert denied(
            lambda name=name: ground.app.datasets.withdraw(ground.dataset.key, by=ground.by(name))
        ) == ("no-permission",)  # fmt: skip


def test_researchers_know_only_of_data_on_their_permits(ground: Ground, folder: Path) -> None:
    assert ground.dataset is not None
    other = register(ground, folder)
    assert [v.key for v in ground.app.datasets.all(by=ground.by("researcher"))] == [ground.dataset.key]
    assert ground.app.datasets.all(by=ground.by("outsider")) == ()
    with pytest.raises(NotFound):
        ground.app.datasets.get(other.key, by=ground.by("researcher"))


# --- the bytes are looked at again --------------------------------------------------------------------------


def test_a_changed_byte_is_found_and_named(ground: Ground, folder: Path) -> None:
    version = register(ground, folder)
    (folder / "readme.txt").write_text("A registry\n")
    sentence = told(lambda: ground.app.datasets.verify(version.key, by=ground.by("operator")))
    assert f"{version.key} is not what was approved: readme.txt differ." in sentence
    (entry,) = ground.app.audit.entries(event="dataset.mismatch", by=ground.by("auditor"))
    assert entry.digests["manifest"] == manifest_of(folder).digest


@pytest.mark.parametrize("change", ["added", "gone", "renamed"])
def test_an_added_lost_or_renamed_file_is_found(ground: Ground, folder: Path, change: str) -> None:
    version = register(ground, folder)
    {
        "added": lambda: (folder / "new.txt").write_text(""),
        "gone": (folder / "readme.txt").unlink,
        "renamed": lambda: (folder / "readme.txt").rename(folder / "README.txt"),
    }[change]()
    assert denied(lambda: ground.app.datasets.verify(version.key, by=ground.by("operator"))) == ("dataset-changed",)


@pytest.mark.parametrize("change", ["link", "folder lost"])
def test_a_dataset_that_cannot_even_be_read_any_more_is_not_what_was_approved(
    ground: Ground, folder: Path, change: str
) -> None:
    version = register(ground, folder)
    if change == "link":
        (folder / "out").symlink_to("/etc/passwd")
    else:
        folder.rename(folder.parent / "elsewhere")
    assert denied(lambda: ground.app.datasets.verify(version.key, by=ground.by("operator"))) == ("dataset-changed",)
    assert ground.app.audit.entries(event="dataset.mismatch", by=ground.by("auditor"))


@pytest.mark.parametrize("change", ["byte", "link", "lost"])
def test_a_workspace_does_not_show_a_dataset_that_changed(ground: Ground, folder: Path, change: str) -> None:
    version = register(ground, folder)
    if change == "byte":
        (folder / "readme.txt").write_text("A registry\n")
    elif change == "link":
        (folder / "out").symlink_to("/etc/passwd")
    else:
        folder.rename(folder.parent / "elsewhere")
    granted(ground, version)
    assert exposed(ground) == set()
    assert ground.workspace.state is WorkspaceState.FAILED
    condition = ground.workspace.condition("provisioned")
    assert condition is not None
    assert not condition.holds
    assert version.key in condition.reason
    ground.accept("researcher")
    assert "workspace-not-ready" in denied(
        lambda: ground.app.sessions.start(ground.workspace_id, by=ground.by("researcher"))
    )


def test_a_repaired_dataset_is_shown_after_another_try(ground: Ground, folder: Path) -> None:
    version = register(ground, folder)
    (folder / "readme.txt").write_text("A registry\n")
    granted(ground, version)
    (folder / "readme.txt").write_text("a registry\n")
    ground.app.workspaces.move(ground.workspace_id, "retry", by=ground.by("operator"))
    ground.settle()
    assert exposed(ground) == {version.key}
    assert ground.workspace.state is WorkspaceState.READY


def test_a_withdrawn_version_disappears_from_every_workspace(ground: Ground, folder: Path) -> None:
    version = register(ground, folder)
    other = ground.register_dataset("Other")
    granted(ground, version, other)
    assert exposed(ground) == {version.key, other.key}
    ground.app.datasets.withdraw(version.key, by=ground.by("operator"))
    ground.settle()
    assert exposed(ground) == {other.key}


def test_a_withdrawn_version_disappears_also_when_another_one_has_changed(ground: Ground, folder: Path) -> None:
    version = register(ground, folder)
    other = ground.register_dataset("Other")
    granted(ground, version, other)
    (folder / "readme.txt").write_text("A registry\n")
    ground.app.datasets.withdraw(other.key, by=ground.by("operator"))
    ground.settle()
    assert exposed(ground) == set(), "the withdrawn one goes, and the changed one with it"


def test_a_dataset_that_needs_more_than_the_environment_promises_is_refused_with_the_reason(
    ground: Ground, folder: Path
) -> None:
    version = register(ground, folder, needs=[Guarantee.SEPARATE_KERNEL])
    granted(ground, version)
    assert ground.workspace.state is WorkspaceState.FAILED
    condition = ground.workspace.condition("provisioned")
    assert condition is not None
    assert "separate-kernel" in condition.reason
    assert exposed(ground) == set()
    assert not ground.cluster.observe(ground.workspace_id).places
