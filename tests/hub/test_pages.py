"""The Hub's pages: short, accessible, without script, start buttons or tokens to make."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from jupyterhub._data import DATA_FILES_PATH

from spe.hub.configure import POLICY, TEMPLATES
from tests.support.hub_stack import Stack

PAGES = [
    ("/hub/home", 200),
    ("/hub/token", 200),
    ("/hub/spawn", 403),
    ("/hub/admin", 403),
    ("/hub/nothing-here", 404),
    ("/hub/error/503", 200),
    ("/hub/error/500", 200),
    ("/user/{p}/ws-bbbbbbbbbbbbbbbb/lab", 424),
]


class Outline(HTMLParser):
    """What a page is made of: its elements, the language, and the text of its heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes.extend(attrs)


def _hub_templates() -> set[str]:
    data = Path(DATA_FILES_PATH, "templates")
    return {path.name for path in data.glob("*.html")}


def test_every_page_of_the_hub_is_replaced() -> None:
    assert _hub_templates() - {path.name for path in TEMPLATES.glob("*.html")} == set()


@pytest.mark.parametrize(("path", "status"), PAGES, ids=[page[0] for page in PAGES])
def test_a_page_has_one_heading_a_main_landmark_a_language_and_no_control(stack: Stack, path: str, status: int) -> None:
    _, person = stack.someone()
    with stack.browser(person) as browser:
        answer = browser.get(stack.settings.public_url + path.replace("{p}", person))
    page = Outline(answer.text)
    assert answer.status_code == status
    assert page.elements.count("h1") == 1
    assert page.elements.count("main") == 1
    assert page.elements.count("title") == 1
    assert ("lang", "en") in page.attributes
    assert not {"script", "form", "button", "input", "iframe", "style", "img"} & set(page.elements)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert f'href="{stack.settings.portal_url}/workspaces"' in answer.text


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_no_template_passes_markup_through_or_loads_from_elsewhere(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    for forbidden in ("| safe", "|safe", "message_html", "<script", "//"):
        assert forbidden not in text


def test_every_answer_of_the_hub_carries_the_strict_policy(stack: Stack) -> None:
    _, person = stack.someone()
    with stack.browser(person) as browser:
        for path in ("/hub/home", "/hub/nothing-here", "/hub/api/user"):
            answer = browser.get(stack.settings.public_url + path)
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_signing_out_of_the_notebooks_leads_to_the_portal(stack: Stack) -> None:
    _, person = stack.someone()
    with stack.browser(person) as browser:
        browser.get(f"{stack.settings.public_url}/hub/home")
        answer = browser.get(f"{stack.settings.public_url}/hub/logout")
    assert str(answer.url) == f"{stack.settings.portal_url}/"
