"""Where a live part differs from the one that was meant, in either direction. Pure.

Stricter than what corrects drift: a field more is a difference too, unless it is one that the API server itself
fills in, with exactly the value that it fills in.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from spe.adapters.cluster.kubernetes.compare import same_amount

Defaults = Mapping[str, tuple[Any, ...]]


def differences(want: Any, live: Any, defaults: Defaults, path: str = "") -> Iterator[str]:
    """Paths at which they differ; `defaults` are values of fields, by name, that may be there unasked."""
    if isinstance(want, Mapping) and isinstance(live, Mapping):
        for name in sorted({*want, *live}):
            inner = f"{path}.{name}" if path else str(name)
            if name in want:
                yield from differences(want[name], live.get(name), defaults, inner)
            elif not _empty(live[name]) and live[name] not in defaults.get(name, ()):
                yield inner
    elif isinstance(want, list) and isinstance(live, list):
        if len(want) != len(live):
            yield path
            return
        for index, (one, other) in enumerate(zip(want, live, strict=True)):
            yield from differences(one, other, defaults, f"{path}[{index}]")
    elif not (_empty(want) and _empty(live)) and want != live and not same_amount(want, live):
        yield path


def _empty(value: Any) -> bool:
    return value is None or value in ({}, [], "")
