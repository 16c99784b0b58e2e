"""Buckets of a test's own at the object service that the environment names, made as an operator makes them.

They are emptied and removed afterwards, whatever the test did: retention in governance mode is lifted by the
test's own key, and one in compliance mode has to be so short that it can be waited for.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from spe.adapters.objects.s3 import S3Objects
from spe.adapters.objects.s3settings import LockMode, Retention, S3Settings
from spe.adapters.objects.s3setup import Prepared, prepare
from spe.ports.objects import Zone
from tests.support import servers

HOUR = Retention(length=timedelta(hours=1), mode=LockMode.GOVERNANCE)
GOVERNED: Mapping[Zone, Retention] = {Zone.RELEASE: HOUR, Zone.EVIDENCE: HOUR}


def settings(**changes: Any) -> S3Settings:
    """The service of the environment, with bucket names that nobody else uses."""
    endpoint, region, key, secret, ca = servers.s3()
    prefix = f"spe-{secrets.token_hex(6)}"
    known: dict[str, Any] = {
        "buckets": {zone: f"{prefix}-{zone}" for zone in Zone},
        "endpoint": endpoint,
        "region": region,
        "access_key": key,
        "secret_key": secret,
        "ca_file": Path(ca),
    }
    return S3Settings(**(known | changes))


class Buckets:
    """The buckets of one test, and what an administrator of the service can do to them."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self.raw = raw(settings)
        try:
            self.prepared: Prepared = prepare(settings)
        except BaseException:
            self.clear()
            raise

    def store(self, **changes: Any) -> S3Objects:
        """A store over these buckets, as another process would make it."""
        return S3Objects(replace(self.settings, **changes))

    def place(self, zone: Zone, digest: str) -> dict[str, str]:
        return {"Bucket": self.settings.buckets[zone], "Key": f"{digest[:2]}/{digest}"}

    def damage(self, zone: Zone, digest: str, data: bytes) -> None:
        """Put other bytes under the object's name."""
        self.raw.put_object(**self.place(zone, digest), Body=data)

    def versions(self, zone: Zone, key: str = "") -> list[dict[str, Any]]:
        pages = self.raw.get_paginator("list_object_versions").paginate(Bucket=self.settings.buckets[zone], Prefix=key)
        return [row for page in pages for kind in ("Versions", "DeleteMarkers") for row in page.get(kind, ())]

    def uploads(self) -> list[str]:
        """Keys of uploads in parts that are not ended."""
        found = []
        for bucket in self.settings.buckets.values():
            found += [row["Key"] for row in self.raw.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
        return found

    def empty(self) -> None:
        """Remove every object."""
        for zone in self._there():
            bucket = self.settings.buckets[zone]
            for upload in self.raw.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
                self.raw.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            for row in self.versions(zone):
                self._remove(bucket, row["Key"], row["VersionId"])

    def clear(self) -> None:
        """Remove everything."""
        self.empty()
        for zone in self._there():
            self.raw.delete_bucket(Bucket=self.settings.buckets[zone])

    def _there(self) -> list[Zone]:
        names = {row["Name"] for row in self.raw.list_buckets()["Buckets"]}
        return [zone for zone, bucket in self.settings.buckets.items() if bucket in names]

    def _remove(self, bucket: str, key: str, version: str) -> None:
        until = time.monotonic() + 20
        while True:
            try:
                self.raw.delete_object(Bucket=bucket, Key=key, VersionId=version, BypassGovernanceRetention=True)
            except ClientError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return


def raw(settings: S3Settings) -> Any:
    """The library's own client, with every right the environment's key has."""
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        verify=str(settings.ca_file),
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


@contextmanager
def made(**changes: Any) -> Iterator[Buckets]:
    """Buckets for as long as the block lasts."""
    buckets = Buckets(settings(**changes))
    try:
        yield buckets
    finally:
        buckets.clear()
