"""A disk that is full: each act is refused with a sentence, reading goes on, and with room again so does the rest.

The whole environment stands on a small disk of its own, mounted by an ordinary account in a namespace.
"""

import asyncio
import errno
import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

from spe.cli.demo.browser import Notebook
from tests.support.instance import instance
from tests.support.person import Company, company
from tests.support.terminal import Call, Said, Terminal, faults, terminal

ASKED_FOR = 2200 * 1024**2
"""Bytes that `spe up` wants to see free before it starts."""
DISK = 64 * 1024**2
WHO = "researcher-a"
PREPARE = """
import pathlib
out = pathlib.Path('/workspace/outputs/full'); out.mkdir()
(out / 'egress.yaml').write_text('purpose: A table of a test\\n')
(out / 't.csv').write_text('arm,n\\nA,120\\nB,130\\n' * 20000)
"""
WRITE = """
try:
    with open('/home/researcher/work.bin', 'wb') as file:
        file.write(b'x' * 1024**2)
    print('written')
except OSError as error:
    print(error)
"""
SUBMIT = """
import spe.notebook
try:
    print(spe.notebook.submit('/workspace/outputs/full')['state'])
except spe.notebook.Refused as refusal:
    print(' '.join(refusal.sentences))
"""


def test_a_full_disk_is_told_and_room_mends_everything(tmp_path: Path) -> None:
    with instance("--demo", disk_bytes=ASKED_FOR) as running, terminal(tmp_path) as shell:
        running.wait_until_seeded()
        running.resize_disk(DISK)
        with company(running) as people:
            asyncio.run(story(people, shell, tmp_path))


def test_a_disk_that_is_too_small_is_told_before_anything_starts() -> None:
    with instance("--demo", disk_bytes=DISK) as running:
        assert running.wait(60) == 4
        print(running.said)
        assert "2048 MiB are needed" in running.said
        assert "free some space, or choose another --home" in running.said


async def story(people: Company, shell: Terminal, folder: Path) -> None:
    draft = people.desk(WHO).post("/egress", {"workspace": people.seeded.workspace, "purpose": "A test"})["id"]
    async with people.kernel(people.seeded.workspace, WHO) as notebook:
        await notebook.run(PREPARE)
        before = standing(people)
        with filled(people.running.home):
            made = await refused(people, shell, folder, draft, notebook)
        after = standing(people)
        after["permits"] = [permit for permit in after["permits"] if permit[0] not in made]
        assert after == before
        await goes_on(people, shell, folder, draft, notebook)


async def refused(people: Company, shell: Terminal, folder: Path, draft: str, notebook: Notebook) -> set[str]:
    """Everybody is told that the disk is full. Returns the permits that found room all the same."""
    status, text = upload(people, draft)
    print(f"PUT a file into a request -> {status}\n    {text}")
    wrong = [] if status == 503 and "disk is full" in text and "free some space" in text else [text]
    proposal = written(people, folder)
    said, made = await asyncio.to_thread(until_refused, shell, people, proposal)
    print(said.transcript())
    wrong += faults(Call(words=(), code=6, says=("disk is full", "free some space", "try again")), said)
    for code, word in ((WRITE, os.strerror(errno.ENOSPC)), (SUBMIT, "disk is full")):
        cell = await notebook.run(code)
        print(f">>> {code.strip().splitlines()[-1].strip()}\n    {cell.text.strip()} {cell.error}")
        wrong += [] if word in cell.text and not cell.error else [f"{word!r} is not in {cell}"]
    for key, path in (("board-a", "/permits"), (WHO, f"/egress/{draft}"), ("auditor", "/audit/entries")):
        assert people.desk(key).get(path), "what is there can still be read"
    assert not wrong, "\n" + "\n".join(wrong)
    return made


async def goes_on(people: Company, shell: Terminal, folder: Path, draft: str, notebook: Notebook) -> None:
    """With room again, everything that was refused is done, by the same processes or their successors."""
    cell = await notebook.run(WRITE)
    assert cell.text == "written\n", cell
    cell = await notebook.run(SUBMIT)
    assert cell.text.strip() in ("in-review", "blocked"), cell
    status, text = upload(people, draft)
    assert status == 200, text
    said = shell.run("permit", "propose", written(people, folder), "--issuer", "Board", env=board(people))
    assert said.code == 0, said
    assert people.workspace_of(people.confirm(json.loads(said.out))["id"])
    assert not list((people.running.home / "objects" / ".incoming").iterdir())
    assert people.desk("auditor").post("/audit:verify")["problems"] == []


def standing(people: Company) -> dict[str, Any]:
    """Rows and objects that a refusal could have left."""
    objects = people.running.home / "objects"
    return {
        "permits": [(p["id"], p["state"], p["version"]) for p in people.desk("auditor").all("/permits")],
        "requests": [(r["id"], r["state"], len(r["outputs"])) for r in people.desk(WHO).all("/egress")],
        "objects": sorted(str(path) for path in objects.rglob("*") if path.is_file()),
        "problems": people.desk("auditor").post("/audit:verify")["problems"],
    }


@contextmanager
def filled(home: Path) -> Iterator[None]:
    """Not a byte is left on the disk of this home."""
    ballast = home / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1024**2, 4096, 1):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                endlessly(file, size)
    try:
        yield
    finally:
        ballast.unlink()


def endlessly(file: IO[bytes], size: int) -> None:
    while True:
        file.write(b"\0" * size)


def board(people: Company) -> dict[str, str]:
    return {"SPE_URL": people.facts["portal"], "SPE_TOKEN": people.token("board-a")}


def written(people: Company, folder: Path) -> str:
    file = folder / "terms.json"
    file.write_text(json.dumps(people.terms(WHO, conditions="x" * 2000)))
    return str(file)


def until_refused(shell: Terminal, people: Company, file: str) -> tuple[Said, set[str]]:
    """The first proposal that is refused, and those before it: whole, for the database had room of its own left."""
    made: set[str] = set()
    while len(made) < 100:
        said = shell.run("permit", "propose", file, "--issuer", "Board", env=board(people))
        if said.code:
            return said, made
        made.add(json.loads(said.out)["id"])
    raise AssertionError("a full disk takes one permit after the other")


def upload(people: Company, draft: str) -> tuple[int, str]:
    """Status and text of the answer to an upload of 1 MiB through the API."""
    address = urlsplit(people.facts["portal"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {people.token(WHO)}", "Content-Type": "application/octet-stream"}
        connection.request("PUT", f"/api/v1/egress/{draft}/files/a.csv", b"arm,n\n" * 200_000, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
