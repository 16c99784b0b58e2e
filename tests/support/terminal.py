"""`spe` typed into a terminal, with the transcript that shows each call, its exit status and what it said.

The commands are forks of one process that has imported them already, so that a hundred of them take seconds.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.instance import environment

SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command by somebody, expected to end with this exit status in a message that has these words."""

    words: tuple[str, ...]
    code: int
    says: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a command ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    def transcript(self) -> str:
        """The call, its exit status and its message."""
        words = " ".join(word if len(word) < 50 else f"…{word[-40:]}" for word in self.words)
        lines = [f"    {line[:160]}" for line in (self.err or self.out).strip().splitlines()[:12]]
        return "\n".join([f"$ spe {words!r} -> {self.code}", *lines])


class Terminal:
    """Runs `spe`, one command after the other."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Said:
        """One command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"words": words, "env": {"TERM": "dumb", "COLUMNS": "400", **(env or {})}, "folder": str(self._folder)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Said(words=words, **answer)

    def refusals(self, calls: Mapping[str, Call]) -> None:
        """Run them all and print the transcript; fails with what is not as expected, one line each."""
        wrong = []
        for name, call in calls.items():
            said = self.run(*call.words, env=call.env)
            print(f"\n# {name}\n{said.transcript()}")
            wrong += [f"{name}: {fault}" for fault in faults(call, said)]
        assert not wrong, "\n" + "\n".join(wrong)


@contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    """A terminal in this folder until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.terminal"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Terminal(process, folder)
    finally:
        process.communicate(timeout=SECONDS)


def faults(call: Call, said: Said) -> list[str]:
    """What is wrong with a refusal: its status, a missing word, a trace, a control sequence for the terminal."""
    message = " ".join((said.err + said.out).split())
    return [
        *([f"exit status {said.code}, not {call.code}: {message[:400]}"] if said.code != call.code else []),
        *(f"does not say {word!r}: {message[:400]}" for word in call.says if word.lower() not in message.lower()),
        *(["shows a trace"] if "Traceback" in message else []),
        *(["writes what a terminal obeys"] if not (said.err + said.out).replace("\n", "").isprintable() else []),
    ]


def main() -> None:
    """Answer one line of JSON for each: words, variables and folder in; exit status and text out."""
    import importlib

    from spe.cli.main import COMMANDS

    for module, _, _ in COMMANDS.values():
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if not child:
                _become(asked, out.fileno(), err.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(json.dumps({"code": code, "out": _read(out), "err": _read(err)}), flush=True)


def _become(asked: Mapping[str, Any], out: int, err: int) -> None:
    """Be `spe` with these words; ends the process."""
    from spe.cli.main import main as spe

    code = 1
    try:
        for number, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(number, target)
        os.environ.update(asked["env"])
        os.chdir(asked["folder"])
        sys.argv = ["spe", *asked["words"]]
        spe()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    main()
