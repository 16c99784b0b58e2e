"""Whether an object is as it should be: what others added counts where isolation rests on it."""

import copy
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.compare import correction, deviations, shaped, weakened
from spe.adapters.cluster.kubernetes.drift import foreign
from spe.adapters.cluster.kubernetes.kinds import Document, name_of
from spe.adapters.cluster.kubernetes.objects import accounts, gate, policies, quota
from spe.domain.permit import Limits
from tests.adapters.cluster.kubernetes.objects import OWN, PERMIT, everything, site, stored


@pytest.mark.parametrize("manifest", everything(), ids=lambda m: f"{m['kind']}-{name_of(m)}")
def test_what_was_stored_is_as_it_should_be(manifest: Document) -> None:
    assert deviations(shaped(manifest), stored(shaped(manifest))) == ()


@pytest.mark.parametrize("manifest", everything(), ids=lambda m: f"{m['kind']}-{name_of(m)}")
def test_every_field_that_is_taken_away_is_noticed(manifest: Document) -> None:
    wanted = shaped(manifest)
    for path in leaves(wanted):
        if path[0] in ("apiVersion", "kind"):
            continue
        live = stored(wanted)
        remove(live, path)
        assert deviations(wanted, live), path


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for name, inner in value.items() for leaf in leaves(inner, (*path, name))]
    if isinstance(value, list) and value:
        return [leaf for number, inner in enumerate(value) for leaf in leaves(inner, (*path, number))]
    return [path] if value not in ({}, [], "") else []


def remove(document: Any, path: tuple[Any, ...]) -> None:
    for step in path[:-1]:
        document = document[step]
    del document[path[-1]]


def test_amounts_are_the_same_however_the_server_writes_them() -> None:
    wanted = shaped(quota.workspace_quota(OWN, limits=Limits(), people=1))
    live = stored(wanted)
    live["spec"]["hard"]["limits.memory"] = f"{int(wanted['spec']['hard']['limits.memory']) // 1024**2}Mi"
    live["spec"]["hard"]["limits.cpu"] = f"{int(wanted['spec']['hard']['limits.cpu'][:-1]) / 1000}"
    assert deviations(wanted, live) == ()
    live["spec"]["hard"]["limits.memory"] = "1Gi"
    assert deviations(wanted, live)


ADDITIONS: list[tuple[Document, Any]] = [
    (policies.deny_all(OWN), lambda o: o["spec"].update(egress=[{}])),
    (policies.deny_all(OWN), lambda o: o["spec"]["podSelector"].update(matchLabels={"a": "b"})),
    (policies.deny_all(OWN), lambda o: o["spec"].update(policyTypes=["Ingress"])),
    (policies.notebook(OWN), lambda o: o["spec"]["egress"][0]["to"].append({"podSelector": {}})),
    (policies.notebook(OWN), lambda o: o["spec"]["egress"][0]["to"][0]["podSelector"].update(matchExpressions=[1])),
    (policies.notebook(OWN), lambda o: o["spec"]["egress"][0]["ports"].append({"port": 53})),
    (policies.notebook(OWN), lambda o: o["spec"]["egress"][0]["ports"][0].update(endPort=9000)),
    (accounts.accounts(OWN)[0], lambda o: o.update(automountServiceAccountToken=True)),
    (accounts.accounts(OWN)[0], lambda o: o.update(imagePullSecrets=[{"name": "x"}])),
    (accounts.hub_binding(site(), OWN), lambda o: o["subjects"].append({"kind": "User", "name": "x"})),
    (quota.workspace_quota(OWN, limits=Limits(), people=1), lambda o: o["spec"].update(scopes=["Terminating"])),
    (gate.service(OWN), lambda o: o["spec"]["selector"].update(a="b")),
    (gate.service(OWN), lambda o: o["spec"].update(externalIPs=["10.0.0.1"])),
    (gate.service(OWN), lambda o: o["spec"].update(type="NodePort")),
]


@pytest.mark.parametrize(("manifest", "change"), ADDITIONS)
def test_what_others_add_to_what_isolates_is_noticed_and_taken_away(manifest: Document, change: Any) -> None:
    wanted = shaped(manifest)
    live = stored(wanted)
    change(live)
    assert deviations(wanted, live)
    assert weakened(wanted, live)
    merged = merge(live, correction(wanted, live))
    assert deviations(wanted, merged) == ()


def merge(live: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def test_a_change_of_our_own_is_no_drift() -> None:
    old = shaped(policies.gate(site(), OWN))
    new = copy.deepcopy(policies.gate(site(), OWN))
    new["spec"]["egress"].pop()
    assert deviations(shaped(new), stored(old))
    assert not weakened(shaped(new), stored(old))


def owners(*entries: tuple[str, Document]) -> list[Document]:
    return [{"manager": manager, "fieldsV1": {"f:spec": fields}} for manager, fields in entries]


def test_a_field_that_only_another_owns_is_foreign() -> None:
    live = stored(gate.deployment(site(), OWN, permit=PERMIT, awake=True))
    named = {'k:{"name":"gate"}': {".": {}, "f:image": {}, "f:env": {'k:{"name":"X"}': {"f:value": {}}}}}
    live["metadata"]["managedFields"] = [
        *owners(("spe", {"f:template": {'k:{"name":"gate"}': {"f:image": {}}}}), ("kubectl", {"f:template": named})),
        {"manager": "kube-controller-manager", "subresource": "status", "fieldsV1": {"f:spec": {"f:x": {}}}},
    ]
    assert foreign(live) == ["spec.template.[name=gate].env.[name=X].value"]
    assert deviations(shaped(gate.deployment(site(), OWN, permit=PERMIT, awake=True)), live)
