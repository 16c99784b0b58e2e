"""What every store refuses before it touches anything, with the same sentences in each.

The table of zones and ways is the port's; here it is applied to a call, together with the form of a
name and the largest size.
"""

from collections.abc import Iterable, Iterator

from spe.domain.canonical import HEX_DIGEST
from spe.domain.errors import Invalid, Rejected
from spe.ports.objects import ENTRANCES, PASSING, WAYS, Zone

PORT = "object store"


def check_entrance(zone: Zone) -> None:
    """`Rejected` for a zone that takes verified copies only."""
    if zone not in ENTRANCES:
        raise Rejected(PORT, f"Nothing is put into the {zone} zone; it takes verified copies only.")


def check_way(source: Zone, target: Zone) -> None:
    """`Rejected` for a copy that the table does not know."""
    if (source, target) not in WAYS:
        raise Rejected(PORT, f"No way leads from the {source} zone to the {target} zone.")


def check_passing(zone: Zone) -> None:
    """`Rejected` for a zone whose objects stay."""
    if zone not in PASSING:
        raise Rejected(PORT, f"Objects in the {zone} zone stay until their retention ends.")


def name_of(digest: str) -> str:
    """`<first two digits>/<digest>`, the object's name in its zone. `Invalid` for anything but a SHA-256."""
    if HEX_DIGEST.fullmatch(digest) is None:
        raise Invalid({"digest": "Expected a SHA-256 of 64 lower-case hexadecimal digits."})
    return f"{digest[:2]}/{digest}"


def limited(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The same pieces; `Invalid` instead of the piece that goes over the limit."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Invalid({"size": f"It is larger than the {limit} bytes allowed here; send less, or split it."})
        yield chunk
