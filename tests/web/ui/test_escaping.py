"""Hostile text (security notes T96, T117): markup, addresses and unseen characters in every field that people fill
in, and in names of files; wherever it is shown, it is text.
"""

import pytest

from spe.domain.egress import Declaration
from spe.domain.errors import Invalid
from spe.domain.principal import Role
from spe.domain.review import Decision
from spe.services.reviews import Judgement
from tests.support.ground import CLEAN, SETUP
from tests.web.front import Front
from tests.web.ui.browser import Browser

MARKS = ("xssmark", "onerror", "onload", "alert(1)")
PAYLOADS = (
    '<script src="//evil.example/xssmark"></script>',
    "\"><img src=x onerror='xssmark'>",
    "' autofocus onfocus='xssmark",
    "</textarea></title></style><svg onload=xssmark>",
    "javascript:xssmark",
    "{{ 7*7 }}{% xssmark %}",
    "<a href='https://evil.example/xssmark'>here</a>",
    "&lt;img src=x onerror=xssmark&gt;",
    "<iframe srcdoc='<script>xssmark</script>'>",
    "<!--xssmark--><base href=//evil.example>",
)
UNSEEN = "gnp.exe\u202egnp.csv\u200b\u2066x\u2069"


def fill(front: Front, text: str) -> dict[str, str]:
    """Put the text wherever somebody can put text; returns ids."""
    ground = front.ground
    app = ground.app
    person = app.people.register(
        issuer="local", subject="s", name=text, organisation=text, roles=[Role.AUTHORISED_USER], by=SETUP
    )
    ground.people["mallory"] = person
    source = ground.folder / "hostile"
    source.mkdir()
    (source / "<img src=x onerror=xssmark>.csv").write_text("a\n1\n")
    by = ground.by("operator")
    version = app.datasets.register(str(source), title=text, holder=text, description=text, by=by)
    terms = ground.terms(
        "mallory", title=text, purpose=text, conditions=text, datasets=frozenset({version.key}), secrets=frozenset()
    )
    permit = ground.grant(terms)
    waiting = app.permits.propose(kind="data-permit", issuer=text, terms=terms, by=ground.by("board"))
    ground.settle()
    workspace = ground.workspace_of(permit)
    me = ground.by("mallory")
    app.people.accept_terms(permit, by=me)
    name = text.replace("/", "-").replace("\\", "-")[:60] + ".csv"
    ground.outputs.put(workspace, person.id, name, CLEAN)
    request = app.egress.create(workspace, purpose=text, by=me).id
    app.egress.put_file(request, name, [CLEAN], by=me)
    said = Declaration(path=name, title=text, unit=text[:40], notes=text, data=text)
    app.egress.describe(request, declarations={name: said}, by=me)
    app.egress.submit(request, by=me)
    ground.settle()
    if app.egress.view(request, by=me).request.state == "in-review":
        for checker in ("checker", "checker2"):
            app.reviews.review(request, {name: Judgement(decision=Decision.CHANGE, reason=text)}, by=ground.by(checker))
        app.reviews.conclude(request, "return", reason=text, by=ground.by("checker"))
    app.permits.narrow(permit, "suspend", reason=text, by=ground.by("board"))
    return {
        "request": request,
        "permit": permit,
        "proposed": waiting.permit.id,
        "change": waiting.pending[0].id,
        "workspace": workspace,
        "person": person.id,
        "dataset": version.key,
    }


SHOWN = {
    "mallory": (
        *("/", "/profile", "/workspaces", "/workspaces/{workspace}", "/workspaces/{workspace}/terms", "/egress"),
        *("/workspaces/{workspace}/outputs", "/egress/{request}", "/egress/{request}/edit"),
    ),
    "board2": (
        *("/", "/permits", "/permits/new", "/permits/{permit}", "/permits/{permit}/record", "/permits/{permit}/amend"),
        *("/permits/{permit}/revoke", "/permits/{proposed}", "/permits/{proposed}/changes/{change}"),
    ),
    "checker3": ("/", "/reviews", "/reviews/{request}"),
    "operator": (
        *("/", "/operations", "/operations/workspaces/{workspace}", "/people", "/people/{person}", "/datasets"),
        *("/people/{person}/switch", "/datasets/{dataset}", "/datasets/{dataset}/withdraw", "/datasets/new"),
    ),
    "auditor": ("/", "/audit", "/permits/{permit}"),
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_is_shown_as_text_wherever_it_is_shown(payload, front):
    ids = fill(front, payload)
    seen = 0
    for name, templates in SHOWN.items():
        browser = Browser(front, name)
        for template in templates:
            page = browser.get(template.format(**ids))
            assert page.status == 200, (template, page.said)
            assert page.faults == []
            for element in page.root.all():
                named = {k: v for k, v in element.attributes.items() if k not in ("value", "title", "aria-label")}
                assert not any(m in v for m in MARKS for v in named.values()), (template, element.tag, named)
                assert element.tag not in ("svg", "base", "img", "embed", "object")
                assert element.tag == "textarea" or element.tag != "script" or not element.text
            seen += page.html.count("xssmark")
    assert seen > 20


def test_text_that_hides_itself_is_refused_or_written_out(front):
    ground = front.ground
    with pytest.raises(Invalid):
        ground.app.egress.create(ground.workspace_id, purpose=UNSEEN, by=ground.by("researcher"))
    ground.accept("researcher")
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), UNSEEN, CLEAN)
    page = Browser(front, "researcher").get(f"/workspaces/{ground.workspace_id}/outputs")
    assert "⟨U+202E⟩" in page.said
    assert not any(ch in page.said for ch in "\u202e\u200b\u2066")


def test_what_was_typed_wrongly_comes_back_as_text(front):
    browser = Browser(front, "board")
    page = browser.get("/permits/new")
    sent = browser.send(
        page, "/permits/new", title=PAYLOADS[0], purpose=PAYLOADS[3], ends=PAYLOADS[1], memory=PAYLOADS[2]
    )
    assert sent.status == 422
    assert sent.faults == []
    assert all(s.attributes.get("src", "").startswith("/static/") for s in sent.root.all("script"))


def test_filters_of_the_log_come_back_as_text(front):
    browser = Browser(front, "auditor")
    page = browser.get("/audit?subject=%22%3E%3Cscript%3Exssmark%3C/script%3E&event=%27%20onfocus=x")
    assert page.faults == []
    assert page.root.all("script") == []
