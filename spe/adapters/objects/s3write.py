"""One spooled file into a bucket: whole in one request, or in parts that become visible together.

The service is given the SHA-256 of what it receives and refuses anything else. A write that asks to be
the first answers whether it was. An upload in parts that does not end well is aborted; one whose
abort was lost with its process is found by its age.
"""

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from spe.adapters.objects.s3client import MEBIBYTE, S3Client
from spe.adapters.objects.s3errors import NOT_FIRST, UNKNOWN_CALL
from spe.adapters.objects.s3settings import Retention
from spe.adapters.objects.s3streams import Part
from spe.domain.canonical import HEX_DIGEST
from spe.domain.errors import Corrupt, SpeError, Unavailable
from spe.ports.objects import Stored

WHOLE = 32 * MEBIBYTE
"""Up to this size an object is one request, whose SHA-256 the service compares with its name."""
PART = 16 * MEBIBYTE
_MOST_PARTS = 10_000
_LOST = frozenset({"NoSuchUpload"})  # completed by an earlier attempt whose answer was lost, or swept
STALE = timedelta(days=1)
"""Age from which an unfinished upload has no writer any more: each is over within its deadlines."""


def write(
    client: S3Client,
    bucket: str,
    key: str,
    spool: IO[bytes],
    stored: Stored,
    *,
    first: bool,
    retention: Retention | None,
    now: datetime,
) -> bool:
    """Store the spooled bytes under the key. False when `first` and something may be there already."""
    held = lock(retention, now)
    if stored.size <= WHOLE:
        return _whole(client, bucket, key, spool, stored, first=first, held=held)
    return _parts(client, bucket, key, spool, stored, first=first, held=held)


def lock(retention: Retention | None, now: datetime) -> dict[str, Any]:
    """The arguments that make a new object resist deletion."""
    if retention is None:
        return {}
    return {"ObjectLockMode": retention.mode.value, "ObjectLockRetainUntilDate": now + retention.length}


def base64_of(digest: bytes) -> str:
    """A digest in the form of the service's headers."""
    return base64.b64encode(digest).decode("ascii")


def _whole(
    client: S3Client, bucket: str, key: str, spool: IO[bytes], stored: Stored, *, first: bool, held: Mapping[str, Any]
) -> bool:
    deadline = client.deadline(stored.size)
    arguments: dict[str, Any] = {
        "Bucket": bucket,
        "Key": key,
        "Body": Part(spool, 0, stored.size, deadline),
        "ContentLength": stored.size,
        "ChecksumSHA256": base64_of(bytes.fromhex(stored.digest)),
        "deadline": deadline,
        **held,
    }
    if not first:
        client.must("put_object", **arguments)
        return True
    try:
        return client.call("put_object", **arguments, IfNoneMatch="*", expected=NOT_FIRST, attempts=1) is not None
    except Unavailable:
        return False  # some services say no before they have read, and hang up: whoever looks learns which it was


def _parts(
    client: S3Client, bucket: str, key: str, spool: IO[bytes], stored: Stored, *, first: bool, held: Mapping[str, Any]
) -> bool:
    place: dict[str, Any] = {"Bucket": bucket, "Key": key}
    upload = client.must("create_multipart_upload", **place, ChecksumAlgorithm="SHA256", **held)["UploadId"]
    try:
        parts = [
            _part(client, place, upload, number, spool, start, size)
            for number, (start, size) in enumerate(_cut(stored.size), start=1)
        ]
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if first else {}
        answer = client.call(
            "complete_multipart_upload",
            **place,
            **condition,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
            expected=(NOT_FIRST if first else frozenset()) | _LOST,
            deadline=client.deadline(stored.size),  # some services copy the parts together
        )
    except BaseException:
        with contextlib.suppress(SpeError):  # the sweep finds it then
            abort(client, bucket, key, upload)
        raise
    if answer is None:
        abort(client, bucket, key, upload)
        return False
    _compare(answer.get("ChecksumSHA256"), parts)
    return True


def _cut(size: int) -> Iterator[tuple[int, int]]:
    """(start, size) of each part."""
    step = max(PART, -(-size // _MOST_PARTS))
    return ((start, min(step, size - start)) for start in range(0, size, step))


def _part(
    client: S3Client, place: Mapping[str, Any], upload: str, number: int, spool: IO[bytes], start: int, size: int
) -> dict[str, Any]:
    deadline = client.deadline(size)
    body = Part(spool, start, size, deadline)
    digest = hashlib.sha256()
    while piece := body.read(MEBIBYTE):
        digest.update(piece)
    checksum = base64_of(digest.digest())
    answer = client.must(
        "upload_part",
        **place,
        UploadId=upload,
        PartNumber=number,
        Body=body,
        ContentLength=size,
        ChecksumSHA256=checksum,
        deadline=deadline,
    )
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


def _compare(told: str | None, parts: list[dict[str, Any]]) -> None:
    """The service's checksum of the whole, where it gives one: the hash of the parts' hashes."""
    joined = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in parts)
    ours = base64_of(hashlib.sha256(joined).digest())
    if told and told.partition("-")[0] != ours:
        raise Corrupt(
            "The object store put the parts of an object together wrongly; do not use it before it is mended."
        )


def abort(client: S3Client, bucket: str, key: str, upload: str) -> None:
    """Give an upload up, with its parts; repeating it is fine."""
    client.call("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload, expected=_LOST | {"404"})


def sweep(client: S3Client, bucket: str, *, older: timedelta = STALE) -> int:
    """Abort uploads of objects of ours that nobody ends any more; how many."""
    before, swept = datetime.now(UTC) - older, 0
    tokens = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
    for page in client.pages("list_multipart_uploads", tokens, expected=UNKNOWN_CALL, Bucket=bucket):
        for upload in page.get("Uploads", ()):
            prefix, _, digest = upload["Key"].partition("/")
            if HEX_DIGEST.fullmatch(digest) and prefix == digest[:2] and upload["Initiated"] <= before:
                abort(client, bucket, upload["Key"], upload["UploadId"])
                swept += 1
    return swept
