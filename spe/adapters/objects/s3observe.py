"""What this object service really does, found out by trying it.

A configuration that claims something is not believed: a condition is a condition when a second write is
refused, a checksum is one when wrong bytes are, and a lock when an object under retention resists our
own attempts to shorten it and to delete it. What a trial leaves goes at once; the object under retention is
one per bucket, used again by everybody while it lasts, an hour at most.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from spe.adapters.objects.s3client import S3Client
from spe.adapters.objects.s3errors import DENIED, MISSING, NOT_FIRST, OTHER_BYTES, UNKNOWN_CALL
from spe.adapters.objects.s3settings import LockMode, Retention, S3Settings
from spe.adapters.objects.s3versions import erase, versions
from spe.adapters.objects.s3write import base64_of, lock, sweep
from spe.ports.objects import StoreGuarantee, Zone

KEPT = frozenset({Zone.RELEASE, Zone.EVIDENCE})
"""Zones that object lock is for."""

TRIALS = "probe/"
"""What the keys of trials begin with."""

_LOCK_TRIAL = TRIALS + "object-lock"
_TEXT = b"Left by spe to see whether this bucket protects what is under retention. It may go when it can.\n"
_LOCK_LENGTH = timedelta(hours=1)
_OLD = timedelta(hours=1)
_UNHEARD = UNKNOWN_CALL | {"InvalidRequest", "InvalidArgument"}
_REFUSED = DENIED | {"InvalidRequest", "InvalidArgument", "ObjectLocked", "MethodNotAllowed"}
_NO_LOCK = UNKNOWN_CALL | {"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "InvalidRequest"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen."""

    conditional: bool
    """A write that asks to be the first is refused when it is not."""
    verified: bool
    """Bytes that have another SHA-256 than was said are refused."""
    versioned: frozenset[Zone]
    """Zones whose buckets keep what is written over."""
    retaining: frozenset[Zone]
    """Zones whose buckets take objects with a retention."""
    locked: frozenset[Zone]
    """Zones in which an object under retention resisted."""

    @property
    def guarantees(self) -> frozenset[StoreGuarantee]:
        """What follows. The first two hold in any case: without the service's help the adapter looks itself."""
        least = {StoreGuarantee.WRITE_ONCE, StoreGuarantee.DIGEST_VERIFIED}
        return frozenset(least | ({StoreGuarantee.OBJECT_LOCK} if self.locked >= KEPT else set()))


def observe(client: S3Client, settings: S3Settings) -> Observed:
    """Try it out, and sweep what was left unfinished. Raises `Unavailable` when a bucket or a right is missing."""
    for bucket in settings.buckets.values():
        sweep(client, bucket)
    conditional, verified = _writes(client, settings.buckets[Zone.AIRLOCK])
    versioned = frozenset(zone for zone, bucket in settings.buckets.items() if has_versions(client, bucket))
    retaining = frozenset(
        zone for zone in versioned & set(settings.retention) if has_lock(client, settings.buckets[zone])
    )
    return Observed(
        conditional=conditional,
        verified=verified,
        versioned=versioned,
        retaining=retaining,
        locked=frozenset(
            zone for zone in retaining if _resists(client, settings.buckets[zone], settings.retention[zone])
        ),
    )


def has_versions(client: S3Client, bucket: str) -> bool:
    """Whether the bucket says that it keeps versions."""
    answer = client.call("get_bucket_versioning", Bucket=bucket, expected=UNKNOWN_CALL)
    return answer is not None and answer.get("Status") == "Enabled"


def has_lock(client: S3Client, bucket: str) -> bool:
    """Whether the bucket says that its objects can be retained."""
    answer = client.call("get_object_lock_configuration", Bucket=bucket, expected=_NO_LOCK)
    return answer is not None and answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"


def _writes(client: S3Client, bucket: str) -> tuple[bool, bool]:
    """Whether conditions and checksums are honoured, seen in a zone whose objects may be deleted."""
    _clear_old(client, bucket)
    key = TRIALS + secrets.token_hex(16)
    place: dict[str, Any] = {"Bucket": bucket, "Key": key}
    right = base64_of(hashlib.sha256(_TEXT).digest())
    try:
        client.must("put_object", **place, Body=_TEXT, ChecksumSHA256=right)
        verified = _refuses(client, **place, Body=_TEXT + b"!", ChecksumSHA256=right, expected=OTHER_BYTES | _UNHEARD)
        conditional = _honours_condition(client, place, right)
    finally:
        erase(client, bucket, key)
    return conditional, verified


def _refuses(client: S3Client, **arguments: Any) -> bool:
    return client.call("put_object", **arguments) is None


def _honours_condition(client: S3Client, place: dict[str, Any], right: str) -> bool:
    """A second write is refused, and a first one of another name is not: some refuse the condition itself."""
    asked: dict[str, Any] = {"Body": _TEXT, "ChecksumSHA256": right, "IfNoneMatch": "*"}
    if not _refuses(client, **place, **asked, expected=NOT_FIRST | _UNHEARD):
        return False
    fresh = {**place, "Key": place["Key"] + "-first"}
    try:
        return not _refuses(client, **fresh, **asked, expected=NOT_FIRST | _UNHEARD)
    finally:
        erase(client, fresh["Bucket"], fresh["Key"])


def _clear_old(client: S3Client, bucket: str) -> None:
    """Trials whose process was killed in between."""
    before = datetime.now(UTC) - _OLD
    for key in {version.key for version in versions(client, bucket, TRIALS) if version.made < before}:
        erase(client, bucket, key)


def _resists(client: S3Client, bucket: str, retention: Retention) -> bool:
    there = [version.id for version in versions(client, bucket, _LOCK_TRIAL) if not version.marker]
    withstood = [_withstands(client, bucket, version, retention) for version in there]  # each that lapsed goes
    if any(withstood):
        return True
    short = Retention(length=min(retention.length, _LOCK_LENGTH), mode=retention.mode)
    checksum = base64_of(hashlib.sha256(_TEXT).digest())
    made = client.call(
        "put_object",
        Bucket=bucket,
        Key=_LOCK_TRIAL,
        Body=_TEXT,
        ChecksumSHA256=checksum,
        expected=_UNHEARD,
        **lock(short, datetime.now(UTC)),
    )
    return made is not None and _withstands(client, bucket, str(made.get("VersionId", "null")), retention)


def _withstands(client: S3Client, bucket: str, version: str, retention: Retention) -> bool:
    """Whether this version is retained and neither shortening nor deleting moves it; otherwise it is deleted."""
    place: dict[str, Any] = {"Bucket": bucket, "Key": _LOCK_TRIAL, "VersionId": version}
    forced: dict[str, Any] = {"BypassGovernanceRetention": True} if retention.mode is LockMode.GOVERNANCE else {}
    until = _retained_until(client, place)
    if until is not None:
        sooner = {"Mode": retention.mode.value, "RetainUntilDate": until - timedelta(seconds=1)}
        client.call("put_object_retention", **place, Retention=sooner, expected=_REFUSED, **forced)
    client.call("delete_object", **place, expected=_REFUSED, **forced)
    return until is not None and _retained_until(client, place) == until


def _retained_until(client: S3Client, place: dict[str, Any]) -> datetime | None:
    answer = client.call("head_object", **place, expected=MISSING)
    until = answer.get("ObjectLockRetainUntilDate") if answer is not None else None
    return until if isinstance(until, datetime) and until > datetime.now(UTC) else None
