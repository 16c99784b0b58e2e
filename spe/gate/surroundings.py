"""What differs between a gate on a host and a gate in a pod, as a table of three makers.

Where the wanted sessions stand written, where a session's notebook is, and how what runs there reaches out.
Everything else of a gate is the same code in both.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from spe.gate.config import SessionConfig
from spe.gate.session import Place, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The sessions there should be, by person, each with the stamp that tells one writing from the next.

    `refused` maps what could not be read to its sentences. `closed` says that nobody may enter for now, which is no
    word on anybody: browsers that have shown who uses them need not do so again when the door opens.
    """

    sessions: dict[str, tuple[SessionConfig, str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The makers: `wanted` reads afresh, `place` finds a notebook, `doors` are open while a session stands."""

    wanted: Callable[[], Wanted]
    place: Callable[[SessionConfig], Place]
    doors: Callable[[Session], AbstractAsyncContextManager[object]]
