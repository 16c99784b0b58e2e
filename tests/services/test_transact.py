"""State, audit entry and owed effects commit together or not at all; nothing happens that was not written down."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from spe.domain.egress import EgressState
from spe.domain.errors import Unavailable
from spe.domain.permit import PermitState
from spe.domain.principal import Role
from spe.domain.review import Decision
from spe.ports.store import Store, UnitOfWork
from spe.services.app import App
from spe.services.journal import under
from spe.services.reviews import Judgement
from tests.support.ground import CLEAN, SECRET, SETUP, Ground
from tests.support.prepared import over, restart

Act = Callable[[], object]


def no_more_audit(ground: Ground) -> None:
    """The audit table takes nothing any more, as when its disk is full or its rights are gone."""
    with closing(sqlite3.connect(ground.folder / "spe.db")) as database:
        database.execute(
            "CREATE TRIGGER nothing_more BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        database.commit()


def audit_again(ground: Ground) -> None:
    with closing(sqlite3.connect(ground.folder / "spe.db")) as database:
        database.execute("DROP TRIGGER nothing_more")
        database.commit()


def everything(ground: Ground) -> str:
    """A digest of all that the environment knows: each row of the database, the released bytes, the secrets' names."""
    with closing(sqlite3.connect(ground.folder / "spe.db")) as database:
        rows = "\n".join(database.iterdump())
    release = sorted(p.name for p in (ground.folder / "objects" / "release").rglob("*") if p.is_file())
    held = ground.app.house.ports.secrets.leases(ground.workspace_id)
    world = (ground.sandboxes.running, ground.cluster.there, ground.hub.asked, ground.notifier.told)
    return hashlib.sha256(repr((rows, release, held, world)).encode()).hexdigest()


def reviewed(ground: Ground, *names: str) -> Callable[[], str]:
    def prepare() -> str:
        request = ground.submitted()
        for name in names:
            ground.review(request, name)
        return request

    return prepare


def acts(ground: Ground) -> dict[str, Callable[[], Act]]:
    """Each act of somebody, ready to be done: what precedes it has happened already."""
    app, by = ground.app, ground.by

    def register_person() -> Act:
        return lambda: app.people.register(
            issuer="https://x", subject="new", name="New", organisation="", roles=[*by("board").roles], by=SETUP
        )

    def redeem() -> Act:
        link = app.people.link(ground.id_of("board"), by=SETUP)
        return lambda: app.people.redeem(link)

    def sign_out() -> Act:
        session = ground.session("board")
        return lambda: app.people.sign_out(session)

    def confirm() -> Act:
        terms = ground.terms("researcher")
        view = app.permits.propose(kind="data-permit", issuer="B", terms=terms, by=by("board"))
        return lambda: app.permits.confirm(view.pending[0].id, by=by("board2"))

    def widen() -> Act:
        terms = replace(ground.permit.terms, purpose="Another question")
        return lambda: app.permits.amend(ground.permit_id, terms, by=by("board"))

    def less() -> Act:
        terms = replace(ground.permit.terms, people=frozenset({ground.id_of("researcher")}))
        return lambda: app.permits.amend(ground.permit_id, terms, by=by("board"))

    def register_dataset() -> Act:
        return lambda: ground.register_dataset("Another")

    def start() -> Act:
        ground.accept("researcher")
        return lambda: app.sessions.start(ground.workspace_id, by=by("researcher"))

    def launch() -> Act:
        start()()
        person = ground.id_of("researcher")
        ground.app.sessions.launch(ground.workspace_id, person, environment={}, base_url="/")
        return lambda: app.sessions.stop(ground.workspace_id, by=by("researcher"))

    def put_file() -> Act:
        request = ground.draft({})
        return lambda: app.egress.put_file(request, "a.csv", [CLEAN], by=by("researcher"))

    def with_draft(act: Callable[[str], object]) -> Callable[[], Act]:
        def prepare() -> Act:
            request = ground.draft({"table.csv": CLEAN})
            return lambda: act(request)

        return prepare

    def with_request(prepare: Callable[[], str], act: Callable[[str], object]) -> Callable[[], Act]:
        def made() -> Act:
            request = prepare()
            return lambda: act(request)

        return made

    def download() -> Act:
        view = app.releases.of_request(ground.released(), by=by("researcher"))
        assert view is not None
        return lambda: app.releases.download(view.release.id, "table.csv", by=by("researcher"))

    yes = {"table.csv": Judgement(decision=Decision.APPROVE)}
    researcher, checker = by("researcher"), by("checker")
    return {
        "register a person": register_person,
        "make a link": lambda: lambda: app.people.link(ground.id_of("board"), by=SETUP),
        "use a link": redeem,
        "make a token": lambda: lambda: app.people.token(ground.id_of("board"), by=by("board")),
        "sign out": sign_out,
        "accept terms": lambda: lambda: app.people.accept_terms(ground.permit_id, by=researcher),
        "switch off": lambda: lambda: app.people.switch(ground.id_of("colleague"), active=False, by=by("operator")),
        "propose": lambda: (
            lambda: app.permits.propose(
                kind="data-permit", issuer="B", terms=ground.terms("researcher"), by=by("board")
            )
        ),
        "confirm": confirm,
        "widen": widen,
        "narrow": less,
        "suspend": lambda: lambda: app.permits.narrow(ground.permit_id, "suspend", reason="so", by=by("board")),
        "revoke": lambda: lambda: app.permits.narrow(ground.permit_id, "revoke", reason="so", by=by("board")),
        "register a dataset": register_dataset,
        "verify a dataset": lambda: lambda: app.datasets.verify(ground.dataset.key, by=by("operator")),  # type: ignore[union-attr]
        "withdraw a dataset": lambda: lambda: app.datasets.withdraw(ground.dataset.key, by=by("operator")),  # type: ignore[union-attr]
        "store a secret": lambda: lambda: app.secrets.put("another-key", "x", by=by("operator")),
        "change a secret": lambda: lambda: app.secrets.put(SECRET, "other", by=by("operator")),
        "lend a secret": lambda: lambda: app.secrets.lease(ground.workspace_id, SECRET, person=researcher),
        "stop a workspace": lambda: lambda: app.workspaces.move(ground.workspace_id, "stop", by=by("operator")),
        "start a session": start,
        "stop a session": launch,
        "draft": lambda: lambda: app.egress.create(ground.workspace_id, by=researcher),
        "freeze a file": put_file,
        "drop a file": with_draft(lambda r: app.egress.drop_file(r, "table.csv", by=researcher)),  # type: ignore[arg-type]
        "submit": with_draft(lambda r: app.egress.submit(r, by=researcher)),  # type: ignore[arg-type]
        "withdraw": with_draft(lambda r: app.egress.withdraw(r, by=researcher)),  # type: ignore[arg-type]
        "look": with_request(reviewed(ground), lambda r: app.reviews.look(r, "0.json", by=checker)),  # type: ignore[arg-type]
        "review": with_request(reviewed(ground), lambda r: app.reviews.review(r, yes, by=checker)),  # type: ignore[arg-type]
        "approve": with_request(
            reviewed(ground, "checker", "checker2"),
            lambda r: app.reviews.conclude(r, "approve", by=checker),  # type: ignore[arg-type]
        ),
        "download": download,
        "recall": with_request(ground.released, lambda r: app.releases.recall(r, reason="so", by=checker)),  # type: ignore[arg-type]
        "export the log": lambda: lambda: app.audit.export(by=by("auditor")),
        "seal the log": lambda: lambda: unsealed(app),
    }


def unsealed(app: App) -> object:
    """An entry is written and a head signed over it in one transaction."""
    with app.house.ports.store.begin() as uow:
        uow.audit.append(replace(uow.audit.entry(0), index=0))
        return app.audit.seal(uow)


def test_without_the_log_no_act_of_anybody_happens(ground: Ground) -> None:
    for name, prepare in acts(ground).items():
        act = prepare()
        before = everything(ground)
        no_more_audit(ground)
        blocked = everything(ground)
        with pytest.raises(Unavailable):
            act()
        assert everything(ground) == blocked, f"“{name}” left something behind"
        audit_again(ground)
        assert everything(ground) == before, name


def test_without_the_log_everything_can_still_be_read(ground: Ground) -> None:
    request = ground.released()
    no_more_audit(ground)
    auditor = ground.by("auditor")
    assert ground.app.permits.view(ground.permit_id, by=auditor).in_force
    assert ground.app.egress.view(request, by=auditor).request.state is EgressState.RELEASED
    assert ground.app.workspaces.all(by=auditor)
    assert ground.app.audit.entries(by=auditor)
    assert ground.app.audit.verify(by=auditor)[1] == ()
    assert ground.app.releases.all(by=auditor)


def test_without_the_log_the_loops_do_nothing_and_catch_up_afterwards(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    no_more_audit(ground)
    ground.settle()
    assert ground.request(request).state is EgressState.APPROVED
    assert not list((ground.folder / "objects" / "release").rglob("?" * 64))
    audit_again(ground)
    ground.clock.turn(minutes=1)
    ground.settle()
    assert ground.request(request).state is EgressState.RELEASED


class Torn:
    """A database whose every commit fails at the last instant, once it is told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read, self.problems, self.lead, self.fenced = store.read, store.problems, store.lead, store.fenced
        self.fails = False

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        with self._store.begin() as uow:
            yield uow
            if self.fails:
                raise Unavailable("database", "the disk is full")


def test_what_is_not_committed_has_not_happened(ground: Ground) -> None:
    torn = Torn(ground.app.house.ports.store)
    ground.app = over(ground, store=torn)
    secret = {"store a secret", "change a secret"}  # the sealed file is written just before the commit
    for name, prepare in acts(ground).items():
        if name in secret:
            continue
        act = prepare()
        before = everything(ground)
        torn.fails = True
        with pytest.raises(Unavailable):
            act()
        torn.fails = False
        assert everything(ground) == before, f"“{name}” left something behind"
    ground.app = over(ground, store=torn._store)


def test_a_decision_that_was_committed_is_carried_out_after_a_crash(ground: Ground) -> None:
    request = ground.draft({"table.csv": CLEAN})
    ground.app.egress.submit(request, by=ground.by("researcher"))
    restart(ground)
    ground.settle()
    assert ground.request(request).state is EgressState.IN_REVIEW
    for name in ("checker", "checker2"):
        ground.review(request, name)
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    restart(ground)
    ground.settle()
    assert ground.request(request).state is EgressState.RELEASED
    ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))
    restart(ground)
    ground.settle()
    assert ground.cluster.owned() == ()
    restart(ground)
    ground.settle()
    assert ground.permit.state is PermitState.CLOSED
    assert ground.app.audit.verify(by=ground.by("auditor"))[1] == ()


def test_each_move_owes_its_effects_in_the_same_instant(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="so", by=ground.by("board"))
    with ground.app.house.ports.store.read() as uow:
        assert {i.kind for i in uow.outbox.open()} == {"permit:cut", "permit:reconcile"}
        (entry,) = uow.audit.select(event="permit.suspended")
    assert (entry.before, entry.after) == ("active", "suspended")


def test_a_full_disk_is_told_and_nothing_half_done_stays(ground: Ground, tmp_path: Path) -> None:
    def full(chunks: object) -> object:
        raise Unavailable("object store", "its disk is full")

    request = ground.draft({})
    objects = ground.app.house.ports.objects

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(objects, name)

        def put(self, *args: object, **kwargs: object) -> object:
            return full(args)

    app = over(ground, objects=Full())
    before = everything(ground)
    with pytest.raises(Unavailable, match="full"):
        app.egress.put_file(request, "a.csv", [CLEAN], by=ground.by("researcher"))
    assert everything(ground) == before


# --- what an entry tells --------------------------------------------------------------------------------------


def test_an_entry_names_the_role_used_not_all_that_its_person_has(ground: Ground) -> None:
    roles = [Role.BOARD, Role.CHECKER]
    both = ground.app.people.register(
        issuer="https://id", subject="both", name="Bo", organisation="Node", roles=roles, by=SETUP
    )
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.app.people.principal(both))
    entry = ground.app.audit.entries(subject=ground.permit_id, by=ground.by("auditor"))[0]
    assert (entry.event, entry.actor.subject, entry.actor.role) == ("permit.suspended", "both", "board")


def test_an_entry_names_the_policies_under_which_it_was_allowed(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))
    entry = ground.app.audit.entries(subject=ground.permit_id, by=ground.by("auditor"))[0]
    assert entry.policy == ground.app.house.policies().digest


def test_an_entry_names_the_request_it_comes_from_and_its_effects_name_themselves(ground: Ground) -> None:
    with under("a1b2"):
        ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))
    ground.settle()
    told = ground.app.audit.entries(by=ground.by("auditor"))
    requests = {entry.event: entry.request for entry in told}
    assert requests["permit.revoked"] == "a1b2"
    assert str(requests["workspace.closing"]).startswith("effect-")
