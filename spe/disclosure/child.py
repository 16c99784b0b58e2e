"""Runs the engine in a child process of this account and never waits longer than its time.

This is how `spe check` works inside a workspace, where nobody is protected from the person who checks their
own files; the control plane starts the same runner in a sandbox instead. A crash, a time-out, a missing or
odd report is a block.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import spe
from spe.disclosure.job import REPORT, Limits
from spe.disclosure.settings import DisclosurePolicy
from spe.disclosure.verdict import blocked
from spe.domain.errors import Invalid
from spe.domain.verdict import Report

MOST_REPORT: Final = 64 * 1024 * 1024
_SOURCE: Final = Path(spe.__file__).resolve().parent.parent


def examine_in_child(
    folder: Path,
    policy: DisclosurePolicy,
    profiles: Sequence[Path] = (),
    history: Sequence[Path] = (),
    limits: Limits | None = None,
) -> Report:
    """The report on a folder. Raises Invalid when the engine refuses the job itself, with its sentence."""
    bounds = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="spe-check-") as scratch:
        root = Path(scratch)
        job = {
            "folder": str(folder.resolve()),
            "policy": policy.to_json(),
            "profiles": [str(path.resolve()) for path in profiles],
            "history": [str(path.resolve()) for path in history],
            "limits": asdict(bounds),
        }
        (root / "job.json").write_text(json.dumps(job))
        status, said = _run(root, bounds)
        if status is None:
            return blocked(policy, f"The check did not end within {bounds.wall_seconds} seconds and was stopped.")
        if status == 2:
            raise Invalid({"check": said})
        if status != 0:
            return blocked(policy, "The check stopped before its end, so nothing is known about these files.")
        return _report(root / "out" / REPORT, policy)


def _run(root: Path, limits: Limits) -> tuple[int | None, str]:
    """The status and last words of the child; no status when its time was over."""
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_SOURCE), "LANG": "C.UTF-8"}
    child = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
        [sys.executable, "-B", "-s", "-m", "spe.disclosure.runner", str(root)],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = child.communicate(timeout=limits.wall_seconds)
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        _end(child)
    if child.returncode == -signal.SIGALRM:
        return None, ""
    return child.returncode, said.decode("utf-8", "replace").strip()[-2000:]


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stderr is not None:
        child.stderr.close()


def _report(path: Path, policy: DisclosurePolicy) -> Report:
    try:
        if path.stat().st_size > MOST_REPORT:
            return blocked(policy, "The report of the check is too large to be one.")
        report = Report.from_json(path.read_bytes())
    except (OSError, Invalid):
        return blocked(policy, "The check left no report, so nothing is known about these files.")
    if report.policy.digest != policy.digest:
        return blocked(policy, "The report is about another policy.")
    return report
