"""The one way to the object service: a client that goes nowhere but to its endpoint, and no longer than its deadline.

The library's own retries, redirects, proxies and look-ups are off; calls are repeated here, where the
total time is known. `Any` of the untyped library ends in this module.
"""

import io
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import count
from typing import Any, TypeAlias

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader

from spe.adapters.objects.s3errors import code_of, spoken, transient
from spe.adapters.objects.s3settings import S3Settings
from spe.adapters.objects.s3streams import Deadline

Answer: TypeAlias = Mapping[str, Any]

MEBIBYTE = 1024 * 1024
_FIRST_PAUSE = 0.2  # seconds; doubled each time, with full jitter


class S3Client:
    """Calls by the library's names (`put_object`, …) with the library's arguments."""

    def __init__(self, settings: S3Settings, *, anonymous: bool = False) -> None:
        self._settings = settings
        self._anonymous = anonymous
        self._made: Any = None
        self._making = threading.Lock()

    def _client(self) -> Any:
        with self._making:  # making one is not safe among threads, using it is
            if self._made is None:
                self._made = connect(self._settings, anonymous=self._anonymous)
            return self._made

    def call(
        self,
        operation: str,
        *,
        expected: frozenset[str] = frozenset(),
        deadline: Deadline | None = None,
        attempts: int = 0,
        **arguments: Any,
    ) -> Answer | None:
        """The answer, or None when the service answered with one of the `expected` error codes.

        Everything else raises `Unavailable` (after bounded retries where they may help) or `Corrupt`.
        """
        deadline, attempts = deadline or self.deadline(), attempts or self._settings.attempts
        if self._settings.account and operation != "create_bucket":
            arguments["ExpectedBucketOwner"] = self._settings.account
        for attempt in count(1):
            deadline.check()
            if isinstance(arguments.get("Body"), io.IOBase):
                arguments["Body"].seek(0)
            try:
                answer: Answer = getattr(self._client(), operation)(**arguments)
            except (BotoCoreError, ClientError) as error:
                if code_of(error) in expected:
                    return None
                pause = _FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311 - no secret
                if not transient(error) or attempt >= attempts or pause > deadline.left:
                    raise spoken(error, operation=operation, bucket=str(arguments.get("Bucket"))) from error
                time.sleep(pause)
            else:
                return answer
        raise AssertionError

    def must(self, operation: str, **arguments: Any) -> Answer:
        """`call` where no error code is expected."""
        answer = self.call(operation, **arguments)
        assert answer is not None
        return answer

    def pages(self, operation: str, tokens: Mapping[str, str], **arguments: Any) -> Iterator[Answer]:
        """Every page of a listing; `tokens` maps the next call's argument to this answer's field."""
        while (answer := self.call(operation, **arguments)) is not None:
            yield answer
            if not answer.get("IsTruncated"):
                return
            arguments.update({argument: answer[field] for argument, field in tokens.items()})

    def deadline(self, size: int = 0) -> Deadline:
        """For a call that carries `size` bytes."""
        return Deadline(self.seconds(size))

    def seconds(self, size: int = 0) -> float:
        """The longest time for a call that carries `size` bytes: a mebibyte per second on top."""
        return self._settings.deadline_seconds + size / MEBIBYTE


def connect(settings: S3Settings, *, anonymous: bool) -> Any:
    """The library's client. It reads files and environment only for keys, and only where none are given."""
    session = boto3.Session(botocore_session=_session(settings))
    client = session.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint or None,
        verify=str(settings.ca_file) if settings.ca_file else True,
        aws_access_key_id=settings.access_key or None,
        aws_secret_access_key=settings.secret_key or None,
        config=Config(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.read_seconds,
            retries={"mode": "standard", "total_max_attempts": 1},
            proxies={},
            max_pool_connections=32,
            tcp_keepalive=True,
            signature_version=UNSIGNED if anonymous else "s3v4",
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
            defaults_mode="legacy",
            ignore_configured_endpoint_urls=True,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            use_dualstack_endpoint=False,
        ),
    )
    client.meta.events.register("before-call.s3", _stay)
    return client


@cache
def _models() -> Any:
    """The library's description of the service, half a second of reading, once for all clients."""
    return create_loader()


def _session(settings: S3Settings) -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    values = session.get_component("config_store")
    values.set_config_variable("csm_enabled", False)
    if settings.access_key:
        values.set_config_variable("config_file", os.devnull)
        values.set_config_variable("credentials_file", os.devnull)
        values.set_config_variable("profile", None)
    if not settings.instance_metadata:
        session.get_component("credential_provider").remove("iam-role")
    return session


def _stay(params: dict[str, Any], **_: Any) -> None:
    """Call the request redirected already, so that the library does not follow the service to another place."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True
