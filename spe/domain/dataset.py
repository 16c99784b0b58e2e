"""Datasets and their sealed versions: a manifest of files with a digest, and what the data needs.

A version is the unit of approval (HealthDCAT-AP dataset distribution). Its digest is the SHA-256 of
the manifest's canonical text, so one changed byte in one file makes another version.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath

from spe.domain.ids import DatasetId


class Guarantee(StrEnum):
    """What an adapter may promise and a dataset may need (DESIGN: adapters state, policies need)."""

    NO_NETWORK = "no-network"
    READ_ONLY_DATA = "read-only-data"
    PRIVATE_PROCESSES = "private-processes"
    USER_NAMESPACE = "user-namespace"
    SEPARATE_KERNEL = "separate-kernel"
    RESOURCE_LIMITS = "resource-limits"
    PIXEL_STREAM = "pixel-stream"


class AccessMode(StrEnum):
    """How people see a workspace: in their own browser (`direct`), or as pixels (`streamed`)."""

    DIRECT = "direct"
    STREAMED = "streamed"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ManifestFile:
    """One file of a version: relative path, size in bytes, SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or self.path.startswith("/") or ".." in parts or "\0" in self.path:
            raise ValueError(f"not a relative path: {self.path!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a version, sorted by path."""

    files: tuple[ManifestFile, ...]

    @classmethod
    def of(cls, files: Iterable[ManifestFile]) -> "Manifest":
        """A manifest of the files, sorted."""
        return cls(files=tuple(sorted(files)))

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(f.size for f in self.files)

    @property
    def digest(self) -> str:
        """`sha256:` and the digest of the canonical text."""
        text = json.dumps([[f.path, f.size, f.sha256] for f in self.files], separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """A sealed version of a dataset; `source` says where the adapter finds the bytes."""

    dataset: DatasetId
    number: str
    title: str
    holder: str
    description: str
    manifest: Manifest
    source: str
    needs: frozenset[Guarantee]
    access_modes: frozenset[AccessMode]
    disclosure_policy: str
    profile: str | None
    registered_at: datetime
    registered_by: str
    withdrawn: bool = False
    version: int = 0

    @property
    def key(self) -> str:
        """`dataset/number`, the name a permit uses."""
        return f"{self.dataset}/{self.number}"

    @property
    def mount(self) -> str:
        """Where the version appears in a workspace."""
        return f"/data/{self.dataset}/{self.number}"
