"""What the chart makes: the same as last time, and for every pod the rules that hold for all of them."""

import os
import re
from typing import Any

import pytest

from spe.adapters.secrets.vault.setup import KubernetesAccess
from tests.charts.rendering import CASES, CHART, RENDERED, helm, objects, pods, render

pytestmark = pytest.mark.servers
EVERY = sorted(CASES)


@pytest.mark.parametrize("case", EVERY)
def test_the_chart_passes_helm_lint(case: str) -> None:
    done = helm("lint", "--strict", str(CHART), "-f", str(CASES[case]))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("case", EVERY)
def test_the_rendering_is_the_one_that_was_agreed(case: str) -> None:
    """`SPE_SNAPSHOTS=1` writes them anew; the difference is then read in the commit."""
    file, text = RENDERED / f"{case}.yaml", render(case)
    if os.environ.get("SPE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("case", EVERY)
def test_every_pod_is_one_that_a_restricted_namespace_takes(case: str) -> None:
    for name, pod in pods(objects(render(case))).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec), name
        assert not [v for v in spec.get("volumes", []) if "hostPath" in v], name
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"] is True, name
            assert held["allowPrivilegeEscalation"] is False, name
            assert held["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("case", EVERY)
def test_every_pod_that_serves_is_watched(case: str) -> None:
    for each in objects(render(case)):
        if each["kind"] == "Deployment":
            container = each["spec"]["template"]["spec"]["containers"][0]
            assert {"livenessProbe", "readinessProbe"} <= set(container), each["metadata"]["name"]


@pytest.mark.parametrize("case", EVERY)
def test_no_value_of_a_secret_stands_in_a_pod(case: str) -> None:
    for name, pod in pods(objects(render(case))).items():
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            assert not [e for e in container.get("env", ()) if "secretKeyRef" in e.get("valueFrom", {})], name
            assert "postgresql://" not in str(container), name


@pytest.mark.parametrize("case", EVERY)
def test_everything_of_the_namespace_is_closed_but_what_is_named(case: str) -> None:
    found = objects(render(case))
    policies = {o["metadata"]["name"]: o["spec"] for o in found if o["kind"] == "NetworkPolicy"}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods(found).values()}
    chosen = {
        spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for name, spec in policies.items()
        if name != "deny-all"
    }
    assert components <= chosen
    for name in ("checker", "mirror"):
        assert "egress" not in policies.get(name, {}), f"{name} reaches nothing"


def test_only_what_asks_the_api_server_has_a_token_for_it() -> None:
    """And the token for Vault is for the audience that `spe vault setup` names there."""
    wanted = KubernetesAccess(namespace="spe").audience
    for name, pod in pods(objects(render("production"))).items():
        mounts = {m["mountPath"] for c in pod["spec"]["containers"] for m in c.get("volumeMounts", ())}
        asks = "/var/run/secrets/kubernetes.io/serviceaccount" in mounts
        assert asks == (name.partition("/")[2] in {"portal", "reconciler", "hub", "setup"}), name
        audiences = {
            source["serviceAccountToken"].get("audience", "")
            for volume in pod["spec"].get("volumes", ())
            for source in volume.get("projected", {}).get("sources", ())
            if "serviceAccountToken" in source
        }
        vault = "/var/run/secrets/vault" in mounts
        assert audiences == ({""} if asks else set()) | ({wanted} if vault else set()), name


def _rules(found: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    return next(o["rules"] for o in found if o["kind"] == "ClusterRole" and o["metadata"]["name"] == role)


def test_nobody_may_read_secrets_enter_pods_or_give_rights_away() -> None:
    found = objects(render("production"))
    for each in found:
        for rule in each.get("rules", ()) if each["kind"] in {"ClusterRole", "Role"} else ():
            named = each["metadata"]["name"]
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"]), named
            assert not {"secrets", "pods/exec", "pods/attach", "pods/portforward"} & {*rule["resources"]}, named
            if "configmaps" in rule["resources"]:
                assert (named, rule["resourceNames"]) == ("spe-setup", ["spe-admission-marker"])
            assert "escalate" not in rule["verbs"], named
            if "impersonate" in rule["verbs"]:
                assert (each["kind"], named, rule["resourceNames"]) == ("Role", "setup", ["hub"])
            if "bind" in rule["verbs"]:
                assert rule["resourceNames"] == [{"spe-reconciler": "spe-hub-sessions"}.get(named, "spe-canary")]
    assert _rules(found, "spe-hub-sessions") == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "delete"]}
    ]
    assert _rules(found, "spe-canary") == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    bound = {o["subjects"][0]["name"] for o in found if o["kind"] == "ClusterRoleBinding"}
    assert bound == {"portal", "reconciler", "setup"}, "the Hub has no right in the whole cluster"


def test_the_portal_makes_pods_where_datasets_are_read_and_nowhere_else() -> None:
    found = objects(render("production"))
    makes = [rule for rule in _rules(found, "spe-portal") if {"create", "patch", "delete"} & {*rule["verbs"]}]
    assert {(r, v) for rule in makes for r in rule["resources"] for v in rule["verbs"]} - {
        *(("persistentvolumes", verb) for verb in ("create", "delete")),
        *(("persistentvolumeclaims", verb) for verb in ("create", "get", "list", "patch")),
        *(("pods", verb) for verb in ("get", "list", "watch", "delete")),
        *((f"{review}reviews", "create") for review in ("token", "subjectaccess")),
    } == set()
    (role,) = [o for o in found if o["kind"] == "Role" and o["metadata"].get("namespace") == "spe-intake"]
    (binding,) = [o for o in found if o["kind"] == "RoleBinding" and o["metadata"].get("namespace") == "spe-intake"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert {"kind": "ServiceAccount", "name": "portal", "namespace": "spe"} in binding["subjects"]
    assert {who["name"] for who in binding["subjects"]} <= {"portal", "reconciler"}
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {
        "pods", "pods/log", "persistentvolumeclaims", "events",
    }  # fmt: skip


def test_where_datasets_are_read_no_pod_has_rights_or_a_network() -> None:
    found = [o for o in objects(render("minimal")) if o["metadata"].get("namespace") == "spe-intake"]
    place = next(o for o in objects(render("minimal")) if o["kind"] == "Namespace")
    assert place["metadata"]["name"] == "spe-intake"
    assert place["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    # Rules of the network for workspaces choose by this label; nothing here is one.
    assert "spe.local/instance" not in place["metadata"]["labels"]
    policies = [o["spec"] for o in found if o["kind"] == "NetworkPolicy"]
    assert policies == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]
    assert [o["kind"] for o in found if o["kind"] == "ResourceQuota"]


def test_without_the_place_to_read_datasets_the_portal_has_no_right_for_it() -> None:
    found = objects(render("production", "--set", "intake.enabled=false"))
    assert not [o for o in found if "intake" in o["metadata"]["name"] + str(o["metadata"].get("namespace"))]
    rights = {(r, v) for rule in _rules(found, "spe-portal") for r in rule["resources"] for v in rule["verbs"]}
    assert ("persistentvolumes", "create") not in rights
    assert "intake_image" not in str(found)


def test_datasets_are_read_by_the_control_planes_own_image_when_it_is_named_by_its_digest() -> None:
    def said(case: str) -> str:
        settings = next(o for o in objects(render(case)) if o["metadata"]["name"] == "settings")
        return str(settings["data"]["settings.yaml"])

    assert f"intake_image: images.example.org/spe/control@sha256:{'1' * 64}" in said("production")
    assert "intake_image" not in said("minimal")


def test_the_right_to_change_admission_policies_comes_and_goes_with_the_job() -> None:
    for each in objects(render("production")):
        if each["metadata"]["name"] in {"setup", "spe-setup"} and each["kind"] != "NetworkPolicy":
            notes = each["metadata"]["annotations"]
            assert notes["helm.sh/hook"] == "pre-install,pre-upgrade,pre-rollback"
            assert "hook-succeeded" in notes["helm.sh/hook-delete-policy"]


def test_whoever_sets_up_may_make_the_canary_by_name_and_nothing_else_in_the_whole_cluster() -> None:
    rules = _rules(objects(render("production")), "spe-setup")
    unnamed = [rule for rule in rules if "resourceNames" not in rule]
    assert {r for rule in unnamed for r in rule["resources"] if {"create", "patch", "delete"} & {*rule["verbs"]}} == {
        "validatingadmissionpolicies", "validatingadmissionpolicybindings",
    }  # fmt: skip
    assert {n for rule in rules for n in rule.get("resourceNames", ())} == {
        "spe-canary", "canary", "notebook", "spe-admission-marker", "deny-all", "hub",
    }  # fmt: skip


def test_what_holds_state_outlives_the_release() -> None:
    for case in EVERY:
        kept = [o for o in objects(render(case)) if o["kind"] == "PersistentVolumeClaim"]
        assert kept
        assert all(o["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for o in kept)


def test_tokens_are_made_once_random_and_kept() -> None:
    made = [
        next(o for o in objects(render("minimal", "--set", "tokens.existingSecret=")) if o["kind"] == "Secret")
        for _ in range(2)
    ]
    assert set(made[0]["data"]) == {"hub", "portal", "proxy", "oauth", "crypt", "checker"}
    assert made[0]["data"] != made[1]["data"]
    assert made[0]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    done = helm(
        *("template", "spe", str(CHART), "-f", str(CASES["minimal"])),
        *("--set", "tokens.existingSecret=", "--is-upgrade"),
    )
    assert done.returncode != 0
    assert "makes no new tokens" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--set", "hosts.portal="], "Say under which addresses people open the environment"),
        (["--set", "hosts.views=portal.example.org"], "The views need another name than the portal"),
        (["--set", "database.existingSecret="], "Say where the database is"),
        (["--set", "portal.replicas=2"], "not allowed"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_a_sentence(options: list[str], sentence: str) -> None:
    done = helm("template", "spe", str(CHART), "-f", str(CASES["minimal"]), *options)
    assert done.returncode != 0
    assert re.search(re.escape(sentence), done.stderr), done.stderr
