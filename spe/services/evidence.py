"""Small documents kept by digest: reports, receipts, profiles, indexes of views."""

from spe.ports.objects import ObjectStore, Zone


def keep(objects: ObjectStore, data: bytes) -> str:
    """Store one document as evidence; returns its digest in hexadecimal."""
    return objects.put(Zone.EVIDENCE, [data]).digest


def load(objects: ObjectStore, digest: str, zone: Zone = Zone.EVIDENCE) -> bytes:
    """One whole document, verified against its digest. Raises `NotFound` or `Corrupt`."""
    with objects.open(zone, digest) as reader:
        return reader.read()
