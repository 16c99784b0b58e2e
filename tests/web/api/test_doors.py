"""What stands before every handler: origin and token of forms, fields that nobody offered, hosts, sizes, headers,
and answers that tell no more than they should.
"""

import json
import logging
import re
from dataclasses import replace

import pytest

from spe.adapters.cluster.embedded.sources import FolderSources
from spe.adapters.secrets import ed25519
from spe.disclosure.profiling import make_profile
from spe.domain import ids
from spe.domain.errors import Corrupt, Denial, Invalid, Refused, Rejected, Stale, Unavailable
from spe.services.app import App
from spe.web import problems
from tests.support.ground import CLEAN, CLIENT
from tests.web.api.test_who_may import BODIES, ROWS
from tests.web.front import Front

CHANGING = [route for route in ROWS if not route.startswith("GET ")]
FILLED = {
    "person": ids.new_person(),
    "permit": ids.new_permit(),
    "change": ids.new_change(),
    "dataset": ids.new_dataset(),
    "number": "1",
    "workspace": ids.new_workspace(),
    "egress": ids.new_request(),
    "release": ids.new_release(),
    "path": "a.csv",
}
FOREIGN = (
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost:9000"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
)


def form_token(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found
    return found.group(1)


def codes(answer) -> list[str]:
    return [d["code"] for d in answer.json()["denials"]]


@pytest.mark.parametrize("route", CHANGING)
def test_no_route_takes_a_cookie_without_the_token_or_from_elsewhere(shared_front, route):
    method, _, path = route.partition(" ")
    browser = shared_front.browser("operator")
    address = "/api/v1" + path.format(**FILLED)
    assert codes(browser.request(method, address, json=BODIES.get(route, {}))) == ["form-token"]
    for headers in FOREIGN:
        answer = browser.request(method, address, json=BODIES.get(route, {}), headers=headers)
        assert codes(answer) == ["foreign-origin"]


def page_routes(front: Front) -> list[tuple[str, str]]:
    found = []
    for router in _page_routers():
        for route in router.routes:
            found += [(m, route.path) for m in route.methods or () if m not in ("GET", "HEAD")]
    return found


def _page_routers():
    from spe.web import ui

    return ui.routers()


def test_no_page_takes_a_form_without_the_token_or_from_elsewhere(shared_front):
    browser = shared_front.browser("operator")
    routes = page_routes(shared_front)
    assert routes
    for method, path in routes:
        address = re.sub(r"\{[^}]*\}", "x-aaaaaaaaaaaaaaaa", path)
        for headers in ({}, *FOREIGN):
            answer = browser.request(method, address, data={"csrf": "0" * 64}, headers=headers)
            assert answer.status_code == 403, (method, path, headers)


def test_a_get_of_a_page_or_of_the_api_changes_nothing(shared_front):
    ground = shared_front.ground
    with ground.app.house.ports.store.read() as uow:
        before = uow.audit.size
    for route in ROWS:
        if route.startswith("GET "):
            shared_front.client("operator").get("/api/v1" + route[4:].format(**FILLED))
    with ground.app.house.ports.store.read() as uow:
        events = [uow.audit.entry(n).event for n in range(before, uow.audit.size)]
    assert set(events) <= {"credential.token-issued"}


def test_a_form_of_our_own_page_passes(front):
    browser = front.browser("operator")
    token = form_token(browser.get("/people").text)
    headers = {"X-CSRF-Token": token, "Origin": front.web.portal_url, "Sec-Fetch-Site": "same-origin"}
    made = browser.post("/api/v1/secrets", json={"name": "by-form", "value": "v"}, headers=headers)
    assert made.status_code == 201


def test_a_token_of_another_session_does_not_pass(front):
    token = form_token(front.browser("operator").get("/people").text)
    other = front.browser("operator").post(
        "/api/v1/secrets", json={"name": "a", "value": "v"}, headers={"X-CSRF-Token": token}
    )
    assert codes(other) == ["form-token"]


def test_a_bad_bearer_token_is_not_helped_by_a_good_cookie(front):
    answer = front.browser("operator").get("/api/v1/people", headers={"Authorization": "Bearer spe_token_wrong"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_api_token_opens_no_page(front):
    answer = front.client("operator").get("/people")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=%2Fpeople")


@pytest.fixture(scope="module")
def a_draft(shared_front) -> str:
    return shared_front.ground.draft({"table.csv": CLEAN})


@pytest.mark.parametrize("route", BODIES)
def test_a_field_that_nobody_offers_is_refused(shared_front, a_draft, route):
    method, _, path = route.partition(" ")
    given, person = FILLED | {"egress": a_draft}, "researcher" if path.startswith("/egress") else "operator"
    for field in ("status", "state", "reviewer", "expires_at", "proposed_by", "approved", "__proto__"):
        body = BODIES[route] | {field: "x"}
        headers = {} if path.startswith("/egress") else {"If-Match": '"x"'}
        address = "/api/v1" + path.format(**given)
        answer = shared_front.client(person).request(method, address, json=body, headers=headers)
        assert answer.status_code == 422
        assert [e["field"] for e in answer.json()["errors"]] == [field]


def test_a_nested_field_that_nobody_offers_is_refused(front):
    body = BODIES["POST /permits"] | {"terms": BODIES["POST /permits"]["terms"] | {"state": "active"}}
    answer = front.client("board").post("/api/v1/permits", json=body)
    assert [e["field"] for e in answer.json()["errors"]] == ["terms.state"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:9001", "localhost", "", "127.0.0.1:9000.x"])
def test_a_host_that_is_not_ours_is_refused(front, host):
    answer = front.client("operator").get("/api/v1/people", headers={"Host": host})
    assert answer.status_code == 421


def test_the_host_of_previews_knows_nothing_else(front):
    views = front.client("operator", base=front.web.views_url)
    for path in ("/", "/sign-in", "/api/v1/people", "/oauth/authorize", "/static/portal.css", "/healthz"):
        assert views.get(path).status_code == 421
    assert front.client().get("/views/eg-aaaaaaaaaaaaaaaa/0.json").status_code == 421


def test_a_forwarded_host_changes_nothing(front):
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    answer = front.client("operator").post(
        f"/api/v1/people/{front.ground.id_of('checker')}/links", json={}, headers=headers
    )
    assert answer.json()["link"].startswith("http://127.0.0.1:9000/sign-in/")


def test_a_body_that_is_too_large_is_refused_by_its_length_and_by_its_bytes(front):
    big = b'{"name":"' + b"a" * (2 * 1024**2) + b'"}'
    client = front.client("operator")
    declared = client.post("/api/v1/secrets", content=big, headers={"Content-Type": "application/json"})
    undeclared = client.post("/api/v1/secrets", content=iter([big]), headers={"Content-Type": "application/json"})
    for answer in (declared, undeclared):
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
        assert "1 MiB" in answer.json()["detail"]


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 30, "1,1"])
def test_a_length_that_is_no_number_is_refused(front, length):
    answer = front.client("operator").post("/api/v1/secrets", content=b"{}", headers={"Content-Length": length})
    assert answer.status_code == 413


def test_every_answer_carries_the_headers_browsers_obey(front):
    for path in ("/sign-in", "/api/v1/people", "/nothing", "/static/none.css", "/api/v1/service-info"):
        headers = front.client().get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Request-Id"]
        assert "Access-Control-Allow-Origin" not in headers
    assert front.client().get("/api/v1/service-info").headers["Cache-Control"] == "no-store"


def test_forms_may_lead_on_to_the_hub_and_nowhere_else(front):
    policy = front.client().get("/sign-in").headers["Content-Security-Policy"]
    assert f"form-action 'self' {front.web.hub_url};" in policy


def test_the_openapi_document_is_complete_and_names_no_page(front):
    document = front.client().get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert all(path.startswith("/api/v1/") for path in document["paths"])
    seen = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert operation.get("description") or operation["summary"]
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])


PROBLEMS = (
    (Refused([Denial(code="a", message="Not A."), Denial(code="b", message="Not B.")]), 403, "refused", 4),
    (Invalid({"name": "Give one."}), 422, "invalid", 2),
    (Stale("Changed."), 409, "stale", 7),
    (problems.PreconditionFailed("Changed."), 412, "stale", 7),
    (Unavailable("Hub", "no answer"), 503, "unavailable", 6),
    (Rejected("sandbox", "Out of memory."), 409, "rejected", 6),
    (Corrupt("Entry 7 differs."), 500, "corrupt", 1),
)


@pytest.mark.parametrize(("error", "status", "slug", "_code"), PROBLEMS)
def test_an_error_becomes_a_problem_with_its_sentences_and_remedy(error, status, slug, _code):
    problem = problems.problem_of(error, "r1")
    assert (problem.status, problem.slug) == (status, slug)
    document = problem.document()
    assert document["detail"] == " ".join(error.sentences)
    assert document["remedy"] == error.remedy
    assert document["request"] == "r1"
    assert [d["code"] for d in document["denials"]] == [d.code for d in getattr(error, "denials", ())]


def test_a_problem_of_the_api_is_a_problem_document(front):
    answer = front.client("researcher").post("/api/v1/people", json=BODIES["POST /people"])
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/guide/problems#refused"
    assert answer.headers["X-Request-Id"] == answer.json()["request"]


def test_a_page_tells_a_problem_as_a_page(front):
    answer = front.browser("researcher").get("/no-such-page")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["X-Request-Id"] in answer.text


def test_a_surprise_shows_no_trace_and_no_words_of_its_own(front, caplog):
    caplog.set_level(logging.CRITICAL, logger="spe.web")

    class Broken:
        def __getattr__(self, name: str):
            raise RuntimeError("a word that nobody may read: 4711")

    front.app.state.services = Broken()
    answer = front.client().get("/api/v1/people", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 500
    assert "4711" not in answer.text
    assert answer.json()["request"] == answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_wrong_value_is_not_repeated_in_the_answer(front):
    answer = front.client("operator").post("/api/v1/secrets", json={"name": "x", "value": ["correct horse"]})
    assert answer.status_code == 422
    assert "correct horse" not in answer.text


def test_the_log_line_holds_route_and_ids_but_no_query_no_secret_and_no_flood(front, caplog):
    caplog.set_level(logging.INFO, logger="spe.access")
    client = front.client("operator")
    client.get(f"/api/v1/permits/{front.ground.permit_id}?secret=hidden-in-query")
    client.get("/sign-in/spe_link_never-write-this-down")
    client.get("/" + "a" * 60_000)
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "spe.access"]
    assert lines[0]["ids"] == [front.ground.permit_id]
    assert "permits" in lines[0]["route"]
    text = json.dumps(lines)
    assert "hidden-in-query" not in text
    assert "never-write-this-down" not in text
    assert all(len(json.dumps(line)) < 1000 for line in lines)


def test_a_name_of_ten_megabytes_leaves_no_trace_in_the_log(front, caplog):
    caplog.set_level(logging.INFO)
    front.client("operator").post("/api/v1/people", json=BODIES["POST /people"] | {"name": "n" * 10 * 1024**2})
    assert sum(len(r.getMessage()) for r in caplog.records) < 1000


def test_a_path_in_a_request_is_plain_or_refused(front):
    ground = front.ground
    request = ground.draft({"table.csv": CLEAN})
    for path in ("..%2Fx", "a%2F..%2F..%2Fx", "%2Fetc%2Fpasswd", "a%00b", "a%5Cb", "a%0Ab", "%E2%80%AEx"):
        answer = front.client("researcher").put(f"/api/v1/egress/{request}/files/{path}", content=b"x")
        assert answer.status_code in (404, 422), path
    assert set(ground.request(request).digests) == {"table.csv"}


def test_a_dataset_is_registered_below_the_roots_only(ground):
    root, secret = ground.folder / "data", ground.folder / "data-secret"
    secret.mkdir()
    (secret / "a.csv").write_text("a")
    (root / "link").symlink_to(secret)
    ports = replace(ground.app.house.ports, sources=FolderSources((root,)))
    ground.app = App.over(replace(ground.app.house, ports=ports), client=CLIENT, verify=ed25519.verify)
    front = Front(ground)
    for folder in (str(secret), f"{root}/../data-secret", f"{root}/link", "data", f"{root}\n"):
        body = {"folder": folder, "title": "T", "holder": "H"}
        answer = front.client("operator").post("/api/v1/datasets", json=body)
        assert answer.status_code == 422, folder
        assert answer.json()["errors"][0]["field"] == "folder"


def test_the_profile_of_thousands_of_persons_travels_with_the_request(front, ground):
    folder = ground.folder / "data" / "many"
    folder.mkdir(parents=True)
    (folder / "people.csv").write_text("person_id,age\n" + "".join(f"PAT{n:06},{n % 90}\n" for n in range(3000)))
    profile = json.loads(json.dumps(make_profile(folder)))
    assert any(len(text) > 20_000 for text in re.findall(r'"([^"]*)"', json.dumps(profile)))
    body = {"folder": str(folder), "title": "T", "holder": "H", "profile": profile}
    answer = front.client("operator").post("/api/v1/datasets", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["profiled"]


@pytest.mark.parametrize("token", ["!!!", "Li4vLi4=", "A" * 300, "w6k="])
def test_a_page_token_that_was_not_given_out_is_refused(front, token):
    assert front.client("auditor").get("/api/v1/people", params={"page_token": token}).status_code == 422


def test_pages_of_a_list_join_to_the_whole(front):
    whole = [p["id"] for p in front.api("auditor", "GET", "/people")["items"]]
    got: list[str] = []
    token = ""
    while True:
        page = front.api("auditor", "GET", f"/people?page_size=3&page_token={token}")
        got += [p["id"] for p in page["items"]]
        token = page["next_page_token"]
        if not token:
            break
    assert got == whole
    assert len(got) == 10
