"""Where the object service is and what is asked of it: plain values, checked when they are made.

One bucket per zone, because retention, object lock and rights belong to buckets: a site gives airlock
and releases different ones. Everything that decides where bytes or keys go is said here, never found
in the environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from spe.domain.errors import Invalid
from spe.ports.objects import PASSING, Zone

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class LockMode(StrEnum):
    """How firm a retention is: nobody may lift compliance, a right of its own lifts governance."""

    COMPLIANCE = "COMPLIANCE"
    GOVERNANCE = "GOVERNANCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long an object resists deletion, counted from the last time it was stored."""

    length: timedelta
    mode: LockMode = LockMode.COMPLIANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """The service and its buckets. Raises `Invalid` with one sentence per wrong field."""

    buckets: Mapping[Zone, str]
    """One bucket for each zone, all different."""
    endpoint: str = ""
    """`https://host:port`; empty: the endpoint of the region."""
    region: str = "us-east-1"
    path_style: bool = True
    """Buckets in the path (most servers), not in the host name."""
    ca_file: Path | None = None
    """Authorities that may vouch for the endpoint; None: those of the client library."""
    access_key: str = ""
    """Empty: the client library's own chain (environment, files, web identity, container)."""
    secret_key: str = field(default="", repr=False)
    instance_metadata: bool = False
    """Whether that chain may ask the machine's metadata address."""
    account: str = ""
    """Account number that must own the buckets; empty: any. A bucket somebody else made then answers no."""
    retention: Mapping[Zone, Retention] = field(default_factory=dict)
    """Retention sent with each object of a zone; its bucket then needs object lock."""
    spool: Path | None = None
    """Folder for files on their way, which are nameless; None: the system's temporary folder."""
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    """Longest silence of the service."""
    attempts: int = 3
    """How often a call is sent at most."""
    deadline_seconds: float = 60.0
    """Longest time for one call with all its attempts; a call that carries bytes has a second more per mebibyte."""

    def __post_init__(self) -> None:
        wrong = dict(self._wrong())
        if wrong:
            raise Invalid(wrong)

    def _wrong(self) -> list[tuple[str, str]]:
        return [(name, sentence) for name, sentence, fits in self._demands() if not fits]

    def _demands(self) -> list[tuple[str, str, bool]]:
        url = urlsplit(self.endpoint)
        secure = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
        plain = not (url.path.strip("/") or url.query or url.fragment or url.username)
        names = list(self.buckets.values())
        numbers = (self.connect_seconds, self.read_seconds, self.attempts, self.deadline_seconds)
        return [
            ("endpoint", "Give https://host:port; plain http only on loopback.", not self.endpoint or secure),
            ("endpoint", "Give scheme, host and port only.", plain),
            ("buckets", f"Name one bucket for each of {', '.join(Zone)}.", set(self.buckets) == set(Zone)),
            ("buckets", "Give each zone a bucket of its own.", len(set(names)) == len(names)),
            ("buckets", "Use bucket names of S3's form.", all(_BUCKET.fullmatch(name) for name in names)),
            ("access_key", "Give both keys, or neither.", bool(self.access_key) == bool(self.secret_key)),
            (
                "retention",
                "Objects of airlock and views are deleted; retain others.",
                not PASSING & set(self.retention),
            ),
            ("retention", "Give a length.", all(kept.length > timedelta() for kept in self.retention.values())),
            ("timeouts", "Give numbers above zero.", all(number > 0 for number in numbers)),
        ]
