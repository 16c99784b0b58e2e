"""What is wrong is told in a sentence, with the documented exit status, and leaves nothing half-done.

Each test prints its transcript: the command, its exit status, what it said. Around each one, everything that
could have been left behind is listed before and after: permits, datasets, requests, objects, audit log.
"""

import asyncio
import http.client
import inspect
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support import wrong_outputs
from tests.support.person import Company
from tests.support.terminal import Call, Said, Terminal, faults, terminal

NEXT = "send it again; nothing was changed"
BELL, TURNED = "\a", "\u202egnp.exe"


def standing(people: Company) -> dict[str, set[Any]]:
    """What stands in the environment: rows by id and state, objects by name."""
    auditor, objects = people.desk("auditor"), people.running.home / "objects"
    drafts = [r for key in ("researcher-a", "researcher-b") for r in people.desk(key).all("/egress")]
    return {
        "permits": {(p["id"], p["state"], p["version"], len(p["pending"])) for p in auditor.all("/permits")},
        "datasets": {(d["key"], d["withdrawn"]) for d in auditor.all("/datasets")},
        "requests": {(r["id"], r["state"]) for r in drafts if r["state"] != "withdrawn"},
        "unfinished": set((objects / ".incoming").iterdir()),
        "airlock": set((objects / "airlock").rglob("*")),
        "evidence": set((objects / "evidence").rglob("*")),
    }


@pytest.fixture(autouse=True)
def _nothing_is_half_done(people: Company) -> Iterator[None]:
    before = standing(people)
    yield
    after = standing(people)
    for what, left in after.items():
        assert left == before[what], f"{what}: {left ^ before[what]}"
    checked = people.desk("auditor").post("/audit:verify")
    assert checked["problems"] == [], checked


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal for all commands of this module."""
    with terminal(tmp_path_factory.mktemp("terminal")) as opened:
        yield opened


class At:
    """Whose terminal it is: address and token."""

    def __init__(self, people: Company) -> None:
        self._people = people

    def __call__(self, key: str) -> dict[str, str]:
        """The variables of a person's shell."""
        return {"SPE_URL": self._people.facts["portal"], "SPE_TOKEN": self._people.token(key)}


# --- permits ------------------------------------------------------------------------------------------------

TEXTS: dict[str, tuple[str, str]] = {
    "a bracket that is not closed": ("title: [one\npurpose: two\n", "line"),
    "no text at all": ("", "keys and values"),
    "a list": ("- title\n", "keys and values"),
    "a tag that would run code": ("title: !!python/object/apply:os.system [ls]\n", "line 1"),
    "the same key twice": ("title: one\ntitle: two\n", "line 2"),
    "an anchor": ("a: &a [x, x]\nb: *a\n", "alias"),
    "nested without end": ("a: " + "[" * 20_000, "yaml"),
    "control characters": ("title: a\x07b\n", "character 9"),
    "a key that is no text": ("1: one\n", "1"),
}
TERMS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a number for people": ({"people": 5}, ("people", "list")),
    "a list for the title": ({"title": ["one"]}, ("title", "string")),
    "a word for the start": ({"starts": "soon"}, ("starts", "datetime")),
    "a word for the limits": ({"limits": {"cpu": "many"}}, ("limits.cpu", "number")),
    "an unknown key": ({"limit": {"cpu": 1}}, ("limit", "not permitted")),
    "an unknown limit": ({"limits": {"cores": 1}}, ("cores", "not permitted")),
    "an unknown access mode": ({"access_mode": "carrier-pigeon"}, ("access_mode", "direct")),
    "no people": ({"people": []}, ("people", "at least one authorised user")),
    "an unknown person": ({"people": ["p-abcdefghjkmnpqrs"]}, ("people", "operator registers")),
    "a name for a person": ({"people": ["Ada"]}, ("people", "not an id")),
    "no dataset": ({"datasets": []}, ("datasets", "at least one dataset")),
    "an unknown dataset": ({"datasets": ["ds-abcdefghjkmnpqrs/1"]}, ("datasets", "list of datasets")),
    "an unknown secret": ({"secrets": ["none-such"]}, ("secrets", "operator stores it first")),
    "the end before the start": (
        {"starts": "2031-02-01T00:00:00Z", "ends": "2031-01-01T00:00:00Z"},
        ("ends", "after the start"),
    ),
    "an end in the past": ({"starts": "2001-01-01T00:00:00Z", "ends": "2001-02-01T00:00:00Z"}, ("ends", "past")),
    "dates without a zone": ({"starts": "2031-01-01T00:00:00", "ends": "2031-02-01"}, ("starts", "ends", "timezone")),
    "no cores": ({"limits": {"cpu": 0}}, ("limits.cpu", "greater than 0")),
    "cores below nothing": ({"limits": {"cpu": -2}}, ("limits.cpu", "greater than 0")),
    "cores that are no number": ({"limits": {"cpu": float("nan")}}, ("cpu", "finite")),
    "cores without end": ({"limits": {"cpu": float("inf")}}, ("cpu", "finite")),
    "no memory": ({"limits": {"memory_bytes": 0}}, ("limits.memory_bytes", "greater than")),
    "half a byte": ({"limits": {"disk_bytes": 0.5}}, ("limits.disk_bytes", "integer")),
    "no time": ({"limits": {"idle_minutes": 0}}, ("limits.idle_minutes", "greater than")),
    "a bell in the title": ({"title": f"one{BELL}two"}, ("title", "control")),
    "a title that turns the line around": ({"title": TURNED}, ("title", "invisible")),
    "a purpose that cleans the screen": ({"purpose": "\x1b[2J"}, ("purpose", "control")),
    "conditions nobody sees": ({"conditions": "none\u200b\u2066"}, ("conditions", "invisible")),
    "a dataset's name with a bell": ({"datasets": [f"ds-{BELL}"]}, ("datasets", "list of datasets")),
    "a text without end": ({"purpose": "x" * 2001}, ("purpose", "2000")),
}


def test_a_wrong_permit_is_refused_field_by_field(people: Company, shell: Terminal, tmp_path: Path) -> None:
    at = At(people)

    def written(name: str, text: str) -> str:
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        return str(file)

    def proposal(file: str, says: tuple[str, ...], issuer: str = "Board of the tests", *more: str) -> Call:
        return Call(
            words=("permit", "propose", file, "--issuer", issuer, *more), code=2, says=(*says, NEXT), env=at("board-a")
        )

    good = people.terms("researcher-a")
    right = written("right", yaml.safe_dump(good))
    locked, large = Path(written("locked", "title: x")), tmp_path / "large.yaml"
    locked.chmod(0)
    os.mkfifo(pipe := tmp_path / "pipe.yaml")
    with large.open("wb") as file:
        file.truncate(2 * 1024**3)
    calls = {
        **{name: proposal(written(name, text), (says,)) for name, (text, says) in TEXTS.items()},
        **{
            name: proposal(written(name, yaml.safe_dump(good | changes, allow_unicode=True)), says)
            for name, (changes, says) in TERMS.items()
        },
        "no file": proposal(str(tmp_path / "none.yaml"), ("none.yaml", "No such file")),
        "a folder for a file": proposal(str(tmp_path), ("directory",)),
        "a file that may not be read": Call(
            words=("permit", "propose", str(locked), "--issuer", "Board"), code=2, says=("not readable",)
        ),
        "a pipe": proposal(str(pipe), ("not a regular file",)),
        "a file of 2 GiB": proposal(str(large), ("larger than",)),
        "a picture": proposal(written("picture", "\x89PNG\0\0"), ("yaml",)),
        "an issuer with a bell": proposal(right, ("issuer",), f"Board{BELL}"),
        "an issuer turned around": proposal(right, ("issuer", "one line"), TURNED),
        "a kind of several words": proposal(right, ("kind",), "Board", "--kind", "Data Permit!"),
    }
    shell.refusals(calls)


def test_a_wrong_word_about_a_permit_tells_who_may_and_what_is_there(
    people: Company, shell: Terminal, tmp_path: Path
) -> None:
    at, permit = At(people), people.seeded.permit
    terms = tmp_path / "terms.yaml"
    terms.write_text(yaml.safe_dump(people.terms("researcher-a")))
    calls = {
        "nobody": Call(words=("permit", "list"), code=3, says=("SPE_URL and SPE_TOKEN", "spe login")),
        "a token that is none": Call(
            words=("permit", "list"), code=3, says=("Sign in",), env=at("board-a") | {"SPE_TOKEN": "spe_nobody"}
        ),
        "an address that is none": Call(
            words=("permit", "list"), code=2, says=("SPE_URL", "http://"), env=at("board-a") | {"SPE_URL": "portal"}
        ),
        "no portal": Call(
            words=("permit", "list"),
            code=6,
            says=("does not answer", "spe doctor"),
            env=at("board-a") | {"SPE_URL": "http://127.0.0.1:1"},
        ),
        "an unknown permit": Call(
            words=("permit", "show", "pm-abcdefghjkmnpqrs"), code=5, says=("no such thing", "Check"), env=at("board-a")
        ),
        "an id that is none": Call(
            words=("permit", "show", "../../people"), code=2, says=("not an id", "list"), env=at("board-a")
        ),
        "an id with a line in it": Call(
            words=("permit", "show", "pm-a\nb"), code=2, says=("not an id", "list"), env=at("board-a")
        ),
        "an id with a query": Call(
            words=("permit", "confirm", "ch-a?b"), code=2, says=("not an id", "list"), env=at("board-a")
        ),
        "an unknown change": Call(
            words=("permit", "confirm", "ch-abcdefghjkmnpqrs"), code=5, says=("no such thing",), env=at("board-b")
        ),
        "a reason of blanks": Call(
            words=("permit", "suspend", permit, "--reason", " ", "-y"), code=4, says=("reason",), env=at("board-a")
        ),
        "a researcher proposes": Call(
            words=("permit", "propose", str(terms), "--issuer", "Me"),
            code=4,
            says=("role does not include", "operator can tell"),
            env=at("researcher-a"),
        ),
        "an unknown option": Call(words=("permit", "list", "--all"), code=2, says=("--all",)),
        "an unknown command": Call(words=("permits",), code=2, says=("permits",)),
    }
    shell.refusals(calls)


# --- datasets -----------------------------------------------------------------------------------------------


def wrong_folders(root: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Folders that are no datasets: name → (path, what the refusal says)."""
    outside = root / "outside.csv"
    outside.write_text("id\n1\n")

    def folder(name: str) -> Path:
        made = root / name.replace(" ", "-")
        made.mkdir()
        (made / "good.csv").write_text("a\n1\n")
        return made

    (folder("link out") / "way-out.csv").symlink_to(outside)
    (folder("link to a folder") / "way-out").symlink_to(root)
    (folder("link in") / "way-in.csv").symlink_to("good.csv")
    (folder("link to nothing") / "loose").symlink_to("nowhere")
    os.mkfifo(folder("pipe") / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        here = Path.cwd()
        os.chdir(folder("socket"))
        door.bind("door")
        os.chdir(here)
    (folder("bell") / f"a{BELL}.csv").write_text("a")
    (folder("newline") / "a\nb.csv").write_text("a")
    (folder("turned") / f"a{TURNED}").write_text("a")
    (folder("not text") / os.fsdecode(b"\xff\xfe.csv")).write_text("a")
    (folder("locked") / "locked.csv").touch(0)
    (folder("locked folder") / "inner").mkdir(0)
    (folder("empty") / "good.csv").unlink()
    (root / "linked-folder").symlink_to(folder("right"))
    regular, mend = "regular files only", "Copy the file itself"
    table = {
        "link out": ("way-out.csv", "symbolic link", regular, mend),
        "link to a folder": ("way-out", "symbolic link", regular, mend),
        "link in": ("way-in.csv", "symbolic link", regular, mend),
        "link to nothing": ("loose", "symbolic link", regular, mend),
        "pipe": ("pipe", "not a regular file", regular),
        "socket": ("door", "not a regular file", regular),
        "bell": (r"\x07", "control characters", "rename the file"),
        "newline": (r"\n", "control characters", "rename the file"),
        "turned": (r"\u202e", "control characters", "rename the file"),
        "not text": (r"\udcff", "control characters", "rename the file"),
        "locked": ("locked.csv cannot be read", "Permission denied", "Mend its rights"),
        "locked folder": ("inner cannot be read", "Permission denied", "Mend its rights"),
        "empty": ("holds no files", "put the dataset's files there"),
        "linked folder": ("is a link", "name the folder itself"),
        "nowhere": ("No such file",),
    }
    return {name: (str(root / name.replace(" ", "-")), says) for name, says in table.items()} | {
        "a file": (str(outside), ("not a folder", "name the folder")),
        "devices": ("/dev", ("folder:",)),
        "a name with a bell": (f"{root}/a{BELL}", ("whole path",)),
    }


def test_a_folder_that_is_no_dataset_is_refused_with_the_name_of_what_is_wrong(
    people: Company, shell: Terminal, tmp_path: Path
) -> None:
    at = At(people)

    def register(folder: str, says: tuple[str, ...], *more: str, title: str = "Title", code: int = 2) -> Call:
        words = ("dataset", "register", folder, "--title", title, "--holder", "Holder", *more)
        return Call(words=words, code=code, says=says, env=at("operator"))

    calls = {name: register(folder, (*says, NEXT)) for name, (folder, says) in wrong_folders(tmp_path).items()}
    right, known = str(tmp_path / "right"), people.facts["datasets"][0]
    dataset, _, number = known.partition("/")
    calls |= {
        "a title with a bell": register(right, ("title", "control"), title=f"a{BELL}"),
        "a title turned around": register(right, ("title", "control"), title=TURNED),
        "a description that cleans the screen": register(right, ("description", "control"), "--description", "\x1b[2J"),
        "an unknown policy": register(right, ("disclosure_policy", "choose one of"), "--policy", "none-such"),
        "a number of several words": register(right, ("number", "lower-case"), "--number", "Version 1"),
        "a number that is taken": register(right, ("exists", "new number"), "--dataset", dataset, "--number", number),
        "no profile": register(right, ("profile_file", "cannot be read"), "--profile", str(tmp_path / "none.json")),
        "a profile that is none": register(right, ("profile", "spe dataset profile"), "--profile", right + "/good.csv"),
        "a dataset nobody registered": register(right, ("dataset",), "--dataset", "ds-abcdefghjkmnpqrs"),
        "verify what is not there": Call(
            words=("dataset", "verify", "ds-abcdefghjkmnpqrs/1"), code=5, says=("no such thing",), env=at("operator")
        ),
        "a member of the board registers": Call(
            words=calls["bell"].words, code=4, says=("role does not include", "operator can tell"), env=at("board-a")
        ),
    }
    shell.refusals(calls)


# --- checks and receipts, on a machine of one's own ---------------------------------------------------------


def test_what_cannot_be_checked_or_verified_is_told(people: Company, shell: Terminal, tmp_path: Path) -> None:
    release = people.desk("researcher-a").get("/releases")["items"]
    print(len(release), "releases")
    garbage = {
        "nothing": b"",
        "noise": bytes(range(256)),
        "a list": b"[]",
        "nested": b"[" * 100_000,
        "another kind": b'{"schema": "spe.report/1"}',
        "numbers that are none": b'{"schema": NaN}',
    }
    (tmp_path / "spe-keys.json").write_text(json.dumps(people.desk("auditor").get("/audit/keys")))
    calls = {}
    for name, data in garbage.items():
        (tmp_path / name).write_bytes(data)
        calls[f"receipt: {name}"] = Call(
            words=("receipt", "verify", str(tmp_path / name)), code=1, says=("not genuine",)
        )
        calls[f"keys: {name}"] = Call(
            words=("receipt", "verify", str(tmp_path / "noise"), "--key", str(tmp_path / name)),
            code=2,
            says=("spe.keys/1",),
        )
        calls[f"profile: {name}"] = Call(
            words=("check", str(tmp_path), "--dataset", str(tmp_path / name)), code=2, says=("dataset",)
        )
    shell.refusals(calls)


# --- outputs, from inside a notebook ------------------------------------------------------------------------

OUTPUTS: dict[str, tuple[str, ...]] = {
    "2 GiB": ("large.csv", "512 MiB", "smaller"),
    "link": ("link.csv", "link", "copy the file itself"),
    "link to a folder": ("inner", "link", "copy the file itself"),
    "pipe": ("pipe", "special file", "copy the file itself"),
    "too many": ("52 files", "50", "split"),
    "bell": (r"a\x07.csv", "rename"),
    "newline": (r"a\nb.csv", "rename"),
    "turned": (r"a\u202egnp.exe", "rename"),
    "not text": (r"\udcff", "rename"),
    "backslash": ("b.csv", "rename"),
    "too deep": ("d/d/", "rename"),
    "empty": ("no files", "save the outputs there"),
    "locked": ("locked.csv", "permission denied", "mend its rights"),
    "no purpose": ("purpose",),
    "not YAML": ("not YAML", "line"),
    "nested": ("not YAML",),
    "a list": ("purpose", "outputs", "guide"),
    "unknown key": ("two keys", "guide"),
    "unknown key of an output": ("name", "not permitted"),
    "unknown kind": ("kind", "frequency-table"),
    "no such output": ("other.csv", "no such file", "egress.yaml"),
    "no path": ("path", "required"),
    "population": ("population", "integer"),
    "a purpose of two kinds": ("purpose", "one sentence"),
    "a purpose with a bell": ("control", "remove"),
    "a date": ("purpose", "one sentence"),
    "no number": ("population",),
    "nowhere": ("not a folder", "name the folder"),
}
COMMANDS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "2 GiB": (2, 20, ("large.csv",)),
    "link": (2, 20, ("link.csv",)),
    "pipe": (2, 20, ("pipe",)),
    "too many": (2, 20, ("files",)),
    "newline": (2, 20, (r"a\nb.csv",)),
    "not YAML": (2, 20, ("YAML",)),
    "no such output": (2, 20, ()),
    "empty": (2, 2, ("no file",)),
    "nowhere": (2, 2, ("folder",)),
}
"""Exit status of `spe egress submit` and of `spe check`, and what both say."""


def test_outputs_that_cannot_be_submitted_are_refused_before_anything_is_sent(people: Company) -> None:
    workspace, key = people.seeded.workspace, "researcher-a"
    code = f"{inspect.getsource(wrong_outputs)}\nimport json\nprint(json.dumps(everything({list(COMMANDS)!r})))"

    async def story() -> Any:
        async with people.kernel(workspace, key) as notebook:
            cell = await notebook.run(code)
            await notebook.call("DELETE", f"api/kernels/{notebook.kernel}")
            assert not cell.error, cell.error
            return json.loads(cell.text)

    found = asyncio.run(story())
    wrong = []
    for name, said in found.items():
        print(f"\n# {name}\n>>> spe.notebook.submit(…) -> {said['notebook']['state']}")
        message = " ".join(said["notebook"]["said"])
        print(f"    {message[:400]}")
        wrong += [
            f"{name}: does not say {word!r}: {message[:300]}"
            for word in OUTPUTS[name]
            if word.lower() not in message.lower()
        ]
        if said["notebook"]["state"] != "refused":
            wrong.append(f"{name}: {said['notebook']}")
    for name, (submit, check, says) in COMMANDS.items():
        for words, code in ((("egress", "submit"), submit), (("check",), check)):
            one = Said(words=(*words, name), **found[name][words[-1]])
            print(f"\n# {name}\n{one.transcript()}")
            wrong += [
                f"{name}: {' '.join(words)}: {fault}" for fault in faults(Call(words=(), code=code, says=says), one)
            ]
    assert not wrong, "\n" + "\n".join(wrong)


# --- the API ------------------------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A wrong request to the API: its status, and words of the problem document that it is answered with."""

    path: str
    status: int
    says: tuple[str, ...]
    method: str = "POST"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    by: str = "board-a"


def wrong_requests(good: bytes, permit: str) -> dict[str, Asked]:
    """What programs get wrong; `good` is a proposal that would be taken."""
    deep = b'{"terms": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    huge = {"Content-Length": str(2 * 1024**3)}
    number = b'{"kind": ' + b"9" * 100_000 + b"}"
    once = {**JSON, "Idempotency-Key": "x" * 101}

    def permits(body: bytes, status: int, *says: str, headers: Mapping[str, str] = JSON, by: str = "board-a") -> Asked:
        return Asked(path="/permits", body=body, status=status, says=says, headers=headers, by=by)

    def get(path: str, status: int, *says: str, by: str = "board-a") -> Asked:
        return Asked(method="GET", path=path, status=status, says=says, by=by)

    return {
        "no body": permits(b"", 422, "body", "required"),
        "no JSON": permits(b'{"kind": ', 422, "json"),
        "no text": permits(b"\xff\xfe\x00", 400, "UTF-8"),
        "a list": permits(b"[]", 422, "body"),
        "nothing": permits(b"null", 422, "body"),
        "nested without end": permits(deep, 400, "nesting"),
        "a number without end": permits(number, 400, "endless numbers"),
        "half a character": permits(b'{"kind": "\\ud800"}', 422, "kind"),
        "a form": permits(
            b"kind=data-permit", 422, "body", headers={"Content-Type": "application/x-www-form-urlencoded"}
        ),
        "another type": permits(good, 422, "body", headers={"Content-Type": "text/plain"}),
        "XML": permits(b"<permit/>", 422, headers={"Content-Type": "application/xml"}),
        "too much": permits(b" " * (1024**2 + 1) + good, 413, "1 MiB", "send less"),
        "2 GiB announced": permits(good, 413, "1 MiB", "send less", headers={**JSON, **huge}),
        "a length that is none": permits(good, 400, headers={**JSON, "Content-Length": "-1"}),
        "a key too long": permits(good, 422, "Idempotency-Key", headers=once),
        "nobody": permits(good, 401, "not signed in", "bearer", by=""),
        "another's site": Asked(
            path="/permits",
            body=good,
            status=403,
            says=("another site",),
            by="",
            headers={**JSON, "Origin": "http://x.invalid"},
        ),
        "an unknown method": Asked(method="DELETE", path=f"/permits/{permit}", status=405, says=("method",)),
        "an unknown verb": Asked(path=f"/permits/{permit}:grant", status=405, says=()),
        "an unknown address": get("/permit", 404, "no such thing"),
        "an id that is none": get("/permits/%2e%2e%2fpeople", 404, "no such thing"),
        "an id with a zero byte": get("/permits/pm-%00", 404, "no such thing"),
        "an id that is no text": get("/permits/%ff%fe", 404, "no such thing"),
        "an id without end": get("/permits/" + "p" * 5000, 422, "permit", "40"),
        "a page size that is none": get("/permits?page_size=many", 422, "page_size"),
        "a page size below nothing": get("/permits?page_size=-1", 422, "page_size"),
        "a page token that is none": get("/permits?page_token=%00", 422, "page_token"),
        "a version that is none": Asked(
            path=f"/permits/{permit}:suspend",
            body=b'{"reason":"x"}',
            status=412,
            says=("changed",),
            headers={**JSON, "If-Match": "7"},
        ),
        "a file into no request": Asked(
            method="PUT",
            path="/egress/eg-abcdefghjkmnpqrs/files/a.csv",
            body=b"x",
            status=404,
            says=(),
            by="researcher-a",
        ),
    }


def test_a_wrong_request_is_answered_with_a_problem_document(people: Company) -> None:
    good = json.dumps({"issuer": "Board", "terms": people.terms("researcher-a")}).encode()
    wrong = []
    for name, asked in wrong_requests(good, people.seeded.permit).items():
        status, kind, text = ask(people, asked)
        print(f"\n# {name}\n{asked.method} {asked.path[:60]} -> {status}\n    {text[:300]}")
        missing = [word for word in asked.says if word.lower() not in text.lower()]
        if status != asked.status or missing or "Traceback" in text:
            wrong.append(f"{name}: {status} instead of {asked.status}, does not say {missing}: {text[:300]}")
        elif kind != "application/problem+json" and status != 400:
            wrong.append(f"{name}: {kind}")
    assert not wrong, "\n" + "\n".join(wrong)
    assert people.desk("board-a").get("/people/me"), "the portal still answers"


def ask(people: Company, asked: Asked) -> tuple[int, str, str]:
    """Status, media type and text of the answer; no client library looks at the request before it is sent."""
    address = urlsplit(people.facts["portal"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.putrequest(asked.method, f"/api/v1{asked.path}")
        given = {"Content-Length": str(len(asked.body))} if asked.body is not None else {}
        bearer = {"Authorization": f"Bearer {people.token(asked.by)}"} if asked.by else {}
        for header, value in (given | bearer | dict(asked.headers)).items():
            connection.putheader(header, value)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(asked.body)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read().decode()
    finally:
        connection.close()
