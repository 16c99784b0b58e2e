"""The tokens by which the environment's own processes know each other: portal, Hub, proxy, checker."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from spe.adapters.hub.settings import write_private
from spe.domain.errors import Corrupt, Invalid
from spe.settings import Settings

NAMES = ("hub", "portal", "proxy", "oauth", "crypt", "checker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the processes show each other; each 64 hexadecimal digits, kept in a file of its own."""

    hub: str = field(repr=False)
    portal: str = field(repr=False)
    proxy: str = field(repr=False)
    oauth: str = field(repr=False)
    crypt: str = field(repr=False)
    checker: str = field(repr=False)
    folder: Path

    @property
    def portal_file(self) -> Path:
        """Where the Hub reads what it shows the portal."""
        return self.folder / "portal"


def folder_of(settings: Settings) -> Path:
    """Where the tokens lie."""
    return settings.keys or settings.home.resolve() / "keys"


def tokens(settings: Settings) -> Tokens:
    """The tokens of this environment; those of a home of our own are made when they are missing.

    Raises `Corrupt` for a file that others can read, `Invalid` for one that is missing from a given folder.
    """
    folder = folder_of(settings)
    given = settings.keys is not None
    if not given:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Tokens(folder=folder, **{name: _token(folder / name, given=given) for name in NAMES})


def _token(path: Path, *, given: bool) -> str:
    if not path.exists():
        if given:
            raise Invalid({"keys": f"{path} is missing; put 64 hexadecimal digits there, `openssl rand -hex 32`."})
        write_private(path, secrets.token_hex(32))
    # A cluster mounts secrets readable for the process's group; on one host nobody but the account may read them.
    if path.stat().st_mode & (0o007 if given else 0o077):
        raise Corrupt(f"{path} can be read by others; run `chmod 600 {path}`, and replace the token it holds.")
    return path.read_text().strip()
