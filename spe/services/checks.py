"""Automatic checks of a submitted request: run in isolation, kept as evidence, turned into a move.

No report, a crash or a time-out is a block, written as a finding `ENGINE` on every output.
"""

import json
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import yaml

from spe.disclosure.settings import DisclosurePolicy
from spe.domain.egress import EgressRequest, EgressState
from spe.domain.errors import Corrupt, Invalid, NotFound, Rejected
from spe.domain.ids import RequestId
from spe.domain.principal import CHECKS
from spe.domain.verdict import Finding, OutputReport, Report, Severity, Verdict
from spe.ports.checker import CheckJob, CheckResult
from spe.ports.objects import Zone
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.disclosure import policy_for
from spe.services.evidence import keep, load
from spe.services.grounds import Grounds
from spe.services.journal import record
from spe.services.transact import REQUESTS, apply


class CheckService:
    """Carries out the checks that a submission owes."""

    def __init__(self, house: House, grounds: Grounds) -> None:
        self._house = house
        self._grounds = grounds

    def run(self, request_id: RequestId) -> None:
        """Check the request if it waits for it. Repeatable: a killed run is simply run again."""
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            request = self._recheck_under_new_policy(uow, uow.egress.get(request_id), now)
            if request.state is EgressState.SUBMITTED:
                policy = policy_for(self._house.policies(), uow, request.permit)
                context = self._grounds.context(uow, request, CHECKS.person)
                request = apply(
                    uow,
                    REQUESTS,
                    request,
                    "start-checks",
                    context,
                    now=now,
                    by=CHECKS,
                    changes={"policy_digest": policy.digest},
                )
        if request.state is not EgressState.CHECKING:
            return
        report, views = self._examine(request)
        self._conclude(request, report, views)

    def _recheck_under_new_policy(self, uow: UnitOfWork, request: EgressRequest, now: datetime) -> EgressRequest:
        """A request under review whose policy is another one now goes back: nobody could decide on it."""
        if request.state is not EgressState.IN_REVIEW:
            return request
        context = self._grounds.context(uow, request, CHECKS.person)
        if context.policy_digest == request.policy_digest:
            return request
        return self._grounds.recheck(uow, request, context, now=now)

    def _examine(self, request: EgressRequest) -> tuple[Report, dict[str, bytes]]:
        with self._house.ports.store.read() as uow:
            policy = policy_for(self._house.policies(), uow, request.permit)
            keys = sorted(uow.permits.get(request.permit).terms.datasets)
            digests = [p for key in keys if (p := uow.datasets.get(key).profile)]
            history = self._history(uow, request)
        if policy.digest != request.policy_digest:
            return engine_block(request, policy, "The policy changed while the checks began; submit again."), {}
        with tempfile.TemporaryDirectory(prefix="spe-check-") as folder:
            try:
                files = self._copy_out(request.digests, Zone.AIRLOCK, Path(folder) / "files")
                earlier = tuple(
                    self._copy_out(release, Zone.RELEASE, Path(folder) / f"history-{n}")
                    for n, release in enumerate(history)
                )
                result = self._check(
                    CheckJob(
                        files=files,
                        declaration=declaration_yaml(request),
                        policy=policy.to_json(),
                        profiles=tuple(load(self._house.ports.objects, d) for d in digests),
                        history=earlier,
                    )
                )
                return self._read(request, policy, result), dict(result.views)
            except Rejected as error:
                return engine_block(request, policy, error.reason), {}
            except (Corrupt, NotFound) as error:
                return engine_block(request, policy, f"What the checks need cannot be read. {error}"), {}

    def _check(self, job: CheckJob) -> CheckResult:
        """The answer of the checks; a child that was killed at once gets a second try, as after any crash of ours.

        What the files themselves do to the engine, they do twice: then it is a block. A time-out is not tried again.
        """
        began = time.monotonic()
        try:
            return self._house.ports.checker.check(job)
        except Rejected:
            if time.monotonic() - began > job.seconds / 2:
                raise
            return self._house.ports.checker.check(job)

    def _read(self, request: EgressRequest, policy: DisclosurePolicy, result: CheckResult) -> Report:
        try:
            report = Report.from_json(result.report)
        except Invalid:
            return engine_block(request, policy, "The report of the checks cannot be read.")
        if report.policy.digest != policy.digest or {o.path: o.sha256 for o in report.outputs} != request.digests:
            return engine_block(request, policy, "The report is not about these files under this policy.")
        return report

    def _conclude(self, request: EgressRequest, report: Report, views: dict[str, bytes]) -> None:
        objects = self._house.ports.objects
        stored = keep(objects, json.dumps(report.to_json(), sort_keys=True).encode())
        index = {name: objects.put(Zone.VIEWS, [data]).digest for name, data in views.items()}
        catalogue = keep(objects, json.dumps(index, sort_keys=True).encode())
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            fresh = uow.egress.get(request.id)
            if fresh.state is not EgressState.CHECKING or fresh.round != request.round:
                return
            noted = uow.egress.save(replace(fresh, report=stored, verdict=str(report.verdict), views=catalogue))
            record(
                uow,
                event="egress.checked",
                kind="egress",
                subject=request.id,
                now=now,
                by=CHECKS,
                facts={"report": stored, "verdict": str(report.verdict), "policy": report.policy.digest},
            )
            verb = "block" if report.verdict is Verdict.BLOCK else "refer"
            context = self._grounds.context(uow, noted, CHECKS.person)
            apply(uow, REQUESTS, noted, verb, context, now=now, by=CHECKS)

    def _copy_out(self, digests: dict[str, str], zone: Zone, root: Path) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for path, digest in digests.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file, self._house.ports.objects.open(zone, digest) as reader:
                for chunk in reader:
                    file.write(chunk)
            files[path] = target
        return files

    def _history(self, uow: UnitOfWork, request: EgressRequest) -> list[dict[str, str]]:
        released = [r.id for r in uow.egress.select(permit=request.permit, state=EgressState.RELEASED)]
        most = self._house.policies().rules.history_releases
        found = [release for r in released[-most:] for release in uow.releases.select(request=r)]
        return [{f.path: f.sha256 for f in release.files} for release in found]


def engine_block(request: EgressRequest, policy: DisclosurePolicy, reason: str) -> Report:
    """The report of checks that gave none: everything is blocked, with the reason."""
    outputs = tuple(
        OutputReport(
            path=o.path,
            sha256=o.sha256,
            size=o.size,
            media_type="application/octet-stream",
            verdict=Verdict.BLOCK,
            findings=(Finding(check="ENGINE", severity=Severity.BLOCK, message=reason, path=o.path),),
        )
        for o in request.outputs
    )
    return Report(policy=policy.stamp, verdict=Verdict.BLOCK, outputs=outputs)


def declaration_yaml(request: EgressRequest) -> str:
    """The declaration as `egress.yaml`, made from what the author entered."""
    outputs = []
    for output in request.outputs:
        d = output.declaration
        fields = {
            "path": output.path,
            "title": d.title,
            "kind": str(d.kind),
            "population": d.population,
            "unit": d.unit,
            "data": d.data,
            "notes": d.notes,
        }
        outputs.append({key: value for key, value in fields.items() if value not in ("", None)})
    return yaml.safe_dump({"purpose": request.purpose, "outputs": outputs}, sort_keys=False, allow_unicode=True)
