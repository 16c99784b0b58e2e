"""The manual: Markdown pages shipped with the program, the same in the portal and inside workspaces."""

import re
from functools import cache
from pathlib import Path
from typing import Final

import nh3
from fastapi import APIRouter, Request, Response
from markdown_it import MarkdownIt
from markupsafe import Markup

from spe.domain.errors import NotFound
from spe.web.ui.page import page

router = APIRouter()
MANUAL: Final = Path(__file__).parents[1] / "manual"
ANCHOR: Final = re.compile(r"<h2>(.*?) \{#([a-z-]+)\}</h2>")
"""Headings may end in `{#name}`, so that other pages can point at them."""
PLACE: Final = '<div class="table-place" role="region" aria-label="Table {number}" tabindex="0"><table>'
"""Tables scroll in a place of their own where the window is narrow."""
CONTENTS: Final = (
    ("Your work", ("researcher", "board", "checker", "operator", "auditor")),
    ("How it works", ("egress", "checks", "access-modes", "receipts")),
    ("To look things up", ("glossary", "problems")),
)


@cache
def chapters() -> dict[str, tuple[str, Markup]]:
    """Title and HTML of every page, by name."""
    return {path.stem: _chapter(path.read_text(encoding="utf-8")) for path in sorted(MANUAL.glob("*.md"))}


def _chapter(text: str) -> tuple[str, Markup]:
    title = text.partition("\n")[0].removeprefix("# ").strip()
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text.partition("\n")[2])
    clean = ANCHOR.sub(r'<h2 id="\2">\1</h2>', nh3.clean(body))
    first, *tables = clean.replace("</table>", "</table></div>").split("<table>")
    placed = first + "".join(PLACE.format(number=n) + table for n, table in enumerate(tables, 1))
    return title, Markup(placed)  # noqa: S704  # our own files, cleaned


@router.get("/guide")
def contents(request: Request) -> Response:
    """The table of contents."""
    known = chapters()
    groups = [(title, [(name, known[name][0]) for name in names if name in known]) for title, names in CONTENTS]
    return page(request, "guide/contents.html", groups=groups)


@router.get("/guide/{name}")
def chapter(request: Request, name: str) -> Response:
    """One page. Raises `NotFound`."""
    found = chapters().get(name)
    if found is None:
        raise NotFound("There is no such page in the guide.")
    return page(request, "guide/chapter.html", title=found[0], body=found[1])
