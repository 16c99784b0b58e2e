"""What only buckets have: parts, versions, retention, connections that break, and keys that do not open."""

import hashlib
import json
import threading
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from spe.adapters.objects.s3client import MEBIBYTE, S3Client
from spe.adapters.objects.s3settings import LockMode, Retention
from spe.adapters.objects.s3setup import prepare
from spe.adapters.objects.s3write import WHOLE, sweep
from spe.domain.errors import Corrupt, NotFound, Unavailable
from spe.ports.objects import StoreGuarantee, Zone
from tests.support import buckets as support
from tests.support.forwarder import forwarding

pytestmark = pytest.mark.servers

DATA = b"arm,n\na,246\nb,440\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
LARGE = WHOLE + MEBIBYTE + 17  # three parts
QUICK = {"connect_seconds": 2.0, "read_seconds": 5.0, "deadline_seconds": 20.0}


def pieces(size, seed=b"spe"):
    """So many bytes that do not repeat, without holding them."""
    counter = 0
    while size > 0:
        block = hashlib.sha256(seed + counter.to_bytes(8, "big")).digest() * 2048
        yield block[:size]
        size -= len(block)
        counter += 1


def all_of(reader, received):
    for piece in reader:
        received.append(len(piece))


def digest_of(chunks):
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def read_through(store, zone, digest):
    with store.open(zone, digest) as reader:
        return digest_of(reader)


@pytest.fixture
def buckets():
    with support.made() as found:
        yield found


@pytest.fixture
def kept():
    """Buckets whose release and evidence objects are held for a moment, by a lock that nobody lifts."""
    held = Retention(length=timedelta(seconds=4))
    with support.made(retention={Zone.RELEASE: held, Zone.EVIDENCE: held}) as found:
        yield found


@pytest.fixture
def line(buckets):
    with forwarding(buckets.settings.endpoint) as found:
        yield found


# Large objects


def test_a_large_object_passes_in_parts_and_in_little_memory(buckets):
    store = buckets.store()
    store.observed()
    size = 64 * MEBIBYTE + 5
    tracemalloc.start()
    try:
        stored = store.put(Zone.AIRLOCK, pieces(size))
        copied = store.copy(stored.digest, Zone.AIRLOCK, Zone.RELEASE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert copied == stored
    assert (stored.size, stored.digest) == (size, digest_of(pieces(size)))
    assert peak < 16 * MEBIBYTE
    head = buckets.raw.head_object(**buckets.place(Zone.RELEASE, stored.digest), ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"].endswith("-5"), "five parts, each with its checksum"
    assert buckets.uploads() == []
    assert read_through(store, Zone.RELEASE, stored.digest) == stored.digest


def test_a_large_object_that_was_damaged_is_seen(buckets):
    store = buckets.store()
    stored = store.put(Zone.AIRLOCK, pieces(LARGE))
    buckets.damage(Zone.AIRLOCK, stored.digest, b"".join(pieces(LARGE, b"other")))
    received = []
    with store.open(Zone.AIRLOCK, stored.digest) as reader, pytest.raises(Corrupt):
        all_of(reader, received)
    assert sum(received) < LARGE
    with pytest.raises(Corrupt):
        store.copy(stored.digest, Zone.AIRLOCK, Zone.RELEASE)
    assert not list(store.list(Zone.RELEASE))
    with pytest.raises(Corrupt):
        store.put(Zone.AIRLOCK, pieces(LARGE))


@pytest.mark.parametrize("size", [len(DATA), 3 * MEBIBYTE, LARGE])
def test_writers_that_race_for_one_digest_agree_and_store_it_once(buckets, size):
    stores = [buckets.store() for _ in range(3)]
    for store in stores:
        store.observed()
    together, results = threading.Barrier(3), []

    def write(store):
        def chunks():
            yield from pieces(size)
            together.wait(60)

        results.append(store.put(Zone.AIRLOCK, chunks()))

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(set(results)) == 1
    digest = results[0].digest
    assert read_through(stores[0], Zone.AIRLOCK, digest) == digest
    assert buckets.uploads() == []
    if size != 3 * MEBIBYTE:  # a refusal that is sent before the bytes were read can be lost, then it is written twice
        assert len(buckets.versions(Zone.AIRLOCK, digest[:2])) == 1


# Connections that break


def test_a_server_that_goes_in_the_middle_of_an_upload_leaves_nothing_to_see(buckets, line):
    store = buckets.store(endpoint=line.url, **QUICK)
    store.observed()
    line.cut(sent=20 * MEBIBYTE)
    with pytest.raises(Unavailable):
        store.put(Zone.AIRLOCK, pieces(LARGE))
    watcher = buckets.store()
    assert not list(watcher.list(Zone.AIRLOCK))
    digest = digest_of(pieces(LARGE))
    assert not watcher.has(Zone.AIRLOCK, digest)
    assert buckets.uploads() == [f"{digest[:2]}/{digest}"], "its end could not be told to the server"
    line.mend()
    assert store.put(Zone.AIRLOCK, pieces(LARGE)).digest == digest
    assert read_through(watcher, Zone.AIRLOCK, digest) == digest
    assert sweep(S3Client(buckets.settings), buckets.settings.buckets[Zone.AIRLOCK], older=timedelta()) == 1
    assert buckets.uploads() == []


def test_a_connection_that_breaks_once_is_made_again(buckets, line):
    store = buckets.store(endpoint=line.url, **QUICK)
    store.observed()
    line.cut(sent=20 * MEBIBYTE, once=True)
    stored = store.put(Zone.AIRLOCK, pieces(LARGE))
    assert line.cuts >= 1
    assert read_through(store, Zone.AIRLOCK, stored.digest) == stored.digest
    assert buckets.uploads() == []


def test_a_write_whose_answer_was_lost_is_found_done(buckets, line):
    store = buckets.store(endpoint=line.url, **QUICK)
    store.observed()
    line.cut(received=1, once=True)
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST
    assert line.cuts >= 1
    assert len(buckets.versions(Zone.AIRLOCK, DIGEST[:2])) == 1


def test_a_read_that_breaks_off_is_no_answer_and_no_damage(buckets, line):
    stored = buckets.store().put(Zone.AIRLOCK, pieces(4 * MEBIBYTE))
    store = buckets.store(endpoint=line.url, **QUICK)
    line.cut(received=2 * MEBIBYTE)
    received = []
    with store.open(Zone.AIRLOCK, stored.digest) as reader:
        with pytest.raises(Unavailable, match="broke while"):
            all_of(reader, received)
        line.mend()
        with pytest.raises(Unavailable):
            reader.read(1)
    assert sum(received) < stored.size
    assert read_through(store, Zone.AIRLOCK, stored.digest) == stored.digest


def test_a_copy_that_breaks_off_on_either_side_can_be_repeated(buckets, line):
    digest = buckets.store().put(Zone.AIRLOCK, pieces(LARGE)).digest
    store = buckets.store(endpoint=line.url, **QUICK)
    store.observed()
    for limit in ({"received": MEBIBYTE}, {"sent": MEBIBYTE}):
        line.cut(**limit)
        with pytest.raises(Unavailable):
            store.copy(digest, Zone.AIRLOCK, Zone.RELEASE)
        assert not list(buckets.store().list(Zone.RELEASE))
        line.mend()
    assert store.copy(digest, Zone.AIRLOCK, Zone.RELEASE).digest == digest


def test_a_store_that_is_down_says_so_and_serves_when_it_is_back(buckets, line):
    store = buckets.store(endpoint=line.url, **QUICK)
    line.cut(sent=0)
    for call in (
        lambda: store.put(Zone.AIRLOCK, [DATA]),
        lambda: store.has(Zone.AIRLOCK, DIGEST),
        lambda: store.open(Zone.AIRLOCK, DIGEST),
        lambda: store.delete(Zone.AIRLOCK, DIGEST),
        lambda: list(store.list(Zone.AIRLOCK)),
        lambda: store.guarantees,
    ):
        with pytest.raises(Unavailable, match="object store does not answer"):
            call()
    line.mend()
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST


# Keys that do not open


def refused(store, sentence):
    for call in (
        lambda: store.put(Zone.AIRLOCK, [DATA]),
        lambda: store.has(Zone.AIRLOCK, DIGEST),
        lambda: store.open(Zone.AIRLOCK, DIGEST),
        lambda: store.delete(Zone.AIRLOCK, DIGEST),
        lambda: store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE),
        lambda: list(store.list(Zone.AIRLOCK)),
    ):
        with pytest.raises(Unavailable, match=sentence):
            call()


def test_a_wrong_access_key_is_named_as_the_reason(buckets):
    refused(buckets.store(access_key="nobody"), "access key|was denied")
    wrong = buckets.store(secret_key="wrong-wrong-wrong")
    refused(wrong, "access key|was denied")
    with pytest.raises(Unavailable) as told:
        wrong.open(Zone.AIRLOCK, DIGEST)
    assert "wrong-wrong" not in str(told.value) + repr(wrong._settings)


def test_a_right_that_is_missing_is_named(buckets):
    store = buckets.store(account="123456789012")  # somebody else's bucket
    refused(store, r"access to the bucket spe-.* was denied; grant our access key s3:")


def test_a_bucket_that_is_missing_is_not_an_object_that_is_missing(buckets):
    gone = {zone: f"{name}-gone" for zone, name in buckets.settings.buckets.items()}
    refused(buckets.store(buckets=gone), r"there is no bucket spe-.*-gone; `spe objects setup` makes it")


def test_a_server_that_another_authority_vouches_for_is_not_spoken_to(buckets, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text(authority())
    refused(buckets.store(ca_file=other), "certificate is not trusted")


def authority():
    """A certificate authority that vouched for nobody."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=other")
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    made = made.not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


# Behind the platform's back


def test_other_bytes_in_the_airlock_after_the_review_are_not_released(buckets):
    store = buckets.store()
    store.put(Zone.AIRLOCK, [DATA])
    buckets.damage(Zone.AIRLOCK, DIGEST, b"arm,n\na,1\nb,2\n" + b" " * 4)
    with pytest.raises(Corrupt):
        store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    assert not store.has(Zone.RELEASE, DIGEST)


def test_other_bytes_over_a_release_are_never_handed_out_and_the_right_ones_are_still_there(kept):
    store = kept.store()
    store.put(Zone.AIRLOCK, [DATA])
    store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    kept.damage(Zone.RELEASE, DIGEST, DATA[:-1] + b"!")
    with pytest.raises(Corrupt), store.open(Zone.RELEASE, DIGEST) as reader:
        reader.read()
    (first,) = [row for row in kept.versions(Zone.RELEASE, DIGEST[:2]) if not row["IsLatest"]]
    place = kept.place(Zone.RELEASE, DIGEST)
    assert kept.raw.get_object(**place, VersionId=first["VersionId"])["Body"].read() == DATA


def test_a_release_that_was_hidden_is_missed_and_can_be_made_again_from_the_airlock(buckets):
    store = buckets.store()
    store.put(Zone.AIRLOCK, [DATA])
    store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    buckets.raw.delete_object(**buckets.place(Zone.RELEASE, DIGEST))
    with pytest.raises(NotFound):
        store.open(Zone.RELEASE, DIGEST)
    assert store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE).digest == DIGEST
    assert read_through(store, Zone.RELEASE, DIGEST) == DIGEST


def test_keys_that_are_no_objects_of_ours_are_passed_over(buckets):
    store = buckets.store()
    store.put(Zone.AIRLOCK, [DATA])
    airlock = buckets.settings.buckets[Zone.AIRLOCK]
    for key in ("readme.txt", DIGEST, f"zz/{DIGEST}", f"{DIGEST[:2]}/{DIGEST.upper()}", f"{DIGEST[:2]}/x/{DIGEST}"):
        buckets.raw.put_object(Bucket=airlock, Key=key, Body=b"foreign")
    assert [stored.digest for stored in store.list(Zone.AIRLOCK)] == [DIGEST]


def test_what_is_deleted_from_the_airlock_is_erased_with_all_its_versions(buckets):
    store = buckets.store()
    store.put(Zone.AIRLOCK, [DATA])
    buckets.damage(Zone.AIRLOCK, DIGEST, b"other")
    buckets.raw.delete_object(**buckets.place(Zone.AIRLOCK, DIGEST))
    assert not store.delete(Zone.AIRLOCK, DIGEST), "it was hidden, so it was not there"
    assert buckets.versions(Zone.AIRLOCK, DIGEST[:2]) == []
    store.put(Zone.AIRLOCK, [DATA])
    assert store.delete(Zone.AIRLOCK, DIGEST)
    assert buckets.versions(Zone.AIRLOCK, DIGEST[:2]) == []


def test_the_sweep_leaves_young_and_foreign_uploads_alone(buckets):
    client, airlock = S3Client(buckets.settings), buckets.settings.buckets[Zone.AIRLOCK]
    ours = buckets.place(Zone.AIRLOCK, DIGEST)
    buckets.raw.create_multipart_upload(**ours)
    buckets.raw.create_multipart_upload(Bucket=airlock, Key="backup/of-the-site")
    buckets.store().observed()
    assert len(buckets.uploads()) == 2
    assert sweep(client, airlock, older=timedelta()) == 1
    assert buckets.uploads() == ["backup/of-the-site"]


# Retention


def test_a_released_object_resists_the_administrator_of_the_service(kept):
    store = kept.store()
    store.put(Zone.AIRLOCK, [DATA])
    store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    place = kept.place(Zone.RELEASE, DIGEST)
    version = kept.raw.head_object(**place)["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        kept.raw.delete_object(**place, VersionId=version, BypassGovernanceRetention=True)
    assert read_through(store, Zone.RELEASE, DIGEST) == DIGEST


def test_a_large_object_is_retained_as_well(kept):
    store = kept.store()
    digest = store.put(Zone.EVIDENCE, pieces(LARGE)).digest
    head = kept.raw.head_object(**kept.place(Zone.EVIDENCE, digest))
    assert head["ObjectLockMode"] == LockMode.COMPLIANCE
    assert head["ObjectLockRetainUntilDate"] > datetime.now(UTC)


def test_the_lock_is_promised_where_it_was_seen_to_resist(kept):
    assert kept.prepared.missing == ()
    assert StoreGuarantee.OBJECT_LOCK in kept.prepared.guarantees
    store = kept.store()
    assert store.observed().locked == {Zone.RELEASE, Zone.EVIDENCE}
    assert StoreGuarantee.OBJECT_LOCK in store.guarantees


def test_a_lock_that_our_own_key_can_lift_is_not_promised():
    with support.made(retention=support.GOVERNED) as found:
        assert StoreGuarantee.OBJECT_LOCK not in found.store().guarantees
        assert len([text for text in found.prepared.missing if "may lift governance" in text]) == 2
        assert found.versions(Zone.RELEASE) == [], "the trial went with it"


def test_the_object_that_shows_the_lock_is_one_for_everybody_and_goes_when_it_can():
    held = Retention(length=timedelta(seconds=6))
    with support.made(retention={Zone.RELEASE: held, Zone.EVIDENCE: held}) as found:
        for _ in range(3):
            assert StoreGuarantee.OBJECT_LOCK in found.store().guarantees
        (first,) = found.versions(Zone.RELEASE)
        place = {"Bucket": found.settings.buckets[Zone.RELEASE], "Key": first["Key"]}
        until = found.raw.head_object(**place)["ObjectLockRetainUntilDate"]
        pause = threading.Event()
        while datetime.now(UTC) <= until + timedelta(seconds=1):
            pause.wait(0.2)
        assert StoreGuarantee.OBJECT_LOCK in found.store().guarantees
        (second,) = found.versions(Zone.RELEASE)
        assert second["VersionId"] != first["VersionId"]


def test_without_retention_no_lock_is_promised_and_setup_says_what_to_set(buckets):
    assert StoreGuarantee.OBJECT_LOCK not in buckets.store().guarantees
    assert [text for text in buckets.prepared.missing if "No retention is set for the release zone" in text]


def test_storing_an_object_once_more_lets_its_retention_begin_anew():
    short = Retention(length=timedelta(minutes=10), mode=LockMode.GOVERNANCE)
    with support.made(retention=support.GOVERNED) as found:
        early = found.store(retention={Zone.RELEASE: short, Zone.EVIDENCE: short})
        early.put(Zone.AIRLOCK, [DATA])
        early.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
        place = found.place(Zone.RELEASE, DIGEST)
        before = found.raw.head_object(**place)
        found.store().copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
        after = found.raw.head_object(**place)
        assert after["ObjectLockRetainUntilDate"] - before["ObjectLockRetainUntilDate"] > timedelta(minutes=40)
        early.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
        assert found.raw.head_object(**place)["ObjectLockRetainUntilDate"] == after["ObjectLockRetainUntilDate"]
        assert after["VersionId"] == before["VersionId"]


def test_retention_that_a_bucket_cannot_keep_stops_the_release(buckets):
    plain = buckets.settings.buckets | {Zone.RELEASE: buckets.settings.buckets[Zone.RELEASE] + "-plain"}
    buckets.raw.create_bucket(Bucket=plain[Zone.RELEASE])
    try:
        store = buckets.store(buckets=plain, retention=support.GOVERNED)
        store.put(Zone.AIRLOCK, [DATA])
        with pytest.raises(Unavailable, match="cannot retain objects"):
            store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
        assert not store.has(Zone.RELEASE, DIGEST)
    finally:
        buckets.raw.delete_bucket(Bucket=plain[Zone.RELEASE])


# Setting up


def test_setting_up_again_changes_nothing(buckets):
    assert len([text for text in buckets.prepared.done if text.startswith("Made the bucket")]) == len(Zone)
    assert prepare(buckets.settings).done == ()


def test_setup_switches_on_what_a_bucket_made_by_hand_lacks():
    settings = support.settings(retention=support.GOVERNED)
    raw = support.raw(settings)
    for bucket in settings.buckets.values():
        raw.create_bucket(Bucket=bucket)
    found = support.Buckets(settings)
    try:
        assert len([text for text in found.prepared.done if text.startswith("Switched versioning on")]) == len(Zone)
        assert len([text for text in found.prepared.done if text.startswith("Switched object lock on")]) == 2
        found.store().put(Zone.EVIDENCE, [DATA])
    finally:
        found.clear()


def test_setup_names_a_bucket_that_is_open_to_anybody(buckets):
    bucket = buckets.settings.buckets[Zone.AIRLOCK]
    grant = {"Effect": "Allow", "Principal": "*", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]}
    policy = {"Version": "2012-10-17", "Statement": [grant]}
    buckets.raw.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert [text for text in prepare(buckets.settings).missing if f"{bucket} is open to anybody" in text]
