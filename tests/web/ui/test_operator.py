"""What operators do in pages: watch, stop and start workspaces, people, datasets, secrets."""

from tests.web.ui.browser import Browser


def test_the_overview_shows_what_is_not_well(front):
    me = Browser(front, "operator")
    assert "Not well" not in me.get("/operations").said
    front.ground.hub.silent = True
    said = me.get("/operations").said
    assert "The Hub does not answer" in said
    assert "The Hub does not answer" in me.get("/").said


def test_a_workspace_is_stopped_after_a_question_and_started_again(front):
    ground = front.ground
    ground.open_session()
    me, home = Browser(front, "operator"), f"/operations/workspaces/{front.ground.workspace_id}"
    page = me.get(f"{home}/stop")
    assert "1 open notebook session ends at once." in page.said
    page = me.send(page, f"{home}/stop")
    assert "It is under way" in page.said
    assert ground.workspace.state == "stopped"
    ground.settle()
    me.send(me.get(home), f"{home}/start")
    assert ground.workspace.state == "provisioning"


def test_a_silent_cluster_is_told_and_the_page_is_there(front):
    front.ground.cluster.silent = True
    page = Browser(front, "operator").get(f"/operations/workspaces/{front.ground.workspace_id}")
    assert page.status == 200
    assert "The cluster does not" in page.said


def test_a_person_is_registered_and_signs_in_by_the_link_that_is_shown_once(front):
    me = Browser(front, "operator")
    page = me.send(me.get("/people/new"), "/people/new", name="Ada", subject="", roles=["checker"])
    assert page.status == 422
    assert "Give the subject." in page.said
    page = me.send(page, "/people/new", subject="ada")
    assert page.title == "Ada"
    home = page.address
    page = me.send(page, f"{home}/link")
    link = next(e for e in page.root.all("p") if e.attributes.get("id") == "link").said
    assert link.startswith("http://127.0.0.1:9000/sign-in/spe_link_")
    assert "spe_link_" not in me.get(home).said
    ada = Browser(front)
    path = link.removeprefix("http://127.0.0.1:9000")
    assert "Reviews that need you" in ada.send(ada.get(path), path).said
    again = me.send(me.get("/people/new"), "/people/new", name="Ada", subject="ada", roles=["checker"])
    assert "registered already" in again.said


def test_roles_that_exclude_each_other_are_refused_in_the_form(front):
    me = Browser(front, "operator")
    given = {"name": "Ada", "subject": "ada", "roles": ["checker", "operator"]}
    page = me.send(me.get("/people/new"), "/people/new", **given)
    assert page.status == 422
    assert "One person may not be both" in page.said


def test_an_account_is_switched_off_after_a_question_and_never_ones_own(front):
    me, ground = Browser(front, "operator"), front.ground
    home = f"/people/{ground.id_of('researcher')}"
    page = me.send(me.get(f"{home}/switch"), f"{home}/switch")
    assert "The account is switched off" in page.said
    own = f"/people/{ground.id_of('operator')}"
    page = me.send(me.get(f"{own}/switch"), f"{own}/switch")
    assert (page.status, "Another operator switches your account." in page.said) == (409, True)


def test_a_folder_becomes_a_dataset_version_and_a_changed_byte_is_found(front):
    folder = front.ground.folder / "new-data"
    folder.mkdir()
    (folder / "cohort.csv").write_text("id,arm\n1,a\n")
    me = Browser(front, "operator")
    page = me.send(me.get("/datasets/new"), "/datasets/new", folder="relative", title="New", holder="Hospital")
    assert page.status == 422
    assert page.offers("#folder")
    page = me.send(page, "/datasets/new", folder=str(folder))
    assert page.title == "New, version 1"
    home = page.address
    assert "Every file is the one that was registered" in me.send(page, f"{home}/verify").said
    (folder / "cohort.csv").write_text("id,arm\n1,b\n")
    page = me.send(me.get(home), f"{home}/verify")
    assert page.status == 409
    assert "cohort.csv differ" in page.said
    page = me.send(me.get(f"{home}/withdraw"), f"{home}/withdraw")
    assert "The version is withdrawn" in page.said


def test_a_secret_goes_in_and_never_comes_out(front):
    me = Browser(front, "operator")
    page = me.send(me.get("/secrets"), "/secrets", name="Bad Name", value="s3cret-value")
    assert page.status == 422
    assert "s3cret-value" not in page.html
    page = me.send(page, "/secrets", name="new-key", value="s3cret-value")
    assert "The secret is stored" in page.said
    assert "new-key" in page.said
    assert "s3cret-value" not in page.html
