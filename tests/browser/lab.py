"""A person in JupyterLab in Chromium: opens a notebook from the launcher, types cells, reads what they print."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from tests.browser.visitor import PATIENCE


@dataclass
class Lab:
    """JupyterLab in a tab of its own, with one notebook."""

    page: Page
    place: int = 0
    runs: int = 0

    @classmethod
    def opened_by(cls, link: Locator) -> "Lab":
        """Follow the portal's link into a new tab, and open a notebook from the launcher of a first visit."""
        with link.page.context.expect_page() as waiting:
            link.click(modifiers=["Control"])
        lab = cls(page=waiting.value)
        lab.page.set_default_timeout(PATIENCE)
        lab.page.locator(".jp-LauncherCard[data-category=Notebook]:visible").first.click()
        lab.notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        return lab

    @property
    def notebook(self) -> Locator:
        """The notebook's panel."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def run(self, code: str) -> Locator:
        """Type a cell and run it; its output, when it is done."""
        cell = self.notebook.locator(".jp-Cell").nth(self.place)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        self.place += 1
        self.runs += 1
        done = cell.locator(".jp-InputPrompt").get_by_text(f"[{self.runs}]:", exact=True)
        done.wait_for()
        return cell.locator(".jp-OutputArea-output")

    def markdown(self, text: str) -> Locator:
        """Type a cell of Markdown and render it; what it shows."""
        cell = self.notebook.locator(".jp-Cell").nth(self.place)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("m")
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Shift+Enter")
        self.place += 1
        shown = cell.locator(".jp-MarkdownOutput")
        shown.wait_for()
        return shown
