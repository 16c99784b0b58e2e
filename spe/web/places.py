"""Places on the server that people may name: whole paths, below the roots where registration is allowed."""

from pathlib import Path

from spe.domain.errors import Invalid
from spe.web.settings import WebSettings

LARGEST_PROFILE = 256 * 1024**2


def _allowed(web: WebSettings, text: str, field: str) -> Path:
    """A place on the server, where registration is allowed. Links do not lead out of the roots."""
    path = Path(text)
    if not path.is_absolute() or not text.isprintable() or ".." in path.parts:
        raise Invalid({field: "Give the whole path on the server, beginning with a slash, without “..”."})
    real = path.resolve()
    if web.dataset_roots and not any(real.is_relative_to(root.resolve()) for root in web.dataset_roots):
        roots = ", ".join(str(root) for root in web.dataset_roots)
        raise Invalid({field: f"Datasets are registered below {roots}; put it there first."})
    return path


def profile_at(web: WebSettings, text: str) -> bytes:
    """The bytes of a profile that lies on the server. Raises `Invalid` for the field `profile_file`."""
    try:
        with _allowed(web, text, "profile_file").open("rb") as file:
            data = file.read(LARGEST_PROFILE + 1)
    except OSError as error:
        raise Invalid({"profile_file": f"The profile cannot be read: {error.strerror}."}) from error
    if len(data) > LARGEST_PROFILE:
        raise Invalid({"profile_file": "The profile is larger than 256 MiB."})
    return data
