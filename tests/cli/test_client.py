"""The commands as people run them, against a portal on loopback and a workspace's door; exit codes as documented."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvicorn
import yaml
from starlette.types import ASGIApp, Receive, Scope, Send

from spe.adapters.secrets import ed25519
from spe.cli.api import Desk
from spe.cli.dataset import place_of
from spe.cli.egress import inside_of, judgements_of
from spe.domain.errors import Invalid
from spe.domain.keys import TrustedKeys
from spe.domain.receipt import verify_receipt
from spe.web.app import create_internal, create_public
from spe.web.settings import WebSettings
from tests.support.ground import CLEAN, LEAKING, SECRET, Ground, world

YAML = "purpose: Table 1 of the report\noutputs:\n  - path: t/one.csv\n    title: By arm\n    kind: frequency-table\n"


class Door:
    """What a gate does on the way out: it says which workspace and which person."""

    def __init__(self, app: ASGIApp, ground: Ground) -> None:
        self._app, self._ground = app, ground

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = self._ground.app.house.gate_token(self._ground.workspace_id)
        person = self._ground.id_of("researcher")
        own = [(b"authorization", f"Bearer {token}".encode()), (b"x-spe-person", person.encode())]
        await self._app({**scope, "headers": [*scope["headers"], *own]}, receive, send)


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs `spe` as one of the cast, or inside the workspace."""

    ground: Ground
    url: str
    door: Path
    home: Path

    def outside(self, name: str, *arguments: str, text: str = "", env: Mapping[str, str] | None = None) -> Answer:
        known = {"SPE_URL": self.url, "SPE_TOKEN": self.ground.token(name)} if name else {}
        return self._run(arguments, text, known | dict(env or {}))

    def inside(self, *arguments: str) -> Answer:
        return self._run(arguments, "", {"SPE_DOOR": str(self.door), "SPE_OUTPUTS_DIR": str(self.home / "outputs")})

    def _run(self, arguments, text: str, env: Mapping[str, str]) -> Answer:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SPE_")}
        done = subprocess.run(
            [sys.executable, "-m", "spe.cli.main", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.home,
            env=kept | {"XDG_CONFIG_HOME": str(self.home / "config"), "HOME": str(self.home)} | dict(env),
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path


@contextmanager
def served(app: ASGIApp, *, uds: Path | None = None, bound: socket.socket | None = None) -> Iterator[None]:
    config = uvicorn.Config(app, uds=str(uds) if uds else None, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound] if bound else None})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def settling(ground: Ground) -> Iterator[None]:
    """Carry out what is owed while the block runs, as the loops do."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            ground.settle()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    with a_shell(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_shell(tmp_path_factory) -> Iterator[Shell]:
    with a_shell(tmp_path_factory.mktemp("shell")) as made:
        yield made


@contextmanager
def a_shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "home" / "outputs").mkdir(parents=True)
    (tmp_path / "world").mkdir()
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    web = replace(WebSettings(service_token="h" * 64), portal_url=url, views_url=url.replace("127.0.0.1", "localhost"))
    with world(tmp_path / "world") as ground, tempfile.TemporaryDirectory(prefix="spe-", dir="/tmp") as folder:
        ground.accept("researcher")
        door = Path(folder, "spe.sock")
        public, internal = create_public(ground.app, web), Door(create_internal(ground.app, web), ground)
        with served(public, bound=bound), served(internal, uds=door):
            yield Shell(ground, url, door, tmp_path / "home")


def folder(shell: Shell, name: str, data: bytes, declaration: str = YAML) -> str:
    shell.write(f"outputs/{name}/t/one.csv", data)
    if declaration:
        shell.write(f"outputs/{name}/egress.yaml", declaration)
    return name


def test_a_clean_folder_is_submitted_and_checked(shell):
    with settling(shell.ground):
        done = shell.inside("egress", "submit", folder(shell, "clean", CLEAN))
    assert done.code in (0, 10), done.err
    found = done.json
    assert (found["state"], [o["path"] for o in found["outputs"]]) == ("in-review", ["t/one.csv"])
    assert found["outputs"][0]["declaration"]["title"] == "By arm"
    assert "1 of 1: t/one.csv" in done.err
    assert shell.ground.request(found["id"]).author == shell.ground.id_of("researcher")


def test_a_leaking_folder_is_blocked_with_its_findings(shell):
    with settling(shell.ground):
        done = shell.inside("egress", "submit", folder(shell, "leaking", LEAKING))
    assert done.code == 20
    assert done.json["state"] == "blocked"
    assert "block" in done.err
    assert "Change the files" in done.err
    again = shell.inside("egress", "status", done.json["id"])
    assert (again.code, again.json["verdict"]) == (0, "block")
    assert [r["id"] for r in shell.inside("egress", "list").json] == [done.json["id"]]


def test_without_waiting_the_request_is_handed_over(shell):
    done = shell.inside("egress", "submit", folder(shell, "clean", CLEAN), "--no-wait")
    assert (done.code, done.json["state"]) == (0, "submitted")


def test_checks_that_take_too_long_are_told_apart_from_a_verdict(shell):
    done = shell.inside("egress", "submit", folder(shell, "clean", CLEAN), "--seconds", "1")
    assert done.code == 6
    assert "have not finished" in done.err


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda s: None, "not a folder"),
        (lambda s: (s.home / "outputs" / "x").mkdir(), "holds no files"),
        (lambda s: folder(s, "x", CLEAN, ""), "what the outputs are for"),
        (lambda s: folder(s, "x", CLEAN, "purpose: [\n"), "is not YAML"),
        (lambda s: folder(s, "x", CLEAN, "purpose: p\nstate: released\n"), "two keys"),
        (lambda s: folder(s, "x", CLEAN, "purpose: p\noutputs: [1]\n"), "is a list"),
        (lambda s: folder(s, "x", CLEAN, "purpose: p\noutputs:\n  - path: t/one.csv\n    kind: song\n"), "kind"),
        (lambda s: folder(s, "x", CLEAN, "purpose: p\noutputs:\n  - path: other.csv\n"), "no such file"),
    ],
)
def test_a_folder_that_cannot_be_submitted_is_told_and_nothing_waits(shell, make, sentence):
    make(shell)
    done = shell.inside("egress", "submit", "x")
    assert done.code == 2, done.err
    assert sentence in done.err
    states = {r["state"] for r in shell.inside("egress", "list").json}
    assert states <= {"withdrawn"}


@pytest.mark.parametrize("kind", ["link", "folder-link", "pipe", "socket"])
def test_links_and_special_files_are_refused_by_name(shell, kind):
    folder(shell, "x", CLEAN)
    odd = shell.home / "outputs" / "x" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made, tempfile.TemporaryDirectory(prefix="spe-", dir="/tmp") as near:
            made.bind(f"{near}/s")
            os.rename(f"{near}/s", odd)
    else:
        odd.symlink_to("/etc/hostname" if kind == "link" else "/etc")
    done = shell.inside("egress", "submit", "x")
    assert done.code == 2
    assert "odd is a link or a special file" in done.err
    assert shell.inside("egress", "list").json == []


def test_a_file_that_is_too_large_is_refused_before_anything_is_sent(shell):
    folder(shell, "x", CLEAN)
    with (shell.home / "outputs" / "x" / "huge.bin").open("wb") as file:
        file.truncate(2 * 1024**3)
    done = shell.inside("egress", "submit", "x")
    assert done.code == 2
    assert "512 MiB" in done.err
    assert shell.inside("egress", "list").json == []


def test_leftovers_of_the_notebook_editor_are_left_out(shell):
    folder(shell, "x", CLEAN)
    shell.write("outputs/x/.ipynb_checkpoints/one-checkpoint.csv", LEAKING)
    done = shell.inside("egress", "submit", "x", "--no-wait")
    assert [o["path"] for o in done.json["outputs"]] == ["t/one.csv"]


def test_a_refusal_inside_has_its_reason_and_code(shell):
    ground = shell.ground
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="An incident.", by=ground.by("board"))
    done = shell.inside("egress", "submit", folder(shell, "clean", CLEAN))
    assert done.code == 4
    assert "suspended" in done.err


def test_a_silent_gate_is_told_apart_from_a_refusal(shared_shell):
    done = shared_shell._run(("secret", "get", SECRET), "", {"SPE_DOOR": str(shared_shell.home / "nobody.sock")})
    assert done.code == 6
    assert "does not answer" in done.err


def test_a_secret_is_borrowed_inside_and_another_is_refused(shared_shell):
    assert shared_shell.inside("secret", "get", SECRET).out == "value-of-the-registry-key\n"
    other = shared_shell.inside("secret", "get", "other")
    assert (other.code, other.out) == (4, "")
    assert "does not list" in other.err


def test_the_permit_is_shown_inside_without_naming_it(shared_shell):
    assert shared_shell.inside("permit", "show").json["id"] == shared_shell.ground.permit_id


def test_the_python_call_does_the_same_and_needs_the_standard_library_only(shell):
    folder(shell, "clean", CLEAN)
    program = (
        "import sys, spe.notebook\n"
        "heavy = {m.partition('.')[0] for m in sys.modules} & {'httpx2', 'pydantic', 'typer', 'yaml', 'fastapi'}\n"
        "assert not heavy, heavy\n"
        "found = spe.notebook.submit('clean', wait_seconds=0)\n"
        "print(found['state'], spe.notebook.secret(sys.argv[1]))\n"
    )
    env = {"SPE_DOOR": str(shell.door), "SPE_OUTPUTS_DIR": str(shell.home / "outputs"), "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", program, SECRET], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "submitted value-of-the-registry-key\n", done.stderr


def test_a_permit_is_proposed_from_a_file_confirmed_amended_and_revoked(shell):
    ground = shell.ground
    assert ground.dataset is not None
    terms = {
        "title": "T",
        "purpose": "P",
        "people": [ground.id_of("outsider")],
        "datasets": [ground.dataset.key],
        "starts": "2020-01-01T00:00:00Z",
        "ends": "2099-01-01T00:00:00Z",
    }
    file = str(shell.write("terms.yaml", yaml.safe_dump(terms)))
    proposed = shell.outside("board", "permit", "propose", file, "--issuer", "Board")
    assert proposed.code == 0, proposed.err
    permit, change = proposed.json["id"], proposed.json["pending"][0]["id"]
    assert f"spe permit confirm {change}" in proposed.err
    own = shell.outside("board", "permit", "confirm", change)
    assert own.code == 4
    assert "another member of the board" in own.err
    assert shell.outside("board2", "permit", "confirm", change).json["state"] == "active"
    shorter = str(shell.write("terms.yaml", yaml.safe_dump(terms | {"ends": "2090-01-01T00:00:00Z"})))
    asked = shell.outside("board", "permit", "amend", permit, shorter, text="n\n")
    assert asked.code == 1
    assert "Access ends earlier" in asked.err
    assert shell.outside("board", "permit", "amend", permit, shorter, "--yes").json["terms"]["ends"].startswith("2090")
    assert "revoke" not in shell.outside("board", "permit", "preview", permit, "revoke").err
    revoked = shell.outside("board", "permit", "revoke", permit, "--reason", "Misuse.", text="y\n")
    assert revoked.json["state"] == "revoked"
    assert "loses access" in revoked.err


def test_two_checkers_review_by_form_and_the_recipient_fetches_what_was_released(shell):
    ground = shell.ground
    request = ground.submitted({"t/one.csv": CLEAN})
    for checker in ("checker", "checker2"):
        form = yaml.safe_load(shell.outside(checker, "egress", "review", request).out)
        unfilled = shell.outside(checker, "egress", "review", request, str(shell.write("f", yaml.safe_dump(form))))
        assert unfilled.code == 2
        for said in form["outputs"].values():
            said["decision"] = "approve"
            for finding in said["findings"]:
                finding["acknowledged"] = True
        handed = shell.outside(checker, "egress", "review", request, str(shell.write("f", yaml.safe_dump(form))))
        assert handed.code == 0, handed.err
    assert shell.outside("checker2", "egress", "approve", request).code == 0
    ground.settle()
    (release,) = shell.outside("researcher", "egress", "releases").json
    fetched = shell.outside("researcher", "egress", "download", release["id"], "got")
    assert fetched.code == 0, fetched.err
    got = shell.home / "got"
    assert (got / "t" / "one.csv").read_bytes() == CLEAN
    keys = TrustedKeys.read((got / "spe-keys.json").read_bytes())
    receipt = (got / f"receipt-{release['id']}.json").read_bytes()
    assert verify_receipt(receipt, keys, ed25519.verify).manifest.request == request
    again = shell.outside("researcher", "egress", "download", release["id"], "got")
    assert again.code == 2
    assert "is there already" in again.err
    verified = shell.outside("", "receipt", "verify", str(got / f"receipt-{release['id']}.json"), "--files", str(got))
    assert verified.code == 0, verified.err
    assert shell.outside("checker3", "egress", "recall", release["id"], "--reason", "Wrong table.").code == 0
    assert shell.outside("researcher", "egress", "download", release["id"], "more").code == 4


def test_a_form_for_what_was_replaced_meanwhile_is_stale(shell):
    ground = shell.ground
    request = ground.submitted()
    form = yaml.safe_load(shell.outside("checker", "egress", "review", request).out)
    for said in form["outputs"].values():
        said["decision"], said["reason"] = "reject", "No."
    ground.review(request, "checker2")
    ground.review(request, "checker3")
    ground.app.reviews.conclude(request, "return", reason="Again.", by=ground.by("checker2"))
    ground.app.egress.submit(request, by=ground.by("researcher"))
    ground.settle()
    late = shell.outside("checker", "egress", "review", request, str(shell.write("f", yaml.safe_dump(form))))
    assert late.code == 7


def test_a_dataset_and_a_secret_are_managed_by_an_operator(shell):
    shell.write("data/a.csv", "a\n1\n")
    made = shell.outside("operator", "dataset", "register", "data", "--title", "T", "--holder", "H", "--number", "2.0")
    assert made.code == 0, made.err
    assert shell.outside("operator", "dataset", "verify", made.json["key"]).code == 0
    shell.write("data/a.csv", "a\n2\n")
    changed = shell.outside("operator", "dataset", "verify", made.json["key"])
    assert changed.code == 4
    assert "not what was approved" in changed.err
    assert shell.outside("operator", "secret", "put", "new-key", text="the value\n").code == 0
    assert shell.outside("operator", "secret", "list").out.split() == ["new-key", SECRET]


@pytest.mark.parametrize(
    "source", ["hostPath:/srv/cohort", "nfs://files.example.org/cohort", "csi:s3.example.org/a//b", "s3://bucket/x"]
)
def test_the_name_of_a_volume_reaches_the_server_as_it_is(source):
    assert place_of(source) == source


@pytest.mark.parametrize("source", ["data", "./data", "/srv/data", "data:2024/a", "hostPath/x"])
def test_a_path_reaches_the_server_whole(source):
    assert place_of(source) == str(Path(source).absolute())


def test_a_volume_is_refused_here_with_the_servers_own_sentence(shell):
    made = shell.outside("operator", "dataset", "register", "nfs://f/x", "--title", "T", "--holder", "H")
    assert made.code == 2
    assert "Give the whole path on the server" in made.err


def test_the_audit_log_is_listed_exported_and_verified_offline(shell):
    listed = shell.outside("auditor", "audit", "list", "--event", "permit.", "--limit", "3").json
    assert len(listed) == 3
    assert shell.outside("auditor", "audit", "verify").code == 0
    note = shell.outside("auditor", "audit", "checkpoints").json[-1]["note"]
    assert shell.outside("auditor", "audit", "export", "pack.zip").code == 0
    kept = str(shell.write("kept.txt", note))
    whole = shell.outside("", "audit", "verify", "--pack", "pack.zip", "--seen", kept)
    assert whole.code == 0, whole.err
    damaged = _repacked(shell, lambda name, data: data.replace(b"permit.proposed", b"permit.proposer", 1))
    assert shell.outside("", "audit", "verify", "--pack", damaged).code == 1
    assert shell.outside("auditor", "audit", "export", "part.zip", "--subject", shell.ground.permit_id).code == 0
    part = shell.outside("", "audit", "verify", "--pack", "part.zip")
    assert part.code == 2
    assert "one object" in part.err
    assert shell.outside("", "audit", "verify", "--pack", kept).code == 2


def _repacked(shell: Shell, change) -> str:
    import zipfile

    with zipfile.ZipFile(shell.home / "pack.zip") as old, zipfile.ZipFile(shell.home / "bad.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)) if name == "entries.jsonl" else old.read(name))
    return "bad.zip"


def test_a_session_is_opened_and_closed(shell):
    ground = shell.ground

    def ready() -> None:
        deadline = time.monotonic() + 30
        while not ground.hub.asked and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in ground.app.sessions.progress(ground.workspace_id, by=ground.by("researcher")):
            pass

    hub = threading.Thread(target=ready)
    hub.start()
    opened = shell.outside("researcher", "workspace", "open", ground.workspace_id)
    hub.join()
    assert (opened.code, opened.json["state"]) == (0, "running")
    assert opened.json["url"].endswith("/lab")
    assert shell.outside("researcher", "workspace", "close", ground.workspace_id).code == 0
    refused = shell.outside("outsider", "workspace", "open", ground.workspace_id)
    assert refused.code == 5


def test_login_keeps_a_token_for_its_owner_only(shell):
    token = shell.ground.token("auditor")
    done = shell.outside("", "login", shell.url, text=token + "\n")
    assert done.code == 0, done.err
    assert "Auditor" in done.out
    (kept,) = (shell.home / "config").rglob("login.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert shell.outside("", "audit", "verify").code == 0
    wrong = shell.outside("", "login", shell.url, text="spe_token_wrong\n")
    assert wrong.code == 3


@pytest.mark.parametrize(
    ("env", "code"),
    [
        ({}, 3),
        ({"SPE_URL": "{url}", "SPE_TOKEN": "wrong"}, 3),
        ({"SPE_URL": "http://127.0.0.1:9", "SPE_TOKEN": "x"}, 6),
        ({"SPE_URL": "nonsense", "SPE_TOKEN": "x"}, 2),
    ],
)
def test_an_address_or_token_that_is_wrong_has_its_own_exit_code(shared_shell, env, code):
    given = {name: value.replace("{url}", shared_shell.url) for name, value in env.items()}
    done = shared_shell.outside("", "permit", "list", env=given)
    assert done.code == code, done.err
    assert done.err.strip()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("permit", "show", "pm-aaaaaaaaaaaaaaaa"), 5),
        (("permit", "confirm", "ch-aaaaaaaaaaaaaaaa"), 4),
        (("permit", "propose", "/nowhere.yaml", "--issuer", "B"), 2),
        (("audit", "list"), 4),
        (("egress", "submit", "x"), 2),
        (("no-such-noun",), 2),
    ],
)
def test_exit_codes_are_as_documented(shared_shell, arguments, code):
    assert shared_shell.outside("outsider", *arguments).code == code


def test_lists_come_whole_however_long(shell, monkeypatch):
    made = [shell.ground.draft({f"{n}.csv": CLEAN}) for n in range(5)]
    monkeypatch.setattr("spe.cli.api.PAGE", 2)
    desk = Desk(shell.url, shell.ground.token("researcher"))
    assert [r["id"] for r in desk.all("/egress")] == made
    desk.close()


def test_yaml_and_tables_are_given_when_asked_for(shared_shell):
    assert (
        yaml.safe_load(shared_shell.outside("board", "permit", "list", "-o", "yaml").out)[0]["id"]
        == shared_shell.ground.permit_id
    )
    table = shared_shell.outside("board", "permit", "list", "-o", "table").out
    assert shared_shell.ground.permit_id in table
    assert not table.startswith("[")


def test_words_of_a_server_cannot_steer_the_terminal(shell):
    ground = shell.ground
    terms = ground.terms("researcher", title="[red]not markup[/red]")
    ground.app.permits.propose(kind="data-permit", issuer="[bold]Board", terms=terms, by=ground.by("board"))
    table = shell.outside("board", "permit", "list", "-o", "table", env={"COLUMNS": "300"}).out
    assert "[bold]Board" in table


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a//b", "", ".", "a\\..\\b"])
def test_a_released_path_is_never_written_outside_the_folder(tmp_path, path):
    with pytest.raises(Invalid):
        inside_of(tmp_path, path)


@pytest.mark.parametrize("filled", [{}, {"outputs": {}}, {"outputs": {"a": {"decision": "yes"}}}, {"outputs": [1]}])
def test_a_form_that_decides_nothing_is_refused(filled):
    with pytest.raises(Invalid):
        judgements_of(filled)
