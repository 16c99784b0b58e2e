"""What a researcher's own code can reach from a kernel, driven through portal, Hub, proxy and gate.

Everything that must not answer is planted by the test on this host's loopback; nothing else is asked. Each
test prints its transcript: attempt, then what happened.
"""

import asyncio
import inspect
import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.conftest import MARK
from tests.support import probe_from_kernel
from tests.support.person import Company, Granted
from tests.support.processes import descendants

WHO, OTHER = "researcher-a", "researcher-b"
KINDS = {"bwrap", "python -m jupyterhub.singleuser", "python -m ipykernel_launcher"}


def asked(people: Company, function: str, plan: dict[str, Any], *, who: str = WHO, workspace: str = "") -> Any:
    """The answer of one function of the probe, run as a cell of the person's notebook."""
    code = f"{inspect.getsource(probe_from_kernel)}\nimport json\nprint(json.dumps({function}(**{plan!r})))"

    async def story() -> Any:
        async with people.kernel(workspace or people.seeded.workspace, who) as notebook:
            cell = await notebook.run(code)
            await notebook.call("DELETE", f"api/kernels/{notebook.kernel}")
            assert not cell.error, cell.error
            return json.loads(cell.text)

    return asyncio.run(story())


def transcript(rows: dict[str, list[Any]]) -> None:
    for name, (outcome, told) in rows.items():
        print(f"{name:52} {outcome!s:8} {' '.join(str(told).split())[:110]}")


@dataclass(frozen=True)
class Planted:
    """What the test planted: the plan of the probe, and the listeners that must not hear anything."""

    plan: dict[str, Any]
    listeners: list[socket.socket]

    def heard(self) -> list[str]:
        """The listeners at which somebody called."""
        return [str(listener.getsockname()) for listener in self.listeners if _called(listener)]


def _called(listener: socket.socket) -> bool:
    listener.setblocking(False)
    try:
        if listener.type is socket.SOCK_DGRAM:
            listener.recv(64)
        else:
            listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@contextmanager
def planted(people: Company, other: Granted, folder: Path) -> Iterator[Planted]:
    """Listeners on the loopback, sockets and files on the host, a file in another workspace."""
    name = f"spe-{MARK}"
    with ExitStack() as stack:

        def listener(family: int, kind: int, address: Any) -> socket.socket:
            made = stack.enter_context(socket.socket(family, kind))
            made.bind(address)
            if kind == socket.SOCK_STREAM:
                made.listen()
            return made

        tcp4 = listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        tcp6 = listener(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
        udp4 = listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        udp6 = listener(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 0))
        path = people.running.home.parent / "planted.sock"
        stack.callback(path.unlink)
        unix = [
            listener(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}"),
            listener(socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{name}-datagram"),
            listener(socket.AF_UNIX, socket.SOCK_STREAM, str(path)),
        ]
        plan = {
            "tcp4": tcp4.getsockname()[1],
            "tcp6": tcp6.getsockname()[1],
            "udp4": udp4.getsockname()[1],
            "udp6": udp6.getsockname()[1],
            "abstract": name,
            "abstract_datagram": f"{name}-datagram",
            "ports": _ports(people),
            "sockets": {"planted": str(path)} | _sockets(people, other),
            "names": ["planted.invalid", socket.gethostname() + ".invalid"],
            "pids": [pid for pid, _ in descendants(people.running.process.pid)][:1],
            "places": _places(people, other, folder),
        }
        yield Planted(plan, [tcp4, tcp6, udp4, udp6, *unix])


def _ports(people: Company) -> dict[str, int]:
    """The environment's own listeners."""
    settings = json.loads((people.running.home / "hub" / "settings.json").read_text())
    addresses = {
        "portal": people.facts["portal"],
        "proxy": people.facts["hub"],
        "Hub": settings["hub_url"],
        "proxy's control": settings["proxy_api_url"],
    }
    return {name: int(address.rpartition(":")[2]) for name, address in addresses.items()}


def _sockets(people: Company, other: Granted) -> dict[str, str]:
    """The sockets of the run folder, all but those that stand in this person's own folders."""
    layout, mine = people.layout, people.seeded.workspace
    gate = layout.gate(mine)
    found = {
        "supervisor": layout.control,
        "portal's internal": layout.internal,
        "own gate's entrance": gate / "in.sock",
        "own gate's control": gate / "control.sock",
        "another workspace's gate": layout.gate(other.workspace) / "in.sock",
        "another person's door": layout.door(mine, people.id(OTHER)) / "spe.sock",
        "another workspace's door": layout.door(other.workspace, people.id(WHO)) / "spe.sock",
    }
    assert all(path.is_socket() for path in found.values()), {n: p.is_socket() for n, p in found.items()}
    return {name: str(path) for name, path in found.items()}


def _places(people: Company, other: Granted, folder: Path) -> dict[str, str]:
    """Files and folders of the host that are there, none of them for a notebook."""
    home, layout = people.running.home, people.layout
    file = folder / f"{MARK}.txt"
    file.write_text(MARK)
    shared = layout.shared(other.workspace) / f"{MARK}.txt"
    shared.write_text(MARK)
    found = {
        "planted file": file,
        "home of the environment": home,
        "database": home / "spe.db",
        "sealed secrets": home / "secrets.sealed",
        "key of the sealed secrets": home / "keys" / "seal.key",
        "airlock": home / "objects",
        "facts of the demonstration": home / "demo.json",
        "run folder": layout.run,
        "own gate's folder": layout.gate(people.seeded.workspace),
        "own gate's token": layout.gate(people.seeded.workspace) / "gate.json",
        "own gate's counters": layout.counters(people.seeded.workspace),
        "another workspace's folder": layout.workspace(other.workspace),
        "another workspace's file": shared,
        "another person's home": layout.person_home(people.seeded.workspace, people.id(OTHER)),
        "source of the data": home / "demo-data",
    }
    assert all(path.exists() for path in found.values()), {n: p.exists() for n, p in found.items()}
    return {name: str(path) for name, path in found.items()}


def test_every_attempt_to_get_out_or_to_change_data_from_a_kernel_is_stopped(people: Company, tmp_path: Path) -> None:
    other = people.grant(WHO, OTHER)
    with planted(people, other, tmp_path) as around:
        met = asked(people, "reach", {"plan": around.plan})
        transcript(met)
        heard = around.heard()
    print(f"{len(met)} attempts")
    assert {name: told for name, (outcome, told) in met.items() if outcome == "DONE"} == {}
    assert heard == []
    for key in people.facts["datasets"]:
        people.desk("operator").post(f"/datasets/{key}:verify")


def test_a_kernel_sees_its_own_sandbox_and_nothing_of_the_host(people: Company) -> None:
    seen = asked(people, "around", {})
    host = descendants(people.running.process.pid)
    portal = next(pid for (pid, _), line in host.items() if line.endswith("spe.cli.main serve"))
    assert MARK in Path(f"/proc/{portal}/environ").read_text(), "the mark was not planted"
    names = seen.pop("names of the host")
    told = json.dumps(seen)
    secret = [
        path.read_text().strip() for path in (people.running.home / "keys").iterdir() if path.stat().st_size < 200
    ]
    for pid, line in seen["commands"].items():
        print(f"process {pid:>5}  {line[:110]}")
    print("variables ", " ".join(sorted(seen["own environment"])))
    print("sockets   ", " ".join(seen["sockets"]))
    print("status    ", {name: seen["status"][name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")})
    assert MARK not in told
    assert [word for word in secret if word in told] == []
    assert {kind_of(line) for line in seen["commands"].values()} == KINDS
    assert seen["sockets"] == ["/run/door/hub.sock", "/run/door/spe.sock", "/run/nb/nb.sock"]
    assert seen["workspace"] == ["outputs", "shared"]
    assert seen["uid"] == [1000, 1000, 1000]
    assert not any(str(place) in told for place in (people.running.home, people.running.run))
    assert [line for line in names.splitlines() if not is_own(people, line)] == []
    status = seen["status"]
    assert (int(status["CapEff"], 16), int(status["CapBnd"], 16)) == (0, 0)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def is_own(people: Company, line: str) -> bool:
    """The kernel tells where a mount or the other end of a connection lies on the host: only one's own may."""
    layout, space, person = people.layout, people.seeded.workspace, people.id(WHO)
    gate = [layout.door(space, person), layout.notebook(space, person)]
    folders = [layout.person_home(space, person), layout.outputs(space, person), layout.shared(space)]
    data = [people.running.home / "demo-data" / name for name in ("cohort", "genotypes")]
    for place in (*gate, *folders, *data):
        line = line.replace(str(place), "")
    return not any(str(place) in line for place in (people.running.home, people.running.run)) and MARK not in line


def kind_of(line: str) -> str:
    """The program, and for Python its module: `python -m jupyterhub.singleuser`."""
    words = line.split(" ")
    program = words[0].rpartition("/")[2]
    return " ".join([program, *words[1:3]]) if program == "python" else program


def test_the_data_inside_hash_to_the_manifests(people: Company) -> None:
    seen = asked(people, "around", {})
    wanted = {
        f"{key}/{file['path']}": file["sha256"]
        for key in people.facts["datasets"]
        for file in people.desk("auditor").get(f"/datasets/{key}")["files"]
    }
    assert seen["hashes"] == wanted
    assert seen["data"] == sorted(people.facts["datasets"])


def test_the_door_carries_only_ones_own_calls(people: Company) -> None:
    """Each call that is not on the short list is refused; who calls is what the socket says, not a header."""
    mine, space = people.id(WHO), people.seeded.workspace
    other = people.grant(WHO, OTHER)
    draft = people.desk(WHO).post("/egress", {"workspace": other.workspace, "purpose": "elsewhere"})["id"]
    token = json.loads((people.layout.gate(other.workspace) / "gate.json").read_text())["token"]
    forged = {"X-Spe-Person": people.id(OTHER), "Authorization": f"Bearer {token}", "X-Spe-Workspace": other.workspace}
    body = json.dumps({"purpose": f"who am I {secrets.token_hex(4)}", "outputs": []})
    passing = {
        "own permit": ["spe", "GET", "/workspace/permit", {}, None],
        "own permit as another, with another gate's token": ["spe", "GET", "/workspace/permit", forged, None],
        "own permit as the founder": ["spe", "GET", "/workspace/permit", {"x-spe-person": "system:founder"}, None],
        "new request as another": ["spe", "POST", "/workspace/egress", forged, body],
        "own requests as another": ["spe", "GET", "/workspace/egress", forged, None],
    }
    calls = {**passing, **refused_calls(mine, people.id(OTHER), space, draft, forged)}
    met = asked(people, "doors", {"calls": calls})
    transcript(met)
    assert {name: met[name][0] for name in passing} == dict.fromkeys(passing, 200) | {"new request as another": 201}
    permits = [json.loads(met[name][1]) for name in list(passing)[:3]]
    assert {permit["id"] for permit in permits} == {people.seeded.permit}
    made = json.loads(met["new request as another"][1])
    assert (made["author"], made["workspace"]) == (mine, space)
    assert draft not in met["own requests as another"][1]
    answers = {name: status for name, (status, _) in met.items() if name not in passing}
    assert {name: status for name, status in answers.items() if status not in (400, 403, 404)} == {}
    assert not any(people.token(key) in told or token in told for _, told in met.values() for key in (WHO, OTHER))
    people.desk(WHO).post(f"/egress/{made['id']}:withdraw")
    people.desk(WHO).post(f"/egress/{draft}:withdraw")


def refused_calls(mine: str, other: str, space: str, draft: str, forged: dict[str, str]) -> dict[str, list[Any]]:
    """Calls through the door that are nobody's in a notebook."""
    hub = [
        ("GET", "/hub/api/users"), ("GET", f"/hub/api/users/{mine}"), ("GET", f"/hub/api/users/{other}"),
        ("GET", "/hub/api/proxy"), ("GET", "/hub/api/info"), ("GET", "/hub/api/services"),
        ("POST", f"/hub/api/users/{mine}/tokens"), ("POST", f"/hub/api/users/{mine}/servers/{space}"),
        ("DELETE", f"/hub/api/users/{mine}/servers/{space}"), ("POST", f"/hub/api/users/{other}/activity"),
        ("POST", f"/hub/api/users/{mine}/../{other}/activity"), ("GET", "/hub/api/user?x=1"),
        ("GET", "/hub/api/./users"), ("GET", "//hub/api/users"), ("GET", "/hub/api/%75sers"), ("GET", "/hub/login"),
        ("GET", "http://127.0.0.1/hub/api/users"), ("POST", "/hub/api/shutdown"),
    ]  # fmt: skip
    portal = [
        ("GET", f"/gate/entitled?person={mine}"), ("POST", "/gate/events"), ("GET", f"/hub/entitled?user={mine}"),
        ("POST", f"/hub/sessions/{space}/{mine}:start"), ("GET", f"/workspace/../gate/entitled?person={mine}"),
        ("GET", "/workspace/%2e%2e/gate/entitled"), ("GET", "/workspace/..%2fgate/entitled"),
        ("GET", "/workspace//gate/entitled"), ("GET", "//gate/entitled"), ("GET", "/api/v1/permits"),
        ("GET", "/api/v1/people/me"), ("GET", "/oauth/userinfo"), ("GET", "/"), ("GET", "/workspace"),
        ("GET", "/workspace/people"), ("GET", f"/workspace/egress/{draft}"),
        ("POST", f"/workspace/egress/{draft}:submit"),
        ("PUT", f"/workspace/egress/{draft}/files/x.csv"), ("GET", "/workspace/secrets/another"),
        ("GET", "/workspace/guide/../../auth"),
        ("GET", "/workspace/guide/%2e%2e%2fauth"), ("GET", "/mirror/simple/pip/"),
        ("OPTIONS", "/workspace/permit"), ("TRACE", "/workspace/permit"),
    ]  # fmt: skip
    calls = {f"hub {method} {path}": ["hub", method, path, {}, _body(method)] for method, path in hub}
    calls |= {f"spe {method} {path}": ["spe", method, path, {}, _body(method)] for method, path in portal}
    calls |= {f"forged {method} {path}": ["spe", method, path, forged, _body(method)] for method, path in portal[:5]}
    return calls


def _body(method: str) -> str | None:
    return "{}" if method in ("POST", "PUT") else None
