"""Five hundred broken files: no crash, no endless reading, and what cannot be read never passes."""

import json
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from spe.disclosure.content import Unreadable
from spe.disclosure.engine import examine
from spe.disclosure.folder import Bytes
from spe.disclosure.readers import open_output, type_by_name
from spe.domain.verdict import Verdict
from tests.disclosure.cases import all_cases, build, default_policy

SEED = 20261122
COUNT = 500
SECONDS = 60
NAMES = (
    "a.csv",
    "a.tsv",
    "a.txt",
    "a.md",
    "a.json",
    "a.ipynb",
    "a.png",
    "a.jpg",
    "a.py",
    "a.pdf",
    "a.zip",
    "a.bam",
    "a",
)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """End a reading that does not end by itself, as the runner does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not ready after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def originals(folder: Path) -> list[tuple[str, bytes]]:
    """Every small file of every case."""
    found = []
    for number, case in enumerate(all_cases()):
        files = {
            name: part for name, part in case.files.items() if isinstance(part, str) or set(part) & {"base64", "hex"}
        }
        build(folder / str(number), files)
        found += [(name, (folder / str(number) / name).read_bytes()) for name in files]
    return [(name, data) for name, data in found if data]


def broken(rnd: random.Random, data: bytes) -> bytes:
    """One of six ways to break bytes."""
    parts = bytearray(data)
    match rnd.randrange(6):
        case 0:
            return bytes(parts[: rnd.randrange(len(parts))])
        case 1:
            for _ in range(rnd.randint(1, 8)):
                parts[rnd.randrange(len(parts))] = rnd.randrange(256)
        case 2:
            at = rnd.randrange(len(parts) + 1)
            parts[at:at] = rnd.randbytes(rnd.randint(1, 64))
        case 3:
            at = rnd.randrange(len(parts))
            del parts[at : at + rnd.randint(1, 32)]
        case 4:
            parts = parts * rnd.randint(2, 20)
        case _:
            rnd.shuffle(parts)
    return bytes(parts)


def mutants(folder: Path) -> Iterator[tuple[str, bytes]]:
    rnd = random.Random(SEED)
    pool = originals(folder)
    for number in range(COUNT):
        name, data = rnd.choice(pool)
        changed = data if number % 5 == 4 else broken(rnd, data)
        renamed = rnd.choice(NAMES) if number % 2 else Path(name).name
        yield renamed, changed


def certainly_unreadable(name: str, data: bytes) -> bool:
    """A judgement of its own, made without the engine: what no reader of that kind could accept."""
    promised = type_by_name(name)
    if promised is None:
        return True
    if promised == "png":
        return not data.startswith(b"\x89PNG\r\n\x1a\n") or data[-8:] != b"IEND\xaeB`\x82"
    if promised == "jpeg":
        return not data.startswith(b"\xff\xd8\xff")
    try:
        text = data.decode("utf-8-sig")
        if promised in {"json", "ipynb"}:
            json.loads(text)
    except ValueError:
        return True
    return any(char < " " and char not in "\t\r\n" for char in text)


def test_broken_files_neither_stop_the_engine_nor_pass_unread(tmp_path: Path) -> None:
    rules = default_policy()
    unread = 0
    for number, (name, data) in enumerate(mutants(tmp_path / "originals")):
        folder = tmp_path / f"mutant-{number}"
        folder.mkdir()
        (folder / name).write_bytes(data)
        with at_most(SECONDS):
            report = examine(folder, rules)
        if certainly_unreadable(name, data):
            unread += 1
            assert report.verdict is Verdict.BLOCK, f"seed {SEED}, file {number} ({name})"
    assert unread > COUNT // 10


def test_a_reader_never_raises_whatever_the_bytes(tmp_path: Path) -> None:
    rnd = random.Random(SEED + 1)
    for _ in range(COUNT):
        data = rnd.randbytes(rnd.randint(0, 400))
        opened = open_output(rnd.choice(NAMES), Bytes(sha256="0" * 64, size=len(data), data=data), None)
        assert isinstance(opened.content, Unreadable) or data.isascii() or data.decode()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        "a" * 1_000_000,
        "1," * 200_000,
        "-" * 500_000,
        "A1" * 200_000,
        '"' * 100_001,
        "n = 1" * 100_000,
        "begin 644 x\n" * 20_000,
        "x@" * 200_000,
        "+49 " * 100_000,
        "a://b:" * 80_000,
        "password='" * 50_000,
        "\u200b" * 50_000,
        ("|" + "x" * 50) * 10_000,
        "DE12" * 100_000,
        "machine login password " * 20_000,
        "\n" * 300_000,
        "1 2 3\n" * 60_000,
    ],
    ids=range(19),
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.json"])
def test_text_made_to_exhaust_a_pattern_is_read_in_time(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text)

    with at_most(SECONDS):
        examine(tmp_path, default_policy())
