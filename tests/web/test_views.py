"""Previews on the other origin: signed for one person and an hour, audited, sandboxed, escaped."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from spe.ports.objects import Zone
from spe.web.views import rendered, view_url
from tests.support.ground import CLEAN
from tests.web.front import Front


@pytest.fixture
def request_id(ground):
    return ground.submitted({"table.csv": CLEAN})


def address(front: Front, request, name: str = "0.json", person: str = "checker") -> str:
    return view_url(front.ground.app, front.web, request, name, front.ground.by(person))


def get(front: Front, url: str):
    return front.client(base=front.web.views_url).get(url)


def test_a_signed_address_shows_the_view_in_a_sandbox(front, request_id):
    answer = get(front, address(front, request_id))
    assert answer.status_code == 200
    assert "<td>placebo</td>" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self'")
    assert f"frame-ancestors {front.web.portal_url}" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


def test_each_look_is_an_audit_entry(front, request_id):
    get(front, address(front, request_id))
    (entry,) = front.ground.app.audit.entries(event="egress.viewed", by=front.ground.by("auditor"))
    assert (entry.object_id, entry.actor.subject) == (request_id, "checker")


def test_an_address_cannot_be_changed_in_any_part(front, request_id):
    url = address(front, request_id)
    other = front.ground.submitted({"second.csv": CLEAN})
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    forged = [
        url.replace(request_id, other),
        url.replace("0.json", "0.png"),
        url.replace(query["person"], front.ground.id_of("researcher")),
        url.replace(f"until={query['until']}", f"until={int(query['until']) + 1}"),
        url.replace(query["sig"], query["sig"][:-1] + ("0" if query["sig"][-1] != "0" else "1")),
        url.replace(query["sig"], ""),
        url.replace(query["sig"], "ü" * 10),
    ]
    for one in forged:
        assert get(front, one).status_code == 404, one
    for name in query:
        left = urlencode({k: v for k, v in query.items() if k != name})
        assert get(front, f"{front.web.views_url}{parts.path}?{left}").status_code == 422


def test_an_address_runs_out(front, request_id):
    url = address(front, request_id)
    front.ground.clock.turn(minutes=59)
    assert get(front, url).status_code == 200
    front.ground.clock.turn(minutes=2)
    assert get(front, url).status_code != 200


def test_an_address_does_not_outlive_the_persons_right(front, request_id):
    ground = front.ground
    url = address(front, request_id)
    ground.app.people.switch(ground.id_of("checker"), active=False, by=ground.by("operator"))
    assert get(front, url).status_code != 200


def test_an_address_made_for_somebody_without_a_tie_shows_nothing(front, request_id):
    assert get(front, address(front, request_id, person="outsider")).status_code == 404
    assert get(front, address(front, request_id, person="colleague")).status_code == 200


def test_a_cookie_opens_nothing_there(front, request_id):
    browser = front.browser("checker")
    path = urlsplit(address(front, request_id)).path
    answer = browser.get(f"{front.web.views_url}{path}", headers={"Host": front.web.views_host})
    assert answer.status_code == 422


def test_a_picture_is_shown_from_a_signed_address_of_its_own(front, request_id):
    ground = front.ground
    objects = ground.app.house.ports.objects
    png = b"\x89PNG\r\n\x1a\n" + b"pixels"
    view = json.dumps({"path": "f.png", "kind": "image", "image": "0.png", "truncated": False}).encode()
    index = {name: objects.put(Zone.VIEWS, [data]).digest for name, data in {"0.json": view, "0.png": png}.items()}
    catalogue = objects.put(Zone.EVIDENCE, [json.dumps(index).encode()]).digest
    from dataclasses import replace

    with ground.app.house.ports.store.begin() as uow:
        uow.egress.save(replace(uow.egress.get(request_id), views=catalogue))
    page = get(front, address(front, request_id))
    found = re.search(r'<img src="([^"]+)"', page.text)
    assert found
    picture = get(front, found.group(1).replace("&amp;", "&"))
    assert (picture.content, picture.headers["Content-Type"]) == (png, "image/png")


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


@pytest.mark.parametrize(
    "view",
    [
        {"path": HOSTILE, "kind": "table", "table": {"header": [HOSTILE], "rows": [[HOSTILE]]}, "truncated": True},
        {"path": HOSTILE, "kind": "text", "text": [HOSTILE]},
        {"path": HOSTILE, "kind": "image", "image": HOSTILE},
        {"path": HOSTILE, "kind": HOSTILE},
    ],
)
def test_whatever_a_view_says_is_text(view):
    body = rendered(json.dumps(view).encode(), lambda name: f"/views/{name}")
    seen = Tags()
    seen.feed(body)
    assert seen.attributes <= {"src", "alt", "scope"}
    assert seen.names <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "p", "img"}


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b'{"kind":"table"}', b'{"kind":"text"}', b"[" * 100_000, b"\xff"])
def test_a_view_that_is_none_is_an_error_and_no_crash(data):
    from spe.domain.errors import Corrupt

    with pytest.raises(Corrupt):
        rendered(data, str)
