"""Models of the documents in `policies/`: fields known by name, everything else refused.

One model per kind of document. What stands inside a check's settings is typed by the check itself (see
`spe.disclosure.settings`), so that a parameter is declared in one place only.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spe.disclosure.parameters import unknown
from spe.domain.errors import Invalid


class Document(BaseModel):
    """What all documents share: frozen, strict, no unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DisclosureDocument(Document):
    """A disclosure policy. `extends` names another whose settings it starts from and then replaces."""

    kind: Literal["disclosure-policy"]
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    title: str = Field(min_length=1, max_length=200)
    owner: str = Field(default="", max_length=200)
    sources: list[str] = Field(min_length=1)
    extends: str | None = None
    checks: dict[str, dict[str, Any] | None]


def read_disclosure(document: object, where: str) -> DisclosureDocument:
    """A validated document. Raises Invalid with one sentence per field, naming the nearest known key."""
    if not isinstance(document, dict):
        raise Invalid({where: "This is not a policy document; it begins with `kind: disclosure-policy`."})
    try:
        return DisclosureDocument.model_validate(document)
    except ValidationError as error:
        raise Invalid({_place(where, one["loc"]): _sentence(one) for one in error.errors()}) from error


def _place(where: str, location: tuple[int | str, ...]) -> str:
    return f"{where}: {'.'.join(str(part) for part in location)}" if location else where


def _sentence(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return unknown(str(error["loc"][-1]), DisclosureDocument.model_fields, "key")
    if error["type"] == "missing":
        return "This is missing; every disclosure policy has it."
    message = str(error["msg"])
    return message if message.endswith(".") else f"{message}."
