"""Sessions as pods: a real Hub and proxy, a stand-in portal, a real cluster.

The Hub's process runs beside the test, with the rights of its own account and a binding per workspace.
"""

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes import watch
from urllib3.exceptions import ProtocolError

from spe.adapters.cluster.kubernetes.admission import Places, install, render, texts, wait_in_force
from spe.domain.ids import new_permit
from tests.support import servers, standin_gate
from tests.support.admission import POLICIES
from tests.support.api_server import As
from tests.support.hub_stack import Stack, running_stack, wait_for
from tests.support.instance_on_cluster import Instance, claim, instance
from tests.support.podfacts import facts_document

pytestmark = pytest.mark.servers

QUICK = {"refresh_seconds": 1, "route_check_seconds": 1, "poll_seconds": 1, "start_seconds": 90}


class Workspace:
    """A workspace's namespace with a stand-in gate, and one person in it."""

    def __init__(self, house: Instance, stack: Stack, *, may: bool = True) -> None:
        self.house, self.stack = house, stack
        self.id, self.person = stack.someone()
        self.permit = new_permit()
        self.namespace = house.namespace(self.id, self.permit)
        house.make(claim(f"home-{self.person}"), self.namespace)
        house.make(standin_gate.pod(servers.image("notebook")), self.namespace)
        self.gate = house.make(standin_gate.service(), self.namespace).spec.clusterIP
        if may:
            house.allow_hub(self.namespace)
        wait_for(self._gate_ready, "the stand-in gate is ready")
        self.described()

    def described(self, **changes: Any) -> None:
        """What the portal says a pod is made of."""
        facts = facts_document(
            instance=self.house.name,
            workspace=self.id,
            person=self.person,
            permit=self.permit,
            gate=self.gate,
            image=servers.image("notebook"),
            cpu_millis=1000,
            data=[],
            # Nothing is sealed here; the probe needs something that is closed anywhere.
            forbidden=["tcp:127.0.0.1:9"],
        )
        answer = {"url": f"http://{self.gate}:8888", "pod": {**facts, **changes}}
        self.stack.portal.script.pods[self.id, self.person] = answer

    def start(self) -> None:
        self.stack.started(self.id, self.person)

    def refused(self) -> str:
        """The sentence of a start that fails."""
        self.stack.api.start(self.id, self.person)
        last = self.stack.last_step(self.id, self.person)
        assert last.failed, last
        return last.message

    def pods(self) -> list[Any]:
        return self.house.pods(self.namespace)

    def page(self) -> int:
        """The status of the session's API behind proxy and gate."""
        with self.stack.browser() as browser:
            return browser.get(self.stack.page(self.id, self.person, "api")).status_code

    def running(self) -> bool:
        return (self.id, self.person) in {(s.workspace, s.person) for s in self.stack.api.running()}

    def _gate_ready(self) -> bool:
        found = self.house.pods(self.namespace, "spe.local/role=gate")
        return any(c.status == "True" for p in found for c in p.status.conditions or () if c.type == "Ready")


@pytest.fixture(scope="module")
def house() -> Iterator[Instance]:
    with instance() as one:
        yield one


@pytest.fixture(scope="module")
def stack(house: Instance) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="spe-") as folder:
        kubeconfig = house.kubeconfig("hub", Path(folder))
        with running_stack({"KUBECONFIG": str(kubeconfig)}, spawner="pod", **QUICK) as one:
            yield one


@pytest.fixture
def place(house: Instance, stack: Stack) -> Iterator[Workspace]:
    one = Workspace(house, stack)
    yield one
    _end(one)


@pytest.fixture
def closed(house: Instance, stack: Stack) -> Iterator[Workspace]:
    """A workspace in which the Hub may do nothing yet."""
    one = Workspace(house, stack, may=False)
    yield one
    _end(one)


def _end(place: Workspace) -> None:
    place.house.remove("v1", "Namespace", place.namespace)


def test_a_session_is_one_pod_behind_the_gate_and_ends_with_it(place: Workspace) -> None:
    place.start()
    (pod,) = place.pods()
    assert pod.metadata.name.startswith(f"nb-{place.person}-")
    assert place.page() == 200
    wait_for(lambda: _called(place, ":opened"), "the portal was told of the open address")
    place.stack.api.stop(place.id, place.person)
    assert place.pods() == []
    assert _called(place, ":stop")
    assert not place.running()


def test_the_pod_is_the_canonical_one_and_not_kubespawners(place: Workspace) -> None:
    place.start()
    (pod,) = place.pods()
    spec, (notebook,) = pod.spec, pod.spec.containers
    assert [c.name for c in spec.init_containers] == ["seal"]
    assert (spec.service_account_name, spec.automount_service_account_token) == ("notebook", False)
    assert notebook.image == servers.image("notebook")
    given = {entry.name: entry.value for entry in notebook.env}
    assert given["JUPYTERHUB_API_URL"] == f"http://{place.gate}:8081/hub/api"
    assert not {name for name in given if name.startswith("JUPYTER_IMAGE")}
    # The session's token stays between Hub and pod: the portal is not told.
    assert place.stack.portal.sessions[place.id, place.person].request["env"] == {}


def test_steps_of_the_start_are_told_in_sentences(place: Workspace) -> None:
    place.stack.api.start(place.id, place.person)
    seen = [step.message for step in place.stack.api.progress(place.id, place.person)]
    assert any("seal" in message or "folder" in message or "starts" in message for message in seen), seen


def test_a_start_before_the_hub_may_enter_fails_with_a_sentence_and_the_next_succeeds(closed: Workspace) -> None:
    sentence = closed.refused()
    assert "not yet open to the Hub" in sentence
    assert "Try again" in sentence
    closed.house.allow_hub(closed.namespace)
    closed.start()
    assert closed.page() == 200


def test_a_refused_pod_shows_a_sentence_and_no_token_in_any_log(place: Workspace) -> None:
    place.house.make(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "full"},
            "spec": {"hard": {"pods": "1"}},
        },
        place.namespace,
    )
    wait_for(lambda: _counted(place, "full"), "the quota counts")
    assert "no room for another" in place.refused()
    assert place.pods() == []
    log = place.stack.log("hub")
    assert "exceeded quota" in log
    assert "JUPYTERHUB_API_TOKEN" not in log
    assert "JPY_API_TOKEN" not in log


def test_whatever_the_cluster_lacks_the_person_reads_a_sentence(place: Workspace) -> None:
    place.house.remove("v1", "ServiceAccount", "notebook", place.namespace)
    sentence = place.refused()
    assert "was not started" in sentence
    assert "the operator" in sentence
    assert place.pods() == []


def test_a_seal_that_does_not_hold_ends_the_start_with_a_sentence(place: Workspace) -> None:
    place.described(forbidden=[f"tcp:{place.gate}:8888"])
    sentence = place.refused()
    assert "could not be found sealed" in sentence
    wait_for(lambda: not place.pods(), "the pod goes")


def test_facts_of_another_session_make_no_pod(place: Workspace) -> None:
    place.described(person="p-aaaaaaaaaaaaaaaa", home_claim="home-p-aaaaaaaaaaaaaaaa")
    assert "do not fit together" in place.refused()
    assert place.pods() == []


def test_a_session_outlives_a_restart_of_the_hub(place: Workspace) -> None:
    place.start()
    (before,) = place.pods()
    place.stack.kill("hub")
    assert place.page() == 200
    place.stack.start_hub()
    assert place.running()
    assert place.page() == 200
    (after,) = place.pods()
    assert after.metadata.uid == before.metadata.uid
    place.stack.api.stop(place.id, place.person)
    assert place.pods() == []


def test_a_pod_deleted_behind_the_hubs_back_ends_the_session(place: Workspace) -> None:
    place.start()
    (pod,) = place.pods()
    place.house.core.delete_namespaced_pod(pod.metadata.name, place.namespace, grace_period_seconds=1)
    wait_for(lambda: not place.running(), "the Hub notices")


def test_a_stop_after_the_hubs_rights_are_gone_is_the_portals_word(place: Workspace) -> None:
    place.start()
    place.house.forbid_hub(place.namespace)
    place.stack.api.stop(place.id, place.person)
    assert not place.running()
    assert _called(place, ":stop")


def test_after_suspension_and_resumption_a_session_starts_again(place: Workspace) -> None:
    place.start()
    place.house.forbid_hub(place.namespace)
    place.stack.api.stop(place.id, place.person)
    (pod,) = place.pods()
    place.house.core.delete_namespaced_pod(pod.metadata.name, place.namespace, grace_period_seconds=1)
    place.house.remove("rbac.authorization.k8s.io/v1", "Role", "hub", place.namespace)
    place.house.allow_hub(place.namespace)
    wait_for(lambda: not place.pods(), "the old pod goes")
    place.start()
    assert place.page() == 200


def test_nobody_asks_about_a_namespace_without_sessions(place: Workspace) -> None:
    place.start()
    place.stack.api.stop(place.id, place.person)
    told = place.stack.log("hub")
    assert f"pods with label selector='component=singleuser-server' in namespace {place.namespace}" in told
    wait_for(lambda: "watcher stopped" in place.stack.log("hub"), "the watch has ended")


def test_a_pod_is_not_deleted_without_grace(place: Workspace) -> None:
    place.start()
    (pod,) = place.pods()
    with _deletions(place) as seen:
        place.stack.api.stop(place.id, place.person)
        wait_for(lambda: pod.metadata.name in seen, "the deletion is seen")
    assert seen[pod.metadata.name] == 1


def test_under_the_policies_the_session_starts_and_another_pod_is_refused_by_its_rule(place: Workspace) -> None:
    with _policies(place):
        place.start()
        assert place.page() == 200
        place.stack.api.stop(place.id, place.person)
        place.described(image=f"localhost/elsewhere@sha256:{'0' * 64}")
        sentence = place.refused()
        assert "the cluster refuses its pod (P06)" in sentence
        assert "denied request: P06" in place.stack.log("hub")
        assert place.pods() == []
    assert not re.search(r"\b[0-9a-f]{32}\b", place.stack.log("hub")), "a session's token is in the Hub's log"


@contextmanager
def _policies(place: Workspace) -> Iterator[None]:
    """The instance's admission policies, as long as it takes."""
    house = place.house
    places = Places(
        instance=house.name,
        release_namespace=house.name,
        notebook_images=(servers.image("notebook"),),
        gate_images=(f"localhost/gate@sha256:{'0' * 64}",),
    )
    documents = render(texts(POLICIES), places)
    house.remember(documents)
    install(As(), documents)
    try:
        wait_in_force(As(), documents, namespace=place.namespace)
        yield
    finally:
        for document in documents:
            house.remove(document["apiVersion"], document["kind"], document["metadata"]["name"])


@contextmanager
def _deletions(place: Workspace) -> Iterator[dict[str, int]]:
    """Pods and the grace with which their deletion was asked for, as the API server tells it first."""
    seen: dict[str, int] = {}
    stream = watch.Watch()

    def follow() -> None:
        with suppress(ProtocolError):
            for event in stream.stream(place.house.core.list_namespaced_pod, place.namespace, timeout_seconds=60):
                meta = event["object"].metadata
                if meta.deletion_timestamp:
                    seen.setdefault(meta.name, meta.deletion_grace_period_seconds)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stream.stop()


def _called(place: Workspace, verb: str) -> bool:
    return ("POST", f"/hub/sessions/{place.id}/{place.person}{verb}") in place.stack.portal.calls


def _counted(place: Workspace, quota: str) -> bool:
    status = place.house.core.read_namespaced_resource_quota(quota, place.namespace).status
    return json.dumps(status.used or {}) != "{}"
