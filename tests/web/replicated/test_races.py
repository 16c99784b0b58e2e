"""Both portals at the same moment: what may happen once happens once, and nothing that was answered is lost."""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.ground import CLEAN, SETUP
from tests.web.front import Front
from tests.web.replicas import Replicated
from tests.web.test_oauth import asking, code_for, exchanging

ROUNDS = 12


def at_once(front: Replicated, act: Callable[[Front], Any]) -> Sequence[Any]:
    """The same act at both portals, begun at the same moment."""
    ready = threading.Barrier(2)

    def one(portal: Front) -> Any:
        ready.wait(10)
        return act(portal)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, front.each))


def test_requests_really_go_to_both_in_turn(front: Replicated) -> None:
    seen = [front.client("auditor").get("/api/v1/audit/entries").status_code for _ in range(4)]
    assert (seen, front.app.served) == ([200] * 4, 4)  # type: ignore[attr-defined]
    assert front.each[0].ground.app is not front.each[1].ground.app


def test_one_key_sent_to_both_at_once_makes_one_thing(front: Replicated) -> None:
    front.client("researcher")
    body = {"workspace": front.ground.workspace_id, "purpose": "Once"}
    for n in range(ROUNDS):
        headers = {"Idempotency-Key": f"key-{n}"}
        answers = at_once(
            front, lambda f, h=headers: f.client("researcher").post("/api/v1/egress", json=body, headers=h)
        )
        assert {a.status_code for a in answers} <= {201, 409}
        made = {a.json()["id"] for a in answers if a.status_code == 201}
        later = front.client("researcher").post("/api/v1/egress", json=body, headers=headers)
        assert {later.json()["id"]} == made
    assert len(front.api("researcher", "GET", "/egress")["items"]) == ROUNDS


def test_one_link_opened_at_both_at_once_opens_one_session(front: Replicated) -> None:
    for _ in range(ROUNDS):
        secret = front.ground.app.people.link(front.ground.id_of("checker"), by=SETUP)

        def enter(portal: Front, secret: str = secret) -> int:
            browser = portal.client()
            token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get(f"/sign-in/{secret}").text)
            if token is None:
                return 401
            return int(browser.post(f"/sign-in/{secret}", data={"csrf": token[1]}).status_code)

        assert sorted(at_once(front, enter)) == [303, 401]


def test_one_code_of_the_hub_exchanged_at_both_at_once_is_one_token(front: Replicated) -> None:
    front.ground.accept("researcher")
    for _ in range(ROUNDS):
        body = exchanging(code_for(front))
        answers = at_once(front, lambda f, b=body: f.client().post("/oauth/token", data=b).status_code)
        assert sorted(answers) == [200, 400]
    assert front.browser("researcher").get("/oauth/authorize", params=asking()).status_code == 303


def test_signed_out_at_one_is_signed_out_at_the_other(front: Replicated) -> None:
    one, other = front.each
    secret = front.ground.session("checker")
    browsers = [portal.client() for portal in (one, other)]
    for browser in browsers:
        browser.cookies.set("spe_session", secret, domain="127.0.0.1")
        assert browser.get("/reviews").status_code == 200
    page = browsers[0].get("/reviews").text
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert token is not None
    assert browsers[0].post("/sign-out", data={"csrf": token[1]}).status_code == 303
    assert browsers[1].get("/reviews").status_code in {303, 401}


@pytest.mark.parametrize("verb", ["suspend", "revoke"])
def test_a_person_switched_off_and_a_permit_that_ended_count_everywhere_at_once(front: Replicated, verb: str) -> None:
    ground, (one, other) = front.ground, front.each
    ground.accept("researcher")
    one.api("board", "POST", f"/permits/{ground.permit_id}:{verb}", json={"reason": "over"})
    refused = other.client("researcher").post(f"/api/v1/workspaces/{ground.workspace_id}/session:start")
    assert refused.status_code == 403
    ground.app.people.switch(ground.id_of("researcher"), active=False, by=ground.by("operator"))
    assert other.client("researcher").get("/api/v1/workspaces").status_code == 401


def test_a_file_put_here_and_a_submission_there_never_disagree(front: Replicated) -> None:
    """Either the file came first and is part of what was submitted, or it is refused."""
    ground = front.ground
    for n in range(ROUNDS):
        request = ground.draft({"table.csv": CLEAN})
        other = b"arm,persons\nall,%d\n" % (500 + n)

        def act(portal: Front, request: str = request, other: bytes = other) -> tuple[str, int]:
            client = portal.client("researcher")
            if portal.app is front.portals[0]:
                return "put", client.put(f"/api/v1/egress/{request}/files/table.csv", content=other).status_code
            return "submit", client.post(f"/api/v1/egress/{request}:submit").status_code

        status = dict(at_once(front, act))
        kept = ground.request(request)
        if kept.state == "submitted":
            from hashlib import sha256

            wanted = sha256(other if status["put"] < 300 else CLEAN).hexdigest()
            assert kept.digests == {"table.csv": wanted}
        assert status["submit"] < 300 or kept.state == "draft"


def test_two_checkers_at_two_portals_never_see_each_others_votes_and_count_once(front: Replicated) -> None:
    ground = front.ground
    request = ground.submitted()
    ready = threading.Barrier(4)

    def vote(pair: tuple[Front, str]) -> int:
        portal, name = pair
        client = portal.client(name)
        seen = client.get(f"/api/v1/reviews/{request}")
        assert seen.json()["votes"] == []
        judged = {
            o["path"]: {"decision": "approve", "acknowledged": [f["key"] for f in o["findings"]]}
            for o in seen.json()["report"]["outputs"]
        }
        ready.wait(10)
        path, match = f"/api/v1/reviews/{request}:review", {"If-Match": seen.headers["ETag"]}
        return int(client.post(path, json={"outputs": judged}, headers=match).status_code)

    pairs = [(portal, name) for portal in front.each for name in ("checker", "checker2")]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(vote, pairs))
    assert sum(a < 300 for a in answers) == 2, answers
    with ground.app.house.ports.store.read() as uow:
        assert sorted(v.checker for v in uow.votes.of(request)) == sorted(map(ground.id_of, ("checker", "checker2")))
    approvals = at_once(front, lambda f: f.client("checker").post(f"/api/v1/reviews/{request}:approve", json={}))
    assert min(a.status_code for a in approvals) == 200
    ground.settle()
    assert len(front.api("auditor", "GET", "/releases")["items"]) == 1
