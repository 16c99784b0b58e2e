"""YAML as policies are written: plain, each key once, no anchors. What is ambiguous is refused with its line."""

from pathlib import Path
from typing import Any

import yaml

from spe.domain.errors import Invalid


class _Strict(yaml.SafeLoader):
    """A safe loader that refuses aliases and doubled keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases before they are followed."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases (`*name`) are not accepted", None)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the second would silently win."""
        found: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in found:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            found.add(name)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Any:
    """The document in a file. Raises Invalid naming file and line."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)  # noqa: S506  a safe loader, made stricter
    except OSError as error:
        raise Invalid({path.name: f"It cannot be read: {error.strerror}; check the path."}) from error
    except UnicodeDecodeError as error:
        raise Invalid({path.name: "It is not UTF-8 text."}) from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Invalid({path.name: f"{where}{error.problem or 'this is not YAML'}."}) from error
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise Invalid({path.name: "This is not plain YAML."}) from error
