"""Where everything of the embedded environment lies: names are functions of ids, made nowhere else.

Two roots: `run` for sockets (short, lower case, 0700, removed at the end) and `home` for what stays.
Ids are checked before they become paths.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from spe.domain.errors import Rejected
from spe.domain.ids import is_id

LONGEST_SOCKET = 107
"""Bytes of the longest path of a Unix socket (`sun_path` without its end)."""

_BELOW_RUN = len("/n/ws-0123456789abcdef/p-0123456789abcdef/nb.sock") + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths of one environment."""

    run: Path
    home: Path

    @property
    def control(self) -> Path:
        """The supervisor's control socket."""
        return self.run / "supervisor.sock"

    @property
    def internal(self) -> Path:
        """The portal's internal application, a socket."""
        return self.run / "internal.sock"

    @property
    def lock(self) -> Path:
        """Held by the one supervisor of this run folder."""
        return self.run / "lock"

    @property
    def logs(self) -> Path:
        """What the children say."""
        return self.home / "logs"

    @property
    def workspaces(self) -> Path:
        """The folders of all workspaces."""
        return self.home / "workspaces"

    @property
    def gates(self) -> Path:
        """The folders of all gates."""
        return self.run / "g"

    def gate(self, workspace: str) -> Path:
        """The folder of a workspace's gate."""
        return self.gates / _checked(workspace)

    def session(self, workspace: str, person: str) -> Path:
        """What the gate knows about one person; while the file is there, they have a place."""
        return self.gate(workspace) / "sessions" / f"{_checked(person)}.json"

    def entrance(self, workspace: str) -> str:
        """The address by which the Hub's proxy enters the gate."""
        return "http+unix://" + quote(str(self.gate(workspace) / "in.sock"), safe="")

    def doors(self, workspace: str) -> Path:
        """The door folders of all sessions of a workspace."""
        return self.run / "d" / _checked(workspace)

    def door(self, workspace: str, person: str) -> Path:
        """What a sandbox sees, read-only, as `/run/door`: the gate's sockets for this person."""
        return self.doors(workspace) / _checked(person)

    def notebooks(self, workspace: str) -> Path:
        """The notebook folders of all sessions of a workspace."""
        return self.run / "n" / _checked(workspace)

    def notebook(self, workspace: str, person: str) -> Path:
        """What a sandbox sees, writable, as `/run/nb`: its server's socket."""
        return self.notebooks(workspace) / _checked(person)

    def workspace(self, workspace: str) -> Path:
        """Everything that stays of a workspace until it is closed."""
        return self.workspaces / _checked(workspace)

    def files(self, workspace: str) -> Path:
        """What people write: homes, outputs, the shared folder."""
        return self.workspace(workspace) / "files"

    def person_home(self, workspace: str, person: str) -> Path:
        """A person's home in a workspace."""
        return self.files(workspace) / "people" / _checked(person) / "home"

    def outputs(self, workspace: str, person: str) -> Path:
        """The folder that egress is submitted from."""
        return self.files(workspace) / "people" / _checked(person) / "outputs"

    def shared(self, workspace: str) -> Path:
        """The folder that all people of a workspace share."""
        return self.files(workspace) / "shared"

    def counters(self, workspace: str) -> Path:
        """The gate's counters; they survive restarts."""
        return self.workspace(workspace) / "gate"

    def record(self, workspace: str, name: str) -> Path:
        """One of the adapter's own notes: `data`, `seal`, `limits`."""
        return self.workspace(workspace) / f"{name}.json"


def _checked(name: str) -> str:
    """The id itself. Raises `Rejected` on anything that is not one: it would become a path."""
    if is_id(name):
        return name
    raise Rejected("cluster", f"{name[:40]!r} is not an id, so it names no folder.")


def run_folder(home: Path, *, environment: Mapping[str, str] | None = None) -> Path:
    """The run folder that belongs to a home: short, lower case, outside of every home; not made yet."""
    values = os.environ if environment is None else environment
    mark = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:10]
    runtime = Path(values.get("XDG_RUNTIME_DIR", ""))
    usable = runtime.is_absolute() and runtime.is_dir() and os.access(runtime, os.W_OK)
    candidates = [runtime / f"spe-{mark}"] if usable else []
    candidates.append(Path(tempfile.gettempdir()) / f"spe-{mark}")
    candidates.append(Path("/tmp") / f"spe-{mark}")  # noqa: S108 - short; made 0700 and owned, see `make_run`
    return next((path for path in candidates if not run_folder_problem(path)), candidates[-1])


def run_folder_problem(run: Path) -> str:
    """Why sockets cannot live below this folder; empty when they can."""
    if str(run) != str(run).lower():
        return f"The run folder {run} has capital letters; the Hub's client looks addresses up in lower case."
    if len(os.fsencode(run)) + _BELOW_RUN > LONGEST_SOCKET:
        return f"The run folder {run} is too long; the path of a socket has at most {LONGEST_SOCKET} bytes."
    return ""


def private(folder: Path) -> Path:
    """Make a folder with mode 0700, and every missing one above it likewise. Raises `OSError`."""
    if not folder.parent.exists():
        private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def make_run(run: Path) -> None:
    """Make the run folder with mode 0700, or accept ours. Raises `Rejected` when it is somebody else's."""
    problem = run_folder_problem(run)
    if problem:
        raise Rejected("supervisor", problem)
    try:
        run.mkdir(mode=0o700)
    except FileExistsError:
        facts = os.lstat(run)
        ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
        if not ours or stat.S_IMODE(facts.st_mode) & 0o077:
            raise Rejected(
                "supervisor", f"{run} belongs to somebody else or is open to others; remove it and start again."
            ) from None
    except OSError as error:
        raise Rejected("supervisor", f"{run} cannot be made: {error.strerror}.") from error
