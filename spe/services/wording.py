"""What authors may write: sentences and paths that show what they are, on every page and in every store."""

from spe.domain.errors import Invalid
from spe.domain.text import has_unseen, is_plain_path


def sentence(text: str) -> str:
    """The text without space around it. Raises `Invalid` when it is long or has invisible characters."""
    clean = text.strip()
    if len(clean) > 2000:
        raise Invalid({"text": "Shorten the text to 2000 characters."})
    if has_unseen(clean, besides="\n\t\r"):
        raise Invalid({"text": "Remove the control and invisible characters."})
    return clean


def plain_path(path: str) -> str:
    """The path, when it is plain, relative and of a depth and length that every store takes; else `Invalid`."""
    if not is_plain_path(path):
        raise Invalid({"path": f"{path[:80]!r} is not a plain relative path; rename the file."})
    return path
