"""What the adapter makes of a service that is small, in trouble, or not the one it claims to be."""

import dataclasses
import hashlib
import io
import resource
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from spe.adapters.objects.s3 import S3Objects
from spe.adapters.objects.s3settings import Retention, S3Settings
from spe.adapters.objects.s3setup import policy, prepare
from spe.adapters.objects.s3streams import Deadline, Part
from spe.domain.errors import Corrupt, Invalid, NotFound, Unavailable
from spe.ports.objects import StoreGuarantee, Zone
from tests.support.plain_s3 import Reply, serving

DATA = b"arm,n\na,246\nb,440\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
KEY = f"{DIGEST[:2]}/{DIGEST}"
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """Nothing of the machine's own settings for the service's client."""
    import os

    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def service():
    with serving() as found:
        yield found


@pytest.fixture
def other():
    """A second service, that nothing may ever be sent to."""
    with serving() as found:
        yield found
        assert found.asked == []


def quick(service, **changes):
    return service.settings(
        **({"connect_seconds": 1.0, "read_seconds": 0.5, "deadline_seconds": 3.0, "attempts": 2} | changes)
    )


@pytest.fixture
def store(service):
    made = S3Objects(quick(service))
    made.observed()
    service.asked.clear()
    return made


# A service that does little


def test_a_service_that_ignores_conditions_and_checksums_is_found_out(store):
    seen = store.observed()
    assert (seen.conditional, seen.verified) == (False, False)
    assert (seen.versioned, seen.locked) == (frozenset(), frozenset())
    assert store.guarantees == {StoreGuarantee.WRITE_ONCE, StoreGuarantee.DIGEST_VERIFIED}


def test_trials_leave_nothing_behind(store, service):
    assert all(not objects for objects in service.objects.values())


def test_a_service_that_knows_conditions_is_found_out(service):
    service.condition = lambda there: "PreconditionFailed" if there is not None else ""
    assert S3Objects(quick(service)).observed().conditional


def test_a_service_that_refuses_every_condition_is_not_taken_for_one_that_knows_them(service):
    service.condition = lambda there: "PreconditionFailed"
    store = S3Objects(quick(service))
    assert not store.observed().conditional
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_a_writer_who_is_not_the_first_looks_at_what_is_there(service, code):
    service.condition = lambda there: code if there is not None else ""
    store = S3Objects(quick(service))
    store.put(Zone.AIRLOCK, [DATA])
    writes = len([line for line in service.asked if line.startswith(f"PUT /spe-airlock/{KEY}")])
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST
    service.objects["spe-airlock"][KEY] = b"other"
    with pytest.raises(Corrupt):
        store.put(Zone.AIRLOCK, [DATA])
    assert service.objects["spe-airlock"][KEY] == b"other"
    assert len([line for line in service.asked if line.startswith(f"PUT /spe-airlock/{KEY}")]) == writes + 2


def test_a_service_that_refuses_though_nothing_is_to_be_seen_is_written_to(service):
    service.condition = lambda there: "PreconditionFailed" if there is not None else ""
    store = S3Objects(quick(service))
    store.observed()
    service.condition = lambda there: "PreconditionFailed"  # as some do where a marker hides an older version
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST
    assert service.objects["spe-airlock"][KEY] == DATA


def test_bytes_that_a_service_stores_wrongly_are_noticed_at_once(store, service):
    service.store = lambda data: data[:-1] + b"!"
    with pytest.raises(Corrupt):
        store.put(Zone.AIRLOCK, [DATA])
    with pytest.raises(Corrupt), store.open(Zone.AIRLOCK, DIGEST) as reader:
        reader.read()


def test_a_release_is_refused_where_its_retention_cannot_be_kept(service):
    kept = {Zone.RELEASE: Retention(length=timedelta(days=3650))}
    store = S3Objects(quick(service, retention=kept))
    store.put(Zone.AIRLOCK, [DATA])
    with pytest.raises(Unavailable, match="cannot retain objects"):
        store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    assert service.objects["spe-release"] == {}


def test_setup_says_what_a_small_service_lacks(service):
    found = prepare(quick(service))
    text = " ".join(found.missing)
    for zone in Zone:
        assert f"The bucket spe-{zone} keeps no versions" in text
    assert "The bucket spe-release has no object lock" in text
    assert "No retention is set for the evidence zone" in text
    assert "The bucket spe-airlock has no object lock" not in text
    assert len(found.done) == 2
    assert StoreGuarantee.OBJECT_LOCK not in found.guarantees


def test_a_listing_out_of_order_is_not_believed(store, service):
    rows = "".join(f"<Contents><Key>{d[:2]}/{d}</Key><Size>1</Size></Contents>" for d in ("b" * 64, "a" * 64))
    service.replies = [Reply(status=200, body=f"<ListBucketResult>{rows}</ListBucketResult>".encode())]
    with pytest.raises(Unavailable, match="out of order"):
        list(store.list(Zone.AIRLOCK))


# A service in trouble

TROUBLE = [
    (Reply(status=403, code="AccessDenied"), "bucket spe-airlock was denied; grant our access key s3:"),
    (Reply(status=403, code="InvalidAccessKeyId"), "does not accept our access key"),
    (Reply(status=403, code="SignatureDoesNotMatch"), "does not accept our access key"),
    (Reply(status=403, code="RequestTimeTooSkewed"), "clock and ours differ"),
    (Reply(status=404, code="NoSuchBucket"), "there is no bucket spe-airlock"),
    (Reply(status=404), r"refused get_object in the bucket spe-airlock \(404\)"),  # a proxy's, not the service's
    (Reply(status=507), "it is full"),
    (Reply(status=403, code="QuotaExceeded"), "it is full"),
    (Reply(status=503, code="SlowDown"), r"busy or broken \(SlowDown\)"),
    (Reply(status=500, code="InternalError"), r"busy or broken \(InternalError\)"),
    (Reply(status=502), "busy or broken"),
    (Reply(status=429, code="TooManyRequests"), "busy or broken"),
    (Reply(status=301, code="PermanentRedirect"), "points to another place, which is not followed"),
    (Reply(status=400, code="InvalidRequest"), r"refused get_object in the bucket spe-airlock \(InvalidRequest\)"),
]


@pytest.mark.parametrize(("reply", "sentence"), TROUBLE, ids=lambda value: str(getattr(value, "code", "")))
def test_every_answer_but_yes_is_no_and_says_why(store, service, reply, sentence):
    service.always = lambda method, path: reply
    with pytest.raises(Unavailable, match=sentence):
        store.open(Zone.AIRLOCK, DIGEST)
    for call in (
        lambda: store.put(Zone.AIRLOCK, [DATA]),
        lambda: store.has(Zone.AIRLOCK, DIGEST),
        lambda: store.delete(Zone.AIRLOCK, DIGEST),
        lambda: store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE),
        lambda: list(store.list(Zone.AIRLOCK)),
    ):
        with pytest.raises(Unavailable):
            call()


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch", "IncompleteBody"])
def test_bytes_that_arrived_otherwise_are_corrupt(store, service, code):
    service.always = lambda method, path: Reply(status=400, code=code) if method == "PUT" else None
    with pytest.raises(Corrupt, match="not what was sent"):
        store.put(Zone.AIRLOCK, [DATA])


def test_a_busy_service_is_asked_again_and_then_no_more(service):
    store = S3Objects(quick(service, attempts=3))
    store.put(Zone.AIRLOCK, [DATA])
    service.asked.clear()
    service.replies = [Reply(status=503, code="SlowDown")] * 2
    assert store.has(Zone.AIRLOCK, DIGEST)
    assert len(service.asked) == 3
    service.asked.clear()
    service.always = lambda method, path: Reply(status=503, code="SlowDown")
    with pytest.raises(Unavailable):
        store.has(Zone.AIRLOCK, DIGEST)
    assert len(service.asked) == 3


def test_what_cannot_get_better_is_asked_once(store, service):
    service.always = lambda method, path: Reply(status=403, code="AccessDenied")
    with pytest.raises(Unavailable):
        store.has(Zone.AIRLOCK, DIGEST)
    assert len(service.asked) == 1


def test_a_silent_service_is_waited_for_no_longer_than_the_deadline(service):
    store = S3Objects(quick(service, attempts=1000, deadline_seconds=1.0, read_seconds=0.2))
    service.silence.set()
    with pytest.raises(Unavailable):
        store.has(Zone.AIRLOCK, DIGEST)
    assert len(service.asked) <= 6


def test_a_service_that_drips_is_not_waited_for(store, service):
    store.put(Zone.AIRLOCK, [DATA * 20])
    digest = hashlib.sha256(DATA * 20).hexdigest()
    service.drip = 0.1
    impatient = S3Objects(quick(service, deadline_seconds=0.5))
    with impatient.open(Zone.AIRLOCK, digest) as reader, pytest.raises(Unavailable, match="too slow"):
        reader.read()


def test_a_part_is_not_sent_after_its_deadline():
    with pytest.raises(Unavailable, match="too slow"):
        Part(io.BytesIO(DATA), 0, 5, Deadline(0)).read(5)


def test_a_part_is_a_file_of_its_own():
    part = Part(io.BytesIO(DATA), 4, 6, Deadline(10))
    assert (part.read(2), part.tell(), part.read(), part.read()) == (DATA[4:6], 2, DATA[6:10], b"")
    assert (part.seek(0, 2), part.seek(0), part.read()) == (6, 0, DATA[4:10])


def test_an_observation_that_failed_is_made_again(service):
    store = S3Objects(quick(service, attempts=1))
    service.replies = [Reply(status=500, code="InternalError")]
    with pytest.raises(Unavailable):
        store.put(Zone.AIRLOCK, [DATA])
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST


def test_those_who_waited_for_an_observation_that_failed_do_not_each_try_again(service):
    store, told = S3Objects(quick(service, attempts=1)), []
    service.always = lambda method, path: Reply(status=500, code="InternalError")
    service.silence.set()

    def write():
        try:
            store.put(Zone.AIRLOCK, [DATA])
        except Unavailable as error:
            told.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8
    assert len(service.asked) < 8


# A service that is not the one it claims to be, and an environment that says otherwise


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_service_that_points_elsewhere_is_not_followed(store, service, other, status):
    headers = {"Location": f"{other.url}/spe-airlock/{KEY}", "x-amz-bucket-region": "eu-west-9"}
    service.always = lambda method, path: Reply(status=status, code="PermanentRedirect", headers=headers)
    for call in (lambda: store.open(Zone.AIRLOCK, DIGEST), lambda: store.has(Zone.AIRLOCK, DIGEST)):
        with pytest.raises(Unavailable, match=r"not followed|refused"):
            call()
    with pytest.raises(Unavailable):
        store.put(Zone.AIRLOCK, [DATA])
    assert not any("eu-west-9" in headers.get("authorization", "") for headers in service.headers)


def test_a_service_of_another_region_is_not_looked_for(store, service, other):
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9</Region></Error>"
    service.always = lambda method, path: Reply(status=400, body=body)
    with pytest.raises(Unavailable, match="access key"):
        store.open(Zone.AIRLOCK, DIGEST)
    assert not any("eu-west-9" in headers.get("authorization", "") for headers in service.headers)


def test_the_environment_moves_neither_endpoint_nor_way(service, other, monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"[default]\nregion = eu-west-9\nendpoint_url = {other.url}\n")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, other.url)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebody-else")
    monkeypatch.setenv("AWS_PROFILE", "there-is-none")
    store = S3Objects(quick(service))
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST
    assert all("Credential=key/" in headers["authorization"] for headers in service.headers)


def test_without_keys_of_its_own_the_adapter_uses_the_chain(service, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    S3Objects(quick(service, access_key="", secret_key="")).has(Zone.AIRLOCK, DIGEST)
    assert all("Credential=from-the-environment/" in headers["authorization"] for headers in service.headers)


def test_the_machine_s_metadata_is_not_asked_for_keys(service, other, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", other.url)
    store = S3Objects(quick(service, access_key="", secret_key=""))
    with pytest.raises(Unavailable, match="no access key for it was found"):
        store.has(Zone.AIRLOCK, DIGEST)
    assert service.asked == []


def test_the_machine_s_metadata_is_asked_where_the_settings_say_so(service, monkeypatch):
    with serving() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        store = S3Objects(quick(service, access_key="", secret_key="", instance_metadata=True))
        with pytest.raises(Unavailable):
            store.has(Zone.AIRLOCK, DIGEST)
        assert any("/latest/api/token" in line for line in metadata.asked)


def test_the_owner_that_the_settings_name_is_sent_with_every_call(service):
    store = S3Objects(quick(service, account="123456789012"))
    store.put(Zone.AIRLOCK, [DATA])
    store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    list(store.list(Zone.RELEASE))
    store.delete(Zone.AIRLOCK, DIGEST)
    assert {headers.get("x-amz-expected-bucket-owner") for headers in service.headers} == {"123456789012"}


def test_a_ca_file_that_is_not_there_is_no_answer(service, tmp_path):
    settings = quick(service, endpoint="https://127.0.0.1:1", ca_file=tmp_path / "gone.pem")
    with pytest.raises(Unavailable):
        S3Objects(settings).has(Zone.AIRLOCK, DIGEST)


# On the way


def test_nothing_that_is_on_its_way_has_a_name_here(service, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    store, seen = S3Objects(quick(service, spool=spool)), []

    def chunks():
        for _ in range(3):
            yield b"x" * MEBIBYTE
            seen.append(list(spool.iterdir()))

    store.put(Zone.AIRLOCK, chunks())
    assert seen == [[], [], []]


def test_a_full_spool_says_so_and_stores_nothing(service, tmp_path):
    store = S3Objects(quick(service, spool=tmp_path))
    store.observed()
    with largest_file(3 * MEBIBYTE), pytest.raises(Unavailable, match="no room on the way"):
        store.put(Zone.AIRLOCK, [b"x" * MEBIBYTE] * 5)
    assert service.objects["spe-airlock"] == {}
    with pytest.raises(Unavailable, match="no room on the way"):
        S3Objects(quick(service, spool=tmp_path / "gone")).put(Zone.AIRLOCK, [b"x" * MEBIBYTE] * 5)


@contextmanager
def largest_file(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Settings

BUCKETS = {zone: f"spe-{zone}" for zone in Zone}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoint": "http://store.example:9000"}, "endpoint"),
        ({"endpoint": "https://store.example/path"}, "endpoint"),
        ({"endpoint": "https://key:secret@store.example"}, "endpoint"),
        ({"endpoint": "store.example"}, "endpoint"),
        ({"endpoint": "ftp://127.0.0.1"}, "endpoint"),
        ({"buckets": {Zone.AIRLOCK: "spe-airlock"}}, "buckets"),
        ({"buckets": BUCKETS | {Zone.RELEASE: "spe-airlock"}}, "buckets"),
        ({"buckets": BUCKETS | {Zone.RELEASE: "Not/A/Bucket"}}, "buckets"),
        ({"access_key": "key"}, "access_key"),
        ({"secret_key": "secret"}, "access_key"),
        ({"retention": {Zone.AIRLOCK: Retention(length=timedelta(days=1))}}, "retention"),
        ({"retention": {Zone.RELEASE: Retention(length=timedelta(0))}}, "retention"),
        ({"attempts": 0}, "timeouts"),
        ({"deadline_seconds": -1.0}, "timeouts"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes, field):
    with pytest.raises(Invalid) as told:
        S3Settings(**({"buckets": BUCKETS} | changes))
    assert field in told.value.fields


@pytest.mark.parametrize("endpoint", ["", "https://store.example:9000", "http://127.0.0.1:9000", "http://[::1]:9000"])
def test_settings_that_may_be_right_are_taken(endpoint):
    assert S3Settings(buckets=BUCKETS, endpoint=endpoint, ca_file=Path("/ca.pem")).endpoint == endpoint


def test_the_platform_s_own_key_may_add_to_what_is_kept_and_neither_delete_nor_lift():
    kept = {zone: Retention(length=timedelta(days=3650)) for zone in (Zone.RELEASE, Zone.EVIDENCE)}
    policies = policy(S3Settings(buckets=BUCKETS, retention=kept), "platform")
    for zone, found in policies.items():
        allowed = {(action, row["Resource"][0]) for row in found["Statement"] for action in row["Action"]}
        deleting = {resource for action, resource in allowed if "Delete" in action}
        assert deleting == {f"arn:aws:s3:::spe-{zone}/probe/*" if zone in kept else f"arn:aws:s3:::spe-{zone}/*"}
        actions = {action for action, _ in allowed}
        assert not {action for action in actions if "Bypass" in action or "Policy" in action or "*" in action}
        assert not {action for action in actions if action.startswith(("s3:PutBucket", "s3:CreateBucket"))}
        assert all(row["Principal"] == {"AWS": ["platform"]} for row in found["Statement"])


def test_the_secret_key_is_not_shown():
    settings = S3Settings(buckets=BUCKETS, access_key="key", secret_key="not-for-eyes")
    assert "not-for-eyes" not in repr(settings) + repr(dataclasses.replace(settings, region="eu-north-1"))


def test_an_object_that_is_not_there_is_not_found(store):
    with pytest.raises(NotFound):
        store.open(Zone.AIRLOCK, DIGEST)
