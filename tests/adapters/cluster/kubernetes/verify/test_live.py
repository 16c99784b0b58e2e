"""`spe verify` on a real cluster: all holds on a fresh instance, and each thing that is changed is named."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes import features
from spe.adapters.cluster.kubernetes.api import MERGE, Api
from spe.adapters.cluster.kubernetes.kinds import (
    ADMISSION_BINDING,
    ADMISSION_POLICY,
    CLAIM,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    LIMIT_RANGE,
    NAMESPACE,
    POLICY,
    QUOTA,
    RBAC,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    VOLUME,
    Document,
    Kind,
)
from spe.adapters.cluster.kubernetes.verify import reading
from spe.adapters.cluster.kubernetes.verify.examine import of_the_cluster, of_workspaces
from spe.adapters.cluster.kubernetes.verify.finding import Finding, State
from spe.bootstrap.admission import Admission, admission
from spe.bootstrap.verify import Part, canonical, examine
from spe.domain.errors import Rejected, Unavailable
from spe.settings import Kubernetes, Settings
from tests.adapters.cluster.kubernetes.ground import Ground, Place, exposure, granted
from tests.support import servers
from tests.support.api_server import EVERYTHING, As
from tests.support.hub_stack import wait_for

pytestmark = pytest.mark.servers

STRATEGIC = "application/strategic-merge-patch+json"
# What the nodes of a cluster are like is their operators' to set.
OTHERS = "nobody else reaches into workspaces"
OF_NODES = {"B2.2", "B2.9", "B2.18", "B2.19"}


@dataclass
class World:
    """An instance with a workspace, a session and a dataset, set up as the chart's hook does."""

    here: Ground
    place: Place
    settings: Settings
    admission: Admission

    def whole(self) -> tuple[Finding, ...]:
        wanted = self.admission
        facts = reading.whole(
            wanted.api,
            places=wanted.places,
            version=features.look(wanted.api).version,
            policies=wanted.documents,
            space=wanted.space,
            observe=lambda: wanted.observe(seconds=3),
            trusted=trusted(wanted.api),
        )
        return of_the_cluster(facts)

    def workspace(self) -> tuple[Finding, ...]:
        read = reading.place(self.here.admin, self.here.site, self.place.workspace, canonical, now=datetime.now(UTC))
        return of_workspaces([read])


def trusted(api: Api) -> frozenset[str]:
    """Whoever reaches into workspaces of this cluster before anything of ours is there, by the row's own words."""
    from spe.adapters.cluster.kubernetes.verify import subjects
    from spe.adapters.cluster.kubernetes.verify.rights import reaching

    rules = {role["metadata"]["name"]: role.get("rules") or [] for role in api.all(CLUSTER_ROLE)}
    return frozenset(
        subjects.spelled(subject)
        for binding in api.all(CLUSTER_ROLE_BINDING)
        for subject in binding.get("subjects") or []
        if reaching(rules.get(binding["roleRef"]["name"], [])) and not binding["metadata"]["name"].endswith("-stranger")
    )


def failed(findings: tuple[Finding, ...], besides: str = "") -> dict[str, str]:
    """What fails, by row; other instances that come and go on a shared cluster may reach into workspaces too."""
    return {
        f.row: f.seen
        for f in findings
        if f.state is State.FAIL and f.row not in OF_NODES and (f.title != OTHERS or (besides and besides in f.seen))
    }


@pytest.fixture(scope="module")
def world(here: Ground) -> Iterator[World]:
    house = here.house
    rights = granted(house.name, "hooks")
    for document in rights:
        house.make(document, None if document["kind"].startswith("Cluster") else house.name)
    values = {
        "instance": house.name,
        "release_namespace": house.name,
        "notebook_image": servers.image("notebook"),
        "gate_image": servers.image("gate"),
        "intake_image": servers.image("control"),
        "shared_access": "ReadWriteOnce",
        "host_folders": True,
    }
    hook = Settings(cluster="kubernetes", kubernetes=Kubernetes(**values, kubeconfig=here.kubeconfig("setup")))
    admission(hook).install()
    house.remember([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{house.name}-canary"}}])
    for document in rights:
        if document["metadata"]["name"] != f"{house.name}-canary":
            space = None if document["kind"].startswith("Cluster") else house.name
            house.remove(document["apiVersion"], document["kind"], document["metadata"]["name"], space)
    for name, spec in {
        "deny-all": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "parts": {
            "podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "Exists"}]},
            "ingress": [{}],
            "egress": [{}],
        },
    }.items():
        house.make(
            {"apiVersion": POLICY.version, "kind": POLICY.name, "metadata": {"name": name}, "spec": spec}, house.name
        )
    settings = Settings(
        cluster="kubernetes",
        kubernetes=Kubernetes(**values, kubeconfig=Path(servers.kubernetes())),
    )
    place = here.place()
    data = exposure("/opt")
    place.reconcile(place.want(data))
    place.session()
    yield World(here=here, place=place, settings=settings, admission=admission(settings))
    place.remove()


def test_all_holds_on_a_fresh_instance(world: World) -> None:
    findings = examine(world.settings, [Part.CLUSTER], trusted=trusted(world.here.admin))
    for finding in findings:
        print(finding.state.value, finding.row, finding.subject, finding.title, "|", finding.seen)
    assert failed(findings) == {}
    assert {f.subject for f in findings} == {"cluster", world.place.namespace}


def test_programs_get_every_row_and_the_status_says_whether_all_holds(world: World) -> None:
    given = world.settings.kubernetes
    assert given is not None
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SPE_")},
        "SPE_CLUSTER": "kubernetes",
        **{
            f"SPE_KUBERNETES__{name.upper()}": json.dumps(value) if isinstance(value, bool) else str(value)
            for name, value in given.model_dump(exclude_unset=True).items()
        },
    }
    known = [f"--trusted={one}" for one in trusted(world.here.admin)]
    command = [sys.executable, "-m", "spe.cli.main", "verify", "--part", "cluster", *known, "-o", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    rows = json.loads(done.stdout)
    wrong = [row for row in rows if row["state"] == "fail"]
    assert [row for row in wrong if row["row"] not in OF_NODES and row["title"] != OTHERS] == []
    assert done.returncode == (4 if wrong else 0), done.stderr
    assert {"row", "subject", "title", "state", "seen", "remedy"} == set(rows[0])
    assert len(rows) > 50


def test_an_account_that_may_not_look_fails_every_row_that_it_cannot_read(world: World) -> None:
    given = world.settings.kubernetes
    assert given is not None
    portal = given.model_copy(update={"kubeconfig": world.here.kubeconfig("portal")})
    findings = examine(Settings(cluster="kubernetes", kubernetes=portal), [Part.CLUSTER])
    told = {f.title: f.seen for f in findings if f.state is State.FAIL}
    for title in ("admission policies are those of this version", "our roles allow what the chart gives",
                  "the API server refuses by them", "nodes answer nobody unknown"):  # fmt: skip
        assert told[title].startswith("could not look"), told


# -- changes of a workspace: by somebody with the managers' name, past admission


def tamper(world: World, kind: Kind, name: str, patch: Any, content: str = MERGE) -> None:
    somebody = As(f"system:serviceaccount:{world.here.house.name}:reconciler", EVERYTHING)
    path = kind.path(name, world.place.namespace if kind.namespaced else "")
    somebody.send("PATCH", path, patch, query={"fieldManager": "somebody"}, content=content)


_ANYBODY = {"to": [{"podSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": 53, "protocol": "UDP"}]}
_LEVEL = "pod-security.kubernetes.io/enforce"


def _labels(**labels: Any) -> Document:
    return {"metadata": {"labels": labels}}


def _template(**parts: Any) -> Document:
    return {"spec": {"template": {"spec": parts}}}


CHANGES: dict[str, tuple[Kind, str, Any, str]] = {
    "weaker Pod Security": (NAMESPACE, "", _labels(**{_LEVEL: "baseline"}), "B1.2"),
    "Pod Security of any version": (NAMESPACE, "", _labels(**{f"{_LEVEL}-version": "latest"}), "B1.2"),
    "no warnings": (NAMESPACE, "", _labels(**{"pod-security.kubernetes.io/warn": None}), "B1.2"),
    "more pods": (QUOTA, "workspace", {"spec": {"hard": {"pods": "99"}}}, "B1.7"),
    "more memory": (QUOTA, "workspace", {"spec": {"hard": {"limits.memory": "999Gi"}}}, "B1.7"),
    "Secrets allowed": (QUOTA, "workspace", {"spec": {"hard": {"count/secrets": None}}}, "B1.7"),
    "another field of the quota": (QUOTA, "workspace", {"spec": {"hard": {"count/events": "9"}}}, "B1.6"),
    "no bounds": (LIMIT_RANGE, "defaults", {"spec": {"limits": [{"type": "Container"}]}}, "B1.8"),
    "a token for notebooks": (SERVICE_ACCOUNT, "notebook", {"automountServiceAccountToken": True}, "B1.9"),
    "a token for gates": (SERVICE_ACCOUNT, "gate", {"automountServiceAccountToken": True}, "B1.9"),
    "a token for others": (SERVICE_ACCOUNT, "default", {"automountServiceAccountToken": True}, "B1.9"),
    "a pull secret": (SERVICE_ACCOUNT, "notebook", {"imagePullSecrets": [{"name": "x"}]}, "B1.9"),
    "the Hub's right for ada": (ROLE_BINDING, "hub", {"subjects": [
        {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}]}, "B1.10"),
    "deny-all opened": (POLICY, "deny-all", {"spec": {"egress": [_ANYBODY]}}, "B4.1"),
    "deny-all for some pods": (POLICY, "deny-all", {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, "B4.1"),
    "deny-all of one direction": (POLICY, "deny-all", {"spec": {"policyTypes": ["Ingress"]}}, "B4.1"),
    "deny-all may go": (POLICY, "deny-all", {"metadata": {"finalizers": None}}, "B4.6"),
    "notebooks reach more": (POLICY, "notebook", {"spec": {"egress": [_ANYBODY]}}, "B4.2"),
    "the gate reaches more": (POLICY, "gate", {"spec": {"egress": [_ANYBODY]}}, "B4.3"),
    "the gate is reached by more": (POLICY, "gate", {"spec": {"ingress": [
        {"from": _ANYBODY["to"], "ports": [{"port": 8082, "protocol": "TCP"}]}]}}, "B4.3"),
    "a gate with more environment": (DEPLOYMENT, "gate", _template(
        containers=[{"name": "gate", "env": [{"name": "PYTHONPATH", "value": "/tmp"}]}]), "gate"),
    "a gate with a longer grace": (DEPLOYMENT, "gate", _template(terminationGracePeriodSeconds=25), "gate"),
    "a gate at two": (DEPLOYMENT, "gate", {"spec": {"replicas": 2}}, "gate"),
    "a Service of other pods": (SERVICE, "gate", {"spec": {"selector": {"a": "b"}}}, "gate"),
    "a seal that says something else": (NAMESPACE, "", {"metadata": {"annotations": {
        "spe.local/seal": "{}"}}}, "B4.7"),
    "a volume that takes its bytes along": (
        VOLUME, "", {"spec": {"persistentVolumeReclaimPolicy": "Recycle"}}, ""),
    "other bytes": (VOLUME, "", {"metadata": {"annotations": {"spe.local/digest": "sha256:x"}}}, "B7.9"),
    "a dataset's claim of another": (CLAIM, "ds", {"metadata": {"annotations": {
        "spe.local/dataset": "ds-eeeeeeeeeeeeeeee/1"}}}, "B7.9"),
}  # fmt: skip
"""Without a row: the cluster itself refuses the change."""


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_of_a_workspace_is_named_by_its_row(world: World, name: str) -> None:
    kind, target, patch, row = CHANGES[name]
    place = world.place
    if kind is NAMESPACE:
        target = place.namespace
    if kind is VOLUME:
        target = place.own.volume(exposure("/opt").key)
    if target == "ds":
        target = place.own.volume(exposure("/opt").key).removeprefix(f"{place.namespace}-")
    if not row:
        with pytest.raises(Rejected):
            tamper(world, kind, target, patch)
        return
    tamper(world, kind, target, patch, STRATEGIC if "containers" in str(patch) else MERGE)
    began = time.monotonic()
    try:
        told = failed(world.workspace())
        print(f"{name} → {', '.join(f'{r}: {s}' for r, s in told.items())} ({time.monotonic() - began:.1f} s)")
        assert row in told
    finally:
        wait_for(lambda: mended(place), "the reconciler has put it right", 180)
    assert failed(world.workspace()) == {}


def mended(place: Place) -> bool:
    """The loop, which goes on when a quota has not noticed yet what was removed."""
    try:
        place.reconcile(place.want(exposure("/opt")))
    except Unavailable:
        return False
    return True


# -- changes of the cluster


def _made(kind: Kind, name: str, **parts: Any) -> Document:
    return {"apiVersion": kind.version, "kind": kind.name, "metadata": {"name": name}, **parts}


def test_a_policy_that_only_warns_is_named(world: World) -> None:
    path = ADMISSION_BINDING.path(f"{world.here.house.name}-notebook-pods")
    As().send("PATCH", path, {"spec": {"validationActions": ["Warn"]}}, content=MERGE)
    deadline = time.monotonic() + 20
    try:
        told = failed(world.whole())
        assert "notebook-pods differs at spec.validationActions" in told["B3"] or "let in" in told["B3"]
        while "let in" not in " ".join(f.seen for f in world.whole() if f.title == "the API server refuses by them"):
            assert time.monotonic() < deadline
    finally:
        As().send("PATCH", path, {"spec": {"validationActions": ["Deny", "Audit"]}}, content=MERGE)


def test_a_policy_that_fails_open_is_named(world: World) -> None:
    path = ADMISSION_POLICY.path(f"{world.here.house.name}-doors")
    As().send("PATCH", path, {"spec": {"failurePolicy": "Ignore"}}, content=MERGE)
    try:
        seen = {f.title: f.seen for f in world.whole() if f.state is State.FAIL}
        assert "doors differs at spec.failurePolicy" in seen["admission policies are those of this version"]
    finally:
        As().send("PATCH", path, {"spec": {"failurePolicy": "Fail"}}, content=MERGE)


def test_a_wider_role_is_named(world: World) -> None:
    name = f"{world.here.house.name}-portal"
    before = As().send("GET", CLUSTER_ROLE.path(name))["rules"]
    more = [*before, {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    As().send("PATCH", CLUSTER_ROLE.path(name), {"rules": more}, content=MERGE)
    try:
        assert f"{name} also allows get secrets" in failed(world.whole())["rights"]
    finally:
        As().send("PATCH", CLUSTER_ROLE.path(name), {"rules": before}, content=MERGE)


@pytest.mark.parametrize("who", ["portal", "a stranger"])
def test_a_binding_more_is_named(world: World, who: str) -> None:
    house = world.here.house
    subject = (
        {"kind": "ServiceAccount", "name": "portal", "namespace": house.name}
        if who == "portal"
        else {"kind": "User", "name": f"ada-{house.name}", "apiGroup": "rbac.authorization.k8s.io"}
    )
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    name = f"{house.name}-stranger"
    house.make(_made(CLUSTER_ROLE_BINDING, name, roleRef=reference, subjects=[subject]))
    try:
        seen = failed(world.whole(), besides=name)["rights"]
        assert name in seen
        assert subject["name"] in seen
    finally:
        house.remove(RBAC, "ClusterRoleBinding", name)


def test_a_namespace_that_was_taken_from_us_is_named(world: World) -> None:
    tamper(world, NAMESPACE, world.place.namespace, _labels(**{"app.kubernetes.io/managed-by": "x"}))
    try:
        assert world.place.namespace in failed(world.whole())["B1"]
    finally:
        tamper(world, NAMESPACE, world.place.namespace, _labels(**{"app.kubernetes.io/managed-by": "spe"}))


def test_a_look_alike_namespace_is_named(world: World) -> None:
    house = world.here.house
    name = f"{house.name}-elsewhere"
    labels = {"app.kubernetes.io/managed-by": "spe", "spe.local/instance": house.name}
    house.make({**_made(NAMESPACE, name), "metadata": {"name": name, "labels": labels}})
    try:
        assert name in failed(world.whole())["B1"]
    finally:
        house.remove("v1", "Namespace", name)
