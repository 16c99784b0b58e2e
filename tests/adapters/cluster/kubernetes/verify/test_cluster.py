"""The rows of the whole cluster: what passes on a good one, and what each wrong one is named by."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from spe.adapters.cluster.kubernetes import canary
from spe.adapters.cluster.kubernetes.admission import Observation, Places, render, texts
from spe.adapters.cluster.kubernetes.kinds import (
    ADMISSION_BINDING,
    ADMISSION_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    NODE,
    POD,
    POLICY,
    ROLE,
    ROLE_BINDING,
    VOLUME,
    Document,
    Kind,
    kind_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.verify import granted, rights, versions
from spe.adapters.cluster.kubernetes.verify.cluster import ROWS
from spe.adapters.cluster.kubernetes.verify.examine import of_the_cluster
from spe.adapters.cluster.kubernetes.verify.finding import Row, State, apply
from spe.adapters.cluster.kubernetes.verify.rights import atoms, beyond, reaching, rule
from spe.adapters.cluster.kubernetes.verify.whole import Whole
from tests.adapters.cluster.kubernetes.verify.scene import Scene
from tests.charts.rendering import RENDERED
from tests.support.admission import POLICIES

PLACES = Places(
    instance="spe",
    release_namespace="spe",
    notebook_images=(f"localhost/n@sha256:{'1' * 64}",),
    gate_images=(f"localhost/g@sha256:{'2' * 64}",),
)
WANTED = render(texts(POLICIES), PLACES)
SPACE = canary.documents(PLACES, version=(1, 36))
SETTINGS: dict[str, Any] = {
    "authentication": {"anonymous": {"enabled": False}},
    "authorization": {"mode": "Webhook"},
    "podPidsLimit": 1024,
}
HOLDS = (
    Observation(name="the canonical pod", holds=True, rule=""),
    Observation(name="another", holds=True, rule="E07"),
)


def _named(kind: Kind, name: str, **parts: Any) -> Document:
    return {"apiVersion": kind.version, "kind": kind.name, "metadata": {"name": name}, **parts}


def _bound(role: str, *subjects: Document, kind: Kind = CLUSTER_ROLE_BINDING, namespace: str = "") -> Document:
    reference = {"kind": "ClusterRole", "name": role}
    made = _named(kind, f"{role}-given", roleRef=reference, subjects=list(subjects))
    if namespace:
        made["metadata"]["namespace"] = namespace
    return made


def _account(name: str, namespace: str = "spe") -> Document:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _stored(document: Document) -> Document:
    """With what the API server fills in."""
    live = copy.deepcopy(document)
    for one in (live["spec"].get("matchConstraints") or {}).get("resourceRules", []):
        one["scope"] = "*"
    return live


def whole(**changes: Any) -> Whole:
    workspace = Scene()
    roles = [_named(CLUSTER_ROLE, name, rules=rules) for name, rules in granted.roles("spe").items()]
    roles += [
        _named(CLUSTER_ROLE, "cluster-admin", rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
        _named(CLUSTER_ROLE, "view-nodes", rules=[rule("", ["nodes"], ["get"])]),
    ]
    node = {
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.4.2"},
            "runtimeHandlers": [{"name": "", "features": {"recursiveReadOnlyMounts": True}}],
        }
    }
    from spe.adapters.cluster.kubernetes import compare

    spaces = [compare.shaped(d) for d in SPACE]
    lists = {
        NODE: (_named(NODE, "one", **node),),
        NAMESPACE: (workspace.namespace, next(d for d in spaces if d["kind"] == "Namespace")),
        VOLUME: tuple(workspace.volumes),
        ADMISSION_POLICY: tuple(_stored(d) for d in WANTED if d["kind"] == ADMISSION_POLICY.name),
        ADMISSION_BINDING: tuple(_stored(d) for d in WANTED if d["kind"] == ADMISSION_BINDING.name),
        CLUSTER_ROLE: tuple(roles),
        CLUSTER_ROLE_BINDING: (
            _bound("spe-portal", _account("portal")),
            _bound("spe-reconciler", _account("reconciler")),
            _bound("cluster-admin", {"kind": "Group", "name": "system:masters"}),
            _bound("view-nodes", {"kind": "Group", "name": "system:authenticated"}),
        ),
        ROLE_BINDING: (
            _bound("spe-hub-sessions", _account("hub"), kind=ROLE_BINDING, namespace=name_of(workspace.namespace)),
            _bound("spe-canary", _account("hub"), kind=ROLE_BINDING, namespace="spe-canary"),
        ),
    }
    intake = _named(NAMESPACE, "spe-intake")
    intake["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}
    lists[NAMESPACE] = (*lists[NAMESPACE], intake)
    looks = _bound("intake", *map(_account, granted.LOOKERS), kind=ROLE_BINDING, namespace="spe-intake")
    looks["roleRef"]["kind"] = "Role"
    lists[ROLE_BINDING] = (*lists[ROLE_BINDING], looks)
    inside: dict[Kind, tuple[Document, ...]] = {}
    for document in spaces:
        if kind_of(document).namespaced:
            inside[kind_of(document)] = (*inside.get(kind_of(document), ()), document)
    closed = _named(POLICY, "deny-all", spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    values: dict[str, Any] = {
        "places": PLACES,
        "version": (1, 36),
        "policies": WANTED,
        "space": SPACE,
        "lists": lists,
        "inside": inside,
        "release": {POLICY: (closed,)},
        "intake": {POLICY: (closed,), ROLE: (_named(ROLE, "intake", rules=granted.in_the_intake()),)},
        "observed": HOLDS,
        "kubelets": {"one": SETTINGS},
    }
    return Whole(**{**values, **changes})


def failed(facts: Whole) -> dict[str, str]:
    """Title of the row and what was seen."""
    return {f.title: f.seen for f in of_the_cluster(facts) if f.state is State.FAIL}


def test_on_a_good_cluster_every_row_passes_or_says_why_it_is_not_judged() -> None:
    findings = of_the_cluster(whole())
    assert {f.title: f.seen for f in findings if f.state is State.FAIL} == {}
    assert {f.row for f in findings if f.state is State.OUTSIDE} == {"B2.2", "B4.5", "B4.8", "B4.11"}
    assert len(findings) == len(ROWS)


Change = Callable[[Whole], Whole]


def _with(kind: Kind, *more: Document) -> Change:
    return lambda w: replace(w, lists={**w.lists, kind: (*w.lists[kind], *more)})


def _changed(kind: Kind, name: str, change: Callable[[Document], object]) -> Change:
    def apply_it(facts: Whole) -> Whole:
        live = copy.deepcopy(facts.lists[kind])
        change(next(d for d in live if name_of(d) == name))
        return replace(facts, lists={**facts.lists, kind: live})

    return apply_it


def _without(kind: Kind, name: str) -> Change:
    return lambda w: replace(w, lists={**w.lists, kind: tuple(d for d in w.lists[kind] if name_of(d) != name)})


def _kubelet(**changes: Any) -> Change:
    return lambda w: replace(w, kubelets={"one": {**SETTINGS, **changes}})


def _runtime(said: str) -> Change:
    return _changed(NODE, "one", lambda d: d["status"]["nodeInfo"].update(containerRuntimeVersion=said))


_TEXT, _ROLES, _OWN = (
    "admission policies are those of this version",
    "our roles allow what the chart gives",
    "our accounts have no other role",
)
_LOOKS = "where datasets are looked at nothing has a network"
_OTHERS, _REFUSES = "nobody else reaches into workspaces", "the API server refuses by them"
_WORKSPACE = name_of(Scene().namespace)
_LABELS = {"app.kubernetes.io/managed-by": "spe", "spe.local/instance": "spe", "spe.local/workspace": "ws-x"}

CHANGES: dict[str, tuple[Change, str]] = {
    "an old API server": (lambda w: replace(w, version=(1, 29)), "Kubernetes is recent enough"),
    "an old kubelet": (_changed(NODE, "one", lambda d: d["status"]["nodeInfo"].update(kubeletVersion="v1.29.9")),
                       "Kubernetes is recent enough"),
    "an old containerd": (_runtime("containerd://1.7.29"), "container runtimes are recent enough"),
    "an unpatched containerd": (_runtime("containerd://2.1.4"), "container runtimes are recent enough"),
    "a runtime nobody knows": (_runtime("docker://27.0.0"), "container runtimes are recent enough"),
    "a kubelet for anybody": (_kubelet(authentication={"anonymous": {"enabled": True}}), "nodes answer nobody unknown"),
    "a kubelet that allows all": (_kubelet(authorization={"mode": "AlwaysAllow"}), "nodes answer nobody unknown"),
    "a kubelet's open port": (_kubelet(readOnlyPort=10255), "nodes answer nobody unknown"),
    "processes without end": (_kubelet(podPidsLimit=-1), "a pod cannot fill its node with processes"),
    "mounts that can be written below": (
        _changed(NODE, "one", lambda d: d["status"].update(runtimeHandlers=[])),
        "nodes mount read-only all the way down"),
    "no policy": (_without(ADMISSION_POLICY, "spe-doors"), _TEXT),
    "no binding": (_without(ADMISSION_BINDING, "spe-doors"), _TEXT),
    "a policy that ignores failures": (
        _changed(ADMISSION_POLICY, "spe-doors", lambda d: d["spec"].update(failurePolicy="Ignore")), _TEXT),
    "a policy with a way around": (
        _changed(ADMISSION_POLICY, "spe-doors", lambda d: d["spec"]["validations"][0].update(expression="true")),
        _TEXT),
    "a policy for fewer resources": (
        _changed(ADMISSION_POLICY, "spe-doors",
                 lambda d: d["spec"]["matchConstraints"]["resourceRules"][0]["resources"].pop()), _TEXT),
    "a policy with an exception": (
        _changed(ADMISSION_POLICY, "spe-doors",
                 lambda d: d["spec"].update(matchConditions=[{"name": "x", "expression": "false"}])), _TEXT),
    "a binding that only warns": (
        _changed(ADMISSION_BINDING, "spe-doors", lambda d: d["spec"].update(validationActions=["Warn"])), _TEXT),
    "a binding for fewer namespaces": (
        _changed(ADMISSION_BINDING, "spe-doors", lambda d: d["spec"]["matchResources"]["namespaceSelector"][
            "matchLabels"].update(a="b")), _TEXT),
    "an older policy": (
        _with(ADMISSION_POLICY, {**_named(ADMISSION_POLICY, "spe-older", spec={}), "metadata": {
            "name": "spe-older", "labels": {"spe.local/instance": "spe"}}}), _TEXT),
    "something gets in": (
        lambda w: replace(w, observed=(*HOLDS, Observation(name="another image", holds=False, rule=""))), _REFUSES),
    "nothing was tried": (lambda w: replace(w, observed=()), _REFUSES),
    "a pod in the canary": (
        lambda w: replace(w, inside={**w.inside, POD: (_named(POD, "x"),)}), "the canary is as made"),
    "a canary without labels": (
        _changed(NAMESPACE, "spe-canary", lambda d: d["metadata"].update(labels={})), "the canary is as made"),
    "no canary": (_without(NAMESPACE, "spe-canary"), "the canary is as made"),
    "more for the Hub": (
        _changed(CLUSTER_ROLE, "spe-hub-sessions", lambda d: d["rules"].append(rule("", ["secrets"], ["get"]))),
        _ROLES),
    "more for the portal": (
        _changed(CLUSTER_ROLE, "spe-portal", lambda d: d["rules"][0]["verbs"].append("create")), _ROLES),
    "less for the reconciler": (_changed(CLUSTER_ROLE, "spe-reconciler", lambda d: d["rules"].pop()), _ROLES),
    "all names where one was": (
        _changed(CLUSTER_ROLE, "spe-reconciler", lambda d: [r.pop("resourceNames", None) for r in d["rules"]]), _ROLES),
    "a right of the set-up that stayed": (_with(CLUSTER_ROLE, _named(CLUSTER_ROLE, "spe-setup", rules=[])), _ROLES),
    "the Hub everywhere": (_with(CLUSTER_ROLE_BINDING, _bound("spe-hub-sessions", _account("hub"))), _OWN),
    "the Hub in another namespace": (
        _with(ROLE_BINDING, _bound("spe-hub-sessions", _account("hub"), kind=ROLE_BINDING, namespace="kube-system")),
        _OWN),
    "another role for the Hub": (
        _with(ROLE_BINDING, _bound("edit", _account("hub"), kind=ROLE_BINDING, namespace=_WORKSPACE)), _OWN),
    "the portal as administrator": (_with(CLUSTER_ROLE_BINDING, _bound("cluster-admin", _account("portal"))), _OWN),
    "all accounts of the release": (
        _with(CLUSTER_ROLE_BINDING, _bound("view-nodes", {"kind": "Group", "name": "system:serviceaccounts:spe"})),
        _OWN),
    "an account of a workspace": (
        _with(CLUSTER_ROLE_BINDING, _bound("view-nodes", _account("notebook", _WORKSPACE))), _OWN),
    "an account of a workspace by its user's name": (
        _with(CLUSTER_ROLE_BINDING, _bound(
            "view-nodes", {"kind": "User", "name": f"system:serviceaccount:{_WORKSPACE}:notebook"})), _OWN),
    "a person as administrator": (
        _with(CLUSTER_ROLE_BINDING, _bound("cluster-admin", {"kind": "User", "name": "ada"})), _OTHERS),
    "everybody as administrator": (
        _with(CLUSTER_ROLE_BINDING, _bound("cluster-admin", {"kind": "Group", "name": "system:authenticated"})),
        _OTHERS),
    "an operator of another product": (
        _with(CLUSTER_ROLE_BINDING, _bound("cluster-admin", _account("operator", "other"))), _OTHERS),
    "a look-alike": (
        _with(NAMESPACE, {**_named(NAMESPACE, "elsewhere"), "metadata": {"name": "elsewhere", "labels": _LABELS}}),
        "nothing only looks like a workspace"),
    "a volume of nobody": (
        _changed(VOLUME, name_of(Scene().volumes[0]), lambda d: d["spec"]["claimRef"].update(namespace="default")),
        "nothing only looks like a workspace"),
    "an open control plane": (lambda w: replace(w, release={POLICY: ()}),
        "the control plane's own namespace is closed"),
    "a network for looks": (
        lambda w: replace(w, intake={**w.intake, POLICY: (*w.intake[POLICY], _named(
            POLICY, "x", spec={"podSelector": {"matchLabels": {"a": "b"}}, "egress": [{}]}))}), _LOOKS),
    "looks without a deny-all": (lambda w: replace(w, intake={**w.intake, POLICY: ()}), _LOOKS),
    "more for looks": (
        lambda w: replace(w, intake={**w.intake, ROLE: (_named(ROLE, "x", rules=[rule("", ["secrets"], ["get"])]),)}),
        _LOOKS),
    "the intake for another account": (
        _with(ROLE_BINDING, {**_bound("intake", _account("hub"), kind=ROLE_BINDING, namespace="spe-intake"),
                             "roleRef": {"kind": "Role", "name": "intake"}}), _OWN),
    "a rule for every pod of it": (
        lambda w: replace(w, release={POLICY: (*w.release[POLICY], _named(
            POLICY, "x", spec={"podSelector": {}, "egress": [{}]}))}), "the control plane's own namespace is closed"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_is_named_by_its_row(name: str) -> None:
    change, title = CHANGES[name]
    assert title in failed(change(whole())), failed(change(whole()))


def test_whoever_is_trusted_by_name_may_have_rights_and_nobody_else() -> None:
    more = _with(
        CLUSTER_ROLE_BINDING,
        _bound("cluster-admin", _account("operator", "other")),
        _bound("cluster-admin", {"kind": "User", "name": "ada"}),
    )
    seen = failed(replace(more(whole()), trusted=frozenset({"ServiceAccount:other:operator"})))
    assert "User:ada may" in seen[_OTHERS]
    assert "operator" not in seen[_OTHERS]


@pytest.mark.parametrize("kind", [CLUSTER_ROLE, NODE, ADMISSION_POLICY, NAMESPACE, ROLE_BINDING, POLICY, VOLUME])
def test_what_cannot_be_read_fails_and_says_so(kind: Kind) -> None:
    told = failed(whole(troubles={kind: "The cluster refused: forbidden"}))
    needing = {row.title for row in ROWS if kind in row.needs}
    assert set(told) == needing
    assert all(seen == f"could not look: {kind.plural}: The cluster refused: forbidden" for seen in told.values())


def test_a_kubelet_that_does_not_tell_its_settings_is_not_called_well() -> None:
    told = failed(whole(kubelets={"one": "The cluster refused: nodes/proxy"}))
    assert set(told) == {"nodes answer nobody unknown", "a pod cannot fill its node with processes"}
    assert all("could not look: one: The cluster refused" in seen for seen in told.values())
    assert failed(whole(kubelets={})).keys() == told.keys()


def test_policies_that_could_not_be_tried_are_not_called_well() -> None:
    told = failed(whole(observed=(), unobserved="The cluster refused: cannot impersonate"))
    assert "could not look: The cluster refused: cannot impersonate" in told[_REFUSES]


def test_what_cannot_be_made_sense_of_does_not_pass() -> None:
    def broken(_: Whole) -> Any:
        raise KeyError("spec")

    row: Row[Whole] = Row(id="x", title="x", judge=broken, remedy="mend it")
    finding = apply(row, "cluster", whole())
    assert finding.state is State.FAIL
    assert finding.remedy == "mend it"


# -- the table of rights is the chart's


@pytest.mark.parametrize("case", ["minimal", "production", "route"])
def test_our_roles_are_those_of_the_chart(case: str) -> None:
    rendered = [d for d in yaml.safe_load_all((RENDERED / f"{case}.yaml").read_text()) if d]
    chart = {name_of(d): atoms(d["rules"]) for d in rendered if d["kind"] == "ClusterRole"}
    ours = {name: atoms(rules) for name, rules in granted.roles("spe").items()}
    assert {name: chart[name] for name in chart if name != "spe-setup"} == ours
    there = next(d for d in rendered if d["kind"] == "Role" and name_of(d) == "intake")
    assert atoms(there["rules"]) == atoms(granted.in_the_intake())
    (looks,) = (d for d in rendered if d["kind"] == "RoleBinding" and d["roleRef"]["name"] == "intake")
    assert [subject["name"] for subject in looks["subjects"]] == list(granted.LOOKERS)
    bound = {
        d["subjects"][0]["name"]: d["roleRef"]["name"]
        for d in rendered
        if d["kind"] == "ClusterRoleBinding" and d["subjects"][0]["name"] != "setup"
    }
    assert bound == granted.everywhere("spe")


def test_rules_with_stars_cover_and_reach_everything() -> None:
    star = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert beyond([rule("apps", ["deployments"], ["get"])], star) == []
    assert beyond(star, [rule("apps", ["deployments"], ["get"])]) == ["* *.*"]
    assert reaching(star)
    named = rule("", ["secrets"], ["get"], names=["x"])
    assert beyond([named], [rule("", ["secrets"], ["get"])]) == []
    assert beyond([rule("", ["secrets"], ["get"])], [named]) == ["get secrets"]


@pytest.mark.parametrize(
    "reaches",
    [
        rule("", ["pods"], ["list"]),
        rule("", ["pods/*"], ["create"]),
        rule("", ["*"], ["get"]),
        rule("*", ["pods"], ["get"]),
        rule("", ["secrets"], ["get"]),
        rule("", ["serviceaccounts"], ["impersonate"]),
        rule("", ["namespaces"], ["*"]),
        rule("apps", ["*/scale"], ["patch"]),
        rule("networking.k8s.io", ["networkpolicies"], ["delete"]),
        rule("rbac.authorization.k8s.io", ["clusterroles"], ["bind"]),
        rule("admissionregistration.k8s.io", ["validatingadmissionpolicies"], ["patch"]),
    ],
)
def test_what_reaches_into_workspaces_is_known(reaches: rights.Rules) -> None:
    assert reaching([reaches])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "harmless",
    [
        rule("", ["namespaces", "nodes", "services"], ["get", "list", "watch"]),
        rule("authorization.k8s.io", ["selfsubjectaccessreviews"], ["create"]),
        rule("example.org", ["pods"], ["create"]),
        {"nonResourceURLs": ["*"], "verbs": ["get"]},
    ],
)
def test_what_only_looks_from_outside_is_let_be(harmless: dict[str, Any]) -> None:
    assert reaching([harmless]) == []


@pytest.mark.parametrize(
    ("said", "recent"),
    [
        ("containerd://2.0.6", False), ("containerd://2.0.7", True), ("containerd://2.1.5", True),
        ("containerd://2.2.0", True), ("containerd://3.0.0-rc.1", True), ("containerd://1.99.0", False),
        ("cri-o://1.29.9", False), ("cri-o://1.30.0", True), ("cri-o://1.36.1", True), ("", False),
        ("containerd://unknown", False),
    ],
)  # fmt: skip
def test_runtimes_below_their_line_are_told_from_those_above(said: str, recent: bool) -> None:
    assert versions.runtime_is_recent(said) is recent


def test_every_line_of_the_baseline_that_a_cluster_can_show_has_a_row() -> None:
    from spe.adapters.cluster.kubernetes.verify import workspace

    ids = {row.id for row in (*ROWS, *workspace.ROWS)}
    assert {f"B1.{n}" for n in (1, 2, 4, 5, 6, 7, 8, 9, 10)} <= ids
    assert {f"B2.{n}" for n in range(1, 20)} <= ids
    assert {f"B4.{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11)} <= ids
    assert {"B3", "B7.6", "B7.7", "B7.9", "rights", "version"} <= ids
