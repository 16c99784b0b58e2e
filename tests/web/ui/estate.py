"""A world in which every page has something to show, and the address of every page."""

from dataclasses import dataclass, field

from spe.domain.review import Decision
from tests.support.ground import CLEAN, LEAKING, SETUP, Ground

NOTES = b"Cells under 10 were suppressed. Total 686.\n"


@dataclass
class Estate:
    """The ids that addresses are filled in with."""

    ground: Ground
    ids: dict[str, str] = field(default_factory=dict)

    def at(self, template: str) -> str:
        """An address with its ids filled in."""
        return template.format(**self.ids)


def estate(ground: Ground) -> Estate:
    """Fill a fresh world: a request in each state, permits that wait, are suspended and hold."""
    made = Estate(ground)
    ground.accept("researcher")
    for name, data in {"table9.csv": CLEAN, "deep/figure.txt": NOTES}.items():
        ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), name, data)
    released = ground.released()
    waiting = ground.submitted({"notes.txt": NOTES, "table1.csv": CLEAN})
    ground.review(waiting, "checker")
    complete = ground.submitted({"table3.csv": CLEAN})
    ground.review(complete, "checker")
    ground.review(complete, "checker2")
    returned = ground.submitted({"table2.csv": CLEAN})
    ground.review(returned, "checker", Decision.CHANGE)
    ground.review(returned, "checker2")
    by = ground.by("checker")
    ground.app.reviews.conclude(returned, "return", reason="Round the counts to five.", by=by)
    proposed = ground.app.permits.propose(
        kind="data-permit", issuer="Board", terms=ground.terms("outsider", title="Ageing"), by=ground.by("board")
    )
    suspended = ground.grant(ground.terms("colleague", title="Sleep"))
    ground.settle()
    ground.app.permits.narrow(suspended, "suspend", reason="A question is open.", by=ground.by("board"))
    ground.settle()
    assert ground.dataset is not None
    made.ids |= {
        "workspace": ground.workspace_id,
        "permit": ground.permit_id,
        "proposed": proposed.permit.id,
        "change": proposed.pending[0].id,
        "suspended": suspended,
        "released": released,
        "waiting": waiting,
        "complete": complete,
        "returned": returned,
        "blocked": ground.submitted({"leak.csv": LEAKING}),
        "draft": ground.draft({"draft.csv": CLEAN}),
        "release": ground.app.releases.all(by=ground.by("auditor"))[0].release.id,
        "person": ground.id_of("researcher"),
        "dataset": ground.dataset.key,
        "link": ground.app.people.link(ground.id_of("researcher"), by=SETUP),
    }
    return made


PAGES: dict[str, tuple[str, ...]] = {
    "": ("/sign-in", "/sign-in/{link}", "/signed-out", "/accessibility", "/guide", "/guide/egress", "/nowhere"),
    "researcher": (
        *("/", "/profile", "/workspaces", "/workspaces/{workspace}", "/workspaces/{workspace}/terms"),
        *("/workspaces/{workspace}/outputs", "/workspaces/{workspace}/outputs?to={draft}", "/egress"),
        *("/egress/{draft}", "/egress/{draft}/edit", "/egress/{draft}/withdraw", "/egress/{returned}"),
        *("/egress/{blocked}", "/egress/{waiting}", "/egress/{released}", "/releases", "/releases/{release}"),
    ),
    "board": ("/", "/permits/{proposed}", "/permits/{proposed}/decline"),
    "board2": (
        *("/", "/permits", "/permits/new", "/permits/{permit}", "/permits/{permit}/record"),
        *("/permits/{permit}/amend", "/permits/{permit}/suspend", "/permits/{permit}/revoke"),
        *("/permits/{proposed}", "/permits/{proposed}/changes/{change}", "/permits/{suspended}"),
        "/permits/{suspended}/resume",
    ),
    "checker2": (
        *("/", "/reviews", "/reviews/{waiting}", "/reviews/{complete}", "/reviews/{complete}/decision"),
        *("/reviews/{blocked}", "/reviews/{blocked}/waive", "/reviews/{returned}", "/reviews/{released}"),
        *("/reviews/{released}/recall", "/releases", "/releases/{release}"),
    ),
    "operator": (
        *("/", "/operations", "/operations/workspaces/{workspace}", "/operations/workspaces/{workspace}/stop"),
        *("/people", "/people/new", "/people/{person}", "/people/{person}/switch", "/datasets", "/datasets/new"),
        *("/datasets/{dataset}", "/datasets/{dataset}/withdraw", "/secrets", "/permits", "/permits/{permit}"),
    ),
    "auditor": (
        *("/", "/audit", "/audit?event=egress&before=40", "/audit/entries/3", "/permits", "/permits/{permit}/record"),
        *("/releases", "/releases/{release}"),
    ),
}
"""Every page, with somebody for whom it has the most to show."""
ALL = [(name, page) for name, pages in PAGES.items() for page in pages]
