"""`python charts/schema.py [--check]`: the schema of the chart's values, from values.yaml and the settings' models.

Structure, types and defaults come from values.yaml, descriptions from its comments; `config` takes every setting
that `spe` knows except those that the chart decides itself and those that are secrets. What is not known is refused.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spe.settings import Settings

CHART = Path(__file__).resolve().parent / "spe"
FILE = CHART / "values.schema.json"

# Settings that follow from how the chart lays things out, or that are secrets and come by `database`, `credentials`.
DECIDED = frozenset(
    {
        "home",
        "run",
        "keys",
        "listen",
        "port",
        "internal_port",
        "health_port",
        "node_modules",
        "database_url",
        "policies",
    }
    | {"hub_port", "hub_api_port", "proxy_api_port"}
)

# The same of a block: the model's name → its members.
DECIDED_IN = {
    "Kubernetes": frozenset(
        {"instance", "release_namespace", "notebook_image", "gate_image", "kubeconfig", "context", "mirror"}
    ),
}

_OPEN: Mapping[str, Any] = {"type": "object"}
_HOST = {"type": "string", "pattern": r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$"}
_NAME = {"type": "string", "pattern": r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$"}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_CREDENTIAL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["setting", "secretName", "key"],
    "properties": {
        "setting": {"type": "string", "pattern": "^[a-z0-9_]+$"},
        "secretName": {"type": "string", "minLength": 1},
        "key": {"type": "string", "minLength": 1},
    },
}

# The end of a value's path → what its schema is, or what is added to it.
SHAPES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("digest", {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}),
    ("pullPolicy", {"type": "string", "enum": ["Always", "IfNotPresent", "Never"]}),
    ("tag", {"type": ["string", "number"]}),
    ("replicaCount", {"type": "integer", "minimum": 1}),
    ("service.type", {"type": "string", "enum": ["ClusterIP", "NodePort", "LoadBalancer"]}),
    ("existingSecret", _NAME),
    ("existingClaim", _NAME),
    ("existingConfigMap", _NAME),
    ("size", {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?([EPTGMk]i?)?$"}),
    ("sizeLimit", {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?([EPTGMk]i?)?$"}),
    ("accessModes", {"type": "array", "items": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]}}),
    ("resources", _OPEN),
    ("namespaceLabels", _OPEN),
    ("podLabels", _OPEN),
    ("hosts.portal", _HOST),
    ("hosts.views", _HOST),
    ("hosts.notebooks", _HOST),
    ("mirror.port", _PORT),
    ("ports", {"type": "array", "items": _PORT}),
    ("policies.disclosure", {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[a-z0-9-]+$"}}),
    ("credentials", {"type": "array", "items": _CREDENTIAL}),
)
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


def comments(text: str) -> dict[str, str]:
    """The comments of values.yaml by the path of the key they stand above; only those that begin with `# --`."""
    found: dict[str, str] = {}
    above: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            above = [stripped[4:].strip()] if stripped.startswith("# --") else [*above, stripped[1:].strip()]
            continue
        match = re.match(r"( *)([A-Za-z]+):", line)
        if match is not None:
            path = [entry for entry in path if entry[0] < len(match[1])] + [(len(match[1]), match[2])]
            if above:
                found[".".join(name for _, name in path)] = " ".join(above)
        above = []
    return found


def shape(path: str, value: Any, notes: Mapping[str, str]) -> dict[str, Any]:
    """The schema of one value at its path."""
    known = next((made for end, made in SHAPES if f".{path}".endswith(f".{end}")), None)
    if known is not None:
        made = dict(known)
    elif isinstance(value, dict) and value:
        members = {name: shape(f"{path}.{name}".lstrip("."), inner, notes) for name, inner in value.items()}
        made = {"type": "object", "additionalProperties": False, "properties": members}
    elif isinstance(value, dict):
        made = dict(_OPEN)
    else:
        made = {"type": _TYPES[type(value)]}
    if path in notes:
        made["description"] = notes[path]
    if not isinstance(value, dict):
        made["default"] = value
    return made


def without_secrets(node: Any) -> Any:
    """A schema without the members that are only ever written: secrets do not belong into values."""
    if isinstance(node, list):
        return [without_secrets(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    kept = {name: without_secrets(inner) for name, inner in node.items()}
    members = kept.get("properties")
    if isinstance(members, dict):
        kept["properties"] = {n: m for n, m in members.items() if not (isinstance(m, dict) and m.get("writeOnly"))}
    return kept


def settings() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of `config`, and the definitions it refers to."""
    whole = without_secrets(Settings.model_json_schema(ref_template="#/definitions/{model}"))
    members = {name: inner for name, inner in whole["properties"].items() if name not in DECIDED}
    made = {
        "type": "object",
        "additionalProperties": False,
        "properties": members,
        "description": "The environment's own settings, by the names that `spe` knows.",
    }
    return made, {name: _undecided(name, model) for name, model in whole.get("$defs", {}).items()}


def _undecided(name: str, model: dict[str, Any]) -> dict[str, Any]:
    decided = DECIDED_IN.get(name, frozenset())
    members = {member: inner for member, inner in model.get("properties", {}).items() if member not in decided}
    required = [member for member in model.get("required", ()) if member not in decided]
    rest = {key: inner for key, inner in model.items() if key not in ("properties", "required")}
    return {**rest, **({"properties": members} if members else {}), **({"required": required} if required else {})}


def schema() -> dict[str, Any]:
    """The whole schema."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    whole = shape("", yaml.safe_load(text), comments(text))
    whole["properties"]["config"], definitions = settings()
    whole["properties"]["global"] = {"type": "object", "description": "Of a chart that holds this one; unused."}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart spe"}
    return {**head, **whole, "definitions": definitions}


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` say whether it is current."""
    text = json.dumps(schema(), indent=2, sort_keys=True) + "\n"
    if "--check" not in arguments:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{FILE.relative_to(CHART.parent.parent)} is not current; run `make requirements`")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
