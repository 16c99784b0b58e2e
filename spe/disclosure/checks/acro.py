"""Folders written by ACRO: evidence from the workspace, never a verdict (disclosure notes, sections 1.11 and 2).

ACRO's own loader accepts only its own version and its checksums are not signed, so the manifest is read
here, and what it says is compared with what is on disk.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spe.disclosure.content import AcroFolder, Hit, Unreadable
from spe.disclosure.parameters import Nothing
from spe.disclosure.registry import check
from spe.domain.verdict import Severity

_VERSION: Final = re.compile(r"(0\.4|1\.0)\.\d+")
_OWN: Final = re.compile(r"results\.json|config\.json|session_summary\.(json|csv)|checksums/.+")
_UNSIGNED: Final = frozenset({"config.json"})


@check(
    "ACR-01",
    applies_to=AcroFolder,
    parameters=Nothing,
    severity=Severity.REFER,
    sentence="The manifest of an ACRO folder can be read and is of version 0.4 or 1.0.",
    remedy="Write the outputs again with `finalise` of a supported ACRO version.",
)
def manifest(folder: AcroFolder, _: Nothing) -> Iterator[Hit]:
    """`results.json` with a version and results that list files; other versions are judged by people."""
    path = f"{folder.prefix}results.json"
    if isinstance(folder.results, Unreadable) or _results(folder) is None:
        yield Hit(text="the manifest cannot be read as one of ACRO's", path=path)
        return
    version = folder.results.get("version") if isinstance(folder.results, Mapping) else None
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        yield Hit(text="the manifest is of a version that is not known here", path=path)


@check(
    "ACR-02",
    applies_to=AcroFolder,
    parameters=Nothing,
    sentence="An ACRO folder holds exactly the files that its manifest lists.",
    remedy="Add the file through ACRO (`custom_output`), or take it out of the folder; do not edit the manifest.",
)
def listed_files(folder: AcroFolder, _: Nothing) -> Iterator[Hit]:
    """A file beside the manifest was never seen by ACRO; a listed file that is missing is not what was checked."""
    results = _results(folder)
    if results is None:
        return
    listed = set(_names(results))
    for name in sorted(folder.digests):
        if name not in listed and _OWN.fullmatch(name) is None:
            yield Hit(text="ACRO's manifest does not list this file", path=folder.prefix + name)
    missing = sorted(name for name in listed if name not in folder.digests)
    for _name in missing:
        yield Hit(text="the manifest lists a file that is not there", path=f"{folder.prefix}results.json")


@check(
    "ACR-03",
    applies_to=AcroFolder,
    parameters=Nothing,
    sentence="Each file of an ACRO folder has the checksum that ACRO wrote for it.",
    remedy="Do not change outputs after `finalise`; write them again from ACRO.",
)
def checksums(folder: AcroFolder, _: Nothing) -> Iterator[Hit]:
    """The checksums are not signed: they show accidents, not intent, and a mismatch is a block all the same."""
    for name, digest in sorted(folder.digests.items()):
        if name in _UNSIGNED or name.startswith("checksums/"):
            continue
        written = folder.checksums.get(name)
        if written is None:
            yield Hit(text="ACRO wrote no checksum for this file", path=folder.prefix + name)
        elif written.strip().lower() != digest:
            yield Hit(text="the file is not the one that ACRO wrote: its checksum differs", path=folder.prefix + name)
    for name in sorted(set(folder.checksums) - set(folder.digests)):
        yield Hit(text="there is a checksum for a file that is not there", path=f"{folder.prefix}checksums/{name}.txt")


def _results(folder: AcroFolder) -> Mapping[str, Any] | None:
    results = folder.results.get("results") if isinstance(folder.results, Mapping) else None
    return (
        results if isinstance(results, Mapping) and all(isinstance(one, Mapping) for one in results.values()) else None
    )


def _names(results: Mapping[str, Any]) -> Iterator[str]:
    for result in results.values():
        files = result.get("files")
        for file in files if isinstance(files, list) else ():
            if isinstance(file, Mapping) and isinstance(file.get("name"), str):
                yield file["name"]
