"""The documents `roles.yaml` and `rules.yaml`: who may do what, and the environment's numbers.

Unknown keys, roles and permissions are refused: a policy that was half understood is no policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spe.domain.errors import Invalid
from spe.domain.principal import Permission, Role
from spe.domain.signin import Requirement
from spe.policy.policyset import Rules

D = TypeVar("D", bound=BaseModel)
Claim = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]


class SignInDocument(BaseModel):
    """What a role asks of a sign-in at the identity provider."""

    model_config = ConfigDict(extra="forbid")

    acr: list[Claim] = []
    amr: list[Claim] = []
    assurance: list[Claim] = []
    hours: int = Field(default=0, ge=0, le=168)


class RolesDocument(BaseModel):
    """`policies/roles.yaml`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["roles"]
    roles: dict[Role, list[Permission]]
    exclusive: list[tuple[Role, Role]] = []
    sign_in: dict[Role, SignInDocument] = {}


class RulesDocument(BaseModel):
    """`policies/rules.yaml`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["rules"]
    confirmations: int = Field(ge=1, le=10)
    reviewers: int = Field(ge=2, le=10)
    link_days: int = Field(ge=1, le=365)
    terms_version: str = Field(pattern=r"^[0-9a-z.-]{1,40}$")
    training_required: bool
    session_hours: int = Field(ge=1, le=72)
    secret_minutes: int = Field(ge=1, le=1440)
    history_releases: int = Field(ge=0, le=1000)
    outbox_days: int = Field(default=1, ge=1, le=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What `roles.yaml` says: permissions by role, pairs that exclude each other, what roles ask of a sign-in."""

    permissions: Mapping[Role, frozenset[Permission]]
    exclusive: tuple[frozenset[Role], ...]
    sign_in: Mapping[Role, Requirement]


def read_roles(path: Path) -> Roles:
    """The roles. Raises `Invalid` naming file and key."""
    document = _validated(RolesDocument, path)
    grants = {role: frozenset(permissions) for role, permissions in document.roles.items()}
    if Role.SYSTEM in grants:
        raise Invalid({path.name: "The environment's own principals are not given permissions by a document."})
    return Roles(
        permissions=grants,
        exclusive=tuple(frozenset(pair) for pair in document.exclusive),
        sign_in={role: _requirement(one) for role, one in document.sign_in.items()},
    )


def _requirement(document: SignInDocument) -> Requirement:
    return Requirement(
        acr=tuple(document.acr), amr=tuple(document.amr), assurance=tuple(document.assurance), hours=document.hours
    )


def read_rules(path: Path) -> Rules:
    """The environment's numbers. Raises `Invalid` naming file and key."""
    return Rules(**_validated(RulesDocument, path).model_dump(exclude={"kind"}))


def _validated(model: type[D], path: Path) -> D:
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return model.model_validate(document)
    except OSError as error:
        raise Invalid({path.name: f"The policy cannot be read ({error.strerror}); restore the file."}) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid({path.name: f"This is not YAML: {error}"}) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Invalid({f"{path.name}: {place}": f"{first['msg']}."}) from error
