"""Forged forms (security note T95): every form of every page, without its token, with a stranger's, from elsewhere."""

import pytest

from tests.web.front import Front
from tests.web.ui.browser import Browser
from tests.web.ui.test_who_may import ROWS

POSTS = [row.split(" ")[1] for row in ROWS if row.startswith("POST ")]
WHO = {"workspaces": "researcher", "egress": "researcher", "permits": "board", "reviews": "checker", "audit": "auditor"}
ANY = dict.fromkeys(
    ("secret", "workspace", "request_id", "release", "permit", "change", "verb", "person", "dataset", "number"), "x"
)


@pytest.fixture(scope="module")
def token(shared_front: Front) -> str:
    browser = Browser(shared_front, "outsider")
    return browser.get("/").form("/sign-out").all("input")[0].attributes["value"]


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_its_own_token_or_from_another_site_does_nothing(path, shared_front, token):
    browser = Browser(shared_front, WHO.get(path.split("/")[1], "operator"))
    own = browser.get("/").form("/sign-out").all("input")[0].attributes["value"]
    address = path.format(**ANY)
    before = shared_front.ground.app.audit.entries(limit=1, by=shared_front.ground.by("auditor"))[0].index
    attempts = (
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": token}, {}),
        ({"csrf": own}, {"Origin": "http://localhost:8000"}),
        ({"csrf": own}, {"Origin": "null"}),
        ({"csrf": own}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": own}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": own}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
    )
    for body, headers in attempts:
        answer = browser.client.post(address, data=body, headers=headers)
        assert answer.status_code == 403, (body, headers, answer.status_code)
    after = shared_front.ground.app.audit.entries(limit=1, by=shared_front.ground.by("auditor"))[0].index
    assert after == before


def test_no_page_changes_anything_when_it_is_only_read(furnished, browsers):
    from tests.web.ui.estate import PAGES

    ground = furnished.ground
    opened = {name: browsers(name) for name in PAGES if name}
    before = ground.app.audit.entries(limit=1, by=ground.by("auditor"))[0].index
    for name, browser in opened.items():
        for template in PAGES[name]:
            browser.get(furnished.at(template))
    assert ground.app.audit.entries(limit=1, by=ground.by("auditor"))[0].index == before


def test_a_forged_banner_is_not_shown(browsers, furnished):
    browser = browsers("researcher")
    browser.client.cookies.set("spe_flash", "permit-confirmed." + "0" * 64, domain="127.0.0.1")
    assert "You confirmed the proposal" not in browser.get("/").html
    browser.client.cookies.delete("spe_flash")
