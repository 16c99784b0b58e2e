"""What every place of datasets promises when a version is registered; the fixture yields each adapter in turn."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spe.adapters.cluster.embedded.sources import FolderSources
from spe.adapters.cluster.folder import manifest_of
from spe.adapters.cluster.kubernetes.sources import VolumeSources
from spe.domain.dataset import Manifest, ManifestFile
from spe.domain.errors import Invalid
from spe.ports.sources import Sources
from tests.adapters.cluster.kubernetes.ground import ground

DATA = b"arm,n\na,246\nb,440\n"


class Case:
    """An adapter, and what it calls a folder of this machine."""

    def __init__(self, sources: Sources, call: Callable[[Path], str]) -> None:
        self.sources, self.call = sources, call

    def read(self, folder: Path) -> Manifest:
        return self.sources.manifest(self.sources.named(self.call(folder)))

    def refusal(self, folder: Path) -> str:
        with pytest.raises(Invalid) as caught:
            self.read(folder)
        assert list(caught.value.fields) == ["folder"]
        return caught.value.fields["folder"]


@contextmanager
def embedded(folder: Path) -> Iterator[Case]:
    del folder
    yield Case(FolderSources(), str)


@contextmanager
def on_cluster(folder: Path) -> Iterator[Case]:
    """As the portal's account, with the chart's rights and under the policies; the node sees this machine's files."""
    with ground(folder) as here:
        yield Case(VolumeSources(here.hands("portal")), lambda path: f"hostPath:{path}")


KINDS = [pytest.param(embedded, id="embedded"), pytest.param(on_cluster, id="kubernetes", marks=pytest.mark.servers)]


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with request.param(tmp_path_factory.mktemp("accounts")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset; readable for everybody, as sessions run under a user of their own."""
    place = tmp_path / "cohort"
    (place / "tables" / "deep").mkdir(parents=True)
    (place / "arms.csv").write_bytes(DATA)
    (place / "tables" / "Größe größer.csv").write_bytes(b"")
    (place / "tables" / "deep" / "part-1").write_bytes(bytes(range(256)) * 5000)
    (place / "empty").mkdir()
    place.chmod(0o755)
    return place


def test_every_file_is_there_with_its_size_and_digest(case: Case, folder: Path) -> None:
    big = bytes(range(256)) * 5000
    expected = (
        ManifestFile(path="arms.csv", size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest()),
        ManifestFile(path="tables/Größe größer.csv", size=0, sha256=hashlib.sha256(b"").hexdigest()),
        ManifestFile(path="tables/deep/part-1", size=len(big), sha256=hashlib.sha256(big).hexdigest()),
    )
    assert case.read(folder).files == expected


def test_it_is_the_manifest_that_the_walk_on_this_machine_makes(case: Case, folder: Path) -> None:
    for number in range(300):
        (folder / f"{'long-' * 30}{number:03}.csv").write_text(str(number))
    assert case.read(folder) == manifest_of(folder)


def test_one_changed_byte_makes_another_digest(case: Case, folder: Path) -> None:
    before = case.read(folder)
    (folder / "arms.csv").write_bytes(DATA[:-2] + b"1\n")
    assert case.read(folder).digest != before.digest


def test_a_name_once_made_canonical_stays_as_it_is(case: Case, folder: Path) -> None:
    named = case.sources.named(case.call(folder))
    assert case.sources.named(named) == named
    assert case.sources.named(case.call(folder) + "/") == named


def test_nothing_is_written_at_the_source(case: Case, folder: Path) -> None:
    before = _state(folder)
    case.read(folder)
    assert _state(folder) == before


def _state(folder: Path) -> list[tuple[str, int, int]]:
    return [(str(p), p.lstat().st_mode, p.lstat().st_mtime_ns) for p in sorted(folder.rglob("*"))]


def test_a_folder_without_files_is_no_dataset(case: Case, folder: Path) -> None:
    empty = folder / "empty"
    assert case.refusal(empty) == f"{case.call(empty)} holds no files; put the dataset's files there first."


def test_a_folder_that_is_not_there_is_no_dataset(case: Case, folder: Path) -> None:
    assert str(folder / "nowhere") in case.refusal(folder / "nowhere")


def test_a_file_is_no_dataset(case: Case, folder: Path) -> None:
    assert "is not a folder" in case.refusal(folder / "arms.csv")


@pytest.mark.parametrize("target", ["arms.csv", "/etc/passwd", "/etc", "nowhere"])
def test_a_link_is_refused_by_its_name_and_not_followed(case: Case, folder: Path, target: str) -> None:
    (folder / "tables" / "link").symlink_to(target)
    assert case.refusal(folder).startswith("tables/link is a symbolic link; a dataset holds regular files only.")


def test_a_pipe_is_refused_and_not_waited_for(case: Case, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert case.refusal(folder).startswith("pipe is not a regular file;")


@pytest.mark.parametrize("name", ["line\nbreak.csv", "bell\x07", "turned\u202eabout"])
def test_a_name_with_control_characters_is_refused(case: Case, folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    assert case.refusal(folder) == f"The name {name!r} has control characters; rename the file."


def test_a_name_that_is_no_text_is_refused(case: Case, folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.csv")).write_text("x")
    assert "has control characters" in case.refusal(folder)


def test_what_cannot_be_read_is_named(case: Case, folder: Path) -> None:
    (folder / "arms.csv").chmod(0)
    assert case.refusal(folder) == "arms.csv cannot be read: Permission denied. Mend its rights, then try again."


@pytest.mark.parametrize("text", ["", "cohort", "../cohort", "/srv/../etc", "/srv/\ncohort"])
def test_what_is_no_whole_path_is_no_name(case: Case, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        case.sources.named(case.call(Path("/")).removesuffix("/") + text)
    assert list(caught.value.fields) == ["folder"]
