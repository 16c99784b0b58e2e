"""A gate on a host: one folder holds what it is told and the sockets by which it is reached."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from spe.gate.assembly import Parts, assemble, fault_of
from spe.gate.config import GateConfig, SessionConfig, Sockets
from spe.gate.control import Control, reload_call
from spe.gate.doors import Doors
from spe.gate.folder import read_sessions
from spe.gate.journal import Journal
from spe.gate.listening import AtPath, Listener
from spe.gate.lock import take_lock
from spe.gate.notebook import SocketPlace
from spe.gate.session import Clocks, Session
from spe.gate.surroundings import Surroundings

MOST_INBOUND = 512
MOST_CONTROL = 16


async def open_gate(folder: Path, config: GateConfig, journal: Journal, clocks: Clocks, stack: AsyncExitStack) -> None:
    """Open the gate of `folder`: the two sockets that others look for last, so that they find one that is ready."""
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    take_lock(config.state / "gate.lock")
    gate = await assemble(config, partial(_surround, folder), stack, journal=journal, clocks=clocks)
    control = Control({**gate.calls, **reload_call(gate.roster)})
    for name, handler, most in (("in.sock", gate.front, MOST_INBOUND), ("control.sock", control, MOST_CONTROL)):
        listener = Listener(AtPath(folder / name), handler, fault=fault_of(journal), most=most)
        await listener.open()
        stack.push_async_callback(listener.close)
    stack.callback(gate.roster.settle)


def _surround(folder: Path, parts: Parts) -> Surroundings:
    def doors(session: Session) -> Doors:
        return Doors(session, _sockets(session.spec), parts.outbound, fault=fault_of(parts.journal))

    return Surroundings(
        wanted=partial(read_sessions, folder / "sessions", parts.config.workspace),
        place=lambda spec: SocketPlace(_sockets(spec).notebook),
        doors=doors,
    )


def _sockets(spec: SessionConfig) -> Sockets:
    assert spec.sockets is not None  # a session file without them is refused
    return spec.sockets
