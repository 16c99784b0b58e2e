"""Disclosure policies as services see them: frozen, by name, explained in sentences, compared with each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spe.disclosure.parameters import plain_parameters, unknown
from spe.disclosure.registry import catalogue
from spe.disclosure.settings import CheckSetting, DisclosurePolicy, looser_parameters, meet_all
from spe.domain.errors import Invalid
from spe.domain.verdict import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureProfile:
    """One policy document: the rules with what a board wants to know about them."""

    name: str
    version: str
    title: str
    owner: str
    sources: tuple[str, ...]
    policy: DisclosurePolicy
    because: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One rule in a sentence, as this policy sets it."""

    check: str
    severity: Severity
    waivable: bool
    sentence: str
    remedy: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two policies; `looser` says whether the second lets more through."""

    check: str
    what: str
    before: Any
    after: Any
    looser: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosurePolicies:
    """Every disclosure policy that the house knows."""

    profiles: Mapping[str, DisclosureProfile]

    def named(self, name: str) -> DisclosureProfile:
        """One policy. Raises Invalid, listing the known ones."""
        if name not in self.profiles:
            raise Invalid({"policy": f"{name!r}: {unknown(name, self.profiles, 'policy')} {_known(self.profiles)}"})
        return self.profiles[name]

    def effective(self, names: tuple[str, ...]) -> DisclosurePolicy:
        """The strictest of several. Raises Invalid for an unknown name, and for none at all."""
        return meet_all(self.named(name).policy for name in names)


def explanations(profile: DisclosureProfile) -> tuple[Explanation, ...]:
    """What the policy asks, rule by rule."""
    return tuple(_explanation(setting, profile.because) for setting in profile.policy.settings)


def changes(before: DisclosurePolicy, after: DisclosurePolicy) -> tuple[Change, ...]:
    """What a change of policy means, looser things first."""
    old, new = ({one.check: one for one in policy.settings} for policy in (before, after))
    found: list[Change] = []
    for check in sorted(set(old) | set(new)):
        if check not in new:
            found.append(Change(check=check, what="the whole check", before="on", after="off", looser=True))
        elif check not in old:
            found.append(Change(check=check, what="the whole check", before="off", after="on", looser=False))
        else:
            found += _changed(old[check], new[check])
    return tuple(sorted(found, key=lambda change: (not change.looser, change.check, change.what)))


def _changed(before: CheckSetting, after: CheckSetting) -> list[Change]:
    looser = looser_parameters(before, after)
    old, new = before.to_json(), after.to_json()
    return [
        Change(check=before.check, what=name, before=old[name], after=new[name], looser=name in looser)
        for name in new
        if old[name] != new[name]
    ]


def _explanation(setting: CheckSetting, because: Mapping[str, str]) -> Explanation:
    known = catalogue()[setting.check]
    return Explanation(
        check=setting.check,
        severity=setting.severity,
        waivable=setting.waivable,
        sentence=known.explain(setting.parameters),
        remedy=known.remedy.format(**plain_parameters(setting.parameters)),
        because=because.get(setting.check, ""),
    )


def _known(profiles: Mapping[str, DisclosureProfile]) -> str:
    return f"Known policies: {', '.join(sorted(profiles)) or 'none'}."
