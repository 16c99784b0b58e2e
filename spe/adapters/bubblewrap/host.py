"""What this host brings into a sandbox: its system folders and its Python, looked at once.

The Python environment appears under `/opt`, whatever its place on the host, so that no path of a
person's home shows; commands with absolute first lines are replaced by small starters in `/opt/bin`.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BIN = "/opt/bin"
_ENV = "/opt/env"
_BASE = "/opt/python"
_SOURCE = "/opt/spe"

# Command → module:function. What a notebook may call by name.
_COMMANDS: Final = {
    "spe": "spe.cli.main:main",
    "jupyter": "jupyter_core.command:main",
    "jupyter-execute": "nbclient.cli:main",
    "jupyter-kernelspec": "jupyter_client.kernelspecapp:KernelSpecApp.launch_instance",
    "jupyter-nbconvert": "nbconvert.nbconvertapp:main",
    "ipython": "IPython:start_ipython",
}

_ETC = ("/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types")
_ROOTS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonPlace:
    """The interpreter and packages that run inside: host paths, and their places under `/opt`.

    `source` is the folder that holds the package `spe`, `policies` the folder of policy documents.
    """

    prefix: str
    base: str
    interpreter: str
    version: str
    source: str
    policies: str | None = None

    @property
    def separate(self) -> bool:
        """Whether packages live in a virtual environment."""
        return self.prefix != self.base

    @property
    def system(self) -> bool:
        """Whether the interpreter belongs to the system's `/usr`."""
        return _below(self.base, "/usr")

    @property
    def executable(self) -> str:
        """The interpreter to start inside."""
        return f"{_ENV}/bin/python" if self.separate else self._inner_interpreter

    @property
    def _inner_interpreter(self) -> str:
        return self.interpreter if self.system else _BASE + self.interpreter.removeprefix(self.base)

    def environment(self) -> Mapping[str, str]:
        """Variables by which it finds its parts; nothing is ever written beside the packages."""
        paths = (_BIN, f"{_ENV}/bin", "/usr/bin", "/bin")
        found = {"PATH": ":".join(paths), "PYTHONPATH": _SOURCE, "PYTHONDONTWRITEBYTECODE": "1"}
        return found if self.system else {**found, "LD_LIBRARY_PATH": f"{_BASE}/lib"}

    def binds(self) -> tuple[tuple[str, str], ...]:
        """Host folder and place inside, all read-only."""
        found = [(f"{self.source}/spe", f"{_SOURCE}/spe")]
        if self.policies is not None:
            found.append((self.policies, f"{_SOURCE}/policies"))
        if not self.system:
            found.append((self.base, _BASE))
        if self.separate:
            found.append((self.prefix, _ENV))
        return tuple(found)

    def hidden_folders(self) -> tuple[str, ...]:
        """Folders covered by an empty one: their scripts name host paths."""
        return (f"{_ENV}/bin",) if self.separate else ()

    def links(self) -> Mapping[str, str]:
        """Symbolic links to make: path → target."""
        place = f"{_ENV}/bin" if self.separate else _BIN
        names = ("python", "python3", f"python{self.version}")
        return {f"{place}/{name}": self._inner_interpreter for name in names}

    def texts(self) -> Mapping[str, str]:
        """Files to cover with our own text: the environment's own note names host paths."""
        if not self.separate:
            return {}
        home = os.path.dirname(self._inner_interpreter)
        return {f"{_ENV}/pyvenv.cfg": f"home = {home}\ninclude-system-site-packages = false\n"}

    def commands(self) -> Mapping[str, str]:
        """Starters for the commands a notebook may call."""
        return {f"{_BIN}/{name}": self._starter(target) for name, target in _COMMANDS.items()}

    def _starter(self, target: str) -> str:
        module, _, function = target.partition(":")
        first = function.partition(".")[0]
        return f"#!{self.executable}\nimport sys\nfrom {module} import {first}\nsys.exit({function}())\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Facts of the host that decide what a sandbox looks like."""

    bwrap: str
    prlimit: str
    python: PythonPlace
    root_links: Mapping[str, str]
    root_folders: tuple[str, ...]
    etc: tuple[str, ...]
    masked_usr: tuple[str, ...]
    proc_files: frozenset[str]
    proc_folders: frozenset[str]


def this_python(*, policies: Path | None = None) -> PythonPlace:
    """The Python that runs this code; `policies` is the folder of documents to show inside, if any."""
    import spe

    interpreter = os.path.realpath(sys.executable)
    source = Path(spe.__file__ or "").resolve().parent.parent
    beside = source / "policies"
    shown = policies or (beside if beside.is_dir() else None)
    return PythonPlace(
        prefix=os.path.realpath(sys.prefix),
        base=os.path.realpath(sys.base_prefix),
        interpreter=interpreter,
        version=f"{sys.version_info.major}.{sys.version_info.minor}",
        source=str(source),
        policies=str(shown.resolve()) if shown is not None else None,
    )


def look(*, policies: Path | None = None) -> Host:
    """Look at this host. A missing program keeps its bare name; `doctor` explains that."""
    python = this_python(policies=policies)
    entries = sorted(os.scandir("/proc"), key=lambda entry: entry.name)
    return Host(
        bwrap=shutil.which("bwrap") or "bwrap",
        prlimit=shutil.which("prlimit", path="/usr/bin:/bin") or "/usr/bin/prlimit",
        python=python,
        root_links={root: os.readlink(root) for root in _ROOTS if os.path.islink(root)},
        root_folders=tuple(root for root in _ROOTS if os.path.isdir(root) and not os.path.islink(root)),
        etc=tuple(place for place in _ETC if os.path.exists(place)),
        masked_usr=tuple(
            place
            for place in ("/usr/local", "/usr/src", "/usr/games")
            if os.path.isdir(place) and not _below(python.base, place) and not _below(python.prefix, place)
        ),
        proc_files=frozenset(e.name for e in entries if e.is_file(follow_symlinks=False)),
        proc_folders=frozenset(e.name for e in entries if e.is_dir(follow_symlinks=False)),
    )


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
