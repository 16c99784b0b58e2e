"""Bytes to what checks look at. Content decides; a name only has to agree with it.

The order is: signatures of known formats, then strict UTF-8 text, then the grammar of genomic text, then
JSON and notebooks, then tables. There is no fallback that accepts anything: what no reader understands
becomes `Unreadable`, and the engine makes that a block under every policy.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

from spe.disclosure import codepoints
from spe.disclosure.content import (
    Content,
    Declared,
    Image,
    Json,
    Layer,
    Notebook,
    Opened,
    Sheet,
    Signature,
    Table,
    Text,
    Unreadable,
)
from spe.disclosure.folder import Bytes
from spe.disclosure.grammars import grammar
from spe.disclosure.layers import decoded_layers
from spe.disclosure.signatures import GENOMIC, ORDINARY, signature
from spe.disclosure.tables import read_delimited, tables_in_json, tables_in_text
from spe.domain.verdict import Place

MAX_READ: Final = 64 * 1024 * 1024
MAX_JSON: Final = 16 * 1024 * 1024
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """One accepted kind of file: short name, media type, extensions that agree with it."""

    name: str
    media_type: str
    extensions: frozenset[str]


def _type(name: str, media_type: str, *extensions: str) -> Type:
    return Type(name=name, media_type=media_type, extensions=frozenset(extensions))


TYPES: Final = {
    one.name: one
    for one in (
        _type("csv", "text/csv", ".csv"),
        _type("tsv", "text/tab-separated-values", ".tsv", ".tab"),
        _type("txt", "text/plain", ".txt", ".text", ".log"),
        _type("md", "text/markdown", ".md", ".markdown"),
        _type("json", "application/json", ".json"),
        _type("yaml", "application/yaml", ".yaml", ".yml"),
        _type("tex", "text/x-tex", ".tex", ".bib"),
        _type("py", "text/x-python", ".py"),
        _type("r", "text/x-r", ".r", ".rmd", ".qmd"),
        _type("sql", "application/sql", ".sql"),
        _type("stata", "text/x-stata", ".do", ".ado"),
        _type("sas", "text/x-sas", ".sas"),
        _type("julia", "text/x-julia", ".jl"),
        _type("sh", "text/x-shellscript", ".sh"),
        _type("ipynb", "application/x-ipynb+json", ".ipynb"),
        _type("png", "image/png", ".png"),
        _type("jpeg", "image/jpeg", ".jpg", ".jpeg"),
    )
}
CODE: Final = frozenset({"py", "r", "sql", "stata", "sas", "julia", "sh", "ipynb"})
_WRITTEN: Final = frozenset(TYPES) - {"ipynb", "png", "jpeg"}
_PICTURES: Final = {"PNG": "png", "JPEG": "jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    type: str
    content: Content
    signature: Signature | None = None
    head: str = ""
    tables: tuple[Table, ...] = ()
    layers: tuple[Layer, ...] = ()


def open_output(path: str, data: Bytes, declared: Declared | None) -> Opened:
    """One output, read. Never raises for what is in the bytes."""
    reading = _read(path, data.data, declared.kind if declared else None)
    known = TYPES.get(reading.type)
    return Opened(
        path=path,
        sha256=data.sha256,
        size=data.size,
        type=reading.type,
        media_type=known.media_type if known else "application/octet-stream",
        content=reading.content,
        signature=reading.signature,
        head=reading.head,
        tables=reading.tables,
        layers=reading.layers,
        declared=declared,
    )


def type_by_name(path: str) -> str | None:
    """The type that a file's extension promises; None for an unknown one."""
    extension = PurePosixPath(path).suffix.lower()
    return next((one.name for one in TYPES.values() if extension in one.extensions), None)


def _read(path: str, data: bytes | None, kind: str | None) -> _Reading:
    if data is None:
        reason = f"it is larger than {MAX_READ // 1024**2} MiB and cannot be looked into"
        return _Reading(type=UNKNOWN, content=Unreadable(rule="TYP-01", reason=reason))
    found, head = signature(data)
    if found is not None and found.name in _PICTURES:
        return _picture(data, found)
    if found is not None:
        return _foreign(found, head)
    return _written(path, data, kind)


def _picture(data: bytes, found: Signature) -> _Reading:
    from spe.disclosure.images import read_image  # with its library, a fifth of the start of a child that needs none

    content, texts = read_image(data, found.name)
    layers = tuple(Layer(text=text, origin="hidden in the picture") for text in texts)
    name = _PICTURES[found.name] if isinstance(content, Image) else UNKNOWN
    return _Reading(type=name, content=content, signature=found, layers=layers)


def _foreign(found: Signature, head: bytes) -> _Reading:
    reason = f"it is a {found.name}, which is not opened here"
    text = head.decode("utf-8", "replace")
    return _Reading(type=found.name, content=Unreadable(rule="TYP-01", reason=reason), signature=found, head=text)


def _written(path: str, data: bytes, kind: str | None) -> _Reading:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = "it is neither a known format nor UTF-8 text"
        place = Place(byte=error.start)
        return _Reading(type=UNKNOWN, content=Unreadable(rule="TYP-07", reason=reason, place=place))
    odd = codepoints.controls(text)
    if odd:
        reason = "it holds a control character, which text does not"
        place = Place(line=text.count("\n", 0, odd[0]) + 1)
        return _Reading(type=UNKNOWN, content=Unreadable(rule="TYP-07", reason=reason, place=place))
    genomic = grammar(text)
    if genomic is not None:
        reason = f"it is {genomic.name}, which is not opened here"
        content = Unreadable(rule="TYP-01", reason=reason)
        return _Reading(type=genomic.name, content=content, signature=genomic, head=text[:MAX_JSON])
    return _document(path, text, kind)


def _document(path: str, text: str, kind: str | None) -> _Reading:
    promised = type_by_name(path)
    name = promised if promised in _WRITTEN else "txt"
    own = Layer(text=text, code=name in CODE or kind == "code")
    layers = (own, *decoded_layers(own.outline))
    start = text.lstrip()[:1]
    if promised in {"json", "ipynb"}:
        return _json(text, kind, layers)
    if start and start in "{[":
        reading = _json(text, kind, layers)
        if isinstance(reading.content, Notebook):
            return reading
        if isinstance(reading.content, Json):
            return replace(reading, type=name, content=Text())
    if name in {"csv", "tsv"}:
        return _sheet(name, text, kind, layers)
    return _Reading(type=name, content=Text(), tables=tuple(tables_in_text(text, kind)), layers=layers)


def _sheet(name: str, text: str, kind: str | None, layers: tuple[Layer, ...]) -> _Reading:
    table = read_delimited(text, kind, layers[0].outline)
    if isinstance(table, Unreadable):
        return _Reading(type=name, content=table, tables=tuple(tables_in_text(text, kind)), layers=layers)
    return _Reading(type=name, content=Sheet(table=table), tables=(table,), layers=layers)


def _json(text: str, kind: str | None, layers: tuple[Layer, ...]) -> _Reading:
    try:
        value = _parsed(text)
    except (ValueError, RecursionError):
        reason = "it cannot be read as JSON, or says something twice"
        return _Reading(type="json", content=Unreadable(rule="TYP-06", reason=reason), layers=layers)
    if "\\" in text:
        layers += (Layer(text="\n".join(_strings(value)), origin="written with escapes"),)
    if isinstance(value, Mapping) and isinstance(value.get("cells"), list) and "nbformat" in value:
        return _notebook(value, layers, kind)
    return _Reading(type="json", content=Json(value=value), tables=tuple(tables_in_json(value, kind)), layers=layers)


def _parsed(text: str) -> Any:
    if len(text) > MAX_JSON:
        raise ValueError("too large")
    return json.loads(text, object_pairs_hook=_unique)


def _strings(value: object) -> Iterator[str]:
    """Every string of a JSON document as it reads once its escapes are resolved, keys included."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, Mapping):
            pending += [*node.values(), *node.keys()]
        elif isinstance(node, list):
            pending += node


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


_QUIET_CELL: Final = frozenset({"tags", "collapsed", "scrolled", "editable", "deletable", "id", "trusted", "slideshow"})
_QUIET_BOOK: Final = frozenset({"kernelspec", "language_info"})
_SMALL: Final = 400


def _notebook(value: Mapping[str, Any], layers: tuple[Layer, ...], kind: str | None) -> _Reading:
    cells = value["cells"]
    if not all(isinstance(cell, Mapping) for cell in cells):
        reason = "it looks like a notebook but its cells are malformed"
        return _Reading(type="ipynb", content=Unreadable(rule="TYP-06", reason=reason), layers=layers)
    metadata = value.get("metadata")
    book = metadata if isinstance(metadata, Mapping) else {"metadata": metadata}
    odd = [str(key) for key, part in book.items() if key not in _QUIET_BOOK or len(json.dumps(part)) > _SMALL]
    odd += [str(key) for key in value if key not in {"cells", "metadata", "nbformat", "nbformat_minor"}]
    content = Notebook(
        outputs=_cells(cells, lambda cell: bool(cell.get("outputs"))),
        attachments=_cells(cells, lambda cell: bool(cell.get("attachments"))),
        cell_metadata=_cells(cells, _noisy),
        metadata=tuple(odd),
    )
    sources = tuple(Layer(text=_source(cell), origin=None, code=True) for cell in cells)
    tables = tuple(table for layer in sources for table in tables_in_text(layer.text, kind))
    coded = tuple(Layer(text=layer.text, origin=layer.origin, code=True, line=layer.line) for layer in layers)
    return _Reading(type="ipynb", content=content, tables=tables, layers=coded)


def _cells(cells: list[Any], test: Callable[[Mapping[str, Any]], bool]) -> tuple[int, ...]:
    return tuple(at for at, cell in enumerate(cells, start=1) if test(cell))


def _noisy(cell: Mapping[str, Any]) -> bool:
    """Cell metadata beyond a few known words, or a key that the format does not have."""
    metadata = cell.get("metadata", {})
    known = {"cell_type", "metadata", "source", "outputs", "execution_count", "attachments", "id"}
    quiet = isinstance(metadata, Mapping) and set(metadata) <= _QUIET_CELL and len(json.dumps(metadata)) <= _SMALL
    return not quiet or bool(set(cell) - known)


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def is_genomic(found: Signature | None) -> bool:
    """Whether a recognised format belongs to the genomic ones."""
    return found is not None and found.group in GENOMIC


def is_ordinary(found: Signature | None) -> bool:
    """Whether a recognised format is an everyday one that is simply not accepted."""
    return found is not None and found.group == ORDINARY
