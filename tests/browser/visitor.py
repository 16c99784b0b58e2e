"""A person at the portal in Chromium: goes where links and buttons lead, and has every page judged on arrival.

What is judged: one heading of the first level, every control named, and (with script) axe's verdict.
"""

from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.support.chromium import violations

PATIENCE = 60_000
"""Milliseconds until a thing that should appear is given up, on the slowest machine."""


@dataclass
class Visitor:
    """One person in one browser context."""

    key: str
    portal: str
    page: Page
    script: bool = True
    faults: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)

    # going

    def sign_in(self, link: str) -> None:
        """Open a one-time link and press its button."""
        self.page.goto(link)
        self.press("Sign in")
        self.at("What needs you now")

    def go(self, address: str) -> None:
        """Open an address of the portal."""
        self.page.goto(self.portal + address)

    def home(self) -> None:
        """Open the first page, by its link in the header."""
        self.page.locator(".site-name").click()
        self.at("What needs you now")

    def follow(self, name: str) -> None:
        """Follow the link of this name in the content."""
        self.main.get_by_role("link", name=name, exact=True).first.click()

    def choose(self, place: str) -> None:
        """Follow a link of the main navigation."""
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name=place, exact=True).click()

    def press(self, name: str) -> None:
        """Press the button of this name in the content."""
        self.main.get_by_role("button", name=name, exact=True).first.click()

    def save(self, name: str, folder: Path) -> Path:
        """Press or follow what gives a file, and keep it under the name that it comes with."""
        with self.page.expect_download() as waiting:
            self.main.get_by_text(name, exact=True).click()
        file = folder / waiting.value.suggested_filename
        waiting.value.save_as(file)
        return file

    def renew_until(self, wanted: Locator) -> None:
        """Load the page again and again until something is there, as a person without script does."""
        for _ in range(200):
            if wanted.count():
                return
            self.page.wait_for_timeout(250)
            self.page.reload()
        raise AssertionError(f"{self.page.url} never shows {wanted}")

    # seeing

    @property
    def main(self) -> Locator:
        """The content of the page."""
        return self.page.locator("main")

    def at(self, heading: str) -> None:
        """Wait for the page of this heading, and judge it."""
        self.main.get_by_role("heading", level=1, name=heading, exact=True).wait_for()
        self.judge()

    def see(self, text: str) -> Locator:
        """Wait for a text in the content."""
        found = self.main.get_by_text(text).first
        found.wait_for()
        return found

    def judge(self) -> None:
        """Whether the page that is open can be used by everybody."""
        where = f"{self.key} at {self.page.url}"
        assert self.page.locator("h1").count() == 1, f"{where}: not one heading of the first level"
        if self.script and (found := violations(self.page)):
            self.faults[where] = found

    def without_faults(self) -> None:
        """The test fails with all that axe found on this person's way."""
        assert not self.faults, "\n\n".join(f"{where}\n{report}" for where, report in self.faults.items())
