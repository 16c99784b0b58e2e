"""What a researcher's own code reaches from a pod: nothing but the gate. Prints the transcript."""

import asyncio
import inspect
import json
from typing import Any

import pytest

from tests.cluster import neighbours, probe_from_pod
from tests.cluster.people import Town
from tests.support import servers
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


def asked(people: Town, granted: Granted, plan: dict[str, Any]) -> dict[str, list[str]]:
    """The probe's answer, run as a cell of the person's notebook."""
    code = f"{inspect.getsource(probe_from_pod)}\nimport json\nprint(json.dumps(reach({plan!r})))"

    async def story() -> Any:
        async with people.kernel(granted.workspace, WHO) as notebook:
            cell = await notebook.run(code)
            assert not cell.error, cell.error
            return json.loads(cell.text)

    return dict(asyncio.run(story()))


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
        "neighbour": (neighbour.address, neighbours.PORT),
        "neighbour's Service": (neighbour.service, neighbours.PORT),
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
    udp = {"neighbour": tcp["neighbour"], "neighbour's Service": tcp["neighbour's Service"]}
    udp |= {f"DNS {address}": (address, 53) for address in dns}
    return {
        "tcp": tcp,
        "udp": udp,
        "ping": {"neighbour": neighbour.address, "node": node, "colleague's notebook": pods["colleague's notebook"]},
        "names": ["kubernetes.default.svc.cluster.local", f"portal.{people.house.name}.svc", "planted.invalid"],
    }


def test_every_way_out_of_a_notebook_is_closed_and_the_gate_is_open(people: Town, mine: Granted) -> None:
    other = people.grant(OTHER)
    people.enter(other, OTHER)
    with neighbours.planted(people.house) as neighbour:
        plan = places(people, mine, other, neighbour)
        plan["tcp"]["OPEN own gate's door"] = (people.gate(mine.workspace), 8081)
        met = asked(people, mine, plan)
        for name, (what, told) in met.items():
            print(f"{name:52} {what:8} {' '.join(told.split())[:110]}")
        heard = neighbour.heard()
    print(f"{len(met)} attempts")
    done = {name for name, (what, _) in met.items() if what == "DONE"}
    assert done == {name for name in met if "OPEN" in name}
    assert heard == []
