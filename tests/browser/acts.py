"""What people do at the portal, each by links, fields and buttons only; with script and without alike."""

from datetime import datetime, timedelta
from typing import NamedTuple

from playwright.sync_api import Locator

from tests.browser.visitor import Visitor

PURPOSE = "Menopausal status and age in recurrence after breast cancer"


class Described(NamedTuple):
    """What an author says of one file."""

    path: str
    title: str
    kind: str
    population: str
    data: str = ""
    notes: str = ""


def fill_permit(board: Visitor, title: str, *, people: tuple[str, ...], now: datetime) -> None:
    """Fill in the form of a new permit for the cohort, without sending it."""
    board.home()
    board.follow("Grant a permit")
    board.at("Grant a permit")
    for label, value in (
        ("Issued by", "Health data access body"),
        ("Title", title),
        ("Purpose", PURPOSE),
        ("Begins (UTC)", f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M}"),
        ("Ends (UTC)", f"{now + timedelta(days=90):%Y-%m-%dT%H:%M}"),
        ("Conditions (optional)", "Counts under 10 are not released."),
    ):
        board.page.get_by_label(label, exact=True).fill(value)
    for name in (*people, "Breast cancer cohort (GBSG), version 1.0"):
        board.page.get_by_label(name, exact=True).check()


def propose(board: Visitor, title: str) -> None:
    """Send the filled form."""
    board.press("Propose the permit")
    board.at(title)
    board.see("This permit waits for confirmation")


def confirm(board: Visitor, title: str) -> None:
    """Another member of the board confirms what waits."""
    board.home()
    board.follow(title)
    board.at(title)
    board.follow("Look at it and confirm")
    board.at("Confirm this permit?")
    board.press("Confirm")
    board.at(title)
    board.see("It gives access during its term.")


def find_workspace(researcher: Visitor, title: str) -> None:
    """Wait on the first page until the workspace is ready, and open it."""
    researcher.home()
    row = researcher.main.get_by_role("listitem").filter(has=researcher.page.get_by_role("link", name=title))
    researcher.renew_until(row.get_by_text("Ready", exact=True))
    researcher.follow(title)
    researcher.at(title)


def start_session(researcher: Visitor, title: str) -> Locator:
    """Accept the terms and start a session; the link to the notebook once it runs."""
    researcher.follow("Read and accept the terms of use")
    researcher.at("Terms of use")
    researcher.press("I accept the terms of use")
    researcher.at(title)
    researcher.press("Start a session")
    link = researcher.main.get_by_role("link", name="Open the notebook")
    link.wait_for()
    researcher.judge()
    return link


def draft(researcher: Visitor, title: str, purpose: str, *files: Described) -> None:
    """Tick files in the outputs folder and describe them; ends on the page of the draft."""
    researcher.home()
    researcher.follow(title)
    researcher.at(title)
    researcher.follow("Outputs folder")
    researcher.at("Outputs folder")
    for file in files:
        researcher.page.get_by_label(file.path, exact=True).check()
    researcher.press("Make an egress request")
    researcher.at("Describe the request")
    researcher.page.get_by_label("What are these outputs for?").fill(purpose)
    for file in files:
        _describe(researcher.page.get_by_role("group", name=file.path, exact=True), file)
    researcher.press("Save and look at the request")
    researcher.at(purpose)


def _describe(group: Locator, file: Described) -> None:
    group.get_by_label("Title").fill(file.title)
    group.get_by_label("Kind").select_option(label=file.kind)
    group.get_by_label("Population").fill(file.population)
    group.get_by_label("What did you do against disclosure?").fill(file.notes)
    if file.data:
        group.get_by_label("Underlying counts").select_option(label=file.data)


def submit(researcher: Visitor, purpose: str, *, until: str) -> None:
    """Send the draft to the checks and wait for a state to come by itself."""
    researcher.press("Submit for checking")
    researcher.see(until)
    researcher.at(purpose)


def open_review(checker: Visitor, purpose: str) -> None:
    """Find the newest request of this purpose that needs a review, and open it."""
    checker.home()
    checker.follow(purpose)
    checker.at(purpose)


def fill_review(checker: Visitor) -> None:
    """Tick every finding and approve every file, without handing in."""
    for finding in checker.main.get_by_role("checkbox").all():
        finding.check()
    for approve in checker.main.get_by_role("radio", name="Approve", exact=True).all():
        approve.check()


def hand_in(checker: Visitor, purpose: str) -> None:
    """Hand in the filled review."""
    checker.press("Hand in the review")
    checker.at(purpose)
    checker.see("You: approve")


def decide(checker: Visitor, purpose: str) -> None:
    """Write down the joint decision to approve."""
    checker.follow("Write down the joint decision")
    checker.at("Joint decision")
    checker.main.get_by_role("radio").first.check()
    checker.press("Write down the decision")
    checker.at(purpose)


def open_release(researcher: Visitor, purpose: str) -> None:
    """Wait on the list until the newest release is the one of this purpose, and open it."""
    researcher.choose("Releases")
    researcher.at("Releases")
    researcher.renew_until(researcher.main.get_by_role("link", name=purpose, exact=True))
    researcher.follow(purpose)
    researcher.at(purpose)
