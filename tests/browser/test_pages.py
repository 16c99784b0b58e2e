"""Every page that a role reaches by links: axe finds nothing against WCAG 2.1 AA; without script it says the same,
has the same forms, and each of its controls is named.
"""

import re
from collections import Counter

import pytest

from tests.browser.crawl import walk
from tests.browser.visitor import Visitor
from tests.support.chromium import WCAG, violations

ROLES = ("researcher-a", "board-a", "checker-c", "operator", "auditor")
ROOMS = {"/": re.compile(r"/(?!guide/|accessibility).*"), "/guide": re.compile(r"/guide.*|/accessibility")}
"""The guide is the same for everybody and is walked once."""
NAMES = """controls => controls.filter(c => c.type !== "hidden" && c.getAttribute("aria-hidden") !== "true").map(c =>
    [...(c.labels || [])].map(l => l.textContent).join(" ").trim() || c.getAttribute("aria-label")
    || c.textContent.trim())"""
SAID = """[document.querySelector("h1").textContent.trim(),
    [...document.forms].map(f => `${f.method} ${new URL(f.action).pathname}`).sort()]"""


@pytest.mark.parametrize(("key", "first"), [*((key, "/") for key in ROLES), ("researcher-b", "/guide")])
def test_every_page_that_links_reach_is_for_everybody_with_script_and_without(key, first, people, visit):
    with_script, without = visit(key), visit(key, script=False)
    found, differing, seen = {}, [], Counter()
    previews = with_script.page.context.new_page()
    for address in walk(with_script, first, ROOMS[first]):
        seen[address] += 1
        if report := violations(with_script.page):
            found[address] = report
        for report in _of_previews(with_script, previews):
            found[f"a preview at {address}"] = report
        without.go(address)
        if _said(with_script) != _said(without):
            differing.append((address, _said(with_script), _said(without)))
        controls = without.main.locator("input, select, textarea, button").evaluate_all(NAMES)
        assert all(controls), f"{address}: {controls}"
    assert not found, "\n\n".join(f"{where}\n{report}" for where, report in found.items())
    assert not differing
    assert len(seen) >= 6, seen


def _said(visitor: Visitor) -> object:
    assert visitor.page.locator("h1").count() == 1, visitor.page.url
    return visitor.page.evaluate(SAID)


def _of_previews(visitor: Visitor, blank):
    """Previews may run nothing, not even axe; what they hold is judged on an empty page."""
    for address in visitor.page.locator("iframe").evaluate_all("frames => frames.map(frame => frame.src)"):
        blank.set_content(visitor.page.request.get(address).text())
        if report := violations(blank, WCAG):
            yield report
