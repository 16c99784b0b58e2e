"""`spe cluster setup` on a real cluster, as the chart's job runs it: with the account and the rights of the hook."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from spe.adapters.cluster.kubernetes.admission import INSTANCE
from tests.adapters.cluster.kubernetes.ground import granted
from tests.support import servers
from tests.support.api_server import As
from tests.support.instance_on_cluster import Instance, instance
from tests.support.podfacts import DIGEST

pytestmark = pytest.mark.servers

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
APPLY = "application/apply-patch+yaml"


@dataclass
class World:
    """An instance whose control plane does not run, and the kubeconfig of the hook's account."""

    house: Instance
    account: Path

    @property
    def canary(self) -> str:
        return f"{self.house.name}-canary"

    def spe(self, *words: str, kubeconfig: Path | None = None, name: str = "") -> subprocess.CompletedProcess[str]:
        """One call of `spe` with the settings of the instance; by the hook's account, if nobody else is named."""
        own = name or self.house.name
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SPE_")},
            "SPE_CLUSTER": "kubernetes",
            "SPE_KUBERNETES__INSTANCE": own,
            "SPE_KUBERNETES__RELEASE_NAMESPACE": own,
            "SPE_KUBERNETES__NOTEBOOK_IMAGE": f"localhost/spe/notebook@sha256:{DIGEST}",
            "SPE_KUBERNETES__GATE_IMAGE": f"localhost/spe/gate@sha256:{DIGEST}",
            "SPE_KUBERNETES__KUBECONFIG": str(kubeconfig or self.account),
        }
        command = [sys.executable, "-m", "spe.cli.main", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def administrator(self, *words: str, name: str = "") -> subprocess.CompletedProcess[str]:
        return self.spe(*words, kubeconfig=Path(servers.kubernetes()), name=name)

    def policies(self, name: str = "") -> set[str]:
        query = {"labelSelector": f"{INSTANCE}={name or self.house.name}"}
        return {item["metadata"]["name"] for item in As().send("GET", POLICIES, query=query)["items"]}

    def forget(self) -> None:
        """Policies, then the canary that they guard."""
        for path in (BINDINGS, POLICIES):
            As().send("DELETE", path, query={"labelSelector": f"{INSTANCE}={self.house.name}"})
        self.house.remember(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.canary}},
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": self.canary},
                },
            ]
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with instance() as house:
        for document in granted(house.name, "hooks"):
            house.make(document, None if document["kind"].startswith("Cluster") else house.name)
        # The Hub's account is made after the hook: nobody of that name is there yet.
        house.remove("v1", "ServiceAccount", "hub", house.name)
        one = World(house=house, account=house.kubeconfig("setup", tmp_path_factory.mktemp("accounts")))
        try:
            yield one
        finally:
            one.forget()


@pytest.fixture(scope="module")
def done(world: World) -> subprocess.CompletedProcess[str]:
    return world.spe("cluster", "setup")


def test_it_is_installed_and_seen_to_refuse_with_the_rights_of_the_hook(
    world: World, done: subprocess.CompletedProcess[str]
) -> None:
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ok     the canonical pod: let in"
    assert len(lines) > 15
    assert all(line.startswith("ok ") and "refused by" in line for line in lines[1:])
    assert len(world.policies()) > 15


def test_again_it_changes_nothing_of_the_canary(world: World, done: subprocess.CompletedProcess[str]) -> None:
    path = f"/api/v1/namespaces/{world.canary}"
    before = As().send("GET", path)["metadata"]["resourceVersion"]
    assert world.spe("cluster", "setup").returncode == 0
    assert As().send("GET", path)["metadata"]["resourceVersion"] == before


def test_an_administrator_sees_the_same_without_changing_anything(
    world: World, done: subprocess.CompletedProcess[str]
) -> None:
    seen = world.administrator("cluster", "check", "-o", "json")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    rows = json.loads(seen.stdout)
    assert all(row["well"] for row in rows)
    assert {row["rule"] for row in rows} >= {"", "E01", "E07", "E10"}


def test_a_policy_that_somebody_took_away_is_noticed_and_put_back(
    world: World, done: subprocess.CompletedProcess[str]
) -> None:
    name = f"{world.house.name}-notebook-pods"
    As().send("DELETE", f"{BINDINGS}/{name}")
    As().send("DELETE", f"{POLICIES}/{name}")
    for _ in range(20):
        seen = world.administrator("cluster", "check")
        if seen.returncode:
            break
    assert seen.returncode == 6
    assert "FAILED another command: let in" in seen.stdout
    mended = world.spe("cluster", "setup")
    assert mended.returncode == 0, mended.stdout + mended.stderr


def test_a_policy_of_an_older_version_goes(world: World, done: subprocess.CompletedProcess[str]) -> None:
    found = As().send("GET", f"{POLICIES}/{world.house.name}-doors")
    labels, spec = found["metadata"]["labels"], found["spec"]
    old = {"metadata": {"name": f"{world.house.name}-older", "labels": labels}, "spec": spec}
    As().send("POST", POLICIES, {**old, "apiVersion": found["apiVersion"], "kind": found["kind"]})
    assert world.spe("cluster", "setup").returncode == 0
    assert f"{world.house.name}-older" not in world.policies()


def test_policies_that_say_something_else_are_not_in_force(
    world: World, done: subprocess.CompletedProcess[str]
) -> None:
    path = f"{POLICIES}/{world.house.name}-doors"
    found = As().send("GET", path)
    marker = As().send("GET", f"{POLICIES}/{world.house.name}-marker")
    old = marker["spec"]["validations"][0]["message"]
    marker["spec"]["validations"][0]["message"] = "A00: another"
    assert found["metadata"]["name"].endswith("-doors")
    As().send("PUT", f"{POLICIES}/{world.house.name}-marker", marker)
    for _ in range(20):
        seen = world.administrator("cluster", "check")
        if seen.returncode:
            break
    assert seen.returncode == 6
    assert "not in force" in seen.stderr
    assert world.spe("cluster", "setup").returncode == 0
    assert old in str(As().send("GET", f"{POLICIES}/{world.house.name}-marker"))


def test_what_it_would_make_can_be_printed_and_nothing_is_made(world: World) -> None:
    other = f"{world.house.name}x"
    printed = world.administrator("cluster", "setup", "--print", name=other)
    assert printed.returncode == 0, printed.stderr
    kinds = [document["kind"] for document in yaml.safe_load_all(printed.stdout)]
    assert kinds[:2] == ["ClusterRole", "Namespace"]
    assert kinds.count("ValidatingAdmissionPolicy") == kinds.count("ValidatingAdmissionPolicyBinding") > 15
    assert not world.policies(other)


def test_before_it_has_run_a_check_says_that_nothing_is_there(world: World) -> None:
    seen = world.administrator("cluster", "check", name=f"{world.house.name}x")
    assert seen.returncode == 6
    assert "not found" in seen.stderr


def setup_account(world: World) -> As:
    return As(f"system:serviceaccount:{world.house.name}:setup")


def test_the_hooks_account_may_neither_make_pods_nor_other_objects_than_the_canarys(
    world: World, done: subprocess.CompletedProcess[str]
) -> None:
    from spe.domain.errors import Rejected

    it, home = setup_account(world), f"/api/v1/namespaces/{world.canary}"
    apply = {"fieldManager": "it", "dryRun": "All"}

    def named(kind: str, name: str, version: str = "v1", **parts: Any) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **parts}

    pod = named("Pod", "x", spec={"containers": [{"name": "x", "image": "x"}]})
    grant = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "setup", "namespace": world.house.name}],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings"
    binding = named("RoleBinding", "hub", "rbac.authorization.k8s.io/v1", **grant)
    attempts: list[tuple[str, str, dict[str, Any] | None, dict[str, Any]]] = [
        ("POST", f"{home}/pods", pod, {"dryRun": "All"}),
        ("POST", "/api/v1/namespaces", named("Namespace", world.canary), {"dryRun": "All"}),
        ("PATCH", f"/api/v1/namespaces/{world.house.name}y", named("Namespace", f"{world.house.name}y"), apply),
        ("PATCH", f"{home}/configmaps/another", named("ConfigMap", "another"), apply),
        ("POST", f"{home}/configmaps", named("ConfigMap", "spe-admission-marker"), {"dryRun": "All"}),
        ("PATCH", f"{bindings}/hub", binding, apply),
        ("GET", f"{home}/secrets", None, {}),
        ("DELETE", home, None, {"dryRun": "All"}),
    ]
    for method, path, body, query in attempts:
        content = APPLY if method == "PATCH" else "application/json"
        with pytest.raises(Rejected, match=r"cannot|attempting to grant"):
            it.send(method, path, body, query=query, content=content)


def test_the_hooks_account_may_be_taken_for_the_hub_and_for_nobody_else(world: World) -> None:
    review = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

    def may(name: str, namespace: str) -> bool:
        attributes = {"verb": "impersonate", "resource": "serviceaccounts", "name": name, "namespace": namespace}
        spec = {"user": f"system:serviceaccount:{world.house.name}:setup", "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(As().send("POST", review, body)["status"]["allowed"])

    assert may("hub", world.house.name)
    assert not may("reconciler", world.house.name)
    assert not may("hub", "kube-system")
