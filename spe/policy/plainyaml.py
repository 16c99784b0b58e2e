"""YAML as policies are written: plain, each key once, no anchors. What is ambiguous is refused with its line."""

import os
import stat
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


def read_yaml(path: Path, *, most: int = 16 * 1024**2) -> Any:
    """The document in a file of at most so many bytes. Raises Invalid naming file and line."""
    try:
        return yaml.load(_text(path, most), Loader=_Strict)  # noqa: S506  a safe loader, made stricter
    except OSError as error:
        raise Invalid({path.name: f"It cannot be read: {error.strerror}; check the path."}) from error
    except UnicodeDecodeError as error:
        raise Invalid({path.name: "It is not UTF-8 text."}) from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Invalid({path.name: f"{where}{error.problem or 'this is not YAML'}."}) from error
    except yaml.reader.ReaderError as error:
        raise Invalid({path.name: f"Character {error.position + 1} does not belong into YAML text."}) from error
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise Invalid({path.name: "This is not plain YAML."}) from error


def _text(path: Path, most: int) -> str:
    """The file's text; a pipe or a device is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Invalid({path.name: "This is not a regular file; name the document itself."})
        data = file.read(most + 1)
    if len(data) > most:
        raise Invalid({path.name: f"This is larger than {most // 1024} KiB; it is not such a document."})
    return data.decode("utf-8")
