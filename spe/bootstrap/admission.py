"""What `spe cluster setup` works with: the policies as they should stand, the canary, and two ways to speak.

Nothing here needs the control plane to run: it is what stands before the first workspace, and before the portal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spe.adapters.cluster.kubernetes import canary, features
from spe.adapters.cluster.kubernetes.admission import (
    Document,
    Observation,
    Places,
    render,
    replace,
    texts,
    wait_in_force,
)
from spe.adapters.cluster.kubernetes.api import Api
from spe.bootstrap.cluster import admitted, chosen, server
from spe.domain.errors import Invalid
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from spe.policy.loader import policies_folder
from spe.settings import Settings

_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`hub` asks to be taken for the Hub, because policies judge by who asks.

    `documents` are policies and bindings, `space` is the canary.
    """

    api: Api
    hub: Api
    places: Places
    documents: tuple[Document, ...]
    space: tuple[Document, ...]

    @property
    def namespace(self) -> str:
        """Where everything is tried."""
        return canary.namespace_of(self.places.instance)

    def install(self) -> None:
        """Make canary and policies as they should be. Raises `Rejected`, `Unavailable`.

        The canary comes first: once the policies are in force only the managers may change it. Policies of an
        earlier version go last, when these are in force.
        """
        canary.make(self.api, self.space)
        replace(self.api, self.documents, namespace=self.namespace)

    def observe(self, *, seconds: float = canary.SETTLE_SECONDS) -> tuple[Observation, ...]:
        """What each attempt came to, once the API server refuses by exactly these policies. Raises `Unavailable`."""
        wait_in_force(self.api, self.documents, namespace=self.namespace, seconds=seconds)
        return canary.observe(self.hub, canonical(self.places), seconds=seconds)


def admission(settings: Settings) -> Admission:
    """For the environment of the settings. Raises `Invalid`, `Rejected`, `Unavailable`."""
    api = server(settings)
    places = admitted(settings, api)
    found = features.look(api, runtime_class=chosen(settings).runtime_class)
    return Admission(
        api=api,
        hub=server(settings, user=places.account("hub")),
        places=places,
        documents=render(written(settings.policies), places),
        space=canary.documents(places, version=found.version),
    )


def written(folder: Path) -> tuple[Document, ...]:
    """The policies' text below `folder`, else the one installed with the program. Raises `Invalid` for none.

    A house may have disclosure policies of its own in a folder of its own; these are the program's.
    """
    for candidate in (folder, policies_folder()):
        found = texts(candidate / "admission")
        if found:
            return found
    raise Invalid({"policies": f"{folder} holds no folder `admission`, and none was installed."})


def canonical(places: Places) -> Mapping[str, Any]:
    """The pod that the Hub would make for nobody in the canary."""
    facts = PodFacts(
        instance=places.instance,
        workspace=canary.NO_WORKSPACE,
        person=canary.NOBODY,
        permit=canary.NO_PERMIT,
        namespace=canary.namespace_of(places.instance),
        image=places.notebook_images[0],
        gate="127.0.0.1",
        memory_bytes=64 * _MIB,
        cpu_millis=100,
        scratch_bytes=16 * _MIB,
        home_claim=f"home-{canary.NOBODY}",
        shared_claim="shared",
        data=(),
        deadline_seconds=60,
        runtime_class=places.runtime_classes[0] if places.runtime_classes else "",
        user_namespaces=places.user_namespaces,
        apparmor=False,
        forbidden=("tcp:127.0.0.1:1",),
        terminals=False,
    )
    return dict(notebook_pod(facts, {}, pod_name(canary.NOBODY, 1)))
