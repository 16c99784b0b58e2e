"""A JupyterHub with KubeSpawner as its handbook sets one up, without us: Hub and proxy in a pod of an open namespace.

Its servers run the very image, command and settings of ours; there is no policy, no probe, no claim and no gate.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spe.adapters.hub.jupyterhub import JupyterHub
from spe.domain.notebook import HOME, PLACES, VARIABLES, server_flags
from tests.bench.bare_hub import SCOPES, BareHub
from tests.cluster.house import House, forwarded
from tests.support import servers
from tests.support.instance import free_ports

NAME = "bare"
FOLDER = "/etc/bare"
CPU, MEMORY = 2.0, "1G"


def configuration(token: str) -> str:
    """The Hub's configuration file; `os` is there."""
    values: dict[str, object] = {
        "JupyterHub.bind_url": "http://0.0.0.0:8000",
        "JupyterHub.hub_ip": "0.0.0.0",
        "JupyterHub.db_url": "sqlite:////tmp/hub.sqlite",
        "JupyterHub.cookie_secret_file": "/tmp/cookie-secret",
        "JupyterHub.authenticator_class": "dummy",
        "Authenticator.allow_all": True,
        "JupyterHub.allow_named_servers": True,
        "JupyterHub.tornado_settings": {"slow_spawn_timeout": 0},
        "JupyterHub.services": [{"name": "bench", "api_token": token}],
        "JupyterHub.load_roles": [{"name": "bench", "services": ["bench"], "scopes": list(SCOPES)}],
        "JupyterHub.spawner_class": "kubespawner.KubeSpawner",
        "ConfigurableHTTPProxy.should_start": False,
        "ConfigurableHTTPProxy.api_url": "http://127.0.0.1:8001",
        "ConfigurableHTTPProxy.auth_token": token,
        "KubeSpawner.image": servers.image("notebook"),
        "KubeSpawner.image_pull_policy": "IfNotPresent",
        "KubeSpawner.cmd": list(server_flags(terminals=False)),  # the entry point of the image stands before them
        "KubeSpawner.environment": {**VARIABLES, **PLACES, "HOME": HOME},
        "KubeSpawner.working_dir": HOME,
        "KubeSpawner.cpu_limit": CPU,
        "KubeSpawner.cpu_guarantee": CPU / 4,
        "KubeSpawner.mem_limit": MEMORY,
        "KubeSpawner.fs_gid": 1000,
        "KubeSpawner.volumes": [{"name": name, "emptyDir": {}} for name in ("home", "tmp", "run")],
        "KubeSpawner.volume_mounts": [
            {"name": name, "mountPath": place}
            for name, place in (("home", HOME), ("tmp", "/tmp"), ("run", "/run/jupyter"))
        ],
    }
    lines = [f"c.{name} = {value!r}\n" for name, value in values.items()]
    return "".join(["import os\n", *lines, "c.JupyterHub.hub_connect_ip = os.environ['POD_IP']\n"])


def _objects(token: str) -> list[dict[str, Any]]:
    rights = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "delete"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "list", "watch"]},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **_named()},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", **_named(), "rules": rights},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            **_named(),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME}],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            **_named(),
            "data": {"jupyterhub_config.py": configuration(token), "token": token},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            **_named(),
            "spec": {"selector": {"app": NAME}, "ports": [_port("public", 8000), _port("hub", 8081)]},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "labels": {"app": NAME}}, "spec": _pod()},
    ]


def _named() -> dict[str, Any]:
    return {"metadata": {"name": NAME}}


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "port": number}


def _pod() -> dict[str, Any]:
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    mounts = [{"name": "config", "mountPath": FOLDER}, {"name": "tmp", "mountPath": "/tmp"}]
    proxy = ["--ip=0.0.0.0", "--port=8000", "--api-ip=127.0.0.1", "--api-port=8001", "--log-level=warn"]
    return {
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "config", "configMap": {"name": NAME}}, {"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "proxy",
                "image": servers.image("proxy"),
                "args": [*proxy, "--default-target=http://127.0.0.1:8081"],
                "env": [{"name": "SPE_PROXY_TOKEN_FILE", "value": f"{FOLDER}/token"}],
                "volumeMounts": mounts,
            },
            {
                "name": "hub",
                "image": servers.image("hub"),
                "args": ["-f", f"{FOLDER}/jupyterhub_config.py"],
                "env": [address],
                "volumeMounts": mounts,
                "readinessProbe": {"httpGet": {"path": "/hub/api/health", "port": 8081}, "periodSeconds": 1},
            },
        ],
    }


@contextmanager
def bare_kubespawner(house: House) -> Iterator[BareHub]:
    """It runs in a namespace of its own, which is gone afterwards; both its ports are forwarded."""
    namespace = f"{house.name}-{NAME}"
    token = secrets.token_hex(32)
    house.kubectl("create", "namespace", namespace)
    try:
        file = house.folder / "bare.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": _objects(token)}))
        house.kubectl("-n", namespace, "create", "-f", str(file))
        house.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=90s")
        public, hub = free_ports(2)
        with forwarded(namespace, NAME, public, 8000), forwarded(namespace, NAME, hub, 8081):
            api = JupyterHub(hub_url=f"http://127.0.0.1:{hub}", token=token)
            yield BareHub(public=f"http://127.0.0.1:{public}", api=api)
            api.close()
    finally:
        house.kubectl("delete", "namespace", namespace, "--wait=false")
