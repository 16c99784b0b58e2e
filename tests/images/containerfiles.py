"""What the Containerfiles say, read as they stand: sources copied, the account, what comes after what."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("checker", "control", "gate", "hub", "notebook", "proxy")


@dataclass(frozen=True, slots=True)
class Containerfile:
    """One image's description: its instructions in order, continued lines joined."""

    name: str
    instructions: tuple[str, ...]

    @property
    def final(self) -> tuple[str, ...]:
        """The instructions of the last stage."""
        last = max(n for n, line in enumerate(self.instructions) if line.startswith("FROM "))
        return self.instructions[last:]

    def sources(self) -> set[Path]:
        """Our own files that come from the context, folders followed."""
        found: set[Path] = set()
        for line in self.instructions:
            words = line.split()
            if words[0] != "COPY" or words[1].startswith("--from"):
                continue
            for pattern in words[1:-1]:
                for place in ROOT.glob(pattern):
                    found |= {p for p in place.rglob("*") if p.is_file()} if place.is_dir() else {place}
        return found


def read(name: str) -> Containerfile:
    """The Containerfile of an image."""
    text = (ROOT / "images" / name / "Containerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return Containerfile(name, tuple(line.strip() for line in joined.splitlines() if line.strip()))
