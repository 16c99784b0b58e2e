"""Two portals over one PostgreSQL, behind something that gives each request to the next of them.

Each has its own connections, its own view of the sealed secrets and of the objects, and its own memory; the world
outside (cluster, Hub, checker) is one.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets.local import LocalSecrets
from spe.adapters.sql import SqlStore
from spe.services.app import App
from spe.web.app import create_public
from tests.support.ground import Ground
from tests.support.prepared import over
from tests.web.front import Front


def replica(ground: Ground, url: str) -> App:
    """The use cases of one more process over the same database and stores."""
    return over(
        ground,
        store=SqlStore(url),
        objects=LocalObjects(ground.folder / "objects"),
        secrets=LocalSecrets(ground.folder / "secrets.sealed", ground.folder / "seal.key", now=ground.clock.now),
    )


class Balanced:
    """Gives each request to the next portal, whoever sends it."""

    def __init__(self, portals: Sequence[ASGIApp]) -> None:
        self._next = itertools.cycle(portals)
        self.served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.served += 1
        await next(self._next)(scope, receive, send)


@dataclass
class Replicated(Front):
    """The front of two portals; `each` is the front of one alone."""

    second: App | None = None
    portals: list[FastAPI] = field(init=False)

    def __post_init__(self) -> None:
        assert self.second is not None
        self.portals = [create_public(app, self.web) for app in (self.ground.app, self.second)]
        self.app = Balanced(self.portals)  # type: ignore[assignment]

    @property
    def each(self) -> tuple[Front, Front]:
        """Both portals, each for itself; tokens are shared."""
        made = (Front(self.ground, self.web), Front(replace(self.ground, app=self.second), self.web))
        for front, portal in zip(made, self.portals, strict=True):
            front.app, front.tokens = portal, self.tokens
        return made
