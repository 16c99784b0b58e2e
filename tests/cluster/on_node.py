"""Runs in a pod that sees the processes and the files of its node: which of some values lie where, never the values.

Told on standard input what to look for and which pods and images are looked at, as JSON; says where it found what.
Standard library only.
"""

import base64
import gzip
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

STORE = "/var/lib/containerd"
CHUNK = 4 * 1024**2
KERNELS = frozenset("tmpfs proc sysfs mqueue devpts cgroup cgroup2 overlay devtmpfs securityfs bpf".split())
Patterns = dict[str, list[bytes]]
Found = list[tuple[str, str]]


def within(data: bytes, patterns: Patterns) -> set[str]:
    """The names of the values that are in the data."""
    return {name for name, forms in patterns.items() if any(form in data for form in forms)}


def through(stream: BinaryIO, patterns: Patterns) -> set[str]:
    """The same for a stream of any length."""
    keep = max(len(form) for forms in patterns.values() for form in forms)
    found, rest = set(), b""
    while chunk := stream.read(CHUNK):
        found |= within(rest + chunk, patterns)
        rest = chunk[-keep:]
    return found


def processes(pods: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """Every process of the pods: the pod's name and the process's folder."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            group = (entry / "cgroup").read_text().replace("_", "-")
        except OSError:
            continue
        for uid, name in pods.items():
            if f"pod{uid}" in group:
                yield name, entry


def in_processes(pods: dict[str, str], patterns: Patterns) -> tuple[int, Found]:
    """Arguments and environment of every process."""
    found: Found = []
    count = 0
    for pod, folder in processes(pods):
        for part in ("cmdline", "environ"):
            try:
                data = (folder / part).read_bytes()
            except OSError:
                continue  # it ended meanwhile
            count += part == "environ"
            what = data.split(b"\0")[0].decode(errors="replace") if part == "cmdline" else "process"
            found += [(f"{pod}: {part} of {what}", name) for name in within(data, patterns)]
    return count, found


def in_files(pods: dict[str, str], patterns: Patterns) -> tuple[int, Found]:
    """Every file on a disk that a pod may write; what is in memory goes with the pod."""
    found: Found = []
    seen: set[tuple[int, int]] = set()
    for pod, folder in processes(pods):
        try:
            mounts = [line.split() for line in (folder / "mountinfo").read_text().splitlines()]
        except OSError:
            continue
        for mount in mounts:
            place, options, kind = mount[4], mount[5].split(","), mount[mount.index("-") + 1]
            if kind in KERNELS or "rw" not in options:
                continue
            for file in files(Path(f"{folder}/root{place}")):
                try:
                    known = (file.stat().st_dev, file.stat().st_ino)
                    if known in seen:
                        continue
                    seen.add(known)
                    with file.open("rb") as stream:
                        where = f"{pod}: {str(file).partition('/root')[2]}"
                        found += [(where, name) for name in through(stream, patterns)]
                except OSError:
                    continue
    return len(seen), found


def files(place: Path) -> Iterator[Path]:
    """Every plain file below a place, or the place itself."""
    if place.is_file():
        yield place
    for folder, _, names in os.walk(place):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                yield file


def store() -> Path:
    """Where the node's container runtime keeps images, by its own configuration."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if os.path.basename(words[0]) == b"containerd":
                place = Path(f"{entry}/root{root(entry, words)}/io.containerd.content.v1.content/blobs/sha256")
                if os.access(place, os.R_OK | os.X_OK):
                    return place
        except (OSError, ValueError):
            continue
    sys.exit("no container runtime with images is found on this node")


def root(process: Path, words: list[bytes]) -> str:
    """The folder of a containerd, as its arguments or its file say."""
    given = dict(pairwise(words))
    if b"--root" in given:
        return given[b"--root"].decode()
    config = (given.get(b"--config") or given.get(b"-c") or b"/etc/containerd/config.toml").decode()
    try:
        with open(f"{process}/root{config}", "rb") as file:
            return str(tomllib.load(file).get("root", STORE))
    except FileNotFoundError:
        return STORE


def blobs(place: Path, digest: str) -> Iterator[tuple[str, str]]:
    """An image's configurations and layers: kind and digest."""
    document: dict[str, Any] = json.loads((place / digest.removeprefix("sha256:")).read_text())
    for manifest in document.get("manifests", []):
        if (place / manifest["digest"].removeprefix("sha256:")).exists():  # of other machines they are not here
            yield from blobs(place, manifest["digest"])
    if "config" in document:
        yield "configuration", document["config"]["digest"]
        yield from (("layer", layer["digest"]) for layer in document["layers"])


def opened(file: Path) -> BinaryIO:
    """A layer, unpacked."""
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic == b"\x28\xb5\x2f\xfd":
        raise ValueError("layers are packed in a way that cannot be read here")
    return gzip.open(file, "rb") if magic[:2] == b"\x1f\x8b" else file.open("rb")  # type: ignore[return-value]


def in_images(images: dict[str, str], patterns: Patterns) -> tuple[int, Found]:
    """Every layer that an image was built from, also what a later one hides, and its configuration and history."""
    place, found = store(), []
    seen: set[str] = set()
    for image, digest in images.items():
        for kind, blob in blobs(place, digest):
            if blob in seen:
                continue
            seen.add(blob)
            with opened(place / blob.removeprefix("sha256:")) as stream:
                found += [(f"image {image}: {kind} {blob[:19]}", name) for name in through(stream, patterns)]
    return len(seen), found


LOOKS = {"processes": in_processes, "files": in_files, "images": in_images}


def main() -> None:
    """One look."""
    told = json.load(sys.stdin)
    patterns = {name: [base64.b64decode(form) for form in forms] for name, forms in told["patterns"].items()}
    count, found = LOOKS[sys.argv[1]](told["at"], patterns)
    print(json.dumps({"count": count, "found": found}))


if __name__ == "__main__":
    main()
