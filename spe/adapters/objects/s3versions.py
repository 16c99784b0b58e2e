"""Every version of a key: what a bucket with versioning keeps when an object is deleted or written over.

A deletion there only hides the object; to erase it, each version has to go.
"""

from dataclasses import dataclass
from datetime import datetime

from spe.adapters.objects.s3client import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version; a marker says that the object is deleted and holds no bytes."""

    key: str
    id: str
    made: datetime
    latest: bool
    marker: bool


def versions(client: S3Client, bucket: str, prefix: str) -> list[Version]:
    """All versions of the keys that begin so, oldest first."""
    tokens = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
    found = [
        Version(
            key=row["Key"],
            id=row["VersionId"],
            made=row["LastModified"],
            latest=bool(row["IsLatest"]),
            marker=kind == "DeleteMarkers",
        )
        for page in client.pages("list_object_versions", tokens, Bucket=bucket, Prefix=prefix)
        for kind in ("Versions", "DeleteMarkers")
        for row in page.get(kind, ())
    ]
    return sorted(found, key=lambda version: (version.key, version.latest, version.made))


def erase(client: S3Client, bucket: str, key: str) -> bool:
    """Delete the object for good; whether it was there to be seen.

    The version that is seen goes last, so that no older one shows itself meanwhile and a broken
    attempt leaves something to repeat.
    """
    found = [version for version in versions(client, bucket, key) if version.key == key]
    for version in found:
        client.must("delete_object", Bucket=bucket, Key=key, VersionId=version.id)
    return any(version.latest and not version.marker for version in found)
