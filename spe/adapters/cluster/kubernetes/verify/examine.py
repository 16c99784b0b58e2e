"""All rows over all that was read: the findings, in the order in which people read them."""

from collections.abc import Iterable

from spe.adapters.cluster.kubernetes.verify import cluster, workspace
from spe.adapters.cluster.kubernetes.verify.finding import Finding, apply
from spe.adapters.cluster.kubernetes.verify.place import Place
from spe.adapters.cluster.kubernetes.verify.whole import Whole

CLUSTER = "cluster"


def of_the_cluster(facts: Whole) -> tuple[Finding, ...]:
    """What holds and what does not in the whole cluster."""
    return tuple(apply(row, CLUSTER, facts) for row in cluster.ROWS)


def of_workspaces(places: Iterable[Place]) -> tuple[Finding, ...]:
    """The same for each workspace; the subject is its namespace."""
    return tuple(apply(row, place.seen.own.namespace, place) for place in places for row in workspace.ROWS)
