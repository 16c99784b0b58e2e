"""The portal beside providers that fail, lie or are not the one that was asked: endings, mix-ups, silence."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from spe.adapters.identity.oidc import OidcProvider
from spe.domain.person import Credential, CredentialKind
from spe.domain.principal import Role, founder
from spe.web.app import create_public
from spe.web.settings import WebSettings
from tests.support.ground import SETUP, Ground
from tests.support.hostile import Hostile, hostile, rsa_key, say
from tests.support.instance import free_ports
from tests.support.portal import Portal, oidc_settings, portal
from tests.support.prepared import Template, over
from tests.support.provider import Visitor, account, client_of, provider
from tests.web.test_login import query_of, set_clock, with_query

METADATA = "/.well-known/openid-configuration"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def ground(template: Template, tmp_path: Path) -> Iterator[Ground]:
    with template.copy(tmp_path / "world") as found:
        set_clock(found)
        yield found


@pytest.fixture
def evil() -> Iterator[Hostile]:
    with hostile() as made:
        yield made


@pytest.fixture
def desk(ground: Ground, evil: Hostile, tmp_path: Path) -> Iterator[Portal]:
    (port,) = free_ports(1)
    settings = oidc_settings(evil, f"http://127.0.0.1:{port}", tmp_path, timeout_seconds=2)  # type: ignore[arg-type]
    with portal(ground, settings) as made:
        made.person("olga", Role.OPERATOR)
        yield made


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    made = Visitor()
    yield made
    made.close()


def sessions(desk: Portal) -> tuple[Credential, ...]:
    with desk.ground.app.house.ports.store.read() as uow:
        return uow.live_credentials(CredentialKind.SESSION, desk.ground.clock.now())


def begun(desk: Portal, visitor: Visitor) -> dict[str, str]:
    """Begin a sign-in; what the portal asked the provider."""
    address, _ = visitor.follow(f"{desk.url}/login", until=desk.settings.issuer)
    return query_of(address)


def answer(desk: Portal, visitor: Visitor, asked: dict[str, str], **changes: str) -> httpx2.Response:
    """The provider's answer to it."""
    given = {"state": asked["state"], "code": "c", "iss": desk.settings.issuer} | changes
    return visitor.ask("GET", f"{desk.url}/login/callback", params=given)


def sign_in(desk: Portal, evil: Hostile, visitor: Visitor, **claims: Any) -> httpx2.Response:
    """The whole way with a token of these claims."""
    asked = begun(desk, visitor)
    evil.gives(evil.signed(evil.claims(asked["nonce"], **claims)))
    return answer(desk, visitor, asked)


def logout_token(evil: Hostile, **changes: Any) -> str:
    now = int(time.time())
    made = {
        "iss": evil.issuer,
        "aud": "spe",
        "iat": now,
        "exp": now + 120,
        "jti": "j-1",
        "sub": "olga",
        "sid": "s-1",
        "events": {EVENT: {}},
    }
    claims = {name: value for name, value in (made | changes).items() if value is not None}
    return evil.signed(claims, typ="logout+jwt")


def end(desk: Portal, token: str, **headers: str) -> httpx2.Response:
    """What the provider sends, from server to server."""
    with httpx2.Client(trust_env=False) as client:
        return client.post(f"{desk.url}/login/ended", data={"logout_token": token}, headers=headers)


def test_a_session_that_the_provider_ended_is_over_and_the_others_go_on(desk: Portal, evil: Hostile) -> None:
    for sid in ("s-1", "s-2"):
        browser = Visitor()
        assert sign_in(desk, evil, browser, sid=sid).status_code == 303
        browser.close()
    assert end(desk, logout_token(evil, sub=None)).status_code == 200
    assert [s.facts["sid"] for s in sessions(desk)] == ["s-2"]


def test_all_sessions_of_a_login_end_when_no_single_one_is_named(desk: Portal, evil: Hostile) -> None:
    desk.person("rita")
    for sub, sid in (("olga", "s-1"), ("olga", "s-2"), ("rita", "s-3")):
        browser = Visitor()
        sign_in(desk, evil, browser, sub=sub, sid=sid)
        browser.close()
    assert end(desk, logout_token(evil, sid=None)).status_code == 200
    assert [s.facts["login"] for s in sessions(desk)] == ["rita"]


def test_a_logout_token_counts_once(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    token = logout_token(evil, sid=None)
    assert end(desk, token).status_code == 200
    sign_in(desk, evil, visitor, sid="s-9")
    again = end(desk, token)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_request"})
    assert len(sessions(desk)) == 1


@pytest.mark.parametrize(
    "changes", [{"aud": "other"}, {"iss": "https://other.example"}, {"nonce": "n"}, {"events": {}}, {"jti": None}]
)
def test_a_forged_logout_token_ends_nothing(
    changes: dict[str, Any], desk: Portal, evil: Hostile, visitor: Visitor
) -> None:
    sign_in(desk, evil, visitor)
    for token in (logout_token(evil, **changes), "", "x.y.z", "x" * 50_000):
        assert end(desk, token).status_code == 400
    assert len(sessions(desk)) == 1


def test_a_logout_token_of_another_key_ends_nothing(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    sign_in(desk, evil, visitor)
    evil.key = rsa_key("two")
    assert end(desk, logout_token(evil)).status_code == 400
    assert len(sessions(desk)) == 1


def test_cookies_and_origins_do_not_matter_to_an_ending(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    sign_in(desk, evil, visitor)
    with httpx2.Client(trust_env=False) as client:
        plain = client.post(f"{desk.url}/login/ended", headers={"Origin": "https://evil.example"})
        assert plain.status_code == 400
        assert client.get(f"{desk.url}/login/ended").status_code == 405
    assert end(desk, logout_token(evil), Origin=evil.issuer).status_code == 200
    assert sessions(desk) == ()


def test_a_session_that_ended_while_its_sign_in_was_under_way_does_not_begin(
    desk: Portal, evil: Hostile, visitor: Visitor
) -> None:
    asked = begun(desk, visitor)
    evil.gives(evil.signed(evil.claims(asked["nonce"])))
    assert end(desk, logout_token(evil)).status_code == 200
    page = answer(desk, visitor, asked)
    assert (page.status_code, "You were signed out meanwhile" in page.text) == (401, True)
    assert sessions(desk) == ()


def test_endings_while_the_provider_is_silent_are_asked_for_again(desk: Portal, evil: Hostile) -> None:
    evil.answers["/keys"] = lambda _, handler: say(handler, b"", status=500)
    assert end(desk, logout_token(evil)).status_code == 503


def test_only_own_sessions_end_at_break_glass_and_links(desk: Portal, evil: Hostile) -> None:
    """A session that did not come from the provider is not the provider's to end."""
    people = desk.ground.app.people
    session = people.redeem(people.break_glass(desk.ground.id_of("operator"), by=founder()))
    for sid in (None, ""):
        end(desk, logout_token(evil, sid=sid, sub="operator", jti=f"j-{sid}"))
    assert people.session(session)


def test_a_provider_that_does_not_answer_is_told_at_both_ends(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    asked = begun(desk, visitor)
    evil.answers["/token"] = lambda _, handler: say(handler, b"", status=502)
    page = answer(desk, visitor, asked)
    assert (page.status_code, "Your identity provider does not answer" in page.text) == (503, True)
    assert evil.issuer not in page.text


@pytest.mark.parametrize("status", [500, 302, 200])
def test_a_sign_in_is_not_begun_without_metadata(status: int, desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    evil.answers[METADATA] = lambda _, handler: say(handler, b"[]", status=status, Location="http://127.0.0.1:1/")
    page = visitor.ask("GET", f"{desk.url}/login?next=/people")
    assert (page.status_code, "Your identity provider does not answer" in page.text) == (503, True)
    assert 'href="/login?next=%2Fpeople"' in page.text


def test_the_portal_works_on_for_those_who_are_in_while_the_provider_is_down(
    desk: Portal, evil: Hostile, visitor: Visitor
) -> None:
    sign_in(desk, evil, visitor)
    for path in (METADATA, "/keys", "/token"):
        evil.answers[path] = lambda _, handler: say(handler, b"", status=500)
    assert visitor.ask("GET", f"{desk.url}/people").status_code == 200


def test_a_browser_signs_out_here_even_if_the_provider_is_down(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    sign_in(desk, evil, visitor)
    address, page = visitor.follow(f"{desk.url}/people")
    evil.documents[METADATA] = evil.metadata(end_session_endpoint=None)
    address, page = visitor.submit(address, page)
    assert sessions(desk) == ()
    assert "You are signed out" in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "of another attempt"},
        {"aud": "another-client"},
        {"iss": "https://other.example"},
        {"exp": 1},
        {"sub": "ol ga"},
    ],
)
def test_a_token_that_does_not_fit_signs_nobody_in_and_says_little(
    changes: dict[str, Any], desk: Portal, evil: Hostile, visitor: Visitor
) -> None:
    page = sign_in(desk, evil, visitor, **changes)
    assert page.status_code in (401, 502)
    assert "spe_session" not in visitor.client.cookies
    for value in changes.values():
        assert str(value) not in page.text or value == 1


def test_an_answer_with_doubled_or_endless_parameters_is_none(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    asked = begun(desk, visitor)
    state = asked["state"]
    for query in (
        f"state={state}&state={state}&code=c",
        f"state={state}&code=a&code=b",
        f"state={state}&x={'y' * 9000}",
    ):
        page = visitor.ask("GET", f"{desk.url}/login/callback?{query}")
        assert page.status_code == 401
    assert "/token" not in evil.asked


def test_an_error_that_comes_with_a_code_is_an_error(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    asked = begun(desk, visitor)
    evil.gives(evil.signed(evil.claims(asked["nonce"])))
    assert answer(desk, visitor, asked, error="access_denied").status_code == 401
    assert "/token" not in evil.asked


def test_a_subject_that_looks_like_markup_is_shown_as_text(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    page = sign_in(desk, evil, visitor, sub="<script>alert(1)</script>")
    assert "You are not registered here yet" in page.text
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def test_a_person_of_one_issuer_is_nobody_for_another(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    desk.person("paul", issuer="https://other.example")
    assert "You are not registered here yet" in sign_in(desk, evil, visitor, sub="paul").text


def test_a_hint_that_fits_no_cookie_is_left_out(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    sign_in(desk, evil, visitor, much="x" * 4000)
    address, page = visitor.follow(f"{desk.url}/people")
    address, page = visitor.submit(address, page)
    assert "id_token_hint" not in page.text
    assert f"{evil.issuer}/end?client_id=spe" in page.text


def test_the_code_of_another_provider_is_not_taken(ground: Ground, tmp_path: Path, visitor: Visitor) -> None:
    """Mix-up: a browser that is signed in at two providers brings the answer of the wrong one."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with (
        provider({"olga": account()}, client_of(url)) as right,
        provider({"olga": account()}, client_of(url)) as wrong,
        portal(ground, oidc_settings(right, url, tmp_path)) as desk,
    ):
        desk.person("olga")
        away, _ = visitor.follow(f"{url}/login", until=right.issuer)
        there = urlsplit(away)._replace(netloc=urlsplit(wrong.issuer).netloc).geturl()
        back = answered_at(visitor, there, url)
        assert query_of(back)["iss"] == wrong.issuer
        for address in (back, with_query(back, iss=None), with_query(back, iss=right.issuer)):
            away, _ = visitor.follow(f"{url}/login?fresh=yes", until=right.issuer)
            _, page = visitor.follow(with_query(address, state=query_of(away)["state"]))
            assert page.status_code == 401, page.text
        assert sessions(desk) == ()
        assert visitor.sign_in(url, "olga")[1].status_code == 200


def answered_at(visitor: Visitor, there: str, portal_url: str) -> str:
    back = f"{portal_url}/login/callback"
    address, page = visitor.follow(there, until=back)
    if not address.startswith(back):
        address, _ = visitor.submit(address, page, until=back, login="olga")
    return str(address)


def test_the_return_address_is_exactly_the_registered_one(ground: Ground, tmp_path: Path, visitor: Visitor) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    registered = client_of(url) | {"redirect_uris": [f"{url}/login/callback/"]}
    with provider({}, registered) as idp, portal(ground, oidc_settings(idp, url, tmp_path)):
        _, page = visitor.follow(f"{url}/login")
        assert page.status_code == 400
        assert "redirect_uri" in page.text


def test_a_provider_that_is_killed_signs_nobody_in_and_nobody_out(
    ground: Ground, tmp_path: Path, visitor: Visitor
) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    other = Visitor()
    with (
        provider({"olga": account()}, client_of(url)) as idp,
        portal(ground, oidc_settings(idp, url, tmp_path)) as desk,
    ):
        desk.person("olga")
        assert visitor.sign_in(url, "olga")[1].status_code == 200
        back = other.answered(url, "olga")
        idp.process.kill()
        idp.process.wait(timeout=20)
        _, page = other.follow(back)
        assert (page.status_code, "Your identity provider does not answer" in page.text) == (503, True)
        assert visitor.ask("GET", f"{url}/people").status_code == 200
    other.close()


def test_over_https_cookies_travel_on_https_only_and_belong_to_this_host(
    ground: Ground, evil: Hostile, tmp_path: Path
) -> None:
    web = WebSettings(
        portal_url="https://spe.example", views_url="https://views.example", service_token="h" * 64, secure=True
    )
    settings = oidc_settings(evil, web.portal_url, tmp_path)  # type: ignore[arg-type]
    app = over(ground, identity=OidcProvider(settings))
    app.people.register(
        issuer=evil.issuer, subject="olga", name="Olga", organisation="", roles=[Role.OPERATOR], by=SETUP
    )
    with TestClient(create_public(app, web), base_url=web.portal_url, follow_redirects=False) as browser:
        away = browser.get("/login")
        cookie = away.headers["set-cookie"]
        assert cookie.startswith("__Host-spe_login_")
        assert all(f"; {word}" in cookie for word in ("HttpOnly", "Path=/", "SameSite=lax", "Secure", "Max-Age=600"))
        asked = query_of(away.headers["location"])
        evil.gives(evil.signed(evil.claims(asked["nonce"])))
        back = browser.get("/login/callback", params={"state": asked["state"], "code": "c", "iss": evil.issuer})
        assert back.status_code == 303
        given = back.headers.get_list("set-cookie")
        assert len(given) == 3
        assert all("Secure" in one and "HttpOnly" in one for one in given)
        assert [
            one for one in given if one.startswith("spe_hint=") and "SameSite=strict" in one and "Path=/sign-out" in one
        ]


def test_whoever_is_in_is_not_sent_away_again(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    sign_in(desk, evil, visitor)
    answer_ = visitor.ask("GET", f"{desk.url}/login?next=/people")
    assert answer_.headers["location"] == "/people"
    assert visitor.ask("GET", f"{desk.url}/login?fresh=yes").headers["location"].startswith(evil.issuer)


def test_nothing_is_stored_for_those_who_only_ask(desk: Portal, evil: Hostile) -> None:
    before = stored(desk)
    browser = Visitor()
    for _ in range(10):
        begun(desk, browser)
        browser.ask("GET", f"{desk.url}/login/callback?state=x&code=y")
    browser.close()
    assert stored(desk) == before


def stored(desk: Portal) -> dict[str, int]:
    with closing(sqlite3.connect(desk.ground.folder / "spe.db")) as database:
        tables = ("answers", "credentials", "audit_entries", "people")
        return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def test_the_database_holds_neither_state_nor_code_nor_token(desk: Portal, evil: Hostile, visitor: Visitor) -> None:
    asked = begun(desk, visitor)
    token = evil.signed(evil.claims(asked["nonce"]))
    evil.gives(token, access_token="an-access-token-of-the-tests")
    assert answer(desk, visitor, asked, code="a-code-of-the-tests").status_code == 303
    kept = b"".join(path.read_bytes() for path in desk.ground.folder.glob("spe.db*"))
    for secret in (asked["state"], asked["nonce"], "a-code-of-the-tests", "an-access-token-of-the-tests", token):
        assert secret.encode() not in kept
