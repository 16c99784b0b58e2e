"""`spe doctor`: whether this host can isolate; each failure with the command that mends it."""

import json
import os
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from spe.adapters.bubblewrap import host as hosts
from spe.adapters.cluster.embedded.doctor import Check, Surroundings, examine, may_start
from spe.adapters.hub.processes import find_node, find_proxy
from spe.bootstrap import embedded
from spe.cli.db import make_ready
from spe.domain.errors import Denial, Refused
from spe.settings import Settings, settings_from


def doctor(
    home: Annotated[Path | None, typer.Option(help="Folder of the environment.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check the host. Exit status 0 when everything required is well, 4 when this host cannot isolate."""
    settings = settings_from(home=home)
    checks = look(settings, ports=True)
    if json_:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        table = Table("", "check", "what was seen", "what mends it")
        for check in checks:
            table.add_row(
                "ok" if check.ok else "FAILED" if check.required else "note", check.name, check.sentence, check.remedy
            )
        Console().print(table)
    raise typer.Exit(0 if may_start(checks) else 4)


def demand_isolation(settings: Settings) -> None:
    """Refuse to start what cannot be isolated: there is no weaker way to run."""
    checks = look(settings, ports=True)
    if not may_start(checks):
        raise Refused(
            Denial(code=check.name, message=f"{check.sentence} To mend it: {check.remedy}")
            for check in checks
            if check.required and not check.ok
        )


def look(settings: Settings, *, ports: bool) -> tuple[Check, ...]:
    """All checks of this host."""
    opened = (settings.port, settings.hub_port, settings.proxy_control, settings.hub_internal)
    return examine(
        Surroundings(
            layout=embedded.layout(settings),
            host=hosts.look(),
            uid=os.geteuid(),
            ports=opened if ports else (),
            database=lambda: _database(settings),
            node=find_node,
            proxy=lambda: find_proxy(settings.node_modules),
        )
    )


def _database(settings: Settings) -> None:
    if not settings.database.startswith("sqlite"):
        make_ready(settings)
        return
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = settings.home / ".doctor.db"
    try:
        connection = sqlite3.connect(probe)
        connection.execute("create table seen (at text)")
        connection.commit()
        connection.close()
    finally:
        probe.unlink(missing_ok=True)
