"""Making the buckets as they should be, and saying in sentences what is still missing.

Run by an operator with an access key that may make and configure buckets; the platform's own key needs less.
Everything may be repeated: what is right already stays, and no object is touched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from spe.adapters.objects.s3client import S3Client
from spe.adapters.objects.s3errors import DENIED, MISSING, UNKNOWN_CALL
from spe.adapters.objects.s3observe import KEPT, TRIALS, has_lock, has_versions, observe
from spe.adapters.objects.s3settings import LockMode, S3Settings
from spe.ports.objects import PASSING, StoreGuarantee, Zone

_OURS_ALREADY = frozenset({"BucketAlreadyOwnedByYou"})
_LATE = UNKNOWN_CALL | {"InvalidBucketState", "InvalidRequest", "InvalidArgument", "MalformedXML"}
_BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
_NO_POLICY = UNKNOWN_CALL | {"NoSuchBucketPolicy"}

_ON_BUCKET = (
    "ListBucket",
    "ListBucketVersions",
    "ListBucketMultipartUploads",
    "GetBucketVersioning",
    "GetBucketObjectLockConfiguration",
)
_ON_OBJECTS = ("GetObject", "GetObjectVersion", "PutObject", "AbortMultipartUpload")
_DELETE = ("DeleteObject", "DeleteObjectVersion")
_RETAIN = ("PutObjectRetention", "GetObjectRetention")

Sentences: TypeAlias = Iterator[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was done and what a person has still to mend, one sentence each; and what the store then guarantees."""

    done: tuple[str, ...]
    missing: tuple[str, ...]
    guarantees: frozenset[StoreGuarantee]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    client: S3Client
    stranger: S3Client
    settings: S3Settings
    done: list[str]


def prepare(settings: S3Settings) -> Prepared:
    """Make and check the bucket of every zone. Raises `Unavailable` when the service or a right for it is missing."""
    site = _Site(client=S3Client(settings), stranger=S3Client(settings, anonymous=True), settings=settings, done=[])
    missing = [sentence for zone in Zone for step in _STEPS for sentence in step(site, zone)]
    seen = observe(site.client, settings)
    missing.extend(_unlocked(settings, seen.locked))
    if not seen.conditional:
        site.done.append("The service knows no conditional writes; each write looks first instead.")
    if not seen.verified:
        site.done.append("The service does not compare SHA-256 checksums; each write is read back instead.")
    return Prepared(done=tuple(site.done), missing=tuple(missing), guarantees=seen.guarantees)


def _make(site: _Site, zone: Zone) -> Sentences:
    bucket = site.settings.buckets[zone]
    if site.client.call("head_bucket", Bucket=bucket, expected=MISSING) is not None:
        return
    wanted: dict[str, Any] = {"Bucket": bucket}
    if site.settings.region != "us-east-1":
        wanted["CreateBucketConfiguration"] = {"LocationConstraint": site.settings.region}
    locked: dict[str, Any] = {"ObjectLockEnabledForBucket": True} if zone in KEPT else {}
    if site.client.call("create_bucket", **wanted, **locked, expected=_OURS_ALREADY | _LATE) is None:
        site.client.call("create_bucket", **wanted, expected=_OURS_ALREADY)
    site.done.append(f"Made the bucket {bucket} for the {zone} zone.")
    yield from ()


def _version(site: _Site, zone: Zone) -> Sentences:
    bucket = site.settings.buckets[zone]
    if has_versions(site.client, bucket):
        return
    enabled = {"Status": "Enabled"}
    site.client.call(
        "put_bucket_versioning",
        Bucket=bucket,
        VersioningConfiguration=enabled,
        expected=_LATE | {"VersioningNotConfigured"},
    )
    if has_versions(site.client, bucket):
        site.done.append(f"Switched versioning on for {bucket}.")
    else:
        yield (
            f"The bucket {bucket} keeps no versions: who may write there can destroy its objects unseen until they "
            "are read. Use a service with versioning, or keep backups of it."
        )


def _lock(site: _Site, zone: Zone) -> Sentences:
    bucket = site.settings.buckets[zone]
    if zone not in KEPT or has_lock(site.client, bucket):
        return
    site.client.call(
        "put_object_lock_configuration",
        Bucket=bucket,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"},
        expected=_LATE | DENIED,
    )
    if has_lock(site.client, bucket):
        site.done.append(f"Switched object lock on for {bucket}.")
    else:
        yield (
            f"The bucket {bucket} has no object lock, so an administrator of the service can delete what it holds. "
            "Many services switch it on only when a bucket is made: name a new bucket, or use a service that has it."
        )


def _close(site: _Site, zone: Zone) -> Sentences:
    bucket = site.settings.buckets[zone]
    site.client.call(
        "put_public_access_block",
        Bucket=bucket,
        PublicAccessBlockConfiguration=_BLOCKED,
        expected=UNKNOWN_CALL | {"MalformedXML"},
    )
    status = site.client.call("get_bucket_policy_status", Bucket=bucket, expected=_NO_POLICY)
    stated = status is not None and status.get("PolicyStatus", {}).get("IsPublic")
    seen = site.stranger.call("list_objects_v2", Bucket=bucket, MaxKeys=1, expected=DENIED) is not None
    if stated or seen:
        yield f"The bucket {bucket} is open to anybody. Remove its public policy and grants before it is used."


def policy(settings: S3Settings, principal: str) -> dict[Zone, dict[str, Any]]:
    """One bucket policy per zone: what the platform's own access key needs there, and no more.

    Where objects are kept it may add but neither delete nor lift a retention; only the object that shows the lock may
    be tried. `principal` is the key's owner as the service names it.
    """
    return {zone: _policy(settings, zone, principal) for zone in Zone}


def _policy(settings: S3Settings, zone: Zone, principal: str) -> dict[str, Any]:
    bucket = f"arn:aws:s3:::{settings.buckets[zone]}"
    rows = [(bucket, _ON_BUCKET), (f"{bucket}/*", _ON_OBJECTS)]
    if zone in PASSING:
        rows.append((f"{bucket}/*", _DELETE))
    if zone in settings.retention:
        rows += [(f"{bucket}/*", _RETAIN), (f"{bucket}/{TRIALS}*", _DELETE)]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [principal]},
                "Action": [f"s3:{action}" for action in actions],
                "Resource": [resource],
            }
            for resource, actions in rows
        ],
    }


_STEPS: tuple[Callable[[_Site, Zone], Sentences], ...] = (_make, _version, _lock, _close)


def _unlocked(settings: S3Settings, locked: frozenset[Zone]) -> Sentences:
    for zone in sorted(KEPT - locked):
        bucket, retention = settings.buckets[zone], settings.retention.get(zone)
        if retention is None:
            yield f"No retention is set for the {zone} zone, so objects in {bucket} are not held; set one."
        elif retention.mode is LockMode.GOVERNANCE:
            yield (
                f"An object under retention in {bucket} did not resist this access key, which may lift governance; "
                "use compliance, or a key without s3:BypassGovernanceRetention."
            )
        else:
            yield f"An object under retention in {bucket} did not resist deletion; do not rely on this service's lock."
