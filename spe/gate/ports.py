"""What a gate's container is started with, and the four ports by which it is reached.

`8888` for the Hub and its proxy, `8081` for notebooks, `8082` for whoever runs the environment; `8083` is opened
by no policy, so that a pod which reaches it knows that its network is not sealed.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from spe.gate.assembly import fault_of
from spe.gate.fields import Fields
from spe.gate.hello import keep_asking
from spe.gate.journal import Journal
from spe.gate.kept import Kept
from spe.gate.listening import AtPort, Listener
from spe.gate.lock import take_lock
from spe.gate.pod import Pod
from spe.gate.podcontrol import PodControl
from spe.gate.session import Clocks

INBOUND, DOOR, CONTROL, SPARE = 8888, 8081, 8082, 8083
TOKEN_FILE = Path("/var/run/secrets/spe/token")
EVERYWHERE = "0.0.0.0"  # noqa: S104  # a pod does not know its address; policies say who reaches which port
MOST_INBOUND = 512
MOST_AT_DOOR, EACH_AT_DOOR = 1024, 32
MOST_CONTROL, EACH_CONTROL = 64, 16
MOST_SPARE, EACH_SPARE = 16, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What a gate's container is started with."""

    portal: str
    state: Path
    run: Path
    token_file: Path = TOKEN_FILE
    host: str = EVERYWHERE

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "PodSettings":
        """From `SPE_GATE_PORTAL`, `SPE_GATE_STATE`, `SPE_GATE_RUN`. Raises Invalid."""
        names = ("SPE_GATE_PORTAL", "SPE_GATE_STATE", "SPE_GATE_RUN")
        fields = Fields({name: environment[name] for name in names if name in environment})
        portal = fields.base("SPE_GATE_PORTAL")
        state, run = (fields.folder(name, fields.take(name)) for name in names[1:])
        fields.finish()
        return cls(portal=portal, state=state, run=run)

    def prepare(self) -> None:
        """Make the folders and take the lock on the counters. Raises OSError, Unavailable."""
        for folder in (self.state, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        take_lock(self.state / "gate.lock")


async def open_pod(settings: PodSettings, journal: Journal, stack: AsyncExitStack) -> None:
    """Listen, find out who this gate is, go on with what is kept. Raises OSError."""
    pod = Pod(portal=settings.portal, state=settings.state, kept=Kept(settings.run), journal=journal, clocks=Clocks())
    stack.push_async_callback(pod.close)
    pod.remember()
    for port, handler, most, each in (
        (INBOUND, pod.inbound, MOST_INBOUND, MOST_INBOUND),
        (DOOR, pod.door, MOST_AT_DOOR, EACH_AT_DOOR),
        (CONTROL, PodControl(pod, journal), MOST_CONTROL, EACH_CONTROL),
        (SPARE, pod.spare, MOST_SPARE, EACH_SPARE),
    ):
        place = AtPort(settings.host, port)
        listener = Listener(place, handler, fault=fault_of(journal), most=most, each=each)
        await listener.open()
        stack.push_async_callback(listener.close)
    asking = keep_asking(settings.portal, settings.token_file, tell=pod.become, complain=pod.complain)
    for work in (pod.go_on(), asking):
        task = asyncio.create_task(work)
        stack.callback(task.cancel)
    stack.callback(pod.settle)  # the figures first: whoever stops a gate may not wait for the rest
