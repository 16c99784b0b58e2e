"""The workspace API: what a notebook may ask through its gate. The gate says which workspace and which person."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, status
from fastapi.responses import PlainTextResponse

from spe.domain.errors import NotFound
from spe.domain.ids import RequestId
from spe.services.disclosure import policy_for
from spe.services.egress import LARGEST_FILE, MOST_FILES
from spe.web.api.bodies import In, Out, Text
from spe.web.api.egress import Declarations, OutputOut, RequestOut, declarations, plain_out, request_out
from spe.web.api.permits import PermitOut, permit_out
from spe.web.auth import Services
from spe.web.internal.callers import Here
from spe.web.streams import pour

router = APIRouter(prefix="/workspace")
MANUAL = File(__file__).parents[1] / "manual"
Key = Annotated[str, Path(max_length=40)]
FilePath = Annotated[str, Path(max_length=512)]


class DeclarationFile(In):
    """`egress.yaml` as JSON: purpose and outputs."""

    purpose: Text = ""
    outputs: Declarations


class SecretOut(Out):
    """A leased secret: use it, do not keep it."""

    name: str
    value: str
    expires: datetime


class RequestsOut(Out):
    """The egress requests of this workspace."""

    items: list[RequestOut]


class PolicyOut(Out):
    """The disclosure policy that holds here, and how much one request may carry."""

    name: str
    digest: str
    policy: dict[str, Any]
    largest_file: int
    most_files: int


@router.get("/permit")
def permit(app: Services, here: Here) -> PermitOut:
    """The permit under which one works."""
    space = app.workspaces.view(here.workspace, by=here.person).workspace
    return permit_out(app.permits.view(space.permit, by=here.person))


@router.get("/secrets/{name}")
def secret(app: Services, here: Here, name: Annotated[str, Path(max_length=63)]) -> SecretOut:
    """Lease a secret that the permit lists."""
    lease = app.secrets.lease(here.workspace, name, person=here.person)
    return SecretOut(name=lease.name, value=lease.value.reveal(), expires=lease.expires)


@router.get("/policy")
def policy(app: Services, here: Here) -> PolicyOut:
    """The policy with which `spe check` judges as the environment will."""
    space = app.workspaces.view(here.workspace, by=here.person).workspace
    with app.house.ports.store.read() as uow:
        held = policy_for(app.house.policies(), uow, space.permit)
    facts: Mapping[str, Any] = held.to_json()
    return PolicyOut(
        name=held.name, digest=held.digest, policy=dict(facts), largest_file=LARGEST_FILE, most_files=MOST_FILES
    )


@router.get("/guide/{page}", response_class=PlainTextResponse)
def guide(here: Here, page: Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]) -> PlainTextResponse:
    """One page of the manual, as Markdown."""
    del here  # the manual is for everybody inside
    file = MANUAL / f"{page}.md"
    if not file.is_file():
        raise NotFound("There is no such page in the manual.")
    return PlainTextResponse(file.read_text(encoding="utf-8"), media_type="text/markdown")


@router.get("/egress")
def requests(app: Services, here: Here) -> RequestsOut:
    """The requests of this workspace."""
    found = app.egress.all(workspace=here.workspace, by=here.person)
    return RequestsOut(items=[plain_out(v.request) for v in found])


@router.post("/egress", status_code=status.HTTP_201_CREATED)
def create(app: Services, here: Here, body: DeclarationFile) -> RequestOut:
    """A draft with its purpose; declarations are described once their files are there."""
    declarations(body.outputs)
    return plain_out(app.egress.create(here.workspace, purpose=body.purpose, by=here.person))


def of_here(app: Services, here: Here, egress: Key) -> RequestId:
    """A request of this very workspace; those of one's other workspaces do not exist here."""
    seen = app.egress.view(RequestId(egress), by=here.person).request
    if seen.workspace != here.workspace:
        raise NotFound("There is no such egress request here.")
    return seen.id


Seen = Annotated[RequestId, Depends(of_here)]


@router.get("/egress/{egress}")
def one(app: Services, here: Here, seen: Seen) -> RequestOut:
    """One request with its report."""
    return request_out(app.egress.view(seen, by=here.person))


@router.put("/egress/{egress}/files/{path:path}")
async def put_file(request: Request, app: Services, here: Here, seen: Seen, path: FilePath) -> OutputOut:
    """Stream one file into the airlock."""
    output = await pour(request, lambda chunks: app.egress.put_file(seen, path, chunks, by=here.person))
    return OutputOut.model_validate(output)


@router.post("/egress/{egress}:describe")
def describe(app: Services, here: Here, seen: Seen, body: DeclarationFile) -> RequestOut:
    """Say what each file is."""
    app.egress.describe(seen, purpose=body.purpose or None, declarations=declarations(body.outputs), by=here.person)
    return request_out(app.egress.view(seen, by=here.person))


@router.post("/egress/{egress}:submit")
def submit(app: Services, here: Here, seen: Seen) -> RequestOut:
    """Hand the request to the checks."""
    return request_out(app.egress.submit(seen, by=here.person))


@router.post("/egress/{egress}:withdraw")
def withdraw(app: Services, here: Here, seen: Seen) -> RequestOut:
    """Take the request back."""
    return request_out(app.egress.withdraw(seen, by=here.person))
