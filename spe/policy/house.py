"""The documents `roles.yaml` and `rules.yaml`: who may do what, and the environment's numbers.

Unknown keys, roles and permissions are refused: a policy that was half understood is no policy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spe.domain.errors import Invalid
from spe.domain.principal import Permission, Role
from spe.policy.policyset import Rules

D = TypeVar("D", bound=BaseModel)


class RolesDocument(BaseModel):
    """`policies/roles.yaml`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["roles"]
    roles: dict[Role, list[Permission]]
    exclusive: list[tuple[Role, Role]] = []


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


def read_roles(path: Path) -> tuple[Mapping[Role, frozenset[Permission]], tuple[frozenset[Role], ...]]:
    """Permissions by role, and the pairs that exclude each other. Raises `Invalid` naming file and key."""
    document = _validated(RolesDocument, path)
    grants = {role: frozenset(permissions) for role, permissions in document.roles.items()}
    if Role.SYSTEM in grants:
        raise Invalid({path.name: "The environment's own principals are not given permissions by a document."})
    return grants, tuple(frozenset(pair) for pair in document.exclusive)


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
