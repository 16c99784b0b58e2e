"""Signing in by a one-time link, and the portal as the Hub's OAuth issuer on the wire."""

import base64
import hashlib
import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.testclient import TestClient

from spe.web.app import create_internal
from spe.web.auth import safe_next
from tests.support.ground import CLIENT, SETUP
from tests.web.front import Front

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def asking(**changes: str) -> dict[str, str]:
    return {
        "client_id": CLIENT.id,
        "redirect_uri": CLIENT.redirect,
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "st ate&",
    } | changes


def exchanging(code: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CLIENT.redirect,
        "code_verifier": VERIFIER,
        "client_id": CLIENT.id,
        "client_secret": CLIENT.secret,
    } | changes


def code_for(front: Front, name: str = "researcher") -> str:
    answer = front.browser(name).get("/oauth/authorize", params=asking())
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


@pytest.fixture
def entitled(front):
    front.ground.accept("researcher", "colleague")
    return front


def test_the_hub_may_come_to_the_internal_listener_where_nobody_signs_in(entitled):
    inside = TestClient(create_internal(entitled.ground.app, entitled.web), base_url="http://portal-internal:9001")
    issued = inside.post("/oauth/token", data=exchanging(code_for(entitled)))
    headers = {"Authorization": f"Bearer {issued.json()['access_token']}"}
    assert inside.get("/oauth/userinfo", headers=headers).json()["sub"] == entitled.ground.id_of("researcher")
    assert inside.get("/oauth/authorize", params=asking()).status_code == 404


def test_a_person_who_may_enter_gets_a_code_a_token_and_a_name(entitled):
    answer = entitled.browser("researcher").get("/oauth/authorize", params=asking())
    back = urlsplit(answer.headers["Location"])
    assert answer.headers["Location"].startswith(CLIENT.redirect + "?")
    assert parse_qs(back.query)["state"] == ["st ate&"]
    issued = entitled.client().post("/oauth/token", data=exchanging(parse_qs(back.query)["code"][0]))
    assert issued.json()["token_type"] == "Bearer"
    headers = {"Authorization": f"Bearer {issued.json()['access_token']}"}
    who = entitled.client().get("/oauth/userinfo", headers=headers)
    assert who.json()["sub"] == entitled.ground.id_of("researcher")


def test_the_hub_may_name_itself_by_basic_authentication(entitled):
    basic = base64.b64encode(f"{CLIENT.id}:{CLIENT.secret}".encode()).decode()
    body = exchanging(code_for(entitled), client_id="", client_secret="")
    answer = entitled.client().post("/oauth/token", data=body, headers={"Authorization": f"Basic {basic}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"client_secret": "other"},
        {"client_secret": "ü"},
        {"code": "other"},
        {"redirect_uri": "http://localhost:8000/other"},
        {"code_verifier": "w" * 64},
        {"grant_type": "password"},
    ],
)
def test_an_exchange_that_does_not_fit_gives_nothing(entitled, change):
    answer = entitled.client().post("/oauth/token", data=exchanging(code_for(entitled)) | change)
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_grant", "unsupported_grant_type")


def test_a_code_works_once_and_for_a_minute(entitled):
    code = code_for(entitled)
    assert entitled.client().post("/oauth/token", data=exchanging(code)).status_code == 200
    assert entitled.client().post("/oauth/token", data=exchanging(code)).status_code == 400
    late = code_for(entitled)
    entitled.ground.clock.turn(seconds=61)
    assert entitled.client().post("/oauth/token", data=exchanging(late)).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"redirect_uri": "https://evil.example/cb"},
        {"redirect_uri": CLIENT.redirect + "/../x"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
    ],
)
def test_a_wrong_question_is_refused_on_our_page_and_leads_nowhere(entitled, change):
    answer = entitled.browser("researcher").get("/oauth/authorize", params=asking(**change))
    assert answer.status_code == 403
    assert "Location" not in answer.headers


def test_a_person_who_may_enter_nowhere_gets_no_code(front):
    answer = front.browser("outsider").get("/oauth/authorize", params=asking())
    assert answer.status_code == 403


def test_a_token_ends_with_the_right_to_enter(entitled):
    ground = entitled.ground
    issued = entitled.client().post("/oauth/token", data=exchanging(code_for(entitled))).json()["access_token"]
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="An incident.", by=ground.by("board"))
    answer = entitled.client().get("/oauth/userinfo", headers={"Authorization": f"Bearer {issued}"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_somebody_not_signed_in_signs_in_first_and_comes_back(entitled):
    ground = entitled.ground
    browser = entitled.client()
    away = browser.get("/oauth/authorize", params=asking())
    assert away.headers["Location"].startswith("/sign-in?next=%2Foauth%2Fauthorize")
    browser.get(away.headers["Location"])
    secret = ground.app.people.link(ground.id_of("researcher"), by=SETUP)
    page = browser.get(f"/sign-in/{secret}")
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found
    back = browser.post(f"/sign-in/{secret}", data={"csrf": found.group(1)})
    assert back.headers["Location"].startswith("/oauth/authorize?")
    done = browser.get(back.headers["Location"])
    assert done.headers["Location"].startswith(CLIENT.redirect)


def test_looking_at_a_link_does_not_use_it(front):
    ground = front.ground
    secret = ground.app.people.link(ground.id_of("checker"), by=SETUP)
    for _ in range(3):
        front.client().get(f"/sign-in/{secret}")
        front.client().head(f"/sign-in/{secret}")
    assert ground.app.people.redeem(secret)


def test_a_session_cookie_is_kept_from_scripts_and_other_sites(front):
    ground = front.ground
    browser = front.client()
    secret = ground.app.people.link(ground.id_of("checker"), by=SETUP)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get(f"/sign-in/{secret}").text)
    assert token
    answer = browser.post(f"/sign-in/{secret}", data={"csrf": token.group(1)})
    cookie = next(c for c in answer.headers.get_list("Set-Cookie") if c.startswith("spe_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_another_site_cannot_sign_somebody_in(front):
    ground = front.ground
    browser = front.client()
    secret = ground.app.people.link(ground.id_of("checker"), by=SETUP)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get(f"/sign-in/{secret}").text)
    assert token
    headers = {"Origin": "https://evil.example"}
    answer = browser.post(f"/sign-in/{secret}", data={"csrf": token.group(1)}, headers=headers)
    assert answer.status_code == 403
    assert ground.app.people.redeem(secret)


def test_a_session_ends_when_idle_and_when_signed_out(front):
    browser = front.browser("checker")
    assert browser.get("/reviews").status_code == 200
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get("/reviews").text)
    assert token
    browser.post("/sign-out", data={"csrf": token.group(1)})
    assert browser.get("/reviews").status_code == 303
    other = front.browser("checker")
    front.ground.clock.turn(minutes=61)
    assert other.get("/reviews").status_code == 303


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/a\nSet-Cookie: x",
        "/ü",
        "/" + "a" * 3000,
        " //evil.example",
        "/\t/evil.example",
    ],
)
def test_a_sign_in_never_leads_elsewhere(front, address):
    assert safe_next(address) == "/"
    browser = front.client()
    browser.get(f"/sign-in?next={quote(address)}")
    assert browser.cookies.get("spe_next", path="/sign-in") in (None, "/", '"/"')


def test_an_own_address_is_kept():
    assert safe_next("/permits/pm-1?x=1") == "/permits/pm-1?x=1"
