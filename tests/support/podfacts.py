"""Facts of a notebook pod, as the portal tells them, and the Hub's variables that go with them."""

from typing import Any

DIGEST = "0123456789abcdef" * 4
INSTANCE = "spe"
WORKSPACE = "ws-aaaaaaaaaaaaaaaa"
PERSON = "p-bbbbbbbbbbbbbbbb"


def facts_document(**changes: Any) -> dict[str, Any]:
    """The JSON object of the portal's answer; `instance`, `workspace` and `person` carry over to names."""
    instance = changes.get("instance", INSTANCE)
    workspace = changes.get("workspace", WORKSPACE)
    person = changes.get("person", PERSON)
    return {
        "instance": instance,
        "workspace": workspace,
        "person": person,
        "permit": "pm-cccccccccccccccc",
        "namespace": f"{instance}-{workspace}",
        "image": f"localhost/spe/notebook@sha256:{DIGEST}",
        "gate": "10.202.0.77",
        "memory_bytes": 512 * 1024**2,
        "cpu_millis": 1000,
        "scratch_bytes": 64 * 1024**2,
        "home_claim": f"home-{person}",
        "shared_claim": "shared",
        "data": [{"claim": "ds-0123456789ab", "mount": "/data/ds-dddddddddddddddd/1"}],
        "deadline_seconds": 3600,
        "runtime_class": "",
        "user_namespaces": False,
        "apparmor": False,
        "forbidden": ["tcp:10.203.0.1:6443", "tcp:10.202.0.77:8083", "udp:10.202.0.10:53"],
        "terminals": False,
        **changes,
    }


def hub_variables(workspace: str = WORKSPACE, person: str = PERSON) -> dict[str, str]:
    """What the Hub's spawner has for a session, and some it has no business to hand on."""
    return {
        "JPY_API_TOKEN": "the-session-token",
        "JUPYTERHUB_API_TOKEN": "the-session-token",
        "JUPYTERHUB_API_URL": "http://hub.elsewhere:8081/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": "http://hub.elsewhere:8081/hub/api/users/somebody/activity",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{person}-{workspace}",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"/user/{person}/{workspace}/oauth_callback",
        "JUPYTERHUB_SERVER_NAME": "ws-somebodyelses000",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/somebody/else/",
        "JUPYTERHUB_USER": "p-somebodyelses000",
        "JUPYTERHUB_SSL_KEYFILE": "/etc/key",
        "JUPYTER_IMAGE": "another",
        "LD_PRELOAD": "/home/researcher/evil.so",
        "PATH": "/home/researcher",
    }
