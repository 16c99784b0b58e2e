"""Finds ACRO's output folders among the files of a request and gathers what their checks compare."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from spe.disclosure.content import AcroFolder, Unreadable

_MANIFEST: Final = "results.json"
_CHECKSUMS: Final = "checksums"
_MAX_EVIDENCE: Final = 16 * 1024 * 1024


def is_acro_evidence(path: str) -> bool:
    """Whether the bytes of this file are needed to judge an ACRO folder."""
    parts = PurePosixPath(path).parts
    return parts[-1] == _MANIFEST or (len(parts) > 1 and parts[-2] == _CHECKSUMS)


def acro_folders(digests: Mapping[str, str], evidence: Mapping[str, bytes]) -> Iterator[AcroFolder]:
    """Each folder that holds a manifest with results, or a manifest beside a folder of checksums."""
    for path in sorted(evidence):
        if PurePosixPath(path).name != _MANIFEST:
            continue
        prefix = path[: -len(_MANIFEST)]
        checksums = _checksums(prefix, evidence)
        results = _parsed(evidence[path])
        if checksums or (isinstance(results, Mapping) and isinstance(results.get("results"), Mapping)):
            below = {name[len(prefix) :]: digest for name, digest in digests.items() if name.startswith(prefix)}
            inside = {name: digest for name, digest in below.items() if _belongs(name)}
            yield AcroFolder(prefix=prefix, results=results, digests=inside, checksums=checksums)


def _belongs(name: str) -> bool:
    """ACRO writes files beside its manifest and into `checksums`; the declaration is nobody's output."""
    return name != "egress.yaml"


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data) if len(data) <= _MAX_EVIDENCE else Unreadable(rule="TYP-06", reason="too large")
    except (ValueError, RecursionError):
        return Unreadable(rule="TYP-06", reason="not JSON")


def _checksums(prefix: str, evidence: Mapping[str, bytes]) -> dict[str, str]:
    start = f"{prefix}{_CHECKSUMS}/"
    return {
        path[len(start) : -len(".txt")]: data.decode("ascii", "replace")
        for path, data in evidence.items()
        if path.startswith(start) and path.endswith(".txt") and "/" not in path[len(start) :]
    }
