"""`spe up`: the whole environment on one host, and with `--demo` seeded, or played once.

The process itself is the supervisor: parent of portal, Hub, proxy, gates and sandboxes. When it ends,
all end.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from spe import bootstrap
from spe.adapters.cluster.embedded.readiness import Listening
from spe.adapters.cluster.embedded.services import ServiceSpec, inherited
from spe.adapters.cluster.embedded.supervisor import Supervisor, SupervisorConfig, refuse_root
from spe.adapters.hub.processes import Launch, hub_launch, proxy_launch
from spe.adapters.hub.settings import write_hub_settings
from spe.bootstrap import embedded
from spe.domain.errors import Invalid
from spe.settings import Settings, settings_from


def up(
    home: Annotated[Path | None, typer.Option(help="Folder of everything that stays.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the portal.")] = None,
    hub_port: Annotated[int | None, typer.Option(help="Port of the notebooks.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Seed a demonstration.")] = False,
    once: Annotated[bool, typer.Option("--once", help="With --demo: play the whole story, then end.")] = False,
) -> None:
    """Start the whole environment on this host and keep it running until Ctrl-C.

    Exit status: 0 after Ctrl-C or a story that went well, 1 when a step of the story failed, 2 for wrong
    settings, 4 when this host cannot isolate.
    """
    refuse_root(os.geteuid())
    settings = settings_from(home=home, port=port, hub_port=hub_port, demo=demo or None)
    if once and not demo:
        raise Invalid({"once": "Say `--demo --once`: the story needs the demonstration's data."})
    if once and home is None:
        shutil.rmtree(settings.home, ignore_errors=True)
    from spe.cli.doctor import demand_isolation

    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    demand_isolation(settings)
    write_hub_settings(hub_settings_file(settings), bootstrap.hub_settings(settings))
    config = SupervisorConfig(
        layout=embedded.layout(settings),
        services=(*services(settings), *((_story(settings, once),) if demo else ())),
        gate=(sys.executable, "-m", "spe.gate"),
    )
    ready = None if demo else lambda: print(f"Ready: {settings.portal_url}", flush=True)
    raise typer.Exit(Supervisor(config, on_ready=ready).run())


def hub_settings_file(settings: Settings) -> Path:
    """Where the Hub reads its settings."""
    return settings.home / "hub" / "settings.json"


def services(settings: Settings) -> tuple[ServiceSpec, ...]:
    """Portal, proxy and Hub, in the order of their start."""
    place, given = embedded.layout(settings), bootstrap.tokens(settings)
    folder = place.home / "hub"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    proxy = proxy_launch(
        node_modules=settings.node_modules,
        port=settings.hub_port,
        api_port=settings.proxy_control,
        auth_token=given.proxy,
        hub_url=f"http://127.0.0.1:{settings.hub_internal}",
        folder=folder,
    )
    hub = hub_launch(settings_file=hub_settings_file(settings), folder=folder)
    return (
        ServiceSpec(
            name="portal",
            arguments=(sys.executable, "-m", "spe.cli.main", "serve"),
            environment=inherited(**settings.as_environment()),
            ready=Listening(port=settings.port),
            sockets=(place.internal,),
        ),
        _service("proxy", proxy, Listening(port=settings.hub_port)),
        _service("hub", hub, Listening(port=settings.hub_internal)),
    )


def _service(name: str, launch: Launch, ready: Listening) -> ServiceSpec:
    return ServiceSpec(name=name, arguments=launch.argv, environment=dict(launch.env), folder=launch.cwd, ready=ready)


def _story(settings: Settings, once: bool) -> ServiceSpec:
    words = ("play",) if once else ("seed",)
    return ServiceSpec(
        name="story",
        arguments=(sys.executable, "-m", "spe.cli.demo.play", *words),
        environment=inherited(**settings.as_environment()),
        decisive=True,
        shows_output=True,
    )
