"""People: sign-in links, sessions, tokens, roles, accounts that are off."""

import pytest

from spe.domain.errors import NotFound, Unauthenticated
from spe.domain.principal import Permission, Role
from spe.services.people import digest_of
from tests.support.asking import denied, invalid
from tests.support.ground import SETUP, Ground

ODD_NAMES = ("", "  ", "Eve\nAdams", "Eve\x00", "Eve\x1b[31m", "Eve\x7f", "Eve\x9b", "Eve\u202egro", "Eve\u2028")


def register(ground: Ground, *roles: Role, **changes: str) -> object:
    given = {"issuer": "https://login.example", "subject": "eve", "name": "Eve", "organisation": "Institute"}
    return ground.app.people.register(**(given | changes), roles=roles, by=SETUP)  # type: ignore[arg-type]


def test_a_link_opens_one_session_once(ground: Ground) -> None:
    people = ground.app.people
    link = people.link(ground.id_of("researcher"), by=ground.by("operator"))
    assert people.session(people.redeem(link)).person == ground.id_of("researcher")
    with pytest.raises(Unauthenticated):
        people.redeem(link)


def test_a_link_ends_after_a_day(ground: Ground) -> None:
    link = ground.app.people.link(ground.id_of("researcher"), by=SETUP)
    ground.clock.turn(hours=24)
    with pytest.raises(Unauthenticated):
        ground.app.people.redeem(link)


def test_a_session_idles_out(ground: Ground) -> None:
    session = ground.session("researcher")
    ground.clock.turn(minutes=60)
    with pytest.raises(Unauthenticated):
        ground.app.people.session(session)


def test_a_session_in_use_goes_on(ground: Ground) -> None:
    session = ground.session("researcher")
    for _ in range(5):
        ground.clock.turn(minutes=50)
        assert ground.app.people.session(session).name == "Researcher"


def test_whoever_signs_out_is_out(ground: Ground) -> None:
    session = ground.session("researcher")
    ground.app.people.sign_out(session)
    ground.app.people.sign_out(session)
    with pytest.raises(Unauthenticated):
        ground.app.people.session(session)


def test_a_token_acts_as_its_person_for_its_term(ground: Ground) -> None:
    token = ground.token("checker")
    assert ground.app.people.bearer(token).person == ground.id_of("checker")
    ground.clock.turn(days=90)
    with pytest.raises(Unauthenticated):
        ground.app.people.bearer(token)


def test_a_credential_opens_only_what_its_kind_opens(ground: Ground) -> None:
    people = ground.app.people
    link, session, token = people.link(ground.id_of("board"), by=SETUP), ground.session("board"), ground.token("board")
    for act, wrong in (
        (people.redeem, (session, token)),
        (people.session, (link, token)),
        (people.bearer, (link, session)),
    ):
        for secret in wrong:
            with pytest.raises(Unauthenticated):
                act(secret)
    people.redeem(link)


def test_people_make_tokens_for_themselves_and_only_operators_for_others(ground: Ground) -> None:
    people = ground.app.people
    people.token(ground.id_of("researcher"), by=ground.by("researcher"))
    people.token(ground.id_of("researcher"), by=ground.by("operator"))
    assert denied(lambda: people.token(ground.id_of("researcher"), by=ground.by("colleague"))) == ("no-permission",)
    assert denied(lambda: people.link(ground.id_of("researcher"), by=ground.by("board"))) == ("no-permission",)


def test_nobody_gets_a_link_for_a_person_who_is_not_there(ground: Ground) -> None:
    with pytest.raises(NotFound):
        ground.app.people.link("p-nobody", by=SETUP)  # type: ignore[arg-type]


def test_an_account_that_was_switched_off_opens_nothing(ground: Ground) -> None:
    people, person = ground.app.people, ground.id_of("researcher")
    link, session, token = people.link(person, by=SETUP), ground.session("researcher"), ground.token("researcher")
    people.switch(person, active=False, by=ground.by("operator"))
    for act, secret in ((people.redeem, link), (people.session, session), (people.bearer, token)):
        with pytest.raises(Unauthenticated, match="switched off"):
            act(secret)
    people.switch(person, active=True, by=ground.by("operator"))
    assert people.bearer(token).person == person
    people.redeem(link)


def test_nobody_switches_their_own_account(ground: Ground) -> None:
    people = ground.app.people
    assert denied(
        lambda: people.switch(ground.id_of("operator"), active=False, by=ground.by("operator"))
    ) == ("own-account",)  # fmt: skip
    assert denied(
        lambda: people.switch(ground.id_of("colleague"), active=False, by=ground.by("researcher"))
    ) == ("no-permission",)  # fmt: skip


def test_roles_that_exclude_each_other_do_not_meet_in_one_person(ground: Ground) -> None:
    pairs = ground.policies[-1].exclusive
    assert pairs
    for pair in pairs:
        assert "may not be both" in invalid(lambda pair=pair: register(ground, *pair))["roles"]


@pytest.mark.parametrize("roles", [(), (Role.SYSTEM,), (Role.CHECKER, Role.SYSTEM)])
def test_a_person_has_a_role_of_a_person(ground: Ground, roles: tuple[Role, ...]) -> None:
    assert "roles" in invalid(lambda: register(ground, *roles))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_has_no_control_characters(ground: Ground, name: str) -> None:
    assert "name" in invalid(lambda: register(ground, Role.AUTHORISED_USER, name=name))


@pytest.mark.parametrize("organisation", ODD_NAMES[2:])
def test_an_organisation_has_no_control_characters(ground: Ground, organisation: str) -> None:
    assert "organisation" in invalid(lambda: register(ground, Role.AUTHORISED_USER, organisation=organisation))


@pytest.mark.parametrize("changes", [{"issuer": "spe"}, {"issuer": ""}, {"subject": "eve adams"}, {"subject": "é"}])
def test_an_identity_that_the_log_could_not_write_is_refused(ground: Ground, changes: dict[str, str]) -> None:
    invalid(lambda: register(ground, Role.AUTHORISED_USER, **changes))


def test_names_of_many_scripts_are_welcome(ground: Ground) -> None:
    for number, name in enumerate(("Zoë Müller", "Ægir Þór", "山田太郎", "O’Neil-d’Arc", "مریم")):
        assert register(ground, Role.AUTHORISED_USER, subject=f"s{number}", name=name).name == name  # type: ignore[attr-defined]


def test_registering_again_changes_nothing(ground: Ground) -> None:
    first = register(ground, Role.AUTHORISED_USER)
    assert register(ground, Role.CHECKER, name="Somebody else") == first


def test_a_role_holds_what_the_policy_grants_and_no_more(ground: Ground) -> None:
    checker = ground.by("checker")
    assert checker.may(Permission.EGRESS_REVIEW)
    assert not checker.may(Permission.EGRESS_AUTHOR)
    assert not checker.may(Permission.PERMIT_CONFIRM)


def test_only_operators_and_deciders_see_the_list_of_people(ground: Ground) -> None:
    assert len(ground.app.people.everyone(by=ground.by("board"))) == len(ground.people)
    assert denied(lambda: ground.app.people.everyone(by=ground.by("researcher"))) == ("no-permission",)


def test_terms_are_accepted_only_by_people_on_the_permit(ground: Ground) -> None:
    with pytest.raises(NotFound):
        ground.app.people.accept_terms(ground.permit_id, by=ground.by("outsider"))
    assert ground.app.people.accept_terms(ground.permit_id, by=ground.by("colleague")).terms


def test_the_database_holds_no_secret_that_opens_anything(ground: Ground) -> None:
    secrets = [ground.session("board"), ground.token("board"), ground.app.people.link(ground.id_of("board"), by=SETUP)]
    stored = b"".join(path.read_bytes() for path in ground.folder.glob("spe.db*"))
    for secret in secrets:
        assert secret.encode() not in stored
        assert digest_of(secret).encode() in stored


def test_the_log_names_people_by_their_identity_and_never_by_name(ground: Ground) -> None:
    register(ground, Role.AUTHORISED_USER, name="Unmistakable Person")
    with ground.app.house.ports.store.read() as uow:
        log = b"".join(data for _, data in uow.audit.raw())
    assert b"person.registered" in log
    assert b"Unmistakable" not in log
