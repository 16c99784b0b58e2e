"""Egress requests by their authors: draft, files, declaration, submit, withdraw."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status
from pydantic import Field

from spe.domain.egress import Declaration, EgressRequest, OutputKind
from spe.domain.ids import RequestId, WorkspaceId
from spe.domain.principal import Principal
from spe.domain.verdict import Report
from spe.services.app import App
from spe.services.declaration import declaration_from
from spe.services.egress import EgressView
from spe.web.api.bodies import ActionOut, Done, Id, In, Out, Text, Words, actions
from spe.web.api.conditions import IdempotencyKey, IfMatch, check, created, mark
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services
from spe.web.streams import pour

router = APIRouter(tags=["egress"])
Key = Annotated[str, Path(max_length=40)]
FilePath = Annotated[str, Path(max_length=512)]


class DeclarationIn(In):
    """What one output is, in the words of `egress.yaml`."""

    path: Annotated[str, Field(max_length=512)]
    title: Text = ""
    kind: OutputKind = OutputKind.OTHER
    population: Annotated[int, Field(ge=0, lt=10**9)] | None = None
    unit: Annotated[str, Field(max_length=100)] = "person"
    data: Annotated[str, Field(max_length=512)] = ""
    notes: Text = ""

    def declaration(self) -> Declaration:
        """As the services take it."""
        fields = {k: "" if v is None else str(v) for k, v in self.model_dump().items() if k != "path"}
        return declaration_from(self.path, fields)


Declarations = Annotated[list[DeclarationIn], Field(max_length=50, default_factory=list)]


class NewRequest(In):
    """A draft in a workspace."""

    workspace: Id
    purpose: Text = ""


class Description(In):
    """Purpose and declarations; what is left out stays as it is."""

    purpose: Text | None = None
    outputs: Declarations


class Paths(In):
    """Files of one's outputs folder."""

    paths: Annotated[list[Annotated[str, Field(max_length=512)]], Field(min_length=1, max_length=50)]


class DeclarationOut(Out):
    """What the author says of an output."""

    title: str
    kind: str
    population: int | None
    unit: str
    data: str
    notes: str


class OutputOut(Out):
    """One frozen file."""

    path: str
    sha256: str
    size: int
    declaration: DeclarationOut


class RequestOut(Out):
    """An egress request; `report` is the engine's document (`spe.report/1`) once the checks are done."""

    id: str
    workspace: str
    permit: str
    author: str
    purpose: str
    state: str
    created_at: datetime
    round: int
    outputs: list[OutputOut]
    policy_digest: str
    verdict: str
    reason: str
    approved: Words
    version: int
    report: dict[str, Any] | None = None
    actions: Annotated[list[ActionOut], Field(default_factory=list)]


def report_json(report: Report | None) -> dict[str, Any] | None:
    """The report as JSON, each finding with the key by which it is acknowledged."""
    if report is None:
        return None
    document: dict[str, Any] = dict(report.to_json())
    parts = [(document["findings"], report.findings)]
    parts += [
        (told["findings"], output.findings) for told, output in zip(document["outputs"], report.outputs, strict=True)
    ]
    for told, findings in parts:
        for entry, finding in zip(told, findings, strict=True):
            entry["key"] = finding.key
    return document


def request_out(view: EgressView) -> RequestOut:
    """A request with its report and offers."""
    plain = plain_out(view.request)
    return plain.model_copy(
        update={"report": report_json(view.report), "actions": actions(view.offers, f"egress/{view.request.id}")}
    )


def plain_out(request: EgressRequest) -> RequestOut:
    """A request by itself."""
    fields = ("id", "workspace", "permit", "author", "purpose", "created_at", "round")
    more = ("policy_digest", "verdict", "reason", "version")
    return RequestOut(
        **{name: getattr(request, name) for name in (*fields, *more)},
        state=request.state.value,
        outputs=[OutputOut.model_validate(o) for o in request.outputs],
        approved=sorted(request.approved),
    )


def declarations(given: Iterable[DeclarationIn]) -> Mapping[str, Declaration]:
    """Declarations by path."""
    return {d.path: d.declaration() for d in given}


def editable(app: Services, by: By, request_id: Annotated[str, Path(alias="egress", max_length=40)]) -> RequestId:
    """The request, for those who may see it; asked before any byte of a body is read."""
    return app.egress.view(RequestId(request_id), by=by).request.id


Seen = Annotated[RequestId, Depends(editable)]


@router.get("/egress")
def all_requests(
    app: Services,
    by: By,
    page: Page,
    workspace: Annotated[str, Query(max_length=40)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
) -> PageOut[RequestOut]:
    """Requests that one may see, oldest first, without reports."""
    found = app.egress.all(workspace=WorkspaceId(workspace) if workspace else None, by=by)
    chosen = [v for v in found if not state or v.request.state == state]
    part, more = cut(chosen, page, lambda v: v.request.id)
    return PageOut[RequestOut](items=[plain_out(v.request) for v in part], next_page_token=more)


@router.post("/egress", status_code=status.HTTP_201_CREATED, response_model=RequestOut)
def create(request: Request, app: Services, by: By, body: NewRequest, key: IdempotencyKey = "") -> Response:
    """A new draft."""

    def act() -> RequestOut:
        return plain_out(app.egress.create(WorkspaceId(body.workspace), purpose=body.purpose, by=by))

    return created(request, app, by, key, body, act)


@router.get("/egress/{egress}")
def one(response: Response, app: Services, by: By, seen: Seen) -> RequestOut:
    """One request with its report."""
    return shown(response, app.egress.view(seen, by=by))


@router.put(
    "/egress/{egress}/files/{path:path}",
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
)
async def put_file(request: Request, app: Services, by: By, seen: Seen, path: FilePath) -> OutputOut:
    """Stream one file into the airlock; it is hashed on the way and frozen."""
    output = await pour(request, lambda chunks: app.egress.put_file(seen, path, chunks, by=by))
    return OutputOut.model_validate(output)


@router.delete("/egress/{egress}/files/{path:path}")
def drop_file(app: Services, by: By, seen: Seen, path: FilePath) -> Done:
    """Take a file out of a draft."""
    app.egress.drop_file(seen, path, by=by)
    return Done()


@router.post("/egress/{egress}:take")
def take(response: Response, app: Services, by: By, seen: Seen, body: Paths) -> RequestOut:
    """Freeze files of one's outputs folder into the draft."""
    app.egress.take_from_workspace(seen, body.paths, by=by)
    return shown(response, app.egress.view(seen, by=by))


@router.post("/egress/{egress}:describe")
def describe(response: Response, app: Services, by: By, seen: Seen, body: Description, given: IfMatch) -> RequestOut:
    """Write the purpose and what each output is."""
    _check(app, seen, given, by)
    app.egress.describe(seen, purpose=body.purpose, declarations=declarations(body.outputs), by=by)
    return shown(response, app.egress.view(seen, by=by))


@router.post("/egress/{egress}:submit")
def submit(response: Response, app: Services, by: By, seen: Seen, given: IfMatch) -> RequestOut:
    """Hand the request to the checks."""
    _check(app, seen, given, by)
    return shown(response, app.egress.submit(seen, by=by))


@router.post("/egress/{egress}:withdraw")
def withdraw(response: Response, app: Services, by: By, seen: Seen, given: IfMatch) -> RequestOut:
    """Take the request back."""
    _check(app, seen, given, by)
    return shown(response, app.egress.withdraw(seen, by=by))


def shown(response: Response, view: EgressView) -> RequestOut:
    """The request with its entity tag."""
    mark(response, view.request.version)
    return request_out(view)


def _check(app: App, request: RequestId, given: str, by: Principal) -> None:
    check(given, app.egress.view(request, by=by).request.version)
