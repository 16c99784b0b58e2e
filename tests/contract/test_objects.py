"""What every object store promises; the fixture yields each adapter in turn."""

import hashlib
import threading
from contextlib import ExitStack, contextmanager, nullcontext

import pytest

from spe.adapters.objects.local import LocalObjects
from spe.adapters.objects.s3 import S3Objects
from spe.domain.errors import Corrupt, Invalid, NotFound, Rejected
from spe.ports.objects import ENTRANCES, PASSING, WAYS, ObjectStore, Stored, StoreGuarantee, Zone
from tests.support import buckets, plain_s3

DATA = b"arm,n\na,246\nb,440\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
EMPTY = hashlib.sha256(b"").hexdigest()
BIG = bytes(range(256)) * 12_289  # a little over three mebibytes, so that it is read in pieces


class LocalCase:
    """The embedded store, with a way to damage an object behind its back."""

    serving = nullcontext

    def __init__(self, _, folder):
        self.folder = folder
        self.store: ObjectStore = LocalObjects(folder)

    def damage(self, zone, digest, data):
        path = self.folder / zone / digest[:2] / digest
        path.chmod(0o600)
        path.write_bytes(data)

    def clear(self):
        pass


class PlainCase:
    """A service that knows no condition, checksum or version: the adapter has to do all of it."""

    @staticmethod
    @contextmanager
    def serving():
        with plain_s3.serving() as service:
            yield service, S3Objects(service.settings())

    def __init__(self, served, folder):
        self.service, self.store = served

    def damage(self, zone, digest, data):
        self.service.objects[f"spe-{zone}"][f"{digest[:2]}/{digest}"] = data

    def clear(self):
        for objects in self.service.objects.values():
            objects.clear()


class S3Case:
    """Buckets of the test's own at a real service, with retention in those that keep."""

    @staticmethod
    @contextmanager
    def serving():
        with buckets.made(retention=buckets.GOVERNED) as made:
            yield made, made.store()

    def __init__(self, served, folder):
        made, self.store = served
        self.damage, self.clear = made.damage, made.empty


@pytest.fixture(scope="module")
def serve():
    """What serves the stores of a kind, started when the first test needs it."""
    served = {}
    with ExitStack() as stack:

        def start(kind):
            if kind not in served:
                served[kind] = stack.enter_context(kind.serving())
            return served[kind]

        yield start


@pytest.fixture(params=[LocalCase, PlainCase, pytest.param(S3Case, marks=pytest.mark.servers)])
def case(request, serve, tmp_path):
    case = request.param(serve(request.param), tmp_path / "objects")
    yield case
    case.clear()


@pytest.fixture
def store(case):
    return case.store


def everything(store, zone, digest):
    with store.open(zone, digest) as reader:
        return reader.read()


def test_the_least_guarantees_are_given(store):
    assert store.guarantees >= {StoreGuarantee.WRITE_ONCE, StoreGuarantee.DIGEST_VERIFIED}


@pytest.mark.parametrize("zone", sorted(ENTRANCES))
@pytest.mark.parametrize("data", [DATA, b"", BIG])
def test_what_was_put_is_read_back(store, zone, data):
    stored = store.put(zone, [data[:5], b"", data[5:]])
    assert stored == Stored(digest=hashlib.sha256(data).hexdigest(), size=len(data))
    assert everything(store, zone, stored.digest) == data
    assert store.has(zone, stored.digest)
    assert list(store.list(zone)) == [stored]


def test_nothing_at_all_is_an_empty_object(store):
    assert store.put(Zone.AIRLOCK, []) == Stored(digest=EMPTY, size=0)
    assert everything(store, Zone.AIRLOCK, EMPTY) == b""


def test_the_same_bytes_again_change_nothing(store):
    assert store.put(Zone.AIRLOCK, [DATA]) == store.put(Zone.AIRLOCK, [DATA[:1], DATA[1:]])
    assert len(list(store.list(Zone.AIRLOCK))) == 1


def test_many_writers_of_the_same_bytes_agree(store):
    results = []

    def write():
        results.append(store.put(Zone.AIRLOCK, [BIG]))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1
    assert everything(store, Zone.AIRLOCK, results[0].digest) == BIG


def test_a_limit_is_kept_and_nothing_is_left(store):
    assert store.put(Zone.AIRLOCK, [DATA], limit=len(DATA)).size == len(DATA)
    with pytest.raises(Invalid, match=r"larger than the 17 bytes"):
        store.put(Zone.AIRLOCK, [DATA[:10], DATA[10:]], limit=len(DATA) - 1)
    assert [stored.digest for stored in store.list(Zone.AIRLOCK)] == [DIGEST]


def test_an_endless_sender_is_stopped_at_the_limit(store):
    def endless():
        while True:
            yield b"x" * 65536

    with pytest.raises(Invalid):
        store.put(Zone.AIRLOCK, endless(), limit=1_000_000)
    assert not list(store.list(Zone.AIRLOCK))


def test_a_sender_that_breaks_off_leaves_nothing(store):
    def broken():
        yield DATA
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        store.put(Zone.AIRLOCK, broken())
    assert not list(store.list(Zone.AIRLOCK))


def test_zones_are_apart(store):
    store.put(Zone.AIRLOCK, [DATA])
    assert not store.has(Zone.VIEWS, DIGEST)
    with pytest.raises(NotFound):
        store.open(Zone.RELEASE, DIGEST)


def test_nothing_enters_the_release_zone_but_by_a_copy(store):
    with pytest.raises(Rejected, match="verified copies only"):
        store.put(Zone.RELEASE, [DATA])
    assert not list(store.list(Zone.RELEASE))


@pytest.mark.parametrize("source", sorted(Zone))
@pytest.mark.parametrize("target", sorted(Zone))
def test_only_the_ways_of_the_table_lead_anywhere(store, source, target):
    if source in ENTRANCES:
        store.put(source, [DATA])
    else:
        store.put(Zone.AIRLOCK, [DATA])
        store.copy(DIGEST, Zone.AIRLOCK, source)
    if (source, target) in WAYS:
        assert store.copy(DIGEST, source, target) == Stored(digest=DIGEST, size=len(DATA))
        assert everything(store, target, DIGEST) == DATA
    else:
        with pytest.raises(Rejected, match="No way leads"):
            store.copy(DIGEST, source, target)


def test_a_copy_may_be_repeated_and_outlives_its_source(store):
    store.put(Zone.AIRLOCK, [BIG])
    digest = hashlib.sha256(BIG).hexdigest()
    assert store.copy(digest, Zone.AIRLOCK, Zone.RELEASE) == store.copy(digest, Zone.AIRLOCK, Zone.RELEASE)
    assert store.delete(Zone.AIRLOCK, digest)
    assert everything(store, Zone.RELEASE, digest) == BIG


def test_a_copy_of_nothing_is_not_found(store):
    with pytest.raises(NotFound):
        store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)


@pytest.mark.parametrize("changed", [DATA[:-1] + b"!", DATA[:-1], DATA + b"!", b""])
def test_a_changed_object_is_never_handed_out_whole_nor_copied(case, store, changed):
    store.put(Zone.AIRLOCK, [DATA])
    case.damage(Zone.AIRLOCK, DIGEST, changed)
    with pytest.raises(Corrupt, match="does not have its digest any more"):
        everything(store, Zone.AIRLOCK, DIGEST)
    with pytest.raises(Corrupt):
        store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    assert not list(store.list(Zone.RELEASE))


def test_a_change_deep_in_a_large_object_is_seen_before_its_last_piece(case, store):
    digest = store.put(Zone.AIRLOCK, [BIG]).digest
    case.damage(Zone.AIRLOCK, digest, b"\1" + BIG[1:])
    received = []
    with store.open(Zone.AIRLOCK, digest) as reader, pytest.raises(Corrupt):
        received.extend(reader)
    assert sum(map(len, received)) < len(BIG)


def test_a_damaged_object_is_not_silently_mended_by_storing_it_again(case, store):
    store.put(Zone.AIRLOCK, [DATA])
    case.damage(Zone.AIRLOCK, DIGEST, b"other")
    with pytest.raises(Corrupt):
        store.put(Zone.AIRLOCK, [DATA])


def test_a_damaged_copy_is_not_silently_mended_by_copying_again(case, store):
    store.put(Zone.AIRLOCK, [DATA])
    store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    case.damage(Zone.RELEASE, DIGEST, b"other")
    with pytest.raises(Corrupt):
        store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)


def test_a_reader_gives_what_is_asked_for_in_pieces(store):
    store.put(Zone.AIRLOCK, [DATA])
    with store.open(Zone.AIRLOCK, DIGEST) as reader:
        assert reader.size == len(DATA)
        assert (reader.read(4), reader.read(0), reader.read()) == (DATA[:4], b"", DATA[4:])
        assert (reader.read(), reader.read(5)) == (b"", b"")
    reader.close()


@pytest.mark.parametrize("zone", sorted(PASSING))
def test_passing_objects_can_be_deleted_and_deleted_again(store, zone):
    store.put(zone, [DATA])
    assert store.delete(zone, DIGEST)
    assert not store.delete(zone, DIGEST)
    assert not store.has(zone, DIGEST)
    with pytest.raises(NotFound):
        store.open(zone, DIGEST)


@pytest.mark.parametrize("zone", sorted(set(Zone) - PASSING))
def test_released_bytes_and_evidence_cannot_be_deleted(store, zone):
    store.put(Zone.AIRLOCK, [DATA])
    store.copy(DIGEST, Zone.AIRLOCK, zone)
    with pytest.raises(Rejected, match="stay until their retention ends"):
        store.delete(zone, DIGEST)
    assert everything(store, zone, DIGEST) == DATA


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "\n", "sha256:" + DIGEST, "." * 64]
)
def test_a_name_that_is_no_digest_reaches_nothing(store, digest):
    for call in (
        lambda: store.open(Zone.AIRLOCK, digest),
        lambda: store.has(Zone.AIRLOCK, digest),
        lambda: store.delete(Zone.AIRLOCK, digest),
        lambda: store.copy(digest, Zone.AIRLOCK, Zone.RELEASE),
    ):
        with pytest.raises(Invalid):
            call()


def test_a_zone_is_listed_in_order(store):
    stored = sorted((store.put(Zone.VIEWS, [bytes([n])]) for n in range(40)), key=lambda item: item.digest)
    assert list(store.list(Zone.VIEWS)) == stored
