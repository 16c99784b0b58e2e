"""The whole story, played once by the command that a person types."""

from pathlib import Path

from tests.support.instance import instance


def test_the_story_is_told_to_its_end_and_nothing_is_left_running() -> None:
    with instance("--demo", "--once") as played:
        status = played.wait(280)
        print(played.said)
        assert status == 0, f"{played.said}\n{played.logs()}"
        assert "The story is told" in played.said
        left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(played.home).encode() in _read(path)]
        assert not left


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
