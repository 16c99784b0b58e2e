"""Egress requests by their authors: draft, files into the airlock, submit, withdraw.

Bytes are hashed on the way in; from then on the request owns frozen copies, and nothing that happens
in the workspace changes them (security notes T31 and T32).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from spe.domain import ids
from spe.domain.egress import (
    SETTLED,
    Declaration,
    EgressRequest,
    EgressState,
    Output,
)
from spe.domain.errors import Denial, Invalid, NotFound, Refused
from spe.domain.ids import PermitId, RequestId, WorkspaceId
from spe.domain.machine import Offer
from spe.domain.permit import ENDED, Permit
from spe.domain.principal import Permission, Principal, Role
from spe.domain.verdict import Report
from spe.ports.objects import Zone
from spe.ports.outputs import Candidate
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.disclosure import policy_for
from spe.services.grounds import Grounds
from spe.services.journal import record
from spe.services.paging import every
from spe.services.transact import REQUESTS, apply, demand, offers
from spe.services.wording import plain_path, sentence

MOST_FILES = 50
LARGEST_FILE = 512 * 1024**2
EDITABLE = frozenset({EgressState.DRAFT, EgressState.RETURNED, EgressState.BLOCKED})
SEEN_BY = frozenset({Role.CHECKER, Role.AUDITOR, Role.SYSTEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressView:
    """A request as shown to one person: itself, the report and what they may do."""

    request: EgressRequest
    permit: Permit
    report: Report | None
    offers: tuple[Offer, ...]


class EgressService:
    """What researchers do with egress requests, and what everybody reads."""

    def __init__(self, house: House, grounds: Grounds) -> None:
        self._house = house
        self._grounds = grounds

    def create(self, workspace: WorkspaceId, *, purpose: str = "", by: Principal) -> EgressRequest:
        """A new draft in the workspace of a permit that names the author and is in force."""
        by = demand(by, Permission.EGRESS_AUTHOR)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            space = uow.workspaces.find(workspace)
            permit = uow.permits.find(space.permit) if space else None
            if permit is None or not permit.names(by.person):
                raise NotFound("There is no such workspace for you.")
            if not permit.in_force(now):
                raise Refused(
                    [Denial(code="permit-not-active", message="The permit is not active; nothing leaves under it.")]
                )
            request = EgressRequest(
                id=ids.new_request(),
                workspace=workspace,
                permit=permit.id,
                author=by.person,
                purpose=sentence(purpose),
                state=EgressState.DRAFT,
                created_at=now,
            )
            uow.egress.add(request)
            record(
                uow,
                event="egress.drafted",
                kind="egress",
                subject=request.id,
                now=now,
                by=by,
                after=request.state,
                facts={"workspace": workspace},
            )
            return request

    def put_file(self, request_id: RequestId, path: str, chunks: Iterable[bytes], *, by: Principal) -> Output:
        """Stream one file into the airlock; replaces a file of the same path and loses its votes."""
        clean = plain_path(path)
        self._editable(request_id, by)
        stored = self._house.ports.objects.put(Zone.AIRLOCK, chunks, limit=LARGEST_FILE)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            request = self._mine(uow, request_id, by)
            others = tuple(o for o in request.outputs if o.path != clean)
            if len(others) >= MOST_FILES:
                raise Invalid({"files": f"At most {MOST_FILES} files in one request; split it."})
            if any(o.path.startswith(clean + "/") or clean.startswith(o.path + "/") for o in others):
                raise Invalid({"path": f"{clean} would be a file and a folder at once; rename one of them."})
            old = next((o.declaration for o in request.outputs if o.path == clean), Declaration(path=clean))
            output = Output(path=clean, sha256=stored.digest, size=stored.size, declaration=old)
            self._save(uow, request, (*others, output))
            record(
                uow,
                event="egress.file-frozen",
                kind="egress",
                subject=request.id,
                now=now,
                by=by,
                facts={"sha256": output.sha256, "bytes": output.size},
            )
            return output

    def drop_file(self, request_id: RequestId, path: str, *, by: Principal) -> None:
        """Take a file out of a draft."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            request = self._mine(uow, request_id, by)
            self._save(uow, request, tuple(o for o in request.outputs if o.path != path))
            record(uow, event="egress.file-dropped", kind="egress", subject=request.id, now=now, by=by)

    def candidates(self, workspace: WorkspaceId, *, by: Principal) -> tuple[Candidate, ...]:
        """What lies in one's own `outputs/` folder. Raises `NotFound` for those whom the permit does not name."""
        demand(by, Permission.EGRESS_AUTHOR)
        with self._house.ports.store.read() as uow:
            space = uow.workspaces.find(workspace)
            permit = uow.permits.find(space.permit) if space else None
        if permit is None or not permit.names(by.person):
            raise NotFound("There is no such workspace for you.")
        return self._house.ports.outputs.candidates(workspace, by.person)

    @property
    def folder_note(self) -> str:
        """What to do where outputs folders cannot be looked at from outside; empty where they can."""
        return self._house.ports.outputs.note

    def take_from_workspace(self, request_id: RequestId, paths: Iterable[str], *, by: Principal) -> tuple[Output, ...]:
        """Freeze files of one's own `outputs/` folder into the draft."""
        request = self._editable(request_id, by)
        return tuple(
            self.put_file(request_id, p, self._house.ports.outputs.read(request.workspace, by.person, p), by=by)
            for p in paths
        )

    def describe(
        self,
        request_id: RequestId,
        *,
        purpose: str | None = None,
        declarations: Mapping[str, Declaration] | None = None,
        by: Principal,
    ) -> EgressRequest:
        """Write the purpose and what each output is."""
        with self._house.ports.store.begin() as uow:
            request = self._mine(uow, request_id, by)
            given = declarations or {}
            unknown = sorted(set(given) - set(request.digests))
            if unknown:
                raise Invalid({"outputs": f"{', '.join(unknown)}: there is no such file in the request; add it first."})
            outputs = tuple(replace(o, declaration=given.get(o.path, o.declaration)) for o in request.outputs)
            text = request.purpose if purpose is None else sentence(purpose)
            return uow.egress.save(replace(request, purpose=text, outputs=outputs))

    def submit(self, request_id: RequestId, *, by: Principal) -> EgressView:
        """Hand the request to the checks. The files are frozen; the round begins without votes."""
        now = self._now()
        stored = self._grounds.reread(self.view(request_id, by=by).request)
        with self._house.ports.store.begin() as uow:
            request = self._own(uow, request_id, by)
            if by.person == request.author and not uow.permits.get(request.permit).names(by.person):
                raise Refused(
                    [Denial(code="not-on-permit", message="You are not an authorised user of this permit any more.")]
                )
            context = self._grounds.context(uow, request, by.person, stored=stored)
            policy = policy_for(self._house.policies(), uow, request.permit)
            request = apply(
                uow,
                REQUESTS,
                request,
                "submit",
                context,
                now=now,
                by=by,
                changes={
                    "round": request.round + 1,
                    "policy_digest": policy.digest,
                    "report": "",
                    "views": "",
                    "verdict": "",
                    "reason": "",
                    "approved": frozenset(),
                },
                facts={"round": request.round + 1, "policy": policy.digest, "files": len(request.outputs)},
            )
            view = self._view(uow, request, by=by)
        self._house.ring()
        return view

    def withdraw(self, request_id: RequestId, *, by: Principal) -> EgressView:
        """Take the request back before it is reviewed."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            request = self._own(uow, request_id, by)
            context = self._grounds.context(uow, request, by.person)
            return self._view(uow, apply(uow, REQUESTS, request, "withdraw", context, now=now, by=by), by=by)

    def lapse(self, *, by: Principal) -> int:
        """Withdraw what can never leave since its permit ended, so that the permit can close. Returns how many."""
        waiting = next(t.sources for t in REQUESTS.machine.transitions if t.verb == "lapse")
        with self._house.ports.store.read() as uow:
            found = tuple(every(uow.egress, state=waiting))
            over = [r.id for r in found if uow.permits.get(r.permit).state in ENDED]
        for request_id in over:
            with self._house.ports.store.begin() as uow:
                request = uow.egress.get(request_id)
                if request.state in waiting:
                    context = self._grounds.context(uow, request, by.person)
                    why = {"reason": "The permit ended before this was released."}
                    apply(uow, REQUESTS, request, "lapse", context, now=self._now(), by=by, changes=why)
        return len(over)

    def view(self, request_id: RequestId, *, by: Principal) -> EgressView:
        """One request. Raises `NotFound` for those with no tie to it."""
        with self._house.ports.store.read() as uow:
            request = uow.egress.find(request_id)
            if request is None or not self._may_see(uow, request, by):
                raise NotFound("There is no such egress request for you.")
            return self._view(uow, request, by=by)

    def all(self, *, workspace: WorkspaceId | None = None, by: Principal) -> tuple[EgressView, ...]:
        """Requests that this person may see, oldest first; drafts only to their authors and co-workers."""
        with self._house.ports.store.read() as uow:
            return tuple(
                self._view(uow, r, by=by, with_report=False)
                for r in (uow.egress.select(workspace=workspace) if workspace else uow.egress.select())
                if self._may_see(uow, r, by)
            )

    def _view(self, uow: UnitOfWork, request: EgressRequest, *, by: Principal, with_report: bool = True) -> EgressView:
        permit = uow.permits.get(request.permit)
        shown: tuple[Offer, ...] = ()
        report = None
        if with_report:
            context = replace(self._grounds.context(uow, request, by.person), reason="asked in the form")
            shown = offers(REQUESTS, request, context, by=by)
            report = self._grounds.report_of(request)
        return EgressView(request=request, permit=permit, report=report, offers=shown)

    def _may_see(self, uow: UnitOfWork, request: EgressRequest, by: Principal) -> bool:
        permit = uow.permits.get(request.permit)
        if permit.names(by.person) or by.person == request.author:
            return True
        return bool(by.roles & SEEN_BY) and request.state is not EgressState.DRAFT

    def _own(self, uow: UnitOfWork, request_id: RequestId, by: Principal) -> EgressRequest:
        request = uow.egress.find(request_id)
        if request is None or not self._may_see(uow, request, by):
            raise NotFound("There is no such egress request for you.")
        return request

    def _mine(self, uow: UnitOfWork, request_id: RequestId, by: Principal) -> EgressRequest:
        request = self._own(uow, request_id, by)
        denials = []
        if request.author != by.person:
            denials.append(Denial(code="not-author", message="Only the person who wrote this request may change it."))
        if request.state not in EDITABLE:
            denials.append(
                Denial(
                    code="frozen", message=f"The request is {request.state}; its files are frozen until it is returned."
                )
            )
        if denials:
            raise Refused(denials)
        return request

    def _editable(self, request_id: RequestId, by: Principal) -> EgressRequest:
        demand(by, Permission.EGRESS_AUTHOR)
        with self._house.ports.store.read() as uow:
            return self._mine(uow, request_id, by)

    def _save(self, uow: UnitOfWork, request: EgressRequest, outputs: tuple[Output, ...]) -> EgressRequest:
        ordered = tuple(sorted(outputs, key=lambda o: o.path))
        return uow.egress.save(replace(request, outputs=ordered))

    def _now(self) -> datetime:
        return self._house.ports.clock.now()


def open_requests(uow: UnitOfWork, permit: PermitId) -> tuple[EgressRequest, ...]:
    """Requests of a permit that are not settled yet."""
    return tuple(r for r in uow.egress.select(permit=permit) if r.state not in SETTLED)
