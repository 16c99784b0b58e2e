"""What researchers do in pages: accept terms, start and stop a session, take results out, read what was found."""

import time

from spe.domain.review import Decision
from tests.support.ground import CLEAN, LEAKING
from tests.web.ui.browser import Browser, Page


def until(look, wanted) -> Page:
    """Load a page again until it says something, as a person would."""
    for _ in range(200):
        page: Page = look()
        if wanted in page.said:
            return page
        time.sleep(0.02)
    raise AssertionError(f"{wanted!r} never came: {page.said}")


def test_the_terms_come_before_the_start_and_the_start_shows_how_it_goes(front):
    ground = front.ground
    me, home = Browser(front, "researcher"), f"/workspaces/{ground.workspace_id}"
    page = me.get(home)
    assert "Accept the terms of use first" in page.said
    assert not page.offers(f"{home}/start")
    page = me.send(me.get(f"{home}/terms"), f"{home}/terms")
    assert "You accepted the terms of use" in page.said
    page = me.send(page, f"{home}/start")
    assert "The session is starting" in page.said
    page = until(lambda: me.get(home), "Open the notebook")
    link = next(a for a in page.root.all("a") if a.said == "Open the notebook")
    person = ground.id_of("researcher")
    assert link.attributes["href"] == f"http://localhost:8000/user/{person}/{ground.workspace_id}/lab"
    page = me.send(page, f"{home}/stop")
    assert "The session has ended" in page.said
    assert page.offers(f"{home}/start")


def test_a_start_that_fails_says_why_and_offers_another(front):
    ground = front.ground
    ground.accept("researcher")
    ground.sandboxes.refusal = "There is no memory left."
    me, home = Browser(front, "researcher"), f"/workspaces/{ground.workspace_id}"
    me.send(me.get(home), f"{home}/start")
    page = until(lambda: me.get(home), "There is no memory left")
    assert page.offers(f"{home}/start")


def test_a_start_while_the_hub_is_silent_is_told_on_the_same_page(front):
    front.ground.accept("researcher")
    me, home = Browser(front, "researcher"), f"/workspaces/{front.ground.workspace_id}"
    page = me.get(home)
    front.ground.hub.silent = True
    page = me.send(page, f"{home}/start")
    assert page.status == 409
    assert "The Hub does not answer" in page.said


def test_the_live_part_is_a_piece_of_the_page_and_needs_no_script(front):
    ground = front.ground
    ground.accept("researcher")
    me, home = Browser(front, "researcher"), f"/workspaces/{ground.workspace_id}"
    ground.app.sessions.start(ground.workspace_id, by=ground.by("researcher"))
    piece = me.client.get(f"{home}/progress")
    assert piece.text.lstrip().startswith('<div id="session"')
    assert "<html" not in piece.text
    until(lambda: me.get(home), "Open the notebook")


def test_the_page_shows_data_limits_secrets_and_the_remaining_risk(front):
    ground = front.ground
    said = Browser(front, "researcher").get(f"/workspaces/{ground.workspace_id}").said
    assert ground.dataset is not None
    for wanted in (
        ground.dataset.mount,
        "Survival by therapy",
        "50 MiB a day",
        "Remaining risk.",
        "spe secret get registry-key",
        "Network sealed",
        "Colleague, Researcher",
    ):
        assert wanted in said, wanted


def test_files_become_a_draft_that_is_described_and_submitted(front):
    ground = front.ground
    workspace = ground.workspace_id
    for name in ("table1.csv", "table2.csv"):
        ground.outputs.put(workspace, ground.id_of("researcher"), name, CLEAN)
    me, folder = Browser(front, "researcher"), f"/workspaces/{ground.workspace_id}/outputs"
    page = me.send(me.get(folder), folder)
    assert (page.status, "Tick at least one file." in page.said) == (422, True)
    page = me.send(page, folder, path=["table1.csv", "table2.csv"])
    assert page.title == "Describe the request"
    edit = page.address
    request = edit.split("/")[2]
    wrong = me.send(page, edit, purpose="Table 1", population__0="many", title__0="Baseline")
    assert wrong.status == 422
    assert "as a whole number" in wrong.said
    assert 'value="Baseline"' in wrong.html
    page = me.send(wrong, edit, population__0="686", kind__0="frequency-table", notes__0="Rounded.", drop="table2.csv")
    assert "The file is removed" in page.said
    page = me.send(page, edit)
    assert page.address == f"/egress/{request}"
    page = me.send(page, f"/egress/{request}/submit")
    assert "The request is submitted" in page.said
    ground.settle()
    stored = ground.request(request)
    assert (stored.state, stored.purpose, list(stored.digests)) == ("in-review", "Table 1", ["table1.csv"])
    assert stored.outputs[0].declaration.population == 686
    page = me.get(f"/egress/{request}")
    assert "In review" in page.said
    assert len(page.root.all("iframe")) == 1


def test_files_are_added_to_a_draft_and_a_draft_of_elsewhere_is_not_found(front):
    ground = front.ground
    request = ground.draft({"a.csv": CLEAN})
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), "b.csv", CLEAN)
    me, folder = Browser(front, "researcher"), f"/workspaces/{ground.workspace_id}/outputs"
    page = me.send(me.get(f"{folder}?to={request}"), folder, path="b.csv")
    assert "The files are added" in page.said
    assert set(ground.request(request).digests) == {"a.csv", "b.csv"}
    forged = me.send(me.get(folder), folder, path="b.csv", to="eg-aaaaaaaaaaaaaaaa")
    assert forged.status == 404


def test_an_unready_request_says_what_is_missing_and_has_no_submit_button(front):
    ground = front.ground
    request = ground.app.egress.create(ground.workspace_id, by=ground.by("researcher")).id
    page = Browser(front, "researcher").get(f"/egress/{request}")
    assert "Add at least one file." in page.said
    assert "Say in one sentence what the outputs are for." in page.said
    assert not page.offers(f"/egress/{request}/submit")


def test_a_blocked_request_shows_the_finding_and_its_place(front):
    request = front.ground.submitted({"leak.csv": LEAKING})
    page = Browser(front, "researcher").get(f"/egress/{request}")
    assert "Blocked by checks" in page.said
    assert "FRQ-01" in page.said
    assert "row 2, column persons" in page.said


def test_a_returned_request_tells_the_reasons_without_the_checkers_names(front):
    ground = front.ground
    request = ground.submitted()
    ground.review(request, "checker", Decision.CHANGE)
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "return", reason="Round to five.", by=ground.by("checker"))
    page = Browser(front, "researcher").get(f"/egress/{request}")
    assert "Why it was returned" in page.said
    assert "Round to five." in page.said
    assert "table.csv : as agreed" in page.said
    assert "Checker" not in page.said.replace("output checkers", "")


def test_a_request_is_withdrawn_after_a_question(front):
    request = front.ground.draft({"a.csv": CLEAN})
    me, address = Browser(front, "researcher"), f"/egress/{request}/withdraw"
    page = me.send(me.get(address), address)
    assert "The request is withdrawn" in page.said
    assert front.ground.request(request).state == "withdrawn"


def test_a_colleague_reads_a_draft_and_does_not_change_it(front):
    request = front.ground.draft({"a.csv": CLEAN})
    colleague = Browser(front, "colleague")
    page = colleague.get(f"/egress/{request}")
    assert page.status == 200
    assert not page.offers(f"/egress/{request}/submit")
    assert not page.offers(f"/egress/{request}/edit")


def test_a_release_is_downloaded_with_its_receipt(front):
    ground = front.ground
    ground.released()
    me = Browser(front, "researcher")
    release = ground.app.releases.all(by=ground.by("researcher"))[0].release
    page = me.get(f"/releases/{release.id}")
    assert release.files[0].sha256 in page.said
    file = me.client.get(f"/releases/{release.id}/files/0")
    assert file.content == CLEAN
    assert file.headers["Content-Disposition"].startswith('attachment; filename="table.csv"')
    assert file.headers["Content-Type"] == "application/octet-stream"
    receipt = me.client.get(f"/releases/{release.id}/receipt")
    assert receipt.content == ground.app.releases.receipt(release.id, by=ground.by("researcher"))
    assert Browser(front, "colleague").get(f"/releases/{release.id}/files/0").status == 403
    assert me.get(f"/releases/{release.id}/files/1").status == 404
    ground.clock.turn(days=20)
    late = Browser(front, "researcher").get(f"/releases/{release.id}")
    assert "The download ended on" in late.said
    assert not late.offers(f"/releases/{release.id}/files/0")


def test_where_the_folder_is_seen_from_inside_only_the_page_says_so_and_not_that_it_is_empty(front):
    front.ground.outputs.note = "Here outputs are sent from inside: `spe egress submit`, or <b>so</b>."
    page = Browser(front, "researcher").get(f"/workspaces/{front.ground.workspace_id}/outputs")
    assert "Here outputs are sent from inside: <code>spe egress submit</code>, or &lt;b&gt;so" in page.html
    assert "empty" not in page.said
    assert "Tick what" not in page.said
