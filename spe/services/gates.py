"""What gates in a cluster ask for themselves: which workspace they are of, and where its notebooks are.

The cluster answers both; the portal adds the gate's token, which it gives to nobody else, and only for a
workspace that is still open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spe.domain.errors import Unauthenticated
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.workspace import WorkspaceState
from spe.services.context import House


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Whose gate somebody is, and the token that says so from now on."""

    workspace: WorkspaceId
    token: str = field(repr=False)


class GateService:
    """Names gates, and tells them addresses."""

    def __init__(self, house: House) -> None:
        self._house = house

    def hello(self, shown: str) -> Named:
        """Whose gate is the pod that shows this account token.

        Raises `Unauthenticated` for anything that is not a gate of an open workspace, `Rejected` where there
        are no such gates, `Unavailable` when the cluster is silent.
        """
        workspace = self._house.ports.cluster.recognise(shown)
        with self._house.ports.store.read() as uow:
            found = uow.workspaces.find(workspace)
        if found is None or found.state is WorkspaceState.CLOSED:
            raise Unauthenticated("There is no open workspace of which this is the gate.")
        return Named(workspace=workspace, token=self._house.gate_token(workspace))

    def addresses(self, workspace: WorkspaceId) -> Mapping[PersonId, str]:
        """The address of each notebook of the workspace that runs now. Raises `Unavailable`."""
        return self._house.ports.cluster.addresses(workspace)
