"""Version floors of what runs on nodes, as data. Pure.

From the advisories on containerd of November 2025 (CVE-2024-25621, CVE-2025-64329) and what recursive read-only
mounts need; a node does not tell the version of its runc.
"""

import re
from collections.abc import Mapping

# By runtime: lowest patch of each line; every later line is recent enough.
FLOORS: Mapping[str, Mapping[tuple[int, int], int]] = {
    "containerd": {(2, 0): 7, (2, 1): 5, (2, 2): 0},
    "cri-o": {(1, 30): 0},
}
RECENT = "; ".join(
    f"{name} {', '.join(f'{a}.{b}.{patch}' for (a, b), patch in lines.items())} or later"
    for name, lines in FLOORS.items()
)
_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def parsed(text: str) -> tuple[int, int, int]:
    """Numbers of a version, `v1.36.3+x`; zeros when there is none, which no floor lets pass."""
    found = _NUMBERS.search(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def dotted(version: tuple[int, ...]) -> str:
    """As people write it."""
    return ".".join(map(str, version))


def runtime_is_recent(said: str) -> bool:
    """Whether a node's runtime, `containerd://2.2.1`, is at or above its line's floor; one nobody knows is not."""
    name, _, number = said.partition("://")
    lines = FLOORS.get(name)
    major, minor, patch = parsed(number)
    if lines is None:
        return False
    return (major, minor) > max(lines) or patch >= lines.get((major, minor), patch + 1)
