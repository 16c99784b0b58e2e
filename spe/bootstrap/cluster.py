"""The parts of an environment on a Kubernetes cluster: namespaces, pods, volumes, and the way to the API server."""

from collections.abc import Callable
from typing import TypedDict

from spe.adapters.cluster.kubernetes import discover, features, gatecontrol
from spe.adapters.cluster.kubernetes.admission import Places as Admitted
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.cluster import KubernetesCluster
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.found import Found
from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.outputs import OutputsInside
from spe.adapters.cluster.kubernetes.sessions import KubernetesSandboxes
from spe.adapters.cluster.kubernetes.site import GateFacts, Images, Site, Storage
from spe.adapters.cluster.kubernetes.sources import VolumeSources
from spe.domain.errors import Invalid
from spe.domain.ids import WorkspaceId
from spe.ports.cluster import Cluster
from spe.ports.outputs import Outputs
from spe.ports.sandbox import Sandboxes
from spe.ports.sources import Sources
from spe.settings import Kubernetes, Settings


class Places(TypedDict):
    """The ports that say where workspaces live."""

    cluster: Cluster
    sandboxes: Sandboxes
    outputs: Outputs
    sources: Sources


def places(settings: Settings, tokens: Callable[[WorkspaceId], str]) -> Places:
    """Workspaces in the cluster; `tokens` makes a workspace's gate token. Raises `Invalid` for settings that are wrong.

    The cluster is asked only when something is wanted of it: while its API server is silent everything else goes on.
    """
    api = server(settings)
    where = Found(lambda: site(settings, api))
    hands = Hands(api=api, where=where, tokens=tokens, reach=gatecontrol.over_http())
    return Places(
        cluster=KubernetesCluster(hands),
        sandboxes=KubernetesSandboxes(hands),
        outputs=OutputsInside(),
        sources=VolumeSources(hands),
    )


def server(settings: Settings, *, user: str = "") -> Api:
    """The API server, by a kubeconfig or by the account of the pod; with `user` taken for somebody else."""
    given = chosen(settings)
    return Api(connect(given.kubeconfig, context=given.context or None, user=user))


def site(settings: Settings, api: Api) -> Site:
    """What is the same for every workspace, as the settings say and the cluster shows."""
    given = chosen(settings)
    return Site(
        instance=given.instance,
        release_namespace=given.release_namespace,
        images=Images(notebook=given.notebook_image, gate=given.gate_image, intake=given.intake_image),
        services=discover.services(api, given.release_namespace, mirror=given.mirror),
        gate=GateFacts(
            public_origins=(settings.hub_url,),
            portal_url=settings.portal_url,
            mirror_names=given.mirror_names,
            message_bytes=settings.message_bytes,
            terminals=settings.terminals,
        ),
        features=features.look(api, runtime_class=given.runtime_class),
        forbidden=discover.forbidden(api, given.release_namespace, also=given.forbidden),
        storage=Storage(
            class_name=given.storage_class or None,
            shared_access=given.shared_access,
            host_folders=given.host_folders,
        ),
        session_seconds=given.session_seconds,
        seal_seconds=given.seal_seconds,
        probe_seconds=given.probe_seconds,
        intake_seconds=given.intake_seconds,
        runtime_class=given.runtime_class,
        pull_policy=given.pull_policy,
        node_selector=given.node_selector,
    )


def admitted(settings: Settings, api: Api) -> Admitted:
    """What the admission policies leave open, for this environment. Raises `Invalid` for a name that is none."""
    given = chosen(settings)
    try:
        return Admitted(
            instance=given.instance,
            release_namespace=given.release_namespace,
            notebook_images=(given.notebook_image,),
            gate_images=(given.gate_image,),
            intake_images=(given.intake_image,) if given.intake_image else (),
            host_folders=given.host_folders,
            runtime_classes=(given.runtime_class,) if given.runtime_class else (),
            user_namespaces=features.look(api, runtime_class=given.runtime_class).user_namespaces,
            longest_seconds=given.session_seconds,
        )
    except ValueError as error:
        raise Invalid({"kubernetes": f"{error}."}) from error


def chosen(settings: Settings) -> Kubernetes:
    """The settings of the cluster. Raises `Invalid` when there are none."""
    if settings.kubernetes is None:
        raise Invalid(
            {"kubernetes": "Say which images and which instance: the settings' block `kubernetes` is missing."}
        )
    return settings.kubernetes
