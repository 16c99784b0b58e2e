"""The author's side of egress requests: list, draft form, submit, withdraw, status and what was found."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.egress import EgressRequest
from spe.domain.errors import Invalid, NotFound, Refused
from spe.domain.ids import RequestId
from spe.domain.principal import Permission, Principal
from spe.services.app import App
from spe.services.declaration import declaration_from
from spe.services.egress import EDITABLE, EgressView
from spe.services.story import StoryService
from spe.web.auth import Services, settings
from spe.web.ui.flash import done
from spe.web.ui.form import Form, Sent
from spe.web.ui.page import needs, page, wrong
from spe.web.ui.views import frames
from spe.web.ui.words import OUTPUT_KINDS

router = APIRouter()
Author = Annotated[Principal, Depends(needs(Permission.EGRESS_AUTHOR))]
FIELDS = ("title", "kind", "population", "unit", "data", "notes")


@router.get("/egress")
def all_of_them(request: Request, app: Services, me: Author) -> Response:
    """The requests of one's own projects, newest first, and where a new one can be made."""
    requests = [v for v in app.egress.all(by=me) if v.permit.names(me.person) or v.request.author == me.person]
    spaces = [v for v in app.workspaces.all(by=me) if v.permit.names(me.person) and v.workspace.state != "closed"]
    return page(request, "egress/list.html", views=requests[::-1], workspaces=spaces)


@router.get("/egress/{request_id}")
def one(request: Request, request_id: RequestId, app: Services, me: Author) -> Response:
    """One request: status, files with what was found, and what its author may do."""
    return _page(request, app, request_id, me)


@router.get("/egress/{request_id}/edit")
def edit(request: Request, request_id: RequestId, app: Services, me: Author) -> Response:
    """The form of a draft."""
    found = _editable(app, request_id, me)
    return page(request, "egress/edit.html", request_=found, given=_stored(found), kinds=OUTPUT_KINDS)


@router.post("/egress/{request_id}/edit")
def save(request: Request, request_id: RequestId, app: Services, me: Author, form: Form) -> Response:
    """Save the descriptions; take out the file whose button was pressed; or go on to the request."""
    found = _editable(app, request_id, me)
    given = {o.path: {f: form.exact(f"{f}-{n}") for f in FIELDS} for n, o in enumerate(found.outputs)}
    try:
        _describe(app, found, given, form, me)
    except Invalid as error:
        return page(
            request,
            "egress/edit.html",
            status=422,
            request_=found,
            given=given,
            purpose=form.exact("purpose"),
            kinds=OUTPUT_KINDS,
            errors=_anchored(error, found),
        )
    dropped = form.exact("drop")
    if dropped in found.digests:
        app.egress.drop_file(request_id, dropped, by=me)
        return done(request, f"/egress/{request_id}/edit", "file-removed")
    return done(request, f"/egress/{request_id}", "draft-saved")


@router.post("/egress/{request_id}/submit")
def submit(request: Request, request_id: RequestId, app: Services, me: Author) -> Response:
    """Hand the request to the checks."""
    try:
        app.egress.submit(request_id, by=me)
    except Refused as refusal:
        return _page(request, app, request_id, me, status=409, errors=wrong(refusal))
    return done(request, f"/egress/{request_id}", "egress-submitted")


@router.get("/egress/{request_id}/withdraw")
def ask_withdraw(request: Request, request_id: RequestId, app: Services, me: Author) -> Response:
    """Ask before the request is withdrawn, which is final."""
    view = app.egress.view(request_id, by=me)
    offer = next((o for o in view.offers if o.verb == "withdraw"), None)
    if offer is None or not offer.open:
        return _page(request, app, request_id, me)
    return page(request, "egress/withdraw.html", view=view)


@router.post("/egress/{request_id}/withdraw")
def withdraw(request: Request, request_id: RequestId, app: Services, me: Author) -> Response:
    """Take the request back."""
    app.egress.withdraw(request_id, by=me)
    return done(request, f"/egress/{request_id}", "egress-withdrawn")


def _page(
    request: Request, app: App, request_id: RequestId, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = app.egress.view(request_id, by=me)
    story = StoryService(app.house, app.egress)
    return page(
        request,
        "egress/one.html",
        status=status,
        view=view,
        reports={o.path: o for o in view.report.outputs} if view.report else {},
        frames=frames(app, settings(request), view.request, me),
        milestones=story.milestones(request_id, by=me),
        remarks=story.remarks(request_id, by=me),
        release=app.releases.of_request(request_id, by=me),
        editable=_may_edit(view, me),
        **more,
    )


def _may_edit(view: EgressView, me: Principal) -> bool:
    return view.request.state in EDITABLE and view.request.author == me.person


def _editable(app: App, request_id: RequestId, me: Principal) -> EgressRequest:
    view = app.egress.view(request_id, by=me)
    if not _may_edit(view, me):
        raise NotFound("There is no such draft for you.")
    return view.request


def _stored(found: EgressRequest) -> dict[str, dict[str, str]]:
    return {
        o.path: {
            "title": o.declaration.title,
            "kind": str(o.declaration.kind),
            "population": "" if o.declaration.population is None else str(o.declaration.population),
            "unit": o.declaration.unit,
            "data": o.declaration.data,
            "notes": o.declaration.notes,
        }
        for o in found.outputs
    }


def _describe(app: App, found: EgressRequest, given: dict[str, dict[str, str]], form: Sent, me: Principal) -> None:
    """Save all or nothing. Raises `Invalid` with a sentence for each `file: field` that is wrong."""
    problems: dict[str, str] = {}
    declarations = {}
    for path, fields in given.items():
        try:
            declarations[path] = declaration_from(path, fields)
        except Invalid as error:
            named = {name if name.startswith(path) else f"{path}: notes": text for name, text in error.fields.items()}
            problems.update(named)
    if problems:
        raise Invalid(problems)
    app.egress.describe(found.id, purpose=form.exact("purpose"), declarations=declarations, by=me)


def _anchored(error: Invalid, found: EgressRequest) -> dict[str, str]:
    """The same errors under the ids that the form's fields have."""
    places = {f"{o.path}: {field}": f"{field}-{n}" for n, o in enumerate(found.outputs) for field in FIELDS}
    return {places.get(name, "purpose"): text for name, text in error.fields.items()}
