"""What Hub and gates ask over a Unix socket; each caller shows its own token, and reaches its own part only."""

from importlib import import_module

from fastapi import APIRouter

CALLERS = ("workspace", "gate", "hub")


def routers() -> list[APIRouter]:
    """The routers of all callers."""
    return [import_module(f"{__name__}.{caller}").router for caller in CALLERS]
