"""Dataset versions: register a folder of the server or a volume, verify, withdraw."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response, status
from pydantic import Field

from spe.domain.canonical import canonical
from spe.domain.dataset import AccessMode, DatasetVersion, Guarantee
from spe.domain.ids import DatasetId
from spe.domain.principal import Permission, Principal
from spe.services.datasets import DEFAULT_NEEDS
from spe.services.transact import demand
from spe.web.api.bodies import Id, In, Line, Out, Text, Words
from spe.web.api.conditions import IdempotencyKey, created
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services, Web
from spe.web.places import profile_at
from spe.web.settings import WebSettings

router = APIRouter(tags=["datasets"])
Key = Annotated[str, Path(max_length=40)]
Number = Annotated[str, Path(max_length=20)]


class NewDataset(In):
    """What lies at a place of the server (on a cluster: a volume) as a dataset version.

    `profile` or `profile_file` holds facts for the checks.
    """

    folder: Annotated[str, Field(min_length=1, max_length=4000)]
    title: Line
    holder: Line
    number: Annotated[str, Field(max_length=20)] = "1"
    description: Text = ""
    dataset: Id | None = None
    needs: Annotated[list[Guarantee], Field(default_factory=lambda: sorted(DEFAULT_NEEDS))]
    access_modes: Annotated[list[AccessMode], Field(default_factory=lambda: list(AccessMode))]
    disclosure_policy: Annotated[str, Field(max_length=60)] = "default"
    profile: dict[str, Any] | None = None
    profile_file: Annotated[str, Field(max_length=4000)] = ""


class FileOut(Out):
    """One file of the manifest."""

    path: str
    size: int
    sha256: str


class DatasetOut(Out):
    """A dataset version; `source` only for those who register datasets."""

    key: str
    dataset: str
    number: str
    title: str
    holder: str
    description: str
    mount: str
    manifest: str
    file_count: int
    size: int
    needs: Words
    access_modes: Words
    disclosure_policy: str
    profiled: bool
    registered_at: datetime
    registered_by: str
    withdrawn: bool
    source: str | None = None


class WholeOut(DatasetOut):
    """A dataset version with every file of its manifest."""

    files: list[FileOut]


def whole_out(version: DatasetVersion, *, by: Principal) -> WholeOut:
    """A version with its manifest."""
    files = [FileOut.model_validate(f) for f in version.manifest.files]
    return WholeOut(**dataset_out(version, by=by).model_dump(), files=files)


def dataset_out(version: DatasetVersion, *, by: Principal) -> DatasetOut:
    """A version as this person may see it."""
    manages = by.may(Permission.DATASET_REGISTER)
    return DatasetOut(
        key=version.key,
        dataset=version.dataset,
        number=version.number,
        title=version.title,
        holder=version.holder,
        description=version.description,
        mount=version.mount,
        manifest=version.manifest.digest,
        file_count=len(version.manifest.files),
        size=version.manifest.size,
        needs=sorted(version.needs),
        access_modes=sorted(version.access_modes),
        disclosure_policy=version.disclosure_policy,
        profiled=version.profile is not None,
        registered_at=version.registered_at,
        registered_by=version.registered_by,
        withdrawn=version.withdrawn,
        source=version.source if manages else None,
    )


@router.get("/datasets")
def all_datasets(app: Services, by: By, page: Page) -> PageOut[DatasetOut]:
    """The versions that one may know of."""
    part, more = cut(app.datasets.all(by=by), page, lambda v: v.key)
    return PageOut[DatasetOut](items=[dataset_out(v, by=by) for v in part], next_page_token=more)


@router.post("/datasets", status_code=status.HTTP_201_CREATED, response_model=WholeOut)
def register(request: Request, app: Services, web: Web, by: By, body: NewDataset, key: IdempotencyKey = "") -> Response:
    """Read, hash and register what lies at a place; its bytes stay where they are."""
    demand(by, Permission.DATASET_REGISTER)

    def act() -> WholeOut:
        version = app.datasets.register(
            body.folder,
            title=body.title,
            holder=body.holder,
            number=body.number,
            description=body.description,
            dataset=DatasetId(body.dataset) if body.dataset else None,
            needs=body.needs,
            access_modes=body.access_modes,
            disclosure_policy=body.disclosure_policy,
            profile=_profile(web, body),
            by=by,
        )
        return whole_out(version, by=by)

    return created(request, app, by, key, body, act)


@router.get("/datasets/{dataset}/{number}")
def one(app: Services, by: By, dataset: Key, number: Number) -> WholeOut:
    """One version with its manifest."""
    return whole_out(app.datasets.get(f"{dataset}/{number}", by=by), by=by)


@router.post("/datasets/{dataset}/{number}:verify")
def verify(app: Services, by: By, dataset: Key, number: Number) -> DatasetOut:
    """Hash everything again and compare."""
    seen = app.datasets.get(f"{dataset}/{number}", by=by)
    return dataset_out(app.datasets.verify(seen.key, by=by), by=by)


@router.post("/datasets/{dataset}/{number}:withdraw")
def withdraw(app: Services, by: By, dataset: Key, number: Number) -> DatasetOut:
    """Take a version out of use, also where it is used now."""
    seen = app.datasets.get(f"{dataset}/{number}", by=by)
    return dataset_out(app.datasets.withdraw(seen.key, by=by), by=by)


def _profile(web: WebSettings, body: NewDataset) -> bytes | None:
    if body.profile is not None:
        return canonical(body.profile)
    return profile_at(web, body.profile_file) if body.profile_file else None
