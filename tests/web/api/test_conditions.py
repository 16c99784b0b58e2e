"""`If-Match` and `Idempotency-Key`: nobody acts on what changed, and nothing is made twice."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.ground import CLEAN, LEAKING


def approving(seen) -> dict[str, object]:
    outputs = seen.json()["report"]["outputs"]
    judged = {o["path"]: {"decision": "approve", "acknowledged": [f["key"] for f in o["findings"]]} for o in outputs}
    return {"outputs": judged}


def test_a_review_without_a_tag_is_refused(front):
    request = front.ground.submitted()
    checker = front.client("checker")
    seen = checker.get(f"/api/v1/reviews/{request}")
    answer = checker.post(f"/api/v1/reviews/{request}:review", json=approving(seen))
    assert (answer.status_code, answer.json()["code"]) == (428, "precondition-missing")


def test_a_review_of_what_was_replaced_meanwhile_is_refused(front):
    ground = front.ground
    request = ground.submitted({"table.csv": CLEAN})
    checker = front.client("checker")
    seen = checker.get(f"/api/v1/reviews/{request}")
    ground.review(request, "checker2")
    ground.review(request, "checker3")
    ground.app.reviews.conclude(request, "return", reason="Round it.", by=ground.by("checker2"))
    author = ground.by("researcher")
    ground.app.egress.put_file(request, "table.csv", [CLEAN + b"other,300,60\n"], by=author)
    ground.app.egress.submit(request, by=author)
    ground.settle()
    answer = checker.post(
        f"/api/v1/reviews/{request}:review", json=approving(seen), headers={"If-Match": seen.headers["ETag"]}
    )
    assert (answer.status_code, answer.json()["code"]) == (412, "stale")


def test_another_checkers_review_does_not_disturb_ones_own(front):
    ground = front.ground
    request = ground.submitted()
    checker = front.client("checker")
    seen = checker.get(f"/api/v1/reviews/{request}")
    ground.review(request, "checker2")
    answer = checker.post(
        f"/api/v1/reviews/{request}:review", json=approving(seen), headers={"If-Match": seen.headers["ETag"]}
    )
    assert answer.status_code == 200
    assert answer.headers["ETag"] == seen.headers["ETag"]


def test_a_permit_that_changed_since_it_was_read_is_not_suspended(front):
    path = f"/api/v1/permits/{front.ground.permit_id}"
    seen = front.client("board").get(path).headers["ETag"]
    front.api("board2", "POST", f"/permits/{front.ground.permit_id}:suspend", json={"reason": "An incident."})
    late = front.client("board").post(f"{path}:revoke", json={"reason": "Also."}, headers={"If-Match": seen})
    assert late.status_code == 412
    fresh = front.client("board").get(path).headers["ETag"]
    done = front.client("board").post(f"{path}:revoke", json={"reason": "Also."}, headers={"If-Match": fresh})
    assert done.json()["state"] == "revoked"


def test_the_same_key_and_body_make_one_thing_and_answer_the_same(front):
    body = {"workspace": front.ground.workspace_id, "purpose": "Once"}
    client = front.client("researcher")
    answers = [client.post("/api/v1/egress", json=body, headers={"Idempotency-Key": "k1"}) for _ in range(3)]
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    assert len(front.api("researcher", "GET", "/egress")["items"]) == 1


def test_the_same_key_with_another_body_is_refused(front):
    client = front.client("researcher")
    headers = {"Idempotency-Key": "k1"}
    body = {"workspace": front.ground.workspace_id}
    client.post("/api/v1/egress", json=body, headers=headers)
    answer = client.post("/api/v1/egress", json=body | {"purpose": "Other"}, headers=headers)
    assert [e["field"] for e in answer.json()["errors"]] == ["Idempotency-Key"]


def test_the_same_key_of_another_person_is_another_key(front):
    body, headers = {"workspace": front.ground.workspace_id}, {"Idempotency-Key": "k1"}
    made = {front.client(p).post("/api/v1/egress", json=body, headers=headers).json()["id"] for p in _two()}
    assert len(made) == 2


def _two() -> tuple[str, str]:
    return "researcher", "colleague"


def test_a_refused_attempt_may_be_repeated_with_its_key(front):
    ground = front.ground
    body, headers = {"workspace": ground.workspace_id}, {"Idempotency-Key": "k2"}
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="For now.", by=ground.by("board"))
    client = front.client("researcher")
    assert client.post("/api/v1/egress", json=body, headers=headers).status_code == 403
    pending = ground.app.permits.resume(ground.permit_id, by=ground.by("board")).pending[0]
    ground.app.permits.confirm(pending.id, by=ground.by("board2"))
    assert client.post("/api/v1/egress", json=body, headers=headers).status_code == 201


def test_two_requests_at_once_with_one_key_make_one_thing(front):
    client = front.client("researcher")
    body, headers = {"workspace": front.ground.workspace_id}, {"Idempotency-Key": "k3"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/api/v1/egress", json=body, headers=headers), range(8)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 201}) == 1
    assert len(front.api("researcher", "GET", "/egress")["items"]) == 1


def test_a_submission_of_what_changed_since_is_refused(front):
    ground = front.ground
    request = ground.draft({"table.csv": CLEAN})
    seen = front.client("researcher").get(f"/api/v1/egress/{request}").headers["ETag"]
    front.client("researcher").put(f"/api/v1/egress/{request}/files/table.csv", content=LEAKING)
    answer = front.client("researcher").post(f"/api/v1/egress/{request}:submit", headers={"If-Match": seen})
    assert answer.status_code == 412
    assert ground.request(request).state == "draft"
