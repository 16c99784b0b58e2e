"""Every page in a real browser: axe finds nothing against WCAG 2.1 AA, in light and dark, wide and narrow; nothing
runs over the edge; the live start works with script and without; nothing is asked of another host.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page

from spe.web.app import create_public
from spe.web.settings import WebSettings
from tests.support.chromium import RULES, launched, violations
from tests.support.ground import CLEAN, world
from tests.support.instance import free_ports
from tests.web.ui.estate import PAGES, Estate, estate

CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 700}
LOOKS = {
    "wide": (WIDE, "light", RULES),
    "narrow": (NARROW, "light", None),
    "dark": (WIDE, "dark", CONTRAST),
}
"""Size (320 pixels are 1280 at 400 %), scheme, and the rules that can differ in this look."""


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Estate]:
    """A furnished world behind a real server."""
    (port,) = free_ports(1)
    web = WebSettings(
        portal_url=f"http://127.0.0.1:{port}", views_url=f"http://localhost:{port}", service_token="h" * 64, demo=True
    )
    with world(tmp_path_factory.mktemp("world")) as ground:
        made = estate(ground)
        server = uvicorn.Server(
            uvicorn.Config(create_public(ground.app, web), host="127.0.0.1", port=port, log_level="warning")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        made.ids["portal"] = web.portal_url
        yield made
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with launched() as browser:
        yield browser


def context_of(chromium: Chromium, served: Estate, name: str, **options: Any) -> BrowserContext:
    context = chromium.new_context(**options)
    if name:
        secret = served.ground.session(name)
        context.add_cookies([{"name": "spe_session", "value": secret, "url": served.ids["portal"]}])
    return context


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES, ids=lambda n: n or "nobody")
def test_no_page_breaks_wcag_runs_over_its_edge_or_asks_another_host(name, look, served, chromium):
    asked: set[str] = set()
    said: list[str] = []
    size, scheme, rules = LOOKS[look]
    context = context_of(chromium, served, name, viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.on("request", lambda request: asked.add(request.url.split("/")[2]))
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    found: dict[str, Any] = {}
    for template in PAGES[name]:
        address = served.at(template)
        page.goto(served.ids["portal"] + address)
        width, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width <= room, f"{address}: {width} of {room}"
        if rules and (report := violations(page, rules)):
            found[address] = report
    context.close()
    port = served.ids["portal"].rpartition(":")[2]
    assert not found, "\n".join(found.values())
    assert asked <= {f"127.0.0.1:{port}", f"localhost:{port}"}
    assert [line for line in said if "nowhere" not in line] == []


def start(page: Page, served: Estate) -> None:
    page.goto(f"{served.ids['portal']}/workspaces/{served.ids['workspace']}")
    if page.get_by_role("button", name="Stop the session").count():
        page.get_by_role("button", name="Stop the session").click()
    page.get_by_role("button", name="Start a session").click()


@pytest.mark.parametrize("script", [True, False])
def test_a_start_becomes_a_running_session_in_front_of_ones_eyes(script, served, chromium):
    context = context_of(chromium, served, "researcher", java_script_enabled=script)
    page = context.new_page()
    start(page, served)
    page.get_by_role("link", name="Open the notebook").wait_for(timeout=20_000)
    context.close()


def test_a_slow_start_shows_each_step_and_keeps_itself_current(served, chromium):
    from spe.ports.hub import Progress

    ground = served.ground
    begun, go_on = threading.Event(), threading.Event()
    usual = ground.hub.progress

    def slowly(workspace, person):
        yield Progress(percent=20, message="The sandbox is being made.")
        begun.set()
        assert go_on.wait(20)
        yield from usual(workspace, person)

    context = context_of(chromium, served, "colleague")
    ground.accept("colleague")
    page = context.new_page()
    ground.hub.progress = slowly  # type: ignore[method-assign]
    try:
        start(page, served)
        assert begun.wait(20)
        page.get_by_text("The sandbox is being made.").wait_for(timeout=20_000)
        assert not violations(page)
        marked = page.evaluate("window.marked = true")
        go_on.set()
        page.get_by_role("link", name="Open the notebook").wait_for(timeout=20_000)
        assert page.evaluate("window.marked") is marked
    finally:
        go_on.set()
        ground.hub.progress = usual  # type: ignore[method-assign]
        context.close()


def test_the_checks_end_in_front_of_ones_eyes(served, chromium):
    ground = served.ground
    request = ground.draft({"late.csv": CLEAN})
    context = context_of(chromium, served, "researcher")
    page = context.new_page()
    page.goto(f"{served.ids['portal']}/egress/{request}")
    page.get_by_role("button", name="Submit for checking").click()
    page.get_by_text("The request is submitted.").wait_for(timeout=20_000)
    marked = page.evaluate("window.marked = true")
    ground.settle()
    page.get_by_text("The checks found nothing in this file.").wait_for(timeout=20_000)
    assert page.evaluate("window.marked") is marked
    context.close()


def test_the_whole_page_is_reached_by_keyboard_and_the_focus_is_seen(served, chromium):
    context = context_of(chromium, served, "checker2")
    page = context.new_page()
    page.goto(served.ids["portal"] + served.at("/reviews/{waiting}"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    box = page.locator(".skip-link").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert {"decision-0", "reason-0", "decision-1", "reason-1", "Hand in the review"} <= reached


def test_a_preview_stands_in_a_frame_that_may_do_nothing(served, chromium):
    context = context_of(chromium, served, "checker2")
    page = context.new_page()
    page.goto(served.ids["portal"] + served.at("/reviews/{waiting}"))
    frame = page.frame_locator("iframe").nth(1)
    frame.get_by_role("cell", name="246").wait_for(timeout=10_000)
    sandbox = page.locator("iframe").nth(1).get_attribute("sandbox")
    assert sandbox == ""
    context.close()
