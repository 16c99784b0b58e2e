"""A connection to the API server: from a kubeconfig, or from the account of the pod this process runs in.

The client repeats nothing by itself and follows no redirect: what did not work is the reconciler's to repeat,
and a repeated write could be one too many.
"""

from pathlib import Path

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from spe.domain.errors import Unavailable

_CONNECTIONS = 16


def connect(kubeconfig: Path | None = None, *, context: str | None = None, user: str = "") -> ApiClient:
    """A client for many threads. Raises `Unavailable` when no usable configuration is there.

    With `user` it asks the API server to take it for that user, which only accounts with the right to impersonate
    exactly that one are allowed.
    """
    settings = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            load_kube_config(config_file=str(kubeconfig), context=context, client_configuration=settings)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise Unavailable("cluster", f"no way to reach it is configured: {error}") from error
    settings.retries = False
    settings.connection_pool_maxsize = _CONNECTIONS
    client = ApiClient(settings)
    if user:
        client.default_headers["Impersonate-User"] = user
    return client
