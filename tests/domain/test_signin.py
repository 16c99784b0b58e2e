"""What roles ask of a sign-in (security note T102): every act of silence counts as missing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spe.domain.principal import Role
from spe.domain.signin import Requirement, Shown, shortcomings

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
MFA, HIGH = "https://refeds.org/profile/mfa", "https://refeds.org/assurance/IAP/high"
STRICT = Requirement(acr=(MFA,), amr=("mfa",), assurance=(HIGH,), hours=12)
GOOD = Shown(acr=MFA, amr=frozenset({"pwd", "mfa"}), assurance=frozenset({HIGH}), at=NOW - timedelta(hours=1))


def codes(shown: Shown, wanted: Requirement = STRICT, roles: frozenset[Role] = frozenset({Role.BOARD})) -> list[str]:
    return [d.code for d in shortcomings({Role.BOARD: wanted}, roles, shown, NOW)]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, []),
        ({"acr": ""}, []),
        ({"amr": frozenset()}, []),
        ({"acr": "", "amr": frozenset({"pwd"})}, ["factor"]),
        ({"acr": "mfa", "amr": frozenset({MFA})}, ["factor"]),
        ({"assurance": frozenset()}, ["assurance"]),
        ({"assurance": frozenset({HIGH.lower()})}, ["assurance"]),
        ({"at": None}, ["age"]),
        ({"at": NOW - timedelta(hours=12)}, ["age"]),
        ({"at": NOW - timedelta(hours=12) + timedelta(seconds=1)}, []),
        ({"acr": "", "amr": frozenset(), "assurance": frozenset(), "at": None}, ["factor", "assurance", "age"]),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, object], missing: list[str]) -> None:
    assert codes(replace(GOOD, **changes)) == missing  # type: ignore[arg-type]


def test_a_role_without_a_row_is_refused() -> None:
    assert codes(GOOD, roles=frozenset({Role.BOARD, Role.AUDITOR})) == ["not-ruled"]


def test_a_row_that_asks_for_nothing_is_content_with_anything() -> None:
    assert codes(Shown(), Requirement()) == []


def test_whoever_has_several_roles_shows_what_each_of_them_asks() -> None:
    asked = {Role.BOARD: Requirement(acr=(MFA,)), Role.CHECKER: Requirement(assurance=(HIGH,))}
    found = shortcomings(asked, {Role.CHECKER, Role.BOARD}, Shown(), NOW)
    assert [d.code for d in found] == ["factor", "assurance"]


TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(
    st.builds(
        Shown,
        acr=st.just("") | TEXTS,
        amr=st.frozensets(TEXTS, max_size=5),
        assurance=st.frozensets(TEXTS, max_size=5),
        at=st.none() | st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    )
)
def test_what_was_shown_is_kept_with_a_session_as_it_was(shown: Shown) -> None:
    assert Shown.of(shown.facts()) == shown
