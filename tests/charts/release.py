"""One release of the chart in a namespace of its own, on a database of its own; nothing of it is left afterwards."""

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from spe.adapters.sql import preparing
from tests.charts.rendering import CHART
from tests.support import servers

PARTS = ("portal", "reconciler", "hub", "proxy", "checker")
PATIENCE = "240s"


class Release:
    """`name` is namespace, instance and database; `values` are those of every installation and upgrade of `chart`."""

    chart = CHART

    def __init__(self, folder: Path) -> None:
        servers.kubernetes()
        self.name = f"t{secrets.token_hex(4)}"
        self.folder = folder
        self._admin = urlsplit(servers.postgres())
        place = self._admin.netloc.rpartition("@")[2]
        database = f"spe_{self.name}"
        self.urls = {
            part: f"postgresql://{database}_{part}:{secrets.token_hex(12)}@{place}/{database}"
            for part in ("app", "owner")
        }
        self.values: dict[str, Any] = {
            **{part: {"image": _image(part)} for part in ("hub", "proxy", "checker", "gate", "notebook")},
            "image": _image("control"),
            "config": {
                "portal_origin": "http://127.0.0.1:19000",
                "views_origin": "http://localhost:19000",
                "hub_origin": "http://localhost:18000",
            },
            "database": {
                "existingSecret": "database",
                "owner": {"existingSecret": "database", "existingSecretKey": "owner"},
            },
            "persistence": {"enabled": True, "size": "1Gi"},
            "networkPolicy": {
                "egress": {"database": {"ports": [urlsplit(servers.in_pods(self.urls["app"])).port or 5432]}}
            },
        }

    def begin(self) -> None:
        """The namespace, the database and its two accounts, the Secret that names them."""
        plan = preparing.plan(self.urls["app"], self.urls["owner"])
        preparing.prepare(servers.postgres(), plan)
        self.kubectl("create", "namespace", self.name)
        self.kubectl("label", "namespace", self.name, "pod-security.kubernetes.io/enforce=restricted")
        inside = {part: servers.in_pods(url) for part, url in self.urls.items()}
        literals = (f"--from-literal=url={inside['app']}", f"--from-literal=owner={inside['owner']}")
        self.kubectl("-n", self.name, "create", "secret", "generic", "database", *literals)

    def end(self) -> None:
        """Remove everything, whatever became of it."""
        subprocess.run(["helm", "-n", self.name, "uninstall", "spe"], capture_output=True, check=False)
        spaces = (self.name, f"{self.name}-intake")
        subprocess.run(
            ["kubectl", "delete", "namespace", *spaces, "--ignore-not-found", "--wait=false"],
            capture_output=True,
            check=False,
        )
        labelled = f"spe.local/instance={self.name}"
        # Policies before the canary, which they keep as it is.
        for kinds in (
            "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding",
            "namespace",
        ):
            subprocess.run(["kubectl", "delete", kinds, "-l", labelled], capture_output=True, check=False)
        database = f"spe_{self.name}"
        with psycopg.connect(servers.postgres(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            for part in ("app", "owner"):
                connection.execute(f"DROP ROLE IF EXISTS {database}_{part}")

    def helm(self, *arguments: str, timeout: float = 400) -> str:
        """One call of helm in the namespace. AssertionError with its words, and with what the pods say."""
        done = subprocess.run(
            ["helm", "-n", self.name, *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.told()}"
        return done.stdout

    def apply(self, verb: str, **changes: Any) -> None:
        """`helm install` or `helm upgrade` with the values and some changes; returns when every part is ready."""
        file = self.folder / "values.json"
        file.write_text(json.dumps({**self.values, **changes}))
        site = servers.chart_values()
        options = [f"--values={path}" for path in (file, *site)]
        self.helm(verb, "spe", str(self.chart), *options, "--wait", f"--timeout={PATIENCE}")

    def kubectl(self, *arguments: str) -> str:
        """One call of kubectl. AssertionError with its words."""
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, *options: str) -> list[dict[str, Any]]:
        """Objects of a kind in the namespace."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("-n", self.name, "get", kind, "-o", "json", *options))[
            "items"
        ]
        return found

    def spe(self, *words: str) -> str:
        """One call of `spe` in the portal's pod."""
        return self.kubectl("-n", self.name, "exec", "deployment/portal", "--", "spe", *words)

    def told(self) -> str:
        """What pods that are not ready say, for the report of a failure."""
        lines = []
        for pod in self.get("pods"):
            name, status = pod["metadata"]["name"], pod["status"]
            if all(c.get("ready") for c in status.get("containerStatuses", [{}])):
                continue
            log = subprocess.run(
                ["kubectl", "-n", self.name, "logs", name, "--all-containers", "--tail=15"],
                capture_output=True,
                text=True,
            )
            lines.append(f"-- {name} {status.get('phase')}\n{log.stdout}{log.stderr}")
        return "\n".join(lines)


def _image(name: str) -> dict[str, str]:
    repository, _, digest = servers.image(name).partition("@")
    return {"repository": repository, "digest": digest}
