"""`egress.yaml`, the researcher's declaration: what each output is and how many people stand behind it.

The file describes the outputs and is never released. It is read strictly: plain YAML without anchors, known
keys only. What is wrong with it becomes a sentence, and GOV-02 makes it a finding.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from spe.disclosure.content import Declaration, Declared
from spe.disclosure.parameters import unknown

NAME: Final = "egress.yaml"
MAX_SIZE: Final = 1024 * 1024
KINDS: Final = frozenset(
    {"frequency-table", "magnitude-table", "regression", "survival", "figure", "gwas", "allele-frequencies"}
    | {"model", "code", "text", "other"}
)
_TOP: Final = frozenset({"purpose", "outputs"})
_KEYS: Final = frozenset({"path", "title", "kind", "population", "unit", "data", "notes"})


class _Plain(yaml.SafeLoader):
    """YAML without anchors, so that a small file cannot spell a huge document."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases before they are followed."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


def read_declaration(data: bytes | None) -> Declaration:
    """The declaration in these bytes; None stands for a file too large to be one."""
    if data is None or len(data) > MAX_SIZE:
        return _faulty("The declaration is larger than 1 MiB.")
    try:
        document = yaml.load(data.decode("utf-8"), Loader=_Plain)  # noqa: S506  a safe loader, made stricter
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return _faulty("The declaration is not plain YAML.")
    if not isinstance(document, Mapping):
        return _faulty("The declaration is not an object with `purpose` and `outputs`.")
    return _declaration(document)


def _faulty(*faults: str) -> Declaration:
    return Declaration(present=True, faults=faults)


def _declaration(document: Mapping[Any, Any]) -> Declaration:
    faults = [f"The declaration's key {key!r}: {unknown(str(key), _TOP, 'key')}" for key in document if key not in _TOP]
    listed = document.get("outputs")
    if not isinstance(document.get("purpose"), str) or not str(document.get("purpose")).strip():
        faults.append("The declaration has no `purpose`; say in one sentence what the outputs are for.")
    if not isinstance(listed, list):
        return _faulty(*faults, "The declaration has no list of `outputs`.")
    outputs: dict[str, Declared] = {}
    for at, one in enumerate(listed, start=1):
        declared = _declared(one, f"Output {at} of the declaration", faults)
        if declared is None:
            continue
        if declared.path in outputs:
            faults.append(f"Output {at} of the declaration names a path that another one names, too.")
        outputs[declared.path] = declared
    return Declaration(present=True, outputs=outputs, faults=tuple(faults))


def _declared(one: object, where: str, faults: list[str]) -> Declared | None:
    if not isinstance(one, Mapping) or not isinstance(one.get("path"), str):
        faults.append(f"{where} has no `path`.")
        return None
    faults += [f"{where}, key {key!r}: {unknown(str(key), _KEYS, 'key')}" for key in one if key not in _KEYS]
    kind, population = one.get("kind"), one.get("population")
    if kind is not None and kind not in KINDS:
        faults.append(f"{where}: `kind` must be one of {', '.join(sorted(KINDS))}.")
        kind = None
    if population is not None and (not isinstance(population, int) or isinstance(population, bool) or population < 0):
        faults.append(f"{where}: `population` must be a whole number of persons.")
        population = None
    return Declared(
        path=one["path"],
        title=str(one.get("title") or ""),
        kind=kind,
        population=population,
        unit=str(one["unit"]) if one.get("unit") is not None else None,
    )
