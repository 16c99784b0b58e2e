"""Secrets by name. Values go in; none ever comes out here."""

from typing import Annotated

from fastapi import APIRouter, status
from pydantic import Field, SecretStr

from spe.web.api.bodies import Done, In, Out
from spe.web.auth import By, Services

router = APIRouter(tags=["secrets"])


class SecretIn(In):
    """A value to keep under a name."""

    name: Annotated[str, Field(max_length=63)]
    value: Annotated[SecretStr, Field(min_length=1, max_length=65_536)]


class NamesOut(Out):
    """The names that permits may list."""

    names: list[str]


@router.get("/secrets")
def names(app: Services, by: By) -> NamesOut:
    """The names that permits may list; a researcher sees those on their own permits."""
    return NamesOut(names=list(app.secrets.names(by=by)))


@router.post("/secrets", status_code=status.HTTP_201_CREATED)
def put(app: Services, by: By, body: SecretIn) -> Done:
    """Store or replace a secret."""
    app.secrets.put(body.name, body.value.get_secret_value(), by=by)
    return Done()
