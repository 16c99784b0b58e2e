"""Every image runs as a pod of a restricted namespace: what it holds, and that its program starts.

`SPE_IMAGES` names the file with the images' references that `make images` wrote.
"""

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.containerfiles import NAMES
from tests.support import servers

pytestmark = pytest.mark.servers
INSIDE = Path(__file__).parent / "inside"
TOKEN = "t" * 64


class Pods:
    """Pods of one run in a namespace of their own."""

    def __init__(self) -> None:
        servers.kubernetes()
        self.namespace = f"spe-images-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")

    def kubectl(self, *arguments: str, text: str = "") -> str:
        """One call of kubectl. AssertionError with its words."""
        done = subprocess.run(
            ["kubectl", *arguments], input=text or None, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, image: str, command: list[str], *, script: str = "", wanted: str = "Succeeded") -> str:
        """What a pod of the image prints until it has ended as wanted."""
        name = f"{image}-{secrets.token_hex(3)}"
        self.kubectl("-n", self.namespace, "create", "configmap", name, f"--from-literal=script={script}")
        self.kubectl("-n", self.namespace, "apply", "-f", "-", text=json.dumps(self._pod(name, image, command)))
        try:
            self.kubectl(
                *("-n", self.namespace, "wait", f"--for=jsonpath={{.status.phase}}={wanted}", f"pod/{name}"),
                "--timeout=120s",
            )
        except AssertionError as error:
            said = self.kubectl("-n", self.namespace, "logs", name)
            raise AssertionError(f"{error}\n{said}") from error
        return self.kubectl("-n", self.namespace, "logs", name)

    def _pod(self, name: str, image: str, command: list[str]) -> dict[str, Any]:
        security = {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        container = {
            "name": "it",
            "image": servers.image(image),
            "imagePullPolicy": "IfNotPresent",
            "securityContext": security,
            **({"command": command} if command else {}),
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "script", "mountPath": "/script"}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "containers": [container],
                "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "script", "configMap": {"name": name}}],
            },
        }


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    made = Pods()
    try:
        yield made
    finally:
        made.kubectl("delete", "namespace", made.namespace, "--wait=false")


def _inside(name: str) -> str:
    return (INSIDE / f"{name}.py").read_text()


@pytest.mark.parametrize("image", NAMES)
def test_an_image_holds_no_builder_lends_no_rights_and_says_what_it_holds(pods: Pods, image: str) -> None:
    found = json.loads(pods.run(image, ["python3", "/script/script"], script=_inside("anything")))
    assert (found["uid"], found["gid"]) == (1000, 1000)
    assert not found["builders"] + found["modules"] + found["setuid"] + found["writable"] + found["without_bytecode"]
    assert found["sbom"][0] == "CycloneDX"
    assert found["sbom"][1] >= 9


def test_the_control_plane_shows_its_commands_and_finds_its_policies(pods: Pods) -> None:
    said = pods.run(
        "control",
        ["sh", "-c", "spe --help && spe policy lint && python -c 'import spe.web.app, kubernetes, hvac, boto3'"],
    )
    assert "reconcile" in said


def test_the_gate_has_the_interface_at_hand(pods: Pods) -> None:
    script = (
        "import pathlib, spe.gate.main\nfrom spe.gate.assets import index\nfrom spe.gate.config import Assets\n"
        "root = pathlib.Path('/opt/jupyter')\n"
        "made = Assets(lab=root / 'lab', server=root / 'server', extensions=root / 'labextensions')\n"
        "print(len(index(made)), sorted({name.rsplit('/', 1)[0] for name in index(made)})[:40])\n"
    )
    said = pods.run("gate", ["python", "/script/script"], script=script)
    assert int(said.split()[0]) > 100
    assert "lab/api/themes/" in said
    assert "static/favicons" in said
    assert "lab/extensions/jupyterlab_pygments" in said


def test_the_hub_and_its_plug_ins_load(pods: Pods) -> None:
    said = pods.run(
        "hub",
        [
            "sh",
            "-c",
            "jupyterhub --version && python -c 'import spe.hub.configure' && test -r /opt/hub/jupyterhub_config.py",
        ],
    )
    assert said.strip() == "6.1.1"


def test_the_proxy_refuses_to_start_without_its_token_and_starts_with_it(pods: Pods) -> None:
    assert "names the file" in pods.run("proxy", [], wanted="Failed")
    said = pods.run(
        "proxy", ["sh", "-c", "SPE_PROXY_TOKEN_FILE=/script/script /opt/proxy/start --version"], script=TOKEN
    )
    assert said.strip() == "5.3.0"


def test_the_checker_answers(pods: Pods) -> None:
    script = (
        "import os, subprocess, sys, time, urllib.request\n"
        "os.makedirs('/tmp/scratch')\n"
        f"open('/tmp/token', 'w').write({TOKEN!r})\n"
        "os.environ.update(SPE_CHECKER_TOKEN_FILE='/tmp/token', SPE_CHECKER_SCRATCH='/tmp/scratch')\n"
        "child = subprocess.Popen([sys.executable, '-m', 'spe.adapters.checker.service'])\n"
        "end = time.monotonic() + 60\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        print(urllib.request.urlopen('http://127.0.0.1:9002/healthz').read().decode())\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.2)\n"
        "import spe.adapters.bubblewrap.seccomp as filters, spe.disclosure.runner\n"
        "print(len(filters.program(alone=True)) > 0)\n"
        "child.terminate()\n"
    )
    said = pods.run("checker", ["python", "/script/script"], script=script)
    assert said.split("\n")[:2] == ['{"status": "ok"}', "True"]


def test_a_notebook_has_the_libraries_people_expect_and_only_our_client(pods: Pods) -> None:
    found = json.loads(pods.run("notebook", ["python", "/script/script"], script=_inside("notebook")))
    assert found["help"]["exit"] == 0
    assert all(name in found["help"]["out"] for name in ("egress", "secret", "check", "policy"))
    assert not [
        name for name in ("serve", "reconcile", "permit", "vault", "audit") if f" {name} " in found["help"]["out"]
    ]
    assert found["serve"]["exit"] == 2
    report = json.loads(found["check"]["out"])
    assert report["schema"] == "spe.report/1"
    assert found["door"]["exit"] != 0
    assert found["seal"] == 2
    assert "python3" in found["kernel"]
    assert found["singleuser"] == "6.1.1"
