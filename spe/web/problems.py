"""Errors as answers: one table from the error tree to status and slug, RFC 9457 documents for programs,
a page for people. Never a trace; the request's id is all that connects an answer with the log.
"""

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from spe.domain.errors import (
    Corrupt,
    Denial,
    Invalid,
    NotFound,
    Refused,
    Rejected,
    SpeError,
    Stale,
    Unauthenticated,
    Unavailable,
    Uncertain,
)

log = logging.getLogger("spe.web")
MEDIA_TYPE = "application/problem+json"
PROGRAMS = ("/api/", "/workspace/", "/gate/", "/hub/", "/login/ended", "/healthz", "/readyz")
LONGEST_FIELD = 120


class PreconditionFailed(Stale):
    """The `If-Match` of the request names another version than the one that is there."""


class PreconditionMissing(Invalid):
    """A step that must name the version it was decided on came without `If-Match`."""


class TooLarge(Invalid):
    """The body is larger than this door takes."""


class Misdirected(NotFound):
    """The host asked for is not one of this server."""


class KeyInUse(Refused):
    """An `Idempotency-Key` whose first request has not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How an error of the tree is told: status, slug and title."""

    status: int
    slug: str
    title: str


KINDS: Mapping[type[SpeError], Kind] = {
    Unauthenticated: Kind(status=401, slug="unauthenticated", title="Sign in first"),
    Misdirected: Kind(status=421, slug="misdirected", title="Not a name of this server"),
    NotFound: Kind(status=404, slug="not-found", title="Nothing here for you"),
    KeyInUse: Kind(status=409, slug="key-in-use", title="The first request is still under way"),
    Refused: Kind(status=403, slug="refused", title="Not possible now"),
    PreconditionMissing: Kind(status=428, slug="precondition-missing", title="Say which version you mean"),
    TooLarge: Kind(status=413, slug="too-large", title="Too large"),
    Invalid: Kind(status=422, slug="invalid", title="Something in it is wrong"),
    PreconditionFailed: Kind(status=412, slug="stale", title="It changed meanwhile"),
    Stale: Kind(status=409, slug="stale", title="It changed meanwhile"),
    Uncertain: Kind(status=503, slug="uncertain", title="It is not known whether this was done"),
    Unavailable: Kind(status=503, slug="unavailable", title="A part of the environment does not answer"),
    Rejected: Kind(status=409, slug="rejected", title="A part of the environment refused"),
    Corrupt: Kind(status=500, slug="corrupt", title="Stored state contradicts itself"),
    SpeError: Kind(status=500, slug="error", title="Something went wrong"),
}
UNKNOWN = "There is no such thing here, or it is not for you."
OTHER: Mapping[int, tuple[str, str, str]] = {
    400: ("malformed", "The request cannot be read.", "Send JSON in UTF-8, without deep nesting and endless numbers."),
    404: ("not-found", UNKNOWN, NotFound.remedy),
    405: ("method", "This address does not take that method.", "See what it takes in the API's description."),
    415: ("media-type", "The body's media type is not taken here.", "Send the media type that the address takes."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem as told to people and programs."""

    status: int
    slug: str
    title: str
    detail: str
    remedy: str = ""
    request: str = ""
    denials: tuple[Denial, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document with our extensions: code, remedy, denials, errors, request."""
        return {
            "type": f"/guide/problems#{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.slug,
            "remedy": self.remedy,
            "denials": [{"code": d.code, "message": d.message} for d in self.denials],
            "errors": [{"field": name, "message": text} for name, text in self.errors.items()],
            "request": self.request,
        }


def problem_of(error: SpeError, request: str = "") -> Problem:
    """The problem that tells this error. What is unknown and what is forbidden to know look the same."""
    kind = next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)
    hidden = isinstance(error, NotFound)
    return Problem(
        status=kind.status,
        slug=kind.slug,
        title=kind.title,
        detail=UNKNOWN if hidden else " ".join(error.sentences),
        remedy=error.remedy,
        request=request,
        denials=error.denials if isinstance(error, Refused) else (),
        errors=error.fields if isinstance(error, Invalid) else {},
    )


def told(error: Exception, request: str) -> Problem:
    """The problem for any exception; what was not raised on purpose is logged and told without its words."""
    if isinstance(error, SpeError):
        problem = problem_of(error, request)
        if problem.status >= 500:
            log.warning("%s %s: %s", request, problem.slug, error)
        return problem
    log.error("%s unexpected", request, exc_info=error)
    return Problem(
        status=500,
        slug="error",
        title=KINDS[SpeError].title,
        detail="Something went wrong here that was not foreseen; the log holds it under this request.",
        remedy="Tell the operator the number of the request.",
        request=request,
    )


def invalid_from(errors: Sequence[Any]) -> Invalid:
    """Validation errors of a request as one sentence per field; what was sent is not repeated."""
    fields: dict[str, str] = {}
    for error in errors:
        place = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
        text = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
        fields.setdefault(place[:LONGEST_FIELD], f"{text[:1].upper()}{text[1:]}.")
    return Invalid(fields)


def request_id(request: Request) -> str:
    """The id that this request has in the log; empty outside of our middleware."""
    return str(request.scope.get("spe.request", ""))


def wants_document(request: Request) -> bool:
    """Whether the asker is a program: it gets JSON, a person gets a page."""
    return request.url.path.startswith(PROGRAMS)


ProblemPage = Callable[[Request, Problem], Response]


def answer(request: Request, problem: Problem) -> Response:
    """The problem as JSON for programs, as a page for people."""
    if wants_document(request):
        headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
        return JSONResponse(problem.document(), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
    if problem.status == 401 and request.method in ("GET", "HEAD"):
        return to_sign_in(request)
    page: ProblemPage = getattr(request.app.state, "problem_page", None) or plain_page
    try:
        return page(request, problem)
    except Exception:
        log.exception("the page for a problem failed")
        return plain_page(request, problem)


def to_sign_in(request: Request) -> Response:
    """Send a person to the sign-in page, and back here afterwards."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(here[:2000], safe='')}", status_code=303)


def plain_page(_: Request, problem: Problem) -> Response:
    """A page that needs no template."""
    lines = [problem.detail, problem.remedy, f"Request {problem.request}" if problem.request else ""]
    body = "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    title = html.escape(problem.title)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<main><h1>{title}</h1>{body}<p><a href="/">Start page</a></p></main></html>',
        status_code=problem.status,
    )


def install(app: FastAPI) -> None:
    """Let every error of this application be answered from here."""

    def on_error(request: Request, error: Exception) -> Response:
        return answer(request, told(error, request_id(request)))

    def on_validation(request: Request, error: Exception) -> Response:
        errors = error.errors() if isinstance(error, RequestValidationError) else ()
        return answer(request, problem_of(invalid_from(errors), request_id(request)))

    def on_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        slug, detail, remedy = OTHER.get(status, ("error", "The request was not carried out.", ""))
        return answer(
            request,
            Problem(
                status=status,
                slug=slug,
                title=KINDS[NotFound].title if status == 404 else HTTPStatus(status).phrase,
                detail=detail,
                remedy=remedy,
                request=request_id(request),
            ),
        )

    app.add_exception_handler(SpeError, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
