"""The API, one module per subject; each offers `router`."""

from importlib import import_module

from fastapi import APIRouter

SUBJECTS = (
    "people",
    "permits",
    "datasets",
    "workspaces",
    "egress",
    "reviews",
    "releases",
    "secrets",
    "audit",
    "service",
)


def routers() -> list[APIRouter]:
    """The routers of all subjects."""
    return [import_module(f"{__name__}.{subject}").router for subject in SUBJECTS]


def probes() -> APIRouter:
    """`/healthz` and `/readyz`."""
    router: APIRouter = import_module(f"{__name__}.service").probes
    return router
