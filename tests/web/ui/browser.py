"""A browser without script: it reads pages, finds their forms, and sends what a person would send."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from starlette.testclient import TestClient

from tests.web.front import Front

VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


@dataclass
class Element:
    """A start tag with its attributes and everything inside."""

    tag: str
    attributes: dict[str, str]
    parts: list["Element | str"] = field(default_factory=list)
    parent: "Element | None" = None

    @property
    def children(self) -> list["Element"]:
        """The elements directly below."""
        return [part for part in self.parts if isinstance(part, Element)]

    @property
    def text(self) -> str:
        """The text directly below."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def all(self, *tags: str) -> list["Element"]:
        """Every element of these tags below, in order."""
        found = []
        for child in self.children:
            if not tags or child.tag in tags:
                found.append(child)
            found += child.all(*tags)
        return found

    @property
    def said(self) -> str:
        """All text below, spaces made single."""
        return " ".join(" ".join(p if isinstance(p, str) else p.said for p in self.parts).split())


class Tree(HTMLParser):
    """Reads HTML strictly: every element that needs an end has one, in the right order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("root", {})
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> repeats an attribute: {names}")
        made = Element(tag, {name: value or "" for name, value in attrs}, parent=self.at)
        self.at.parts.append(made)
        if tag not in VOID:
            self.at = made

    def handle_endtag(self, tag: str) -> None:
        if self.at.tag != tag:
            self.faults.append(f"</{tag}> ends <{self.at.tag}> at {self.getpos()}")
            return
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.parts.append(data)


@dataclass
class Page:
    """One answer, read."""

    status: int
    address: str
    html: str
    headers: Any

    def __post_init__(self) -> None:
        tree = Tree()
        tree.feed(self.html)
        tree.close()
        self.faults = tree.faults + ([f"<{tree.at.tag}> is never ended"] if tree.at is not tree.root else [])
        self.root = tree.root

    @property
    def said(self) -> str:
        """What a person reads in the content."""
        (main,) = self.root.all("main")
        return main.said

    @property
    def title(self) -> str:
        """The one level-one heading."""
        (heading,) = self.root.all("h1")
        return heading.said

    def form(self, action: str) -> Element:
        """The form that is sent to this address."""
        found = [f for f in self.root.all("form") if f.attributes.get("action", self.address) == action]
        assert len(found) == 1, f"{len(found)} forms to {action} on {self.address}"
        return found[0]

    def offers(self, action: str) -> bool:
        """Whether there is a form or link to this address."""
        links = {a.attributes.get("href") for a in self.root.all("a")}
        return action in links | {f.attributes.get("action") for f in self.root.all("form")}


def fields_of(form: Element) -> dict[str, list[str]]:
    """What a browser would send if nothing were touched."""
    sent: dict[str, list[str]] = {}
    for element in form.all("input", "textarea", "select"):
        name, kind = element.attributes.get("name", ""), element.attributes.get("type", "text")
        if not name or (kind in ("checkbox", "radio") and "checked" not in element.attributes):
            continue
        if element.tag == "select":
            options = element.all("option")
            chosen = [o for o in options if "selected" in o.attributes] or options[:1]
            value = chosen[0].attributes["value"]
        elif element.tag == "textarea":
            value = element.text.removeprefix("\n")
        else:
            value = element.attributes.get("value", "")
        sent.setdefault(name, []).append(value)
    return sent


class Browser:
    """One person at the portal."""

    def __init__(self, front: Front, name: str = "") -> None:
        self.front = front
        self.client: TestClient = front.browser(name)

    def get(self, address: str) -> Page:
        """Open an address, following redirects as browsers do."""
        answer = self.client.get(address, follow_redirects=True)
        return Page(answer.status_code, answer.url.raw_path.decode(), answer.text, answer.headers)

    def send(self, page: Page, action: str, **fields: str | list[str]) -> Page:
        """Fill in the form of `page` that goes to `action`, and press its button."""
        form = page.form(action)
        assert form.attributes.get("method") == "post"
        body = fields_of(form) | {name.replace("__", "-"): value for name, value in fields.items()}
        return self.post(action, body)

    def post(self, action: str, body: dict[str, Any]) -> Page:
        """Send fields to an address, whatever any page says."""
        answer = self.client.post(action, data=body, follow_redirects=True)
        return Page(answer.status_code, answer.url.raw_path.decode(), answer.text, answer.headers)
