"""Object-level access to pages (security note T106): every route, asked by every role with and without a tie to
the object. A route without a row fails.

One sign per person: `+` the page or form is for them (a rule or the input may still say no), `x` it is for another
role, `-` there is no such thing for this person, `?` sign in first, `r` for them, but a rule refuses it as things are.
"""

import pytest

from spe.web import ui
from tests.support.ground import CLEAN, SETUP
from tests.web.front import Front
from tests.web.ui.browser import Browser

PEOPLE = ("", "outsider", "researcher", "colleague", "board", "checker", "operator", "auditor")
ROWS: dict[str, str] = {
    "GET /sign-in": "++++++++",
    "GET /sign-in/{secret}": "++++++++",
    "POST /sign-in/{secret}": "????????",
    "POST /sign-out": "++++++++",
    "GET /signed-out": "++++++++",
    "GET /login": "????????",
    "GET /login/callback": "????????",
    "GET /invitation/{secret}": "????????",
    "GET /accessibility": "++++++++",
    "GET /guide": "++++++++",
    "GET /guide/{name}": "++++++++",
    "GET /audit/keys": "++++++++",
    "GET /": "?+++++++",
    "GET /profile": "?+++++++",
    "GET /workspaces": "?+++xxxx",
    "GET /workspaces/{workspace}": "?-++xxxx",
    "GET /workspaces/{workspace}/progress": "?-++xxxx",
    "POST /workspaces/{workspace}/start": "?-++xxxx",
    "POST /workspaces/{workspace}/stop": "?---xxxx",
    "GET /workspaces/{workspace}/terms": "?-++xxxx",
    "POST /workspaces/{workspace}/terms": "?-++xxxx",
    "GET /workspaces/{workspace}/outputs": "?-++xxxx",
    "POST /workspaces/{workspace}/outputs": "?-++xxxx",
    "GET /egress": "?+++xxxx",
    "GET /egress/{request_id}": "?-++xxxx",
    "GET /egress/{request_id}/edit": "?-+-xxxx",
    "POST /egress/{request_id}/edit": "?-+-xxxx",
    "POST /egress/{request_id}/submit": "?-++xxxx",
    "GET /egress/{request_id}/withdraw": "?-++xxxx",
    "POST /egress/{request_id}/withdraw": "?-+rxxxx",
    "GET /releases": "?+++x+x+",
    "GET /releases/{release}": "?-++x+x+",
    "GET /releases/{release}/receipt": "?-++x+x+",
    "GET /releases/{release}/files/{number}": "?-+rxrxr",
    "GET /permits": "?xxx+x++",
    "GET /permits/new": "?xxx+xxx",
    "POST /permits/new": "?xxx+xxx",
    "GET /permits/{permit}": "?xxx+x++",
    "GET /permits/{permit}/record": "?xxx+x++",
    "GET /permits/{permit}/amend": "?xxx+xxx",
    "POST /permits/{permit}/amend": "?xxx+xxx",
    "GET /permits/{permit}/resume": "?xxx+xxx",
    "POST /permits/{permit}/resume": "?xxxrxxx",
    "GET /permits/{permit}/changes/{change}": "?xxx+xxx",
    "POST /permits/{permit}/changes/{change}": "?xxx+xxx",
    "GET /permits/{permit}/{verb}": "?xxx+xxx",
    "POST /permits/{permit}/{verb}": "?xxxrxxx",
    "GET /reviews": "?xxxx+xx",
    "GET /reviews/{request_id}": "?xxxx+xx",
    "POST /reviews/{request_id}": "?xxxx+xx",
    "GET /reviews/{request_id}/decision": "?xxxx+xx",
    "POST /reviews/{request_id}/decision": "?xxxx+xx",
    "GET /reviews/{request_id}/waive": "?xxxx+xx",
    "POST /reviews/{request_id}/waive": "?xxxx+xx",
    "GET /reviews/{request_id}/recall": "?xxxx+xx",
    "POST /reviews/{request_id}/recall": "?xxxx+xx",
    "GET /operations": "?xxxxx+x",
    "GET /operations/workspaces/{workspace}": "?xxxxx+x",
    "GET /operations/workspaces/{workspace}/stop": "?xxxxx+x",
    "POST /operations/workspaces/{workspace}/{verb}": "?xxxxxrx",
    "GET /people": "?xxxxx+x",
    "GET /people/new": "?xxxxx+x",
    "POST /people/new": "?xxxxx+x",
    "GET /people/{person}": "?xxxxx+x",
    "POST /people/{person}/link": "?xxxxx+x",
    "POST /people/{person}/invitation": "?xxxxx+x",
    "GET /people/{person}/switch": "?xxxxx+x",
    "POST /people/{person}/switch": "?xxxxx+x",
    "GET /datasets": "?xxxxx+x",
    "GET /datasets/new": "?xxxxx+x",
    "POST /datasets/new": "?xxxxx+x",
    "GET /datasets/{dataset}/{number}": "?xxxxx+x",
    "POST /datasets/{dataset}/{number}/verify": "?xxxxx+x",
    "GET /datasets/{dataset}/{number}/withdraw": "?xxxxx+x",
    "POST /datasets/{dataset}/{number}/withdraw": "?xxxxx+x",
    "GET /secrets": "?xxxxx+x",
    "POST /secrets": "?xxxxx+x",
    "GET /audit": "?xxxxxx+",
    "POST /audit/verify": "?xxxxxx+",
    "POST /audit/pack": "?xxxxxx+",
    "GET /audit/entries/{index}": "?xxxxxx+",
}
SIGNS = {200: "+", 303: "+", 401: "?", 403: "x", 404: "-", 409: "+", 422: "+"}
WHOSE_ROLE = "This page is for another role than yours"


def routes() -> list[str]:
    found = (f"{m} {r.path}" for router in ui.routers() for r in router.routes for m in sorted(r.methods - {"HEAD"}))
    return sorted(found)


def test_every_route_has_a_row():
    assert routes() == sorted(ROWS)


def ids(front: Front) -> dict[str, str]:
    ground = front.ground
    proposed = ground.app.permits.propose(
        kind="data-permit", issuer="Board", terms=ground.terms("outsider"), by=ground.by("board2")
    )
    assert ground.dataset is not None
    dataset, number = ground.dataset.key.split("/")
    released = ground.released()
    return {
        "secret": "spe_link_unknown",
        "name": "egress",
        "workspace": ground.workspace_id,
        "release": ground.app.releases.all(by=ground.by("auditor"))[0].release.id,
        "permit": proposed.permit.id,
        "change": proposed.pending[0].id,
        "verb": "decline",
        "person": ground.id_of("researcher"),
        "dataset": dataset,
        "number": number,
        "index": "1",
        "released": released,
    }


@pytest.mark.parametrize("name", PEOPLE, ids=lambda n: n or "nobody")
def test_each_route_answers_each_role_as_its_row_says(name, front):
    known = ids(front)
    ground = front.ground
    active = {"amend", "resume"}
    for row, signs in ROWS.items():
        method, path = row.split(" ")
        wanted = signs[PEOPLE.index(name)]
        if path.startswith("/egress/{"):
            known["request_id"] = ground.draft({"a.csv": CLEAN})
        elif path.startswith("/reviews/{"):
            known["request_id"] = known["released"]
        number = "0" if "files" in path else known["number"]
        permit = ground.permit_id if path.rpartition("/")[2] in active else known["permit"]
        address = path.format(**known | {"number": number, "permit": permit})
        browser = Browser(front, name)
        if method == "GET":
            answer = browser.client.get(address)
            login = answer.headers.get("location", "").startswith("/sign-in")
            status = 401 if login and path != "/sign-in" else answer.status_code
        else:
            token = browser.get("/sign-in/x").form("/sign-in/x").all("input")[0].attributes["value"]
            answer = browser.client.post(address, data={"csrf": token})
            status = answer.status_code
        got = SIGNS[status]
        if got == "x" and WHOSE_ROLE not in answer.text:
            got = "r"
        assert got == wanted, f"{name or 'nobody'}: {row}: {status} {answer.text[-900:]}"


def test_a_person_who_is_switched_off_sees_nothing_from_then_on(front):
    browser = Browser(front, "researcher")
    assert browser.get("/").status == 200
    front.ground.app.people.switch(front.ground.id_of("researcher"), active=False, by=front.ground.by("operator"))
    assert browser.client.get("/").headers["location"].startswith("/sign-in")


def test_a_link_works_once_and_looking_at_it_does_not_use_it_up(front):
    secret = front.ground.app.people.link(front.ground.id_of("board"), by=SETUP)
    browser = Browser(front)
    for _ in range(3):
        page = browser.get(f"/sign-in/{secret}")
    assert "What needs you now" in browser.send(page, f"/sign-in/{secret}").title
    again = Browser(front)
    used = again.send(again.get(f"/sign-in/{secret}"), f"/sign-in/{secret}")
    assert (used.status, used.title) == (401, "This link does not work any more")
