"""Object-level access (security note T106): every route of the API, asked by every role with and without a tie to
the object. A route without a row here fails.

Each row has one sign per person: `+` passes the authoriser (a guard or the input may still say no), `x` the role
does not include it, `-` there is no such thing for this person, `?` sign in first.
"""

from typing import Any

import pytest

from spe.domain import ids
from tests.support.ground import CLEAN
from tests.web.front import Front

PEOPLE = ("", "outsider", "researcher", "colleague", "board", "checker", "operator", "auditor")
REASON = {"reason": "For the test."}
TERMS = {
    "title": "T",
    "purpose": "P",
    "people": ["p-aaaaaaaaaaaaaaaa"],
    "datasets": ["ds-aaaaaaaaaaaaaaaa/1"],
    "starts": "2020-01-01T00:00:00Z",
    "ends": "2020-01-02T00:00:00Z",
}
BODIES: dict[str, Any] = {
    "POST /people": {"issuer": "i", "subject": "s", "name": "\x01", "roles": ["checker"]},
    "POST /people/{person}/links": {},
    "POST /people/{person}/invitations": {},
    "POST /people/{person}/tokens": {},
    "POST /permits": {"issuer": "B", "terms": TERMS},
    "POST /permits/{permit}:preview-amend": TERMS,
    "POST /permits/{permit}:amend": TERMS,
    "POST /permits/{permit}:suspend": REASON,
    "POST /permits/{permit}:revoke": REASON,
    "POST /permits/{permit}:decline": REASON,
    "POST /datasets": {"folder": "/nowhere", "title": "T", "holder": "H"},
    "POST /egress/{egress}:take": {"paths": ["a.csv"]},
    "POST /egress/{egress}:describe": {},
    "POST /reviews/{egress}:review": {"outputs": {"table.csv": {"decision": "approve"}}},
    "POST /reviews/{egress}:approve": REASON,
    "POST /reviews/{egress}:return": REASON,
    "POST /reviews/{egress}:reject": REASON,
    "POST /reviews/{egress}:waive": {"reasons": {"x": "y"}},
    "POST /releases/{release}:recall": REASON,
    "POST /secrets": {"name": "other", "value": "v"},
    "POST /audit:export": {},
}
ROWS: dict[str, str] = {
    "GET /people": "?xxx+x++",
    "POST /people": "?xxxxx+x",
    "GET /people/me": "?+++++++",
    "POST /people/{person}/links": "?xxxxx+x",
    "POST /people/{person}/invitations": "?xxxxx+x",
    "POST /people/{person}/tokens": "?xxxxx+x",
    "POST /people/{person}:deactivate": "?xxxxx+x",
    "POST /people/{person}:activate": "?xxxxx+x",
    "GET /people/{person}": "?xxx+x++",
    "GET /permits": "?+++++++",
    "POST /permits": "?xxx+xxx",
    "GET /permits/{permit}": "?-+++-++",
    "GET /permits/{permit}/preview": "?-+++-++",
    "POST /permits/{permit}:preview-amend": "?-+++-++",
    "POST /permits/{permit}:amend": "?-xx+-xx",
    "POST /permits/{permit}:resume": "?-xx+-xx",
    "POST /permits/{permit}:accept-terms": "?-++----",
    "POST /permits/{permit}:suspend": "?-xx+-xx",
    "POST /permits/{permit}:revoke": "?-xx+-xx",
    "POST /permits/{permit}:decline": "?-+++-++",
    "POST /permits/changes/{change}:confirm": "?xxx+xxx",
    "GET /datasets": "?+++++++",
    "POST /datasets": "?xxxxx+x",
    "GET /datasets/{dataset}/{number}": "?-++++++",
    "POST /datasets/{dataset}/{number}:verify": "?-+++x++",
    "POST /datasets/{dataset}/{number}:withdraw": "?-xxxx+x",
    "GET /workspaces": "?+++++++",
    "GET /workspaces/{workspace}": "?-+++-++",
    "POST /workspaces/{workspace}:stop": "?-xxx-+x",
    "POST /workspaces/{workspace}:start": "?-xxx-+x",
    "POST /workspaces/{workspace}:retry": "?-+++-++",
    "GET /workspaces/{workspace}/session": "?-+++-++",
    "POST /workspaces/{workspace}/session:start": "?-++x-xx",
    "POST /workspaces/{workspace}/session:stop": "?-------",
    "GET /workspaces/{workspace}/session/progress": "?-+++-++",
    "GET /workspaces/{workspace}/outputs": "?-++x-xx",
    "GET /egress": "?+++++++",
    "POST /egress": "?-++xxxx",
    "GET /egress/{egress}": "?-++----",
    "PUT /egress/{egress}/files/{path}": "?-++----",
    "DELETE /egress/{egress}/files/{path}": "?-++----",
    "POST /egress/{egress}:take": "?-++----",
    "POST /egress/{egress}:describe": "?-++----",
    "POST /egress/{egress}:submit": "?-++----",
    "POST /egress/{egress}:withdraw": "?-++----",
    "GET /reviews": "?xxxx+xx",
    "GET /reviews/{egress}": "?xxxx+xx",
    "POST /reviews/{egress}:review": "?xxxx+xx",
    "POST /reviews/{egress}:approve": "?xxxx+xx",
    "POST /reviews/{egress}:return": "?xxxx+xx",
    "POST /reviews/{egress}:reject": "?xxxx+xx",
    "POST /reviews/{egress}:waive": "?xxxx+xx",
    "GET /releases": "?+++++++",
    "GET /releases/{release}": "?-++-+-+",
    "GET /releases/{release}/receipt": "?-++-+-+",
    "GET /releases/{release}/files/{path}": "?-++-+-+",
    "POST /releases/{release}:recall": "?-xx-+-x",
    "GET /secrets": "?+++++++",
    "POST /secrets": "?xxxxx+x",
    "GET /audit/entries": "?xxxxxx+",
    "POST /audit:verify": "?xxxxxx+",
    "POST /audit:export": "?xxxxxx+",
    "GET /audit/keys": "++++++++",
    "GET /audit/checkpoints": "?+++++++",
    "GET /service-info": "++++++++",
    "GET /jobs": "?xxxxx+x",
}


HIDDEN = [route for route, row in ROWS.items() if row[1] == "-" and "{" in route]
"""Routes to objects of which the outsider may not know."""


@pytest.fixture(scope="module")
def names(shared_front: Front) -> dict[str, str]:
    """Objects that are there, by their names in the paths; a draft and a request under review."""
    ground = shared_front.ground
    assert ground.dataset is not None
    ground.released()
    (release,) = ground.app.releases.all(by=ground.by("auditor"))
    terms = ground.terms("researcher", "colleague")
    waiting = ground.app.permits.propose(kind="data-permit", issuer="Board", terms=terms, by=ground.by("board"))
    return {
        "person": ground.id_of("checker3"),
        "permit": ground.permit_id,
        "change": waiting.pending[0].id,
        "dataset": ground.dataset.dataset,
        "number": ground.dataset.number,
        "workspace": ground.workspace_id,
        "egress": ground.draft({"table.csv": CLEAN}),
        "reviewed": ground.submitted(),
        "release": release.release.id,
        "path": "table.csv",
    }


def call(front: Front, person: str, route: str, names: dict[str, str]) -> Any:
    """One call with a body that fits."""
    method, _, path = route.partition(" ")
    given = names | {"egress": names["reviewed"]} if path.startswith("/reviews/") else names
    body = {"workspace": names["workspace"]} if route == "POST /egress" else BODIES.get(route)
    options: dict[str, Any] = {"content": CLEAN} if method == "PUT" else {}
    if method == "POST":
        options = {"json": body, "headers": {"If-Match": '"an-older-state"'} if path.startswith("/reviews/") else {}}
    query = "?verb=revoke" if path.endswith("/preview") else ""
    return front.client(person).request(method, "/api/v1" + path.format(**given) + query, **options)


def sign(answer: Any) -> str:
    """The sign of a row for an answer."""
    codes = [d["code"] for d in answer.json()["denials"]] if answer.status_code == 403 else []
    table = {401: "?", 404: "-"}
    by_code = {"form-token": "?", "no-permission": "x"}
    return table.get(answer.status_code) or by_code.get("".join(codes), "+")


def test_every_route_of_the_api_has_a_row(shared_front):
    paths = shared_front.app.openapi()["paths"]
    routes = {f"{m.upper()} {p.removeprefix('/api/v1')}" for p, methods in paths.items() for m in methods}
    assert routes == set(ROWS)


@pytest.mark.parametrize("route", ROWS)
def test_a_route_opens_for_those_in_its_row_only(shared_front, names, route):
    row = dict(zip(PEOPLE, ROWS[route], strict=True))
    # Those who pass come last: what they do may change what the others would hear.
    order = sorted(PEOPLE, key=lambda person: row[person] == "+")
    got = {person: sign(call(shared_front, person, route, names)) for person in order}
    assert got == row


@pytest.mark.parametrize("route", HIDDEN)
def test_what_is_not_for_somebody_looks_like_what_is_not_there(shared_front, names, route):
    unknown = names | {
        "permit": ids.new_permit(),
        "dataset": ids.new_dataset(),
        "workspace": ids.new_workspace(),
        "egress": ids.new_request(),
        "release": ids.new_release(),
    }
    forbidden, missing = (call(shared_front, "outsider", route, given) for given in (names, unknown))
    assert forbidden.json() | {"request": ""} == missing.json() | {"request": ""}
    assert forbidden.status_code == missing.status_code == 404


def test_an_unknown_address_of_the_api_looks_the_same_too(shared_front, names):
    there = call(shared_front, "outsider", "GET /permits/{permit}", names).json()
    nowhere = shared_front.client("outsider").get("/api/v1/nothing/at/all").json()
    assert nowhere | {"request": ""} == there | {"request": ""}
