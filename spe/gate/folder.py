"""The sessions of a gate on a host: one file each in the `sessions` folder, written by the cluster adapter."""

from pathlib import Path

from spe.domain.errors import Invalid
from spe.gate.config import load_session
from spe.gate.surroundings import Wanted


def read_sessions(folder: Path, workspace: str) -> Wanted:
    """Every session file of the folder. A file that cannot be read ends its session."""
    wanted = Wanted()
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            spec = load_session(file, workspace=workspace)
            wanted.sessions[spec.person] = (spec, stamp_of(file))
        except Invalid as error:
            wanted.refused[file.name] = list(error.sentences)
        except OSError as error:
            wanted.refused[file.name] = [f"cannot be read: {error.strerror}."]
    return wanted


def stamp_of(file: Path) -> str:
    """Tells one writing of a session file from the next. Raises OSError."""
    status = file.stat()
    return f"{status.st_ino}.{status.st_mtime_ns}.{status.st_size}"
