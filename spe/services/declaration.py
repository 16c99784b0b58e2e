"""What an author says of an output, from the fields of a form or of `egress.yaml`."""

from collections.abc import Mapping

from spe.domain.egress import Declaration, OutputKind
from spe.domain.errors import Invalid
from spe.services.wording import sentence


def declaration_from(path: str, fields: Mapping[str, str]) -> Declaration:
    """A declaration from form or YAML fields. Raises `Invalid` with a sentence per field."""
    problems: dict[str, str] = {}
    kind = OutputKind.OTHER
    try:
        kind = OutputKind(fields.get("kind") or OutputKind.OTHER)
    except ValueError:
        problems[f"{path}: kind"] = f"Choose one of {', '.join(OutputKind)}."
    population = None
    if text := str(fields.get("population") or "").strip():
        if text.isdecimal() and len(text) < 10:
            population = int(text)
        else:
            problems[f"{path}: population"] = "Give the number of persons behind the output, as a whole number."
    if problems:
        raise Invalid(problems)
    return Declaration(
        path=path,
        title=sentence(fields.get("title", "")),
        kind=kind,
        population=population,
        unit=sentence(fields.get("unit", "person") or "person"),
        data=fields.get("data", ""),
        notes=sentence(fields.get("notes", "")),
    )
