"""What output checkers do in pages: the inbox, blind votes, the joint decision, recall."""

from spe.domain.review import Decision
from tests.support.ground import CLEAN, LEAKING
from tests.web.ui.browser import Browser

COARSE = b"arm,persons\nplacebo,246\ntreated,440\n"
VOTES = {"decision__0": "approve", "reason__0": "", "finding__0": []}


def vote(front, name, request, **changes):
    me = Browser(front, name)
    page = me.get(f"/reviews/{request}")
    ticked = {
        box.attributes["name"]: [
            b.attributes["value"] for b in page.root.all("input") if b.attributes.get("name") == box.attributes["name"]
        ]
        for box in page.root.all("input")
        if box.attributes.get("name", "").startswith("finding-")
    }
    given = {name.replace("-", "__"): values for name, values in ticked.items()} | {"decision__0": "approve"} | changes
    return me.send(page, f"/reviews/{request}", **given)


def test_two_checkers_review_blind_and_then_decide_together(front):
    ground = front.ground
    request = ground.submitted()
    assert "Review it" in Browser(front, "checker").get("/reviews").said
    page = vote(front, "checker", request, reason__0="Fine with me, says the first.")
    assert "Your review is handed in" in page.said
    assert page.root.all("textarea") == []
    second = Browser(front, "checker2").get(f"/reviews/{request}")
    assert "The reviews are blind" in second.said
    assert "says the first" not in second.said
    assert "Hidden" in Browser(front, "checker2").get(f"/reviews/{request}/decision").said
    page = vote(front, "checker2", request)
    assert "says the first" in page.said
    me, address = Browser(front, "checker2"), f"/reviews/{request}/decision"
    page = me.get(address)
    assert ground.request(request).outputs[0].sha256 in page.said
    assert me.send(page, address).status == 422
    no_reason = me.send(page, address, verb="return")
    assert (no_reason.status, "Give a reason" in no_reason.said) == (422, True)
    page = me.send(page, address, verb="approve")
    assert "The request is approved" in page.said
    ground.settle()
    assert ground.request(request).state == "released"


def test_findings_must_be_ticked_and_every_file_decided(front):
    request = front.ground.submitted({"a.csv": CLEAN, "b.csv": COARSE})
    me, address = Browser(front, "checker"), f"/reviews/{request}"
    page = me.send(me.get(address), address, decision__0="approve")
    assert page.status == 422
    assert "Choose a decision on b.csv." in page.said
    page = me.send(page, address, decision__1="change")
    assert page.status == 422
    assert "Give a reason: the author acts on it." in page.said
    assert page.offers("#decision-1")
    page = me.send(page, address, reason__1="Round it.")
    assert "Your review is handed in" in page.said


def test_a_vote_on_a_round_that_is_over_is_not_counted(front):
    ground = front.ground
    request = ground.submitted()
    me, address = Browser(front, "checker3"), f"/reviews/{request}"
    old = me.get(address)
    ground.review(request, "checker", Decision.CHANGE)
    ground.review(request, "checker2", Decision.CHANGE)
    ground.app.reviews.conclude(request, "return", reason="Again.", by=ground.by("checker"))
    ground.app.egress.submit(request, by=ground.by("researcher"))
    ground.settle()
    page = me.send(old, address, decision__0="approve")
    assert page.status == 409
    assert "submitted anew since you opened it" in page.said
    assert "Votes of earlier rounds" in page.said
    assert ground.app.reviews.view(request, by=ground.by("checker3")).reviews_done == 0


def test_a_checker_who_wrote_the_request_has_no_form_and_a_forged_vote_is_refused(front):
    from spe.domain.principal import Role
    from tests.support.ground import SETUP

    ground = front.ground
    both = ground.app.people.register(
        issuer="local",
        subject="both",
        name="Both",
        organisation="",
        roles=[Role.AUTHORISED_USER, Role.CHECKER],
        by=SETUP,
    )
    ground.people["both"] = both
    ground.permit_id = ground.grant(ground.terms("both"))
    ground.settle()
    ground.workspace_id = ground.workspace_of(ground.permit_id)
    ground.accept("both")
    request = ground.submitted(author="both")
    me = Browser(front, "both")
    page = me.get(f"/reviews/{request}")
    assert "You wrote this request; other checkers decide on it." in page.said
    assert not page.offers(f"/reviews/{request}")
    assert page.root.all("textarea", "input")[1:] == []
    token = page.form("/sign-out").all("input")[0].attributes["value"]
    forged = me.post(f"/reviews/{request}", {"csrf": token, "round": "1", "decision-0": "approve"})
    assert forged.status == 422
    assert "You wrote this request" in forged.said


def test_a_release_is_recalled_with_a_reason_after_a_question(front):
    request = front.ground.released()
    me, address = Browser(front, "checker3"), f"/reviews/{request}/recall"
    page = me.get(address)
    assert "1 file can no longer be downloaded." in page.said
    assert me.send(page, address, reason="").status == 422
    assert "The release is recalled" in me.send(page, address, reason="A small cell was found.").said
    said = Browser(front, "researcher").get(f"/egress/{request}").said
    assert "A small cell was found." in said


def test_a_blocked_request_waits_and_says_whether_an_exception_is_possible(front):
    request = front.ground.submitted({"leak.csv": LEAKING})
    me = Browser(front, "checker")
    page = me.get(f"/reviews/{request}/waive")
    assert "allows no exception" in page.said
    assert not page.offers(f"/reviews/{request}/waive")
    assert "Waiting for others (1)" in me.get("/reviews").said


def test_what_a_checker_looks_at_is_written_down_and_only_what_was_rendered_is_shown(front):
    ground = front.ground
    request = ground.submitted()
    page = Browser(front, "checker").get(f"/reviews/{request}")
    (frame,) = page.root.all("iframe")
    other = front.client(base="http://localhost:9000")
    view = other.get(frame.attributes["src"])
    assert view.status_code == 200
    assert "<td>246</td>" in view.text
    entry = ground.app.audit.entries(event="egress.viewed", limit=1, by=ground.by("auditor"))[0]
    assert (entry.object_id, entry.actor.subject) == (request, "checker")
