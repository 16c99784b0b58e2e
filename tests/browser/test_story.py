"""The whole story in Chromium, told by clicks alone: seven people, each in a browser context of their own, all at once.

Axe judges every page on arrival. The pictures of the manual are taken on the way.
"""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

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
from tests.browser.lab import Lab
from tests.browser.pictures import Album
from tests.browser.visitor import Visitor
from tests.support.instance import environment

TITLE = "Menopausal status and recurrence"
LEAKING = "Tumour grade by decade of age"
CLEAN = "Menopausal status by age, figure 1 of the manuscript"
LOOK = """import os, pathlib
import pandas as pd
data = pathlib.Path(os.environ["SPE_DATA_DIR"])
file = next(data.rglob("cohort.csv"))
cohort = pd.read_csv(file)
print(*sorted(str(p) for p in data.rglob("*") if p.is_file()), sep="\\n")
cohort.groupby("horTh")[["age", "tsize", "time"]].median()"""
CHANGE = """try:
    file.write_text("another cohort")
except OSError as error:
    print("writing:", error.strerror)
try:
    import urllib.request
    urllib.request.urlopen("PORTAL", timeout=2)
except OSError as error:
    print("the portal of this very host:", error.reason)"""
WRITE = """import matplotlib.pyplot as plt
outputs = pathlib.Path("/workspace/outputs")
pd.crosstab(cohort["tgrade"], cohort["age"] // 10 * 10).to_csv(outputs / "by_decade.csv")
young = cohort[cohort["age"] < 60]
bands = pd.cut(young["age"], [20, 40, 60], right=False, labels=["20 to 39", "40 to 59"])
table = pd.crosstab(young["menostat"], bands)
table.to_csv(outputs / "table.csv")
table.T.plot.bar(rot=0, xlabel="age", ylabel="persons", figsize=(6, 3.6), color=["#1d5a8a", "#b35900"])
plt.tight_layout()
plt.savefig(outputs / "figure.png", metadata={"Software": None})
plt.close()
print(*sorted(p.name for p in outputs.iterdir()), sep=", ")"""
TABLE = Described(
    "table.csv", "Menopausal status by age under 60", "Table of counts or percentages", "585",
    notes="Age in two bands of twenty years; the empty cell is empty by definition.",
)  # fmt: skip
FIGURE = Described("figure.png", "Figure 1", "Figure", "585", data="table.csv")
DECADES = Described("by_decade.csv", LEAKING, "Table of counts or percentages", "686")


def test_the_story_is_told_by_clicks_alone(people, visit, tmp_path):
    album = Album.beside(tmp_path)
    everybody = {
        key: visit(key)
        for key in ("board-a", "board-b", "researcher-a", "checker-a", "checker-b", "operator", "auditor")
    }
    grant(everybody["board-a"], everybody["board-b"], album, people.now())
    researcher = everybody["researcher-a"]
    lab = work(researcher, album)
    ask(researcher, album)
    review(everybody["checker-a"], everybody["checker-b"], album)
    receive(researcher, album, tmp_path)
    look_after(everybody["operator"], album)
    revoke(everybody["board-b"], album)
    cut_off(researcher, lab)
    audit(everybody["auditor"], album, tmp_path)
    for visitor in everybody.values():
        visitor.without_faults()


def grant(first: Visitor, second: Visitor, album: Album, now: datetime) -> None:
    fill_permit(first, TITLE, people=("Rita Rossi", "Ravi Rao"), now=now)
    album.take(first.page, "permit-form", at=first.page.get_by_label("Title", exact=True).locator(".."))
    propose(first, TITLE)
    first.see("You proposed this; another member of the board confirms it.")
    confirm(second, TITLE)


def work(researcher: Visitor, album: Album) -> Lab:
    find_workspace(researcher, TITLE)
    researcher.page.context.add_init_script(WATCH)
    link = start_session(researcher, TITLE)
    told = researcher.page.evaluate("[...window.told]")
    assert told, "the start showed no progress"
    researcher.page.reload()
    album.take(researcher.page, "workspace")
    lab = Lab.opened_by(link)
    lab.run(LOOK).first.wait_for()
    printed = lab.run(CHANGE.replace("PORTAL", researcher.portal)).inner_text()
    assert "writing: Read-only file system" in printed
    assert "the portal of this very host: [Errno" in printed
    album.take(lab.page, "notebook")
    assert "by_decade.csv, figure.png, table.csv" in lab.run(WRITE).inner_text()
    return lab


WATCH = """
window.told = new Set();
new MutationObserver(() => document.querySelectorAll(".progress-log li").forEach(li => told.add(li.textContent)))
    .observe(document, {childList: true, subtree: true});
"""
"""Remembers every step of a start that the page has shown."""


def ask(researcher: Visitor, album: Album) -> None:
    draft(researcher, TITLE, LEAKING, DECADES)
    submit(researcher, LEAKING, until="A finding stops the request.")
    researcher.see("a count below 10")
    album.take(researcher.page, "request-blocked", at=researcher.page.get_by_role("heading", name="Files"))
    draft(researcher, TITLE, CLEAN, TABLE, FIGURE)
    submit(researcher, CLEAN, until="Two output checkers review it independently.")


def review(first: Visitor, second: Visitor, album: Album) -> None:
    for checker in (first, second):
        open_review(checker, CLEAN)
        checker.page.locator("iframe").first.scroll_into_view_if_needed()
        checker.page.frame_locator("iframe").first.get_by_role("table").or_(
            checker.page.frame_locator("iframe").first.get_by_role("img")
        ).wait_for()
    first.choose("Reviews")
    first.at("Reviews")
    first.follow(CLEAN)
    first.at(CLEAN)
    album.take(first.page, "review", at=first.page.locator(".output").first)
    fill_review(first)
    album.take(first.page, "vote", at=first.page.locator(".output").last)
    hand_in(first, CLEAN)
    second.page.reload()
    assert "Clara Chen" not in second.main.inner_text()
    fill_review(second)
    hand_in(second, CLEAN)
    decide(second, CLEAN)


def receive(researcher: Visitor, album: Album, folder: Path) -> None:
    open_release(researcher, CLEAN)
    album.take(researcher.page, "release")
    files = folder / "released"
    table = researcher.save("table.csv", files)
    researcher.save("figure.png", files)
    assert table.read_text().splitlines()[1:] == ["Post,0,186", "Pre,65,224"]
    receipt = researcher.save("Download the receipt", folder)
    keys = researcher.save("Download the public keys", folder)
    done = subprocess.run(
        [sys.executable, "-m", "spe.cli.main", "receipt", "verify", receipt, "--key", keys, "--files", files],
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def look_after(operator: Visitor, album: Album) -> None:
    operator.choose("Operations")
    operator.at("Operations")
    operator.see(TITLE)
    album.take(operator.page, "operations")
    row = operator.main.get_by_role("row").filter(has_text=TITLE).first
    row.get_by_role("link").click()
    operator.at(f"Workspace of “{TITLE}”")
    operator.see("Holds")


def revoke(board: Visitor, album: Album) -> None:
    board.choose("Permits")
    board.at("Permits")
    board.follow(TITLE)
    board.at(TITLE)
    board.follow("Revoke the permit")
    board.at("Revoke this permit?")
    board.page.get_by_label("Reason").fill("The project is finished.")
    album.take(board.page, "revoke")
    board.press("Revoke the permit")
    board.at(TITLE)
    board.see("Access was taken away")


def cut_off(researcher: Visitor, lab: Lab) -> None:
    lab.page.reload()
    lab.page.get_by_role("heading", level=1).wait_for()
    assert lab.page.locator(".jp-LabShell").count() == 0
    researcher.home()
    researcher.main.get_by_role("link", name=TITLE, exact=True).wait_for(state="detached")


def audit(auditor: Visitor, album: Album, folder: Path) -> None:
    auditor.choose("Audit log")
    auditor.at("Audit log")
    album.take(auditor.page, "audit")
    pack = auditor.save("Download the audit pack", folder)
    assert pack.read_bytes().startswith(b"PK")
    auditor.press("Verify the whole log")
    auditor.at("Verification")
    auditor.see("The log is intact")
    keys = auditor.page.request.get(f"{auditor.portal}/audit/keys").body()
    (folder / "keys.json").write_bytes(keys)
    done = subprocess.run(
        [sys.executable, "-m", "spe.cli.main", "audit", "verify", "--pack", pack],
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
