"""What the portal may make to look at a dataset, judged without an API server: a look, and nothing else."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.admission import Places
from spe.adapters.cluster.kubernetes.site import Storage
from tests.adapters.cluster.kubernetes.objects import IMAGES, site
from tests.support import forbidden
from tests.support.admission import Policies, Request, stored
from tests.support.intake_attempts import ADMIN, HUB, ID, MANAGER, PORTAL, Attempt, Look, attempts

LOOK = Look(site=site(storage=Storage(host_folders=True)))
PLACES = Places(
    instance="spe",
    release_namespace="spe",
    notebook_images=(IMAGES.notebook,),
    gate_images=(IMAGES.gate,),
    intake_images=(IMAGES.intake,),
)
TEST_CLUSTER = replace(PLACES, host_folders=True)
SYSTEM = "system:serviceaccount:kube-system:"
USERS = {
    PORTAL: PLACES.account("portal"),
    MANAGER: PLACES.account("reconciler"),
    HUB: PLACES.account("hub"),
    ADMIN: "ada",
}
ATTEMPTS = tuple(attempts(LOOK))
Document = dict[str, Any]


def judged(
    by: str, plural: str, body: Document | None, *, operation: str = "CREATE", places: Places = PLACES, **more: Any
) -> set[str]:
    namespace = None if plural == "persistentvolumes" else LOOK.namespace
    given = stored(body) if plural == "pods" and body is not None else body
    return Policies(places).refusals(
        Request(user=USERS.get(by, by), operation=operation, resource=plural, object=given, namespace=namespace, **more)
    )


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_what_is_more_than_a_look_is_refused_by_its_rule(attempt: Attempt) -> None:
    found = judged(attempt.by, attempt.plural, attempt.body)
    assert found & (attempt.rules - {""}), found
    assert not {rule for rule in found if rule.startswith("broken")}, found


def test_every_rule_of_the_intake_has_an_attempt() -> None:
    assert {rule for attempt in ATTEMPTS for rule in judged(attempt.by, attempt.plural, attempt.body)} >= {
        f"I{number:02}" for number in range(1, 12)
    }


@pytest.mark.parametrize("by", [PORTAL, MANAGER])
@pytest.mark.parametrize("source", ["nfs://files.example.org/cohort", "csi:s3.example.org/cohort"])
def test_a_look_gets_in(source: str, by: str) -> None:
    assert judged(by, "persistentvolumes", LOOK.volume(source)) == set()
    assert judged(by, "persistentvolumeclaims", LOOK.claim()) == set()
    assert judged(by, "pods", LOOK.pod()) == set()


def test_a_folder_of_a_node_gets_in_on_a_test_cluster_alone() -> None:
    volume = LOOK.volume("hostPath:/srv/cohort")
    assert judged(PORTAL, "persistentvolumes", volume, places=TEST_CLUSTER) == set()
    assert judged(PORTAL, "persistentvolumes", volume) == {"I04"}


def test_the_top_of_a_node_gets_in_nowhere() -> None:
    volume = LOOK.volume("hostPath:/srv/cohort")
    volume["spec"]["hostPath"]["path"] = "/"
    assert judged(PORTAL, "persistentvolumes", volume, places=TEST_CLUSTER) == {"I04"}


def test_the_portal_removes_what_it_made_and_nothing_else() -> None:
    own = LOOK.volume()
    assert judged(PORTAL, "persistentvolumes", None, operation="DELETE", old=own) == set()
    datasets = {
        **own,
        "metadata": {"name": f"spe-ws-aaaaaaaaaaaaaaaa-ds-{ID}", "labels": {"spe.local/instance": "spe"}},
    }
    assert "I02" in judged(PORTAL, "persistentvolumes", None, operation="DELETE", old=datasets)
    alien = {**own, "metadata": {"name": "pvc-1"}, "spec": {**own["spec"], "claimRef": {"namespace": "x", "name": "y"}}}
    assert judged(PORTAL, "persistentvolumes", None, operation="DELETE", old=alien) == {"I02"}


def test_nobody_turns_a_volume_of_a_look_into_another_one() -> None:
    own = LOOK.volume()
    for by in (PORTAL, MANAGER, ADMIN):
        changed = forbidden.merged(own, {"spec": {"claimRef": {"name": "home-p-b"}}})
        assert "I01" in judged(by, "persistentvolumes", changed, operation="UPDATE", old=own)
        relabelled = forbidden.merged(own, {"metadata": {"labels": None, "name": "spare"}, "spec": {"claimRef": None}})
        assert "I01" in judged(by, "persistentvolumes", relabelled, operation="UPDATE", old=own)


def test_the_portal_changes_no_volume_of_anybody() -> None:
    made = {"metadata": {"name": "pvc-1"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    changed = forbidden.merged(made, {"spec": {"claimRef": {"name": "home-p-b", "namespace": "spe-ws-a"}}})
    assert "I01" in judged(PORTAL, "persistentvolumes", changed, operation="UPDATE", old=made)


def test_the_clusters_controllers_bind_and_let_go() -> None:
    own = LOOK.volume()
    bound = forbidden.merged(own, {"spec": {"claimRef": {"uid": "0"}}})
    claimed = forbidden.merged(LOOK.claim(), {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}})
    for user in (f"{SYSTEM}persistent-volume-binder", "system:kube-controller-manager"):
        assert judged(user, "persistentvolumes", bound, operation="UPDATE", old=own) == set()
        assert judged(user, "persistentvolumeclaims", claimed, operation="UPDATE", old=LOOK.claim()) == set()
    assert "I10" in judged(PORTAL, "persistentvolumeclaims", claimed, operation="UPDATE", old=LOOK.claim())


def test_an_administrator_may_clear_up() -> None:
    assert judged(ADMIN, "persistentvolumes", None, operation="DELETE", old=LOOK.volume()) == set()


def test_volumes_of_others_and_of_other_instances_are_not_touched() -> None:
    other = copy.deepcopy(LOOK.volume())
    other["metadata"] = {"name": f"more-intake-run-{ID}", "labels": {"spe.local/intake": "more"}}
    other["spec"]["claimRef"]["namespace"] = "more-intake"
    assert judged("system:serviceaccount:more:portal", "persistentvolumes", other) == set()
    made = {
        "metadata": {"name": "pvc-1"},
        "spec": {"accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Delete"},
    }
    assert judged("system:serviceaccount:storage:provisioner", "persistentvolumes", made) == set()


def test_without_an_image_no_pod_looks_at_anything() -> None:
    assert "I08" in judged(PORTAL, "pods", LOOK.pod(), places=replace(PLACES, intake_images=()))
