"""The portal tells a gate who is using a browser: a code for one person, workspace and browser, once."""

import base64
import hashlib
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.testclient import TestClient

from spe.domain.ids import new_workspace
from spe.web.app import create_internal
from tests.web.front import WEB, Front

VERIFIER = "v" * 43


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def entitled(front: Front) -> Front:
    front.ground.accept("researcher", "colleague")
    return front


def address(front: Front, name: str = "researcher", challenge: str = challenge_of(VERIFIER)) -> str:
    ground = front.ground
    return f"/enter/{ground.workspace_id}/{ground.id_of(name)}?challenge={quote(challenge)}"


def code_for(front: Front, name: str = "researcher") -> str:
    answer = front.browser(name).get(address(front, name))
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def redeem(front: Front, code: str, verifier: str = VERIFIER, workspace: str = "") -> tuple[int, str]:
    token = front.ground.app.house.gate_token(workspace or front.ground.workspace_id)
    with TestClient(create_internal(front.ground.app, WEB), base_url="http://portal") as inner:
        headers = {"Authorization": f"Bearer {token}"}
        answer = inner.post("/gate/passes", json={"code": code, "verifier": verifier}, headers=headers)
    return answer.status_code, answer.json().get("person", "")


def test_a_person_of_the_session_is_sent_back_to_its_gate_and_named_there(entitled):
    ground = entitled.ground
    answer = entitled.browser("researcher").get(address(entitled))
    back = urlsplit(answer.headers["Location"])
    who = ground.id_of("researcher")
    assert f"{back.scheme}://{back.netloc}" == WEB.hub_url
    assert back.path == f"/user/{who}/{ground.workspace_id}/spe/enter"
    assert redeem(entitled, parse_qs(back.query)["code"][0]) == (200, who)
    entry = ground.app.audit.entries(subject=ground.workspace_id, by=ground.by("auditor"))[0]
    assert (entry.event, entry.details["person"]) == ("session.entered", who)


def test_a_code_works_once(entitled):
    code = code_for(entitled)
    assert [redeem(entitled, code)[0], redeem(entitled, code)[0]] == [200, 401]


def test_a_code_is_used_up_by_a_wrong_attempt(entitled):
    code = code_for(entitled)
    assert [redeem(entitled, code, "w" * 43)[0], redeem(entitled, code)[0]] == [401, 401]


def test_a_code_is_of_no_use_to_the_gate_of_another_workspace(entitled):
    assert redeem(entitled, code_for(entitled), workspace=new_workspace())[0] == 401


def test_a_code_lives_a_minute(entitled):
    code = code_for(entitled)
    entitled.ground.clock.turn(seconds=61)
    assert redeem(entitled, code)[0] == 401


def test_a_code_of_somebody_who_may_not_enter_any_more_is_refused(entitled):
    ground, code = entitled.ground, code_for(entitled)
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="An incident.", by=ground.by("board"))
    assert redeem(entitled, code)[0] == 403


@pytest.mark.parametrize("kind", ["token", "session"])
def test_another_credential_is_no_code(entitled, kind):
    assert redeem(entitled, getattr(entitled.ground, kind)("researcher"))[0] == 401


@pytest.mark.parametrize("name", ["colleague", "outsider", "operator", "auditor"])
def test_nobody_else_is_sent_into_a_persons_session(entitled, name):
    answer = entitled.browser(name).get(address(entitled, "researcher"))
    assert answer.status_code in (403, 404)
    assert "Location" not in answer.headers


def test_an_outsider_does_not_learn_that_the_workspace_is_there(entitled):
    ground = entitled.ground
    there = entitled.browser("outsider").get(address(entitled))
    nowhere = entitled.browser("outsider").get(address(entitled).replace(ground.workspace_id, new_workspace()))
    assert there.status_code == nowhere.status_code == 404


@pytest.mark.parametrize("challenge", ["", "short", "x" * 44, "x" * 42 + "=", "<" * 43])
def test_a_question_without_a_proper_challenge_is_refused(entitled, challenge):
    assert entitled.browser("researcher").get(address(entitled, challenge=challenge)).status_code == 422


def test_who_is_not_signed_in_signs_in_first_and_comes_back_here(entitled):
    answer = entitled.client().get(address(entitled))
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/sign-in?next={quote(address(entitled), safe='')}"
