"""The admission policies' text, evaluated without an API server, and how it is filled in."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.admission import Places, attempts, digest_of, render, texts
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from tests.support import forbidden
from tests.support.admission import POLICIES, Policies, Request, stored
from tests.support.forbidden import (
    ADMIN,
    CLUSTER_WIDE,
    HUB,
    JOBS,
    MANAGER,
    NODE,
    REPLICA_SETS,
    RESOURCES,
    WORKSPACE_ACCOUNT,
    Attempt,
)  # fmt: skip
from tests.support.podfacts import PERSON, facts_document, hub_variables
from tests.support.workspace_objects import Workspace

IMAGE = f"localhost/spe/notebook@sha256:{'1' * 64}"
GATE_IMAGE = f"localhost/spe/gate@sha256:{'2' * 64}"
PLACES = Places(instance="spe", release_namespace="spe", notebook_images=(IMAGE,), gate_images=(GATE_IMAGE,))
OWN = Workspace(PLACES)
POLICY = Policies(PLACES)
ATTEMPTS = tuple(forbidden.attempts(OWN))
USERS = {
    HUB: PLACES.account("hub"),
    MANAGER: PLACES.account("reconciler"),
    "portal": PLACES.account("portal"),
    WORKSPACE_ACCOUNT: f"system:serviceaccount:{OWN.name}:notebook",
    ADMIN: "ada",
}
Document = dict[str, Any]


def judged(by: str, operation: str, resource: str, body: Document | None, **more: Any) -> set[str]:
    """The rules that refuse a request; UPDATE and DELETE take what is there as the old object."""
    namespace = None if resource in CLUSTER_WIDE else more.pop("namespace", OWN.namespace)
    return POLICY.refusals(
        Request(
            user=USERS.get(by, by),
            operation=operation,
            resource=resource,
            group=RESOURCES[resource][0],
            object=body,
            namespace=namespace,
            **more,
        )
    )


def request_of(attempt: Attempt) -> set[str]:
    there = {**OWN.objects(), f"pods/{OWN.notebook['metadata']['name']}": stored(OWN.notebook)}
    old = there.get(f"{attempt.resource}/{attempt.target}")
    if attempt.resource == "namespaces" and attempt.target:
        old = OWN.namespace
    body, sub = attempt.body, attempt.sub
    if attempt.operation == "UPDATE":
        body = forbidden.merged(old, attempt.body)
    if attempt.operation == "CREATE" and attempt.resource == "pods" and not sub:
        body = stored(body or {})
    old = old if attempt.operation in {"UPDATE", "DELETE"} else None
    return judged(attempt.by, attempt.operation, attempt.resource, body, old=old, sub=sub, name=attempt.target)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_what_must_not_get_in_is_refused_by_its_rule(attempt: Attempt) -> None:
    found = request_of(attempt)
    assert found & attempt.rules, found
    assert not {rule for rule in found if rule.startswith("broken")}, found


def test_the_list_is_long_and_every_rule_but_those_of_controllers_has_an_attempt() -> None:
    assert len({(attempt.name, attempt.by) for attempt in ATTEMPTS}) == len(ATTEMPTS) >= 60
    seen = {rule for attempt in ATTEMPTS for rule in request_of(attempt)}
    elsewhere = {"A00", "A18", "B01", "B02", "B03", "G01", "G02", "G03", "G04", "G05", "G06", "P02"}
    assert {rule for rule in set(_rules()) - seen if not rule.startswith("I")} <= elsewhere


PASSING: dict[str, tuple[str, Callable[[], Document]]] = {
    "the canonical pod, by the Hub": (HUB, lambda: OWN.notebook),
    "a gate, by the controller of ReplicaSets": (REPLICA_SETS, OWN.gate_pod),
    "a gate, where controllers have no accounts": ("system:kube-controller-manager", OWN.gate_pod),
    "a probe, by the reconciler": (MANAGER, OWN.probe),
    "a batch pod, by the controller of Jobs": (JOBS, OWN.batch),
    "a batch pod, where controllers have no accounts": ("system:kube-controller-manager", OWN.batch),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_is_made_for_a_workspace_gets_in(name: str) -> None:
    by, made = PASSING[name]
    assert judged(by, "CREATE", "pods", stored(made())) == set()


@pytest.mark.parametrize("terminals", [True, False])
def test_the_canonical_pod_gets_in_with_and_without_terminals_and_data(terminals: bool) -> None:
    for data in ([], facts_document()["data"]):
        facts = PodFacts.read(facts_document(image=IMAGE, terminals=terminals, data=data, apparmor=True))
        pod = notebook_pod(facts, hub_variables(), pod_name(PERSON, 1))
        assert judged(HUB, "CREATE", "pods", stored(pod)) == set()


_HOME = [{"name": "home", "persistentVolumeClaim": {"claimName": "home-p-bbbbbbbbbbbbbbbb"}}]
_DATA = [{"name": "ds-0123456789ab", "persistentVolumeClaim": {"claimName": "ds-0123456789ab", "readOnly": True}}]
_TWO = OWN.batch()["spec"]["containers"] * 2
_TOKEN = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]

WRONG: dict[str, tuple[str, Callable[[], Document], str]] = {
    "a gate without owner": (REPLICA_SETS, lambda: _without(OWN.gate_pod(), "metadata", "ownerReferences"), "G06"),
    "a gate with the notebooks' role": (REPLICA_SETS, lambda: _role(OWN.gate_pod(), "notebook"), "G01"),
    "a gate with another image": (REPLICA_SETS, lambda: _first(OWN.gate_pod(), image=IMAGE), "P06"),
    "a gate with another command": (REPLICA_SETS, lambda: _first(OWN.gate_pod(), command=["sh"]), "G02"),
    "a gate with a home": (REPLICA_SETS, lambda: OWN.gate_pod(volumes=_HOME), "G03"),
    "a gate with a dataset": (REPLICA_SETS, lambda: OWN.gate_pod(volumes=_DATA), "G03"),
    "a gate with a token for the API server": (REPLICA_SETS, lambda: OWN.gate_pod(volumes=_TOKEN), "P04"),
    "a gate with a variable of its own": (REPLICA_SETS, lambda: _first(OWN.gate_pod(), env=[
        {"name": "PYTHONPATH", "value": "/var/lib/gate"}]), "G04"),
    "a gate as root": (REPLICA_SETS, lambda: OWN.gate_pod(securityContext={"runAsUser": 0}), "G05"),
    "a notebook by the controller of ReplicaSets": (REPLICA_SETS, lambda: OWN.notebook, "G01"),
    "a probe with a volume": (MANAGER, lambda: OWN.probe(volumes=[{"name": "x", "emptyDir": {}}]), "S03"),
    "a probe that stays": (MANAGER, lambda: OWN.probe(activeDeadlineSeconds=3600), "S05"),
    "a probe of a person": (MANAGER, lambda: _label(OWN.probe(), "spe.local/person", "p-b"), "S02"),
    "a probe with a program of its own": (MANAGER, lambda: _first(OWN.probe(), command=["sh"]), "S04"),
    "a probe with another account": (MANAGER, lambda: OWN.probe(serviceAccountName="gate"), "S01"),
    "a Job's pod with the notebooks' role": (JOBS, lambda: _role(OWN.batch(), "notebook"), "B02"),
    "a Job's pod with a home": (JOBS, lambda: OWN.batch(volumes=_HOME), "B03"),
    "a Job's pod with two containers": (JOBS, lambda: OWN.batch(containers=_TWO), "B01"),
    "a pod of a node": (NODE, lambda: OWN.notebook, "P00"),
    "a pod by an account of kube-system": ("system:serviceaccount:kube-system:default", OWN.gate_pod, "P00"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_controllers_and_managers_make_only_what_they_are_for(name: str) -> None:
    by, made, rule = WRONG[name]
    assert rule in judged(by, "CREATE", "pods", stored(made()))


def test_where_users_and_kernels_must_be_apart_a_pod_that_shares_them_is_refused() -> None:
    strict = Policies(
        Places(
            instance="spe",
            release_namespace="spe",
            notebook_images=(IMAGE,),
            gate_images=(GATE_IMAGE,),
            user_namespaces=True,
            runtime_classes=("gvisor",),
        )
    )
    pod = stored(OWN.notebook)

    def refusals() -> set[str]:
        hub = PLACES.account("hub")
        return strict.refusals(
            Request(user=hub, operation="CREATE", resource="pods", object=pod, namespace=OWN.namespace)
        )

    assert refusals() == {"P02"}
    pod["spec"]["hostUsers"] = False
    assert refusals() == {"P02"}
    pod["spec"]["runtimeClassName"] = "gvisor"
    assert refusals() == set()


SYSTEM = "system:serviceaccount:kube-system:"
ENDING = {**OWN.namespace, "metadata": {**OWN.namespace["metadata"], "deletionTimestamp": "2030-01-01T00:00:00Z"}}


@pytest.mark.parametrize("what", [key for key in OWN.objects() if not key.startswith("persistentvolumes/")])
def test_the_end_of_a_namespace_takes_everything_with_it_and_only_then(what: str) -> None:
    plural, document = what.partition("/")[0], OWN.objects()[what]
    controller = f"{SYSTEM}namespace-controller"
    assert judged(controller, "DELETE", plural, None, old=document, namespace=ENDING) == set()
    if plural not in {"serviceaccounts", "deployments"}:
        assert judged(controller, "DELETE", plural, None, old=document) != set()
    assert judged(ADMIN, "DELETE", plural, None, old=document, namespace=ENDING) != set()


def test_the_clusters_controllers_bind_claims_and_volumes() -> None:
    for plural, name in (("persistentvolumeclaims", "gate"), ("persistentvolumes", f"{OWN.name}-ds-0123456789ab")):
        old = OWN.objects()[f"{plural}/{name}"]
        new = forbidden.merged(
            old, {"spec": {"volumeName": "pvc-1"}} if plural.endswith("claims") else {"metadata": {"x": 1}}
        )
        assert judged(f"{SYSTEM}persistent-volume-binder", "UPDATE", plural, new, old=old) == set()
        assert judged("system:kube-scheduler", "UPDATE", plural, new, old=old) == set()
        assert judged(WORKSPACE_ACCOUNT, "UPDATE", plural, new, old=old) != set()


def test_a_driver_elsewhere_may_note_something_on_a_claim_but_not_change_it() -> None:
    old = OWN.claim("home-p-bbbbbbbbbbbbbbbb")
    driver = "system:serviceaccount:storage:provisioner"
    noted = forbidden.merged(old, {"metadata": {"annotations": {"volume.example/node": "a"}}})
    assert judged(driver, "UPDATE", "persistentvolumeclaims", noted, old=old) == set()
    larger = forbidden.merged(old, {"spec": {"resources": {"requests": {"storage": "9Gi"}}}})
    assert judged(driver, "UPDATE", "persistentvolumeclaims", larger, old=old) == {"A08"}


def test_volumes_that_storage_makes_for_homes_are_not_touched() -> None:
    made = OWN.volume("pvc-1", accessModes=["ReadWriteOnce"], claimRef={"name": "home-p-b", "namespace": OWN.name})
    made["metadata"]["labels"] = {}
    assert judged("system:serviceaccount:storage:provisioner", "CREATE", "persistentvolumes", made) == set()


def test_a_node_fetches_the_gates_token_for_the_portal_and_no_other() -> None:
    def asked(name: str = "gate", **spec: Any) -> set[str]:
        given = {"audiences": ["spe-portal"], "expirationSeconds": 3600, "boundObjectRef": {"kind": "Pod"}, **spec}
        request = {"metadata": {"name": name}, "spec": given}
        groups = ("system:nodes",)
        return judged(NODE, "CREATE", "serviceaccounts", request, sub="token", name=name, groups=groups)

    assert asked() == set()
    assert asked(audiences=["https://kubernetes.default.svc"]) == {"A10"}
    assert asked(audiences=["spe-portal", "vault"]) == {"A10"}
    assert asked(expirationSeconds=86400) == {"A10"}
    assert asked("notebook") == {"A10"}


def test_nodes_and_controllers_say_how_a_pod_is() -> None:
    pod = stored(OWN.notebook)
    new = forbidden.merged(pod, {"status": {"podIP": "10.0.0.1"}})
    assert judged(NODE, "UPDATE", "pods", new, old=pod, sub="status", groups=("system:nodes",)) == set()
    assert judged(f"{SYSTEM}pod-garbage-collector", "UPDATE", "pods", new, old=pod, sub="status") == set()
    assert judged("system:kube-scheduler", "CREATE", "pods", {"target": {}}, sub="binding") == set()


def test_a_finalizer_may_go_and_none_may_come() -> None:
    old = stored(OWN.batch())
    old["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    new = forbidden.merged(old, {"metadata": {"finalizers": None}})
    assert judged(JOBS, "UPDATE", "pods", new, old=old) == set()
    assert judged(JOBS, "UPDATE", "pods", old, old=new) == {"A03"}


def test_labels_and_notes_of_others_on_a_namespace_may_change() -> None:
    new = forbidden.merged(OWN.namespace, {"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}})
    assert judged(ADMIN, "UPDATE", "namespaces", new, old=OWN.namespace) == set()


def test_the_reconciler_makes_changes_and_ends_its_namespace() -> None:
    new = forbidden.merged(OWN.namespace, {"metadata": {"annotations": {"spe.local/seal": "holds"}}})
    assert judged(MANAGER, "CREATE", "namespaces", OWN.namespace) == set()
    assert judged(MANAGER, "UPDATE", "namespaces", new, old=OWN.namespace) == set()
    assert judged(MANAGER, "DELETE", "namespaces", None, old=OWN.namespace) == set()


@pytest.mark.parametrize("what", OWN.objects())
def test_the_reconciler_makes_everything_of_a_workspace(what: str) -> None:
    assert judged(MANAGER, "CREATE", what.partition("/")[0], OWN.objects()[what]) == set()


def test_the_portal_makes_homes_and_wakes_gates() -> None:
    assert judged("portal", "CREATE", "persistentvolumeclaims", OWN.claim("home-p-bbbbbbbbbbbbbbbb")) == set()
    awake = {"metadata": {"name": "gate"}, "spec": {"replicas": 1}}
    assert judged("portal", "UPDATE", "deployments", awake, old=awake, sub="scale") == set()


def test_other_namespaces_and_other_instances_are_not_touched() -> None:
    for labels in ({}, {"spe.local/instance": "other", "spe.local/workspace": "ws-x"}, {"spe.local/instance": "spe"}):
        elsewhere = {"metadata": {"name": "elsewhere", "labels": labels}}
        for resource, body in (("pods", {"spec": {"hostNetwork": True}}), ("secrets", {})):
            assert judged(ADMIN, "CREATE", resource, body, namespace=elsewhere) == set()
        assert judged(ADMIN, "CREATE", "namespaces", elsewhere) == set()
        assert judged(ADMIN, "DELETE", "namespaces", None, old=elsewhere) == set()


ELSEWHERE: dict[str, dict[str, str]] = {
    "payroll": {},
    "spe-ws-0123456789abcdef": {},
    "other-ws-0123456789abcdef": {"spe.local/instance": "other", "spe.local/workspace": "ws-0123456789abcdef"},
    "dressed-up": {"spe.local/instance": "spe", "spe.local/workspace": "ws-0123456789abcdef"},
    "spe": {"app.kubernetes.io/instance": "spe"},
}


@pytest.mark.parametrize("who", ["portal", MANAGER])
@pytest.mark.parametrize("place", ELSEWHERE)
def test_the_managers_rights_end_at_their_own_workspaces(place: str, who: str) -> None:
    """Somebody who took over the portal deletes pods and claims volumes of the whole cluster."""
    namespace = {"metadata": {"name": place, "labels": ELSEWHERE[place]}}
    pod, claim = stored(OWN.notebook), OWN.claim("home-p-bbbbbbbbbbbbbbbb")
    assert judged(who, "DELETE", "pods", None, old=pod, namespace=namespace) >= {"A18"}
    assert judged(who, "CREATE", "persistentvolumeclaims", claim, namespace=namespace) >= {"A18"}
    policy = OWN.objects()["networkpolicies/deny-all"]
    assert judged(who, "DELETE", "networkpolicies", None, old=policy, namespace=namespace) >= {"A18"}


# -- the text itself


def _rules() -> list[str]:
    policies = [d for d in POLICY.documents if d["kind"] == "ValidatingAdmissionPolicy"]
    return [rule["message"].partition(":")[0] for policy in policies for rule in policy["spec"]["validations"]]


@pytest.mark.parametrize("policy", [d for d in POLICY.documents if "spec" in d and "validations" in d["spec"]],
                         ids=lambda policy: policy["metadata"]["name"])  # fmt: skip
def test_each_policy_fails_closed_and_each_refusal_begins_with_its_rule(policy: Document) -> None:
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert policy["spec"]["matchConstraints"]["matchPolicy"] == "Equivalent"
    assert "paramKind" not in policy["spec"]
    for rule in policy["spec"]["validations"]:
        assert re.match(r"[A-Z][0-9]{2}: [a-z0-9A-Z]", rule["message"])
        assert rule["reason"] == "Forbidden"


def test_every_policy_is_bound_once_and_to_this_instances_workspaces() -> None:
    bindings = {d["spec"]["policyName"]: d for d in POLICY.documents if d["kind"].endswith("Binding")}
    policies = {d["metadata"]["name"]: d for d in POLICY.documents if not d["kind"].endswith("Binding")}
    assert bindings.keys() == policies.keys()
    for name, binding in bindings.items():
        assert binding["spec"]["validationActions"] == ["Deny", "Audit"]
        scope = policies[name]["metadata"]["labels"]["spe.local/scope"]
        cluster = scope == "cluster"
        selector = binding["spec"].get("matchResources", {}).get("namespaceSelector")
        assert (selector is None) == cluster
        if cluster:
            # What has no namespace, or is one, is chosen by the object, the old one too; the rest by who asks.
            conditions = " ".join(c["expression"] for c in policies[name]["spec"]["matchConditions"])
            by_account = all(PLACES.account(who) in conditions for who in ("portal", "reconciler"))
            assert by_account or ('"spe"' in conditions and "oldObject" in conditions)
        elif scope == "intake":
            assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "spe-intake"}}
        else:
            assert selector["matchLabels"] == {"spe.local/instance": "spe"}
            assert {"key": "spe.local/workspace", "operator": "Exists"} in selector["matchExpressions"]


def test_each_file_is_told_of_in_the_readme_and_each_rule_too() -> None:
    told = (POLICIES / "README.md").read_text()
    for file in POLICIES.glob("*.yaml"):
        assert f"`{file.name}`" in told
    listed = {
        rule
        for first, last in re.findall(r"\b([A-Z][0-9]{2})(?:–([A-Z][0-9]{2}))?", told)
        for rule in _span(first, last)
    }
    assert set(_rules()) - {"A00"} <= listed


def test_no_word_is_left_and_an_unknown_one_is_an_error() -> None:
    assert "@" not in re.sub(r"@sha256|\[\^@\]\+@", "", str(POLICY.documents))
    policy = copy.deepcopy(texts(POLICIES)[0])
    policy["spec"]["validations"][0]["expression"] = "@nobody_knows@"
    with pytest.raises(KeyError):
        render([policy], PLACES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"instance": "spe' || true || '"},
        {"release_namespace": 'x"'},
        {"notebook_images": ("localhost/spe/notebook:1",)},
        {"gate_images": (f'a@sha256:{"0" * 64}", "b',)},
        {"runtime_classes": ("a b",)},
    ],
)
def test_nothing_that_could_be_an_expression_is_filled_in(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "instance": "spe", "release_namespace": "spe", "notebook_images": (IMAGE,), "gate_images": (GATE_IMAGE,),
    }  # fmt: skip
    with pytest.raises(ValueError, match="one of these"):
        Places(**{**good, **wrong})


def test_the_marker_names_the_text_and_comes_last() -> None:
    *rest, marker, binding = POLICY.documents
    assert marker["metadata"]["name"] == "spe-marker"
    assert binding["spec"]["policyName"] == "spe-marker"
    written = digest_of([d for d in rest if d["kind"] == "ValidatingAdmissionPolicy"])
    assert marker["spec"]["validations"][0]["message"] == f"A00: {written}"


def test_what_is_seen_to_be_refused_after_an_installation_is_refused_by_the_text() -> None:
    for attempt in attempts(OWN.notebook):
        found = judged(HUB, "CREATE", "pods", stored(attempt.body))
        assert bool(found & attempt.rules) if attempt.rules else found == set(), (attempt.name, found)


def _span(first: str, last: str) -> list[str]:
    if not last:
        return [first]
    return [f"{first[0]}{number:02}" for number in range(int(first[1:]), int(last[1:]) + 1)]


def _without(document: Document, *path: str) -> Document:
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    del part[path[-1]]
    return document


def _label(document: Document, name: str, value: str) -> Document:
    document["metadata"]["labels"][name] = value
    return document


def _role(document: Document, role: str) -> Document:
    return _label(document, "spe.local/role", role)


def _first(document: Document, **fields: Any) -> Document:
    document["spec"]["containers"][0].update(fields)
    return document
