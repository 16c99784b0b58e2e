"""What `spe verify` looks at: the cluster, its workspaces, the servers beside it, each as far as settings name it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from spe.adapters.cluster.kubernetes import features
from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.verify import reading
from spe.adapters.cluster.kubernetes.verify.examine import CLUSTER, of_the_cluster, of_workspaces
from spe.adapters.cluster.kubernetes.verify.finding import Finding, State, could_not_look
from spe.adapters.secrets.vault.check import standing
from spe.adapters.secrets.vault.link import Link
from spe.adapters.sql.postgres import is_postgres
from spe.adapters.sql.store import SqlStore
from spe.bootstrap import vault_settings
from spe.bootstrap.admission import admission
from spe.bootstrap.cluster import site
from spe.domain.errors import Invalid, Rejected, Unavailable
from spe.hub.pod import PodFacts, notebook_pod
from spe.settings import Settings

_OBSERVE_SECONDS = 5.0


class Part(StrEnum):
    """What can be looked at by itself."""

    CLUSTER = "cluster"
    DATABASE = "database"
    VAULT = "vault"


def examine(settings: Settings, parts: Collection[Part], *, trusted: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding. Raises `Invalid` for settings that name no cluster, `Unavailable` for one that does not answer."""
    return tuple(finding for part in Part if part in parts for finding in _LOOK[part](settings, trusted))


def canonical(facts: Mapping[str, Any], env: Mapping[str, str], name: str) -> Document:
    """The canonical pod as a plain document."""
    return dict(notebook_pod(PodFacts.read(facts), env, name))


def _cluster(settings: Settings, trusted: Collection[str]) -> Iterator[Finding]:
    wanted = admission(settings)
    facts = reading.whole(
        wanted.api,
        places=wanted.places,
        version=features.look(wanted.api).version,
        policies=wanted.documents,
        space=wanted.space,
        observe=lambda: wanted.observe(seconds=_OBSERVE_SECONDS),
        trusted=trusted,
    )
    yield from of_the_cluster(facts)
    found = reading.workspaces(facts)
    try:
        where = site(settings, wanted.api)
    except (Rejected, Unavailable) as error:
        yield could_not_look("workspaces", CLUSTER, f"{len(found)} workspaces are as made", str(error))
        return
    for workspace in found:
        yield from of_workspaces([reading.place(wanted.api, where, workspace, canonical, now=datetime.now(UTC))])


def _database(settings: Settings, _: Collection[str]) -> Iterator[Finding]:
    title = "PostgreSQL is recent enough, and its role can change no evidence"
    if not is_postgres(settings.database):
        yield could_not_look("database", "database", title, "the settings name no PostgreSQL")
        return
    store = SqlStore(settings.database)
    try:
        wrong = "; ".join(store.problems())
    except Unavailable as error:
        yield could_not_look("database", "database", title, str(error))
        return
    finally:
        store.close()
    yield _found("database", title, wrong, "fit to work with", "Each sentence says what mends it.")


def _vault(settings: Settings, _: Collection[str]) -> Iterator[Finding]:
    if settings.secrets != "vault":
        yield Finding(
            row="vault",
            subject="vault",
            title="Vault is open and recent enough",
            state=State.OUTSIDE,
            seen="secrets are kept in a sealed file",
        )
        return
    link = Link(vault_settings(settings))
    try:
        for each in standing(link):
            yield _found("vault", f"Vault: {each.name}", "" if each.ok else each.seen, each.seen, each.remedy)
    finally:
        link.close()


def _found(part: str, title: str, wrong: str, seen: str, remedy: str) -> Finding:
    return Finding(
        row=part,
        subject=part,
        title=title,
        state=State.FAIL if wrong else State.PASS,
        seen=wrong or seen,
        remedy=remedy if wrong else "",
    )


_LOOK: Mapping[Part, Callable[[Settings, Collection[str]], Iterator[Finding]]] = {
    Part.CLUSTER: _cluster,
    Part.DATABASE: _database,
    Part.VAULT: _vault,
}

__all__ = ["Finding", "Invalid", "Part", "State", "canonical", "examine"]
