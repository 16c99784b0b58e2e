"""Secrets by name. Values go in; none ever comes out here."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, SecretStr

from spe.web.api.bodies import Done, In, Out
from spe.web.auth import By, Services

router = APIRouter(tags=["secrets"])


class SecretIn(In):
    """A value to keep."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=65_536)]


class NamesOut(Out):
    """The names that permits may list."""

    names: list[str]


@router.get("/secrets")
def names(app: Services, by: By) -> NamesOut:
    """The names that permits may list."""
    return NamesOut(names=list(app.secrets.names(by=by)))


@router.put("/secrets/{name}")
def put(app: Services, by: By, name: Annotated[str, Path(max_length=63)], body: SecretIn) -> Done:
    """Store or replace a secret."""
    app.secrets.put(name, body.value.get_secret_value(), by=by)
    return Done()
