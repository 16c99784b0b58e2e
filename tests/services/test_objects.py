"""The way of an output from the airlock to the release, over each object store: what the others cannot show alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from spe.domain.egress import EgressState
from spe.domain.errors import Corrupt, Rejected, Unavailable
from spe.domain.ids import RequestId
from spe.ports.objects import ENTRANCES, Zone
from spe.reconciler.timers import Timers
from tests.support import buckets, prepared
from tests.support.forwarder import forwarding
from tests.support.ground import CLEAN, Ground


class FolderCase:
    """Objects in the folder that the world came with."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    @classmethod
    @contextmanager
    def over(cls, ground: Ground) -> Iterator["FolderCase"]:
        yield cls(ground)

    def spoil(self, zone: Zone, digest: str) -> None:
        prepared.spoil(self.ground, zone, digest)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The store does not answer: its folder is gone for a while."""
        folder = self.ground.folder / "objects"
        folder.rename(folder.with_name("elsewhere"))
        folder.write_bytes(b"")
        try:
            yield
        finally:
            folder.unlink()
            folder.with_name("elsewhere").rename(folder)


class BucketsCase:
    """Objects in buckets, reached over a line that can be cut."""

    def __init__(self, ground: Ground, made: buckets.Buckets, endpoint: str) -> None:
        self.made = made
        self.held = ground.app.house.ports.objects
        self.store = made.store(endpoint=endpoint, read_seconds=5.0, deadline_seconds=10.0, attempts=2)
        for zone in ENTRANCES:
            for stored in self.held.list(zone):
                with self.held.open(zone, stored.digest) as reader:
                    self.store.put(zone, reader)
        ground.app = prepared.over(ground, objects=self.store)
        ground.hub.app = ground.app

    @classmethod
    @contextmanager
    def over(cls, ground: Ground) -> Iterator["BucketsCase"]:
        with buckets.made(retention=buckets.GOVERNED) as made, forwarding(made.settings.endpoint) as line:
            case = cls(ground, made, line.url)
            case.line = line
            yield case

    def spoil(self, zone: Zone, digest: str) -> None:
        with self.store.open(zone, digest) as reader:
            data = reader.read()
        self.made.damage(zone, digest, bytes([data[0] ^ 1]) + data[1:])

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The store does not answer: no connection to it lasts."""
        self.line.cut(sent=0)
        try:
            yield
        finally:
            self.line.mend()


@pytest.fixture(params=[FolderCase, pytest.param(BucketsCase, marks=pytest.mark.servers)])
def case(request: pytest.FixtureRequest, ground: Ground) -> Iterator[FolderCase | BucketsCase]:
    with request.param.over(ground) as found:
        yield found


def approved(ground: Ground) -> RequestId:
    """Decided by people; nothing was carried out yet."""
    request = ground.submitted()
    for name in ("checker", "checker2"):
        ground.review(request, name)
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    return request


def minute(ground: Ground) -> None:
    Timers(ground.app).minute()
    ground.settle()


def fetched(ground: Ground, request: RequestId) -> bytes:
    release = ground.app.releases.of_request(request, by=ground.by("researcher"))
    assert release is not None
    with ground.app.releases.download(release.release.id, "table.csv", by=ground.by("researcher")) as reader:
        return reader.read()


def test_an_output_goes_its_whole_way(case, ground):
    request = ground.released()
    assert fetched(ground, request) == CLEAN
    objects, digest = ground.app.house.ports.objects, ground.request(request).digests["table.csv"]
    for zone in (Zone.AIRLOCK, Zone.RELEASE):
        assert digest in {stored.digest for stored in objects.list(zone)}
    with pytest.raises(Rejected):
        objects.delete(Zone.RELEASE, digest)


def test_a_byte_that_changed_after_the_review_is_not_released(case, ground):
    request = approved(ground)
    digest = ground.request(request).digests["table.csv"]
    case.spoil(Zone.AIRLOCK, digest)
    ground.settle()
    assert ground.request(request).state is EgressState.APPROVED
    assert "not the bytes that were submitted" in ground.request(request).reason
    assert not ground.app.house.ports.objects.has(Zone.RELEASE, digest)


def test_a_release_that_changed_afterwards_is_never_handed_out(case, ground):
    request = ground.released()
    case.spoil(Zone.RELEASE, ground.request(request).digests["table.csv"])
    with pytest.raises(Corrupt):
        fetched(ground, request)


def test_a_store_that_is_silent_holds_the_release_until_it_answers(case, ground):
    request = approved(ground)
    ground.app.releases.begin(request)
    with case.silent():
        with pytest.raises(Unavailable):
            ground.app.releases.finish(request)
        assert ground.request(request).state is EgressState.RELEASING
        assert ground.app.releases.of_request(request, by=ground.by("auditor")) is None
    minute(ground)
    assert ground.request(request).state is EgressState.RELEASED
    assert fetched(ground, request) == CLEAN


def test_nothing_is_submitted_while_the_store_is_silent(case, ground):
    request = ground.draft({"table.csv": CLEAN})
    with case.silent(), pytest.raises(Unavailable):
        ground.app.egress.put_file(request, "more.csv", [CLEAN], by=ground.by("researcher"))
    assert set(ground.request(request).digests) == {"table.csv"}
