"""Pages from templates: one environment for all of them, with what every page needs.

Everything is escaped, undefined names are errors, and text is made visible before it is printed. Who may
see which page is asked here too: `needs` is the door of a route, the services ask again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spe.domain.errors import Denial, Refused
from spe.domain.ids import PersonId
from spe.domain.principal import Permission, Principal
from spe.web.auth import csrf_token, current, perhaps, services, settings
from spe.web.problems import Problem
from spe.web.ui import show
from spe.web.ui.flash import banner_of, forget
from spe.web.ui.words import GUARANTEES, RESIDUAL_RISK, word

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the navigation: for those who hold the permission."""

    permission: Permission
    address: str
    label: str


PLACES: Final = (
    Place(Permission.SESSION_START, "/workspaces", "Workspaces"),
    Place(Permission.EGRESS_AUTHOR, "/egress", "Egress requests"),
    Place(Permission.EGRESS_AUTHOR, "/releases", "Releases"),
    Place(Permission.EGRESS_REVIEW, "/reviews", "Reviews"),
    Place(Permission.PEOPLE_READ, "/permits", "Permits"),
    Place(Permission.WORKSPACE_OPERATE, "/operations", "Operations"),
    Place(Permission.PEOPLE_MANAGE, "/people", "People"),
    Place(Permission.DATASET_REGISTER, "/datasets", "Datasets"),
    Place(Permission.SECRET_STORE, "/secrets", "Secrets"),
    Place(Permission.AUDIT_READ, "/audit", "Audit log"),
)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=show.visible,
    )
    made.filters.update(
        moment=show.moment, day=show.day, bytes=show.size, lines=show.lines, digest=show.digest, plain=show.plain
    )
    made.globals.update(word=word, count=show.count, ago=show.ago, guarantees=GUARANTEES, residual_risk=RESIDUAL_RISK)
    return made


ENVIRONMENT: Final = _environment()


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """One whole page; a waiting banner is shown and forgotten."""
    banner = banner_of(request)
    response = HTMLResponse(render(request, template, banner=banner, **context), status_code=status)
    if banner is not None:
        forget(response)
    return response


def render(request: Request, template: str, **context: Any) -> str:
    """The text of a template with what every page knows: who reads it, where they may go, the form token."""
    me = perhaps(request)
    web = settings(request)
    app = services(request)
    name_of = _namer(request)
    return ENVIRONMENT.get_template(template).render(
        {
            "me": me,
            "site": web.title,
            "demo": web.demo,
            "places": [p for p in PLACES if me and me.may(p.permission)],
            "here": request.url.path,
            "csrf": csrf_token(request),
            "now": app.house.ports.clock.now(),
            "banner": None,
            "errors": {},
            "name_of": name_of,
            "names_of": lambda people: sorted(name_of(person) for person in people),
            **context,
        }
    )


def _namer(request: Request) -> Callable[[str], str]:
    """Names of people by id, each asked for once for a page."""
    known: dict[PersonId, str] = {}

    def name_of(person: str) -> str:
        key = PersonId(person)
        if key not in known:
            known.update(services(request).people.names([key]))
        return known[key]

    return name_of


def needs(*permissions: Permission) -> Callable[[Request], Principal]:
    """The door of a route: somebody signed in who holds one of the permissions. Used with `Depends`."""

    def door(request: Request) -> Principal:
        me = current(request)
        if not any(me.may(p) for p in permissions):
            raise Refused(
                [Denial(code="no-permission", message="This page is for another role than yours; nothing was done.")]
            )
        return me

    return door


def problem_page(request: Request, problem: Problem) -> Response:
    """An error as a page: what failed, what to do next, the number of the request, and a way back."""
    sentences = [d.message for d in problem.denials] or list(problem.errors.values()) or [problem.detail]
    text = render(request, "errors/problem.html", problem=problem, sentences=sentences)
    return HTMLResponse(text, status_code=problem.status)


def wrong(error: Exception) -> Mapping[str, str]:
    """The errors of a form: one sentence per field, or those of a refusal under numbers of their own."""
    fields = getattr(error, "fields", None)
    if fields is not None:
        return dict(fields)
    return {f"refused-{number}": text for number, text in enumerate(getattr(error, "sentences", (str(error),)))}
