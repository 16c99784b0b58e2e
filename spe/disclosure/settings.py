"""The effective disclosure policy: which checks run, how heavy each weighs, with which parameters.

Frozen values only; the documents they come from are read in `spe.policy`. `meet` merges the policies of all
datasets in a workspace so that the strictest value wins, and the digest is taken over the canonical JSON of
the result, so that one digest stands for one set of rules whatever files it was merged from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

from spe.disclosure.parameters import (
    plain_parameters,
    read_parameters,
    read_severity,
    rules_of,
    stricter_parameters,
    stricter_value,
    unknown,
    worse,
)
from spe.disclosure.registry import catalogue
from spe.domain.canonical import canonical, digest_of
from spe.domain.errors import Invalid
from spe.domain.verdict import PolicyStamp, Severity

SCHEMA: Final = "spe.policy/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSetting:
    """One check as a policy wants it. `waivable` says whether a named person may make an exception."""

    check: str
    severity: Severity
    parameters: object
    waivable: bool = False

    def to_json(self) -> dict[str, Any]:
        """Severity, waivable, and every parameter by name."""
        return {"severity": self.severity.value, "waivable": self.waivable, **plain_parameters(self.parameters)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One document that a policy was made from."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosurePolicy:
    """The rules that apply to a request. Checks that it does not name do not run; it names at least one."""

    parts: tuple[Part, ...]
    settings: tuple[CheckSetting, ...]

    def __post_init__(self) -> None:
        if not self.settings:
            raise Invalid({"checks": "A policy that names no checks would let everything pass; name at least one."})

    @property
    def name(self) -> str:
        """The names of all parts, joined by ` + `."""
        return " + ".join(part.name for part in self.parts)

    @property
    def version(self) -> str:
        """The versions of all parts, in the order of the names."""
        return " + ".join(part.version for part in self.parts)

    @property
    def digest(self) -> str:
        """`sha256:…` over the canonical JSON of these rules."""
        return digest_of(canonical(self._body()))

    @property
    def stamp(self) -> PolicyStamp:
        """What a report carries."""
        return PolicyStamp(name=self.name, version=self.version, digest=self.digest)

    def setting(self, check: str) -> CheckSetting | None:
        """The setting of one check; None when this policy does not run it."""
        return next((one for one in self.settings if one.check == check), None)

    def to_json(self) -> dict[str, Any]:
        """The whole policy with its digest, as the runner reads it."""
        return {**self._body(), "digest": self.digest}

    @staticmethod
    def from_json(document: object) -> "DisclosurePolicy":
        """Read what `to_json` wrote. Raises Invalid, also when the digest is not that of the content."""
        if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
            raise Invalid({"policy": f"Expected an effective policy of schema {SCHEMA}."})
        parts, checks = document.get("parts"), document.get("checks")
        if not isinstance(parts, list) or not isinstance(checks, Mapping):
            raise Invalid({"policy": "Expected `parts` and `checks`."})
        policy = DisclosurePolicy(parts=_parts(parts), settings=read_settings(checks, ()))
        if document.get("digest") != policy.digest:
            raise Invalid({"policy.digest": "The digest is not that of the rules; load the policy again."})
        return policy

    def _body(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "parts": [{"name": part.name, "version": part.version} for part in self.parts],
            "checks": {one.check: one.to_json() for one in self.settings},
        }


def read_settings(checks: Mapping[str, object], base: Iterable[CheckSetting]) -> tuple[CheckSetting, ...]:
    """`base` with the settings of a document put over it, sorted by check. Raises Invalid."""
    settings = {setting.check: setting for setting in base}
    for name, document in checks.items():
        known = catalogue().get(name)
        if known is None:
            raise Invalid({f"checks.{name}": unknown(str(name), catalogue(), "check")})
        if document is not None and not isinstance(document, Mapping):
            raise Invalid({f"checks.{name}": "This must be an object of settings, or empty."})
        start = settings.get(name) or CheckSetting(check=name, severity=known.severity, parameters=known.parameters())
        settings[name] = _read_setting(start, document or {}, f"checks.{name}")
    return tuple(settings[name] for name in sorted(settings))


def meet(left: DisclosurePolicy, right: DisclosurePolicy) -> DisclosurePolicy:
    """The policy that is at least as strict as both: every check of either, every value the stricter one."""
    merged = {setting.check: setting for setting in left.settings}
    for setting in right.settings:
        known = merged.get(setting.check)
        merged[setting.check] = setting if known is None else _stricter_setting(known, setting)
    parts = sorted({*left.parts, *right.parts}, key=lambda part: (part.name, part.version))
    return DisclosurePolicy(parts=tuple(parts), settings=tuple(merged[name] for name in sorted(merged)))


def meet_all(policies: Iterable[DisclosurePolicy]) -> DisclosurePolicy:
    """`meet` over all of them. Raises Invalid when there is none: no policy, nothing leaves."""
    found = tuple(policies)
    if not found:
        raise Invalid({"policy": "No disclosure policy applies, so nothing can be checked and nothing may leave."})
    return reduce(meet, found)


def as_strict(left: DisclosurePolicy, right: DisclosurePolicy) -> bool:
    """Whether `left` holds back everything that `right` does, setting by setting."""
    return meet(left, right).settings == left.settings


def looser_parameters(before: CheckSetting, after: CheckSetting) -> tuple[str, ...]:
    """The names of the parameters, `severity` and `waivable` in which `after` lets more through than `before`."""
    looser = [
        name
        for name, rule in rules_of(type(before.parameters)).items()
        if _value(before, name) != _value(after, name)
        and stricter_value(rule.stricter, _value(before, name), _value(after, name)) != _value(after, name)
    ]
    if after.severity.rank < before.severity.rank:
        looser.append("severity")
    if after.waivable and not before.waivable:
        looser.append("waivable")
    return tuple(looser)


def _value(setting: CheckSetting, name: str) -> object:
    return getattr(setting.parameters, name)


def _stricter_setting(left: CheckSetting, right: CheckSetting) -> CheckSetting:
    return CheckSetting(
        check=left.check,
        severity=worse(left.severity, right.severity),
        parameters=stricter_parameters(left.parameters, right.parameters),
        waivable=left.waivable and right.waivable,
    )


def _read_setting(start: CheckSetting, document: Mapping[str, object], where: str) -> CheckSetting:
    rest = dict(document)
    setting = start
    if "severity" in rest:
        setting = replace(setting, severity=read_severity(rest.pop("severity"), f"{where}.severity"))
    if "waivable" in rest:
        waivable = rest.pop("waivable")
        if not isinstance(waivable, bool):
            raise Invalid({f"{where}.waivable": "This must be true or false."})
        setting = replace(setting, waivable=waivable)
    kind = type(start.parameters)
    return replace(setting, parameters=read_parameters(kind, rest, start.parameters, where))


def _parts(parts: list[Any]) -> tuple[Part, ...]:
    for part in parts:
        if not isinstance(part, Mapping) or set(part) != {"name", "version"}:
            raise Invalid({"policy.parts": "Each part is a name and a version."})
        if not isinstance(part["name"], str) or not isinstance(part["version"], str):
            raise Invalid({"policy.parts": "Each part is a name and a version, both text."})
    return tuple(Part(name=part["name"], version=part["version"]) for part in parts)
