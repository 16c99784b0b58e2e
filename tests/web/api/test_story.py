"""The story through the API: the same services and offers as the pages, in JSON."""

import hashlib
import json

from spe.adapters.secrets import ed25519
from spe.domain.keys import TrustedKeys
from spe.domain.receipt import verify_receipt
from tests.support.ground import CLEAN, LEAKING, SECRET
from tests.web.front import Front


def terms(front: Front) -> dict[str, object]:
    ground = front.ground
    assert ground.dataset is not None
    return {
        "title": "Another project",
        "purpose": "Counts by arm",
        "people": [ground.id_of("researcher")],
        "datasets": [ground.dataset.key],
        "starts": "2020-01-01T00:00:00Z",
        "ends": "2099-01-01T00:00:00+02:00",
    }


def draft(front: Front, data: bytes = CLEAN) -> str:
    request = front.api("researcher", "POST", "/egress", json={"workspace": front.ground.workspace_id})["id"]
    front.api("researcher", "PUT", f"/egress/{request}/files/tables/one.csv", content=data)
    said = {"path": "tables/one.csv", "kind": "frequency-table", "title": "By arm", "population": 686}
    front.api("researcher", "POST", f"/egress/{request}:describe", json={"purpose": "Table 1", "outputs": [said]})
    return str(request)


def review(front: Front, name: str, request: str) -> None:
    seen = front.client(name).get(f"/api/v1/reviews/{request}")
    judged = {
        o["path"]: {"decision": "approve", "acknowledged": [f["key"] for f in o["findings"]]}
        for o in seen.json()["report"]["outputs"]
    }
    match = {"If-Match": seen.headers["ETag"]}
    front.api(name, "POST", f"/reviews/{request}:review", json={"outputs": judged}, headers=match)


def test_a_permit_is_proposed_confirmed_and_gets_a_workspace(front):
    body = {"issuer": "Board", "terms": terms(front)}
    proposed = front.api("board", "POST", "/permits", json=body)
    assert proposed["state"] == "proposed"
    assert not proposed["in_force"]
    change = proposed["pending"][0]["id"]
    own = front.client("board").post(f"/api/v1/permits/changes/{change}:confirm")
    assert own.status_code == 403
    assert [d["code"] for d in own.json()["denials"]] == ["own-proposal"]
    active = front.api("board2", "POST", f"/permits/changes/{change}:confirm")
    assert (active["state"], active["pending"]) == ("active", [])
    front.ground.settle()
    spaces = front.api("researcher", "GET", "/workspaces")["items"]
    assert [s["state"] for s in spaces if s["permit"] == active["id"]] == ["ready"]


def test_an_amendment_narrows_at_once_and_widens_later(front):
    permit = front.ground.permit_id
    whole = front.api("board", "GET", f"/permits/{permit}")
    given = {k: whole["terms"][k] for k in ("title", "purpose", "datasets", "starts", "secrets")}
    given |= {"people": [front.ground.id_of("researcher")], "ends": "2099-01-01T00:00:00Z"}
    effects = front.api("board", "POST", f"/permits/{permit}:preview-amend", json=given)["effects"]
    assert [e.partition(":")[0] for e in effects] == ["At once", "After confirmation"]
    changed = front.api("board", "POST", f"/permits/{permit}:amend", json=given)
    assert changed["terms"]["people"] == [front.ground.id_of("researcher")]
    assert changed["terms"]["ends"] == whole["terms"]["ends"]
    assert changed["pending"][0]["terms"]["ends"].startswith("2099")


def test_each_narrowing_step_shows_its_effect_first(front):
    permit = front.ground.permit_id
    for verb in ("suspend", "revoke"):
        effects = front.api("board", "GET", f"/permits/{permit}/preview?verb={verb}")["effects"]
        assert effects
    suspended = front.api("board", "POST", f"/permits/{permit}:suspend", json={"reason": "An incident."})
    assert (suspended["state"], suspended["reason"]) == ("suspended", "An incident.")
    resumed = front.api("board", "POST", f"/permits/{permit}:resume")
    assert resumed["pending"][0]["verb"] == "resume"
    ended = front.api("board", "POST", f"/permits/{permit}:revoke", json={"reason": "Misuse."})
    assert (ended["state"], ended["pending"]) == ("revoked", [])
    front.ground.settle()
    assert front.api("operator", "GET", f"/workspaces/{front.ground.workspace_id}")["state"] == "closed"


def test_a_session_is_refused_then_started_followed_and_stopped(front):
    space = f"/workspaces/{front.ground.workspace_id}"
    refused = front.client("researcher").post(f"/api/v1{space}/session:start")
    assert [d["code"] for d in refused.json()["denials"]] == ["terms-not-accepted"]
    front.api("researcher", "POST", f"/permits/{front.ground.permit_id}:accept-terms")
    started = front.api("researcher", "POST", f"{space}/session:start")
    assert (started["state"], started["denials"]) == ("starting", [])
    events = front.client("researcher").get(f"/api/v1{space}/session/progress")
    assert events.headers["Content-Type"].startswith("text/event-stream")
    assert [line for line in events.text.splitlines() if line.startswith("event:")] == [
        "event: progress",
        "event: ready",
    ]
    last = json.loads(events.text.strip().splitlines()[-1].removeprefix("data: "))
    url = f"{front.web.hub_url}/user/{front.ground.id_of('researcher')}/{front.ground.workspace_id}/lab"
    assert last["url"] == url
    assert front.api("researcher", "GET", f"{space}/session")["url"] == url
    assert front.api("researcher", "POST", f"{space}/session:stop")["state"] == "stopped"
    assert not front.ground.sandboxes.running


def test_a_silent_hub_ends_the_events_with_a_sentence(front):
    ground = front.ground
    ground.open_session()
    ground.hub.app = None
    ground.hub.ready.clear()
    events = front.client("researcher").get(f"/api/v1/workspaces/{ground.workspace_id}/session/progress")
    assert "event: failed" in events.text


def test_an_operator_stops_and_starts_a_workspace(front):
    space = f"/workspaces/{front.ground.workspace_id}"
    assert front.api("operator", "POST", f"{space}:stop")["state"] == "stopped"
    front.ground.settle()
    assert front.api("operator", "POST", f"{space}:start")["state"] == "provisioning"


def test_outputs_of_the_folder_are_taken_into_a_draft(front):
    ground = front.ground
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), "table.csv", CLEAN)
    found = front.api("researcher", "GET", f"/workspaces/{ground.workspace_id}/outputs")["items"]
    assert [(c["path"], c["size"]) for c in found] == [("table.csv", len(CLEAN))]
    assert front.api("researcher", "GET", f"/workspaces/{ground.workspace_id}/outputs")["note"] == ""
    request = front.api("researcher", "POST", "/egress", json={"workspace": ground.workspace_id})["id"]
    taken = front.api("researcher", "POST", f"/egress/{request}:take", json={"paths": ["table.csv"]})
    assert [o["sha256"] for o in taken["outputs"]] == [hashlib.sha256(CLEAN).hexdigest()]


def test_a_request_is_reviewed_blind_released_and_recalled(front):
    ground = front.ground
    request = draft(front)
    submitted = front.api("researcher", "POST", f"/egress/{request}:submit")
    assert submitted["state"] == "submitted"
    ground.settle()
    assert front.api("researcher", "GET", f"/egress/{request}")["report"]["verdict"] in ("pass", "refer")
    review(front, "checker", request)
    blind = front.api("checker2", "GET", f"/reviews/{request}")
    assert (blind["votes"], blind["standings"], blind["reviews_done"]) == ([], {}, 1)
    early = front.client("checker").post(f"/api/v1/reviews/{request}:approve", json={})
    assert "reviews-missing" in [d["code"] for d in early.json()["denials"]]
    review(front, "checker2", request)
    assert front.api("checker2", "POST", f"/reviews/{request}:approve", json={})["state"] == "approved"
    ground.settle()
    (release,) = front.api("researcher", "GET", "/releases")["items"]
    fetched = front.client("researcher").get(f"/api/v1/releases/{release['id']}/files/tables/one.csv")
    assert fetched.content == CLEAN
    assert fetched.headers["Content-Disposition"].startswith("attachment;")
    assert front.client("checker").get(f"/api/v1/releases/{release['id']}/files/tables/one.csv").status_code == 403
    receipt = front.client("researcher").get(f"/api/v1/releases/{release['id']}/receipt").content
    keys = front.client().get("/api/v1/audit/keys").content
    assert verify_receipt(receipt, TrustedKeys.read(keys), ed25519.verify).manifest.request == request
    recalled = front.api("checker3", "POST", f"/releases/{release['id']}:recall", json={"reason": "Wrong table."})
    assert recalled["recalled_at"]
    assert front.client("researcher").get(f"/api/v1/releases/{release['id']}/files/tables/one.csv").status_code == 403


def test_a_leaking_request_is_blocked_with_its_findings_and_can_be_mended(front):
    request = draft(front, LEAKING)
    front.api("researcher", "POST", f"/egress/{request}:submit")
    front.ground.settle()
    blocked = front.api("researcher", "GET", f"/egress/{request}")
    assert blocked["state"] == "blocked"
    assert any(f["severity"] == "block" for o in blocked["report"]["outputs"] for f in o["findings"])
    front.api("researcher", "PUT", f"/egress/{request}/files/tables/one.csv", content=CLEAN)
    again = front.api("researcher", "POST", f"/egress/{request}:submit")
    assert (again["state"], again["round"]) == ("submitted", 2)


def test_a_dataset_is_registered_verified_and_withdrawn(front):
    folder = front.ground.folder / "data" / "new"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("a\n1\n")
    body = {"folder": str(folder), "title": "New", "holder": "Hospital", "number": "2.0"}
    made = front.api("operator", "POST", "/datasets", json=body)
    assert [f["path"] for f in made["files"]] == ["a.csv"]
    assert front.api("operator", "POST", f"/datasets/{made['key']}:verify")["manifest"] == made["manifest"]
    (folder / "a.csv").write_text("a\n2\n")
    changed = front.client("operator").post(f"/api/v1/datasets/{made['key']}:verify")
    assert [d["code"] for d in changed.json()["denials"]] == ["dataset-changed"]
    assert front.api("operator", "POST", f"/datasets/{made['key']}:withdraw")["withdrawn"]


def test_only_operators_see_where_a_dataset_lies(front):
    assert front.ground.dataset is not None
    path = f"/datasets/{front.ground.dataset.key}"
    assert front.api("operator", "GET", path)["source"]
    assert front.api("researcher", "GET", path)["source"] is None


def test_a_secret_goes_in_and_never_comes_out(front):
    front.api("operator", "POST", "/secrets", json={"name": "second-key", "value": "hush"})
    answer = front.client("operator").get("/api/v1/secrets")
    assert answer.json() == {"names": [SECRET, "second-key"]}
    short = front.client("operator").post("/api/v1/secrets", json={"name": "x", "value": 3, "more": "hush"})
    assert "hush" not in short.text


def test_the_auditor_reads_filters_verifies_and_exports(front):
    first = front.api("auditor", "GET", "/audit/entries?page_size=5")
    assert len(first["items"]) == 5
    second = front.api("auditor", "GET", f"/audit/entries?page_size=5&page_token={first['next_page_token']}")
    assert second["items"][0]["index"] == first["items"][-1]["index"] - 1
    permits = front.api("auditor", "GET", "/audit/entries?event=permit.")["items"]
    assert {e["event"].partition(".")[0] for e in permits} == {"permit"}
    verified = front.api("auditor", "POST", "/audit:verify")
    assert (verified["intact"], verified["problems"]) == (True, [])
    pack = front.client("auditor").post("/api/v1/audit:export", json={"subject": front.ground.permit_id})
    assert pack.content.startswith(b"PK")
    assert front.api("researcher", "GET", "/audit/checkpoints")["items"]


def test_people_are_registered_linked_and_switched_off(front):
    body = {"issuer": "https://login.example", "subject": "new", "name": "New Person", "roles": ["authorised-user"]}
    made = front.api("operator", "POST", "/people", json=body)
    link = front.api("operator", "POST", f"/people/{made['id']}/links", json={})["link"]
    assert link.startswith(f"{front.web.portal_url}/sign-in/spe_link_")
    token = front.api("operator", "POST", f"/people/{made['id']}/tokens", json={"days": 1})["token"]
    me = front.client().get("/api/v1/people/me", headers={"Authorization": f"Bearer {token}"})
    assert me.json()["person"] == made["id"]
    assert not front.api("operator", "POST", f"/people/{made['id']}:deactivate")["active"]
    gone = front.client().get("/api/v1/people/me", headers={"Authorization": f"Bearer {token}"})
    assert gone.status_code == 401


def test_service_info_health_and_jobs(front):
    assert front.client().get("/api/v1/service-info").json()["type"]["artifact"] == "service-info"
    assert front.client().get("/healthz").json() == {"status": "ok"}
    assert front.client().get("/readyz").json() == {"status": "ok", "database": "ok", "keys": "ok"}
    front.api("board", "POST", f"/permits/{front.ground.permit_id}:revoke", json={"reason": "Over."})
    owed = front.api("operator", "GET", "/jobs")["items"]
    assert {"permit:cut", "permit:reconcile"} <= {j["kind"] for j in owed}
