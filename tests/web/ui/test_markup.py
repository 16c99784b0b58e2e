"""What holds for every page: well-formed, labelled, without inline script or style, without other hosts."""

import re

import pytest

from tests.web.ui.browser import Page
from tests.web.ui.estate import ALL

INLINE = re.compile(r"\son[a-z]+\s*=|javascript:|<style|style\s*=", re.IGNORECASE)
FOREIGN = re.compile(r"(?:src|href|action)=\"(?:[a-z]+:)?//([^\"/]+)", re.IGNORECASE)
OURS = {"localhost:9000", "localhost:8000", "127.0.0.1:9000"}


@pytest.fixture(params=ALL, ids=lambda p: f"{p[0] or 'nobody'} {p[1]}")
def page(request, furnished, browsers) -> Page:
    name, template = request.param
    return browsers(name).get(furnished.at(template))


def test_a_page_is_there_well_formed_and_reads_no_other_host(page):
    assert page.status == (404 if page.address == "/nowhere" else 200), page.said
    assert page.faults == []
    assert INLINE.findall(page.html) == []
    assert set(FOREIGN.findall(page.html)) <= OURS
    assert all(s.attributes.get("src", "").startswith("/static/") and not s.text for s in page.root.all("script"))


def test_a_page_has_one_heading_a_title_a_language_and_landmarks(page):
    assert len(page.root.all("h1")) == len(page.root.all("main")) == len(page.root.all("title")) == 1
    assert page.root.all("html")[0].attributes["lang"] == "en"
    assert page.title
    assert page.root.all("a")[0].attributes == {"class": "skip-link", "href": "#main"}


def test_ids_are_unique_and_whatever_points_to_one_finds_it(page):
    elements = page.root.all()
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    names = ("for", "aria-labelledby", "aria-describedby")
    wanted = {i for e in elements for n in names for i in e.attributes.get(n, "").split()}
    wanted |= {a.attributes["href"][1:] for a in page.root.all("a") if a.attributes.get("href", "").startswith("#")}
    assert wanted <= set(ids), wanted - set(ids)


def test_fields_have_labels_tables_have_captions_and_frames_have_titles(page):
    labels = {label.attributes.get("for") for label in page.root.all("label")}
    for field in page.root.all("input", "select", "textarea"):
        if field.attributes.get("type") != "hidden":
            assert field.attributes["id"] in labels, field.attributes
    for table in page.root.all("table"):
        if "guide" not in page.address:
            assert table.all("caption"), table.said
            assert all("scope" in cell.attributes for cell in table.all("th"))
    for frame in page.root.all("iframe"):
        assert frame.attributes["title"]
        assert frame.attributes["sandbox"] == ""
        assert frame.attributes["src"].startswith("http://localhost:9000/views/")


def test_every_form_that_changes_something_carries_the_token_and_nothing_is_in_its_address(page):
    for form in page.root.all("form"):
        if form.attributes.get("method") == "post":
            names = [i.attributes.get("name") for i in form.all("input")]
            assert names.count("csrf") == 1
            assert "?" not in form.attributes.get("action", "")


def test_the_policy_for_browsers_allows_no_inline_script_or_style(page):
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
