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
from tests.support.wire import Meter, at_desk

WHO, OTHER = "researcher-a", "researcher-b"
UNIT = b"PATIENT-7-1961-04-05-E11.9_"
PLANTED = UNIT * 20
TAKEOVER = f"""
import subprocess, sys
started = subprocess.Popen([sys.executable, "-c", {Path(accomplice.__file__).read_text()!r},
    "/run/nb/nb.sock", {PLANTED.decode()!r}], stdout=subprocess.PIPE, text=True, start_new_session=True)
print(started.stdout.readline().strip())
"""


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
    for r in rows:
        if 500 in r.statuses or 503 in r.statuses or 405 in r.statuses or "HTTP/2" in r.shape.name:
            print(r.shape.name, r.got)
    assert len(rows) >= 40
    assert [str(row) for row in rows if row.outcome == "FREE"] == []
    assert [str(row) for row in rows if row.outcome != "refused" and not row.shape.open] == []
    assert sum(row.leaked > 0 for row in rows) > 10
