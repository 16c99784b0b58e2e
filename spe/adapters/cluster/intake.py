"""The manifest of what is mounted, told by a pod to the portal.

`python -I -m spe.adapters.cluster.intake` is the pod's side. The files go to the log, one a line, in one burst at the
end; count and digest go to the cluster's own record of how the container ended. A log can be cut short, and others can
write into it, so what is read counts only when both agree. Standard library and domain only, and the walk that every
adapter uses.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spe.adapters.cluster.folder import manifest_of
from spe.domain.dataset import Manifest, ManifestFile
from spe.domain.errors import Invalid, Unavailable

PLACE = "/data"
WORDS = "/dev/termination-log"
_LONGEST_SENTENCE = 800
_SHA256 = re.compile(r"[0-9a-f]{64}")


def main(place: str = PLACE, words: str = WORDS) -> int:
    """Hash, print, and leave the last words; exit status 0 also for what is no dataset."""
    try:
        manifest = manifest_of(Path(place))
    except Invalid as error:
        last: dict[str, Any] = {"invalid": " ".join(error.fields.values())[:_LONGEST_SENTENCE]}
    else:
        sys.stdout.writelines(rows(manifest))
        sys.stdout.flush()
        last = {"files": len(manifest.files), "digest": manifest.digest}
    with open(words, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(last, ensure_ascii=False))
    return 0


def rows(manifest: Manifest) -> Iterator[str]:
    """Each file as a line of JSON in ASCII: path, size, SHA-256."""
    return (json.dumps([file.path, file.size, file.sha256]) + "\n" for file in manifest.files)


def told(log: bytes, last: Mapping[str, Any], source: str) -> Manifest:
    """The manifest of a source from a pod's log and last words.

    Raises `Invalid` for the field `folder` when the pod found no dataset there, `Unavailable` when log and last words
    do not agree to the byte.
    """
    invalid = last.get("invalid")
    if isinstance(invalid, str):
        raise Invalid({"folder": _of(source, invalid)})
    try:
        manifest = Manifest.of(_file(line) for line in log.splitlines())
    except (ValueError, RecursionError) as error:
        raise Unavailable("cluster", "the list of files arrived damaged") from error
    if (len(manifest.files), manifest.digest) != (last.get("files"), last.get("digest")) or not manifest.files:
        count = last.get("files")
        raise Unavailable("cluster", f"the list of files arrived incomplete: {len(manifest.files)} of {count}")
    return manifest


def _of(source: str, sentence: str) -> str:
    """The sentence about the source rather than the place where it was mounted; paths of files are relative."""
    return source + sentence.removeprefix(PLACE) if sentence.startswith(f"{PLACE} ") else sentence


def _file(line: bytes) -> ManifestFile:
    found = json.loads(line)
    if not isinstance(found, list) or [type(part) for part in found] != [str, int, str]:
        raise ValueError("not a file of a manifest")
    path, size, sha256 = found
    if size < 0 or not _SHA256.fullmatch(sha256):
        raise ValueError("not a size and a digest")
    return ManifestFile(path=path, size=size, sha256=sha256)


if __name__ == "__main__":
    sys.exit(main())
