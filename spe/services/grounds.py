"""What the rules of an egress request look at: loaded and read before they are asked, for every use case alike."""

from collections.abc import Mapping
from datetime import datetime

from spe.domain.egress import EgressContext, EgressRequest
from spe.domain.errors import Corrupt, NotFound
from spe.domain.ids import PersonId
from spe.domain.permit import ENDED
from spe.domain.principal import CHECKS
from spe.domain.verdict import Report, Severity
from spe.ports.objects import Zone
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.disclosure import policy_for, waivable
from spe.services.evidence import load
from spe.services.transact import REQUESTS, apply

Stored = Mapping[str, str | None]


class Grounds:
    """Loads contexts, reads stored bytes and reports, and sends back what another policy has overtaken."""

    def __init__(self, house: House) -> None:
        self._house = house

    def context(
        self,
        uow: UnitOfWork,
        request: EgressRequest,
        actor: PersonId,
        *,
        reason: str = "",
        stored: Stored | None = None,
    ) -> EgressContext:
        """Everything that the guards look at, loaded before they are asked.

        `stored` is what `reread` found; without it an output counts as stored when it is there at all.
        """
        permit = uow.permits.get(request.permit)
        now = self._house.ports.clock.now()
        policy = policy_for(self._house.policies(), uow, request.permit)
        report = self.report_of(request)
        return EgressContext(
            now=now,
            actor=actor,
            request=request,
            permit_in_force=permit.in_force(now),
            permit_ended=permit.state in ENDED,
            on_permit=permit.terms.people,
            votes=uow.votes.of(request.id),
            reviewers_needed=self._house.policies().rules.reviewers,
            policy_digest=policy.digest,
            reported_digests={o.path: o.sha256 for o in report.outputs} if report else {},
            stored_digests=self._present(request) if stored is None else stored,
            blocking=blocking_findings(report),
            waived=frozenset(w.finding for w in uow.votes.waivers(request.id) if w.round == request.round),
            waivers_allowed=waivable(policy, report),
            reason=reason,
        )

    def recheck(
        self, uow: UnitOfWork, request: EgressRequest, context: EgressContext, *, now: datetime
    ) -> EgressRequest:
        """Send a request back to the checks because the policy is another one now; its votes lose their round."""
        return apply(
            uow,
            REQUESTS,
            request,
            "recheck",
            context,
            now=now,
            by=CHECKS,
            changes={
                "round": request.round + 1,
                "policy_digest": context.policy_digest,
                "report": "",
                "views": "",
                "verdict": "",
                "approved": frozenset(),
                "reason": "The disclosure policy changed after this request was checked; the checks and the "
                "review start again.",
            },
            facts={"policy": context.policy_digest, "round": request.round + 1},
        )

    def reread(self, request: EgressRequest) -> Stored:
        """Read every stored byte: path → digest, or None where the airlock does not hold those bytes.

        It takes as long as reading takes, so it is called before a transaction, never inside.
        """
        return {o.path: o.sha256 if self._intact(o.sha256) else None for o in request.outputs}

    def _intact(self, digest: str) -> bool:
        try:
            with self._house.ports.objects.open(Zone.AIRLOCK, digest) as reader:
                for _ in reader:
                    pass
        except (NotFound, Corrupt):
            return False
        return True

    def _present(self, request: EgressRequest) -> Stored:
        objects = self._house.ports.objects
        return {o.path: o.sha256 if objects.has(Zone.AIRLOCK, o.sha256) else None for o in request.outputs}

    def report_of(self, request: EgressRequest) -> Report | None:
        """The report of the last checks, from the evidence."""
        if not request.report:
            return None
        return Report.from_json(load(self._house.ports.objects, request.report))


def blocking_findings(report: Report | None) -> frozenset[str]:
    """Keys of the findings that block."""
    if report is None:
        return frozenset()
    return frozenset(f.key for f in report.all_findings if f.severity is Severity.BLOCK)
