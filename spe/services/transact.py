"""The one door for state: decide, save, audit, queue effects, in one transaction.

`apply` is the only caller of `save` for anything that has a machine. State, audit entry and
intended effects commit together or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from spe.domain.egress import EGRESS, EgressContext, EgressRequest, EgressState
from spe.domain.errors import Denial, Refused
from spe.domain.machine import Denied, Machine, Offer
from spe.domain.permit import PERMIT, Permit, PermitContext, PermitState
from spe.domain.principal import Permission, Principal
from spe.domain.workspace import WORKSPACE, Workspace, WorkspaceContext, WorkspaceState
from spe.ports.store import Table, UnitOfWork
from spe.services.journal import record

S = TypeVar("S", bound=StrEnum)
C = TypeVar("C")


class Stateful(Protocol):
    """An entity with an id and a state."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> Any: ...  # noqa: D102


E = TypeVar("E", bound=Stateful)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject(Generic[S, C, E]):
    """A machine bound to the table of its entities; `kind` begins the names of its effects."""

    kind: str
    machine: Machine[S, C]
    table: Callable[[UnitOfWork], Table[Any, E]]


PERMITS: Subject[PermitState, PermitContext, Permit] = Subject(
    kind="permit", machine=PERMIT, table=lambda uow: uow.permits
)
WORKSPACES: Subject[WorkspaceState, WorkspaceContext, Workspace] = Subject(
    kind="workspace", machine=WORKSPACE, table=lambda uow: uow.workspaces
)
REQUESTS: Subject[EgressState, EgressContext, EgressRequest] = Subject(
    kind="egress", machine=EGRESS, table=lambda uow: uow.egress
)


def demand(by: Principal, permission: Permission) -> Principal:
    """The principal in the roles that hold the permission. Raises `Refused` when none does."""
    if not by.may(permission):
        raise Refused(
            [
                Denial(
                    code="no-permission",
                    message=f"Your role does not include “{permission}”; an operator can tell who may.",
                )
            ]
        )
    return by.using(permission)


def apply(
    uow: UnitOfWork,
    subject: Subject[S, C, E],
    entity: E,
    verb: str,
    context: C,
    *,
    now: datetime,
    facts: Mapping[str, str | int | bool] | None = None,
    changes: Mapping[str, Any] | None = None,
    by: Principal,
) -> E:
    """Move `entity` by `verb`; returns it as saved.

    Raises `Refused` with every denial, `Stale` when somebody else saved meanwhile, `Unavailable` when
    the audit log cannot be written: then nothing happened.
    """
    transition = subject.machine.find(entity.state, verb)
    if transition is not None:
        by = demand(by, transition.permission)
    answer = subject.machine.decide(entity.state, verb, context)
    if isinstance(answer, Denied):
        raise Refused(answer.denials)
    moved = replace(entity, state=answer.target, **(changes or {}))  # type: ignore[type-var]
    saved = subject.table(uow).save(moved)
    record(
        uow,
        event=answer.transition.event,
        kind=subject.kind,
        subject=entity.id,
        before=str(entity.state),
        after=str(answer.target),
        facts=facts,
        now=now,
        by=by,
    )
    for effect in answer.transition.effects:
        uow.outbox.put(f"{subject.kind}:{effect}", entity.id, now)
    return saved


def offers(subject: Subject[S, C, E], entity: E, context: C, *, by: Principal) -> tuple[Offer, ...]:
    """What this person is offered: open moves, and closed ones with the reasons why not now."""
    return tuple(o for o in subject.machine.offers(entity.state, context) if by.may(o.permission))
