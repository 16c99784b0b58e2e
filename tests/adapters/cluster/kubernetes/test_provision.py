"""A workspace is made, seen, and taken apart on a real cluster, in the order that is safe at every stop."""

from dataclasses import replace
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    LIMIT_RANGE,
    NAMESPACE,
    POD,
    POLICY,
    QUOTA,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    VOLUME,
    Document,
    Kind,
    name_of,
)  # fmt: skip
from spe.adapters.cluster.kubernetes.names import SHARED, data_claim
from spe.adapters.cluster.kubernetes.objects.probe import NAME as PROBE
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import new_person
from spe.ports.cluster import StepKind
from spe.reconciler.plan import in_sync
from tests.adapters.cluster.kubernetes.ground import (
    BUILDING,
    REMOVAL,
    SMALL,
    Ground,
    Killed,
    Mortal,
    Noting,
    Place,
    exposure,
    later,
)  # fmt: skip

pytestmark = pytest.mark.servers

KINDS = (POLICY, QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, ROLE_BINDING, CLAIM, DEPLOYMENT, SERVICE)


def noting(here: Ground, place: Place, account: str = "reconciler") -> tuple[Place, Noting]:
    api = Noting(connect(here.kubeconfig(account)))
    return place.with_hands(api=api), api


def test_a_workspace_is_made_seen_and_taken_apart(here: Ground) -> None:
    place = here.place()
    assert not place.seen().anything
    data = exposure()
    place.provision(data)
    seen = place.seen()
    assert seen.folders
    assert seen.gate
    assert seen.seal is not None
    assert seen.seal.holds, seen.seal
    assert seen.data == {(data.key, data.digest)}
    assert seen.places == {place.person}
    assert seen.limits == SMALL
    assert in_sync(place.want(data), seen)
    assert place.workspace in place.cluster.owned()
    place.remove()
    assert not place.seen().anything
    assert place.workspace not in place.cluster.owned()
    assert place.find(NAMESPACE, place.namespace) is None
    assert place.find(VOLUME, place.own.volume(data.key)) is None


def test_the_network_is_closed_first_and_opened_last(here: Ground) -> None:
    place, api = noting(here, here.place())
    data = exposure()
    place.provision(data)
    made = [path for method, path in api.writes if method != "DELETE"]
    inside = [path for path in made if f"/namespaces/{place.namespace}/" in path]
    assert inside[0] == POLICY.path("deny-all", place.namespace)
    probed = api.writes.index(("POST", POD.path(namespace=place.namespace)))
    reported = api.writes.index(("PATCH", NAMESPACE.path(place.namespace)), probed)
    exposed = [n for n, (_, path) in enumerate(api.writes) if "persistentvolumes" in path or "/ds-" in path]
    assert exposed
    assert min(exposed) > reported
    bound = [n for n, (_, path) in enumerate(api.writes) if "rolebindings" in path]
    assert min(bound) > max(exposed)
    api.writes.clear()
    place.remove()
    gone = api.writes
    space = gone.index(("DELETE", NAMESPACE.path(place.namespace)))
    let_go = gone.index(("PATCH", POLICY.path("deny-all", place.namespace)))
    volume = gone.index(("DELETE", VOLUME.path(place.own.volume(data.key))))
    assert gone[0] == ("DELETE", ROLE_BINDING.path("hub", place.namespace))
    assert volume < gone.index(("DELETE", DEPLOYMENT.path("gate", place.namespace))) < space < let_go
    assert let_go == len(gone) - 1


def versions(place: Place) -> dict[tuple[str, str], str]:
    found = [(kind, item) for kind in KINDS for item in place.all(kind)]
    space = place.find(NAMESPACE, place.namespace)
    assert space is not None
    found.append((NAMESPACE, space))
    # Controllers count on their own in what is bounded and what runs; only what we write is looked at.
    return {(kind.name, name_of(item)): ours(kind, item) for kind, item in found}


def ours(kind: Kind, item: Document) -> str:
    counted = kind in (QUOTA, DEPLOYMENT)
    return str(
        item["metadata"]["generation" if kind is DEPLOYMENT else "uid"]
        if counted
        else item["metadata"]["resourceVersion"]
    )


def test_repeating_every_step_writes_nothing(here: Ground) -> None:
    place, api = noting(here, here.place())
    data = exposure()
    place.provision(data)
    before = versions(place)
    api.writes.clear()
    place.step(StepKind.FOLDERS, data=(data,), places=place.seat())
    place.step(StepKind.DATA, data=(data,), places=place.seat())
    place.step(StepKind.GATE, data=(data,), places=place.seat())
    assert api.writes == []
    assert versions(place) == before
    place.remove()
    api.writes.clear()
    place.remove()
    assert api.writes == []


def test_what_is_observed_is_never_remembered(here: Ground) -> None:
    place = here.place()
    place.seal()
    assert place.seen().folders
    quota = place.find(QUOTA, "workspace")
    assert quota is not None
    place.hands.api.remove(quota)
    assert not place.seen().folders
    place.step(StepKind.FOLDERS)
    assert place.seen().folders
    place.remove()


def test_nobody_to_let_in_lets_the_gate_rest_and_takes_the_hubs_rights(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    assert place.find(ROLE_BINDING, "hub") is not None
    closed = place.want(is_open=False)
    place.reconcile(closed)
    assert place.find(ROLE_BINDING, "hub") is None
    assert replicas(place) == 0
    assert in_sync(closed, place.seen())
    place.reconcile(place.want())
    assert replicas(place) == 1
    place.remove()


def replicas(place: Place) -> Any:
    gate = place.find(DEPLOYMENT, "gate")
    assert gate is not None
    return gate["spec"].get("replicas")


# -- the seal


def open_the_network(place: Place) -> None:
    """Somebody with the managers' rights takes the policies away that close a notebook in."""
    for name in ("deny-all", "notebook"):
        policy = place.find(POLICY, name)
        assert policy is not None
        place.hands.api.patch(policy, {"metadata": {"finalizers": None}})
        place.hands.api.remove(policy)


def test_a_network_that_is_open_is_found_from_inside_and_no_data_comes(here: Ground) -> None:
    place = here.place().with_site(probe_seconds=5)
    place.step(StepKind.FOLDERS)
    place.step(StepKind.GATE)
    open_the_network(place)
    with pytest.raises(Rejected, match="seal does not hold") as refused:
        place.step(StepKind.SEAL)
    assert "PASSED" in str(refused.value)
    seen = place.seen()
    assert seen.seal is not None
    assert not seen.seal.holds
    with pytest.raises(Rejected, match="not observed"):
        place.step(StepKind.DATA, data=(exposure(),))
    assert place.find(VOLUME, place.own.volume(exposure().key)) is None
    assert place.find(POD, PROBE) is None
    place.reconcile(place.want())
    assert in_sync(place.want(), place.seen())
    place.remove()


def test_a_seal_that_was_seen_long_ago_is_looked_at_again(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    ahead = place.with_hands(now=later(7 * 3600))
    seen = ahead.seen().seal
    assert seen is not None
    assert not seen.holds
    assert StepKind.SEAL in ahead.reconcile(place.want())
    place.remove()


def test_another_program_of_the_probe_is_looked_at_anew(here: Ground) -> None:
    place = here.place()
    place.seal()
    other = place.with_site(forbidden=(*place.hands.site.forbidden, "tcp:10.255.255.254:1"))
    seen = other.seen().seal
    assert seen is not None
    assert not seen.holds
    place.remove()


# -- data and sessions


def test_versions_come_and_go_and_sessions_that_show_one_that_goes_end(here: Ground) -> None:
    place = here.place()
    first, second = exposure("/etc"), exposure("/usr", key="ds-bbbbbbbbbbbbbbbb/2")
    place.reconcile(place.want(first, second))
    pod = place.session()
    assert place.seen().sessions == {place.person}
    live = place.find(POD, pod)
    assert live is not None
    mounted = {v["name"] for v in live["spec"]["volumes"] if v["name"].startswith("ds-")}
    assert mounted == {data_claim(first.key), data_claim(second.key)}
    place.step(StepKind.DATA, data=(first,))
    seen = place.seen()
    assert seen.data == {(first.key, first.digest)}
    assert seen.sessions == frozenset()
    assert place.find(VOLUME, place.own.volume(second.key)) is None
    again = place.session()
    place.step(StepKind.DATA, data=(first,))
    assert place.find(POD, again) is not None, "a session that shows what may be shown goes on"
    place.step(StepKind.DATA, data=(first, second))
    assert place.seen().data == {(e.key, e.digest) for e in (first, second)}
    place.remove()


def test_a_version_whose_place_changed_is_made_anew(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want(exposure("/etc")))
    moved = exposure("/usr", digest="sha256:" + "1" * 64)
    place.reconcile(place.want(moved))
    volume = place.find(VOLUME, place.own.volume(moved.key))
    assert volume is not None
    assert volume["spec"]["hostPath"]["path"] == "/usr"
    assert place.seen().data == {(moved.key, moved.digest)}
    place.remove()


def test_people_without_a_place_are_put_out(here: Ground) -> None:
    place = here.place()
    guest = new_person()
    place.reconcile(place.want(people=(place.person, guest)))
    place.session()
    place.session(guest)
    assert place.seen().sessions == {place.person, guest}
    place.reconcile(place.want())
    seen = place.seen()
    assert seen.sessions == {place.person}
    assert seen.places == {place.person}
    place.remove()


def test_a_cut_closes_the_door_also_when_the_gate_does_not_answer(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    before = [pod["metadata"]["uid"] for pod in place.all(POD)]
    deaf = place.with_hands(tokens=lambda _: "another-token-than-this-gates")
    deaf.step(StepKind.CUT, reason="The permit was revoked.")
    assert not {pod["metadata"]["uid"] for pod in place.all(POD)} & set(before)
    assert place.seen().places == frozenset()
    place.remove()


# -- taking apart


def test_nothing_is_removed_under_a_running_session(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    pod = place.session()
    for kind in (StepKind.REMOVE_FOLDERS, StepKind.UNSEAL):
        with pytest.raises(Rejected, match="still run"):
            place.step(kind)
    assert place.find(POD, pod) is not None
    assert place.find(CLAIM, SHARED) is not None
    place.remove()


def test_a_namespace_that_somebody_deletes_stays_closed_until_no_pod_is_left(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    place.session()
    space = place.find(NAMESPACE, place.namespace)
    assert space is not None
    place.hands.api.remove(space)
    place.hands.api.until(POD, place.namespace, lambda pods: not pods, seconds=60)
    assert "deny-all" in {name_of(policy) for policy in place.all(POLICY)}
    with pytest.raises(Unavailable, match="being removed"):
        place.step(StepKind.FOLDERS)
    place.admin.gone(NAMESPACE, "", place.namespace, seconds=60)
    place.reconcile(place.want())
    place.remove()


def test_every_process_may_be_killed_after_every_write(here: Ground) -> None:
    """One process after another, each killed after its first write: what the next one finds leads to the same end."""
    place = here.place()
    data = exposure()
    building: list[tuple[StepKind, dict[str, Any]]] = [(kind, {"data": (data,)}) for kind in BUILDING]
    building.append((StepKind.GATE, {"data": (data,), "places": place.seat()}))
    deaths = sum(die_through(here, place, kind, fields) for kind, fields in building)
    assert deaths >= 20
    assert in_sync(place.want(data), place.seen())
    place.session()
    removed = sum(die_through(here, place, kind, {"reason": "The permit ended."}) for kind in REMOVAL)
    assert removed >= 12
    assert not place.seen().anything
    assert place.find(NAMESPACE, place.namespace) is None


def die_through(here: Ground, place: Place, kind: StepKind, fields: dict[str, Any]) -> int:
    """Repeat a step with processes that die after a write, until one of them gets to its end; how many died.

    A look at the seal has nothing to go on from, so there each process lives for one write more.
    """
    for deaths in range(60):
        lives = 1 + deaths if kind is StepKind.SEAL else 1
        api = Mortal(connect(here.kubeconfig("reconciler")), lives)
        try:
            place.with_hands(api=api).step(kind, **fields)
        except Killed:
            continue
        except Unavailable:
            # A step that only waits goes on in a later process.
            continue
        return deaths
    raise AssertionError(f"{kind} never came to its end")


# -- what is not ours


def test_a_namespace_of_others_with_our_name_is_left_alone(here: Ground) -> None:
    place = here.place()
    foreign = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": {"a": "b"}}}
    here.house.make(foreign)
    before = place.find(NAMESPACE, place.namespace)
    assert before is not None
    assert not place.seen().anything
    assert place.workspace not in place.cluster.owned()
    with pytest.raises(Rejected, match="not ours"):
        place.step(StepKind.FOLDERS)
    place.remove()
    after = place.find(NAMESPACE, place.namespace)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


def test_volumes_and_pods_of_others_are_left_alone(here: Ground) -> None:
    place = here.place()
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": f"x-{place.own.volume('other')}", "labels": {"spe.local/workspace": place.workspace}},
        "spec": {"accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Mi"}, "hostPath": {"path": "/opt"}},
    }  # fmt: skip
    here.house.make(volume)
    place.reconcile(place.want(exposure()))
    place.remove()
    assert place.find(VOLUME, volume["metadata"]["name"]) is not None  # type: ignore[index]


def test_an_object_that_was_replaced_meanwhile_is_not_deleted(here: Ground) -> None:
    place = here.place()
    place.step(StepKind.FOLDERS)
    old = place.find(QUOTA, "workspace")
    assert old is not None
    place.hands.api.remove(old)
    place.step(StepKind.FOLDERS)
    place.hands.api.remove(old)
    assert place.find(QUOTA, "workspace") is not None
    place.remove()


def test_strays_are_owned_and_removed_also_when_only_a_volume_is_left(here: Ground) -> None:
    place = here.place()
    data = exposure()
    from spe.adapters.cluster.kubernetes.objects import data as volumes

    place.hands.api.apply(volumes.volume(place.hands.site, place.own, data))
    assert place.workspace in place.cluster.owned()
    assert place.seen().anything
    place.remove()
    assert place.workspace not in place.cluster.owned()


def test_two_instances_do_not_see_each_other(here: Ground) -> None:
    place = here.place()
    place.step(StepKind.FOLDERS)
    elsewhere = here.place()
    other = elsewhere.with_site(instance=f"{here.house.name}x")
    assert place.workspace not in other.cluster.owned()
    assert not replace(other, workspace=place.workspace).seen().anything
    place.remove()
