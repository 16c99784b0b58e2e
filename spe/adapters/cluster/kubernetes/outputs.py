"""The outputs port on a cluster: a person's files are in their claim, which nothing of the control plane mounts.

They are sent from inside, through the gate; from outside there is nothing to list.
"""

from collections.abc import Iterator

from spe.domain.errors import Invalid
from spe.domain.ids import PersonId, WorkspaceId
from spe.ports.outputs import Candidate

FROM_INSIDE = "Here outputs are sent from inside the notebook: `spe egress submit`, or `spe.notebook.submit(…)`."


class OutputsInside:
    """Implements `spe.ports.outputs.Outputs` where only the notebook sees the folder."""

    note = FROM_INSIDE

    def candidates(self, workspace: WorkspaceId, person: PersonId) -> tuple[Candidate, ...]:
        """Nothing: the control plane cannot look into a workspace."""
        del workspace, person
        return ()

    def read(self, workspace: WorkspaceId, person: PersonId, path: str) -> Iterator[bytes]:
        """Raises `Invalid`: nothing is read from outside."""
        del workspace, person, path
        raise Invalid({"files": FROM_INSIDE})
