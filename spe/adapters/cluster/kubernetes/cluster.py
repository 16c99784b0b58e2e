"""The cluster port on Kubernetes: looks at the API server and the gate, and turns steps into objects.

It decides nothing and keeps nothing: what it must remember about a workspace is noted on the workspace's own
namespace, so any process of the control plane goes on where another was killed.
"""

from collections.abc import Callable, Mapping

from spe.adapters.cluster.kubernetes import ending, gatewords, making, record, sealing, view
from spe.adapters.cluster.kubernetes.gatecontrol import Status
from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.kinds import (
    DEPLOYMENT,
    NAMESPACE,
    POD,
    TOKEN_REVIEW,
    VOLUME,
    is_leaving,
    labels_of,
)
from spe.adapters.cluster.kubernetes.names import GATE, NOTEBOOK, PERSON, installation, owner_of
from spe.adapters.cluster.kubernetes.objects.gate import AUDIENCE
from spe.adapters.cluster.kubernetes.snapshot import Snapshot, is_session
from spe.domain.dataset import Guarantee
from spe.domain.errors import Rejected, Unauthenticated, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.ports.cluster import Observed, Step, StepKind


class KubernetesCluster:
    """Workspaces as namespaces; implements `spe.ports.cluster.Cluster`."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What the nodes give, as found out at start."""
        return self._hands.site.features.guarantees

    def owned(self) -> tuple[WorkspaceId, ...]:
        """Every workspace with a namespace or a volume of ours; look-alikes are not ours."""
        instance = self._hands.site.instance
        found = (
            owner_of(document, instance)
            for kind in (NAMESPACE, VOLUME)
            for document in self._hands.api.all(kind, labels=installation(instance))
        )
        return tuple(sorted({workspace for workspace in found if workspace is not None}))

    def observe(self, workspace: WorkspaceId) -> Observed:
        """What is there now. Raises `Unavailable` when the API server is silent: nothing is guessed."""
        hands = self._hands
        seen = hands.look(workspace)
        told = self._status(seen)
        return Observed(
            workspace=workspace,
            folders=seen.namespace is not None and not view.wrong(hands.site, seen),
            gate=self._gate(seen, told),
            seal=view.seal(hands.site, seen, now=hands.now()),
            data=view.exposures(seen),
            places=frozenset(PersonId(person) for person in told.places) if told is not None else frozenset(),
            limits=record.limits_of(seen.namespace) if seen.namespace is not None else None,
            sessions=seen.sessions,
        )

    def _status(self, seen: Snapshot) -> Status | None:
        """What the gate says of itself; None when it does not run, does not answer, or cannot be spoken to."""
        try:
            gate = self._hands.gate(seen)
            return gate.status() if gate is not None else None
        except (Unavailable, Rejected):
            return None

    def _gate(self, seen: Snapshot, told: Status | None) -> bool:
        """Its objects are right, and it rests, or is ready and was told what the record says it was told.

        The Hub's right to make pods belongs to it: it is there exactly while the gate lets people in.
        """
        site, people = self._hands.site, bool(told is not None and told.places)
        if not view.gate_stands(site, seen) or not view.rights_fit(site, seen, given=people):
            return False
        if not view.awake(seen):
            return True
        assert seen.namespace is not None
        deployment = seen.one(DEPLOYMENT, GATE)
        about = gatewords.about_itself(site, seen.own, permit=seen.permit)
        return (
            deployment is not None
            and view.is_ready(deployment)
            and told is not None
            and told.configured
            and (told.digest, gatewords.digest(about)) == record.configured_of(seen.namespace)
        )

    def idle(self, workspace: WorkspaceId) -> Mapping[PersonId, float]:
        """Seconds since each session was last in use, as the gate saw it. Raises `Unavailable`."""
        seen = self._hands.look(workspace)
        running = seen.sessions
        gate = self._hands.gate(seen)
        if not running or gate is None:
            return {}
        return {PersonId(p): seconds for p, seconds in gate.status().idle.items() if p in running}

    def addresses(self, workspace: WorkspaceId) -> Mapping[PersonId, str]:
        """Where each person's notebook is, by the API server's word: what runs or starts and is not on its way out."""
        own = self._hands.own(workspace)
        pods = self._hands.api.all(POD, own.namespace, labels=own.pods(NOTEBOOK))
        return {
            PersonId(labels_of(pod)[PERSON]): str(pod["status"]["podIP"])
            for pod in pods
            if is_session(own, pod)
            and not is_leaving(pod)
            and pod["status"].get("phase") in {"Pending", "Running"}
            and pod["status"].get("podIP")
        }

    def recognise(self, token: str) -> WorkspaceId:
        """The workspace whose gate shows this account token. Raises `Unauthenticated`, or `Unavailable`."""
        if not token.strip():
            raise Unauthenticated("No account token was shown.")
        question = {
            "apiVersion": TOKEN_REVIEW.version,
            "kind": TOKEN_REVIEW.name,
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        status = self._hands.api.review(question).get("status") or {}
        user = str((status.get("user") or {}).get("username", ""))
        prefix, _, account = user.rpartition(":")
        namespace = prefix.removeprefix("system:serviceaccount:")
        if status.get("authenticated") is not True or AUDIENCE not in (status.get("audiences") or []):
            raise Unauthenticated("This account token is not for the portal.")
        found = self._hands.api.find(NAMESPACE, namespace) if account == GATE and prefix != namespace else None
        workspace = owner_of(found, self._hands.site.instance) if found is not None else None
        if workspace is None:
            raise Unauthenticated("This account is not a gate's.")
        return workspace

    def apply(self, step: Step) -> None:
        """Make one step true. Raises `Unavailable` or `Rejected`."""
        self._steps[step.kind](self._hands, step)

    _steps: Mapping[StepKind, Callable[[Hands, Step], None]] = {
        StepKind.FOLDERS: making.folders,
        StepKind.GATE: making.gate,
        StepKind.SEAL: sealing.look_inside,
        StepKind.DATA: making.expose,
        StepKind.CUT: ending.cut,
        StepKind.STOP_SESSIONS: ending.stop_sessions,
        StepKind.WITHDRAW_DATA: lambda hands, step: making.withdraw(
            hands, hands.look(step.workspace), (), step.reason or "The data was withdrawn."
        ),
        StepKind.REMOVE_GATE: ending.remove_gate,
        StepKind.REMOVE_FOLDERS: ending.remove_folders,
        StepKind.UNSEAL: ending.unseal,
    }
