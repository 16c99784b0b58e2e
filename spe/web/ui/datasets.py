"""Datasets as operators keep them: register a folder of the server or a volume, verify, withdraw."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.dataset import AccessMode, Guarantee
from spe.domain.errors import Invalid, Refused
from spe.domain.ids import DatasetId
from spe.domain.principal import Permission, Principal
from spe.services.app import App
from spe.services.datasets import DEFAULT_NEEDS
from spe.services.operations import OperationsService
from spe.web.auth import Services, settings
from spe.web.places import profile_at
from spe.web.settings import WebSettings
from spe.web.ui.flash import done
from spe.web.ui.form import Form, Sent
from spe.web.ui.page import needs, page
from spe.web.ui.words import ACCESS_MODES, GUARANTEES

router = APIRouter()
Keeper = Annotated[Principal, Depends(needs(Permission.DATASET_REGISTER))]
TEXTS = ("folder", "title", "holder", "number", "description", "dataset", "disclosure_policy", "profile_file")


@router.get("/datasets")
def all_of_them(request: Request, app: Services, me: Keeper) -> Response:
    """Every version, newest first."""
    return page(request, "datasets/list.html", versions=app.datasets.all(by=me)[::-1])


@router.get("/datasets/new")
def new(request: Request, app: Services, me: Keeper) -> Response:
    """The empty form."""
    given: dict[str, Any] = {**dict.fromkeys(TEXTS, ""), "number": "1", "disclosure_policy": "default"}
    given |= {"needs": tuple(map(str, DEFAULT_NEEDS)), "access_modes": tuple(map(str, AccessMode))}
    return _form(request, app, me, given=given)


@router.post("/datasets/new")
def register(request: Request, app: Services, me: Keeper, form: Form) -> Response:
    """Register what lies at a place as a version."""
    given: dict[str, Any] = {name: form.text(name) for name in TEXTS}
    given |= {name: form.chosen(name) for name in ("needs", "access_modes")}
    try:
        version = app.datasets.register(**_asked(settings(request), form), by=me)
    except Invalid as error:
        names = {*TEXTS, "needs", "access_modes"}
        errors = {k if k in names else "folder": v for k, v in error.fields.items()}
        return _form(request, app, me, given=given, status=422, errors=errors)
    return done(request, f"/datasets/{version.key}", "dataset-registered")


@router.get("/datasets/{dataset}/{number}")
def one(request: Request, dataset: str, number: str, app: Services, me: Keeper) -> Response:
    """One version with its manifest."""
    return _page(request, app, f"{dataset}/{number}", me)


@router.post("/datasets/{dataset}/{number}/verify")
def verify(request: Request, dataset: str, number: str, app: Services, me: Keeper) -> Response:
    """Hash everything again and compare."""
    key = app.datasets.get(f"{dataset}/{number}", by=me).key
    try:
        app.datasets.verify(key, by=me)
    except (Refused, Invalid) as error:
        errors = {f"refused-{n}": text for n, text in enumerate(error.sentences)}
        return _page(request, app, key, me, status=409, errors=errors)
    return done(request, f"/datasets/{key}", "dataset-verified")


@router.get("/datasets/{dataset}/{number}/withdraw")
def ask_withdraw(request: Request, dataset: str, number: str, app: Services, me: Keeper) -> Response:
    """What withdrawing does, before it is done."""
    version = app.datasets.get(f"{dataset}/{number}", by=me)
    return page(request, "datasets/withdraw.html", version=version, permits=_users(app, version.key, me))


@router.post("/datasets/{dataset}/{number}/withdraw")
def withdraw(request: Request, dataset: str, number: str, app: Services, me: Keeper) -> Response:
    """Take the version out of use."""
    key = app.datasets.get(f"{dataset}/{number}", by=me).key
    app.datasets.withdraw(key, by=me)
    return done(request, f"/datasets/{key}", "dataset-withdrawn")


def _asked(web: WebSettings, form: Sent) -> dict[str, Any]:
    """The form as arguments of the registration. Raises `Invalid`."""
    return {
        "source": form.text("folder"),
        "title": form.text("title"),
        "holder": form.text("holder"),
        "number": form.text("number"),
        "description": form.text("description"),
        "dataset": DatasetId(form.text("dataset")) if form.text("dataset") else None,
        "needs": [need for need in Guarantee if need in form.chosen("needs")],
        "access_modes": [mode for mode in AccessMode if mode in form.chosen("access_modes")],
        "disclosure_policy": form.text("disclosure_policy"),
        "profile": profile_at(web, form.text("profile_file")) if form.text("profile_file") else None,
    }


def _users(app: App, key: str, me: Principal) -> list[Any]:
    return [v.permit for v in app.permits.all(by=me) if key in v.permit.terms.datasets]


def _page(request: Request, app: App, key: str, me: Principal, *, status: int = 200, **more: Any) -> Response:
    version = app.datasets.get(key, by=me)
    return page(
        request, "datasets/one.html", status=status, version=version, permits=_users(app, version.key, me), **more
    )


def _form(request: Request, app: App, me: Principal, *, status: int = 200, **more: Any) -> Response:
    return page(
        request,
        "datasets/new.html",
        status=status,
        policies=OperationsService(app.house).disclosure_policies(by=me),
        known={v.dataset: v.title for v in app.datasets.all(by=me)},
        modes=ACCESS_MODES,
        needs_=GUARANTEES,
        **more,
    )
