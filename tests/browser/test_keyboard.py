"""A checker who uses no mouse reads a request, votes and hands in; where the focus is can be seen at each step."""

from playwright.sync_api import Page

FOCUS = """(() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const label = at.labels && at.labels.length ? at.labels[0].textContent.trim() : at.textContent.trim();
    const box = at.getBoundingClientRect();
    return {
        tag: at.tagName, name: label, group: at.closest("fieldset")?.querySelector("legend")?.textContent.trim() ?? "",
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    };
})()"""
PURPOSE = "Median recurrence-free survival by hormone therapy, for the annual report"


def test_a_checker_votes_by_keyboard_alone_and_sees_the_focus(people, visit):
    checker = visit("checker-a")
    page = checker.page
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, PURPOSE)
    page.keyboard.press("Enter")
    checker.at(PURPOSE)
    tab_to(page, "Approve")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUS)["name"] == "Ask for a change"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    tab_to(page, "Reason (optional)")
    page.keyboard.type("Read by keyboard.")
    tab_to(page, "Hand in the review")
    page.keyboard.press("Enter")
    checker.see("You: approve")
    checker.without_faults()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus; on the way each focus is seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["tag"] in ("BODY", "IFRAME", "DETAILS"):
            continue
        assert focus["outlined"], focus
        assert focus["inside"], focus
        if focus["name"] == name:
            return
    raise AssertionError(f"the keyboard never reaches “{name}” at {page.url}")
