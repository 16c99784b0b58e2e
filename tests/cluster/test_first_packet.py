"""A pod in a notebook's place that sends from its first instruction: nothing gets out, whenever its rules arrive.

Admission lets no such pod into a workspace, so it lives in a namespace that is one to the letter (`twin`). Fifty
starts show that this cluster's network is closed before a pod runs. Where another's is closed late, what holds a
researcher's code back is the canonical pod's first container; that is tried by closing the network late.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from spe.adapters.cluster.kubernetes.kinds import POD, Document, name_of
from tests.cluster import first_packets
from tests.cluster.neighbours import Neighbour, planted
from tests.cluster.twin import ENDED, Twin, twin
from tests.support.hub_stack import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
STARTS, LATE = 50, 5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    with twin(tmp_path_factory.mktemp("twin")) as made:
        yield made


@pytest.fixture(scope="module")
def neighbour(place: Twin) -> Iterator[Neighbour]:
    with planted(place) as made:
        yield made


def sending(place: Twin, neighbour: Neighbour) -> list[str]:
    return first_packets.command(f"{place.door}:8081", neighbour.doors.values())


def raw(place: Twin, neighbour: Neighbour, stem: str, number: int) -> list[Document]:
    """Pods with a notebook's labels and place and nothing before their own program."""
    return [place.notebook(f"{stem}-{n}", sending(place, neighbour)) for n in range(number)]


def ran(place: Twin) -> set[str]:
    """Who told the door that it ran to its end."""
    return {path.rpartition("/")[2] for _, path in place.callers() if path.startswith("/ran/")}


def out(neighbour: Neighbour, pods: list[Document], before: Iterable[str] = ()) -> dict[str, set[str]]:
    """Whose packets were heard since, where, and by which protocol; each pod had an address of its own."""
    addresses = {pod["status"]["podIP"]: name_of(pod) for pod in pods}
    found: dict[str, set[str]] = {}
    for line in Counter(neighbour.heard()) - Counter(before):
        what, _, who = line.rpartition(" ")
        if who in addresses:
            found.setdefault(addresses[who], set()).add(what)
    return found


EVERYTHING = {f"{who} {kind}" for who in ("neighbour", "metadata") for kind in ("tcp", "udp")}


def test_nothing_of_fifty_pods_that_send_at_once_gets_out(place: Twin, neighbour: Neighbour) -> None:
    place.seal()
    try:
        pods = place.run(*raw(place, neighbour, "first", STARTS))
    finally:
        place.unseal()
    leaked, heard = out(neighbour, pods), neighbour.heard()
    print(f"{len(pods)} starts, {len(leaked)} got something out; the neighbours heard {len(heard)} packets")
    assert ran(place) >= {name_of(pod) for pod in pods}
    assert leaked == {}
    assert heard == []
    control = place.run(*raw(place, neighbour, "control", 1))
    assert out(neighbour, control)["control-0"] >= EVERYTHING


def test_where_the_network_closes_late_only_the_seal_holds_code_back(place: Twin, neighbour: Neighbour) -> None:
    before = neighbour.heard()
    early = place.run(*raw(place, neighbour, "late", LATE))
    loose = out(neighbour, early, before)
    assert [name_of(pod) for pod in early if not loose.get(name_of(pod), set()) >= EVERYTHING] == []
    before = neighbour.heard()
    made = [place.api.create(place.canonical(n, sending(place, neighbour))) for n in range(LATE)]
    uids = {pod["metadata"]["uid"] for pod in made}

    def own() -> list[Document]:
        return [pod for pod in place.api.all(POD, place.own.namespace) if pod["metadata"]["uid"] in uids]

    def looked() -> bool:
        """Each seal has asked at the door at least twice, and waits."""
        asked = [address for address, path in place.callers() if path == "/hello"]
        return all(asked.count(pod["status"].get("podIP", "")) >= 2 for pod in own())

    wait_for(looked, "every seal has looked twice", seconds=180)
    assert {pod["status"]["phase"] for pod in own()} == {"Pending"}
    place.seal()
    wait_for(lambda: all(pod["status"]["phase"] in ENDED for pod in own()), "every session has run", seconds=240)
    ended = own()
    held = out(neighbour, ended, before)
    print(f"network closed late: {len(loose)} of {LATE} without a seal got out, {len(held)} of {LATE} with it")
    assert [pod["status"]["phase"] for pod in ended] == ["Succeeded"] * LATE
    assert ran(place) >= {name_of(pod) for pod in ended}
    assert held == {}
