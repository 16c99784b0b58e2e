"""The writing side of the Hub's settings file: one JSON object, mode 0600, replaced in one step.

`spe.hub.settings` reads it inside the Hub's process. The two are separate because the Hub's plug-ins see
nothing of the adapters; a test holds their fields together.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """What the Hub is told. URLs without trailing slash; times in seconds; secrets never in `repr`.

    - `public_url`: where browsers find the Hub's proxy, `http://localhost:PORT`
    - `hub_url`: where others reach the Hub, `http://127.0.0.1:PORT`; its API is below `/hub/api`
    - `hub_bind_url`: where the Hub listens when that is another address, `http://0.0.0.0:8081` in a cluster
    - `proxy_api_url`, `proxy_auth_token`: the proxy's control interface
    - `portal_url`: the portal as browsers and the Hub's OAuth client see it, `http://127.0.0.1:PORT`
    - `portal_internal`, `portal_token_file`: the portal's internal application, a socket's path or
      `http://host:port`, and what to show it
    - `spawner`: where sessions run, `portal` (on the portal's host) or `pod` (in a cluster)
    - `hub_token`: what the portal shows the Hub's API
    - `crypt_key`: 64 hexadecimal digits; `cookie_secret_file` is made by the Hub when absent
    - `notebook_hub_url`: the Hub's address as seen inside a session on the portal's host; pods have their gate's
    - `active_sessions`: 0 for no limit
    """

    db_url: str
    cookie_secret_file: str
    crypt_key: str = field(repr=False)
    public_url: str
    hub_url: str
    proxy_api_url: str
    proxy_auth_token: str = field(repr=False)
    portal_url: str
    portal_internal: str
    portal_token_file: str
    oauth_client_id: str
    oauth_client_secret: str = field(repr=False)
    hub_token: str = field(repr=False)
    hub_bind_url: str = ""
    spawner: str = "portal"
    notebook_hub_url: str = "http+unix://%2Frun%2Fdoor%2Fhub.sock"
    sessions_per_person: int = 8
    concurrent_starts: int = 16
    active_sessions: int = 0
    start_seconds: int = 60
    refresh_seconds: int = 30
    route_check_seconds: int = 10
    poll_seconds: int = 5
    log_level: str = "INFO"


def write_hub_settings(path: Path, settings: HubSettings) -> None:
    """Write the file, readable by its owner only; a reader sees the old file or the new one, never half."""
    write_private(path, json.dumps(asdict(settings), indent=2, sort_keys=True) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step; its folder is made with mode 0700 when it is not there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
