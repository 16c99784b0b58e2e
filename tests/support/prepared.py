"""Copies of a prepared world, worlds over other adapters, and restarts: so that tests need not build everything anew.

A copy has a database, objects and keys of its own; the dataset that it begins with lies in the template and is only
read. Tests that change data register a dataset of their own.
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets import ed25519
from spe.adapters.secrets.local import LocalSecrets
from spe.adapters.sql.store import SqlStore
from spe.disclosure.settings import Part
from spe.ports.objects import Zone
from spe.services.app import App
from spe.services.context import House
from tests.support.ground import CLIENT, Ground, world
from tests.support.inmemory import (
    MemoryChecker,
    MemoryCluster,
    MemoryHub,
    MemoryNotifier,
    MemoryOutputs,
    MemorySandboxes,
)


class Template:
    """One world made once, of which each test gets a copy; `prepare` does to it what all of them need."""

    def __init__(self, folder: Path, *, prepare: Callable[[Ground], None] = lambda _: None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with world(folder) as ground:
            prepare(ground)
            self._ground = ground

    @contextmanager
    def copy(self, folder: Path) -> Iterator[Ground]:
        """A world as it was made, in a folder of its own that must not exist yet."""
        made = self._ground
        folder.mkdir(parents=True)
        for name in ("spe.db", "secrets.sealed", "seal.key"):
            shutil.copy2(made.folder / name, folder / name)
        shutil.copytree(made.folder / "objects", folder / "objects")
        sandboxes = MemorySandboxes()
        ground = dataclasses.replace(
            made,
            folder=folder,
            clock=copy(made.clock),
            cluster=MemoryCluster(sandboxes=sandboxes, there=dict(made.cluster.there)),
            sandboxes=sandboxes,
            hub=MemoryHub(),
            outputs=MemoryOutputs(),
            checker=MemoryChecker(),
            notifier=MemoryNotifier(),
            policies=made.policies[:1],
        )
        restart(ground, close=False)
        try:
            yield ground
        finally:
            store_of(ground).close()


def store_of(ground: Ground) -> SqlStore:
    """The database as the adapter that it is."""
    store = ground.app.house.ports.store
    assert isinstance(store, SqlStore)
    return store


def restart(ground: Ground, *, close: bool = True) -> None:
    """The process ends and another one begins over the same folder; the world outside goes on."""
    if close:
        store_of(ground).close()
    bound = over(
        ground,
        store=SqlStore(f"sqlite:///{ground.folder / 'spe.db'}"),
        objects=LocalObjects(ground.folder / "objects"),
        secrets=LocalSecrets(ground.folder / "secrets.sealed", ground.folder / "seal.key", now=ground.clock.now),
        cluster=ground.cluster,
        sandboxes=ground.sandboxes,
        outputs=ground.outputs,
        sources=ground.app.house.ports.sources,
        hub=ground.hub,
        checker=ground.checker,
        notifier=ground.notifier,
        clock=ground.clock,
    )
    ground.app = bound
    ground.hub.app = bound


def with_other_policy(ground: Ground, version: str = "2.0.0") -> None:
    """A policy file changes: other rules hold from now on."""
    now = ground.policies[-1]
    default = now.disclosure["default"]
    changed = dataclasses.replace(default, parts=(Part(name="default", version=version),))
    ground.policies.append(dataclasses.replace(now, disclosure={**now.disclosure, "default": changed}))


def spoil(ground: Ground, zone: Zone, digest: str) -> None:
    """One stored byte changes, as a failing disk or an intruder would do it."""
    path = ground.folder / "objects" / zone / digest[:2] / digest
    path.chmod(0o600)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def over(ground: Ground, **ports: Any) -> App:
    """The use cases bound to the same house with some of its ports exchanged."""
    house = House(
        ports=dataclasses.replace(ground.app.house.ports, **ports),
        policies=lambda: ground.policies[-1],
        origin=ground.app.house.origin,
    )
    return rebound(house)


def rebound(house: House) -> App:
    """The use cases bound to a house, as the loops bind them over a fenced store."""
    return App.over(house, client=CLIENT, verify=ed25519.verify)
