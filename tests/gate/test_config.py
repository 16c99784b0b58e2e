"""The two JSON files of a gate: every wrong field is named, nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import pytest

from spe.domain.errors import Invalid
from spe.gate.config import load_gate, load_session, parse_gate, parse_session
from spe.gate.portal import FOREVER, Word, read_entitlement

GATE: dict[str, Any] = {
    "workspace": "ws-1",
    "permit": "pm-1",
    "token": "t" * 32,
    "portal": "/run/spe/internal.sock",
    "hub": "http://127.0.0.1:8081",
    "mirror": None,
    "assets": {"lab": "/opt/share/jupyter/lab", "server": "/opt/jupyter_server/static"},
    "state": "/home/spe/state",
    "deadline_seconds": 30,
    "public_origins": ["http://localhost:8000"],
    "portal_url": "http://127.0.0.1:9000",
}
SESSION: dict[str, Any] = {
    "person": "p-ada",
    "name": "Ada Lovelace",
    "base_url": "/user/p-ada/ws-1/",
    "notebook": "/run/spe/n/nb.sock",
    "door": "/run/spe/d",
    "daily_bytes": 1000,
    "message_bytes": 4096,
    "terminals": False,
    "expires": "2030-01-01T00:00:00Z",
}


def test_a_complete_gate_file_is_read() -> None:
    gate = parse_gate(GATE)
    assert gate.public_hosts == {"localhost:8000"}
    assert not gate.secure
    assert gate.assets.extensions == Path("/opt/share/jupyter/labextensions")


def test_a_complete_session_file_is_read() -> None:
    session = parse_session(SESSION, workspace="ws-1")
    assert session.expires == 1893456000.0
    assert session.message_families == frozenset()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workspace", "WS/1"),
        ("workspace", None),
        ("token", "short"),
        ("token", "t" * 32 + "\r\nX: y"),
        ("portal", "relative.sock"),
        ("portal", "/" + "a" * 120),
        ("hub", "ftp://x"),
        ("hub", "http://user@host"),
        ("hub", 7),
        ("mirror", "/path"),
        ("mirror_names", ["NumPy"]),
        ("assets", {"lab": "/x"}),
        ("assets", {"lab": "/x", "server": "/y", "other": "/z"}),
        ("state", "/a/../b"),
        ("deadline_seconds", 0),
        ("deadline_seconds", True),
        ("public_origins", []),
        ("public_origins", ["http://*"]),
        ("public_origins", ["http://localhost:8000/"]),
        ("public_origins", ["localhost"]),
        ("unknown", 1),
    ],
)
def test_a_wrong_gate_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        parse_gate({**GATE, field: value})
    assert field in caught.value.fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("person", "../p"),
        ("name", "A\nB"),
        ("name", "a" * 201),
        ("base_url", "/user/p-bob/ws-1/"),
        ("base_url", "/user/p-ada/ws-2/"),
        ("notebook", "nb.sock"),
        ("door", "/" + "d" * 100),
        ("daily_bytes", -1),
        ("daily_bytes", 1.5),
        ("daily_bytes", True),
        ("message_bytes", 10),
        ("terminals", "no"),
        ("expires", "2030-01-01T00:00:00"),
        ("expires", 1893456000),
        ("message_families", ["everything"]),
        ("unknown", 1),
    ],
)
def test_a_wrong_session_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        parse_session({**SESSION, field: value}, workspace="ws-1")
    assert field in caught.value.fields


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        parse_gate({})
    assert {"workspace", "permit", "token", "portal", "hub", "assets", "state"} <= set(caught.value.fields)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 5000])
def test_a_file_that_is_not_an_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "gate.json").write_text(text)
    with pytest.raises(Invalid):
        load_gate(tmp_path / "gate.json")


def test_a_session_file_carries_the_name_of_its_person(tmp_path: Path) -> None:
    (tmp_path / "p-bob.json").write_text(json.dumps(SESSION))
    with pytest.raises(Invalid):
        load_session(tmp_path / "p-bob.json", workspace="ws-1")


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (200, b'{"entitled": true}', Word.YES),
        (200, b'{"entitled": true, "until": "2030-01-01T00:00:00Z"}', Word.YES),
        (200, b'{"entitled": false}', Word.NO),
        (200, b'{"entitled": "true"}', Word.NO),
        (200, b'{"entitled": 1}', Word.NO),
        (200, b"{}", Word.SILENCE),
        (200, b"[]", Word.SILENCE),
        (200, b"null", Word.SILENCE),
        (200, b"not json", Word.SILENCE),
        (200, b'{"entitled": true, "until": "soon"}', Word.SILENCE),
        (401, b"", Word.NO),
        (403, b'{"entitled": true}', Word.NO),
        (404, b"", Word.NO),
        (302, b'{"entitled": true}', Word.SILENCE),
        (500, b'{"entitled": true}', Word.SILENCE),
        (503, b"", Word.SILENCE),
    ],
)
def test_only_a_plain_yes_is_a_yes(status: int, body: bytes, word: Word) -> None:
    assert read_entitlement(status, body).word is word


@pytest.mark.parametrize(
    ("said", "told"),
    [('"Stopped."', "Stopped."), ('"a\\nb"', "a b"), ("7", ""), ("null", ""), (f'"{"x" * 400}"', "x" * 300)],
)
def test_the_reason_of_a_no_is_one_line(said: str, told: str) -> None:
    assert read_entitlement(200, f'{{"entitled": false, "reason": {said}}}'.encode()).reason == told


def test_a_yes_without_an_end_is_bounded_by_the_deadline_alone() -> None:
    assert read_entitlement(200, b'{"entitled": true, "until": null}').until == FOREVER
