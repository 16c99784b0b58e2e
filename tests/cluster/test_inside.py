"""What a researcher's own code reaches from a pod: nothing but the gate. Prints the transcript.

Nobody makes a Job in a workspace. So the same attempts go out from the only pod of the notebooks' place that is made
there besides, a seal probe of the reconciler's, and from real Jobs in a namespace that is a workspace's to the letter.
"""

import asyncio
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.admission import refused
from spe.adapters.cluster.kubernetes.kinds import POD, Document
from spe.adapters.cluster.kubernetes.names import GATE_DOOR, NOTEBOOK, PART, PERMIT, PROBE, Names
from spe.adapters.cluster.kubernetes.objects.containers import locked
from spe.domain.ids import WorkspaceId
from tests.cluster import neighbours, probe_from_pod
from tests.cluster.people import Town
from tests.cluster.twin import ENDED, Twin, twin
from tests.support import servers
from tests.support.api_server import EVERYTHING, As
from tests.support.hub_stack import wait_for
from tests.support.person import Granted

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
WHO, OTHER = "researcher-a", "researcher-b"
OURS = {"portal": (9000, 9001), "hub": (8081,), "proxy": (8000, 8001), "checker": (9002,)}
GATE = {"entrance": 8888, "control": 8082, "spare": 8083}


@pytest.fixture(scope="module")
def mine(people: Town) -> Granted:
    granted = people.grant(WHO, OTHER, datasets=people.facts["datasets"])
    people.enter(granted, WHO)
    people.enter(granted, OTHER)
    return granted


@pytest.fixture(scope="module")
def other(people: Town) -> Granted:
    granted = people.grant(OTHER)
    people.enter(granted, OTHER)
    return granted


@pytest.fixture(scope="module")
def neighbour(people: Town) -> Iterator[neighbours.Neighbour]:
    with neighbours.planted(people.house) as made:
        yield made


@pytest.fixture(scope="module")
def plan(people: Town, mine: Granted, other: Granted, neighbour: neighbours.Neighbour) -> dict[str, Any]:
    return places(people, mine, other, neighbour)


def program(plan: dict[str, Any]) -> str:
    """The probe, for whoever runs Python."""
    return f"{inspect.getsource(probe_from_pod)}\nimport json\nprint(json.dumps(reach({plan!r})))"


def asked(people: Town, granted: Granted, plan: dict[str, Any]) -> dict[str, list[str]]:
    """The probe's answer, run as a cell of the person's notebook."""

    async def story() -> Any:
        async with people.kernel(granted.workspace, WHO) as notebook:
            cell = await notebook.run(program(plan))
            assert not cell.error, cell.error
            return json.loads(cell.text)

    return dict(asyncio.run(story()))


def tell(met: dict[str, list[str]]) -> set[str]:
    """Print what came of each attempt; those that got through."""
    for name, (what, told) in met.items():
        print(f"{name:52} {what:8} {' '.join(told.split())[:110]}")
    print(f"{len(met)} attempts")
    return {name for name, (what, _) in met.items() if what == "DONE"}


def servers_of_the_site(people: Town) -> dict[str, tuple[str, int]]:
    """Vault, PostgreSQL, S3 as pods would reach them."""
    site = people.house
    urls = {
        "Vault": site.vault.place.address,
        "S3": site.s3.settings.endpoint,
        "PostgreSQL": site.urls["app"].partition("@")[2].partition("/")[0],
    }
    found = {}
    for name, url in urls.items():
        host, _, port = servers.in_pods(url).rpartition("//")[2].rpartition(":")
        found[name] = (_address(people, host), int(port))
    assert not any(address.startswith("127.") for address, _ in found.values()), "SPE_IN_PODS names them for pods"
    return found


def _address(people: Town, host: str) -> str:
    name, dot, rest = host.partition(".")
    if dot and rest.endswith(".svc"):
        (service,) = [s for s in people.get("services", rest[:-4]) if s["metadata"]["name"] == name]
        return str(service["spec"]["clusterIP"])
    return host


def places(people: Town, granted: Granted, other: Granted, neighbour: neighbours.Neighbour) -> dict[str, Any]:
    """Everything that must be closed."""
    cluster = {s["metadata"]["name"]: s["spec"]["clusterIP"] for s in people.get("services", people.house.name)}
    (api,) = [
        s["spec"]["clusterIP"] for s in people.get("services", "default", "--field-selector=metadata.name=kubernetes")
    ]
    (node, *_) = [
        a["address"]
        for n in people.get("nodes", "default")
        for a in n["status"]["addresses"]
        if a["type"] == "InternalIP"
    ]
    dns = [s["spec"]["clusterIP"] for s in people.get("services", "kube-system", "-l", "k8s-app=kube-dns")]
    gates = {"own gate": people.gate(granted.workspace), "another workspace's gate": people.gate(other.workspace)}
    pods = {
        "colleague's notebook": people.notebook(granted.workspace, OTHER)["status"]["podIP"],
        "another workspace's notebook": people.notebook(other.workspace, OTHER)["status"]["podIP"],
    }
    tcp = {
        "API server": (api, 443),
        "node's API server": (node, 6443),
        "node's kubelet": (node, 10250),
        "node's ssh": (node, 22),
        **neighbour.doors,
        **{f"DNS {address}": (address, 53) for address in dns},
        **{
            f"{name} {port}": (cluster[name], port) for name, ports in OURS.items() for port in ports if name in cluster
        },
        "portal's inside": (cluster["portal-internal"], 9001),
        **{f"{name} {what}": (address, port) for name, address in gates.items() for what, port in GATE.items()},
        "another workspace's door": (gates["another workspace's gate"], 8081),
        **{name: (address, 8888) for name, address in pods.items()},
        **servers_of_the_site(people),
    }
    udp = {**neighbour.doors, **{f"DNS {address}": (address, 53) for address in dns}}
    return {
        "tcp": tcp,
        "udp": udp,
        "ping": {
            "neighbour": neighbour.address,
            "metadata address": neighbours.METADATA,
            "node": node,
            "colleague's notebook": pods["colleague's notebook"],
        },
        "names": ["kubernetes.default.svc.cluster.local", f"portal.{people.house.name}.svc", "planted.invalid"],
    }


def with_open(plan: dict[str, Any], door: str) -> dict[str, Any]:
    """The same with one place more, which must be open."""
    return {**plan, "tcp": {**plan["tcp"], "OPEN own gate's door": (door, GATE_DOOR)}}


def assert_only_the_door(met: dict[str, list[str]], neighbour: neighbours.Neighbour, before: list[str]) -> None:
    assert tell(met) == {name for name in met if "OPEN" in name}
    assert neighbour.heard() == before


def test_every_way_out_of_a_notebook_is_closed_and_the_gate_is_open(
    people: Town, mine: Granted, plan: dict[str, Any], neighbour: neighbours.Neighbour
) -> None:
    met = asked(people, mine, with_open(plan, people.gate(mine.workspace)))
    assert_only_the_door(met, neighbour, [])


def test_who_is_held_by_no_policy_reaches_what_is_planted(
    neighbour: neighbours.Neighbour, plan: dict[str, Any]
) -> None:
    """Else the others would show nothing."""
    before = neighbour.heard()
    reached = tell(neighbour.ask(plan))
    assert {f"{kind} {name}" for kind in ("tcp", "udp") for name in neighbour.doors} <= reached
    assert {"icmp neighbour", "icmp node", "tcp node's kubelet"} <= reached
    heard = {line.rpartition(" ")[0] for line in neighbour.heard()[len(before) :]}
    assert heard >= {"neighbour tcp", "neighbour udp", "neighbour icmp", "metadata tcp", "metadata udp"}


def the_reconciler(people: Town) -> str:
    return f"system:serviceaccount:{people.house.name}:reconciler"


def job(name: str, template: Document) -> Document:
    made: Document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
    return {**made, "spec": {"backoffLimit": 0, "template": template}}


def test_nobody_makes_a_job_in_a_workspace(people: Town, mine: Granted) -> None:
    """By their own rights, and if they had all rights; whoever may is held by the workspace's quota."""
    own = Names(instance=people.house.name, workspace=WorkspaceId(mine.workspace))
    path = f"/apis/batch/v1/namespaces/{own.namespace}/jobs"
    container = {
        "name": "work",
        "image": servers.image("notebook"),
        "command": ["sleep", "1"],
        "securityContext": locked(),
        "resources": {"limits": {"cpu": "10m", "memory": "16Mi"}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "serviceAccountName": NOTEBOOK, "securityContext": security}
    labels = {"spe.local/role": "batch"}
    document = job("work", {"metadata": {"labels": labels}, "spec": {**spec, "containers": [container]}})
    accounts = {
        "the Hub": f"system:serviceaccount:{people.house.name}:hub",
        "the portal": f"system:serviceaccount:{people.house.name}:portal",
        "the reconciler": the_reconciler(people),
        "the notebooks' account": f"system:serviceaccount:{own.namespace}:notebook",
        "the gate's account": f"system:serviceaccount:{own.namespace}:gate",
        "the namespace's administrator": "ada",
    }
    said = {}
    for who, user in accounts.items():
        for rights, groups in (("own rights", ()), ("all rights", (EVERYTHING,))):
            refusal = refused(As(user, *groups), "POST", path, document)
            assert refusal is not None, f"{who} made a Job with {rights}"
            print(f"{who:30} {rights:11} {' '.join(refusal.said.split())[-150:]}")
            said[who, rights] = refusal.rule or refusal.said
    makers = {"the portal", "the reconciler"}
    for who in accounts:
        assert "cannot create resource" in said[who, "own rights"]
        expected = "exceeded quota: workspace, requested: count/jobs.batch=1" if who in makers else "A13"
        assert expected in said[who, "all rights"]


def test_a_probe_of_the_reconcilers_finds_the_same_in_the_workspace_itself(
    people: Town, mine: Granted, plan: dict[str, Any], neighbour: neighbours.Neighbour
) -> None:
    """The one other pod of a workspace in a notebook's place; it runs the seal's program, which speaks TCP and UDP."""
    own = Names(instance=people.house.name, workspace=WorkspaceId(mine.workspace))
    before, address = neighbour.heard(), people.gate(mine.workspace)
    tried = {
        f"{kind} {name}": f"{kind}:{host}:{port}"
        for kind in ("tcp", "udp")
        for name, (host, port) in plan[kind].items()
    }
    command = [
        "python",
        "-I",
        "/opt/spe/seal.py",
        f"http://{address}:{GATE_DOOR}/hello",
        *dict.fromkeys(tried.values()),
    ]
    (sealed,) = [pod["spec"] for pod in people.get("pods", own.namespace, "-l", f"spe.local/person={people.id(WHO)}")]
    container = {
        "name": "seal",
        "image": servers.image("notebook"),
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": locked(),
    }
    spec = {
        **{key: sealed[key] for key in ("dnsConfig", "dnsPolicy", "enableServiceLinks", "securityContext")},
        "automountServiceAccountToken": False,
        "activeDeadlineSeconds": 120,
        "restartPolicy": "Never",
        "serviceAccountName": NOTEBOOK,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    labels = {**own.pods(NOTEBOOK), PERMIT: mine.permit, PART: PROBE}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "seal-probe-of-a-test", "labels": labels},
        "spec": spec,
    }
    path = f"/api/v1/namespaces/{own.namespace}/pods"
    speaks = As(the_reconciler(people))
    speaks.send("POST", path, document)
    name = document["metadata"]["name"]
    try:
        wait_for(lambda: As().send("GET", f"{path}/{name}")["status"].get("phase") in ENDED, "the probe has ended", 120)
        report = json.loads(people.house.kubectl("-n", own.namespace, "logs", name))
    finally:
        speaks.send("DELETE", f"{path}/{name}", {"gracePeriodSeconds": 1})
    met = {
        name: ["DONE" if report["attempts"][place].startswith("PASSED") else "stopped", report["attempts"][place]]
        for name, place in tried.items()
    }
    assert tell(met) == set()
    assert report["attempts"]["door"] == "answered"
    assert report["sealed"] is True
    assert neighbour.heard() == before


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    with twin(tmp_path_factory.mktemp("twin")) as made:
        made.seal()
        yield made


@pytest.mark.parametrize("role", ["batch", "notebook"])
def test_a_job_beside_the_workspace_finds_the_same(
    beside: Twin, plan: dict[str, Any], neighbour: neighbours.Neighbour, role: str
) -> None:
    """A real Job, in a namespace like a workspace's where none is refused; a batch pod has not even the door."""
    before = neighbour.heard()
    labels = {**beside.own.pods(role), PERMIT: beside.permit}
    wanted = with_open(plan, beside.door) if role == "notebook" else plan
    spec = beside.plain("work", ["python", "-I", "-c", program(wanted)])
    As().send(
        "POST",
        f"/apis/batch/v1/namespaces/{beside.own.namespace}/jobs",
        job(role, {"metadata": {"labels": labels}, "spec": spec}),
    )
    named = {"batch.kubernetes.io/job-name": role}

    def ended() -> list[Document]:
        return [p for p in beside.api.all(POD, beside.own.namespace, labels=named) if p["status"]["phase"] in ENDED]

    wait_for(ended, "the Job has run", 120)
    met = json.loads(beside.log(f"job/{role}"))
    assert_only_the_door(met, neighbour, before)
