"""How sources are named on a cluster, which runs are over, and what the objects of a look are; without a cluster."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from kubernetes.client import ApiClient

from spe.adapters.cluster.kubernetes import gatecontrol, reading
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.objects import intake
from spe.adapters.cluster.kubernetes.objects.data import place_of
from spe.adapters.cluster.kubernetes.site import Site, Storage
from spe.adapters.cluster.kubernetes.sources import VolumeSources, closes_all
from spe.domain.errors import Invalid, Unavailable
from tests.adapters.cluster.kubernetes.objects import NOW, site

PRODUCTION = site()
TEST_CLUSTER = site(storage=Storage(host_folders=True))
Document = dict[str, Any]


def sources(where: Site) -> VolumeSources:
    """Naming asks nobody."""
    return VolumeSources(
        Hands(api=Api(ApiClient()), where=lambda: where, tokens=lambda workspace: "", reach=gatecontrol.over_http())
    )


def why_not(text: str, where: Site = TEST_CLUSTER) -> str:
    with pytest.raises(Invalid) as caught:
        sources(where).named(text)
    assert list(caught.value.fields) == ["folder"]
    return caught.value.fields["folder"]


# -- names


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("hostPath:/srv/data/cohort", "hostPath:/srv/data/cohort"),
        (" hostPath:/srv//data/./cohort/ ", "hostPath:/srv/data/cohort"),
        ("hostPath://srv/data", "hostPath:/srv/data"),
        ("nfs://Files.Example.org/exports/cohort/", "nfs://files.example.org/exports/cohort"),
        ("nfs://10.0.0.7/exports/Kohorte Größe", "nfs://10.0.0.7/exports/Kohorte Größe"),
        ("csi:s3.example.org/bucket/cohort", "csi:s3.example.org/bucket/cohort"),
        ("csi:s3.example.org/a//b/", "csi:s3.example.org/a//b/"),
    ],
)
def test_a_source_is_kept_in_one_form_that_a_volume_can_be_made_of(given: str, kept: str) -> None:
    assert sources(TEST_CLUSTER).named(given) == kept
    assert sources(TEST_CLUSTER).named(kept) == kept
    assert place_of(TEST_CLUSTER, kept) is not None


def test_the_volume_is_of_exactly_what_was_named() -> None:
    for kept, part in (
        ("hostPath:/srv/cohort", {"hostPath": {"path": "/srv/cohort", "type": "Directory"}}),
        ("csi:s3.example.org/a b", {"csi": {"driver": "s3.example.org", "volumeHandle": "a b", "readOnly": True}}),
    ):
        assert place_of(TEST_CLUSTER, kept) == {"storageClassName": "", **part}
    files = place_of(PRODUCTION, "nfs://files.example.org/a/b")
    assert files is not None
    assert files["nfs"] == {"server": "files.example.org", "path": "/a/b", "readOnly": True}
    assert files["mountOptions"] == ["ro", "nosuid", "nodev"]


@pytest.mark.parametrize("text", ["/srv/data/cohort", "cohort", "", "s3://bucket/x", "HOSTPATH:/srv", "C:/data", ":"])
def test_what_is_no_volume_gets_a_sentence_that_says_how_sources_are_named_here(text: str) -> None:
    assert why_not(text, PRODUCTION) == (
        "Data lies in volumes here, not in folders of a server: name one as nfs://server/path or csi:driver/handle."
    )
    assert "hostPath:/folder, nfs://server/path or csi:driver/handle" in why_not(text)


def test_a_folder_of_a_node_is_a_source_on_a_test_cluster_alone() -> None:
    assert "name one as nfs://" in why_not("hostPath:/srv/data", PRODUCTION)
    assert place_of(PRODUCTION, "hostPath:/srv/data") is None


@pytest.mark.parametrize(
    "text",
    [
        *("hostPath:", "hostPath:/", "hostPath://", "hostPath:///.", "hostPath:srv", "hostPath:/srv/../etc"),
        *("hostPath:/srv/\x00", "hostPath:/srv/\nx", "hostPath:/" + "x" * 1001, "hostPath:/srv/a\u202eb"),
        *("nfs:/server/path", "nfs://server", "nfs://server/", "nfs:///path", "nfs://server/a/../b"),
        *("nfs://user@server/path", "nfs://server:2049/path", "nfs://[::1]/path", "nfs://ser ver/path"),
        *("nfs://-x/path", "nfs://a..b/path", "nfs://server/path?x", "nfs://server/path#x", "nfs://server/\x1b[0m"),
        *("csi:", "csi:driver", "csi:driver/", "csi:/handle", "csi:Driver/handle", "csi:../handle"),
        *("csi:driver/ handle", "csi:driver/han\tdle"),
    ],
)
def test_what_cannot_be_mounted_is_refused_with_a_sentence(text: str) -> None:
    assert why_not(text).endswith(".")


# -- runs that are over


def part(kind: str, run: str, *, age: float, **status: Any) -> Document:
    made = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    name = run if kind != "PersistentVolume" else f"spe-intake-{run}"
    metadata = {"name": name, "creationTimestamp": made, "labels": {"spe.local/run": run}}
    return {"kind": kind, "metadata": metadata, **({"status": status} if status else {})}


def ended(run: str, *, age: float, ago: float) -> Document:
    finished = (NOW - timedelta(seconds=ago)).isoformat().replace("+00:00", "Z")
    states = [{"state": {"terminated": {"finishedAt": finished}}}]
    return part("Pod", run, age=age, phase="Succeeded", containerStatuses=states)


def whole(run: str, *, age: float) -> list[Document]:
    return [part("PersistentVolume", run, age=age), part("PersistentVolumeClaim", run, age=age)]


def over(*documents: Document, now: datetime = NOW) -> list[tuple[str, str]]:
    found = reading.left(documents, now=now, seconds=3600)
    return [(document["kind"], document["metadata"]["labels"]["spe.local/run"]) for document in found]


def test_a_run_that_may_still_be_waited_for_is_left_alone() -> None:
    assert over(*whole("a", age=60)) == []
    assert over(*whole("a", age=3000), part("Pod", "a", age=3000, phase="Running")) == []
    assert over(*whole("a", age=3500), part("Pod", "a", age=3500, phase="Pending")) == []
    assert over(*whole("a", age=3500), ended("a", age=3500, ago=60)) == []


def test_a_run_that_nobody_waits_for_goes_pod_first() -> None:
    everything = [("Pod", "a"), ("PersistentVolumeClaim", "a"), ("PersistentVolume", "a")]
    assert over(*whole("a", age=3000), ended("a", age=3000, ago=130)) == everything
    assert over(*whole("a", age=4000), part("Pod", "a", age=4000, phase="Running")) == everything
    assert over(*whole("a", age=130)) == everything[1:]
    assert over(*whole("a", age=130)[:1]) == everything[2:]


def test_what_goes_already_is_not_asked_again() -> None:
    volume = part("PersistentVolume", "a", age=9000)
    volume["metadata"]["deletionTimestamp"] = "2030-01-01T11:00:00Z"
    assert over(volume) == []


def test_one_run_does_not_take_another_one_with_it() -> None:
    assert over(*whole("a", age=9000), *whole("b", age=60)) == [
        ("PersistentVolumeClaim", "a"),
        ("PersistentVolume", "a"),
    ]


# -- last words


def pod_that_said(message: str, *, code: int = 0, **status: Any) -> Document:
    states = [{"state": {"terminated": {"exitCode": code, "message": message, "reason": "Error" if code else ""}}}]
    return {"status": {"containerStatuses": states, **status}}


def test_last_words_count_only_from_a_program_that_ended_well() -> None:
    assert reading.last(pod_that_said('{"files": 1}')) == {"files": 1}
    for pod, why in (
        (pod_that_said('{"files": 1}', code=1), "Error"),
        (pod_that_said("", code=137), "Error"),
        (pod_that_said("[]"), "no result"),
        (pod_that_said("{"), "no result"),
        ({"status": {"reason": "DeadlineExceeded"}}, "DeadlineExceeded"),
        ({}, "no result"),
    ):
        with pytest.raises(Unavailable, match=why):
            reading.last(pod)


# -- the place


@pytest.mark.parametrize(
    ("spec", "closes"),
    [
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, True),
        ({"policyTypes": ["Egress", "Ingress"]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, False),
        ({"podSelector": {}}, False),
        ({"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress", "Egress"]}, False),
        ({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
          "policyTypes": ["Ingress", "Egress"]}, False),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]}, False),
    ],
)  # fmt: skip
def test_a_policy_closes_everything_or_does_not_count(spec: Document, closes: bool) -> None:
    assert closes_all({"spec": spec}) is closes


def test_two_runs_never_share_a_name() -> None:
    runs = {intake.Run(instance="spe").volume for _ in range(100)}
    assert len(runs) == 100
    assert all(name.startswith("spe-intake-run-") for name in runs)


def test_names_fit_the_cluster_at_their_longest() -> None:
    assert len(intake.Run(instance="s" * 40).namespace) <= 63
