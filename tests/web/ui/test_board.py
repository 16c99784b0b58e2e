"""What the board does in pages: grant, confirm, amend with a preview, suspend, resume, revoke, decline."""

from datetime import timedelta

from tests.web.ui.browser import Browser


def fields(ground, *people: str, **changes):
    now = ground.clock.now()
    return {
        "title": "Ageing",
        "purpose": "Ageing and therapy",
        "issuer": "Health data access body",
        "people": [ground.id_of(p) for p in people],
        "datasets": [ground.dataset.key],
        "ends": f"{now + timedelta(days=30):%Y-%m-%dT%H:%M}",
        "memory": "1.5",
        "daily": "20",
        **changes,
    }


def propose(front, name="board", **changes):
    me = Browser(front, name)
    return me.send(me.get("/permits/new"), "/permits/new", **fields(front.ground, "outsider", **changes))


def test_a_permit_is_granted_by_two(front):
    ground = front.ground
    page = propose(front)
    assert "The permit is proposed" in page.said
    permit = page.address.rpartition("/")[2]
    terms = ground.app.permits.view(permit, by=ground.by("board")).permit.terms
    assert (terms.limits.memory_bytes, terms.limits.daily_bytes) == (1536 * 1024**2, 20 * 1024**2)
    assert "You proposed this; another member of the board confirms it." in page.said
    other = Browser(front, "board2")
    start = other.get("/")
    assert "Ageing" in start.said
    page = other.get(f"/permits/{permit}")
    (link,) = [a.attributes["href"] for a in page.root.all("a") if a.said == "Look at it and confirm"]
    ask = other.get(link)
    assert "1 person gets access to 1 dataset version." in ask.said
    page = other.send(ask, link)
    assert "You confirmed the proposal" in page.said
    assert ground.app.permits.view(permit, by=ground.by("board")).permit.state == "active"
    own = Browser(front, "board").get(link)
    assert own.status == 409


def test_the_proposer_has_no_button_to_confirm_and_a_forged_form_is_refused(front):
    page = propose(front)
    permit = page.address.rpartition("/")[2]
    change = front.ground.app.permits.view(permit, by=front.ground.by("board")).pending[0].id
    me = Browser(front, "board")
    ask = me.get(f"/permits/{permit}/changes/{change}")
    assert "You cannot confirm this" in ask.said
    assert not ask.offers(f"/permits/{permit}/changes/{change}")
    token = ask.form("/sign-out").all("input")[0].attributes["value"]
    answer = me.post(f"/permits/{permit}/changes/{change}", {"csrf": token})
    assert answer.status == 409
    assert front.ground.app.permits.view(permit, by=front.ground.by("board")).permit.state == "proposed"


def test_a_wrong_form_names_each_field_and_keeps_what_was_typed(front):
    page = propose(front, title="", issuer="", people=[], memory="much", ends="soon")
    assert page.status == 422
    assert page.root.all("title")[0].said.startswith("Error: ")
    links = [a.attributes["href"] for a in page.root.all("a") if a.attributes["href"].startswith("#")]
    assert links == ["#main", "#issuer", "#title", "#people", "#ends", "#memory"]
    assert 'value="much"' in page.html
    assert page.form("/permits/new")


def test_a_form_that_is_not_touched_changes_nothing(front):
    me, address = Browser(front, "board"), f"/permits/{front.ground.permit_id}/amend"
    page = me.send(me.get(address), address, step="preview")
    assert "Nothing changes." in page.said


def test_an_amendment_shows_what_acts_at_once_and_what_waits_before_it_is_made(front):
    ground = front.ground
    me, address = Browser(front, "board"), f"/permits/{ground.permit_id}/amend"
    people = [ground.id_of("researcher"), ground.id_of("outsider")]
    page = me.send(me.get(address), address, people=people, memory="8", step="preview")
    assert "At once: 1 person loses access." in page.said
    assert "After confirmation: 1 more person gets access." in page.said
    assert "After confirmation: Limits rise: memory bytes." in page.said
    assert ground.id_of("colleague") in ground.permit.terms.people
    again = me.send(page, address, step="edit")
    assert again.title == "Amend the permit"
    assert 'value="8"' in again.html
    page = me.send(page, address, step="make")
    assert "The amendment is made" in page.said
    assert ground.permit.terms.people == {ground.id_of("researcher")}
    assert "An amendment waits for confirmation" in page.said
    other = Browser(front, "board2")
    (link,) = [
        a.attributes["href"] for a in other.get("/permits/" + ground.permit_id).root.all("a") if "confirm" in a.said
    ]
    other.send(other.get(link), link)
    assert ground.permit.terms.people == set(people)


def test_suspending_shows_the_effect_wants_a_reason_and_acts_at_once(front):
    ground = front.ground
    ground.open_session()
    me, address = Browser(front, "board"), f"/permits/{ground.permit_id}/suspend"
    page = me.get(address)
    assert "1 open notebook session ends at once." in page.said
    page = me.send(page, address, reason=" ")
    assert page.status == 422
    assert "Give a reason" in page.said
    page = me.send(page, address, reason="A question is open.")
    assert "The permit is suspended" in page.said
    assert "A question is open." in Browser(front, "researcher").get(f"/workspaces/{ground.workspace_id}").said
    resume = f"/permits/{ground.permit_id}/resume"
    page = me.send(me.get(resume), resume)
    assert "You proposed to resume the permit" in page.said
    assert ground.permit.state == "suspended"


def test_revoking_and_declining_are_asked_for_and_written_down(front):
    ground = front.ground
    me = Browser(front, "board")
    address = f"/permits/{ground.permit_id}/revoke"
    page = me.send(me.get(address), address, reason="Misuse.")
    assert "The permit is revoked" in page.said
    record = me.get(f"/permits/{ground.permit_id}/record")
    assert "permit.revoked Revoked Board" in record.said
    permit = propose(front).address.rpartition("/")[2]
    address = f"/permits/{permit}/decline"
    assert "The permit is declined" in me.send(me.get(address), address, reason="No.").said


def test_only_known_verbs_have_pages(front):
    me = Browser(front, "board")
    assert me.get(f"/permits/{front.ground.permit_id}/close").status == 404
    token = me.get("/").form("/sign-out").all("input")[0].attributes["value"]
    assert me.post(f"/permits/{front.ground.permit_id}/expire", {"csrf": token, "reason": "x"}).status == 404
