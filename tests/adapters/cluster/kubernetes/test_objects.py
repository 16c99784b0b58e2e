"""What is made in a cluster, as the API's own models read it, and what isolation needs of it."""

from typing import Any

import pytest
from kubernetes import client

from spe.adapters.cluster.kubernetes.kinds import Document, labels_of, name_of
from spe.adapters.cluster.kubernetes.objects import accounts, data, gate, namespace, policies, probe, quota
from spe.adapters.cluster.kubernetes.site import Services, Storage
from spe.domain.errors import Rejected
from spe.domain.permit import Limits
from tests.adapters.cluster.kubernetes.objects import FEATURES, OWN, PERMIT, everything, exposure, site

ALL = everything()
MODELS = {"Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "ServiceAccount", "RoleBinding"} | {
    "PersistentVolumeClaim", "PersistentVolume", "Service", "Deployment", "Pod"
}  # fmt: skip


def pods() -> list[Document]:
    found = [m for m in ALL if m["kind"] == "Pod"]
    return [
        *(p["spec"] for p in found),
        gate.deployment(site(), OWN, permit=PERMIT, awake=True)["spec"]["template"]["spec"],
    ]


@pytest.mark.parametrize("manifest", ALL, ids=lambda m: f"{m['kind']}-{name_of(m)}")
def test_the_api_knows_every_field(manifest: Document) -> None:
    model = getattr(client, f"V1{manifest['kind']}")
    read = model.model_validate(manifest)
    assert client.ApiClient().sanitize_for_serialization(read) == manifest


def test_every_kind_is_there() -> None:
    assert {m["kind"] for m in ALL} == MODELS


@pytest.mark.parametrize("manifest", ALL, ids=lambda m: f"{m['kind']}-{name_of(m)}")
def test_everything_says_whose_it_is(manifest: Document) -> None:
    labels = labels_of(manifest)
    assert labels["app.kubernetes.io/managed-by"] == "spe"
    assert labels["spe.local/instance"] == "spe"
    assert labels["spe.local/workspace"] == OWN.workspace


def test_the_namespace_enforces_the_strictest_pod_security_of_a_pinned_version() -> None:
    labels = labels_of(namespace.namespace(site(), OWN, permit=PERMIT))
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "v1.36"
    assert labels["spe.local/permit"] == PERMIT


# -- the network


def flows(policy: Document, side: str) -> set[tuple[str, str, int]]:
    """(namespace, role or component, port) of every peer."""
    key = {"ingress": "from", "egress": "to"}[side]
    found = set()
    for rule in policy["spec"].get(side, []):
        for peer in rule[key]:
            assert set(peer) == {"namespaceSelector", "podSelector"}
            space = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            pod = peer["podSelector"]["matchLabels"]
            who = pod.get("spe.local/role") or pod["app.kubernetes.io/component"]
            for port in rule["ports"]:
                assert port["protocol"] == "TCP"
                found.add((space, who, port["port"]))
    return found


def test_the_first_policy_lets_nothing_through_for_any_pod_and_cannot_go_by_itself() -> None:
    first = policies.policies(site(), OWN)[0]
    assert first["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert first["metadata"]["finalizers"] == ["spe.local/seal"]


def test_a_notebook_speaks_with_its_gate_only() -> None:
    policy = policies.notebook(OWN)
    assert policy["spec"]["podSelector"] == {"matchLabels": OWN.pods("notebook")}
    assert flows(policy, "ingress") == {(OWN.namespace, "gate", 8888)}
    assert flows(policy, "egress") == {(OWN.namespace, "gate", 8081)}


def test_a_gate_speaks_with_the_pairs_that_need_it_and_with_nobody_else() -> None:
    policy = policies.gate(site(), OWN)
    assert policy["spec"]["podSelector"] == {"matchLabels": OWN.pods("gate")}
    assert flows(policy, "ingress") == {
        ("spe", "hub", 8888),
        ("spe", "proxy", 8888),
        ("spe", "portal", 8082),
        ("spe", "reconciler", 8082),
        (OWN.namespace, "notebook", 8081),
    }
    assert flows(policy, "egress") == {("spe", "portal", 9001), ("spe", "hub", 8081), (OWN.namespace, "notebook", 8888)}


def test_the_mirror_is_reached_only_where_there_is_one() -> None:
    with_mirror = site(services=Services(portal_internal="10.0.0.1", hub="10.0.0.2", mirror="10.0.0.4"))
    added = flows(policies.gate(with_mirror, OWN), "egress") - flows(policies.gate(site(), OWN), "egress")
    assert {who for _, who, _ in added} == {"mirror"}


def test_no_policy_names_an_address_or_opens_the_spare_port() -> None:
    text = repr(policies.policies(site(), OWN))
    assert "ipBlock" not in text
    assert "8083" not in text


def test_a_policy_of_others_is_a_hole_only_if_it_lets_something_through() -> None:
    assert not policies.opens(policies.deny_all(OWN))
    assert policies.opens(policies.notebook(OWN))
    assert policies.opens({"spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}})


# -- pods


@pytest.mark.parametrize("pod", pods())
def test_pods_have_no_rights_no_names_and_no_token_by_themselves(pod: Document) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
        assert container["image"].partition("@sha256:")[2]


def test_the_probe_stands_in_a_notebooks_place_and_mounts_nothing() -> None:
    pod = probe.probe(site(), OWN, permit=PERMIT, gate="10.0.0.3")
    labels = labels_of(pod)
    assert labels["spe.local/role"] == "notebook"
    assert labels["spe.local/part"] == "probe"
    assert "spe.local/person" not in labels
    assert "component" not in labels
    assert not pod["spec"].get("volumes")
    assert pod["spec"]["serviceAccountName"] == "notebook"
    command = pod["spec"]["containers"][0]["command"]
    assert command[:4] == ["python", "-I", "/opt/spe/seal.py", "http://10.0.0.3:8081/hello"]
    assert command[4:] == ["tcp:10.0.0.3:8083", "tcp:10.0.0.9:443", "udp:10.0.0.10:53"]


def test_only_the_gate_is_given_a_token_and_only_for_the_portal() -> None:
    pod = gate.deployment(site(), OWN, permit=PERMIT, awake=True)["spec"]["template"]["spec"]
    tokens = [s["serviceAccountToken"] for v in pod["volumes"] for s in v.get("projected", {}).get("sources", [])]
    assert tokens == [{"audience": "spe-portal", "expirationSeconds": 3600, "path": "token"}]
    assert [e["name"] for e in pod["containers"][0]["env"]] == ["SPE_GATE_PORTAL", "SPE_GATE_STATE", "SPE_GATE_RUN"]


@pytest.mark.parametrize(("awake", "replicas"), [(True, 1), (False, 0)])
def test_a_gate_that_nobody_may_enter_rests(awake: bool, replicas: int) -> None:
    assert gate.deployment(site(), OWN, permit=PERMIT, awake=awake)["spec"]["replicas"] == replicas


def test_pods_ask_only_for_what_nodes_declare() -> None:
    from dataclasses import replace

    able = site(features=replace(FEATURES, apparmor=True, user_namespaces=True))
    pod = probe.probe(able, OWN, permit=PERMIT, gate="10.0.0.3")["spec"]
    assert pod["hostUsers"] is False
    assert pod["securityContext"]["appArmorProfile"] == {"type": "RuntimeDefault"}
    plain = probe.probe(site(), OWN, permit=PERMIT, gate="10.0.0.3")["spec"]
    assert "hostUsers" not in plain
    assert "appArmorProfile" not in plain["securityContext"]


def test_an_address_of_the_newer_protocol_is_written_in_brackets() -> None:
    assert probe.attempts(site(), "fd00::3")[:2] == ["http://[fd00::3]:8081/hello", "tcp:[fd00::3]:8083"]


# -- accounts


def test_accounts_get_no_token_and_the_hub_only_its_role() -> None:
    assert all(account["automountServiceAccountToken"] is False for account in accounts.accounts(OWN))
    binding = accounts.hub_binding(site(), OWN)
    assert binding["roleRef"]["name"] == "spe-hub-sessions"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "hub", "namespace": "spe"}]


# -- quota


def number(amount: str) -> int:
    return int(amount.removesuffix("m"))


@pytest.mark.parametrize("people", [1, 2, 17])
def test_the_quota_holds_all_sessions_a_gate_and_a_probe_and_no_more(people: int) -> None:
    limits = Limits(memory_bytes=1024**3, cpu=2.0, disk_bytes=4 * 1024**3)
    hard = quota.workspace_quota(OWN, limits=limits, people=people)["spec"]["hard"]
    session = quota.session_share(limits)
    assert number(hard["pods"]) == people + 2
    spare = (quota.GATE_SHARE, quota.PROBE_SHARE)
    assert number(hard["limits.memory"]) == people * session.memory_bytes + sum(s.memory_bytes for s in spare)
    assert number(hard["limits.cpu"]) == people * session.cpu_millis + sum(s.cpu_millis for s in spare)
    assert number(hard["requests.storage"]) >= (people + 1) * limits.disk_bytes
    for nothing in ("count/secrets", "services.loadbalancers", "services.nodeports", "count/jobs.batch"):
        assert hard[nothing] == "0"


def test_no_container_may_be_larger_than_a_session_or_the_gate() -> None:
    limits = Limits(memory_bytes=64 * 1024**2, cpu=0.1)
    container = quota.limit_range(OWN, limits=limits)["spec"]["limits"][0]
    assert container["max"]["memory"] == str(quota.GATE_SHARE.memory_bytes)
    assert set(container["default"]) == set(container["defaultRequest"]) == {"cpu", "memory", "ephemeral-storage"}


# -- data


def test_a_volume_can_only_be_read_and_names_its_claim() -> None:
    volume, claim = data.volume(site(), OWN, exposure()), data.claim(OWN, exposure())
    assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == ""
    assert volume["spec"]["claimRef"]["name"] == name_of(claim)
    assert claim["spec"]["volumeName"] == name_of(volume)
    assert volume["spec"]["csi"] == {"driver": "data.example.org", "volumeHandle": "volume-7", "readOnly": True}


def test_a_server_of_files_is_mounted_read_only() -> None:
    spec = data.volume(site(), OWN, exposure("nfs://files.example.org/exports/data"))["spec"]
    assert spec["nfs"] == {"server": "files.example.org", "path": "/exports/data", "readOnly": True}
    assert "ro" in spec["mountOptions"]


def test_a_folder_of_a_node_is_mounted_only_where_that_is_allowed() -> None:
    allowed = site(storage=Storage(host_folders=True))
    spec = data.volume(allowed, OWN, exposure("hostPath:/srv/data"))["spec"]
    assert spec["hostPath"] == {"path": "/srv/data", "type": "Directory"}
    with pytest.raises(Rejected, match="not one that this cluster may mount"):
        data.volume(site(), OWN, exposure("hostPath:/srv/data"))


@pytest.mark.parametrize(
    "source",
    ["", "/srv/data", "hostPath:srv", "hostPath:/", "hostPath:/srv/../etc", "hostPath:/.", "hostPath:/srv/", "hostPath://",
     "nfs:/server/x", "nfs://server",
     "nfs://server/../x", "csi:driver", "csi:/handle", "csi:Driver/handle", "s3://bucket/x", "secret:x"],
)  # fmt: skip
def test_a_source_that_is_no_volume_is_refused(source: str) -> None:
    where: Any = site(storage=Storage(host_folders=True))
    with pytest.raises(Rejected):
        data.volume(where, OWN, exposure(source))
