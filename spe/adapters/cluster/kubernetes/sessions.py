"""Sessions in a cluster: everything is made ready here, the Hub then makes the pod from the facts it is told.

A start is refused while the seal was not observed, the gate does not know the person, or the Hub's right to make
pods is not in force yet: what is not there now is not hoped for. Ends are believed when the pod is off the list.
"""

import time
from collections.abc import Mapping
from typing import Any

from spe.adapters.cluster.kubernetes import record, view
from spe.adapters.cluster.kubernetes.hands import END_SECONDS, Hands, demand_id
from spe.adapters.cluster.kubernetes.kinds import (
    ACCESS_REVIEW,
    CLAIM,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    SERVICE,
    VOLUME,
    Document,
    is_leaving,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import (
    GATE,
    GATE_IN,
    NOTEBOOK,
    PERMIT,
    PERSON,
    SHARED,
    Names,
    home_claim,
    owner_of,
)
from spe.adapters.cluster.kubernetes.objects import claims, data, probe, quota
from spe.adapters.cluster.kubernetes.objects.accounts import hub_user
from spe.adapters.cluster.kubernetes.snapshot import Snapshot, is_alive, is_session
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Limits
from spe.ports.sandbox import Running, Started

READY_SECONDS = 20.0
_PAUSE = 0.1
_VERBS = ("create", "list", "watch", "delete")


class KubernetesSandboxes:
    """Implements `spe.ports.sandbox.Sandboxes`."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def start(
        self,
        workspace: WorkspaceId,
        person: PersonId,
        *,
        environment: Mapping[str, str],  # noqa: ARG002 - the Hub keeps its variables and adds them to the pod itself
        base_url: str,  # noqa: ARG002 - it follows from person and workspace
    ) -> Started:
        """Make everything ready for the person's pod; the gate's address and the pod's facts.

        Raises `Rejected` where the workspace may not have sessions now, `Unavailable` while something is missing.
        """
        demand_id(person)
        hands, own = self._hands, self._hands.own(workspace)
        namespace = self._open(own)
        limits = record.limits_of(namespace)
        if limits is None:
            raise Unavailable("cluster", "the workspace is not ready for sessions yet")
        hands.api.ensure(claims.home(hands.site, own, person, size=limits.disk_bytes))
        gate = self._gate(own, person)
        self._wait_for_rights(own)
        url = f"http://{f'[{gate}]' if ':' in gate else gate}:{GATE_IN}"
        return Started(url=url, pod=self._facts(own, namespace, person, limits=limits, gate=gate))

    def _open(self, own: Names) -> Document:
        """The namespace of a workspace that may have sessions now."""
        namespace = self._hands.api.find(NAMESPACE, own.namespace)
        if namespace is None or owner_of(namespace, own.instance) != own.workspace or is_leaving(namespace):
            raise Rejected("cluster", "The workspace is not there.")
        shape = view.seal_made(self._hands.site, own)
        if not record.seal_of(namespace, shape=shape, within=None, now=self._hands.now()).holds:
            raise Rejected("cluster", "The workspace's network seal is not observed; nothing starts before that.")
        return namespace

    def _gate(self, own: Names, person: PersonId) -> str:
        """The address of a gate that is ready and knows the person."""
        hands = self._hands
        deadline = time.monotonic() + READY_SECONDS
        while True:
            deployment = hands.api.find(DEPLOYMENT, GATE, own.namespace)
            if deployment is not None and own.owns(deployment) and view.is_ready(deployment):
                break
            if time.monotonic() >= deadline:
                raise Unavailable("gate", "it is not ready")
            time.sleep(_PAUSE)
        service = hands.api.find(SERVICE, GATE, own.namespace)
        if service is None or not own.owns(service):
            raise Unavailable("gate", "it has no address")
        address = str(service["spec"]["clusterIP"])
        if person not in hands.reach(address, hands.tokens(own.workspace)).status().places:
            raise Unavailable("gate", "it has not been told of this person yet")
        return address

    def _wait_for_rights(self, own: Names) -> None:
        """Until the API server says that the Hub may make pods there: a spawner that is refused once stays deaf."""
        deadline = time.monotonic() + READY_SECONDS
        missing = list(_VERBS)
        while missing:
            if self._may(own, missing[0]):
                missing.pop(0)
            elif time.monotonic() >= deadline:
                raise Unavailable("cluster", "the Hub may not make pods in the workspace yet")
            else:
                time.sleep(_PAUSE)

    def _may(self, own: Names, verb: str) -> bool:
        attributes = {"namespace": own.namespace, "verb": verb, "resource": "pods"}
        question = {
            "apiVersion": ACCESS_REVIEW.version,
            "kind": ACCESS_REVIEW.name,
            "spec": {"user": hub_user(self._hands.site), "resourceAttributes": attributes},
        }
        return (self._hands.api.review(question).get("status") or {}).get("allowed") is True

    def _facts(
        self, own: Names, namespace: Document, person: PersonId, *, limits: Limits, gate: str
    ) -> Mapping[str, Any]:
        """What `spe.hub.pod.PodFacts` reads."""
        site, share = self._hands.site, quota.session_share(limits)
        return {
            "instance": own.instance,
            "workspace": own.workspace,
            "person": person,
            "permit": labels_of(namespace)[PERMIT],
            "namespace": own.namespace,
            "image": site.images.notebook,
            "gate": gate,
            "memory_bytes": share.memory_bytes,
            "cpu_millis": share.cpu_millis,
            "scratch_bytes": share.disk_bytes,
            "home_claim": home_claim(person),
            "shared_claim": SHARED,
            "data": self._data(own),
            "deadline_seconds": self._deadline(namespace),
            "runtime_class": site.runtime_class,
            "user_namespaces": site.features.user_namespaces,
            "apparmor": site.features.apparmor,
            "forbidden": probe.forbidden(site, gate),
            "terminals": site.gate.terminals,
        }

    def _data(self, own: Names) -> list[dict[str, str]]:
        """Every version that is exposed whole, sorted by where it appears. Raises `Unavailable` for half of one."""
        api = self._hands.api
        found = api.all(CLAIM, own.namespace, labels=own.labels)
        seen = Snapshot(
            own=own, namespace=None, inside={CLAIM: found}, volumes=tuple(api.all(VOLUME, labels=own.labels))
        )
        if any(not digest for _, digest in view.exposures(seen)):
            raise Unavailable("cluster", "the workspace's data is being changed")
        entries = [{"claim": name_of(claim), "mount": data.mount_of(claim)} for claim in seen.data_claims]
        return sorted(entries, key=lambda entry: entry["mount"])

    def _deadline(self, namespace: Document) -> int:
        """Seconds until the pod ends by itself: the dead man's switch, should nobody be there to end it."""
        most = self._hands.site.session_seconds
        ends = record.expires_of(namespace)
        left = int((ends - self._hands.now()).total_seconds()) if ends is not None else 0
        if left <= 0:
            raise Rejected("cluster", "The permit's time is over.")
        return min(most, left)

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        """Whether the person's pod lives, by the API server's word. Raises `Unavailable`."""
        pods = self._pods(workspace, person)
        if any(is_alive(pod) and not is_leaving(pod) for pod in pods):
            return Running(running=True)
        ended = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
        if ended is None:
            return Running(running=False)
        return Running(running=False, exit=exit_of(ended), log=words_of(ended), reason=reason_of(ended))

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        """End the person's pods and wait until none is listed; fine when there was none. Raises `Unavailable`."""
        own, api = self._hands.own(workspace), self._hands.api
        pods = self._pods(workspace, person)
        for pod in pods:
            api.remove(pod)
        if pods:
            labels = {**own.pods(NOTEBOOK), PERSON: person}
            api.until(
                POD,
                own.namespace,
                lambda left: not any(is_session(own, pod) for pod in left),
                labels=labels,
                seconds=END_SECONDS,
            )

    def _pods(self, workspace: WorkspaceId, person: PersonId) -> list[Document]:
        demand_id(person)
        own = self._hands.own(workspace)
        labels = {**own.pods(NOTEBOOK), PERSON: person}
        return [pod for pod in self._hands.api.all(POD, own.namespace, labels=labels) if is_session(own, pod)]


def exit_of(pod: Document) -> int | None:
    """The exit status of the notebook, or of the seal probe before it."""
    return next((state.get("exitCode") for state in _ends(pod)), None)


def words_of(pod: Document) -> str:
    """What the container that ended left as its last words."""
    return next((str(state["message"])[-2000:] for state in _ends(pod) if state.get("message")), "")


def reason_of(pod: Document) -> str:
    """A sentence for the person, where the cluster ended the session; empty when the notebook ended by itself."""
    status = pod.get("status") or {}
    reasons = [str(status.get("reason") or ""), *(str(state.get("reason") or "") for state in _ends(pod))]
    return next((_SENTENCES[reason] for reason in reasons if reason in _SENTENCES), "")


def _ends(pod: Document) -> list[Document]:
    status = pod.get("status") or {}
    states = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return [state["state"]["terminated"] for state in states if "terminated" in (state.get("state") or {})]


_SENTENCES = {
    "OOMKilled": "The session used more memory than the permit allows and was ended.",
    "Evicted": "The session used more of the node's disk than the permit allows and was ended.",
    "DeadlineExceeded": "The session reached its longest time and was ended.",
}
