"""Where the bytes of datasets lie before anybody mounts them: folders of one host, or volumes of a cluster."""

from typing import Protocol

from spe.domain.dataset import Manifest


class Sources(Protocol):
    """Reads datasets at their source; nothing is ever written there."""

    def named(self, text: str) -> str:
        """The source in the one form in which it is kept. Raises `Invalid` for the field `folder`."""
        ...

    def manifest(self, source: str) -> Manifest:
        """Every file with its size and SHA-256, as they are now.

        Raises `Invalid` for the field `folder` when it is not a dataset, `Unavailable` when nobody can look.
        """
        ...
