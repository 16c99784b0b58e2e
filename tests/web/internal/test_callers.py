"""The internal application: each caller has its own token and its own part; people inside act as researchers."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from spe.domain import ids
from spe.domain.principal import Role
from spe.web.app import create_internal
from tests.support.ground import CLEAN, LEAKING, SECRET, SETUP
from tests.web.front import WEB


class Inner:
    """The application as Hub and gate call it."""

    def __init__(self, ground) -> None:
        self.ground = ground
        self.client = TestClient(create_internal(ground.app, WEB), base_url="http://portal", follow_redirects=False)

    def gate(self, method: str, path: str, *, person: str = "researcher", workspace: str = "", **options):
        token = self.ground.app.house.gate_token(workspace or self.ground.workspace_id)
        headers = {"Authorization": f"Bearer {token}", "X-Spe-Person": self.ground.id_of(person)}
        return self.client.request(method, path, headers=headers | options.pop("headers", {}), **options)

    def hub(self, method: str, path: str, **options):
        return self.client.request(method, path, headers={"Authorization": f"Bearer {WEB.service_token}"}, **options)


@pytest.fixture
def inner(ground) -> Inner:
    ground.accept("researcher", "colleague")
    return Inner(ground)


def codes(answer) -> list[str]:
    return [d["code"] for d in answer.json()["denials"]]


PATHS = ("/workspace/permit", "/workspace/egress", "/gate/entitled?person=p", "/hub/entitled?user=p")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "token", ["", "Bearer ", "Bearer x", "Basic eDp5", "Bearer ws-aaaaaaaaaaaaaaaa.00", "Bearer é"]
)
def test_a_call_without_the_right_token_is_refused(inner, path, token):
    headers = {"Authorization": token.encode("latin-1"), "X-Spe-Person": inner.ground.id_of("researcher")}
    assert inner.client.get(path, headers=headers).status_code == 401


def test_the_tokens_of_the_callers_are_not_exchangeable(inner):
    gate = {"Authorization": f"Bearer {inner.ground.app.house.gate_token(inner.ground.workspace_id)}"}
    assert inner.client.get("/hub/entitled?user=p", headers=gate).status_code == 401
    assert inner.hub("GET", "/gate/entitled?person=p").status_code == 401
    assert inner.hub("GET", "/workspace/permit").status_code == 401


def test_an_empty_service_token_opens_nothing(ground):
    client = TestClient(create_internal(ground.app, replace(WEB, service_token="")), base_url="http://portal")
    for token in ("Bearer ", "Bearer", ""):
        assert client.get("/hub/entitled?user=p", headers={"Authorization": token}).status_code == 401


def test_a_gate_speaks_for_its_own_workspace_only(inner):
    token = inner.ground.app.house.gate_token(inner.ground.workspace_id)
    other = token.replace(inner.ground.workspace_id, ids.new_workspace())
    headers = {"Authorization": f"Bearer {other}", "X-Spe-Person": inner.ground.id_of("researcher")}
    assert inner.client.get("/workspace/permit", headers=headers).status_code == 401


@pytest.mark.parametrize("named", ["", "nobody", "p-aaaaaaaaaaaaaaaa", "system:reconciler", "p-" + "a" * 4000])
def test_a_person_who_is_none_is_not_let_in(inner, named):
    answer = inner.gate("GET", "/workspace/permit", headers={"X-Spe-Person": named})
    assert answer.status_code in (403, 404)


def test_people_without_a_tie_are_not_let_in_whatever_their_role(inner):
    for person in ("outsider", "board", "checker", "operator", "auditor"):
        assert "not-on-permit" in codes(inner.gate("GET", "/workspace/permit", person=person))


def test_inside_people_act_as_researchers_only(inner):
    ground = inner.ground
    both = ground.app.people.register(
        issuer="https://login.example",
        subject="both",
        name="Both",
        organisation="Institute",
        roles=[Role.AUTHORISED_USER, Role.CHECKER],
        by=SETUP,
    )
    ground.people["both"] = both
    other = ground.grant(ground.terms("researcher", "both"))
    ground.settle()
    space = ground.workspace_of(other)
    ground.app.people.accept_terms(other, by=ground.by("both"))
    foreign = ground.submitted()
    assert inner.gate("GET", "/workspace/permit", person="both", workspace=space).status_code == 200
    assert inner.gate("GET", f"/workspace/egress/{foreign}", person="both", workspace=space).status_code == 404
    assert ground.app.egress.view(foreign, by=ground.by("both")).request.id == foreign


def test_the_permit_policy_and_manual_are_read_inside(inner):
    assert inner.gate("GET", "/workspace/permit").json()["id"] == inner.ground.permit_id
    policy = inner.gate("GET", "/workspace/policy").json()
    assert policy["digest"].startswith("sha256:")
    assert policy["largest_file"] == 512 * 1024**2
    for page in ("../settings", "..%2f..%2fapp", "no-such-page", ".hidden"):
        assert inner.gate("GET", f"/workspace/guide/{page}").status_code in (404, 422)


def test_a_secret_is_leased_by_name_and_another_is_not(inner):
    lease = inner.gate("GET", f"/workspace/secrets/{SECRET}")
    assert lease.json()["value"] == "value-of-the-registry-key"
    assert lease.headers["Cache-Control"] == "no-store"
    assert codes(inner.gate("GET", "/workspace/secrets/other")) == ["not-listed"]


def test_a_request_is_made_filled_described_and_submitted_from_inside(inner):
    body = {"purpose": "Table 1", "outputs": [{"path": "t/a.csv", "kind": "frequency-table"}]}
    request = inner.gate("POST", "/workspace/egress", json=body).json()["id"]
    stored = inner.gate("PUT", f"/workspace/egress/{request}/files/t/a.csv", content=CLEAN)
    assert stored.json()["size"] == len(CLEAN)
    described = inner.gate("POST", f"/workspace/egress/{request}:describe", json=body).json()
    assert described["outputs"][0]["declaration"]["kind"] == "frequency-table"
    assert inner.gate("POST", f"/workspace/egress/{request}:submit").json()["state"] == "submitted"
    inner.ground.settle()
    assert inner.gate("GET", f"/workspace/egress/{request}").json()["state"] == "in-review"
    assert [r["id"] for r in inner.gate("GET", "/workspace/egress").json()["items"]] == [request]


def test_a_request_of_another_workspace_does_not_exist_here(inner):
    ground = inner.ground
    other = ground.grant(ground.terms("researcher"))
    ground.settle()
    space = ground.workspace_of(other)
    ground.app.people.accept_terms(other, by=ground.by("researcher"))
    foreign = ground.draft({"a.csv": LEAKING})
    for method, path in (
        ("GET", f"/workspace/egress/{foreign}"),
        ("PUT", f"/workspace/egress/{foreign}/files/a.csv"),
        ("POST", f"/workspace/egress/{foreign}:submit"),
        ("POST", f"/workspace/egress/{foreign}:withdraw"),
    ):
        assert inner.gate(method, path, workspace=space, content=b"x").status_code == 404, path


def test_nothing_is_answered_once_the_permit_is_not_in_force(inner):
    ground = inner.ground
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="An incident.", by=ground.by("board"))
    for path in ("/workspace/permit", "/workspace/egress", f"/workspace/secrets/{SECRET}"):
        assert "permit-not-active" in codes(inner.gate("GET", path))
    assert inner.gate("GET", f"/gate/entitled?person={ground.id_of('researcher')}").json() == {
        "entitled": False,
        "until": None,
        "reason": "An incident.",
    }


def test_the_gate_learns_until_when_somebody_may_stay(inner):
    person = inner.ground.id_of("researcher")
    answer = inner.gate("GET", f"/gate/entitled?person={person}").json()
    assert answer["entitled"] is True
    assert answer["until"]
    outsider = inner.ground.id_of("outsider")
    assert inner.gate("GET", f"/gate/entitled?person={outsider}").json() == {
        "entitled": False,
        "until": None,
        "reason": "You are not an authorised user of this permit.",
    }
    assert inner.gate("GET", "/gate/entitled?person=p-aaaaaaaaaaaaaaaa").status_code == 404


def test_an_event_of_the_gate_is_written_down_once_however_often_it_is_delivered(inner):
    ground = inner.ground
    body = {
        "id": "2026-01-01/p/budget-exceeded/day",
        "event": "budget-exceeded",
        "person": ground.id_of("researcher"),
        "permit": ground.permit_id,
        "at": "2026-01-01T00:00:00.000+00:00",
        "detail": {"used": 12, "limit": 10.5, "what": "a sentence, with spaces\n", "deep": {"x": 1}, "no": None},
    }
    for _ in range(3):
        assert inner.gate("POST", "/gate/events", json=body).json() == {"done": True}
    (entry,) = ground.app.audit.entries(event="gate.budget-exceeded", by=ground.by("auditor"))
    assert dict(entry.details) == {
        "used": 12,
        "limit": 10,
        "what": "a-sentence-with-spaces-",
        "person": ground.id_of("researcher"),
    }


@pytest.mark.parametrize("event", ["", "Budget", "a" * 41, "permit.revoked", "x\ny"])
def test_an_event_with_another_form_is_refused(inner, event):
    assert inner.gate("POST", "/gate/events", json={"event": event}).status_code == 422


def test_the_hub_asks_who_may_enter(inner):
    for person, may in (("researcher", True), ("outsider", False)):
        answer = inner.hub("GET", f"/hub/entitled?user={inner.ground.id_of(person)}")
        assert answer.json() == {"entitled": may}


def test_a_session_starts_only_when_it_was_asked_for_here(inner):
    ground = inner.ground
    path = f"/hub/sessions/{ground.workspace_id}/{ground.id_of('researcher')}"
    body = {"env": {"JUPYTERHUB_API_TOKEN": "t"}, "args": ["--x"], "base_url": "/user/p/ws/"}
    assert codes(inner.hub("POST", f"{path}:start", json=body)) == ["not-requested"]
    ground.app.sessions.start(ground.workspace_id, by=ground.by("researcher"))
    assert inner.hub("POST", f"{path}:start", json=body).json()["url"].startswith("http+unix://")
    assert inner.hub("GET", path).json()["running"] is True
    assert inner.hub("POST", f"{path}:opened").json() == {"done": True}
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert (session.state, session.message) == ("running", "The notebook runs.")
    assert inner.hub("POST", f"{path}:stop").json()["running"] is False
    assert inner.hub("GET", path).json()["running"] is False


def test_what_a_pod_is_made_of_reaches_the_hub_and_only_where_there_are_pods(inner):
    ground = inner.ground
    path = f"/hub/sessions/{ground.workspace_id}/{ground.id_of('researcher')}:start"
    ground.app.sessions.start(ground.workspace_id, by=ground.by("researcher"))
    assert inner.hub("POST", path, json={"base_url": "/"}).json()["pod"] is None
    ground.sandboxes.pod = {"namespace": "spe-ws", "data": [{"claim": "ds-1"}]}
    assert inner.hub("POST", path, json={"base_url": "/"}).json()["pod"] == ground.sandboxes.pod


def test_a_start_that_failed_reaches_the_hub_as_a_refusal_with_its_sentence(inner):
    ground = inner.ground
    ground.sandboxes.refusal = "The notebook ended: out of memory."
    ground.app.sessions.start(ground.workspace_id, by=ground.by("researcher"))
    path = f"/hub/sessions/{ground.workspace_id}/{ground.id_of('researcher')}:start"
    answer = inner.hub("POST", path, json={"base_url": "/"})
    assert answer.status_code == 409
    assert "out of memory" in answer.json()["detail"]


def test_a_persons_start_body_cannot_be_sent_by_a_gate(inner):
    ground = inner.ground
    path = f"/hub/sessions/{ground.workspace_id}/{ground.id_of('researcher')}:start"
    assert inner.gate("POST", path, json={"base_url": "/"}).status_code == 401


def test_the_internal_application_has_no_pages_no_api_and_no_description(inner):
    for path in ("/", "/api/v1/people", "/openapi.json", "/docs", "/sign-in"):
        assert inner.client.get(path).status_code == 404
