"""About the service itself: the GA4GH service-info document, and the probes of whoever watches over it."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from spe.domain.errors import SpeError
from spe.domain.principal import Permission
from spe.ports.secrets import KeyName
from spe.services.transact import demand
from spe.web.api.bodies import Out
from spe.web.auth import By, Services, Web

router = APIRouter(tags=["service"])
probes = APIRouter(include_in_schema=False)


class JobOut(Out):
    """An effect that was decided and is still owed."""

    kind: str
    subject: str
    attempts: int
    last_error: str


class JobsOut(Out):
    """All of them, oldest first."""

    items: list[JobOut]


@router.get("/service-info")
def service_info(web: Web) -> dict[str, Any]:
    """GA4GH service-info 1.0."""
    return {
        "id": "spe",
        "name": web.title,
        "type": {"group": "org.ga4gh", "artifact": "service-info", "version": "1.0.0"},
        "description": "Secure processing environment: permits, sealed workspaces, reviewed outputs.",
        "organization": {"name": web.title, "url": web.portal_url},
        "version": _version(),
        "environment": "demo" if web.demo else "prod",
    }


@router.get("/jobs")
def jobs(app: Services, by: By) -> JobsOut:
    """What is owed to the world, for operators."""
    demand(by, Permission.WORKSPACE_OPERATE)
    with app.house.ports.store.read() as uow:
        owed = uow.outbox.open()
    return JobsOut(items=[JobOut.model_validate(i) for i in owed])


@probes.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@probes.get("/readyz")
def readyz(app: Services) -> JSONResponse:
    """Whether database and keys answer; names what does not, without details."""
    ports = app.house.ports
    checks: dict[str, Callable[[], object]] = {
        "database": ports.store.problems,
        "keys": lambda: ports.secrets.public_key(KeyName.LOG),
    }
    states = {name: _state(check) for name, check in checks.items()}
    ready = all(state == "ok" for state in states.values())
    return JSONResponse({"status": "ok" if ready else "unavailable", **states}, status_code=200 if ready else 503)


def _version() -> str:
    try:
        return version("spe")
    except PackageNotFoundError:
        return "0"  # run from the sources without an installation


def _state(check: Callable[[], object]) -> str:
    try:
        found = check()
    except SpeError:
        return "unavailable"
    return "problems" if isinstance(found, list | tuple) and found else "ok"
