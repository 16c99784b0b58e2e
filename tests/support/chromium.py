"""The machine's own Chromium, quiet, and axe's verdict on what it shows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from shutil import which
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WCAG: Mapping[str, Any] = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
"""WCAG 2.1 AA."""
RULES: Mapping[str, Any] = {"runOnly": {"type": "tag", "values": [*WCAG["runOnly"]["values"], "best-practice"]}}
"""The same and what axe calls good practice: headings, landmarks, tables with headers."""


@contextmanager
def launched() -> Iterator[Browser]:
    """A running browser. Each context of it is a person with cookies of their own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium") or None, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Page, rules: Mapping[str, Any] = RULES) -> str:
    """What axe finds wrong with the page as it is now; empty when nothing.

    Frames are previews that run nothing, not even axe: asking them would only make the browser complain.
    """
    answer = Axe().run(page, options={**rules, "iframes": False})
    return str(answer.generate_report()) if answer.violations_count else ""
