"""Sessions in a cluster: what is ready before the Hub makes a pod, what is believed about its end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from spe.adapters.cluster.kubernetes.kinds import CLAIM, POD, POLICY, ROLE_BINDING, Document, labels_of
from spe.adapters.cluster.kubernetes.names import home_claim
from spe.adapters.cluster.kubernetes.sessions import KubernetesSandboxes
from spe.domain.errors import Rejected, Unauthenticated, Unavailable
from spe.domain.ids import new_person, new_workspace
from spe.hub.pod import PodFacts
from spe.ports.cluster import StepKind
from tests.adapters.cluster.kubernetes.ground import SMALL, Ground, Place, exposure
from tests.support.api_server import EVERYTHING, As
from tests.support.hub_stack import wait_for

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def place(here: Ground) -> Iterator[Place]:
    made = here.place()
    made.reconcile(made.want(exposure()))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def sandboxes(here: Ground) -> KubernetesSandboxes:
    """As the portal's account, with what the chart gives it."""
    return KubernetesSandboxes(here.hands("portal"))


def start(sandboxes: KubernetesSandboxes, place: Place) -> PodFacts:
    url = f"/user/{place.person}/{place.workspace}/"
    started = sandboxes.start(place.workspace, place.person, environment={"A": "b"}, base_url=url)
    assert started.pod is not None
    facts = PodFacts.read(started.pod)
    assert started.url == f"http://{facts.gate}:8888"
    return facts


def test_the_hub_understands_the_facts_of_a_start(place: Place, sandboxes: KubernetesSandboxes) -> None:
    facts = start(sandboxes, place)
    data = exposure()
    assert facts.namespace == place.namespace
    assert facts.permit == place.permit
    assert facts.memory_bytes == SMALL.memory_bytes
    assert [entry.mount for entry in facts.data] == [data.mount]
    assert f"tcp:{facts.gate}:8083" in facts.forbidden
    assert set(place.hands.site.forbidden) < set(facts.forbidden)
    assert 0 < facts.deadline_seconds <= 12 * 3600
    home = place.find(CLAIM, home_claim(place.person))
    assert home is not None
    assert labels_of(home)["spe.local/person"] == place.person


def test_a_session_lives_only_as_long_as_its_permit(place: Place, here: Ground) -> None:
    soon = KubernetesSandboxes(place.with_hands(now=lambda: datetime(2099, 12, 31, 23, 59, tzinfo=UTC)).hands)
    assert start(soon, place).deadline_seconds == 60
    late = KubernetesSandboxes(place.with_hands(now=lambda: datetime(2100, 1, 1, tzinfo=UTC) + timedelta(days=1)).hands)
    with pytest.raises(Rejected, match="time is over"):
        start(late, place)


def test_a_session_is_seen_where_it_runs_and_ends_when_it_is_stopped(
    place: Place, sandboxes: KubernetesSandboxes
) -> None:
    assert not sandboxes.poll(place.workspace, place.person).running
    pod = place.session()
    assert sandboxes.poll(place.workspace, place.person).running
    wait_for(lambda: place.cluster.addresses(place.workspace), "the pod has an address")
    live = place.find(POD, pod)
    assert live is not None
    assert place.cluster.addresses(place.workspace) == {place.person: live["status"]["podIP"]}
    assert place.seen().sessions == {place.person}
    sandboxes.stop(place.workspace, place.person)
    assert place.find(POD, pod) is None
    assert not sandboxes.poll(place.workspace, place.person).running
    assert place.cluster.addresses(place.workspace) == {}
    sandboxes.stop(place.workspace, place.person)


def test_stopping_one_person_leaves_the_others(place: Place, sandboxes: KubernetesSandboxes) -> None:
    guest = new_person()
    place.reconcile(place.want(exposure(), people=(place.person, guest)))
    mine, theirs = place.session(), place.session(guest)
    sandboxes.stop(place.workspace, place.person)
    assert place.find(POD, mine) is None
    assert place.find(POD, theirs) is not None
    place.step(StepKind.STOP_SESSIONS, person=guest, reason="Enough.")
    assert place.find(POD, theirs) is None
    place.reconcile(place.want(exposure()))


def test_a_canonical_pod_finds_its_seal_and_its_notebook_begins(place: Place) -> None:
    """The product's own probe, in the canonical pod, in front of a real notebook."""
    pod = place.session(waits=False)

    def begun() -> Document | None:
        live = place.find(POD, pod)
        states = ((live or {}).get("status") or {}).get("initContainerStatuses") or []
        ended = [state["state"].get("terminated") for state in states]
        return ended[0] if ended and ended[0] else None

    wait_for(begun, "the probe has ended", seconds=60)
    ended = begun()
    assert ended is not None
    assert ended["exitCode"] == 0, ended
    place.step(StepKind.STOP_SESSIONS, reason="Enough.")


def test_nothing_starts_for_whom_the_gate_does_not_know(place: Place, sandboxes: KubernetesSandboxes) -> None:
    stranger = new_person()
    with pytest.raises(Unavailable, match="not been told of this person"):
        sandboxes.start(place.workspace, stranger, environment={}, base_url="/")


def test_nothing_starts_where_there_is_no_workspace_or_no_seal(here: Ground, sandboxes: KubernetesSandboxes) -> None:
    with pytest.raises(Rejected, match="not there"):
        sandboxes.start(new_workspace(), new_person(), environment={}, base_url="/")
    unsealed = here.place()
    unsealed.step(StepKind.FOLDERS)
    with pytest.raises(Rejected, match="seal is not observed"):
        sandboxes.start(unsealed.workspace, unsealed.person, environment={}, base_url="/")
    unsealed.remove()


def test_nothing_starts_before_the_hub_may_make_pods(
    place: Place, sandboxes: KubernetesSandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spe.adapters.cluster.kubernetes.sessions.READY_SECONDS", 1.0)
    binding = place.find(ROLE_BINDING, "hub")
    assert binding is not None
    place.hands.api.remove(binding)
    with pytest.raises(Unavailable, match="may not make pods"):
        start(sandboxes, place)
    place.step(StepKind.GATE, places=place.seat(), data=(exposure(),))
    start(sandboxes, place)


# -- who a gate is


def token(here: Ground, account: str, audience: str = "spe-portal") -> str:
    """Of an account of the release namespace."""
    path = f"/api/v1/namespaces/{here.house.name}/serviceaccounts/{account}/token"
    body = {"spec": {"audiences": [audience], "expirationSeconds": 600}}
    return str(here.admin.send("POST", path, body)["status"]["token"])


def gate_token(place: Place) -> str:
    """Of the gate's account, as the gate's node fetches it for the gate's pod."""
    pod = next(pod for pod in place.all(POD) if labels_of(pod).get("spe.local/role") == "gate")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    body = {"spec": {"audiences": ["spe-portal"], "expirationSeconds": 600, "boundObjectRef": bound}}
    path = f"/api/v1/namespaces/{place.namespace}/serviceaccounts/gate/token"
    return str(As("a-node", "system:nodes", EVERYTHING).send("POST", path, body)["status"]["token"])


def test_a_gate_is_recognised_by_its_account_and_nobody_else_is(here: Ground, place: Place) -> None:
    portal = here.place("portal").cluster
    assert portal.recognise(gate_token(place)) == place.workspace
    for shown in (token(here, "hub"), token(here, "portal", "https://elsewhere"), "not-a-token", ""):
        with pytest.raises(Unauthenticated):
            portal.recognise(shown)


def test_a_gate_in_a_namespace_that_is_not_a_workspaces_is_nobody(here: Ground) -> None:
    portal = here.place("portal").cluster
    here.house.make({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gate"}}, here.house.name)
    with pytest.raises(Unauthenticated):
        portal.recognise(token(here, "gate"))


def test_policies_are_there_all_the_while(place: Place) -> None:
    assert {policy["metadata"]["name"] for policy in place.all(POLICY)} == {"deny-all", "notebook", "gate"}
