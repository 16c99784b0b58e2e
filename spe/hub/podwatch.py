"""KubeSpawner's watches, one per namespace, ended when nobody needs them and never kept when broken.

KubeSpawner keeps each for the life of the Hub: one that failed once makes every later start in that namespace
fail, and one of an idle namespace asks the API server again and again.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

_STOP_SECONDS = 5.0


class OwnReflectors:
    """Mixed in before `KubeSpawner`."""

    _starts: ClassVar[Counter[str]] = Counter()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While a start is under way the namespace's watch is needed, though no pod shows yet."""
        namespace: str = self.namespace  # type: ignore[attr-defined]
        self._starts[namespace] += 1
        try:
            yield
        finally:
            self._starts[namespace] -= 1
            if not self._starts[namespace]:
                del self._starts[namespace]

    async def _start_reflector(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        """KubeSpawner's, without the dead: neither one that gave up before nor one whose first look fails now."""
        await self._drop(kind, _given_up)
        try:
            return await super()._start_reflector(kind, *args, **kwargs)  # type: ignore[misc]
        except Exception:
            await self._drop(kind, _never_loaded)
            raise

    async def forget_quiet(self) -> None:
        """End the namespace's watch when it shows no pod and none is being started."""
        if not self._starts[self.namespace]:  # type: ignore[attr-defined]
            await self._drop("pods", _empty)

    async def _drop(self, kind: str, when: Any) -> None:
        key = self._get_reflector_key(kind)  # type: ignore[attr-defined]
        table: dict[Any, Any] = type(self).reflectors  # type: ignore[attr-defined]
        known = table.get(key)
        if known is not None and when(known):
            del table[key]
            await _end(known)


async def _end(reflector: Any) -> None:
    """Its own `stop` passes on the cancellation of a watch that had not begun, as if it were ours."""
    reflector._stopping = True
    task = reflector.watch_task
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_STOP_SECONDS)


def _given_up(reflector: Any) -> bool:
    return reflector.watch_task is not None and reflector.watch_task.done()


def _never_loaded(reflector: Any) -> bool:
    first = reflector.first_load_future
    return first.done() and (first.cancelled() or first.exception() is not None)


def _empty(reflector: Any) -> bool:
    return reflector.first_load_future.done() and not reflector.resources
