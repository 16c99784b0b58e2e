"""Previews of outputs, served from the other origin only: a signed address for one person, one view and a few
minutes; no cookie is read there, and the page may run nothing and load nothing but its own picture.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from html import escape
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Path, Query
from fastapi.responses import HTMLResponse, Response

from spe.domain.errors import Corrupt, NotFound, Unauthenticated
from spe.domain.ids import PersonId, RequestId
from spe.domain.principal import Principal
from spe.ports.secrets import KeyName
from spe.services.app import App
from spe.web.auth import Services, Web
from spe.web.settings import WebSettings

router = APIRouter(prefix="/views", include_in_schema=False)
LIFE = timedelta(minutes=60)
PNG = b"\x89PNG\r\n\x1a\n"
STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:8px;color:#111;background:#fff}"
    "caption{text-align:left}table{border-collapse:collapse}"
    "td,th{border:1px solid #999;padding:2px 6px;text-align:left;white-space:pre-wrap}"
    "th{background:#eee}pre{white-space:pre-wrap;overflow-wrap:anywhere}img{max-width:100%}"
)


def view_url(app: App, web: WebSettings, request: RequestId, name: str, by: Principal) -> str:
    """The address of one derived view for one person, valid for an hour. Whether they may is asked when used."""
    until = int((app.house.ports.clock.now() + LIFE).timestamp())
    query = urlencode({"person": by.person, "until": until, "sig": _signature(app, request, name, by.person, until)})
    return f"{web.views_url}/views/{request}/{quote(name, safe='')}?{query}"


@router.get("/{egress}/{name}")
def show(
    app: Services,
    web: Web,
    egress: Annotated[str, Path(max_length=40)],
    name: Annotated[str, Path(max_length=120)],
    person: Annotated[str, Query(max_length=40)],
    until: Annotated[int, Query(ge=0, lt=2**40)],
    sig: Annotated[str, Query(max_length=64)],
) -> Response:
    """One view: a description as a page, a picture as PNG. Every look is audited."""
    _verify(app, egress, name, person, until, sig)
    looker = app.people.principal(app.people.person(PersonId(person)))
    request = RequestId(egress)
    data = app.reviews.look(request, name, by=looker)
    if name.endswith(".png"):
        if not data.startswith(PNG):
            raise Corrupt("A view that should be a picture is none.")
        return Response(data, media_type="image/png")
    return _page(rendered(data, lambda picture: view_url(app, web, request, picture, looker)))


def _verify(app: App, request: str, name: str, person: str, until: int, signature: str) -> None:
    known = _signature(app, request, name, person, until)
    if not hmac.compare_digest(known.encode(), signature.encode()):
        raise NotFound("There is no such view.")
    if app.house.ports.clock.now().timestamp() >= until:
        raise Unauthenticated("This preview's address has run out; load the page that shows it again.")


def _signature(app: App, request: str, name: str, person: str, until: int) -> str:
    text = json.dumps(["view", request, name, person, until])
    return app.house.ports.secrets.mac(KeyName.LINKS, text.encode()).hex()


def rendered(data: bytes, address: Callable[[str], str]) -> str:
    """A view's description as HTML: a table, lines of text, or a picture at `address(name)`. All is escaped."""
    try:
        view: Any = json.loads(data)
        body = RENDERERS.get(view["kind"], _nothing)(view, address)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt("A view is not readable.") from error
    note = "<p>Only the beginning is shown.</p>" if view.get("truncated") else ""
    return note + body


def _table(view: Mapping[str, Any], _: Callable[[str], str]) -> str:
    table = view["table"]
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in table["header"])
    rows = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in table["rows"])
    caption = escape(str(view.get("path", "")))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _text(view: Mapping[str, Any], _: Callable[[str], str]) -> str:
    return "<pre>" + "\n".join(escape(str(line)) for line in view["text"]) + "</pre>"


def _image(view: Mapping[str, Any], address: Callable[[str], str]) -> str:
    alternative = escape(f"{view.get('path', '')}, drawn again from its pixels", quote=True)
    return f'<img src="{escape(address(str(view["image"])), quote=True)}" alt="{alternative}">'


def _nothing(_: Mapping[str, Any], __: Callable[[str], str]) -> str:
    return "<p>There is no preview of this kind of file; the findings say what is known of it.</p>"


Renderer = Callable[[Mapping[str, Any], Callable[[str], str]], str]
RENDERERS: Mapping[str, Renderer] = {"table": _table, "text": _text, "image": _image}


def _page(body: str) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Preview of an output</title>'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
