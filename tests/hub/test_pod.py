"""The canonical notebook pod: what is in it, what may not be, and which facts are refused."""

import json
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient

from spe.hub.pod import FROM_THE_HUB, BadFacts, Pod, PodFacts, gate_url, notebook_pod, pod_name
from tests.support.podfacts import PERSON, WORKSPACE, facts_document, hub_variables


def pod(env: dict[str, str] | None = None, **changes: Any) -> Pod:
    facts = PodFacts.read(facts_document(**changes))
    return notebook_pod(facts, hub_variables() if env is None else env, pod_name(facts.person, 1))


def variables(made: Pod) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in made["spec"]["containers"][0]["env"]}


def test_equal_facts_give_equal_pods_which_are_plain_json():
    assert pod() == pod()
    assert json.loads(json.dumps(pod())) == dict(pod())


def test_the_labels_name_instance_workspace_permit_role_and_person_and_what_the_hub_selects_by():
    assert pod()["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "spe",
        "component": "singleuser-server",
        "spe.local/instance": "spe",
        "spe.local/workspace": WORKSPACE,
        "spe.local/permit": "pm-cccccccccccccccc",
        "spe.local/role": "notebook",
        "spe.local/person": PERSON,
    }


def test_the_notebook_asks_the_gate_and_nobody_else():
    given = variables(pod())
    assert given["SPE_DOOR"] == "http://10.202.0.77:8081"
    assert given["JUPYTERHUB_API_URL"] == "http://10.202.0.77:8081/hub/api"
    assert given["JUPYTERHUB_ACTIVITY_URL"] == f"http://10.202.0.77:8081/hub/api/users/{PERSON}/activity"
    assert "elsewhere" not in json.dumps(pod())


def test_a_gate_with_an_address_of_version_six_is_written_in_brackets():
    assert gate_url(PodFacts.read(facts_document(gate="fd00::7")), 8081) == "http://[fd00::7]:8081"


def test_only_named_variables_of_the_hub_go_in():
    given = variables(pod())
    assert not given.keys() & {"LD_PRELOAD", "PATH", "JUPYTER_IMAGE", "JUPYTERHUB_SSL_KEYFILE"}
    assert given["JUPYTERHUB_API_TOKEN"] == "the-session-token"
    handed_on = {name for name, value in given.items() if hub_variables().get(name) == value}
    assert handed_on <= FROM_THE_HUB


def test_whose_session_it_is_comes_from_the_facts_not_from_the_variables():
    given = variables(pod())
    assert (given["JUPYTERHUB_USER"], given["JUPYTERHUB_SERVER_NAME"]) == (PERSON, WORKSPACE)
    assert given["JUPYTERHUB_SERVICE_PREFIX"] == f"/user/{PERSON}/{WORKSPACE}/"
    assert given["JUPYTERHUB_SERVICE_URL"] == f"http://0.0.0.0:8888/user/{PERSON}/{WORKSPACE}/"


def test_no_variable_comes_from_anywhere_but_the_pod_itself():
    for container in pod()["spec"]["containers"] + pod()["spec"]["initContainers"]:
        assert "envFrom" not in container
        assert all(set(entry) == {"name", "value"} for entry in container.get("env", []))


def test_the_seal_runs_first_with_the_notebooks_image_and_sees_no_volume():
    first = pod()["spec"]["initContainers"]
    assert [container["name"] for container in first] == ["seal"]
    assert first[0]["command"] == [
        "python",
        "-I",
        "/opt/spe/seal.py",
        "http://10.202.0.77:8081/hello",
        *facts_document()["forbidden"],
    ]
    assert first[0]["image"] == pod()["spec"]["containers"][0]["image"]
    assert "volumeMounts" not in first[0]
    assert "env" not in first[0]


def test_every_container_is_without_rights_and_cannot_write_its_image():
    for container in pod()["spec"]["containers"] + pod()["spec"]["initContainers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_no_credential_no_name_server_no_restart():
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert (spec["dnsPolicy"], spec["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 3600


def test_data_is_read_only_through_and_through():
    made = pod()["spec"]
    mount = next(m for m in made["containers"][0]["volumeMounts"] if m["mountPath"].startswith("/data/"))
    volume = next(v for v in made["volumes"] if v["name"] == mount["name"])
    assert mount == {
        "mountPath": "/data/ds-dddddddddddddddd/1",
        "name": "ds-0123456789ab",
        "readOnly": True,
        "recursiveReadOnly": "Enabled",
    }
    assert volume == {
        "name": "ds-0123456789ab",
        "persistentVolumeClaim": {"claimName": "ds-0123456789ab", "readOnly": True},
    }


def test_home_and_outputs_are_two_folders_of_the_persons_own_claim():
    made = pod()["spec"]
    assert {"name": "home", "persistentVolumeClaim": {"claimName": f"home-{PERSON}"}} in made["volumes"]
    mounts = {m["mountPath"]: m.get("subPath") for m in made["containers"][0]["volumeMounts"] if m["name"] == "home"}
    assert mounts == {"/home/researcher": "home", "/workspace/outputs": "outputs"}


def test_memory_and_disk_are_set_aside_whole_and_a_quarter_of_the_cores():
    for container in pod()["spec"]["containers"] + pod()["spec"]["initContainers"]:
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert limits == {"cpu": "1000m", "memory": str(512 * 1024**2), "ephemeral-storage": str(64 * 1024**2)}
        assert requests == {**limits, "cpu": "250m"}


def test_temporary_files_lie_in_memory_and_are_bounded():
    volumes = {v["name"]: v["emptyDir"] for v in pod()["spec"]["volumes"] if "emptyDir" in v}
    assert volumes == {
        "tmp": {"medium": "Memory", "sizeLimit": str(64 * 1024**2)},
        "jupyter": {"medium": "Memory", "sizeLimit": str(16 * 1024**2)},
    }


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({"user_namespaces": True}, ("hostUsers",), False),
        ({"runtime_class": "gvisor"}, ("runtimeClassName",), "gvisor"),
        ({"apparmor": True}, ("securityContext", "appArmorProfile"), {"type": "RuntimeDefault"}),
    ],
)
def test_what_the_nodes_offer_is_used_and_only_then(changes: dict[str, Any], path: tuple[str, ...], value: Any):
    def found(made: Pod) -> Any:
        part: Any = made["spec"]
        for name in path:
            part = part.get(name) if part is not None else None
        return part

    assert found(pod(**changes)) == value
    assert found(pod()) is None


@pytest.mark.parametrize("terminals", [True, False])
def test_terminals_are_as_the_permit_says(terminals: bool):
    made = pod(terminals=terminals)
    assert f"--ServerApp.terminals_enabled={terminals}" in made["spec"]["containers"][0]["command"]
    assert variables(made)["JUPYTER_CONFIG_PATH"].split(":")[-1] == "/opt/jupyter"


@pytest.mark.parametrize("shown", [str, repr, Pod.to_str])
def test_what_is_logged_of_a_pod_is_its_name(shown: Any):
    assert shown(pod()) == f"nb-{PERSON}-1"
    assert pod().metadata.name == f"nb-{PERSON}-1"


def test_the_client_that_sends_it_takes_it_as_it_is():
    client = ApiClient.__new__(ApiClient)  # its real constructor wants a running loop
    assert client.sanitize_for_serialization(pod()) == dict(pod())


@pytest.mark.parametrize("name", sorted(facts_document()))
def test_a_missing_fact_is_refused(name: str):
    document = facts_document()
    del document[name]
    with pytest.raises(BadFacts, match=name):
        PodFacts.read(document)


def test_an_unknown_fact_is_refused():
    with pytest.raises(BadFacts, match="privileged"):
        PodFacts.read(facts_document(privileged=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("instance", "Spe"),
        ("instance", "a" * 41),
        ("workspace", "ws-short"),
        ("person", "../p-bbbbbbbbbbbbb"),
        ("permit", ""),
        ("namespace", "spe-ws-bbbbbbbbbbbbbbbb"),
        ("image", "localhost/spe/notebook:1"),
        ("image", f"localhost/spe/notebook@sha256:{'0' * 63}"),
        ("gate", "gate.example"),
        ("gate", "10.202.0.77:8081/x#"),
        ("memory_bytes", 0),
        ("memory_bytes", True),
        ("memory_bytes", "512Mi"),
        ("cpu_millis", -1),
        ("scratch_bytes", 0),
        ("home_claim", "home-p-cccccccccccccccc"),
        ("shared_claim", "ds-0123456789ab"),
        ("data", {"claim": "ds-0123456789ab"}),
        ("data", [{"claim": "home-p-cccccccccccccccc", "mount": "/data/a/1"}]),
        ("data", [{"claim": "ds-0123456789ab", "mount": "/data/../etc"}]),
        ("data", [{"claim": "ds-0123456789ab", "mount": "/home/researcher"}]),
        ("data", [{"claim": "ds-0123456789ab", "mount": "/data/a/1", "writable": True}]),
        ("data", [{"claim": "ds-0123456789ab", "mount": f"/data/a/{n}"} for n in (1, 2)]),
        ("deadline_seconds", 0),
        ("deadline_seconds", 10**9),
        ("runtime_class", "no such/thing"),
        ("user_namespaces", 0),
        ("apparmor", None),
        ("forbidden", []),
        ("forbidden", ["tcp:metadata.example:80"]),
        ("forbidden", "tcp:10.0.0.1:1"),
        ("terminals", "yes"),
    ],
)
def test_a_fact_that_cannot_be_meant_is_refused(name: str, value: Any):
    with pytest.raises(BadFacts):
        PodFacts.read(facts_document() | {name: value})
