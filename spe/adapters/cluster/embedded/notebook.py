"""The shape of a notebook's sandbox and the start of its server; the seal probe has the same shape.

Which folders appear where, what the server is told, and which of the Hub's variables go in. The server
listens on a Unix socket in a folder that the gate can reach, and asks the Hub through the door.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from spe.adapters.bubblewrap.sandbox import Bind, Bounds, SandboxSpec
from spe.domain.notebook import DATA, HOME, OUTPUTS, PLACES, SETTINGS, SHARED, VARIABLES, server_flags
from spe.domain.permit import Limits

SOCKET = "/run/nb/nb.sock"
_HUB = "http+unix://" + quote("/run/door/hub.sock", safe="") + "/hub/api"

# JupyterLab asks a far server for news and newer versions on its first start; nothing far exists here.
_LAB_DEFAULTS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
_LAB_DEFAULTS_FILE = f"{SETTINGS}/labconfig/default_setting_overrides.json"

# A script that a cell shows could open windows and peer connections to any address: no policy of a page forbids
# those, so the part that runs such scripts is left out.
_LAB_PAGE = {"disabledExtensions": {"@jupyterlab/javascript-extension": True}}
_LAB_PAGE_FILE = f"{SETTINGS}/labconfig/page_config.json"

# Parts that the gate refuses anyway; without them the server starts sooner and looks for no programs.
_SERVER_FILE = f"{SETTINGS}/jupyter_server_config.json"
_LEFT_OUT = ("jupyter_lsp", "jupyter_server_terminals", "notebook_shim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Host folders behind the writable and visible parts of one session."""

    home: Path
    outputs: Path
    shared: Path
    notebook: Path
    door: Path

    @property
    def watched(self) -> tuple[str, ...]:
        """The folders that fill a disk."""
        return (str(self.home), str(self.outputs), str(self.shared))


def notebook_shape(
    *,
    name: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    places: Places,
    data: tuple[Bind, ...],
    limits: Limits,
    workspace: str,
    terminals: bool = False,
) -> SandboxSpec:
    """The sandbox of a notebook, whatever runs in it."""
    return SandboxSpec(
        name=name,
        command=command,
        environment={
            "SPE_WORKSPACE": workspace,
            **PLACES,
            "SPE_DOOR": "/run/door/spe.sock",
            **environment,
        },
        writable=(
            Bind(source=str(places.home), target=HOME),
            Bind(source=str(places.shared), target=SHARED),
            Bind(source=str(places.outputs), target=OUTPUTS),
            Bind(source=str(places.notebook), target="/run/nb"),
        ),
        read_only=(Bind(source=str(places.door), target="/run/door"), *data),
        folders=(DATA,),
        files={
            _LAB_DEFAULTS_FILE: json.dumps(_LAB_DEFAULTS),
            _LAB_PAGE_FILE: json.dumps(_LAB_PAGE),
            _SERVER_FILE: _server_settings(terminals),
        },
        bounds=Bounds(memory_bytes=limits.memory_bytes, cpu=limits.cpu, disk_bytes=limits.disk_bytes),
        watched=places.watched,
    )


def _server_settings(terminals: bool) -> str:
    kept = {"jupyter_server_terminals"} if terminals else set()
    return json.dumps({"ServerApp": {"jpserver_extensions": {name: name in kept for name in _LEFT_OUT}}})


def server_command(python: str, *, terminals: bool = False) -> tuple[str, ...]:
    """JupyterLab as the Hub's single-user server, on its socket, without configuration of the person's own."""
    return (
        python,
        "-m",
        "jupyterhub.singleuser",
        f"--ServerApp.sock={SOCKET}",
        *server_flags(terminals=terminals),
    )


def server_environment(from_hub: Mapping[str, str], *, base_url: str) -> dict[str, str]:
    """The Hub's own variables and no others, with the addresses this sandbox has.

    A service address of the scheme `http+unix` keeps the server from opening a port beside its socket.
    """
    kept = {name: value for name, value in from_hub.items() if name.startswith("JUPYTERHUB_")}
    return {
        **kept,
        "JUPYTERHUB_API_URL": _HUB,
        "JUPYTERHUB_SERVICE_URL": f"http+unix://{quote(SOCKET, safe='')}{base_url}",
        **VARIABLES,
    }
