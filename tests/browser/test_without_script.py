"""The story at the portal by people whose browsers run no script: grant, confirm, start, ask, vote, release."""

from tests.browser.acts import (
    Described,
    confirm,
    decide,
    draft,
    fill_permit,
    fill_review,
    find_workspace,
    hand_in,
    open_release,
    open_review,
    propose,
    start_session,
    submit,
)

SEEDED = "Recurrence after breast cancer"
TITLE = "A project without script"
PURPOSE = "Survival by arm, asked for without script"
TABLE = Described("clean/survival_by_arm.csv", "Recurrence-free survival by arm", "Survival analysis", "686")


def test_the_story_at_the_portal_is_told_without_script(people, visit, tmp_path):
    first, second, researcher, one, other = (
        visit(key, script=False) for key in ("board-a", "board-b", "researcher-a", "checker-b", "checker-c")
    )
    fill_permit(first, TITLE, people=("Rita Rossi",), now=people.now())
    propose(first, TITLE)
    confirm(second, TITLE)
    find_workspace(researcher, TITLE)
    start_session(researcher, TITLE)
    researcher.press("Stop the session")
    researcher.at(TITLE)
    draft(researcher, SEEDED, PURPOSE, TABLE)
    submit(researcher, PURPOSE, until="Two output checkers review it independently.")
    for checker in (one, other):
        open_review(checker, PURPOSE)
        fill_review(checker)
        hand_in(checker, PURPOSE)
    decide(other, PURPOSE)
    open_release(researcher, PURPOSE)
    table = researcher.save("clean/survival_by_arm.csv", tmp_path)
    assert table.read_text().startswith("hormone_therapy,persons,events,median_days\n")
