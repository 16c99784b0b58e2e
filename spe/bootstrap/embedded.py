"""The parts of an environment on one host: sandboxes, folders, gates as children of the supervisor."""

from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from spe.adapters.bubblewrap import host as hosts
from spe.adapters.bubblewrap.launch import mark_of
from spe.adapters.checker.embedded import EmbeddedChecker
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.cluster import EmbeddedCluster, GateFacts
from spe.adapters.cluster.embedded.layout import Layout, run_folder
from spe.adapters.cluster.embedded.outputs import EmbeddedOutputs
from spe.adapters.cluster.embedded.sessions import EmbeddedSandboxes
from spe.adapters.cluster.embedded.sources import FolderSources
from spe.domain.errors import Invalid
from spe.ports.checker import Checker
from spe.ports.cluster import Cluster
from spe.ports.outputs import Outputs
from spe.ports.sandbox import Sandboxes
from spe.ports.sources import Sources
from spe.settings import Settings


class Places(TypedDict):
    """The ports that say where workspaces live."""

    cluster: Cluster
    sandboxes: Sandboxes
    outputs: Outputs
    sources: Sources


def layout(settings: Settings) -> Layout:
    """Where everything lies."""
    home = settings.home.resolve()
    return Layout(run=settings.run or run_folder(home), home=home)


def places(settings: Settings) -> Places:
    """Workspaces on this host."""
    place, host = layout(settings), hosts.look()
    client = SupervisorClient(place.control)
    return Places(
        cluster=EmbeddedCluster(layout=place, client=client, host=host, gate=gate_facts(settings)),
        sandboxes=EmbeddedSandboxes(layout=place, client=client, host=host, terminals=settings.terminals),
        outputs=EmbeddedOutputs(place),
        sources=FolderSources(settings.dataset_roots),
    )


def checker(settings: Settings) -> Checker:
    """Checks in sandboxes of this host."""
    return EmbeddedChecker(host=hosts.look(), mark=mark_of(layout(settings).run))


def gate_facts(settings: Settings) -> GateFacts:
    """What every gate is told."""
    share = _package("jupyterlab").parents[3] / "share" / "jupyter" / "lab"
    if not (share / "static").is_dir():
        raise Invalid({"jupyterlab": f"JupyterLab's static files are not at {share}; run `make demo` again."})
    return GateFacts(
        hub=settings.hub_api,
        lab=share,
        server=_package("jupyter_server") / "static",
        public_origins=(settings.hub_url,),
        portal_url=settings.portal_url,
        message_bytes=settings.message_bytes,
        terminals=settings.terminals,
    )


def _package(name: str) -> Path:
    """The folder of an installed package, found without importing it: that would take seconds."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise Invalid({name: "It is not installed; run `make demo`, which installs what is missing."})
    return Path(found.origin).parent
