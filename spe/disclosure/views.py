"""Previews for the people who review: derived from what was read, never the bytes themselves.

Made in the same isolated child as the checks. A table becomes header and rows of text, a text becomes lines,
a picture is decoded and written again as PNG; control, direction and invisible characters are written out
by code point, so that nothing in a preview can act on the page that shows it.
"""

import io
from collections.abc import Mapping
from typing import Any, Final

from spe.disclosure.codepoints import visible
from spe.disclosure.content import Image, Opened, Sheet, Table, Unreadable

MOST_ROWS: Final = 200
MOST_COLUMNS: Final = 100
MOST_LINES: Final = 500
MOST_CHARACTERS: Final = 500
MOST_PIXELS: Final = (1600, 1600)


def views_of(number: int, opened: Opened, data: bytes | None) -> dict[str, Any]:
    """The preview of one output: `{number}.json` as an object and, for a picture, `{number}.png` as bytes."""
    view: dict[str, Any] = {"path": visible(opened.path), "kind": "none", "truncated": False}
    files: dict[str, Any] = {f"{number}.json": view}
    if isinstance(opened.content, Image) and data is not None:
        png = _picture(data, opened.content.format)
        if png is not None:
            view |= {"kind": "image", "image": f"{number}.png"}
            files[f"{number}.png"] = png
    elif isinstance(opened.content, Sheet):
        view |= _table(opened.content.table)
    elif opened.layers and not isinstance(opened.content, Image | Unreadable):
        view |= _text(opened.layers[0].text)
    return files


def _table(table: Table) -> Mapping[str, Any]:
    columns = table.columns[:MOST_COLUMNS]
    rows = min(table.rows, MOST_ROWS)
    cells = [[_shown(column.cells[row]) for column in columns] for row in range(rows)]
    cut = table.rows > rows or len(table.columns) > len(columns)
    long = any(len(column.cells[row]) > MOST_CHARACTERS for column in columns for row in range(rows))
    header = [_shown(column.name) for column in columns]
    return {"kind": "table", "table": {"header": header, "rows": cells}, "truncated": cut or long}


def _text(text: str) -> Mapping[str, Any]:
    lines = text.split("\n", MOST_LINES)
    cut = len(lines) > MOST_LINES or any(len(line) > MOST_CHARACTERS for line in lines)
    return {"kind": "text", "text": [_shown(line.rstrip("\r")) for line in lines[:MOST_LINES]], "truncated": cut}


def _shown(text: str) -> str:
    return visible(text[:MOST_CHARACTERS]) + ("…" if len(text) > MOST_CHARACTERS else "")


def _picture(data: bytes, form: str) -> bytes | None:
    """The pixels written again as PNG, at most 1600 by 1600; None when they cannot be decoded after all."""
    from PIL import Image as Pillow

    from spe.disclosure.images import decoded

    try:
        picture = decoded(data, form)
        picture.thumbnail(MOST_PIXELS)
        fresh = Pillow.new(picture.mode, picture.size)
        fresh.paste(picture)
        out = io.BytesIO()
        fresh.save(out, format="PNG")
    except (OSError, ValueError, SyntaxError, Warning):
        return None
    return out.getvalue()
