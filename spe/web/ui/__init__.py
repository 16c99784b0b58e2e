"""Pages, one module per subject; each offers `router`."""

from importlib import import_module
from typing import Final

from fastapi import APIRouter

from spe.web.ui.page import problem_page

__all__ = ["problem_page", "routers"]

SUBJECTS: Final = (
    "entry",
    "login",
    "home",
    "guide",
    "workspaces",
    "outputs",
    "egress",
    "releases",
    "amendments",
    "permits",
    "reviews",
    "decisions",
    "operations",
    "people",
    "datasets",
    "secrets",
    "audit",
)


def routers() -> list[APIRouter]:
    """The routers of all pages."""
    return [import_module(f"{__name__}.{subject}").router for subject in SUBJECTS]
