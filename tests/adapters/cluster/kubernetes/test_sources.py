"""Looking at datasets on a real cluster as the portal's account: what is left, what is refused, what is believed."""

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.cluster.folder import manifest_of
from spe.adapters.cluster.kubernetes.admission import Refusal, refused
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import CLAIM, NAMESPACE, POD, POLICY, VOLUME, Document, name_of
from spe.adapters.cluster.kubernetes.objects import intake
from spe.adapters.cluster.kubernetes.sources import VolumeSources
from spe.domain.errors import Invalid, Rejected, Unavailable
from tests.adapters.cluster.kubernetes.ground import Ground, Killed, Mortal, Noting, later
from tests.adapters.cluster.kubernetes.objects import site
from tests.support.api_server import EVERYTHING, As
from tests.support.faulty_api import front
from tests.support.hub_stack import wait_for
from tests.support.intake_attempts import ADMIN, HUB, ID, PORTAL, Look, attempts

pytestmark = pytest.mark.servers
FAULTS = ("busy", "broken", "away", "cut")
NAMES = [str(attempt) for attempt in attempts(Look(site=site()))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "cohort"
    place.mkdir()
    for number in range(40):
        (place / f"part-{number:02}.csv").write_text(str(number) * 1000)
    place.chmod(0o755)
    return place


def sources(here: Ground, api: Api | None = None, **changes: Any) -> VolumeSources:
    hands = here.hands("portal")
    return VolumeSources(replace(hands, api=api or hands.api, **changes), patience=20.0)


def left(here: Ground) -> list[Document]:
    labels = intake.everything(here.house.name)
    return [document for kind in (POD, CLAIM, VOLUME) for document in here.admin.all(kind, labels=labels)]


def nothing_is_left(here: Ground) -> None:
    wait_for(lambda: not left(here), "nothing is left of a look", 30)


# -- what is read and what is left


def test_nothing_is_left_of_a_look(here: Ground, folder: Path) -> None:
    assert sources(here).manifest(f"hostPath:{folder}") == manifest_of(folder)
    nothing_is_left(here)


def test_nothing_is_left_of_a_look_at_what_is_no_dataset(here: Ground, folder: Path) -> None:
    (folder / "link").symlink_to("part-00.csv")
    with pytest.raises(Invalid):
        sources(here).manifest(f"hostPath:{folder}")
    with pytest.raises(Invalid):
        sources(here).manifest(f"hostPath:{folder}/nowhere")
    nothing_is_left(here)


def test_two_portals_look_at_the_same_time(here: Ground, folder: Path) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(sources(here).manifest(f"hostPath:{folder}"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [manifest_of(folder)] * 2
    nothing_is_left(here)


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_the_next_look_removes_what_a_killed_portal_left(here: Ground, folder: Path, writes: int) -> None:
    """Killed with volume, claim or pod made and its answer not arrived; nothing after that runs."""
    mortal = Mortal(connect(here.kubeconfig("portal")), writes)
    with pytest.raises(Killed):
        sources(here, mortal).manifest(f"hostPath:{folder}")
    lost = {document["metadata"]["uid"] for document in left(here)}
    assert len(lost) == writes
    # A moment later it may still be somebody's; minutes later it is nobody's.
    sources(here).manifest(f"hostPath:{folder}")
    assert lost <= {document["metadata"]["uid"] for document in left(here)}
    sources(here, now=later(600)).manifest(f"hostPath:{folder}")
    nothing_is_left(here)


def test_a_look_whose_pod_somebody_removes_says_so(here: Ground, folder: Path) -> None:
    class Meddled(Noting):
        def find(self, kind: Any, name: str, namespace: str = "") -> Document | None:
            found = super().find(kind, name, namespace)
            if kind is POD and found is not None:
                self.remove(found)
                here.admin.gone(POD, namespace, name)
                return super().find(kind, name, namespace)
            return found

    with pytest.raises(Unavailable, match="removed by somebody else"):
        sources(here, Meddled(connect(here.kubeconfig("portal")))).manifest(f"hostPath:{folder}")
    nothing_is_left(here)


def test_a_volume_that_cannot_be_mounted_is_told_with_the_clusters_reason(here: Ground) -> None:
    hands = here.hands("portal")
    with pytest.raises(Unavailable, match=r"csi:nobody\.example\.org/x could not be mounted: "):
        VolumeSources(hands, patience=3.0).manifest("csi:nobody.example.org/x")
    nothing_is_left(here)


# -- what is not believed


Spoil = Callable[[bytes], bytes]
SPOILT: dict[str, Spoil] = {
    "its end is missing": lambda log: log[: len(log) // 2],
    "its last line is missing": lambda log: b"".join(log.splitlines(keepends=True)[:-1]),
    "its beginning is missing": lambda log: b"".join(log.splitlines(keepends=True)[5:]),
    "a line is there twice": lambda log: log + log.splitlines(keepends=True)[0],
    "a digest is another one": lambda log: log.replace(b'000, "', b'000, "0', 1),
    "a size is another one": lambda log: log.replace(b", 1000, ", b", 1001, ", 1),
    "a word of somebody else is in it": lambda log: b"warning: disk\n" + log,
    "nothing is there": lambda log: b"",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_list_that_did_not_arrive_whole_is_no_manifest(here: Ground, folder: Path, how: str) -> None:
    class Cut(Api):
        def log(self, pod: Document, *, most: int) -> bytes:
            return SPOILT[how](super().log(pod, most=most))

    with pytest.raises(Unavailable, match="arrived"):
        sources(here, Cut(connect(here.kubeconfig("portal")))).manifest(f"hostPath:{folder}")


def test_a_list_that_arrives_late_is_read_again(here: Ground, folder: Path) -> None:
    class Late(Api):
        asked = 0

        def log(self, pod: Document, *, most: int) -> bytes:
            self.asked += 1
            return super().log(pod, most=most) if self.asked > 1 else b""

    late = Late(connect(here.kubeconfig("portal")))
    assert sources(here, late).manifest(f"hostPath:{folder}") == manifest_of(folder)


def test_a_longer_list_than_anybody_would_make_is_not_read(here: Ground, folder: Path) -> None:
    class Short(Api):
        def log(self, pod: Document, *, most: int) -> bytes:
            del most
            return super().log(pod, most=100)

    with pytest.raises(Unavailable, match="longer than 100 bytes"):
        sources(here, Short(connect(here.kubeconfig("portal")))).manifest(f"hostPath:{folder}")


def test_a_server_that_is_busy_for_a_moment_only_delays(here: Ground, folder: Path) -> None:
    """While the pod reads, and when the log is fetched; what was made goes all the same."""
    with front(connect(here.kubeconfig("portal"))) as between:
        asked: Counter[str] = Counter()

        def sometimes(method: str, path: str) -> str:
            what = "log" if "/log" in path else "pod" if method == "GET" and "/pods/run-" in path else ""
            asked[what] += 1
            return {"pod": FAULTS[asked[what] % len(FAULTS)], "log": "cut"}.get(what, "") if asked[what] % 2 else ""

        between.faults = sometimes
        found = sources(here, Api(between.client(), seconds=2.0)).manifest(f"hostPath:{folder}")
        assert found == manifest_of(folder)
        assert asked["pod"] > 1
        assert asked["log"] == 2
    nothing_is_left_minutes_later(here, folder)


def nothing_is_left_minutes_later(here: Ground, folder: Path) -> None:
    """By the next look: a request to remove may have been among those that were not answered."""
    sources(here, now=later(600)).manifest(f"hostPath:{folder}")
    nothing_is_left(here)


# -- where it is read


@contextmanager
def meanwhile(here: Ground, patch: Callable[[], None], back: Callable[[], None]) -> Iterator[Noting]:
    """While the place is not as it must be; what is made is written down."""
    patch()
    try:
        yield Noting(connect(here.kubeconfig("portal")))
    finally:
        back()


def refuses(here: Ground, api: Noting, folder: Path, words: str) -> None:
    with pytest.raises(Rejected, match=words):
        sources(here, api).manifest(f"hostPath:{folder}")
    assert api.writes == [], "nothing is made before the place was seen to be sealed"


def test_without_the_policy_that_closes_everything_no_pod_is_made(here: Ground, folder: Path) -> None:
    namespace = intake.namespace_of(here.house.name)
    policy = here.admin.find(POLICY, "deny-all", namespace)
    assert policy is not None
    fresh = {**policy, "metadata": {k: policy["metadata"][k] for k in ("name", "namespace", "labels")}}
    with meanwhile(here, lambda: here.admin.remove(policy), lambda: here.house.make(fresh, namespace)) as api:
        refuses(here, api, folder, "would have a network")


def test_beside_a_policy_that_opens_something_no_pod_is_made(here: Ground, folder: Path) -> None:
    namespace = intake.namespace_of(here.house.name)
    hole: Document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "hole", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }

    def close() -> None:
        live = here.admin.find(POLICY, "hole", namespace)
        assert live is not None
        here.admin.remove(live)

    with meanwhile(here, lambda: here.house.make(hole, namespace), close) as api:
        refuses(here, api, folder, "would have a network")


def test_in_a_namespace_that_takes_pods_with_rights_none_is_made(here: Ground, folder: Path) -> None:
    live = here.admin.find(NAMESPACE, intake.namespace_of(here.house.name))
    assert live is not None

    def label(value: str) -> None:
        here.admin.patch(live, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": value}}})

    with meanwhile(here, lambda: label("baseline"), lambda: label("restricted")) as api:
        refuses(here, api, folder, "takes pods with rights")


def test_without_its_namespace_or_an_image_nothing_is_looked_at(here: Ground, folder: Path) -> None:
    elsewhere = replace(here.site, instance="t-nowhere")
    with pytest.raises(Rejected, match="t-nowhere-intake, where datasets are read, is not there"):
        sources(here, where=lambda: elsewhere).manifest(f"hostPath:{folder}")
    bare = replace(here.site, images=replace(here.site.images, intake=""))
    with pytest.raises(Rejected, match=r"say kubernetes\.intake_image"):
        sources(here, where=lambda: bare).manifest(f"hostPath:{folder}")


# -- a portal that was taken over


@pytest.fixture(scope="module")
def look(here: Ground) -> Look:
    made = Look(site=here.site)
    wait_for(lambda: _sent(here, PORTAL, "pods", _wrong(made)) is not None, "the policies are in force", 20)
    wait_for(lambda: _sent(here, PORTAL, "pods", made.pod()) is None, "a right one gets in", 20)
    return made


def _wrong(look: Look) -> Document:
    pod = copy.deepcopy(look.pod())
    pod["spec"]["containers"][0]["workingDir"] = "/data"
    return pod


def _sent(here: Ground, by: str, plural: str, body: Document) -> Refusal | None:
    """As a dry run, with all rights, so that only admission refuses."""
    names = {PORTAL: f"system:serviceaccount:{here.house.name}:portal", ADMIN: "ada"}
    names[HUB] = f"system:serviceaccount:{here.house.name}:hub"
    return refused(As(names[by], EVERYTHING), "POST", _path(here, plural), body)


def _path(here: Ground, plural: str) -> str:
    space = "" if plural == "persistentvolumes" else f"namespaces/{intake.namespace_of(here.house.name)}/"
    return f"/api/v1/{space}{plural}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_more_than_a_look_is_refused_by_its_rule(here: Ground, look: Look, name: str) -> None:
    attempt = next(attempt for attempt in attempts(look) if str(attempt) == name)
    refusal = _sent(here, attempt.by, attempt.plural, attempt.body)
    assert refusal is not None, f"let in: {name}"
    assert refusal.rule in attempt.rules, refusal.said


def test_the_portals_own_account_makes_no_pod_anywhere_else_and_enters_none(here: Ground, look: Look) -> None:
    portal = Api(connect(here.kubeconfig("portal")))
    pod = look.pod()
    for namespace in (here.house.name, "default"):
        pod["metadata"]["namespace"] = namespace
        with pytest.raises(Rejected, match="is forbidden"):
            portal.create(pod)
    for path in (f"pods/run-{ID}/exec", f"pods/run-{ID}/attach", f"pods/run-{ID}/ephemeralcontainers"):
        with pytest.raises(Rejected, match="is forbidden"):
            portal.send("POST", f"/api/v1/namespaces/{look.run.namespace}/{path}", {})
    for path in ("secrets", "configmaps", "services"):
        with pytest.raises(Rejected, match="is forbidden"):
            portal.send("POST", f"/api/v1/namespaces/{look.run.namespace}/{path}", {"metadata": {"name": "x"}})


def test_the_portals_own_account_makes_no_volume_for_a_home_and_takes_away_none(here: Ground, look: Look) -> None:
    portal = Api(connect(here.kubeconfig("portal")))
    spare = copy.deepcopy(look.volume())
    spare["metadata"]["name"] = f"{here.house.name}-spare"
    spare["spec"]["claimRef"] = {"namespace": f"{here.house.name}-ws-aaaaaaaaaaaaaaaa", "name": "home-p-b"}
    with pytest.raises(Rejected, match=r"I0[23]"):
        portal.create(spare)
    del spare["metadata"]["labels"]
    here.house.make(spare)
    made = portal.find(VOLUME, name_of(spare))
    assert made is not None
    with pytest.raises(Rejected, match="I02"):
        portal.remove(made)
    for patch in ({"spec": {"claimRef": None}}, {"metadata": {"labels": {"a": "b"}}}):
        with pytest.raises(Rejected, match="is forbidden"):
            portal.patch(made, patch)
