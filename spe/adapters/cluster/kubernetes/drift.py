"""Who else wrote into an object of ours: read from the field owners that the API server keeps. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import MANAGER


def foreign(live: Document, part: str = "spec") -> list[str]:
    """Fields below `part` that others own and we do not, as paths. Status and counts of controllers are theirs."""
    entries = [entry for entry in live["metadata"].get("managedFields") or [] if not entry.get("subresource")]
    ours: set[tuple[str, ...]] = set()
    theirs: set[tuple[str, ...]] = set()
    for entry in entries:
        owned = theirs if entry.get("manager") != MANAGER else ours
        fields = (entry.get("fieldsV1") or {}).get(f"f:{part}")
        # An entry without the part owns nothing of it; one with nothing below owns it whole.
        owned |= set(_leaves(fields, (part,))) if fields is not None else set()
    return sorted(".".join(path) for path in theirs - ours)


def _leaves(fields: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of the fields a FieldsV1 document names; a list's entry is written as its key."""
    inner = {name: value for name, value in fields.items() if name != "."}
    if not inner:
        yield path
    for name, value in inner.items():
        yield from _leaves(value, (*path, _step(name)))


def _step(name: str) -> str:
    sort, _, rest = name.partition(":")
    if sort != "k":
        return rest
    keys = json.loads(rest)
    return "[" + ",".join(f"{key}={keys[key]}" for key in sorted(keys)) + "]"
