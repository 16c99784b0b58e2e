"""Everybody at work in an environment on a cluster: the same company as on one host, by the same doors."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from spe.cli.api import Desk
from spe.cli.demo.cast import Player
from spe.cli.demo.play import tell
from spe.cli.demo.story import SEED, Step, Tale
from tests.cluster.cast import call_together
from tests.cluster.house import House
from tests.support.person import Company, until


class Town(Company):
    """The company of a house; what only one host can show (processes, a turned clock) is not here."""

    patience = 240.0  # pods wait for a place on a node, and for others that start beside them

    def __init__(self, house: House, tale: Tale) -> None:
        self.house = house
        self.facts = {
            "portal": house.portal,
            "hub": house.hub,
            "datasets": [dataset["key"] for dataset in tale.datasets],
        }
        self.players: dict[str, Player] = tale.players
        self._people = {key: {"id": player.id, "token": player.token} for key, player in tale.players.items()}
        self._opened: list[Desk] = []

    def desk(self, key: str) -> Desk:
        """A person at the API, by a connection of its own: a forwarded one that stands idle is cut."""
        self._opened.append(Desk(self.facts["portal"], self.token(key)))
        return self._opened[-1]

    def close(self) -> None:
        """Close every connection."""
        for desk in self._opened:
            desk.close()

    def now(self) -> datetime:
        """Now, by the cluster's clocks."""
        return datetime.now(UTC)

    def end_permits(self) -> None:
        """Revoke every permit there is, and wait until nothing of their workspaces is left."""
        for permit in self.desk("operator").all("/permits"):
            if permit["state"] in ("active", "suspended"):
                self.desk("board-a").post(f"/permits/{permit['id']}:revoke", {"reason": "The end of these tests."})

        def closed() -> bool:
            return all(space["state"] in ("closed", "failed") for space in self.desk("operator").all("/workspaces"))

        until("every workspace is closed", closed, seconds=self.patience)

    # the cluster

    def namespace(self, workspace: str) -> str:
        """Where a workspace lives."""
        return f"{self.house.name}-{workspace}"

    def get(self, kind: str, namespace: str, *options: str) -> list[dict[str, Any]]:
        """Objects of a kind, as an administrator of the cluster sees them."""
        said = self.house.kubectl("-n", namespace, "get", kind, "-o", "json", *options)
        items: list[dict[str, Any]] = json.loads(said)["items"]
        return items

    def notebook(self, workspace: str, key: str) -> dict[str, Any]:
        """The pod of a person's session."""
        labels = f"spe.local/role=notebook,spe.local/person={self.id(key)},spe.local/part!=probe"
        (pod,) = self.get("pods", self.namespace(workspace), "-l", labels)
        return pod

    def gate(self, workspace: str) -> str:
        """The address of a workspace's gate."""
        services = self.get("services", self.namespace(workspace))
        return next(str(s["spec"]["clusterIP"]) for s in services if s["metadata"]["name"] == "gate")


def beginning(house: House) -> Tale:
    """Nothing has happened yet: everybody is registered."""
    return Tale(
        portal=house.portal,
        hub=house.hub,
        home=house.folder,
        players=asyncio.run(call_together(house)),
        started=time.monotonic(),
        data=house.data,
        source=lambda place: f"hostPath:{place}",
    )


@contextmanager
def at_work(house: House, tale: Tale, steps: tuple[tuple[str, Step], ...] = SEED[:2]) -> Iterator[Town]:
    """Everybody at work after the story's first steps: two dataset versions and a secret are there, or more."""
    assert asyncio.run(tell(tale, steps)) == 0, house.told()
    town = Town(house, tale)
    try:
        yield town
    finally:
        town.close()
