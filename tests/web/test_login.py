"""Signing in and out with a certified OpenID provider: real redirects, real tokens, nothing in between."""

import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest

from spe.domain.errors import Refused, Unauthenticated
from spe.domain.person import Credential, CredentialKind, Person
from spe.domain.principal import Role, founder
from spe.domain.signin import Requirement
from spe.services.people import digest_of
from tests.support.asking import denied
from tests.support.ground import SETUP, Ground
from tests.support.instance import free_ports
from tests.support.portal import Portal, oidc_settings, portal
from tests.support.prepared import Template
from tests.support.provider import Provider, Visitor, account, client_of, new_key, provider

ACCOUNTS = {
    "olga": account(name="Olga"),
    "rita": account(name="Rita"),
    "weak": account(acr="", amr=("pwd",)),
    "poor": account(eduperson_assurance=["https://refeds.org/assurance/IAP/low"]),
    "stranger": account(name="Stranger", email="olga@example.org"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def port() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def idp(port: int) -> Iterator[Provider]:
    with provider(ACCOUNTS, client_of(f"http://127.0.0.1:{port}")) as made:
        yield made


@pytest.fixture
def ground(template: Template, tmp_path: Path) -> Iterator[Ground]:
    """A world whose clock stands at the present, as the provider's does."""
    with template.copy(tmp_path / "world") as found:
        set_clock(found)
        yield found


@pytest.fixture
def desk(ground: Ground, idp: Provider, port: int, tmp_path: Path) -> Iterator[Portal]:
    with portal(ground, oidc_settings(idp, f"http://127.0.0.1:{port}", tmp_path)) as made:
        yield made


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    made = Visitor()
    yield made
    made.close()


def sessions(desk: Portal) -> tuple[Credential, ...]:
    """The web sessions that are open."""
    with desk.ground.app.house.ports.store.read() as uow:
        return uow.live_credentials(CredentialKind.SESSION, desk.ground.clock.now())


def asking(desk: Portal, sign_in: Mapping[Role, Requirement]) -> None:
    """The policies ask for something else of a sign-in from now on."""
    desk.ground.policies.append(replace(desk.ground.policies[-1], sign_in=sign_in))


def set_clock(ground: Ground, seconds: int = 0) -> None:
    """Let the portal's clock differ from the provider's by so much."""
    apart = datetime.now(UTC) - ground.clock.now()
    ground.clock.turn(seconds=apart.total_seconds() + seconds)


def query_of(address: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def with_query(address: str, **changes: str | None) -> str:
    """An address with another query."""
    query = {name: value for name, value in (query_of(address) | changes).items() if value is not None}
    return urlsplit(address)._replace(query=urlencode(query)).geturl()


def test_a_registered_person_signs_in_and_arrives_where_they_wanted_to_go(desk: Portal, visitor: Visitor) -> None:
    person = desk.person("olga", Role.OPERATOR)
    address, page = visitor.follow(f"{desk.url}/people")
    assert "Go on to sign in" in page.text
    start = page.text.partition('href="/login')[2].partition('"')[0]
    address, page = visitor.sign_in(desk.url, "olga", start=f"/login{start}")
    assert (address, page.status_code) == (f"{desk.url}/people", 200)
    assert person.name in page.text
    assert desk.entries("credential.session-issued")[0].details == {"by": "identity-provider"}


def test_the_session_keeps_what_the_sign_in_showed(desk: Portal, visitor: Visitor) -> None:
    person = desk.person("olga")
    visitor.sign_in(desk.url, "olga")
    (session,) = sessions(desk)
    assert session.person == person.id
    assert session.facts["by"] == "identity-provider"
    assert session.facts["acr"] == "https://refeds.org/profile/mfa"
    assert session.facts["amr"] == "mfa pwd"
    assert session.facts["assurance"] == "https://refeds.org/assurance/IAP/high"
    assert session.facts["login"] == "olga"
    assert session.facts["sid"]
    assert session.facts["at"]


def test_somebody_unknown_is_told_their_issuer_and_subject_and_nothing_is_stored(
    desk: Portal, visitor: Visitor
) -> None:
    desk.person("olga")
    size = len(desk.entries(""))
    _, page = visitor.sign_in(desk.url, "stranger")
    assert page.status_code == 403
    assert "You are not registered here yet" in page.text
    assert f"<code>{desk.settings.issuer}</code>" in page.text
    assert "<code>stranger</code>" in page.text
    assert "spe_session" not in visitor.client.cookies
    assert len(desk.entries("")) == size


def test_the_same_e_mail_or_name_is_not_the_same_person(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga@example.org", issuer="https://elsewhere.example")
    desk.person("stranger", issuer="https://elsewhere.example")
    _, page = visitor.sign_in(desk.url, "stranger")
    assert "You are not registered here yet" in page.text


def test_a_person_who_is_switched_off_is_refused_and_that_is_written_down(desk: Portal, visitor: Visitor) -> None:
    person = desk.person("olga")
    desk.ground.app.people.switch(person.id, active=False, by=desk.ground.by("operator"))
    _, page = visitor.sign_in(desk.url, "olga")
    assert page.status_code == 403
    assert "This account was switched off" in page.text
    assert desk.entries("person.sign-in-refused")[0].object_id == person.id


@pytest.mark.parametrize(
    ("name", "role", "sentence"),
    [
        ("weak", Role.OPERATOR, "The role operator asks for a second factor"),
        ("weak", Role.CHECKER, "The role checker asks for a second factor"),
        ("poor", Role.AUTHORISED_USER, "The role authorised-user asks for a better proof of identity"),
    ],
)
def test_a_sign_in_that_shows_too_little_for_the_role_is_refused(
    name: str, role: Role, sentence: str, desk: Portal, visitor: Visitor
) -> None:
    desk.person(name, role)
    _, page = visitor.sign_in(desk.url, name)
    assert page.status_code == 403
    assert sentence in page.text
    assert "spe_session" not in visitor.client.cookies


def test_what_a_role_need_not_show_is_not_asked_of_it(desk: Portal, visitor: Visitor) -> None:
    desk.person("poor", Role.CHECKER)
    assert visitor.sign_in(desk.url, "poor")[1].status_code == 200


def test_a_role_that_the_policies_forgot_cannot_sign_in(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    visitor.sign_in(desk.url, "olga")
    asking(desk, {})
    assert visitor.ask("GET", f"{desk.url}/people").status_code == 303
    _, page = visitor.sign_in(desk.url, "olga")
    assert "The policies do not say how the role operator signs in" in page.text


def test_a_stricter_policy_ends_weaker_sessions_at_once(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    visitor.sign_in(desk.url, "olga")
    assert visitor.ask("GET", f"{desk.url}/people").status_code == 200
    asking(desk, {Role.OPERATOR: Requirement(acr=("https://example.org/key",))})
    assert visitor.ask("GET", f"{desk.url}/people").status_code == 303


def test_a_sign_in_ends_at_the_age_that_the_role_allows_however_busy_it_is(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    visitor.sign_in(desk.url, "olga")
    for _ in range(14):
        desk.ground.clock.turn(minutes=50)
        assert visitor.ask("GET", f"{desk.url}/people").status_code == 200
    desk.ground.clock.turn(minutes=50)
    assert visitor.ask("GET", f"{desk.url}/people").status_code == 303


def test_after_the_provider_changes_its_keys_people_sign_in_as_before(
    desk: Portal, idp: Provider, visitor: Visitor
) -> None:
    desk.person("olga")
    desk.person("rita")
    visitor.sign_in(desk.url, "olga")
    idp.change(jwks={"keys": [new_key("two")]})
    other = Visitor()
    try:
        assert other.sign_in(desk.url, "rita")[1].status_code == 200
    finally:
        other.close()
        idp.change(jwks={"keys": [new_key("three")]})


@pytest.mark.parametrize("seconds", [-29, 29])
def test_clocks_may_differ_a_little(seconds: int, desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    set_clock(desk.ground, seconds)
    assert visitor.sign_in(desk.url, "olga")[1].status_code == 200


@pytest.mark.parametrize("seconds", [-90, 400])
def test_clocks_that_differ_too_much_sign_nobody_in(seconds: int, desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    set_clock(desk.ground, seconds)
    _, page = visitor.sign_in(desk.url, "olga")
    assert (page.status_code, "The sign-in is not valid" in page.text) == (401, True)


def test_an_answer_counts_once(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    back = visitor.answered(desk.url, "olga")
    ticket = {c.name: c.value for c in visitor.client.cookies.jar if c.name.startswith("spe_login_")}
    assert visitor.follow(back)[1].status_code == 200
    assert not [c for c in visitor.client.cookies.jar if c.name.startswith("spe_login_")]
    again = visitor.ask("GET", back, headers={"Cookie": "; ".join(f"{n}={v}" for n, v in ticket.items())})
    assert again.status_code == 401
    assert "This sign-in was used already" in again.text
    assert len(sessions(desk)) == 1


def test_a_code_counts_once_even_under_another_state(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    used = visitor.answered(desk.url, "olga")
    visitor.follow(used)
    fresh = visitor.answered(desk.url, "olga", start="/login?fresh=yes")
    mixed = with_query(fresh, code=query_of(used)["code"])
    _, page = visitor.follow(mixed)
    assert page.status_code == 401
    assert "was used already" in page.text


def test_somebody_elses_answer_signs_nobody_in(desk: Portal, visitor: Visitor) -> None:
    """Login CSRF: an attacker lets a victim open the end of the attacker's own sign-in."""
    desk.person("olga")
    back = visitor.answered(desk.url, "olga")
    victim = Visitor()
    try:
        for address in (back, with_query(back, state="x" * 43), with_query(back, state=None)):
            _, page = victim.follow(address)
            assert page.status_code == 401
            assert "This sign-in was not begun here" in page.text
        victim.follow(f"{desk.url}/login", until=desk.settings.issuer)
        _, page = victim.follow(back)
        assert "This sign-in was not begun here" in page.text
        assert "spe_session" not in victim.client.cookies
    finally:
        victim.close()


def test_a_forged_ticket_is_none(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    back = visitor.answered(desk.url, "olga")
    (cookie,) = [c for c in visitor.client.cookies.jar if c.name.startswith("spe_login_")]
    assert cookie.value
    for value in (cookie.value[:-4] + "AAAA", "", "x" * 5000, "W10", "bnVsbA", "[[" * 40, "WzEsMiwzLDRd"):
        answer = visitor.ask("GET", back, headers={"Cookie": f"{cookie.name}={value}"})
        assert answer.status_code == 401, value
    assert sessions(desk) == ()


def test_an_attempt_is_over_after_ten_minutes(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    back = visitor.answered(desk.url, "olga")
    desk.ground.clock.turn(minutes=10)
    _, page = visitor.follow(back)
    assert "That took too long" in page.text


def test_several_sign_ins_can_be_under_way_in_one_browser(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    first = visitor.answered(desk.url, "olga", start="/login?next=/people")
    second = visitor.answered(desk.url, "olga", start="/login?next=/datasets")
    assert visitor.follow(first)[0] == f"{desk.url}/people"
    assert visitor.follow(second)[0] == f"{desk.url}/datasets"


@pytest.mark.parametrize("next_", ["/people", "/people?" + "x" * 1900])
def test_tickets_that_were_left_lying_about_do_not_pile_up(next_: str, desk: Portal, visitor: Visitor) -> None:
    """A proxy in front gives the cookies of a request 8 KiB."""
    for _ in range(40):
        visitor.follow(f"{desk.url}/login?{urlencode({'next': next_})}", until=desk.settings.issuer)
        kept = [c for c in visitor.client.cookies.jar if c.name.startswith("spe_login_")]
        assert sum(len(c.name) + len(c.value or "") + 3 for c in kept) < 7500


def test_a_long_way_to_go_on_is_not_forgotten(desk: Portal, visitor: Visitor) -> None:
    """The Hub's own question, which holds addresses in addresses, is long."""
    desk.person("olga")
    next_ = "/people?" + "x" * 1900
    assert visitor.sign_in(desk.url, "olga", start=f"/login?{urlencode({'next': next_})}")[0] == desk.url + next_


def test_whoever_says_no_at_the_provider_is_told_so_and_nothing_of_the_address_is_shown(
    desk: Portal, visitor: Visitor
) -> None:
    back = visitor.answered(desk.url, "olga", refuse="login")
    assert query_of(back)["error"] == "access_denied"
    _, page = visitor.follow(back)
    assert page.status_code == 401
    assert "You did not sign in" in page.text
    assert "the person said no" not in page.text


@pytest.mark.parametrize(
    ("error", "title"),
    [
        ("access_denied", "You did not sign in"),
        ("login_required", "You are not signed in yet"),
        ("interaction_required", "You are not signed in yet"),
        ("temporarily_unavailable", "Your identity provider is busy"),
        ("server_error", "Your identity provider is busy"),
        ("invalid_scope", "The sign-in does not work as it is set up"),
        ("<script>alert(1)</script>", "The sign-in does not work as it is set up"),
    ],
)
def test_each_error_of_the_provider_is_a_calm_sentence(error: str, title: str, desk: Portal, visitor: Visitor) -> None:
    address, _ = visitor.follow(f"{desk.url}/login", until=desk.settings.issuer)
    state = query_of(address)["state"]
    answer = {"state": state, "iss": desk.settings.issuer, "error": error, "error_description": "<b>bold</b>"}
    page = visitor.ask("GET", f"{desk.url}/login/callback", params=answer)
    assert f"<h1>{title}</h1>" in page.text
    assert "alert(1)" not in page.text
    assert "bold" not in page.text


@pytest.mark.parametrize(
    "next_",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aLocation:https://evil.example",
        "/people\r\nX: y",
        "http:evil.example",
        "///evil.example",
        " /people",
        "/" + "x" * 3000,
    ],
)
def test_a_sign_in_never_leads_elsewhere(next_: str, desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    back = visitor.answered(desk.url, "olga", start=f"/login?{urlencode({'next': next_})}")
    answer = visitor.ask("GET", back)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/")
    assert urlsplit(urljoin(desk.url, answer.headers["location"])).netloc == urlsplit(desk.url).netloc


def test_two_replicas_share_an_attempt_and_take_its_answer_once(
    ground: Ground, idp: Provider, port: int, tmp_path: Path, visitor: Visitor
) -> None:
    with portal(ground, oidc_settings(idp, f"http://127.0.0.1:{port}", tmp_path), replicas=2) as desk:
        desk.person("olga")
        back = visitor.answered(desk.url, "olga")
        cookies = "; ".join(f"{c.name}={c.value}" for c in visitor.client.cookies.jar)
        doors = [Visitor(), Visitor()]
        for door, number in zip(doors, desk.ports[::-1], strict=True):
            door.doors[desk.url] = number
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda door: door.ask("GET", back, headers={"Cookie": cookies}), doors))
        assert sorted(a.status_code for a in answers) == [303, 401]
        (session,) = [a.cookies["spe_session"] for a in answers if a.status_code == 303]
        for door in doors:
            page = door.ask("GET", f"{desk.url}/people", headers={"Cookie": f"spe_session={session}"})
            assert page.status_code == 200
            door.close()
        assert len(sessions(desk)) == 1


def test_signing_in_again_ends_the_session_before(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    visitor.sign_in(desk.url, "olga")
    old = visitor.client.cookies["spe_session"]
    visitor.sign_in(desk.url, "olga", start="/login?fresh=yes")
    assert visitor.client.cookies["spe_session"] != old
    assert len(sessions(desk)) == 1


def test_signing_out_goes_on_to_the_provider_and_comes_back(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    address, page = visitor.sign_in(desk.url, "olga")
    address, page = visitor.submit(address, page)
    assert "You are signed out here" in page.text
    assert sessions(desk) == ()
    assert "spe_session" not in visitor.client.cookies
    away = unescape(page.text.partition('content="0; url=')[2].partition('"')[0])
    assert away.startswith(f"{desk.settings.issuer}/session/end?")
    assert set(query_of(away)) == {"client_id", "post_logout_redirect_uri", "id_token_hint"}
    address, page = visitor.follow(away)
    address, page = visitor.submit(address, page, logout="yes")
    assert address.startswith(f"{desk.url}/signed-out")
    assert "You are signed out" in page.text
    address, page = visitor.follow(f"{desk.url}/login", until=f"{desk.url}/login/callback")
    assert "Who are you?" in page.text


def test_signing_out_at_the_provider_ends_the_session_here(desk: Portal, visitor: Visitor) -> None:
    person = desk.person("olga")
    visitor.sign_in(desk.url, "olga")
    address, page = visitor.follow(f"{desk.settings.issuer}/session/end")
    visitor.submit(address, page, logout="yes")
    deadline = time.monotonic() + 20
    while sessions(desk) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sessions(desk) == ()
    assert visitor.ask("GET", f"{desk.url}/people").status_code == 303
    (entry,) = desk.entries("person.signed-out")
    assert (entry.object_id, entry.actor.is_system) == (person.id, True)


def test_with_a_provider_there_are_no_one_time_links(desk: Portal, visitor: Visitor) -> None:
    person = desk.person("olga")
    people = desk.ground.app.people
    assert denied(lambda: people.link(person.id, by=SETUP)) == ("no-links",)
    _, page = visitor.follow(f"{desk.url}/sign-in")
    assert "sign-in link" not in page.text


def test_sessions_and_links_from_before_the_provider_do_not_count_any_more(
    ground: Ground, idp: Provider, port: int, tmp_path: Path, visitor: Visitor
) -> None:
    session = ground.session("operator")
    link = ground.app.people.link(ground.id_of("operator"), by=SETUP)
    with portal(ground, oidc_settings(idp, f"http://127.0.0.1:{port}", tmp_path)) as desk:
        for act, secret in ((ground.app.people.session, session), (ground.app.people.redeem, link)):
            with pytest.raises(Unauthenticated):
                act(secret)
        assert desk.ground.app.logins.offered


def test_an_operator_comes_in_by_a_link_from_the_host_while_the_provider_is_down(desk: Portal) -> None:
    people = desk.ground.app.people
    operator, checker = desk.ground.id_of("operator"), desk.ground.id_of("checker")
    link = people.break_glass(operator, by=founder())
    session = people.redeem(link)
    assert people.session(session).person == operator
    assert desk.entries("credential.session-issued")[0].details == {"by": "break-glass"}
    with pytest.raises(Unauthenticated):
        people.redeem(link)
    assert denied(lambda: people.break_glass(checker, by=founder())) == ("not-through-glass",)
    assert denied(lambda: people.break_glass(operator, by=desk.ground.by("operator"))) == ("not-through-glass",)
    desk.ground.clock.turn(minutes=30)
    late = people.break_glass(operator, by=founder())
    desk.ground.clock.turn(minutes=30)
    with pytest.raises(Unauthenticated):
        people.redeem(late)


def invited(desk: Portal, name: str = "nina", role: Role = Role.AUDITOR) -> tuple[Person, str]:
    person = desk.person(name, role, issuer="local")
    return person, desk.ground.app.people.invite(person.id, by=desk.ground.by("operator"))


def test_an_invitation_gives_a_person_the_identity_that_signs_in_with_it_once(desk: Portal, visitor: Visitor) -> None:
    person, secret = invited(desk)
    _, page = visitor.follow(f"{desk.url}/invitation/{secret}")
    assert "You are invited" in page.text
    start = unescape(page.text.partition('href="/login?')[2].partition('"')[0])
    _, page = visitor.sign_in(desk.url, "rita", start=f"/login?{start}")
    assert page.status_code == 200
    bound = desk.ground.app.people.person(person.id)
    assert (bound.issuer, bound.subject, bound.name) == (desk.settings.issuer, "rita", "Nina")
    (entry,) = desk.entries("person.identity-bound")
    assert (entry.actor.issuer, entry.actor.subject, entry.object_id) == (desk.settings.issuer, "rita", person.id)
    assert entry.digests["former"]
    other = Visitor()
    _, page = other.sign_in(desk.url, "stranger", start=f"/login?invitation={secret}")
    assert "was used already, or its time is over" in page.text
    other.close()


def test_an_invitation_is_kept_when_the_sign_in_is_not_enough(desk: Portal, visitor: Visitor) -> None:
    person, secret = invited(desk)
    _, page = visitor.sign_in(desk.url, "weak", start=f"/login?invitation={secret}")
    assert "asks for a second factor" in page.text
    assert desk.ground.app.people.person(person.id).issuer == "local"
    other = Visitor()
    assert other.sign_in(desk.url, "rita", start=f"/login?invitation={secret}")[1].status_code == 200
    other.close()


def test_whoever_is_registered_takes_no_second_person(desk: Portal, visitor: Visitor) -> None:
    desk.person("olga")
    person, secret = invited(desk)
    _, page = visitor.sign_in(desk.url, "olga", start=f"/login?invitation={secret}")
    assert "You are registered here already" in page.text
    assert desk.ground.app.people.person(person.id).issuer == "local"


def test_an_invitation_from_another_site_asks_first(desk: Portal, visitor: Visitor) -> None:
    _, secret = invited(desk)
    for site in ("cross-site", "same-site", "none"):
        answer = visitor.ask("GET", f"{desk.url}/login?invitation={secret}", headers={"Sec-Fetch-Site": site})
        assert answer.headers["location"] == f"/invitation/{secret}"


@pytest.mark.parametrize(
    ("given", "place"),
    [("spe_invitation_a-b_c-", "/invitation/spe_invitation_a-b_c-"), ("a%2Fb", "/sign-in"), ("%C3%A4", "/sign-in")],
)
def test_only_what_may_be_an_invitation_is_asked_about(desk: Portal, visitor: Visitor, given: str, place: str) -> None:
    answer = visitor.ask("GET", f"{desk.url}/login?invitation={given}", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.headers["location"] == place


def test_an_invitation_opens_nothing_else_and_is_for_people_without_an_identity(desk: Portal) -> None:
    _, secret = invited(desk)
    people = desk.ground.app.people
    for act in (people.redeem, people.session, people.bearer):
        with pytest.raises(Unauthenticated):
            act(secret)
    assert denied(lambda: people.invite(desk.person("olga").id, by=SETUP)) == ("has-identity",)
    assert denied(lambda: people.invite(desk.person("nina").id, by=desk.ground.by("board"))) == ("no-permission",)


def test_an_invitation_is_over_after_a_week(desk: Portal, visitor: Visitor) -> None:
    person, secret = invited(desk)
    with desk.ground.app.house.ports.store.begin() as uow:
        kept = uow.credentials.get(digest_of(secret))
        assert kept.expires - desk.ground.clock.now() == timedelta(days=7)
        uow.credentials.save(replace(kept, expires=desk.ground.clock.now()))
    _, page = visitor.sign_in(desk.url, "rita", start=f"/login?invitation={secret}")
    assert "was used already, or its time is over" in page.text
    assert desk.ground.app.people.person(person.id).issuer == "local"


def test_an_identity_that_was_bound_stays(desk: Portal, visitor: Visitor) -> None:
    """The database itself refuses another one (and to make somebody local again)."""
    person, secret = invited(desk)
    visitor.sign_in(desk.url, "rita", start=f"/login?invitation={secret}")
    store = desk.ground.app.house.ports.store
    for change in ({"subject": "stranger"}, {"issuer": "local"}, {"issuer": "https://evil.example"}):
        with pytest.raises(Refused, match="bound once"), store.begin() as uow:
            uow.people.save(replace(uow.people.get(person.id), **change))


def test_the_access_log_names_no_code_state_or_invitation(
    desk: Portal, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    desk.person("olga")
    with caplog.at_level(logging.INFO):
        back = visitor.answered(desk.url, "olga")
        visitor.follow(back)
        visitor.follow(back)
    said = "\n".join(r.getMessage() for r in caplog.records if not r.getMessage().startswith("HTTP Request: GET"))
    assert "/login/callback" in said  # the lines left out are those of the test's own browser
    for name in ("code", "state"):
        assert query_of(back)[name] not in said
