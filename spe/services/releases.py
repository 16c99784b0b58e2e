"""Releases: copy by digest, receipt with proof, download by the named recipient, recall.

An approved request is looked at again at the last moment: permit, policy, digests and votes must be
what they were when people decided. A machine carries out the copy; it never decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from spe.domain import ids
from spe.domain.canonical import canonical
from spe.domain.egress import EgressContext, EgressRequest, EgressState, release_stops
from spe.domain.errors import Corrupt, NotFound, Refused
from spe.domain.ids import ReleaseId, RequestId
from spe.domain.keys import fingerprint
from spe.domain.principal import RELEASER, Permission, Principal, Role
from spe.domain.receipt import Decision, PermitReference, Receipt, ReleasedOutput, ReleaseManifest
from spe.domain.release import Release, ReleasedFile, denials_to_download
from spe.domain.review import Vote
from spe.ports.objects import ObjectReader, Zone
from spe.ports.secrets import KeyName
from spe.ports.store import UnitOfWork
from spe.services.audit import AuditService
from spe.services.context import House
from spe.services.disclosure import policy_for
from spe.services.evidence import keep, load
from spe.services.grounds import Grounds
from spe.services.journal import record
from spe.services.transact import REQUESTS, apply, demand


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """A release with its request."""

    release: Release
    request: EgressRequest


class ReleaseService:
    """Carries out approved releases and hands out what was released."""

    def __init__(self, house: House, grounds: Grounds, audit: AuditService) -> None:
        self._house = house
        self._grounds = grounds
        self._audit = audit

    def begin(self, request_id: RequestId) -> None:
        """Start the release of an approved request, or write down why it is held. Repeatable."""
        now = self._house.ports.clock.now()
        stored = self._reread(request_id)
        with self._house.ports.store.begin() as uow:
            request = uow.egress.get(request_id)
            if request.state is not EgressState.APPROVED:
                return
            context = self._grounds.context(uow, request, RELEASER.person, stored=stored)
            stops = release_stops(context)
            if not stops:
                apply(uow, REQUESTS, request, "release", context, now=now, by=RELEASER)
            elif any(d.code == "policy-changed" for d in stops):
                self._grounds.recheck(uow, request, context, now=now)
            elif request.reason != (sentence := " ".join(d.message for d in stops)):
                uow.egress.save(replace(request, reason=sentence))
                record(
                    uow,
                    event="egress.release-held",
                    kind="egress",
                    subject=request.id,
                    now=now,
                    by=RELEASER,
                    facts={"reason": stops[0].code},
                )
        self._house.ring()

    def finish(self, request_id: RequestId) -> None:
        """Copy the approved outputs and confirm, or take the release back. Repeatable at any point."""
        with self._house.ports.store.read() as uow:
            request = uow.egress.get(request_id)
        if request.state is not EgressState.RELEASING:
            return
        try:
            for path in sorted(request.approved):
                self._house.ports.objects.copy(request.digests[path], Zone.AIRLOCK, Zone.RELEASE)
            self._confirm(request_id)
        except (Corrupt, NotFound, Refused) as error:
            self._undo(request_id, " ".join(error.sentences))

    def _confirm(self, request_id: RequestId) -> None:
        house, now = self._house, self._house.ports.clock.now()
        stored = self._reread(request_id)
        with house.ports.store.begin() as uow:
            request = uow.egress.get(request_id)
            if request.state is not EgressState.RELEASING:
                return
            context = self._grounds.context(uow, request, RELEASER.person, stored=stored)
            release_id = ids.new_release()
            manifest = self._manifest(uow, request, context, release_id)
            moved = apply(
                uow,
                REQUESTS,
                request,
                "confirm-release",
                context,
                now=now,
                by=RELEASER,
                changes={"reason": ""},
                facts={"release": release_id, "manifest": manifest.digest, "outputs": len(manifest.outputs)},
            )
            receipt = self._receipt(uow, manifest)
            kept = keep(house.ports.objects, receipt.data())
            uow.releases.add(
                Release(
                    id=release_id,
                    request=moved.id,
                    recipient=moved.author,
                    files=tuple(ReleasedFile(path=o.path, sha256=o.sha256, size=o.size) for o in manifest.outputs),
                    receipt=kept,
                    released_at=now,
                    links_until=now + timedelta(days=house.policies().rules.link_days),
                )
            )

    def _reread(self, request_id: RequestId) -> Mapping[str, str | None]:
        with self._house.ports.store.read() as uow:
            request = uow.egress.get(request_id)
        return self._grounds.reread(request)

    def _manifest(
        self, uow: UnitOfWork, request: EgressRequest, context: EgressContext, release_id: ReleaseId
    ) -> ReleaseManifest:
        permit = uow.permits.get(request.permit)
        policy = policy_for(self._house.policies(), uow, request.permit)
        report = self._grounds.report_of(request)
        types = {o.path: o.media_type for o in report.outputs} if report else {}
        approved = [o for o in request.outputs if o.path in request.approved & context.passing]
        return ReleaseManifest(
            release=release_id,
            request=request.id,
            workspace=request.workspace,
            permit=PermitReference(id=permit.id, kind=permit.kind, issuer=permit.issuer, version=permit.version),
            policy_name=policy.name.replace(" + ", "+"),
            policy_digest=policy.digest,
            report=f"sha256:{request.report}",
            outputs=tuple(
                ReleasedOutput(
                    path=o.path, sha256=o.sha256, size=o.size, media_type=types.get(o.path, "application/octet-stream")
                )
                for o in sorted(approved, key=lambda o: o.path)
            ),
            decisions=self._decisions(context),
            released_at=context.now,
            destination="data-user",
        )

    def _decisions(self, context: EgressContext) -> tuple[Decision, ...]:
        """Checkers and votes under keyed digests: whoever holds receipts learns neither names nor votes,
        and cannot tell whether two receipts share a checker; the environment can recompute both.
        """
        mac = self._house.ports.secrets.mac
        by_checker: dict[str, list[Vote]] = {}
        for vote in context.counted:
            by_checker.setdefault(vote.checker, []).append(vote)
        return tuple(
            Decision(
                checker="checker-" + mac(KeyName.PSEUDONYMS, f"{context.request.id}:{checker}".encode()).hex()[:16],
                vote="sha256:"
                + mac(
                    KeyName.PSEUDONYMS,
                    canonical([checker, *([v.path, v.sha256, str(v.decision)] for v in votes)]),
                ).hex(),
            )
            for checker, votes in sorted(by_checker.items())
        )

    def _receipt(self, uow: UnitOfWork, manifest: ReleaseManifest) -> Receipt:
        signature = self._house.ports.secrets.sign(KeyName.RELEASE, manifest.data())
        entry = uow.audit.entry(uow.audit.size - 1)
        note, _ = self._audit.seal(uow)
        return Receipt(
            manifest=manifest,
            key=fingerprint(signature.public),
            signature=signature.value,
            entry=entry,
            path=self._audit.inclusion(uow, entry.index),
            checkpoint=note,
        )

    def _undo(self, request_id: RequestId, reason: str) -> None:
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            request = uow.egress.get(request_id)
            if request.state is EgressState.RELEASING:
                context = self._grounds.context(uow, request, RELEASER.person)
                apply(
                    uow,
                    REQUESTS,
                    request,
                    "undo-release",
                    context,
                    now=now,
                    by=RELEASER,
                    changes={"reason": reason[:2000]},
                )

    def all(self, *, by: Principal) -> tuple[ReleaseView, ...]:
        """Releases this person may see: their own, or all for checkers and auditors."""
        with self._house.ports.store.read() as uow:
            found = [ReleaseView(release=r, request=uow.egress.get(r.request)) for r in uow.releases.select()]
            return tuple(v for v in found if self._may_see(uow, v, by))

    def view(self, release_id: ReleaseId, *, by: Principal) -> ReleaseView:
        """One release. Raises `NotFound` for those with no tie to it."""
        with self._house.ports.store.read() as uow:
            release = uow.releases.find(release_id)
            if release is not None:
                found = ReleaseView(release=release, request=uow.egress.get(release.request))
                if self._may_see(uow, found, by):
                    return found
        raise NotFound("There is no such release for you.")

    def of_request(self, request_id: RequestId, *, by: Principal) -> ReleaseView | None:
        """The release of a request, when there is one that this person may see."""
        with self._house.ports.store.read() as uow:
            for release in uow.releases.select(request=request_id):
                found = ReleaseView(release=release, request=uow.egress.get(request_id))
                if self._may_see(uow, found, by):
                    return found
        return None

    def download(self, release_id: ReleaseId, path: str, *, by: Principal) -> ObjectReader:
        """The bytes of one released file, for the named recipient, before the end; audited first."""
        view = self.view(release_id, by=by)
        now = self._house.ports.clock.now()
        denials = denials_to_download(view.release, person=by.person, now=now)
        file = next((f for f in view.release.files if f.path == path), None)
        if denials:
            raise Refused(denials)
        if file is None:
            raise NotFound("There is no such file in this release.")
        with self._house.ports.store.begin() as uow:
            record(
                uow,
                event="release.downloaded",
                kind="release",
                subject=release_id,
                now=now,
                by=by,
                facts={"sha256": file.sha256},
            )
        return self._house.ports.objects.open(Zone.RELEASE, file.sha256)

    def receipt(self, release_id: ReleaseId, *, by: Principal) -> bytes:
        """The receipt's exact bytes."""
        view = self.view(release_id, by=by)
        return load(self._house.ports.objects, view.release.receipt)

    def recall(self, request_id: RequestId, *, reason: str, by: Principal) -> ReleaseView:
        """Withdraw a release: no further download, the receipt stays as evidence."""
        demand(by, Permission.EGRESS_RECALL)
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            request = uow.egress.get(request_id)
            context = self._grounds.context(uow, request, by.person, reason=reason)
            moved = apply(uow, REQUESTS, request, "recall", context, now=now, by=by, changes={"reason": reason.strip()})
            (release,) = uow.releases.select(request=request_id)
            saved = uow.releases.save(replace(release, recalled_at=now))
            return ReleaseView(release=saved, request=moved)

    def _may_see(self, uow: UnitOfWork, view: ReleaseView, by: Principal) -> bool:
        if by.roles & {Role.CHECKER, Role.AUDITOR}:
            return True
        return by.person == view.release.recipient or uow.permits.get(view.request.permit).names(by.person)
