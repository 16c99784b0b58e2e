"""Whether an object is as it should be, and the least that must be sent to make it so. Pure.

The API server adds defaults, so a manifest is first looked for *in* the live object. That does not see what
others added beside it, and a forced apply does not remove it: for the parts of an object on which isolation
rests, the live part must be the manifest's and nothing more.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from spe.adapters.cluster.kubernetes import names
from spe.adapters.cluster.kubernetes.drift import foreign
from spe.adapters.cluster.kubernetes.kinds import Document, annotations_of

Path = tuple[str, ...]

EXACT: Mapping[str, tuple[Path, ...]] = {
    "NetworkPolicy": (("spec",),),
    "ClusterRole": (("rules",), ("aggregationRule",)),
    "RoleBinding": (("roleRef",), ("subjects",)),
    "ServiceAccount": (("automountServiceAccountToken",), ("secrets",), ("imagePullSecrets",)),
    "ResourceQuota": (("spec",),),
    "LimitRange": (("spec",),),
    "Service": (("spec", "selector"), ("spec", "ports"), ("spec", "externalIPs"), ("spec", "type")),
    "Deployment": (
        ("spec", "selector"),
        ("spec", "template", "metadata"),
        ("spec", "template", "spec", "volumes"),
        ("spec", "template", "spec", "initContainers"),
        ("spec", "template", "spec", "hostNetwork"),
        ("spec", "template", "spec", "hostPID"),
        ("spec", "template", "spec", "hostIPC"),
        ("spec", "template", "spec", "hostAliases"),
        ("spec", "template", "spec", "dnsConfig"),
    ),
}
WHOLE = frozenset({"Deployment"})
"""Kinds too deep for an exact comparison, because of their defaults: nobody else may own a field of their `spec`."""

_AMOUNTS = frozenset({"hard", "limits", "requests", "max", "min", "default", "defaultRequest", "sizeLimit", "capacity"})
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_UNITS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** n for n, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": Decimal(1024) ** n for n, unit in enumerate("KMGTP", 1)},
}


def shaped(manifest: Document) -> Document:
    """The manifest with its own digest as an annotation, so that a field it no longer has is noticed as well."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), names.SHAPE: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def deviations(manifest: Document, live: Document) -> tuple[str, ...]:
    """Where the live object is not as the (shaped) manifest says, as paths; empty when it is."""
    found = [".".join(path) for path in _missing(manifest, live, ())]
    found += [".".join(path) for path in EXACT.get(manifest["kind"], ()) if not _same_at(path, manifest, live)]
    found += foreign(live) if manifest["kind"] in WHOLE else []
    return tuple(dict.fromkeys(found))


def weakened(manifest: Document, live: Document) -> bool:
    """Whether the live object's exact parts differ although somebody made it from this very manifest.

    A manifest that changed differs too; that is a change of ours and no drift.
    """
    same_origin = annotations_of(live).get(names.SHAPE) == annotations_of(manifest).get(names.SHAPE)
    return same_origin and bool(deviations(manifest, live))


def correction(manifest: Document, live: Document) -> Document:
    """A merge patch (RFC 7386) that takes away what others added to exact parts; empty when nothing is to be done."""
    patch: Document = {}
    for path in EXACT.get(manifest["kind"], ()):
        if _same_at(path, manifest, live):
            continue
        place = patch
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = _towards(_at(path, manifest), _at(path, live))
    return patch


def _towards(want: Any, live: Any) -> Any:
    if not isinstance(want, Mapping) or not isinstance(live, Mapping):
        return want
    gone = {name: None for name in live if name not in want}
    return {**{name: _towards(value, live.get(name)) for name, value in want.items()}, **gone}


def _at(path: Path, document: Any) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else None
    return document


def _same_at(path: Path, manifest: Document, live: Document) -> bool:
    amount = bool(_AMOUNTS & set(path))
    return _same(_at(path, manifest), _at(path, live), amount=amount, only=True)


def _missing(want: Any, live: Any, path: Path, amount: bool = False) -> Iterator[Path]:
    """Paths below which the live value lacks something of the manifest."""
    if isinstance(want, Mapping) and isinstance(live, Mapping):
        for name, value in want.items():
            yield from _missing(value, live.get(name), (*path, name), amount or name in _AMOUNTS)
    elif not _same(want, live, amount=amount, only=False):
        yield path


def _same(want: Any, live: Any, *, amount: bool, only: bool) -> bool:
    if _empty(want) and _empty(live):
        return True
    if isinstance(want, Mapping) and isinstance(live, Mapping):
        if only and any(name not in want and not _empty(live[name]) and name not in _DEFAULTED for name in live):
            return False
        return all(
            _same(value, live.get(name), amount=amount or name in _AMOUNTS, only=only) for name, value in want.items()
        )
    if isinstance(want, list) and isinstance(live, list):
        # A list is compared as a whole: one entry more is a difference.
        return len(want) == len(live) and all(
            _same(a, b, amount=amount, only=only) for a, b in zip(want, live, strict=True)
        )
    return bool(want == live) or (amount and number_of(want) is not None and number_of(want) == number_of(live))


_DEFAULTED = frozenset({"creationTimestamp", "defaultMode"})


def _empty(value: Any) -> bool:
    return value is None or value in ({}, [], "")


def same_amount(one: Any, other: Any) -> bool:
    """Whether both are amounts, `512Mi` or `536870912`, and the same."""
    texts = isinstance(one, str) and isinstance(other, str)
    return texts and number_of(one) is not None and number_of(one) == number_of(other)


def number_of(value: Any) -> Decimal | None:
    """A quantity as a number, `512Mi` or `100m`; None for what is none."""
    match = _AMOUNT.fullmatch(str(value))
    return Decimal(match[1]) * _UNITS[match[2] or ""] if match else None
