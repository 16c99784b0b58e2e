"""A Vault that is sealed while a workspace is made, used, prolonged or removed: no grant, and the removal completes.

Real pods on the suite's cluster. These tests seal, so they start a Vault of their own (the program `vault`, from PATH).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from spe.domain.errors import Refused, Unavailable
from spe.domain.workspace import SessionState, WorkspaceState
from spe.ports.cluster import Cluster, Step, StepKind
from spe.reconciler.timers import Timers
from tests.adapters.cluster.kubernetes.ground import Ground, ground
from tests.reconciler.estate import Estate, estate
from tests.support import vault
from tests.support.ground import SECRET
from tests.support.hub_stack import wait_for
from tests.support.prepared import over

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

SEALED = "Vault is sealed or in maintenance"
MAKING = (StepKind.GATE, StepKind.DATA)
"""Sealed before a gate is told anything, and when all but the people is there."""
REMOVAL = (StepKind.CUT, StepKind.WITHDRAW_DATA, StepKind.UNSEAL)
"""Sealed before the door is closed, in the middle, and before the last step."""


class Shut:
    """The Vault of the test, sealed and unsealed."""

    def __init__(self, own: vault.OwnVault) -> None:
        self._own = own
        self.holds = False

    def seal(self) -> None:
        self._own.seal()
        self.holds = True

    def unseal(self) -> None:
        if self.holds:
            self._own.unseal()
            self.holds = False


class Sealing:
    """A cluster; the Vault is sealed right before the first step of one kind."""

    def __init__(self, inner: Cluster, kind: StepKind, shut: Shut) -> None:
        self._inner, self._kind, self._shut = inner, kind, shut

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def apply(self, step: Step) -> None:
        if step.kind is self._kind and not self._shut.holds:
            self._shut.seal()
        self._inner.apply(step)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("accounts")) as made:
        yield made


@pytest.fixture(scope="module")
def own() -> Iterator[vault.OwnVault]:
    server = vault.OwnVault()
    try:
        server.start()
        yield server
    finally:
        server.clear()


@pytest.fixture(scope="module")
def whole(here: Ground, own: vault.OwnVault, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    folder = tmp_path_factory.mktemp("estate")
    environment = vault.Environment(own.place, folder)
    try:
        with estate(here, environment.prepare(), folder) as made:
            yield made
    finally:
        environment.clear()


@pytest.fixture
def shut(own: vault.OwnVault) -> Iterator[Shut]:
    made = Shut(own)
    try:
        yield made
    finally:
        made.unseal()


@pytest.fixture
def place(whole: Estate, shut: Shut) -> Iterator[Estate]:
    app = whole.ground.app
    try:
        yield whole
    finally:
        shut.unseal()
        whole.ground.app = whole.ground.hub.app = app
        whole.clear()


def sealed_at(place: Estate, kind: StepKind, shut: Shut) -> None:
    """From now on the Vault is sealed when this step is about to be made."""
    cluster = Sealing(place.ground.app.house.ports.cluster, kind, shut)
    place.ground.app = place.ground.hub.app = over(place.ground, cluster=cluster)


def unsealed(place: Estate, shut: Shut, state: WorkspaceState) -> None:
    """It is unsealed, and what was owed is done."""
    shut.unseal()
    place.ground.app = place.ground.hub.app = over(place.ground, cluster=place.place.cluster)
    place.settle(state)


def held_up(place: Estate, shut: Shut) -> bool:
    """Whether something was tried since it is sealed and is owed still for that reason."""
    place.ground.settle()
    return shut.holds and any(SEALED in why for why in place.owed())


def events(place: Estate, event: str) -> int:
    return len(place.ground.app.audit.entries(event=event, by=place.ground.by("auditor")))


# -- made


@pytest.mark.parametrize("kind", MAKING)
def test_sealed_while_a_workspace_is_made_nobody_may_enter_until_it_is_unsealed(
    place: Estate, shut: Shut, kind: StepKind
) -> None:
    place.grant()
    sealed_at(place, kind, shut)
    wait_for(lambda: held_up(place, shut), "the making is held up")
    assert place.ground.workspace.state is WorkspaceState.PROVISIONING
    assert not place.place.seen().places
    place.ground.accept("researcher")
    with pytest.raises(Refused):
        place.ground.app.sessions.start(place.ground.workspace_id, by=place.ground.by("researcher"))
    unsealed(place, shut, WorkspaceState.READY)
    place.things, place.before = [], []
    place.revoke()
    place.settle(WorkspaceState.CLOSED)
    place.assert_over()


# -- used, prolonged


def test_sealed_it_starts_no_session_lends_nothing_and_ends_nobody_who_works(place: Estate, shut: Shut) -> None:
    app, who = place.ground.app, place.ground.by("researcher")
    place.grant()
    place.settle(WorkspaceState.READY)
    shut.seal()
    place.ground.open_session()
    session = app.sessions.mine(place.ground.workspace_id, by=who)
    assert session is not None
    assert session.state is SessionState.FAILED
    assert SEALED in session.message
    assert not place.place.seen().sessions
    shut.unseal()
    place.inhabit()
    leases, asked = place.vault.store().leases(place.ground.workspace_id), events(place, "secret.unavailable")
    shut.seal()
    with pytest.raises(Unavailable, match=SEALED):
        app.secrets.lease(place.ground.workspace_id, SECRET, person=who)
    assert events(place, "secret.unavailable") == asked + 1
    Timers(app).minute()
    wait_for(lambda: held_up(place, shut), "it was looked at in vain")
    assert place.place.seen().sessions == {who.person}
    assert place.ground.workspace.state is WorkspaceState.READY
    shut.unseal()
    assert place.vault.store().leases(place.ground.workspace_id) == leases
    assert place.place.seen().places == {who.person}


def test_sealed_it_prolongs_no_permit(place: Estate, shut: Shut) -> None:
    permits, board, board2 = place.ground.app.permits, place.ground.by("board"), place.ground.by("board2")
    place.grant()
    terms = place.ground.permit.terms
    longer, longest = (replace(terms, ends=terms.ends + timedelta(days=days)) for days in (30, 60))
    (change,) = permits.amend(place.ground.permit_id, longer, by=board).pending
    shut.seal()
    with pytest.raises(Unavailable, match=SEALED):
        permits.confirm(change.id, by=board2)
    with pytest.raises(Unavailable, match=SEALED):
        permits.amend(place.ground.permit_id, longest, by=board)
    assert place.ground.permit.terms == terms
    shut.unseal()
    permits.confirm(change.id, by=board2)
    assert place.ground.permit.terms == longer


# -- removed


@pytest.mark.parametrize("kind", REMOVAL)
def test_sealed_while_a_workspace_is_removed_only_the_last_word_waits(
    place: Estate, shut: Shut, kind: StepKind
) -> None:
    place.live()
    sealed_at(place, kind, shut)
    place.revoke()
    wait_for(place.gone, "nothing is left on the cluster", seconds=60)
    wait_for(lambda: held_up(place, shut), "the last word is held up")
    assert place.ground.workspace.state is WorkspaceState.CLOSING
    (why,) = [c.reason for c in place.ground.workspace.conditions if c.name == "in-sync"]
    assert SEALED in why
    unsealed(place, shut, WorkspaceState.CLOSED)
    place.assert_over()


def test_revoked_while_it_is_sealed_the_door_is_closed_at_once(place: Estate, shut: Shut) -> None:
    place.live()
    shut.seal()
    place.revoke()
    place.settle(WorkspaceState.CLOSING, seconds=60)
    assert not place.place.seen().sessions
    wait_for(place.gone, "nothing is left on the cluster", seconds=60)
    assert not place.closed()
    unsealed(place, shut, WorkspaceState.CLOSED)
    place.assert_over()
