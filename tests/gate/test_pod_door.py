"""The door of a pod's gate: whose address it is settles who speaks, and a stranger gets nothing."""

import asyncio
import json
from typing import Any

import pytest
from yarl import URL

from tests.gate.pods import DOOR, SPARE, TOKEN, WORKSPACE, Cluster, cluster
from tests.gate.support import OTHER, PERSON, until

ADA, BOB, STRANGER = 10, 11, 66
FORGED = {"Authorization": "Bearer forged", "X-Spe-Person": OTHER, "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "::1"}


def run(story: Any) -> Any:
    return asyncio.run(story)


async def two(around: Cluster) -> None:
    await around.pod(ADA, PERSON)
    await around.pod(BOB, OTHER)


def speakers(around: Cluster) -> list[str]:
    return [headers["X-Spe-Person"] for _, _, headers, _ in around.portal.calls]


def test_anybody_who_reaches_the_door_hears_that_a_gate_is_there() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            return await around.call(STRANGER, "GET", "/hello"), around.portal.questions

    (status, _, body), questions = run(story())
    assert (status, json.loads(body)) == (200, {"gate": WORKSPACE})
    assert questions == []


def test_two_pods_at_one_port_are_told_apart_by_their_addresses() -> None:
    async def story() -> list[str]:
        async with cluster(PERSON, OTHER) as around:
            await two(around)
            for number in (ADA, BOB, BOB, ADA):
                assert (await around.call(number, "GET", "/workspace/permit"))[0] == 200
            return speakers(around)

    assert run(story()) == [PERSON, OTHER, OTHER, PERSON]


def test_persons_are_never_mixed_when_many_calls_of_two_pods_run_at_once() -> None:
    async def story() -> list[tuple[str, str]]:
        async with cluster(PERSON, OTHER) as around:
            await two(around)
            who = {ADA: PERSON, BOB: OTHER}
            calls = [
                around.call(number, "PUT", f"/workspace/egress/e-1/files/{who[number]}-{n}", data=b"x" * 1000)
                for n in range(25)
                for number in (ADA, BOB)
            ]
            answers = await asyncio.gather(*calls)
            assert {status for status, _, _ in answers} == {200}
            return [(path, headers["X-Spe-Person"]) for _, path, headers, _ in around.portal.calls]

    seen = run(story())
    assert len(seen) == 50
    assert all(f"/{person}-" in path for path, person in seen)


def test_what_a_pod_says_about_who_it_is_is_dropped() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await two(around)
            await around.call(ADA, "GET", "/workspace/permit", headers=FORGED)
            [(_, _, headers, _)] = around.portal.calls
            return headers

    headers = run(story())
    assert headers["X-Spe-Person"] == PERSON
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert not {"X-Forwarded-For", "X-Real-IP"} & set(headers)


def test_a_pod_that_speaks_for_another_person_to_the_hub_is_refused() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await two(around)
            answers = [
                (await around.call(number, "POST", f"/hub/api/users/{who}/activity", data=b"{}"))[0]
                for number in (ADA, BOB)
                for who in (PERSON, OTHER)
            ]
            return answers, [path for _, path, _, _ in around.hub_asked]

    answers, asked = run(story())
    assert answers == [200, 403, 403, 200]
    assert asked == [f"/hub/api/users/{who}/activity" for who in (PERSON, OTHER)]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/hub/api", 200),
        ("GET", "/hub/api/user", 200),
        ("POST", "/hub/api/oauth2/token", 200),
        ("GET", "/hub/api/users", 403),
        ("GET", "/hub/home", 403),
        ("GET", "/gate/addresses", 403),
        ("POST", "/gate/hello", 403),
        ("GET", "/gate/entitled?person=p-bob", 403),
        ("GET", "/configuration", 403),
        ("POST", "/cut", 403),
        ("GET", "/mirror/simple/numpy/", 403),
        ("GET", "/workspace/../gate/addresses", 403),
        ("POST", "/hello", 403),
        ("GET", "/hello?x=1", 403),
        ("GET", "/user/p-bob/ws-1/lab", 403),
    ],
)
def test_the_same_calls_pass_as_on_one_host(method: str, path: str, expected: int) -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            async with around.client(ADA) as http:
                url = URL(f"http://{around.host}:{DOOR}{path}", encoded=True)
                async with http.request(method, url, data=b"{}" if method == "POST" else None) as answer:
                    return answer.status, around.portal.calls

    status, calls = run(story())
    assert status == expected
    assert calls == []


@pytest.mark.parametrize("path", ["/workspace/permit", "/hub/api/user", "/mirror/simple/numpy/", "/", "/status"])
def test_an_address_that_the_portal_does_not_name_gets_nothing(path: str) -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            answer = await around.call(STRANGER, "GET", path, headers=FORGED)
            return answer, around.portal.calls, around.hub_asked, around.lines("refused"), around.at(STRANGER)

    (status, headers, _), calls, asked, lines, address = run(story())
    assert status == 403
    assert headers["Connection"] == "close"
    assert (calls, asked) == ([], [])
    assert [(line["reason"], line["address"]) for line in lines] == [("stranger", address)]


def test_a_pod_without_a_place_is_a_stranger_though_the_portal_names_it() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(BOB, OTHER)
            return (await around.call(BOB, "GET", "/workspace/permit"))[0], around.portal.calls

    assert run(story()) == (403, [])


def test_an_address_given_to_two_people_is_nobodys() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await around.pod(ADA, PERSON)
            around.portal.table[OTHER] = around.at(ADA)
            door = (await around.call(ADA, "GET", "/workspace/permit"))[0]
            return door, (await around.get("api/contents/a"))[0], around.portal.calls, around.asked

    assert run(story()) == (403, 502, [], [])


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "nonsense", "", "fe80::1", "::"])
def test_an_address_that_can_be_no_pods_is_not_forwarded_to(address: str) -> None:
    async def story() -> int:
        async with cluster(PERSON) as around:
            around.portal.table[PERSON] = address
            return (await around.get("api/contents/a"))[0]

    assert run(story()) == 502


def test_a_flood_from_strangers_is_no_flood_for_the_portal() -> None:
    """A kernel in a pod that has lost its place, or another workspace's, calls as fast as it can."""

    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            until_then, refused = asyncio.get_running_loop().time() + 4, 0

            async def hammer(number: int) -> None:
                nonlocal refused
                while asyncio.get_running_loop().time() < until_then:
                    status, _, _ = await around.call(number, "GET", "/workspace/permit")
                    refused += status == 403

            began = asyncio.get_running_loop().time()
            hammers = [asyncio.create_task(hammer(60 + n % 5)) for n in range(40)]
            own = (await around.call(ADA, "GET", "/workspace/permit"))[0]
            await asyncio.gather(*hammers)
            seconds = asyncio.get_running_loop().time() - began
            return refused, own, len(around.portal.questions), seconds

    refused, own, questions, seconds = run(story())
    assert own == 200
    assert refused >= 40
    assert questions <= seconds / 0.5 + 8  # one in half a second, and those of the pod that is known


def test_one_pods_connections_do_not_block_anothers() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await two(around)
            held = []
            for _ in range(200):
                reader, writer = await asyncio.open_connection(around.host, DOOR, local_addr=(around.at(ADA), 0))
                held.append((reader, writer))
            dropped = await until(lambda: sum(reader.at_eof() for reader, _ in held) or None)
            answer = (await around.call(BOB, "GET", "/workspace/permit"))[0]
            for _, writer in held:
                writer.close()
            return dropped, answer

    dropped, answer = run(story())
    assert dropped >= 1
    assert answer == 200


def test_an_address_that_is_another_persons_now_speaks_for_that_person() -> None:
    """Addresses are used again: the gate asks before it goes by an old answer."""

    async def story() -> list[str]:
        async with cluster(PERSON, OTHER) as around:
            await around.pod(ADA, PERSON)
            await around.call(ADA, "GET", "/workspace/permit")
            around.portal.table.clear()
            around.portal.table[OTHER] = around.at(ADA)
            await asyncio.sleep(1.1)  # longer than an answer counts as fresh
            await around.call(ADA, "GET", "/workspace/permit")
            return speakers(around)

    assert run(story()) == [PERSON, OTHER]


def test_the_port_that_no_policy_opens_answers_and_knows_nothing() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            said = await around.ask(ADA, SPARE, "GET", "/hello")
            refused = await around.ask(ADA, SPARE, "GET", "/workspace/permit")
            return said[0], refused[0], around.portal.calls

    assert run(story()) == (200, 503, [])
