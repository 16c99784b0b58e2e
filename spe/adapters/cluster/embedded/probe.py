"""The seal probe, seen from the host: plant what must not be reached, look from inside, compare.

What is planted is first reached from the host itself, so that "nothing came through" means the sandbox
and not a dead listener. The sandbox has the shape of a notebook's, with a folder of ours in the place of
data. A seal holds when every attempt was stopped, the door answered, and nothing arrived here.
"""

import contextlib
import json
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import Bind, SandboxSpec, options
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.layout import private
from spe.adapters.cluster.embedded.notebook import Places, notebook_shape
from spe.adapters.cluster.embedded.probe_inside import ANSWERED, ATTEMPTS, STOPPED
from spe.domain.errors import Rejected, Unavailable
from spe.domain.permit import Limits
from spe.ports.cluster import SealReport

_INSIDE = "spe.adapters.cluster.embedded.probe_inside"
_SECONDS = 30.0
_PLAN = "/run/probe.json"
_RESULT = "/run/nb/result.json"
_DATA = "/data/probe/1"


class Planted:
    """Listeners on the host's loopback and one abstract socket; `arrived` names those that were reached."""

    def __init__(self, stack: ExitStack) -> None:
        self.leave_out: tuple[str, ...] = ()
        self.abstract = "spe-probe-" + secrets.token_hex(8)
        self._streams = {
            "tcp-ipv4": _listener(stack, socket.AF_INET, ("127.0.0.1", 0)),
            "abstract-socket": _listener(stack, socket.AF_UNIX, "\0" + self.abstract),
        }
        self._datagrams = {"udp-ipv4": _receiver(stack, socket.AF_INET, ("127.0.0.1", 0))}
        try:
            self._streams["tcp-ipv6"] = _listener(stack, socket.AF_INET6, ("::1", 0))
            self._datagrams["udp-ipv6"] = _receiver(stack, socket.AF_INET6, ("::1", 0))
        except OSError:
            self.leave_out = ("tcp-ipv6", "udp-ipv6")
        self._check_reachable()

    def ports(self) -> dict[str, Any]:
        """What the inside is told to aim at."""
        places = {**self._streams, **self._datagrams}
        names = {"tcp-ipv4": "tcp4", "tcp-ipv6": "tcp6", "udp-ipv4": "udp4", "udp-ipv6": "udp6"}
        return {short: places[name].getsockname()[1] for name, short in names.items() if name in places}

    def _check_reachable(self) -> None:
        """From here each must be reached, or the probe would prove nothing. Raises `Unavailable`."""
        for end in self._streams.values():
            with socket.socket(end.family, socket.SOCK_STREAM) as own:
                own.settimeout(1)
                own.connect(end.getsockname())
                end.accept()[0].close()
        for end in self._datagrams.values():
            with socket.socket(end.family, socket.SOCK_DGRAM) as own:
                own.sendto(b"control", end.getsockname())
                if end.recv(16) != b"control":
                    raise Unavailable("cluster", "the seal probe's own listeners do not answer")

    def arrived(self) -> frozenset[str]:
        """Which were reached since the control."""
        reached = set()
        for name, end in (*self._streams.items(), *self._datagrams.items()):
            end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if name in self._streams:
                    end.accept()[0].close()
                else:
                    end.recv(16)
                reached.add(name)
        return frozenset(reached)


def _listener(stack: ExitStack, family: int, address: Any) -> socket.socket:
    end = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    end.settimeout(2)
    end.bind(address)
    end.listen(8)
    return end


def _receiver(stack: ExitStack, family: int, address: Any) -> socket.socket:
    end = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    end.settimeout(2)
    end.bind(address)
    return end


@contextlib.contextmanager
def _answering(path: Path, word: str) -> Iterator[None]:
    """A door that says one word to whoever connects."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.bind(str(path))
    end.listen(4)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = end.accept()
                with visitor:
                    visitor.sendall(word.encode())

    thread = threading.Thread(target=serve, name="seal-probe-door", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
        thread.join(timeout=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealProbe:
    """Runs probes through a supervisor. `absent` are host paths that must not be visible inside."""

    client: SupervisorClient
    host: Host
    scratch: Path
    absent: tuple[str, ...] = ()

    def look(self, workspace: str, *, limits: Limits) -> SealReport:
        """One probe for one workspace. Raises `Unavailable`, or `Rejected` when it could not be made."""
        folder = self.scratch / workspace
        shutil.rmtree(folder, ignore_errors=True)
        places = _places(folder)
        word = secrets.token_hex(8)
        try:
            with ExitStack() as stack:
                planted = Planted(stack)
                stack.enter_context(_answering(places.door / "probe.sock", word))
                spec = self._spec(workspace, places, planted, word, limits)
                ended = self.client.run_sandbox(spec, run_seconds=_SECONDS)
                return judge(_outcomes(places.notebook, ended), planted.arrived(), planted.leave_out)
        except OSError as error:
            raise Unavailable("cluster", f"the seal probe cannot be prepared: {error.strerror}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _spec(self, workspace: str, places: Places, planted: Planted, word: str, limits: Limits) -> SandboxSpec:
        data = places.home.parent / "data"
        data.mkdir(mode=0o700)
        (data / "file").write_text("not data", encoding="ascii")
        spec = notebook_shape(
            name=f"{workspace}/seal",
            command=(self.host.python.executable, "-m", _INSIDE, _PLAN, _RESULT),
            environment={},
            places=places,
            data=(Bind(source=str(data), target=_DATA),),
            limits=limits,
            workspace=workspace,
        )
        plan = {
            **planted.ports(),
            "abstract": planted.abstract,
            "leave_out": planted.leave_out,
            "name": socket.gethostname(),
            "data": _DATA,
            "word": word,
            "absent": [*self.absent, str(self.scratch), "/sys"],
            "environment": _variables(spec, self.host),
        }
        return replace(spec, files={**spec.files, _PLAN: json.dumps(plan)})


def _variables(spec: SandboxSpec, host: Host) -> list[str]:
    """The names a sandbox's environment may have: exactly those that were set."""
    words = options(spec, host)
    return [str(words[n + 1]) for n, word in enumerate(words) if word == "--setenv"]


def _places(folder: Path) -> Places:
    names = ("home", "outputs", "shared", "nb", "door")
    for name in names:
        private(folder / name)
    return Places(
        home=folder / "home",
        outputs=folder / "outputs",
        shared=folder / "shared",
        notebook=folder / "nb",
        door=folder / "door",
    )


def _outcomes(folder: Path, ended: Mapping[str, Any]) -> dict[str, str]:
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        said = str(ended.get("log", ""))[-500:]
        raise Rejected("cluster", f"The seal probe gave no result. {said}".strip()) from error
    return {str(name): str(text) for name, text in dict(found).items()}


def judge(outcomes: Mapping[str, str], arrived: frozenset[str], left_out: tuple[str, ...]) -> SealReport:
    """The seal holds when nothing passed, nothing arrived, nothing was forgotten, and the door answered."""
    expected = set(ATTEMPTS) - set(left_out)
    merged = {name: outcomes.get(name, "not tried") for name in expected}
    merged |= dict.fromkeys(arrived, "PASSED: it arrived at the host")
    merged["door"] = outcomes.get("door", "not tried")
    stopped = all(text.startswith(STOPPED) for name, text in merged.items() if name != "door")
    merged |= dict.fromkeys(left_out, "not tried: the host has no IPv6")
    return SealReport(holds=stopped and merged["door"] == ANSWERED, attempts=dict(sorted(merged.items())))
