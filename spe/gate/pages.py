"""What a person or a program reads when the gate says no: one sentence what, one sentence what to do.

A small page for a browser, JSON in the notebook's own error shape for JupyterLab, which shows `message`
in its dialog. Made from nothing a notebook sent.
"""

import json
from collections.abc import Mapping
from html import escape

from aiohttp import web

from spe.domain.errors import Denial
from spe.gate.headers import NO_STORE, own_headers

FILES_LEAVE = "Files leave through an egress request: run `spe egress submit` or open the portal."
CLOSED = ("way-out", "not-listed", "method", "secret-query", "range", "odd-path", "odd-query")
REMEDIES: Mapping[str, str] = {
    "over-budget": "The allowance starts anew at 00:00 UTC. Work inside the workspace goes on; results leave "
    "through an egress request: run `spe egress submit` or open the portal.",
    "saved-over-budget": "The allowance starts anew at 00:00 UTC; results leave through an egress request.",
    "answer-too-large": "Look at a smaller part of it, or take it out through an egress request: run "
    "`spe egress submit` or open the portal.",
    "no-session": "Open the portal and start the session from your workspace's page.",
    "cut": "Open the portal: your workspace's page says what happened and what to do.",
    "expired": "Open the portal to see the permit's dates, and start a new session while it is active.",
    "not-confirmed": "Wait a moment and load the page again; if it stays, open the portal.",
    "not-entitled": "Open the portal: your workspace's page says what is missing.",
    "no-pass": "Open the notebook from your workspace's page in the portal, or load this page again.",
    "somebody-else": "Open your own session from your workspace's page in the portal.",
    "notebook-silent": "Wait a moment and load the page again; if it stays, stop and start the session in the portal.",
    "notebook-odd": "Stop and start the session in the portal.",
    "ended": "Open the portal: your workspace's page says what happened, and there you can start it again.",
    **dict.fromkeys(CLOSED, FILES_LEAVE),
}
USUAL_REMEDY = "If you need this, ask the operator of the environment or open the portal."
STATUS: Mapping[str, int] = {
    "over-budget": 429,
    "saved-over-budget": 429,
    "answer-too-large": 403,
    "no-session": 404,
    "no-file": 404,
    "notebook-silent": 502,
    "notebook-odd": 502,
    "ended": 502,
    "not-up": 503,
    "unavailable": 503,
    "busy": 503,
    "malformed": 400,
}


def refusal(denial: Denial, *, accept: str = "", close: bool = False) -> web.Response:
    """The answer for a denial; status 403 unless its code has one of its own."""
    remedy = REMEDIES.get(denial.code, USUAL_REMEDY)
    page = "text/html" in accept
    body = _page(denial.message, remedy) if page else _json(denial, remedy)
    kind = "text/html; charset=utf-8" if page else "application/json"
    response = web.Response(status=status_of(denial), body=body.encode())
    for name, value in [*own_headers(None), NO_STORE, ("Content-Type", kind)]:
        response.headers[name] = value
    if close:
        response.force_close()
    return response


def status_of(denial: Denial) -> int:
    """The HTTP status of a denial."""
    return STATUS.get(denial.code, 403)


def _json(denial: Denial, remedy: str) -> str:
    return json.dumps({"message": f"{denial.message} {remedy}", "reason": denial.message, "code": denial.code})


def _page(message: str, remedy: str) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        "<title>Not possible here</title>"
        "<body style='font-family:sans-serif;max-width:40em;margin:4em auto;padding:0 1em;line-height:1.5'>"
        f"<main><h1>Not possible here</h1><p>{escape(message)}</p><p>{escape(remedy)}</p></main></body></html>"
    )
