"""A workspace with everything in it, as an API server would give it back, for rows that are judged without one."""

import copy
from collections.abc import Callable
from typing import Any

from spe.adapters.cluster.kubernetes import compare, record, view
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    POD,
    QUOTA,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    VOLUME,
    Document,
    Kind,
    kind_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.objects import accounts, claims, data, gate, probe, quota
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.snapshot import INSIDE, Snapshot
from spe.adapters.cluster.kubernetes.verify.examine import of_workspaces
from spe.adapters.cluster.kubernetes.verify.finding import Finding, State
from spe.adapters.cluster.kubernetes.verify.place import Place
from spe.adapters.cluster.kubernetes.verify.pods import found
from spe.bootstrap.verify import canonical
from spe.domain.permit import Limits
from spe.hub.pod import pod_name
from spe.ports.cluster import SealReport
from tests.adapters.cluster.kubernetes.objects import NOW, OWN, PERMIT, PERSON, exposure, site
from tests.support.admission import stored as as_admitted
from tests.support.podfacts import hub_variables

LIMITS = Limits()
GATE = "10.0.0.3"
SITE = site(release_namespace="spe")


class Scene:
    """Everything of the workspace by kind; a test changes it and asks what is found."""

    def __init__(self, where: Site = SITE) -> None:
        self.site = where
        self.troubles: dict[Kind, str] = {}
        room = record.Room(limits=LIMITS, people=1)
        namespace, *inside = [_live(m) for m in view.foundations(where, OWN, permit=PERMIT, room=room)]
        self.namespace: Document = namespace
        self.inside: dict[Kind, list[Document]] = {kind: [] for kind in (*INSIDE, ROLE)}
        service = _live(gate.service(OWN))
        service["spec"]["clusterIP"] = GATE
        self.volumes = [_live(data.volume(where, OWN, exposure()))]
        for document in (
            *inside,
            _live(accounts.default_account(OWN)),
            _live(accounts.hub_binding(where, OWN)),
            _live(claims.shared_claim(where, OWN, size=LIMITS.disk_bytes)),
            _live(claims.home(where, OWN, PERSON, size=LIMITS.disk_bytes)),
            _live(claims.gate_claim(where, OWN)),
            _live(data.claim(OWN, exposure())),
            service,
            _live(gate.deployment(where, OWN, permit=PERMIT, awake=True)),
        ):
            self.inside[kind_of(document)].append(document)
        claim = self.one(CLAIM, name_of(data.claim(OWN, exposure())))
        claim["status"] = {"phase": "Bound"}
        self.volumes[0]["spec"]["claimRef"]["uid"] = claim["metadata"]["uid"]
        self.one(QUOTA, "workspace")["status"] = {"used": {"count/secrets": "0"}}
        self.note(record.ROOM, record.room_note(room))
        self.note(record.LIMITS, record.limits_note(LIMITS))
        attempts = {"door": "answered", **dict.fromkeys(probe.forbidden(where, GATE), "stopped: time is over")}
        report = SealReport(holds=True, attempts=attempts)
        self.note(record.SEAL, record.seal_note(report, shape=view.seal_shape(where, OWN), now=NOW))
        self.inside[POD] += [self._notebook(), self._gate(), self._probe()]

    def note(self, name: str, value: Any) -> None:
        self.namespace["metadata"].setdefault("annotations", {}).update(
            record.notes({name: value})["metadata"]["annotations"]
        )

    def one(self, kind: Kind, name: str = "") -> Document:
        """An object; the namespace and the volume are the only ones of theirs."""
        if kind.name == "Namespace":
            return self.namespace
        among = self.volumes if kind is VOLUME else self.inside[kind]
        return next(d for d in among if not name or name_of(d) == name)

    @property
    def notebook(self) -> Document:
        return self.inside[POD][0]

    def place(self) -> Place:
        seen = Snapshot(own=OWN, namespace=self.namespace, inside=self.inside, volumes=tuple(self.volumes))
        differing = found(self.site, seen, canonical)
        return Place(site=self.site, seen=seen, now=NOW, pods=differing, troubles=self.troubles)

    def findings(self) -> tuple[Finding, ...]:
        return of_workspaces([self.place()])

    def failed(self) -> dict[str, str]:
        """What fails: row and what was seen."""
        return {f.row: f.seen for f in self.findings() if f.state is State.FAIL}

    def _notebook(self) -> Document:
        share = quota.session_share(LIMITS)
        facts = {
            "instance": OWN.instance,
            "workspace": OWN.workspace,
            "person": PERSON,
            "permit": PERMIT,
            "namespace": OWN.namespace,
            "image": self.site.images.notebook,
            "gate": GATE,
            "memory_bytes": share.memory_bytes,
            "cpu_millis": share.cpu_millis,
            "scratch_bytes": share.disk_bytes,
            "home_claim": f"home-{PERSON}",
            "shared_claim": "shared",
            "data": [{"claim": name_of(data.claim(OWN, exposure())), "mount": exposure().mount}],
            "deadline_seconds": 3600,
            "runtime_class": "",
            "user_namespaces": False,
            "apparmor": False,
            "forbidden": probe.forbidden(self.site, GATE),
            "terminals": False,
        }
        pod = canonical(facts, hub_variables(OWN.workspace, PERSON), pod_name(PERSON, 1))
        return _run(pod)

    def _gate(self) -> Document:
        template = copy.deepcopy(self.one(DEPLOYMENT, "gate")["spec"]["template"])
        labels = {**template["metadata"]["labels"], "pod-template-hash": "5d8f"}
        template["spec"]["restartPolicy"] = "Always"
        metadata = {"name": "gate-5d8f-x", "namespace": OWN.namespace, "labels": labels}
        pod = _run({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
        pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "gate-5d8f", "uid": "0"}]
        return pod

    def _probe(self) -> Document:
        return _run(probe.probe(self.site, OWN, permit=PERMIT, gate=GATE))


def _run(pod: Document) -> Document:
    live = _live(as_admitted(pod))
    live["spec"]["nodeName"] = "one"
    live["status"] = {"phase": "Running"}
    return live


_count = iter(range(10**6))


def _live(manifest: Document) -> Document:
    """As the API server gives it back, made from exactly this manifest."""
    live = copy.deepcopy(compare.shaped(manifest)) if manifest["kind"] != "Pod" else copy.deepcopy(manifest)
    live["metadata"] |= {"uid": f"0-{next(_count)}", "creationTimestamp": "2030-01-01T00:00:00Z"}
    return live


Change = Callable[[Scene], object]
__all__ = ["CLAIM", "DEPLOYMENT", "GATE", "POD", "ROLE_BINDING", "SERVICE", "SITE", "Change", "Scene"]
