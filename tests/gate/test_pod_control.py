"""Who a gate in a pod is, who may tell it what to do, and how what it was told is replaced and kept."""

import asyncio
import io
import json
import os
import stat
import subprocess
import sys
from typing import Any

import aiohttp
import pytest

from tests.gate.pods import ACCOUNT_TOKEN, CONTROL, DOOR, INBOUND, Cluster, cluster
from tests.gate.support import COOKIE, OTHER, PERSON, TOKEN, WORKSPACE, until

ADA, BOB, SOMEBODY = 10, 11, 77


def run(story: Any) -> Any:
    return asyncio.run(story)


# who it is


async def _answers(around: Cluster) -> bool:
    try:
        return (await around.control("GET", "/status"))[0] in {200, 503}
    except (aiohttp.ClientError, OSError):
        return False


async def _unnamed(around: Cluster, asked: int = 2) -> list[int]:
    """What every port says while nobody has said who this gate is."""
    around.spawn()
    await until(lambda: _answers(around))
    await until(lambda: len(around.portal.shown) >= asked)
    document = {"gate": around.gate(), "sessions": []}
    return [
        (await around.control("PUT", "/configuration", document))[0],
        (await around.control("GET", "/status"))[0],
        (await around.ask(ADA, DOOR, "GET", "/hello"))[0],
        (await around.ask(ADA, DOOR, "GET", "/workspace/permit"))[0],
        (await around.check()),
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 409])
def test_a_gate_that_the_portal_does_not_recognise_stays_shut_and_asks_again(status: int) -> None:
    async def story() -> Any:
        async with cluster(start=False) as around:
            around.portal.hello_status = status
            shut = await _unnamed(around)
            around.portal.hello_status = 200
            await until(around.is_named)
            return shut, set(around.portal.shown), around.lines("hello-failed"), around.log()

    shut, shown, failed, log = run(story())
    assert shut == [503] * 5
    assert shown == {f"Bearer {ACCOUNT_TOKEN}"}
    assert f"status {status}" in failed[0]["reason"]
    assert ACCOUNT_TOKEN not in log
    assert TOKEN not in log


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"workspace": WORKSPACE},
        {"workspace": "../x", "token": TOKEN},
        {"workspace": WORKSPACE, "token": "short"},
        {"workspace": WORKSPACE, "token": TOKEN + "\r\nX: y"},
        {"workspace": WORKSPACE, "token": TOKEN, "more": 1},
        {"workspace": "x" * 100_000, "token": TOKEN},
    ],
)
def test_a_wrong_answer_names_nobody(answer: Any) -> None:
    async def story() -> Any:
        async with cluster(start=False) as around:
            around.portal.hello = answer
            shut = await _unnamed(around)
            around.portal.hello = {"workspace": WORKSPACE, "token": TOKEN}
            await until(around.is_named)
            return shut

    assert run(story()) == [503] * 5


def test_a_slow_hello_keeps_everything_shut_meanwhile() -> None:
    async def story() -> Any:
        async with cluster(start=False) as around:
            around.portal.hello_hangs = True
            shut = await _unnamed(around, asked=1)
            around.portal.hello_hangs = False
            await until(around.is_named)
            return shut

    assert run(story()) == [503] * 5


def test_the_account_token_is_read_anew_for_each_question() -> None:
    async def story() -> Any:
        async with cluster(start=False) as around:
            (around.root / "token").unlink()
            around.spawn()
            await until(lambda: _answers(around))
            await until(lambda: around.lines("hello-failed"))
            (around.root / "token").write_text("another-token-of-the-account")
            await until(around.is_named)
            return around.portal.shown

    assert run(story()) == ["Bearer another-token-of-the-account"]


def test_without_its_settings_it_does_not_start() -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SPE_GATE")}
    given = [{}, {"SPE_GATE_PORTAL": "http://127.0.0.2:9001", "SPE_GATE_STATE": "relative", "SPE_GATE_RUN": "/x"}]
    for more in given:
        done = subprocess.run(
            [sys.executable, "-m", "spe.gate", "--pod"],
            capture_output=True,
            text=True,
            timeout=60,
            env={**known, **more},
        )
        assert done.returncode == 2
        assert "SPE_GATE_STATE: must be an absolute path" in json.loads(done.stderr)["reason"]


# who may tell it what to do


@pytest.mark.parametrize(
    "token", [None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ws-2." + "0" * 64, ACCOUNT_TOKEN, "é" * 32]
)
def test_control_hears_nobody_without_this_gates_token(token: str | None) -> None:
    """Somebody in the control plane's namespace, or the gate of another workspace with its own token."""

    async def story() -> Any:
        async with cluster(PERSON) as around:
            before = await around.status()
            document = {"gate": around.gate(), "sessions": []}
            headers = [] if token is None else [("Authorization", f"Bearer {token}".encode().decode("latin-1"))]
            answers = []
            calls = [("PUT", "/configuration"), ("POST", "/cut"), ("GET", "/status"), ("GET", "/hello"), ("GET", "/x")]
            for method, path in calls:
                async with (
                    around.client(SOMEBODY) as http,
                    http.request(
                        method, f"http://{around.host}:{CONTROL}{path}", json=document, headers=dict(headers)
                    ) as said,
                ):
                    answers.append((said.status, await said.json()))
            return answers, before, await around.status(), around.lines("refused"), around.at(SOMEBODY)

    answers, before, after, lines, address = run(story())
    assert answers == [(401, {"error": "Show this gate's token."})] * 5
    assert (before["digest"], before["places"]) == (after["digest"], after["places"])
    assert {(line["door"], line["address"], line["reason"]) for line in lines} == {("control", address, "token")}


@pytest.mark.parametrize(
    "head",
    [
        f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer wrong",
        f"Authorization: Bearer wrong\r\nAuthorization: Bearer {TOKEN}",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: {TOKEN}",
        f"X-Authorization: Bearer {TOKEN}",
        f"Cookie: Authorization=Bearer {TOKEN}",
    ],
)
def test_the_token_counts_in_its_one_place_only(head: str) -> None:
    async def story() -> bytes:
        async with cluster(PERSON) as around:
            reader, writer = await asyncio.open_connection(around.host, CONTROL)
            writer.write(f"GET /status HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
            return line

    assert run(story()).startswith(b"HTTP/1.1 401")


def test_a_body_of_somebody_who_is_not_heard_is_not_read() -> None:
    async def story() -> bytes:
        async with cluster(PERSON) as around:
            reader, writer = await asyncio.open_connection(around.host, CONTROL)
            writer.write(b"PUT /configuration HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{")
            line = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            return line

    assert run(story()).startswith(b"HTTP/1.1 401")


def test_a_body_that_is_too_long_is_refused_and_changes_nothing() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            before = (await around.status())["digest"]
            shown = {"Authorization": f"Bearer {TOKEN}"}
            big = io.BytesIO(b'{"gate": ' + b" " * 3_000_000 + b"}")
            try:
                said = (await around.ask(2, CONTROL, "PUT", "/configuration", data=big, headers=shown))[0]
            except aiohttp.ClientError:
                said = 422  # it was cut off before the answer could be read
            reason = "x" * 100_000
            cut = (await around.control("POST", "/cut", {"person": None, "reason": reason}))[0]
            return said, cut, before, (await around.status())["digest"], (await around.session_of())["may_pass"]

    said, cut, before, after, passes = run(story())
    assert (said, cut) == (422, 422)
    assert before == after
    assert passes


def test_many_silent_connections_of_one_neighbour_leave_room_for_the_portal() -> None:
    async def story() -> int:
        async with cluster(PERSON) as around:
            whence = (around.at(SOMEBODY), 0)
            held = [await asyncio.open_connection(around.host, CONTROL, local_addr=whence) for _ in range(100)]
            said = (await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."}))[0]
            for _, writer in held:
                writer.close()
            return said

    assert run(story()) == 200


# what it is told


def test_before_it_is_told_anything_nobody_passes_and_it_says_so() -> None:
    async def story() -> Any:
        async with cluster() as around:
            around.portal.table[PERSON] = around.at(ADA)
            status = await around.status()
            cut = await around.control("POST", "/cut", {"person": None, "reason": "enough."})
            return (
                status,
                cut[0],
                (await around.get("lab"))[0],
                (await around.call(ADA, "GET", "/workspace/permit"))[0],
                (await around.call(ADA, "GET", "/hello"))[0],
            )

    status, cut, page, door, hello = run(story())
    assert (status["workspace"], status["configured"], status["places"], status["digest"]) == (
        WORKSPACE,
        False,
        [],
        None,
    )
    assert (cut, page, door, hello) == (200, 503, 503, 200)


def test_a_door_that_was_closed_to_everybody_for_a_while_knows_its_browsers_again() -> None:
    async def story() -> Any:
        async with cluster() as around:
            await around.pod(ADA)
            await around.configure(PERSON)
            around.let_in(PERSON)
            before = (await around.get("api/contents/a"))[0]
            await around.configure()
            closed = (await around.get("api/contents/a"))[0]
            around.kill()
            await around.start()
            await around.configure()
            await around.configure(PERSON)
            return before, closed, (await around.get("api/contents/a"))[0]

    assert run(story()) == (200, 404, 200)


def test_whoever_was_left_out_shows_anew_who_uses_the_browser() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await around.pod(ADA)
            around.let_in(PERSON)
            before = (await around.get("api/contents/a"))[0]
            await around.configure(OTHER)
            await around.configure(PERSON, OTHER)
            return before, (await around.get("api/contents/a"))[0]

    assert run(story()) == (200, 403)


def test_a_configuration_is_in_force_when_it_is_answered_and_status_tells_it() -> None:
    async def story() -> Any:
        async with cluster() as around:
            await around.pod(ADA)
            first = await around.configure(PERSON)
            around.let_in(PERSON, OTHER)
            seen = (await around.get("api/contents/a"))[0]
            second = await around.configure(OTHER)
            gone = (await around.get("api/contents/a"))[0]
            return first, seen, second, gone, await around.status()

    first, seen, second, gone, status = run(story())
    assert (first["places"], second["places"], second["removed"]) == ([PERSON], [OTHER], [PERSON])
    assert (seen, gone) == (200, 404)
    assert status["configured"] is True
    assert status["places"] == [OTHER]
    assert status["digest"] == second["digest"] != first["digest"]
    assert [session["person"] for session in status["sessions"]] == [OTHER]


def test_the_same_configuration_again_changes_and_closes_nothing() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            waiting = asyncio.create_task(around.get("api/contents/a"))
            answers = [await around.configure(PERSON) for _ in range(3)]
            return [a["digest"] for a in answers], (await waiting)[0]

    digests, status = run(story())
    assert len(set(digests)) == 1
    assert status == 200


def _changed(around: Cluster, name: str, value: Any) -> dict[str, Any]:
    part, _, field = name.partition(".")
    document: dict[str, Any] = {"gate": around.gate(), "sessions": [around.session(), around.session(OTHER)]}
    if not field:
        document[part] = value
    elif part == "gate":
        document["gate"][field] = value
    else:
        document["sessions"][1][field] = value
    return document


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gate", None),
        ("sessions", {}),
        ("sessions", None),
        ("more", 1),
        ("gate.workspace", "ws-2"),
        ("gate.token", "t" * 32),
        ("gate.portal", "http://127.0.0.9:9001"),
        ("gate.state", "/tmp/elsewhere"),
        ("gate.hub", "ftp://x"),
        ("gate.deadline_seconds", 0),
        ("gate.public_origins", []),
        ("gate.more", 1),
        ("sessions.address", "127.0.0.9"),
        ("sessions.notebook", "/tmp/nb.sock"),
        ("sessions.base_url", f"/user/{PERSON}/{WORKSPACE}/"),
        ("sessions.person", PERSON),
        ("sessions.person", "../x"),
        ("sessions.daily_bytes", -1),
    ],
)
def test_one_wrong_field_anywhere_and_the_former_configuration_stays(name: str, value: Any) -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            before = await around.status()
            said = await around.control("PUT", "/configuration", _changed(around, name, value))
            return said, before, await around.status()

    (status, said), before, after = run(story())
    assert status == 422
    assert said["fields"]
    assert [before[key] for key in ("digest", "places", "configured")] == [
        after[key] for key in ("digest", "places", "configured")
    ]


def test_what_is_settled_in_the_pod_may_be_said_if_it_is_the_same() -> None:
    async def story() -> int:
        async with cluster(PERSON) as around:
            gate = around.gate(portal=around.portal.url, state=str(around.root / "state"))
            return (await around.control("PUT", "/configuration", {"gate": gate, "sessions": []}))[0]

    assert run(story()) == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"gate": {}, "sessions": NaN}', b"\xff"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    async def story() -> Any:
        async with (
            cluster(PERSON) as around,
            around.client(2) as http,
            http.put(
                f"http://{around.host}:{CONTROL}/configuration",
                data=body,
                headers={"Authorization": f"Bearer {TOKEN}"},
            ) as said,
        ):
            return said.status, (await around.status())["places"]

    assert run(story()) == (422, [PERSON])


def test_a_change_of_the_gates_own_part_is_in_force_too() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            before = (await around.get("api/contents/a"))[0]
            await around.configure(PERSON, public_origins=["http://elsewhere:8000"])
            after = (await around.get("api/contents/a"))[0]
            hosts = {"Host": "elsewhere:8000", "Origin": "http://elsewhere:8000", "Cookie": COOKIE}
            return before, after, (await around.get("api/contents/a", headers=hosts))[0]

    assert run(story()) == (200, 403, 200)


# what it keeps


def test_a_container_started_again_goes_on_without_being_told() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await around.pod(ADA, PERSON)
            await around.pod(BOB, OTHER)
            await around.get("api/contents/a")
            before = await around.status()
            around.kill()
            around.spawn()
            await until(around.is_configured)
            pages = [(await around.get("api/contents/a", person=who))[0] for who in (PERSON, OTHER)]
            doors = [(await around.call(number, "GET", "/workspace/permit"))[0] for number in (ADA, BOB)]
            return before, await around.status(), pages, doors, [h["X-Spe-Person"] for *_, h, _ in around.portal.calls]

    before, after, pages, doors, speakers = run(story())
    assert before["digest"] == after["digest"]
    assert (pages, doors, speakers) == ([200, 200], [200, 200], [PERSON, OTHER])
    assert after["sessions"][0]["used_bytes"] >= before["sessions"][0]["used_bytes"] > 0


def test_a_container_started_again_while_the_portal_is_gone_opens_for_nobody() -> None:
    """It knows its routes, and that it is told what to do by whom; who may pass it must hear anew."""

    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            await around.get("api/contents/a")
            around.kill()
            await around.portal.close()
            around.spawn()
            await until(around.is_configured)
            shut = (await around.get("api/contents/a"))[0], (await around.call(ADA, "GET", "/workspace/permit"))[0]
            cut = (await around.control("POST", "/cut", {"person": None, "reason": "enough."}))[0]
            return shut, cut, len(around.asked)

    shut, cut, asked = run(story())
    assert shut == (403, 403)
    assert cut == 200
    assert asked == 1


def test_a_cut_outlives_the_container_and_the_same_configuration_until_the_place_was_taken_away() -> None:
    async def story() -> list[bool]:
        async with cluster(PERSON) as around:
            seen = []

            async def look() -> None:
                seen.append(bool((await around.session_of())["may_pass"]))

            await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."})
            await look()
            await around.configure(PERSON)
            await look()
            around.kill()
            around.spawn()
            await until(around.is_configured)
            await look()
            await around.configure()
            await around.configure(PERSON)
            await look()
            return seen

    assert run(story()) == [False, False, False, True]


def test_what_is_kept_is_for_this_account_only_and_damage_is_not_gone_on_from() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            files = [around.root / "run" / name for name in ("identity.json", "configuration.json")]
            modes = [stat.S_IMODE(file.stat().st_mode) for file in files]
            around.kill()
            files[1].write_text('{"gate": {}')
            await around.start()
            blank = await around.status()
            await around.configure(PERSON)
            return modes, blank["configured"], blank["places"], (await around.status())["configured"]

    assert run(story()) == ([0o600, 0o600], False, [], True)


def test_a_gate_that_is_another_ones_now_starts_with_nothing() -> None:
    """The folder of another workspace's gate, or a token that was made anew."""

    async def story() -> Any:
        async with cluster(PERSON) as around:
            around.kill()
            kept = json.loads((around.root / "run" / "identity.json").read_text())
            (around.root / "run" / "identity.json").write_text(json.dumps({**kept, "token": "o" * 32}))
            around.spawn()
            await until(around.is_named)
            status = await around.status()
            old = (await around.control("GET", "/status", token="o" * 32))[0]
            return status["configured"], status["places"], old

    assert run(story()) == (False, [], 401)


def test_inbound_and_control_are_different_doors() -> None:
    async def story() -> list[int]:
        async with cluster(PERSON) as around:
            shown = {"Authorization": f"Bearer {TOKEN}"}
            return [
                (await around.ask(2, INBOUND, "GET", "/status", headers=shown))[0],
                (await around.ask(2, DOOR, "GET", "/status", headers=shown))[0],
                (await around.ask(2, CONTROL, "GET", "/hello", headers=shown))[0],
                (await around.ask(2, CONTROL, "GET", "/workspace/permit", headers=shown))[0],
            ]

    assert run(story()) == [404, 403, 404, 404]
