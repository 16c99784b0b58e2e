"""`make check`: style, types, layers, tidiness. Runs every gate, reports all failures, changes nothing."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What no file of the project may carry: package indexes' addresses, paths of one machine.
UNWANTED = re.compile(
    r"--(extra-)?index-url|\"resolved\": *\"http|GOPROXY=http|(^|[\s\"'(=])/(root|work)/", re.MULTILINE
)
CACHE = Path(tempfile.gettempdir()) / f"spe-check-{ROOT.stat().st_uid}"


def commands() -> dict[str, list[str]]:
    """Each gate by name."""
    python = sys.executable
    return {
        "style": [python, "-m", "ruff", "check", "--cache-dir", str(CACHE / "ruff"), "."],
        "format": [python, "-m", "ruff", "format", "--check", "--cache-dir", str(CACHE / "ruff"), "."],
        "types": [python, "-m", "mypy", "--cache-dir", str(CACHE / "mypy")],
        "layers": [str(Path(python).parent / "lint-imports"), "--no-cache"],
        "requirements": [python, "images/requirements.py", "--check"],
        "schema": [python, "charts/schema.py", "--check"],
    }


def tidiness() -> list[str]:
    """Files that carry what none may carry."""
    found = []
    skipped = {"node_modules", ".git", ".dev", "vendor", "__pycache__", "pictures"}
    for path in sorted(ROOT.rglob("*")):
        if skipped & set(path.relative_to(ROOT).parts) or not path.is_file() or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if match := UNWANTED.search(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(ROOT)}:{line}: {match[0].strip()!r} does not belong into a file")
    return found


def main() -> int:
    """Run every gate; the number of those that failed, at most 1 as exit status."""
    failed = []
    for name, command in commands().items():
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{'ok' if done.returncode == 0 else 'FAILED':7}{name} ({time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout[-6000:], done.stderr[-2000:], sep="\n", flush=True)
    untidy = tidiness()
    print(f"{'FAILED' if untidy else 'ok':7}tidiness", *untidy, sep="\n       ", flush=True)
    failed += ["tidiness"] if untidy else []
    print(f"{len(commands()) + 1 - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
