"""Signing in and out in a real browser, with script and without: axe finds nothing, and each page says what to do.

The browser obeys the pages' own policy, so that the ways to the provider and back are those that really work.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from spe.domain.principal import Role
from tests.support.chromium import launched, violations
from tests.support.instance import free_ports
from tests.support.portal import Portal, oidc_settings, portal
from tests.support.prepared import Template
from tests.support.provider import Provider, account, client_of, provider
from tests.web.test_login import set_clock

ACCOUNTS = {
    "olga": account(),
    "nina": account(),
    "weak": account(acr="", amr=("pwd",)),
    "5f2a9c@lifescience-ri.eu": account(),
}
LOOKS = {"wide": ({"width": 1280, "height": 900}, "light"), "narrow": ({"width": 320, "height": 700}, "dark")}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def port() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def idp(port: int) -> Iterator[Provider]:
    with provider(ACCOUNTS, client_of(f"http://127.0.0.1:{port}")) as made:
        yield made


@pytest.fixture(scope="module")
def desk(idp: Provider, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    folder = tmp_path_factory.mktemp("portal")
    with Template(folder / "template").copy(folder / "world") as ground:
        set_clock(ground)
        with portal(ground, oidc_settings(idp, f"http://127.0.0.1:{port}", folder)) as made:
            made.person("olga", Role.OPERATOR)
            made.person("weak", Role.OPERATOR)
            yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(chromium: Chromium, desk: Portal) -> Iterator[Open]:
    """A page of a browser of its own; whatever the browser complains about fails the test."""
    set_clock(desk.ground)
    contexts, said = [], []

    def opened(*, script: bool = True, look: str = "wide") -> Page:
        size, scheme = LOOKS[look]
        context = chromium.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [line for line in said if "Failed to load resource" not in line] == []


def sign_in(page: Page, name: str) -> None:
    """What a person does at the provider."""
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Sign in").click()


def judge(page: Page) -> None:
    """Nothing is wrong with the page, and nothing runs over its edge."""
    assert not violations(page)
    width, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width <= room


@pytest.mark.parametrize("script", [True, False])
def test_a_person_signs_in_and_out_by_clicks_alone(script: bool, desk: Portal, open_page: Open) -> None:
    page = open_page(script=script)
    page.goto(f"{desk.url}/people")
    page.get_by_role("link", name="Go on to sign in").click()
    sign_in(page, "olga")
    page.wait_for_url(f"{desk.url}/people")
    page.get_by_role("heading", name="People").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile(r".*/session/end.*"))
    page.get_by_role("button", name="Yes").click()
    page.wait_for_url(re.compile(r".*/signed-out.*"))
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_role("link", name="Go on to sign in").click()
    page.get_by_role("heading", name="Who are you?").wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_of_signing_in_breaks_wcag_or_runs_over_its_edge(look: str, desk: Portal, open_page: Open) -> None:
    page = open_page(look=look)
    shown: dict[str, Callable[[], object]] = {
        "Sign in": lambda: page.goto(f"{desk.url}/sign-in?next=/people"),
        "This sign-in was not begun here": lambda: page.goto(f"{desk.url}/login/callback?state=x&code=y"),
        "You did not sign in": lambda: refuse(page, desk),
        "You cannot come in with this sign-in": lambda: arrive(page, desk, "weak"),
        "You are not registered here yet": lambda: arrive(page, desk, "5f2a9c@lifescience-ri.eu"),
        "You are invited": lambda: page.goto(f"{desk.url}/invitation/spe_invitation_{'x' * 43}"),
        "You are signed out": lambda: page.goto(f"{desk.url}/signed-out"),
    }
    for title, act in shown.items():
        act()
        assert page.get_by_role("heading", level=1).inner_text() == title
        judge(page)


def refuse(page: Page, desk: Portal) -> None:
    page.goto(f"{desk.url}/login?fresh=yes")
    page.get_by_role("button", name="No, thank you").click()


def arrive(page: Page, desk: Portal, name: str) -> None:
    page.goto(f"{desk.url}/login?fresh=yes")
    sign_in(page, name)


def test_an_operator_invites_a_person_who_takes_it_up(desk: Portal, open_page: Open) -> None:
    operator = open_page()
    arrive(operator, desk, "olga")
    operator.goto(f"{desk.url}/people/new")
    judge(operator)
    assert operator.get_by_label("Issuer").input_value() == desk.settings.issuer
    operator.get_by_label("Name").fill("Nina")
    operator.get_by_label("Issuer").fill("local")
    operator.get_by_label("Subject").fill("nina-of-the-institute")
    operator.get_by_label("Auditor").check()
    operator.get_by_role("button", name="Register").click()
    operator.get_by_role("button", name="Make an invitation").click()
    link = operator.locator("#link").inner_text()
    judge(operator)
    guest = open_page()
    guest.goto(link)
    guest.get_by_role("link", name="Go on to sign in").click()
    sign_in(guest, "nina")
    guest.get_by_role("link", name="Nina").wait_for()
    operator.reload()
    operator.goto(operator.url.removesuffix("/invitation"))
    assert operator.get_by_text(f"nina at {desk.settings.issuer}").count() == 1
    assert operator.get_by_role("button", name="Make an invitation").count() == 0
    judge(operator)


def test_the_page_on_the_way_out_is_whole_in_itself(desk: Portal, open_page: Open) -> None:
    page = open_page()
    arrive(page, desk, "olga")
    page.route(re.compile(r".*/session/end.*"), lambda route: route.fulfill(status=204))
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are signed out here").wait_for()
    address = page.get_by_role("link", name="Go on to your identity provider").get_attribute("href")
    assert address
    assert address.startswith(f"{desk.settings.issuer}/session/end?")
    judge(page)
