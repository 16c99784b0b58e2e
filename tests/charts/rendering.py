"""The chart as `helm template` renders it, as objects."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent.parent / "charts" / "spe"
RENDERED = Path(__file__).parent / "rendered"
CASES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
# Namespace of the rendering; it stands in the names of cluster-wide objects.
NAMESPACE = "spe"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One call of helm, its answer kept."""
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


def render(case: str, *options: str) -> str:
    """The rendered chart of one example. AssertionError with helm's words when it refuses."""
    done = helm("template", "spe", str(CHART), "-n", NAMESPACE, "-f", str(CASES[case]), *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of a rendering."""
    return [found for found in yaml.safe_load_all(text) if found]


def pods(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod of every object that has one, by `Kind/name`."""
    made = {}
    for each in found:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            made[name] = each
        elif each["kind"] in {"Deployment", "Job"}:
            made[name] = each["spec"]["template"]
    return made
