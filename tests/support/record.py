"""A small world in a store, made by legal moves only: people, a dataset, a permit, a workspace, a request.

Nothing here goes through the services, so that the store's own rules are what a test meets.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from spe.adapters.sql import SqlStore
from spe.adapters.sql.store import SqlUnitOfWork
from spe.domain import ids
from spe.domain.audit import Actor, AuditEntry
from spe.domain.dataset import AccessMode, DatasetVersion, Guarantee, Manifest, ManifestFile
from spe.domain.egress import Declaration, EgressRequest, EgressState, Output, OutputKind
from spe.domain.permit import Change, Limits, Permit, PermitState, Terms
from spe.domain.person import Person
from spe.domain.principal import Role
from spe.domain.release import Release, ReleasedFile
from spe.domain.review import Decision, Vote
from spe.domain.workspace import Workspace, WorkspaceState

NOW = datetime(2026, 3, 1, 9, 30, 0, 123456, tzinfo=UTC)
POLICY = "sha256:" + "1" * 64
E = EgressState

ROAD = (E.SUBMITTED, E.CHECKING, E.IN_REVIEW, E.APPROVED, E.RELEASING, E.RELEASED, E.RECALLED)
"""The way of a request that goes well, after the draft."""


@dataclass(frozen=True, slots=True)
class World:
    """Who and what is there; all ids."""

    author: Person
    colleague: Person
    board: tuple[Person, Person]
    checkers: tuple[Person, Person, Person]
    dataset: DatasetVersion
    permit: Permit
    workspace: Workspace
    request: EgressRequest

    @property
    def path(self) -> str:
        """The path of the first output."""
        return self.request.outputs[0].path


def a_person(name: str, *roles: Role) -> Person:
    """Somebody, not stored."""
    return Person(
        id=ids.new_person(),
        issuer="https://login.example",
        subject=name,
        name=name.title(),
        organisation="Institute",
        roles=frozenset(roles),
        trained_until=NOW + timedelta(days=100),
    )


def a_dataset(number: str = "1.0") -> DatasetVersion:
    """A dataset version, not stored."""
    return DatasetVersion(
        dataset=ids.new_dataset(),
        number=number,
        title="Cohort",
        holder="Hospital",
        description="Open data",
        manifest=Manifest.of([ManifestFile(path=f"part-{n}.csv", size=n, sha256=f"{n:064x}") for n in range(3)]),
        source="folder:cohort",
        needs=frozenset({Guarantee.NO_NETWORK}),
        access_modes=frozenset({AccessMode.DIRECT}),
        disclosure_policy="default",
        profile=None,
        registered_at=NOW,
        registered_by="operator",
    )


def an_output(path: str, digit: str) -> Output:
    """An output whose digest repeats one digit."""
    declaration = Declaration(path=path, title="Table", kind=OutputKind.FREQUENCY_TABLE, population=2874)
    return Output(path=path, sha256=digit * 64, size=812, declaration=declaration)


def an_entry(event: str = "permit.proposed", subject: str = "pm-1", person: str = "somebody") -> AuditEntry:
    """An audit entry, not appended."""
    actor = Actor(issuer="https://login.example", subject=person, role="board")
    return AuditEntry(at=NOW, actor=actor, event=event, object_kind="permit", object_id=subject)


def a_release(world: World) -> Release:
    """The release of the world's request."""
    files = tuple(ReleasedFile(path=o.path, sha256=o.sha256, size=o.size) for o in world.request.outputs)
    return Release(
        id=ids.new_release(),
        request=world.request.id,
        recipient=world.author.id,
        files=files,
        receipt="9" * 64,
        released_at=NOW,
        links_until=NOW + timedelta(days=30),
    )


def a_vote(world: World, checker: Person, *, path: str = "", decision: Decision = Decision.APPROVE) -> Vote:
    """A vote on an output of the world's request."""
    path = path or world.path
    return Vote(
        request=world.request.id,
        round=world.request.round,
        path=path,
        sha256=world.request.digests.get(path, "0" * 64),
        checker=checker.id,
        decision=decision,
        reason="seen",
        acknowledged=frozenset({"FRQ-01"}),
        at=NOW,
    )


def propose(uow: SqlUnitOfWork, permit: Permit, verb: str, terms: Terms, by: Person) -> Change:
    """A change that waits for confirmation."""
    change = Change(id=ids.new_change(), permit=permit.id, verb=verb, terms=terms, proposed_by=by.id, proposed_at=NOW)
    uow.changes.add(change)
    return change


def confirm(uow: SqlUnitOfWork, change: Change, by: Person) -> Change:
    """The change, confirmed and settled."""
    confirmed = uow.changes.save(replace(change, confirmed_by=change.confirmed_by | {by.id}))
    return uow.changes.save(replace(confirmed, settled="carried out"))


def make_world(store: SqlStore, *, at: EgressState = E.DRAFT) -> World:
    """A world whose request stands at `at`, one of the road."""
    with store.begin() as uow:
        world = _begin(uow)
        for state in ROAD[: ROAD.index(at) + 1] if at is not E.DRAFT else ():
            world = step(uow, world, state)
    return world


def _begin(uow: SqlUnitOfWork) -> World:
    author, colleague = a_person("author", Role.AUTHORISED_USER), a_person("colleague", Role.CHECKER)
    board = (a_person("alma", Role.BOARD), a_person("bruno", Role.BOARD))
    checkers = (a_person("carla", Role.CHECKER), a_person("dario", Role.CHECKER), a_person("emil", Role.CHECKER))
    for person in (author, colleague, *board, *checkers):
        uow.people.add(person)
    dataset = a_dataset()
    uow.datasets.add(dataset)
    terms = Terms(
        title="Study",
        purpose="Research",
        people=frozenset({author.id, colleague.id}),
        datasets=frozenset({dataset.key}),
        starts=NOW,
        ends=NOW + timedelta(days=365),
        limits=Limits(),
        secrets=frozenset({"token"}),
    )
    permit = Permit(
        id=ids.new_permit(),
        kind="data-permit",
        issuer="Board",
        terms=terms,
        state=PermitState.PROPOSED,
        proposed_by=board[0].id,
        created_at=NOW,
    )
    uow.permits.add(permit)
    confirm(uow, propose(uow, permit, "activate", terms, board[0]), board[1])
    permit = uow.permits.save(replace(permit, state=PermitState.ACTIVE, confirmed_by=frozenset({board[1].id})))
    workspace = Workspace(id=ids.new_workspace(), permit=permit.id, state=WorkspaceState.REQUESTED, created_at=NOW)
    uow.workspaces.add(workspace)
    request = EgressRequest(
        id=ids.new_request(),
        workspace=workspace.id,
        permit=permit.id,
        author=author.id,
        purpose="A table for the paper",
        state=E.DRAFT,
        created_at=NOW,
        outputs=(an_output("table1.csv", "a"), an_output("figures/km.png", "b")),
    )
    uow.egress.add(request)
    return World(
        author=author,
        colleague=colleague,
        board=board,
        checkers=checkers,
        dataset=dataset,
        permit=permit,
        workspace=workspace,
        request=request,
    )


def step(uow: SqlUnitOfWork, world: World, state: EgressState) -> World:
    """The world after the request's next legal move, with what belongs to it."""
    request = world.request
    if state is E.SUBMITTED:
        request = replace(request, round=request.round + 1, policy_digest=POLICY)
    if state is E.CHECKING:
        request = replace(request, report="2" * 64, views="3" * 64, verdict="refer")
    if state is E.APPROVED:
        for checker in world.checkers[:2]:
            for path in request.digests:
                uow.votes.add(a_vote(world, checker, path=path))
        request = replace(request, approved=frozenset(request.digests))
    world = replace(world, request=uow.egress.save(replace(request, state=state)))
    if state is E.RELEASED:
        uow.releases.add(a_release(world))
    return world
