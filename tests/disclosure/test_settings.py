"""Policies merge so that the strictest value wins, in any order and however often."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spe.disclosure.parameters import Rule, Stricter, rules_of
from spe.disclosure.registry import catalogue
from spe.disclosure.settings import (
    CheckSetting,
    DisclosurePolicy,
    Part,
    as_strict,
    looser_parameters,
    meet,
    meet_all,
    read_settings,
)
from spe.domain.canonical import canonical, digest_of
from spe.domain.errors import Invalid
from spe.domain.verdict import Severity
from tests.disclosure.cases import default_policy

WORDS = ("csv", "png", "txt")


def values(rule: Rule) -> st.SearchStrategy[Any]:
    if rule.stricter in {Stricter.HIGHER, Stricter.LOWER}:
        low = rule.at_least or 0
        return st.integers(low, rule.at_most if rule.at_most is not None else low + 1000)
    if rule.stricter in {Stricter.MORE, Stricter.FEWER}:
        return st.frozensets(st.sampled_from(sorted(rule.words or WORDS)))
    return st.sampled_from(Severity) if rule.stricter is Stricter.WORSE else st.booleans()


@st.composite
def settings_of(draw: st.DrawFn, check: str) -> CheckSetting:
    kind = catalogue()[check].parameters
    chosen = {name: draw(values(rule)) for name, rule in rules_of(kind).items()}
    return CheckSetting(
        check=check,
        severity=draw(st.sampled_from(Severity)),
        parameters=kind(**chosen),
        waivable=draw(st.booleans()),
    )


@st.composite
def policies(draw: st.DrawFn) -> DisclosurePolicy:
    names = draw(st.sets(st.sampled_from(sorted(catalogue())), min_size=1, max_size=6))
    part = Part(name=draw(st.sampled_from("abc")), version=draw(st.sampled_from(["1.0.0", "2.0.0"])))
    return DisclosurePolicy(parts=(part,), settings=tuple(draw(settings_of(name)) for name in sorted(names)))


@given(policies(), policies())
def test_merging_does_not_depend_on_the_order(one: DisclosurePolicy, other: DisclosurePolicy) -> None:
    assert meet(one, other) == meet(other, one)
    assert meet(one, other).digest == meet(other, one).digest


@given(policies(), policies(), policies())
def test_merging_does_not_depend_on_the_grouping(a: DisclosurePolicy, b: DisclosurePolicy, c: DisclosurePolicy) -> None:
    assert meet(meet(a, b), c) == meet(a, meet(b, c))


@given(policies())
def test_merging_a_policy_with_itself_changes_nothing(one: DisclosurePolicy) -> None:
    assert meet(one, one) == one


@given(policies(), policies())
def test_a_merged_policy_is_never_looser_than_a_part(one: DisclosurePolicy, other: DisclosurePolicy) -> None:
    merged = meet(one, other)

    for part in (one, other):
        assert as_strict(merged, part)
        for setting in part.settings:
            kept = merged.setting(setting.check)
            assert kept is not None
            assert looser_parameters(setting, kept) == ()


@given(policies())
def test_a_policy_survives_its_own_json(one: DisclosurePolicy) -> None:
    assert DisclosurePolicy.from_json(one.to_json()) == one


def test_no_policy_at_all_is_refused() -> None:
    with pytest.raises(Invalid, match="nothing may leave"):
        meet_all([])


def test_a_policy_that_names_no_checks_is_refused() -> None:
    with pytest.raises(Invalid, match="names no checks"):
        DisclosurePolicy(parts=(Part(name="a", version="1.0.0"),), settings=())


def test_the_digest_is_that_of_the_canonical_rules() -> None:
    document = default_policy().to_json()
    digest = document.pop("digest")

    assert digest == digest_of(canonical(document))


def test_a_changed_rule_with_the_old_digest_is_refused() -> None:
    document = default_policy().to_json()
    document["checks"]["FRQ-01"]["minimum"] = 2

    with pytest.raises(Invalid, match="digest"):
        DisclosurePolicy.from_json(document)


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        ({"FRQ-1": {}}, "did you mean 'FRQ-01'"),
        ({"FRQ-01": {"minimun": 10}}, "did you mean 'minimum'"),
        ({"FRQ-01": {"minimum": "10"}}, "whole number"),
        ({"FRQ-01": {"minimum": True}}, "whole number"),
        ({"FRQ-01": {"minimum": 1}}, "at least 2"),
        ({"MIC-01": {"percent": 101}}, "at most 100"),
        ({"FRQ-01": {"severity": "blocks"}}, "note, refer, block"),
        ({"FRQ-01": {"waivable": "yes"}}, "true or false"),
        ({"FRQ-02": {"zeros": 1}}, "true or false"),
        ({"TYP-01": {"allow": ["cvs"]}}, "did you mean 'csv'"),
        ({"TYP-01": {"allow": "csv"}}, "list of words"),
        ({"FRQ-01": [10]}, "object of settings"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_nearest_right_one(checks: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        read_settings(checks, ())


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_parameter_says_what_it_is_and_which_way_is_stricter(name: str) -> None:
    for one in fields(catalogue()[name].parameters):
        rule = one.metadata["rule"]
        assert rule.says
        assert (
            f"{{{one.name}}}" in catalogue()[name].sentence
            or one.name in {"fewest_rows", "weak_percent"}
            or (name in {"GEN-02", "MIC-06"})
        )
