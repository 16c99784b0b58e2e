"""What the machine says about an egress request: findings, their places, and the report that carries them.

Only machine verdicts live here. A person's vote is another type in another module, so no sum can mix the two.
A report is checked when it is built and when it is read: it can never be milder than its own findings, and a
report about nothing cannot pass.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, TypeVar

from spe.domain.errors import Invalid

SCHEMA: Final = "spe.report/1"

_Word = TypeVar("_Word", bound=StrEnum)


class Severity(StrEnum):
    """How much a finding weighs: `note` is shown, `refer` needs a person, `block` stops the output."""

    NOTE = "note"
    REFER = "refer"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """0 for note, 1 for refer, 2 for block."""
        return _RANKS[self]

    @property
    def verdict(self) -> "Verdict":
        """The verdict that one finding of this severity forces."""
        return _VERDICTS[self]


class Verdict(StrEnum):
    """What the machine concludes for an output or a request. A `pass` is never a release."""

    PASS = "pass"
    REFER = "refer"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """0 for pass, 1 for refer, 2 for block."""
        return tuple(Verdict).index(self)

    @staticmethod
    def worst(verdicts: Iterable["Verdict"]) -> "Verdict":
        """The strictest of them; `pass` when there is none."""
        return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.PASS)


_RANKS: Final = {Severity.NOTE: 0, Severity.REFER: 1, Severity.BLOCK: 2}
_VERDICTS: Final = {
    Severity.NOTE: Verdict.PASS,
    Severity.REFER: Verdict.REFER,
    Severity.BLOCK: Verdict.BLOCK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in an output a finding is. Rows, lines, pages and cells count from 1, bytes from 0."""

    row: int | None = None
    column: str | None = None
    line: int | None = None
    byte: int | None = None
    page: int | None = None
    cell: int | None = None

    def words(self) -> str:
        """The place in words, such as `row 7, column n`; empty when the whole output is meant."""
        return ", ".join(f"{name} {value}" for name, value in self.to_json().items())

    def to_json(self) -> dict[str, Any]:
        """Only the parts that are known."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if value is not None}

    @staticmethod
    def from_json(document: object) -> "Place":
        """Read what `to_json` wrote. Raises Invalid."""
        place = _mapping(document, "place")
        _only(place, frozenset(field.name for field in fields(Place)), "place")
        numbers = {name: _whole(place, name) for name in place if name != "column"}
        return Place(column=_text(place, "column") if "column" in place else None, **numbers)


NOWHERE: Final = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a check saw. The message names rule and place, never a value from the data."""

    check: str
    severity: Severity
    message: str
    place: Place = NOWHERE
    path: str | None = None

    @property
    def key(self) -> str:
        """A short digest by which a person acknowledges this finding; the same in every later report."""
        parts = [self.check, self.severity, self.message, self.place.to_json(), self.path]
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self, *, with_path: bool) -> dict[str, Any]:
        """As it stands in a report; below an output the path is the output's and is left out."""
        document: dict[str, Any] = {
            "check": self.check,
            "severity": self.severity.value,
            "message": self.message,
            "place": self.place.to_json(),
        }
        if with_path and self.path is not None:
            document["path"] = self.path
        return document

    @staticmethod
    def from_json(document: object, path: str | None = None) -> "Finding":
        """Read what `to_json` wrote. Raises Invalid."""
        finding = _mapping(document, "finding")
        allowed = {"check", "severity", "message", "place"} | ({"path"} if path is None else set())
        _only(finding, allowed, "finding")
        return Finding(
            check=_text(finding, "check"),
            severity=_member(Severity, finding, "severity"),
            message=_text(finding, "message"),
            place=Place.from_json(finding.get("place", {})),
            path=_text(finding, "path") if "path" in finding else path,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputReport:
    """What was found in one file. `sha256` is the hexadecimal digest of the bytes that were read."""

    path: str
    sha256: str
    size: int
    media_type: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        _not_milder(self.verdict, _implied(self.findings), f"output {self.path!r}")

    def to_json(self) -> dict[str, Any]:
        """The output's part of a report."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "size": self.size,
            "media_type": self.media_type,
            "verdict": self.verdict.value,
            "findings": [finding.to_json(with_path=False) for finding in self.findings],
        }

    @staticmethod
    def from_json(document: object) -> "OutputReport":
        """Read what `to_json` wrote. Raises Invalid."""
        output = _mapping(document, "output")
        _only(output, {field.name for field in fields(OutputReport)}, "output")
        path = _text(output, "path")
        return OutputReport(
            path=path,
            sha256=_hex_digest(output),
            size=_whole(output, "size"),
            media_type=_text(output, "media_type"),
            verdict=_member(Verdict, output, "verdict"),
            findings=tuple(Finding.from_json(one, path) for one in _list(output, "findings")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStamp:
    """Which rules were applied: name, version and `sha256:…` digest of the effective policy."""

    name: str
    version: str
    digest: str

    def to_json(self) -> dict[str, str]:
        """The report's `policy` part."""
        return {"name": self.name, "version": self.version, "digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything the checks say about one egress request, under one policy digest."""

    policy: PolicyStamp
    verdict: Verdict
    outputs: tuple[OutputReport, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        implied = Verdict.worst([_implied(self.findings), *(output.verdict for output in self.outputs)])
        _not_milder(self.verdict, implied if self.outputs else Verdict.BLOCK, "report")

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Findings about the request and then those of each output."""
        return self.findings + tuple(one for output in self.outputs for one in output.findings)

    def output(self, path: str) -> OutputReport | None:
        """What was found in the file at `path`; None when the report does not know it."""
        return next((output for output in self.outputs if output.path == path), None)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON document of schema `spe.report/1`."""
        return {
            "schema": SCHEMA,
            "policy": self.policy.to_json(),
            "verdict": self.verdict.value,
            "outputs": [output.to_json() for output in self.outputs],
            "findings": [finding.to_json(with_path=True) for finding in self.findings],
        }

    @staticmethod
    def from_json(document: object) -> "Report":
        """Read a report from a mapping, or from JSON text or bytes. Raises Invalid when anything is odd."""
        if isinstance(document, str | bytes):
            try:
                document = json.loads(document)
            except (ValueError, RecursionError) as error:
                raise Invalid({"report": "This is not JSON; run the check again."}) from error
        report = _mapping(document, "report")
        _only(report, {"schema", "policy", "verdict", "outputs", "findings"}, "report")
        if report.get("schema") != SCHEMA:
            raise Invalid({"schema": f"Only reports of schema {SCHEMA} are understood."})
        policy = _mapping(report.get("policy"), "policy")
        _only(policy, {"name", "version", "digest"}, "policy")
        return Report(
            policy=PolicyStamp(**{name: _text(policy, name) for name in ("name", "version", "digest")}),
            verdict=_member(Verdict, report, "verdict"),
            outputs=tuple(OutputReport.from_json(one) for one in _list(report, "outputs")),
            findings=tuple(Finding.from_json(one) for one in _list(report, "findings")),
        )


def _implied(findings: Iterable[Finding]) -> Verdict:
    return Verdict.worst(finding.severity.verdict for finding in findings)


def _not_milder(stated: Verdict, implied: Verdict, what: str) -> None:
    if stated.rank < implied.rank:
        raise Invalid({"verdict": f"The {what} says {stated}, but its own content means {implied}."})


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid({name: "This must be an object."})
    return value


def _only(document: Mapping[str, Any], allowed: Iterable[str], name: str) -> None:
    unknown = sorted(set(document) - set(allowed))
    if unknown:
        raise Invalid({name: f"The key {unknown[0]!r} does not belong here."})


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise Invalid({name: "This must be text."})
    return value


def _whole(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Invalid({name: "This must be a whole number, zero or more."})
    return value


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise Invalid({name: "This must be a list."})
    return value


def _hex_digest(document: Mapping[str, Any]) -> str:
    value = _text(document, "sha256")
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise Invalid({"sha256": "This must be 64 hexadecimal digits."})
    return value


def _member(kind: type[_Word], document: Mapping[str, Any], name: str) -> _Word:
    value = _text(document, name)
    if value not in tuple(kind):
        raise Invalid({name: f"This must be one of {', '.join(kind)}."})
    return kind(value)
