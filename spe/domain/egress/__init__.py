"""The egress request: its record, its rules and its life."""

from spe.domain.egress.machine import EGRESS, SETTLED, release_stops
from spe.domain.egress.request import Declaration, EgressContext, EgressRequest, EgressState, Output, OutputKind

__all__ = [
    "EGRESS",
    "SETTLED",
    "Declaration",
    "EgressContext",
    "EgressRequest",
    "EgressState",
    "Output",
    "OutputKind",
    "release_stops",
]
