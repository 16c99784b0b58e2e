"""Objects in buckets of an S3 service, one bucket per zone, under `<first two digits>/<digest>`.

The name is the digest, which is known when the last byte has passed; so bytes are hashed into a nameless local file
first and sent under their name afterwards. The other way, an upload under another name and a copy by the service,
would leave unreviewed bytes under names nobody looks for, let the service and not us read what it copies, and could
not be cleared from a bucket whose objects are retained.

What the service does for us (conditional writes, checksums, object lock) is tried out before the first use; where it
does less, the adapter looks and reads for itself.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from spe.adapters.objects.rules import PORT, check_entrance, check_passing, check_way, limited, name_of
from spe.adapters.objects.s3client import MEBIBYTE, S3Client
from spe.adapters.objects.s3errors import GONE, MISSING
from spe.adapters.objects.s3observe import Observed, observe
from spe.adapters.objects.s3settings import S3Settings
from spe.adapters.objects.s3streams import Download
from spe.adapters.objects.s3versions import erase
from spe.adapters.objects.s3write import write
from spe.adapters.objects.verified import VerifiedReader
from spe.domain.canonical import HEX_DIGEST
from spe.domain.errors import Corrupt, NotFound, Unavailable
from spe.ports.objects import DEFAULT_LIMIT, Stored, StoreGuarantee, Zone


class S3Objects:
    """An `ObjectStore` in the buckets of `settings`. Making one asks nothing of the service yet."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._client = S3Client(settings)
        self._seen: Observed | None = None
        self._looking = threading.Lock()
        self._failed: tuple[float, Unavailable] | None = None

    @property
    def guarantees(self) -> frozenset[StoreGuarantee]:
        """What was seen to hold. Raises `Unavailable` while nothing could be seen."""
        return self.observed().guarantees

    def observed(self) -> Observed:
        """What the service does; found out once, at the first use that succeeds.

        Whoever waited while another found no answer is told the same, so that a silent service holds up nobody twice.
        """
        arrived = time.monotonic()
        with self._looking:
            if self._seen is not None:
                return self._seen
            if self._failed and self._failed[0] >= arrived:
                raise self._failed[1].with_traceback(None)
            try:
                self._seen = observe(self._client, self._settings)
            except Unavailable as error:
                self._failed = time.monotonic(), error
                raise
            return self._seen

    def put(self, zone: Zone, chunks: Iterable[bytes], *, limit: int = DEFAULT_LIMIT) -> Stored:
        """See `ObjectStore.put`."""
        check_entrance(zone)
        return self._keep(zone, limited(chunks, limit), expected=None)

    def open(self, zone: Zone, digest: str) -> VerifiedReader:
        """See `ObjectStore.open`."""
        answer = self._client.call("get_object", **self._place(zone, digest), expected=GONE)
        if answer is None:
            raise NotFound(f"There is no object {digest} in the {zone} zone.")
        size = int(answer["ContentLength"])
        body = Download(answer["Body"], size=size, seconds=self._client.seconds(size))
        try:
            return VerifiedReader(body, digest=digest, size=size, place=zone)
        except BaseException:
            body.close()
            raise

    def copy(self, digest: str, source: Zone, target: Zone) -> Stored:
        """See `ObjectStore.copy`. The bytes pass through this process: what is written is what was hashed here."""
        check_way(source, target)
        with self.open(source, digest) as reader:
            return self._keep(target, reader, expected=digest)

    def has(self, zone: Zone, digest: str) -> bool:
        """See `ObjectStore.has`."""
        place = self._place(zone, digest)
        if self._client.call("head_object", **place, expected=MISSING) is not None:
            return True
        if self._client.call("head_bucket", Bucket=place["Bucket"], expected=MISSING) is None:
            raise Unavailable(PORT, f"there is no bucket {place['Bucket']}; `spe objects setup` makes it")
        return False

    def delete(self, zone: Zone, digest: str) -> bool:
        """See `ObjectStore.delete`. Every version goes: deleted bytes are not kept under a marker."""
        check_passing(zone)
        place = self._place(zone, digest)
        return erase(self._client, place["Bucket"], place["Key"])

    def list(self, zone: Zone) -> Iterator[Stored]:
        """See `ObjectStore.list`. Keys that no object of ours can have are passed over."""
        last = ""
        tokens = {"ContinuationToken": "NextContinuationToken"}
        for page in self._client.pages("list_objects_v2", tokens, Bucket=self._settings.buckets[zone]):
            for row in page.get("Contents", ()):
                digest = row["Key"].rpartition("/")[2]
                if HEX_DIGEST.fullmatch(digest) is None or row["Key"] != name_of(digest):
                    continue
                if digest <= last:
                    raise Unavailable(PORT, "it lists a bucket out of order; use a general purpose bucket")
                last = digest
                yield Stored(digest=digest, size=int(row["Size"]))

    def _place(self, zone: Zone, digest: str) -> dict[str, Any]:
        return {"Key": name_of(digest), "Bucket": self._settings.buckets[Zone(zone)]}

    def _keep(self, zone: Zone, chunks: Iterable[bytes], *, expected: str | None) -> Stored:
        """Spool and hash, then store under the digest."""
        folder = self._settings.spool
        with tempfile.SpooledTemporaryFile(MEBIBYTE, dir=str(folder) if folder else None) as spool:
            stored = _fill(spool, chunks)
            if expected not in (None, stored.digest):
                raise Corrupt(f"The bytes read for {expected} have another digest; nothing was stored.")
            self._store(zone, spool, stored)
        return stored

    def _store(self, zone: Zone, spool: IO[bytes], stored: Stored) -> None:
        seen = self.observed()
        if zone in self._settings.retention and zone not in seen.retaining:
            bucket = self._settings.buckets[zone]
            raise Unavailable(PORT, f"the bucket {bucket} cannot retain objects; `spe objects setup` says what to mend")
        if (stored.size > MEBIBYTE or not seen.conditional) and self._is_there(zone, stored):
            return
        # Where something was in the way and nothing is there when looked at, it went meanwhile or a marker hides it.
        # What is sent has its digest, so writing to such a place puts nothing wrong there.
        wrote = seen.conditional and self._write(zone, spool, stored, first=True)
        if not wrote and not self._is_there(zone, stored):
            wrote = self._write(zone, spool, stored, first=False)
        if wrote and not seen.verified and not self._is_there(zone, stored):
            raise Unavailable(PORT, "an object was not there any more after it was stored")

    def _write(self, zone: Zone, spool: IO[bytes], stored: Stored, *, first: bool) -> bool:
        place = self._place(zone, stored.digest)
        return write(
            self._client,
            place["Bucket"],
            place["Key"],
            spool,
            stored,
            first=first,
            retention=self._settings.retention.get(zone),
            now=datetime.now(UTC),
        )

    def _is_there(self, zone: Zone, stored: Stored) -> bool:
        """Whether the object is there, read through and retained as long as a new one; `Corrupt` when it is another."""
        try:
            with self.open(zone, stored.digest) as there:
                for _ in there:
                    pass
        except NotFound:
            return False
        self._retain(zone, stored.digest)
        return True

    def _retain(self, zone: Zone, digest: str) -> None:
        """Let the retention of an object that is stored once more begin anew, as for a new one; it only grows."""
        retention = self._settings.retention.get(zone)
        if retention is None:
            return
        place, now = self._place(zone, digest), datetime.now(UTC)
        answer = self._client.must("head_object", **place)
        until, slack = answer.get("ObjectLockRetainUntilDate"), min(retention.length / 2, timedelta(days=1))
        if until is None or until < now + retention.length - slack:
            kept = {"Mode": retention.mode.value, "RetainUntilDate": now + retention.length}
            self._client.must("put_object_retention", **place, VersionId=answer["VersionId"], Retention=kept)


def _fill(spool: IO[bytes], chunks: Iterable[bytes]) -> Stored:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        with _spooling():
            spool.write(chunk)
    return Stored(digest=digest.hexdigest(), size=size)


@contextlib.contextmanager
def _spooling() -> Iterator[None]:
    """Turn the system's errors about the local file into the port's sentence."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise Unavailable(PORT, f"no room on the way to it ({reason}); free space in the spool folder") from error
