"""Datasets as folders of this host, below the roots where registration is allowed."""

from pathlib import Path

from spe.adapters.cluster.folder import manifest_of
from spe.domain.dataset import Manifest
from spe.domain.errors import Invalid


class FolderSources:
    """Implements `spe.ports.sources.Sources`; without roots any folder of the host may be named."""

    def __init__(self, roots: tuple[Path, ...] = ()) -> None:
        self._roots = roots

    def named(self, text: str) -> str:
        """The whole path, links resolved; links do not lead out of the roots."""
        path = Path(text)
        if not path.is_absolute() or not text.isprintable() or ".." in path.parts:
            raise Invalid({"folder": "Give the whole path on the server, beginning with a slash, without “..”."})
        if path.is_symlink():
            raise Invalid({"folder": f"{path} is a link; name the folder itself."})
        real = path.resolve()
        if self._roots and not any(real.is_relative_to(root.resolve()) for root in self._roots):
            roots = ", ".join(str(root) for root in self._roots)
            raise Invalid({"folder": f"Datasets are registered below {roots}; put it there first."})
        return str(real)

    def manifest(self, source: str) -> Manifest:
        """The folder's files, nothing followed."""
        return manifest_of(Path(source))
