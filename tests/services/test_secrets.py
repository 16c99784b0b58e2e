"""Secrets: named in a permit, leased for minutes, audited, gone at the end, and never written down."""

from dataclasses import replace
from datetime import timedelta

import pytest

from spe.domain.errors import Invalid, NotFound, Refused, Unavailable
from spe.ports.secrets import KeyName, Lease, SecretValue
from tests.support.asking import denied
from tests.support.ground import SECRET, Ground
from tests.support.prepared import over, restart, store_of

PLANTED = "planted-value-that-must-not-be-found-7f3a9c"


def lease(ground: Ground, name: str = SECRET, *, person: str = "researcher") -> Lease:
    return ground.app.secrets.lease(ground.workspace_id, name, person=ground.by(person))


def amended(ground: Ground, **changes: object) -> None:
    terms = replace(ground.permit.terms, **changes)  # type: ignore[arg-type]
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))


def events(ground: Ground) -> list[str]:
    return [e.event for e in reversed(ground.app.audit.entries(event="secret.", by=ground.by("auditor")))]


def test_a_secret_of_the_permit_is_lent_for_an_hour(ground: Ground) -> None:
    found = lease(ground)
    assert found.value.reveal() == "value-of-the-registry-key"
    assert found.expires == ground.clock.now() + timedelta(minutes=60)
    assert [name for name, _, _ in ground.app.secrets.held(ground.workspace_id, by=ground.by("operator"))] == [SECRET]


def test_a_lease_never_outlives_the_permit(ground: Ground) -> None:
    ends = ground.clock.now() + timedelta(minutes=10)
    amended(ground, ends=ends)
    assert lease(ground).expires == ends


def test_only_names_that_the_permit_lists_are_lent(ground: Ground) -> None:
    ground.app.secrets.put("other-key", "x", by=ground.by("operator"))
    for name in ("other-key", "no-such-key", "", "../registry-key"):
        assert denied(lambda name=name: lease(ground, name)) == ("not-listed",)


def test_only_people_on_the_permit_are_lent_anything(ground: Ground) -> None:
    lease(ground, person="colleague")
    with pytest.raises(NotFound):
        lease(ground, person="outsider")
    for name in ("board", "checker", "operator", "auditor"):
        assert denied(lambda name=name: lease(ground, person=name)) == ("no-permission",)


def test_names_are_seen_by_those_whose_permit_lists_them_and_by_those_who_grant_and_watch(ground: Ground) -> None:
    ground.app.secrets.put("other-key", "x", by=ground.by("operator"))
    for name in ("board", "operator", "auditor"):
        assert set(ground.app.secrets.names(by=ground.by(name))) == {SECRET, "other-key"}
    for name in ("researcher", "colleague"):
        assert ground.app.secrets.names(by=ground.by(name)) == (SECRET,)
    for name in ("outsider", "checker"):
        assert ground.app.secrets.names(by=ground.by(name)) == ()


def test_a_name_that_was_taken_out_of_the_permit_is_not_shown_any_more(ground: Ground) -> None:
    amended(ground, secrets=frozenset())
    assert ground.app.secrets.names(by=ground.by("researcher")) == ()


def test_only_operators_store_secrets(ground: Ground) -> None:
    for name in ("researcher", "board", "checker", "auditor"):
        assert denied(lambda name=name: ground.app.secrets.put("key", "x", by=ground.by(name))) == ("no-permission",)


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a\nb", "x" * 64, "-a", "../key"])
def test_a_secret_has_a_plain_name(ground: Ground, name: str) -> None:
    with pytest.raises(Invalid):
        ground.app.secrets.put(name, "x", by=ground.by("operator"))
    assert events(ground) == ["secret.stored"], "only the one that was there from the beginning"


@pytest.mark.parametrize("verb", ["suspend", "revoke"])
def test_nothing_is_lent_and_everything_is_taken_back_when_access_ends(ground: Ground, verb: str) -> None:
    lease(ground)
    lease(ground, person="colleague")
    ground.app.permits.narrow(ground.permit_id, verb, reason="over", by=ground.by("board"))
    assert denied(lambda: lease(ground)) == ("permit-not-active",)
    ground.settle()
    assert ground.app.house.ports.secrets.confirm_revoked(ground.workspace_id)
    (entry,) = ground.app.audit.entries(event="secret.revoked", by=ground.by("auditor"))
    assert dict(entry.details) == {"leases": 2, "confirmed": True}


def test_the_end_of_the_term_takes_everything_back(ground: Ground) -> None:
    amended(ground, ends=ground.clock.now() + timedelta(hours=24))
    lease(ground)
    ground.clock.turn(hours=24)
    assert denied(lambda: lease(ground)) == ("permit-not-active",)
    ground.settle()
    assert ground.app.house.ports.secrets.confirm_revoked(ground.workspace_id)


def test_whoever_leaves_the_permit_loses_their_leases_and_nobody_else_does(ground: Ground) -> None:
    lease(ground)
    lease(ground, person="colleague")
    amended(ground, people=frozenset({ground.id_of("researcher")}))
    ground.settle()
    held = ground.app.secrets.held(ground.workspace_id, by=ground.by("operator"))
    assert [holder for _, holder, _ in held] == [ground.id_of("researcher")]


def test_a_name_that_leaves_the_permit_is_taken_back(ground: Ground) -> None:
    lease(ground)
    amended(ground, secrets=frozenset())
    ground.settle()
    assert ground.app.secrets.held(ground.workspace_id, by=ground.by("operator")) == ()
    assert events(ground)[-1] == "secret.revoked"


def test_every_lease_is_written_down_with_name_and_person_and_without_value(ground: Ground) -> None:
    found = lease(ground)
    (entry,) = ground.app.audit.entries(event="secret.leased", by=ground.by("auditor"))
    assert entry.actor.subject == "researcher"
    assert dict(entry.details) == {"secret": SECRET, "lease": found.id}


class NoPut:
    """A store that is sealed when something shall be stored."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def put(self, name: str, value: SecretValue) -> None:
        raise Unavailable("secret store")

    def lease(self, *args: object, **kwargs: object) -> Lease:
        raise Unavailable("secret store")


def test_a_sealed_store_takes_nothing_and_leaves_no_entry_that_it_did(ground: Ground) -> None:
    before = events(ground)
    app = over(ground, secrets=NoPut(ground.app.house.ports.secrets))
    with pytest.raises(Unavailable):
        app.secrets.put("new-key", "x", by=ground.by("operator"))
    assert events(ground) == before


def test_whoever_asked_a_sealed_store_in_vain_is_written_down(ground: Ground) -> None:
    app = over(ground, secrets=NoPut(ground.app.house.ports.secrets))
    with pytest.raises(Unavailable):
        app.secrets.lease(ground.workspace_id, SECRET, person=ground.by("researcher"))
    (entry,) = ground.app.audit.entries(event="secret.unavailable", by=ground.by("auditor"))
    assert (entry.actor.subject, dict(entry.details)) == ("researcher", {"secret": SECRET})
    with pytest.raises(Refused):
        app.secrets.lease(ground.workspace_id, "free text of a workspace", person=ground.by("researcher"))
    assert events(ground)[-1] == "secret.unavailable"


def test_the_value_is_found_nowhere_but_where_it_is_handed_out(
    ground: Ground, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    ground.app.secrets.put(SECRET, PLANTED, by=ground.by("operator"))
    found = lease(ground)
    held = ground.app.secrets.held(ground.workspace_id, by=ground.by("operator"))
    shown = [repr(found), str(found), f"{found.value}", repr(held)]
    with pytest.raises(Refused) as caught:
        lease(ground, "other")
    shown.append(repr(caught.value))
    ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))
    ground.settle()
    shown += [record.getMessage() for record in caplog.records]
    shown += [*capsys.readouterr()]
    shown.append(repr(ground.app.audit.entries(by=ground.by("auditor"), limit=500)))
    assert not any(PLANTED in text for text in shown)
    store_of(ground).close()
    scanned = [path for path in ground.folder.rglob("*") if path.is_file() and path.name != "secrets.sealed"]
    assert any(path.name == "spe.db" for path in scanned)
    for path in [*scanned, ground.folder / "secrets.sealed"]:
        assert PLANTED.encode() not in path.read_bytes(), path.name
    assert found.value.reveal() == PLANTED


def test_secrets_and_keys_outlive_a_restart(ground: Ground) -> None:
    public = ground.app.house.ports.secrets.public_key(KeyName.RELEASE)
    lease(ground)
    restart(ground)
    assert ground.app.house.ports.secrets.public_key(KeyName.RELEASE) == public
    assert len(ground.app.secrets.held(ground.workspace_id, by=ground.by("operator"))) == 1
