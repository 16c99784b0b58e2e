"""Who calls on the internal socket: a gate by its workspace-bound token, the Hub by its service token, and the
person for whom a gate speaks.

Inside a workspace people act as researchers only, whatever other roles they have: a notebook is not the place
from which somebody reviews or manages.
"""

import hmac
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from spe.domain.errors import NotFound, Refused, Unauthenticated
from spe.domain.ids import PersonId, WorkspaceId, is_id
from spe.domain.principal import Principal, Role
from spe.web.auth import services, settings

LARGEST_ACCOUNT_TOKEN = 16 * 1024
INSIDE = frozenset({Role.AUTHORISED_USER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A person in a workspace, vouched for by its gate."""

    workspace: WorkspaceId
    person: Principal


def token_of(request: Request) -> str:
    """The bearer token of a call."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def account(request: Request) -> str:
    """The account token that a pod shows; whose it is the cluster says. Raises `Unauthenticated` without one."""
    shown = token_of(request)
    if not shown or len(shown) > LARGEST_ACCOUNT_TOKEN:
        raise Unauthenticated("Show the token of the pod's account.")
    return shown


def gate(request: Request) -> WorkspaceId:
    """The workspace whose gate calls. Raises `Unauthenticated`."""
    return services(request).house.workspace_of(token_of(request)[:200])


def hub(request: Request) -> None:
    """Let only the Hub pass."""
    known = settings(request).service_token
    if len(known) < 32 or not hmac.compare_digest(known.encode(), token_of(request).encode()):
        raise Unauthenticated("This is not the Hub.")


def inside(request: Request, workspace: Annotated[WorkspaceId, Depends(gate)]) -> Inside:
    """The person in the workspace. Raises `Refused` with every reason when they may not be there now."""
    named = request.headers.get("X-Spe-Person", "")
    if not is_id(named):
        raise NotFound("There is no such person here.")
    app = services(request)
    person = PersonId(named)
    if denials := app.sessions.denials(workspace, person):
        raise Refused(denials)
    known = app.people.principal(app.people.person(person))
    roles, policies = known.roles & INSIDE, app.house.policies()
    acts = replace(known, roles=roles, permissions=policies.grants(roles), held=policies.held(roles))
    return Inside(workspace=workspace, person=acts)


Account = Annotated[str, Depends(account)]
Gate = Annotated[WorkspaceId, Depends(gate)]
Here = Annotated[Inside, Depends(inside)]
