"""What an older chart understands of today's values: its schema refuses what came later, so that is not said to it."""

from collections.abc import Mapping
from typing import Any


def understood(values: Any, schema: Mapping[str, Any]) -> Any:
    """The values without the members that the schema of a chart does not know, at any depth. Pure."""
    return _known(values, schema, schema)


def _known(values: Any, part: Mapping[str, Any], whole: Mapping[str, Any]) -> Any:
    part = _meant(part, whole)
    if not isinstance(values, Mapping) or part.get("additionalProperties") is not False:
        return values
    members = part.get("properties", {})
    return {name: _known(value, members[name], whole) for name, value in values.items() if name in members}


def _meant(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that a reference, or a choice between an object and nothing, stands for."""
    for choice in part.get("anyOf", ()):
        if choice.get("type") != "null":
            return _meant(choice, whole)
    if "$ref" in part:
        found: Any = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return _meant(found, whole)
    return part
