"""Every way out through the browser's door of a running environment: refused, or on the person's budget.

What the client received is held against what the gate counted meanwhile. The requests meet a notebook server
that the researcher's code has replaced and that answers anything; the messages come from a real kernel.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from spe.cli.demo.browser import Browser, Notebook
from tests.support import accomplice
from tests.support.person import Company, Granted
from tests.support.shapes import SHAPES, Place, Shape, answers, exchange
from tests.support.wire import Heard, Meter, at_desk, line

WHO, OTHER = "researcher-a", "researcher-b"
UNIT = b"PATIENT-7-1961-04-05-E11.9_"
PLANTED = UNIT * 20
TAKEOVER = f"""
import subprocess, sys
started = subprocess.Popen([sys.executable, "-c", {Path(accomplice.__file__).read_text()!r},
    "/run/nb/nb.sock", {PLANTED.decode()!r}], stdout=subprocess.PIPE, text=True, start_new_session=True)
print(started.stdout.readline().strip())
"""

TEXT = PLANTED.decode()
KERNEL = "k = get_ipython().kernel; _ = k.session.send(k.iopub_socket, "
# Cells; `P` is what was planted, so that the echo of the code does not carry it.
CELLS = {
    "printed text": "print(P)",
    "printed error": "import sys; print(P, file=sys.stderr)",
    "display": "display({'text/plain': P}, raw=True)",
    "display of an own type": "display({'application/x-table': P}, raw=True)",
    "display of a picture": "display({'image/png': P}, raw=True)",
    "metadata of a display": "display({'text/plain': ''}, metadata={'x': P}, raw=True)",
    "update of a display": "display({'text/plain': P}, raw=True, update=True, display_id='a')",
    "result": "P",
    "traceback": "raise ValueError(P)",
    "echo of the code": f"# {TEXT}",
    "buffers": KERNEL + "'display_data', {'data': {}}, parent=k.get_parent(), buffers=[P.encode()])",
    "header of a message": "k = get_ipython().kernel; m = k.session.msg('status', {'execution_state': 'busy'}); "
    "m['header']['x'] = P; _ = k.session.send(k.iopub_socket, m)",
    "reply's payload": "get_ipython().set_next_input(P)",
    "opened comm": KERNEL + "'comm_open', {'comm_id': 'a', 'target_name': 't', 'data': {'x': P}})",
    "comm message": KERNEL + "'comm_msg', {'comm_id': 'a', 'data': {'x': P}})",
    "invented type": KERNEL + "'table', {'x': P})",
    "debugger's event": KERNEL + "'debug_event', {'x': P})",
    "known type on another channel": "k = get_ipython().kernel; _ = k.session.send(k.control_stream, 'stream', "
    "{'name': 'stdout', 'text': P}, parent=k.get_parent(), ident=k._parent_ident['shell'])",
}
LEFT_OUT = {"opened comm", "comm message", "invented type", "debugger's event", "known type on another channel"}
ASKED: dict[str, tuple[str, dict[str, object]]] = {
    "user expressions": ("execute_request", {"code": "", "user_expressions": {"x": "P"}, "silent": False}),
    "help": ("inspect_request", {"code": "planted", "cursor_pos": 7, "detail_level": 0}),
    "completion": ("complete_request", {"code": "PATIENT_", "cursor_pos": 8}),
    "kernel's banner": ("kernel_info_request", {}),
    "history": ("history_request", {"hist_access_type": "tail", "n": 9, "raw": True, "output": False}),
    "open comms": ("comm_info_request", {}),
    "debugger's reply": ("debug_request", {"command": "initialize", "seq": 1, "type": "request", "arguments": {}}),
}
FLOWING = {"user expressions", "help", "completion", "kernel's banner", "history"}
PREPARED = f"""
from IPython.display import display
P = {TEXT!r}
def planted(): pass
planted.__doc__ = {TEXT!r}
PATIENT_{TEXT.replace("-", "_").replace(".", "_")} = 1
k = get_ipython().kernel
type(k).banner = {TEXT!r}
get_ipython().history_manager.store_inputs(1, {TEXT!r})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What became of a message."""

    name: str
    heard: Heard
    counted: int

    @property
    def leaked(self) -> int:
        """Bytes of what was planted, its dashes and dots perhaps written as underscores."""
        seen = bytes(self.heard.data).replace(b"-", b"_").replace(b".", b"_")
        return seen.count(UNIT.replace(b"-", b"_").replace(b".", b"_")) * len(UNIT)

    def __str__(self) -> str:
        outcome = "FREE" if self.counted < self.heard.size else "counted" if self.leaked else "left out"
        sizes = f"{self.heard.size:>8} came {self.counted:>8} counted {self.leaked:>6} of it planted"
        return f"{self.name:<40} websocket    {outcome:<8} {sizes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of a shape."""

    shape: Shape
    got: bytes
    counted: int

    @property
    def statuses(self) -> list[int]:
        """The status of each answer."""
        return [status for status, _ in answers(self.got)]

    @property
    def leaked(self) -> int:
        """Bytes of what was planted, anywhere in what came."""
        return self.got.count(UNIT) * len(UNIT)

    @property
    def carried(self) -> int:
        """Bytes of the answers that were no refusals; the gate's own words on a websocket are none of them."""
        return sum(len(body) for status, body in answers(self.got) if 200 <= status < 300)

    @property
    def outcome(self) -> str:
        """In one word."""
        if not self.leaked and not self.carried:
            return "refused"
        return "counted" if self.counted >= max(self.leaked, self.carried) else "FREE"

    def __str__(self) -> str:
        status = ",".join(map(str, self.statuses)) or "closed"
        return f"{self.shape.name:<40} {status:<12} {self.outcome:<8} {len(self.got):>8} came {self.counted:>8} counted"


def place_of(people: Company, granted: Granted, browser: Browser, notebook: Notebook) -> Place:
    cookies = ("_xsrf", f"jupyterhub-user-{people.id(WHO)}-{granted.workspace}", "spe-pass")
    held = {name: browser.cookie(notebook.base, name) for name in cookies}
    assert all(held.values()), held
    base = notebook.base.removeprefix(people.facts["hub"])
    return Place(
        host=people.facts["hub"].removeprefix("http://"),
        base=base,
        other=base.replace(people.id(WHO), people.id(OTHER)),
        cookies="; ".join(f"{name}={value}" for name, value in held.items()),
        xsrf=held["_xsrf"],
    )


def test_every_request_shape_is_refused_or_counted(people: Company) -> None:
    granted = people.grant(WHO, OTHER)
    people.enter(granted, WHO)
    meter = Meter(people=people, workspace=granted.workspace, key=WHO)

    async def story() -> list[Row]:
        async with at_desk(people, granted, WHO) as (browser, notebook):
            await notebook.start_kernel()
            assert (await notebook.run(TAKEOVER)).text == "in place\n"
            place = place_of(people, granted, browser, notebook)
            rows = []
            for shape in SHAPES:
                before = meter.used
                got = await exchange(place, shape)
                rows.append(Row(shape=shape, got=got, counted=meter.used - before))
            return rows

    rows = asyncio.run(story())
    print("", *rows, sep="\n")
    assert len(rows) >= 40
    assert [str(row) for row in rows if row.outcome == "FREE"] == []
    assert [str(row) for row in rows if row.outcome != "refused" and not row.shape.open] == []
    assert [str(row) for row in rows if 503 in row.statuses] == []
    assert sum(row.leaked > 0 for row in rows) > 10


def test_every_kernel_message_is_left_out_or_counted(people: Company) -> None:
    granted = people.grant(WHO)
    people.enter(granted, WHO)
    meter = Meter(people=people, workspace=granted.workspace, key=WHO)

    async def story() -> list[Said]:
        async with at_desk(people, granted, WHO) as (browser, notebook), line(browser, notebook) as own:
            await own.ask("execute_request", cell(PREPARED))
            asked = {name: ("execute_request", cell(code)) for name, code in CELLS.items()} | ASKED
            rows = []
            for name, (kind, content) in asked.items():
                before = meter.used
                heard = await own.ask(kind, content, channel="control" if kind == "debug_request" else "shell")
                rows.append(Said(name=name, heard=heard, counted=meter.used - before))
            before = meter.used
            await own.execute("input(P)")
            heard = await own.hear(lambda heard: "input_request" in heard.kinds)
            return [*rows, Said(name="question to the person", heard=heard, counted=meter.used - before)]

    rows = asyncio.run(story())
    print("", *rows, sep="\n")
    assert [str(row) for row in rows if row.counted < row.heard.size] == []
    assert [str(row) for row in rows if row.leaked and row.name in LEFT_OUT] == []
    flowing = (CELLS.keys() - LEFT_OUT) | FLOWING | {"question to the person"}
    assert [str(row) for row in rows if row.name in flowing and not row.leaked] == []


def cell(code: str) -> dict[str, object]:
    usual = {"silent": False, "store_history": False, "allow_stdin": True, "stop_on_error": False}
    return {"code": code, "user_expressions": {}, **usual}
