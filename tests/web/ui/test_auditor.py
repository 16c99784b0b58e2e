"""What auditors do in pages: read, follow a case, prove an entry, verify the whole, take a pack."""

import io
import json
import zipfile

from spe.domain.keys import TrustedKeys
from tests.web.ui.browser import Browser


def test_the_log_is_filtered_and_read_page_by_page(front):
    ground = front.ground
    for number in range(60):
        ground.app.secrets.put(f"key-{number}", "v", by=ground.by("operator"))
    me = Browser(front, "auditor")
    page = me.get("/audit?event=secret.stored")
    assert len(page.root.all("tr")) == 51
    (older,) = [a.attributes["href"] for a in page.root.all("a") if a.said == "Older entries"]
    rest = me.get(older)
    assert len(rest.root.all("tr")) == 12
    assert "permit." not in rest.said.partition("Newest first")[2]
    assert "No entry fits." in me.get("/audit?subject=nothing").said


def test_an_entry_is_shown_with_a_proof_that_holds(front):
    me = Browser(front, "auditor")
    me.send(me.get("/audit"), "/audit/verify")
    page = me.get("/audit/entries/2")
    assert "The signed head below covers this entry" in page.said
    assert me.get("/audit/entries/999999").status == 404


def test_verifying_says_that_the_log_is_intact(front):
    me = Browser(front, "auditor")
    page = me.send(me.get("/audit"), "/audit/verify")
    assert "The log is intact" in page.said


def test_a_pack_is_a_form_and_taking_it_is_an_entry(front):
    ground = front.ground
    me = Browser(front, "auditor")
    page = me.get(f"/audit?subject={ground.permit_id}")
    token = page.form("/audit/pack").all("input")[0].attributes["value"]
    answer = me.client.post("/audit/pack", data={"csrf": token, "subject": ground.permit_id})
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="audit-pack-{ground.permit_id}.zip"')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as pack:
        lines = pack.read("entries.jsonl").decode().splitlines()
    assert all(ground.permit_id in line for line in lines)
    assert json.loads(lines[0])["event"] == "permit.proposed"
    assert ground.app.audit.entries(event="audit.exported", limit=1, by=ground.by("auditor"))


def test_anybody_may_have_the_public_keys(front):
    answer = Browser(front).client.get("/audit/keys")
    assert TrustedKeys.read(answer.content) == front.ground.app.audit.keys()
    assert 'filename="spe-keys.json"' in answer.headers["Content-Disposition"]
