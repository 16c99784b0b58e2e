"""From what the checks saw to the report: severities from the policy, sentences, and the strictest verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spe.disclosure.content import Hit
from spe.disclosure.settings import DisclosurePolicy
from spe.domain.verdict import Finding, OutputReport, Report, Severity, Verdict

ENGINE: Final = "ENGINE"
MOST_PER_CHECK: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A hit of a check, at the path it is about; None when it is about the request as a whole."""

    check: str
    hit: Hit
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The facts about one output that its report repeats."""

    path: str
    sha256: str
    size: int
    media_type: str


def judge(outputs: Iterable[Examined], sightings: Iterable[Sighting], policy: DisclosurePolicy) -> Report:
    """The report. A check the policy does not name cannot weigh less than a block: it is the engine speaking."""
    known = tuple(outputs)
    paths = {output.path for output in known}
    findings = _findings(sightings, policy)
    if not known:
        findings.append(engine_finding("There is no file that could be released."))
    reports = tuple(_output(output, findings) for output in known)
    general = tuple(finding for finding in findings if finding.path not in paths)
    verdict = Verdict.worst([*(one.severity.verdict for one in general), *(one.verdict for one in reports)])
    return Report(policy=policy.stamp, verdict=verdict, outputs=reports, findings=general)


def engine_finding(sentence: str, path: str | None = None) -> Finding:
    """A block from the engine itself: what it could not do is never a pass."""
    return Finding(check=ENGINE, severity=Severity.BLOCK, message=sentence, path=path)


def blocked(policy: DisclosurePolicy, sentence: str) -> Report:
    """The report of a check that did not come to its end."""
    return Report(policy=policy.stamp, verdict=Verdict.BLOCK, findings=(engine_finding(sentence),))


def _output(output: Examined, findings: Iterable[Finding]) -> OutputReport:
    own = tuple(finding for finding in findings if finding.path == output.path)
    return OutputReport(
        path=output.path,
        sha256=output.sha256,
        size=output.size,
        media_type=output.media_type,
        verdict=Verdict.worst(finding.severity.verdict for finding in own),
        findings=own,
    )


def _findings(sightings: Iterable[Sighting], policy: DisclosurePolicy) -> list[Finding]:
    """Findings in the order seen, each once; beyond twenty of one check and file a last one says how many more."""
    seen: dict[tuple[str, str | None], dict[str, Finding]] = {}
    for sighting in sightings:
        finding = _finding(sighting, policy)
        seen.setdefault((finding.check, finding.path), {}).setdefault(finding.key, finding)
    result: list[Finding] = []
    for (check, path), group in seen.items():
        found = sorted(group.values(), key=lambda one: -one.severity.rank)
        result += found[:MOST_PER_CHECK]
        rest = found[MOST_PER_CHECK:]
        if rest:
            message = f"{len(rest)} more findings of the same kind"
            result.append(Finding(check=check, severity=rest[0].severity, message=message, path=path))
    return result


def _finding(sighting: Sighting, policy: DisclosurePolicy) -> Finding:
    setting = policy.setting(sighting.check)
    hit = sighting.hit
    severity = hit.severity or (setting.severity if setting else Severity.BLOCK)
    words = hit.place.words()
    return Finding(
        check=sighting.check,
        severity=severity,
        message=f"{words}: {hit.text}" if words else hit.text,
        place=hit.place,
        path=hit.path or sighting.path,
    )
