"""Pictures of pages, taken while a test plays, into the folder that SPE_PICTURES names."""

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page

LARGEST = 150 * 1024
COLOURS = 128
"""Enough for pages of text, and a third of the bytes."""


@dataclass(frozen=True, slots=True)
class Album:
    """A folder of pictures."""

    folder: Path

    @classmethod
    def beside(cls, folder: Path) -> "Album":
        """The folder that SPE_PICTURES names, or one in this folder."""
        return cls(Path(os.environ.get("SPE_PICTURES") or folder / "pictures"))

    def take(self, page: Page, name: str, *, at: Locator | None = None) -> None:
        """Take what the window shows, with the mouse out of the way; `at` is scrolled to its upper edge."""
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        if at is None:
            page.evaluate("scrollTo(0, 0)")
        else:
            at.evaluate("place => place.scrollIntoView({block: 'start', behavior: 'instant'})")
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{name}.png"
        taken = Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
        taken.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
        assert 5_000 < file.stat().st_size <= LARGEST, f"{file.name} has {file.stat().st_size} bytes"
