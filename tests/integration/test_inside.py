"""What a researcher's own code can reach from a kernel, driven through portal, Hub, proxy and gate.

Everything that must not answer is planted by the test on this host's loopback; nothing else is asked.
"""

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from spe.cli.demo.cast import Player
from spe.cli.demo.story import Tale, open_notebook
from tests.support.instance import Instance, instance

PROBE = r"""
import ctypes, errno, hashlib, json, os, pathlib, socket, subprocess
seen = {}
def attempt(name, act):
    try:
        seen[name] = ['DONE', str(act())[:120]]
    except BaseException as error:
        seen[name] = ['stopped', f'{type(error).__name__}: {error}'[:120]]

def connect(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
        if kind == socket.SOCK_DGRAM:
            s.send(b'x')
        return 'connected'

TARGETS = json.loads('''%s''')
attempt('tcp 127.0.0.1', lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', TARGETS['tcp4'])))
attempt('tcp ::1', lambda: connect(socket.AF_INET6, socket.SOCK_STREAM, ('::1', TARGETS['tcp6'])))
attempt('abstract unix socket', lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, '\0' + TARGETS['abstract']))
attempt('unix socket of the host', lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, TARGETS['path']))
attempt('portal', lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', TARGETS['portal'])))
attempt('name', lambda: socket.getaddrinfo('planted.invalid', 80))
attempt('raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt('vsock', lambda: socket.socket(getattr(socket, 'AF_VSOCK', 40), socket.SOCK_STREAM))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))

libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    result = getattr(libc, name)(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
attempt('mount', lambda: call('mount', b'none', b'/tmp', b'tmpfs', 0, None))
attempt('remount data', lambda: call('mount', None, b'/data', None, 0x20 | 0x1000, None))
attempt('umount data', lambda: call('umount2', next(pathlib.Path('/data').glob('*/*')).__fspath__().encode(), 2))
attempt('ptrace', lambda: call('ptrace', 16, 1, None, None))
attempt('unshare user', lambda: call('unshare', 0x10000000))
attempt('unshare net', lambda: call('unshare', 0x40000000))
attempt('setns', lambda: call('setns', os.open('/proc/self/ns/net', os.O_RDONLY), 0))
attempt('chroot', lambda: os.chroot('/tmp'))
attempt('core pattern', lambda: open('/proc/sys/kernel/core_pattern', 'w'))
attempt('home of the environment', lambda: os.listdir(TARGETS['home']))
attempt('run folder of the environment', lambda: os.listdir(TARGETS['run']))
attempt('planted file', lambda: open(TARGETS['file']).read())
attempt('shadow', lambda: open('/etc/shadow').read())

around = ''
for folder in pathlib.Path('/proc').glob('[0-9]*'):
    for name in ('environ', 'cmdline'):
        try:
            around += (folder / name).read_text(errors='replace')
        except OSError:
            pass
data = pathlib.Path(os.environ['SPE_DATA_DIR'])
print(json.dumps({
    'seen': seen,
    'processes': len(list(pathlib.Path('/proc').glob('[0-9]*'))),
    'planted variable': TARGETS['variable'] in around,
    'foreign command': any(w in around for w in ('spe.cli.main', 'configurable-http-proxy', 'spe.gate')),
    'workspaces': sorted(os.listdir('/workspace')), 'data': sorted(str(p.relative_to(data)) for p in data.glob('*/*')),
    'uid': os.getuid(),
}))
"""

DOOR = r"""
import http.client, json, os, socket
class Door(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('x'); self.path = path
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX); self.sock.connect(self.path)
def ask(path, method, address, headers={}):
    door = Door(path); door.request(method, address, headers=headers)
    answer = door.getresponse(); body = answer.read(); door.close()
    return [answer.status, body.decode(errors='replace')[:200]]
me, other = '%s', '%s'
hub, spe = '/run/door/hub.sock', '/run/door/spe.sock'
print(json.dumps({
    'own facts': ask(spe, 'GET', '/workspace/permit'),
    'forged person': ask(spe, 'GET', '/workspace/permit', {'X-Spe-Person': 'system:founder'}),
    'entitlement': ask(spe, 'GET', '/gate/entitled?person=' + me),
    'launch': ask(spe, 'POST', '/hub/sessions/x/' + me + ':start'),
    'climb': ask(spe, 'GET', '/workspace/../gate/entitled?person=' + me),
    'hub users': ask(hub, 'GET', '/hub/api/users'),
    'hub proxy': ask(hub, 'GET', '/hub/api/proxy'),
    'activity of another': ask(hub, 'POST', '/hub/api/users/' + other + '/activity'),
}))
"""
CLOSED = ("entitlement", "launch", "climb", "hub users", "hub proxy", "activity of another")


@contextmanager
def planted(running: Instance) -> Iterator[tuple[dict[str, Any], list[socket.socket]]]:
    """Listeners on the loopback and a file, none of which may be reached; they never accept by themselves."""
    with ExitStack() as stack:
        tcp4 = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        tcp6 = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        tcp6.bind(("::1", 0))
        tcp6.listen()
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        name = f"spe-planted-{os.getpid()}"
        abstract.bind("\0" + name)
        abstract.listen()
        path = running.home.parent / "planted.sock"
        local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        local.bind(str(path))
        local.listen()
        file = running.home.parent / "planted.txt"
        file.write_text("planted", encoding="utf-8")
        targets = {
            "tcp4": tcp4.getsockname()[1],
            "tcp6": tcp6.getsockname()[1],
            "abstract": name,
            "path": str(path),
            "portal": int(running.facts["portal"].rpartition(":")[2]),
            "home": str(running.home),
            "run": str(running.run),
            "file": str(file),
            "variable": str(running.home),
        }
        yield targets, [tcp4, tcp6, abstract, local]


async def ask(running: Instance, cells: list[str]) -> list[Any]:
    """Run cells as the second researcher, whose session the demonstration did not use."""
    facts = running.facts
    players = {p["key"]: Player(**p) for p in facts["people"]}
    tale = Tale(
        portal=facts["portal"],
        hub=facts["hub"],
        home=running.home,
        players=players,
        started=time.monotonic(),
        permit=facts["permit"],
        workspace=facts["workspace"],
    )
    try:
        await open_notebook(tale, "researcher-b")
        assert tale.notebook is not None
        found = []
        for code in cells:
            cell = await tale.notebook.run(code)
            assert not cell.error, cell.error
            found.append(json.loads(cell.text))
        return found
    finally:
        await tale.close()


def untouched(listeners: list[socket.socket]) -> bool:
    """Whether nobody waits at any of them."""
    for listener in listeners:
        listener.setblocking(False)
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            continue
        return False
    return True


def test_a_kernel_reaches_nothing_but_its_own_door() -> None:
    with instance("--demo") as running:
        running.wait_until_seeded()
        people = {p["key"]: p["id"] for p in running.facts["people"]}
        with planted(running) as (targets, listeners):
            door = DOOR % (people["researcher-b"], people["researcher-a"])
            inside, doors = asyncio.run(ask(running, [PROBE % json.dumps(targets), door]))
            for name, (outcome, told) in inside["seen"].items():
                print(f"{name:30} {outcome:8} {told}")
            for name, (status, told) in doors.items():
                print(f"{'door: ' + name:30} {status:<8} {told[:90]}")
            assert [name for name, (outcome, _) in inside["seen"].items() if outcome == "DONE"] == []
            assert untouched(listeners)
        assert not inside["planted variable"]
        assert not inside["foreign command"]
        assert inside["uid"] == 1000
        assert inside["processes"] < 10
        assert inside["workspaces"] == ["outputs", "shared"]
        assert sorted(inside["data"]) == sorted(running.facts["datasets"])
        assert doors["own facts"][0] == 200
        assert doors["forged person"] == doors["own facts"]
        assert {name: doors[name][0] for name in CLOSED} == dict.fromkeys(CLOSED, doors["hub users"][0])
        assert doors["hub users"][0] in (403, 404)
        assert Path(targets["file"]).read_text() == "planted"
