"""One workspace brought in line with the record: observe, plan, act, observe again, write down.

Level-triggered and repeatable: it does not matter what woke it, or where an earlier run was killed.
"""

from dataclasses import dataclass, replace

from spe.domain.errors import Refused, Rejected, SpeError, Unavailable
from spe.domain.ids import WorkspaceId
from spe.domain.permit import ENDED, Permit
from spe.domain.principal import RECONCILER
from spe.domain.wording import several
from spe.domain.workspace import Workspace, WorkspaceContext, WorkspaceState
from spe.ports.cluster import Observed, Step, StepKind
from spe.reconciler.desired import Desired, desired
from spe.reconciler.plan import in_sync, plan
from spe.services.app import App

ROUNDS = 4
LIVE = frozenset(
    {
        WorkspaceState.REQUESTED,
        WorkspaceState.PROVISIONING,
        WorkspaceState.READY,
        WorkspaceState.STOPPED,
        WorkspaceState.FAILED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the record says about one workspace."""

    workspace: Workspace
    permit: Permit
    want: Desired
    context: WorkspaceContext


class Reconciler:
    """Brings workspaces in line."""

    def __init__(self, app: App) -> None:
        self._app = app

    def reconcile(self, workspace_id: WorkspaceId) -> bool:
        """Bring one workspace in line. True when nothing is left to do; raises when a port is silent."""
        facts, seen = self._look(workspace_id)
        failed = ""
        for _ in range(ROUNDS):
            steps = plan(facts.want, seen, token=self._token(facts.want))
            if failed or not steps:
                break
            failed = self._carry_out(facts, steps)
            facts, seen = self._look(workspace_id)
        return self._conclude(facts, seen, failed)

    def cut(self, workspace_id: WorkspaceId) -> None:
        """Close the door and end the sessions now; the rest follows by `reconcile`."""
        facts = self._facts(workspace_id)
        if facts.want.open:
            return
        for kind in (StepKind.CUT, StepKind.STOP_SESSIONS):
            self._apply(Step(kind=kind, workspace=workspace_id, reason=facts.want.reason))
        self._app.workspaces.end_sessions(workspace_id, f"Ended: {facts.want.reason}"[:500], by=RECONCILER)
        self._app.secrets.revoke_all(workspace_id)

    def remove_stray(self, workspace_id: WorkspaceId) -> None:
        """Remove what is there for a workspace that the record does not know or has closed."""
        want = Desired(workspace=workspace_id, permit="", present=False, open=False)
        for step in plan(want, self._app.house.ports.cluster.observe(workspace_id)):
            self._apply(step)

    def _look(self, workspace_id: WorkspaceId) -> tuple[Facts, Observed]:
        """What the record wants now, and what is there now."""
        facts = self._advance(self._facts(workspace_id))
        return facts, self._app.house.ports.cluster.observe(workspace_id)

    def _token(self, want: Desired) -> str:
        """What a gate is spoken to with. What goes needs none: a sealed secret store holds up no removal."""
        return self._app.house.gate_token(want.workspace) if want.present else ""

    def _apply(self, step: Step) -> None:
        """One step on the world, by who leads. Raises `Stale` when that may be somebody else by now."""
        self._app.house.may_act()
        self._app.house.ports.cluster.apply(step)

    def _facts(self, workspace_id: WorkspaceId) -> Facts:
        house = self._app.house
        now = house.ports.clock.now()
        with house.ports.store.read() as uow:
            workspace = uow.workspaces.get(workspace_id)
            permit = uow.permits.get(workspace.permit)
            versions = [uow.datasets.get(key) for key in sorted(permit.terms.datasets)]
            people = [uow.people.get(p) for p in permit.terms.people]
            context = self._app.workspaces.context(uow, permit, now)
        active = frozenset(p.id for p in people if p.active)
        terms = replace(permit.terms, people=permit.terms.people & active)
        want = desired(workspace, replace(permit, terms=terms), versions, {p.id: p.name for p in people}, now=now)
        return Facts(workspace=workspace, permit=permit, want=want, context=context)

    def _advance(self, facts: Facts) -> Facts:
        state, move = facts.workspace.state, self._app.workspaces.advance
        if facts.permit.state in ENDED and state in LIVE:
            move(facts.workspace.id, "close", facts.context, by=RECONCILER)
        elif state is WorkspaceState.REQUESTED and facts.context.permit_in_force:
            try:
                move(facts.workspace.id, "provision", facts.context, by=RECONCILER)
            except Refused as refusal:
                self._app.workspaces.observe(facts.workspace, (("provisioned", False, str(refusal)),), by=RECONCILER)
                move(facts.workspace.id, "fail", facts.context, by=RECONCILER)
        else:
            return facts
        return self._facts(facts.workspace.id)

    def _carry_out(self, facts: Facts, steps: tuple[Step, ...]) -> str:
        """The steps in their order, as long as the record still wants what they lead to; what went wrong.

        A step may take minutes, and people go on deciding: what was revoked meanwhile is not opened.
        """
        changed = ""
        for planned in steps:
            step = planned
            try:
                if step.kind is StepKind.DATA:
                    step, changed = self._intact(step)
                if self._facts(facts.workspace.id).want != facts.want:
                    return changed
                self._apply(step)
                if step.kind is StepKind.STOP_SESSIONS:
                    self._app.workspaces.end_sessions(facts.workspace.id, f"Ended: {step.reason}"[:500], by=RECONCILER)
            except Rejected as error:
                return f"{step.kind}: {error}"
        return changed

    def _intact(self, step: Step) -> tuple[Step, str]:
        """The step with the versions whose bytes are the approved ones, and what is wrong with the others.

        What may be shown is shown and what was withdrawn goes, also when one version cannot be shown.
        """
        intact, sentences = [], []
        for exposure in step.data:
            try:
                self._app.datasets.verify(exposure.key, by=RECONCILER)
                intact.append(exposure)
            except Refused as error:
                sentences.append(str(error))
        wrong = f"{step.kind}: {' '.join(sentences)}" if sentences else ""
        return replace(step, data=tuple(intact)), wrong

    def _conclude(self, facts: Facts, seen: Observed, failed: str) -> bool:
        want, spaces = facts.want, self._app.workspaces
        silent: Unavailable | None = None
        try:
            secrets_gone = self._end_what_is_not_wanted(facts)
        except Unavailable as error:
            secrets_gone, silent = False, error
        done = in_sync(want, seen) and secrets_gone
        why = failed or (str(silent) if silent else "")
        seal = seen.seal is not None and seen.seal.holds
        workspace = spaces.observe(
            facts.workspace,
            (
                ("network-sealed", seal, "observed from inside" if seal else "not observed"),
                ("data-exposed", bool(seen.data), several(len(seen.data), "dataset version", "dataset versions")),
                ("gate-open", bool(seen.places), several(len(seen.places), "person", "people") + " may enter"),
                ("in-sync", done, why or ("as it should be" if done else "work under way")),
                *self._provisioned(facts, done, failed),
            ),
            by=RECONCILER,
        )
        if silent:
            raise silent  # written down for who looks at the workspace, and tried again soon
        context = replace(facts.context, in_sync=done, seal_holds=seal, anything_left=seen.anything or not secrets_gone)
        if workspace.state is WorkspaceState.PROVISIONING and want.open and done:
            spaces.advance(workspace.id, "confirm", context, by=RECONCILER)
        elif workspace.state is WorkspaceState.CLOSING and done and not context.anything_left:
            self._forget_sessions(workspace.id)
            spaces.advance(workspace.id, "seal", context, by=RECONCILER)
        elif failed and workspace.state is WorkspaceState.PROVISIONING:
            spaces.advance(workspace.id, "fail", context, by=RECONCILER)
        self._forget_sessions(workspace.id)
        return done

    def _end_what_is_not_wanted(self, facts: Facts) -> bool:
        """Leases and sessions that the permit does not give any more. True when no lease is left that should not be."""
        workspace, want = facts.workspace.id, facts.want
        if not want.open:
            return self._app.secrets.revoke_all(workspace)
        people = frozenset(place.person for place in want.places)
        self._app.secrets.revoke_unlisted(workspace, people=people, names=facts.permit.terms.secrets)
        self._app.workspaces.end_sessions(
            workspace, "Ended: you may not enter this workspace any more.", keep=people, by=RECONCILER
        )
        return True

    def _provisioned(self, facts: Facts, done: bool, failed: str) -> tuple[tuple[str, bool, str], ...]:
        """Whether it could be made; the reason why not stays to be read after the workspace has failed."""
        if facts.workspace.state is not WorkspaceState.PROVISIONING or not (done or failed):
            return ()
        return (("provisioned", not failed, failed or "made and observed"),)

    def _forget_sessions(self, workspace_id: WorkspaceId) -> None:
        try:
            self._app.sessions.tell_hub(workspace_id)
        except SpeError:
            return  # the Hub learns it when it is back: the next run asks again
