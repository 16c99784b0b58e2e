"""From a dataset's folder to its profile: sizes, fingerprints of identifiers, canaries, unique triples.

Reads delimited tables and the sample lists of VCF, PLINK and Oxford files; everything else only counts as not
profiled. Raw values live in memory for the length of the call and are never written.
"""

import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from spe.disclosure.columns import MISSING, Column, Form
from spe.disclosure.content import EntryKind, Table, Unreadable
from spe.disclosure.folder import Closed, Folder
from spe.disclosure.idlike import holds_ids, holds_named_ids, names_person_id
from spe.disclosure.profile import Profile, TableSize, hashed_forms, is_strong, plain, shape
from spe.disclosure.signatures import VARIANTS, inflated, signature
from spe.disclosure.tables import read_delimited
from spe.domain.errors import Invalid

MAX_FILE: Final = 512 * 1024 * 1024
MAX_TRIPLES: Final = 1_000_000
TRIPLE_ROWS: Final = 100_000
TRIPLE_COLUMNS: Final = 8
_TABLES: Final = frozenset({".csv", ".tsv", ".tab", ".txt"})
_LISTS: Final = {".fam": 1, ".psam": 1, ".sample": 1, ".keep": 0, ".ped": 1}


@dataclass(slots=True)
class _Seen:
    tables: list[TableSize] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    triples: set[bytes] = field(default_factory=set)
    bounded: bool = False
    named: bool = False


def profile_folder(
    folder: Path, *, id_column: str | None = None, canaries: Iterable[str] = (), key: bytes | None = None
) -> Profile:
    """The profile of the dataset in `folder`. Raises Invalid when nothing in it can be profiled."""
    secret = key or secrets.token_bytes(32)
    seen = _Seen()
    with Folder(folder) as opened:
        try:
            files = [one.path for one in opened.entries() if one.kind is EntryKind.FILE]
            for path in files:
                _look(opened, path, id_column, secret, seen)
        except Closed as error:
            raise Invalid({"folder": f"The dataset cannot be read: {error}"}) from error
    if not seen.tables and not seen.samples:
        raise Invalid({"folder": "There is no table and no sample list in this folder; nothing can be profiled."})
    if id_column is not None and not seen.named:
        raise Invalid({"id-column": f"No table in this folder has a column named {id_column!r}."})
    return _profile(seen, secret, [one.strip() for one in canaries if one.strip()])


def make_profile(folder: Path, *, id_column: str | None = None, canaries: Iterable[str] = ()) -> dict[str, Any]:
    """The profile of a folder as its JSON document. Raises Invalid."""
    return profile_folder(folder, id_column=id_column, canaries=canaries).to_json()


def _profile(seen: _Seen, key: bytes, canaries: Sequence[str]) -> Profile:
    keyed = Profile(key=key)
    strong = {value for value in seen.ids if is_strong(value)}
    return Profile(
        key=key,
        tables=tuple(seen.tables),
        samples=tuple(sorted(set(seen.samples))),
        shapes=frozenset(shape(plain(value)) for value in strong),
        strong=frozenset(keyed.fingerprint(plain(value)) for value in strong),
        weak=frozenset(keyed.fingerprint(plain(value)) for value in seen.ids - strong),
        digests=frozenset(keyed.fingerprint(form) for value in seen.ids for form in hashed_forms(value)),
        canaries=frozenset(keyed.fingerprint(plain(value)) for value in canaries),
        canary_shapes=frozenset(shape(plain(value)) for value in canaries),
        triples=frozenset(seen.triples),
        bounded=seen.bounded,
    )


def _look(folder: Folder, path: str, id_column: str | None, key: bytes, seen: _Seen) -> None:
    data = folder.read(path, MAX_FILE).data
    if data is None:
        seen.bounded = True
        return
    found, head = signature(data)
    if found is not None and found.group == VARIANTS:
        _add_list(_vcf_samples(head), seen)
        return
    suffix = Path(path).suffix.lower()
    text = data.decode("utf-8-sig", "replace")
    if suffix in _LISTS:
        _add_list(_listed(text, _LISTS[suffix]), seen)
    elif suffix in _TABLES:
        table = read_delimited(text, None)
        if not isinstance(table, Unreadable):
            _add_table(path, table, id_column, key, seen)


def _vcf_samples(head: bytes) -> list[str]:
    text = (inflated(head) or head).decode("utf-8", "replace")
    line = next((line for line in text.splitlines() if line.startswith("#CHROM\t")), "")
    return line.split("\t")[9:]


def _listed(text: str, column: int) -> list[str]:
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    wide = [row[column if len(row) > column else 0] for row in rows]
    return wide[2:] if rows and rows[0][0].lower() == "id_1" else wide


def _add_list(ids: Sequence[str], seen: _Seen) -> None:
    if ids:
        seen.samples.append(len(ids))
        seen.ids.update(ids)


def _add_table(path: str, table: Table, id_column: str | None, key: bytes, seen: _Seen) -> None:
    names = tuple(column.name for column in table.columns)
    seen.tables.append(TableSize(path=path, rows=table.rows, columns=names))
    for column in _id_columns(table, id_column):
        seen.named = seen.named or column.name == id_column
        people = column.distinct - MISSING
        seen.ids.update(people)
        seen.samples.append(len(people))
    for triple in _triples(table, key):
        if len(seen.triples) >= MAX_TRIPLES:
            seen.bounded = True
            return
        seen.triples.add(triple)
    seen.bounded = seen.bounded or table.rows > TRIPLE_ROWS


def _id_columns(table: Table, id_column: str | None) -> Iterator[Column]:
    named = [column for column in table.columns if column.name == id_column]
    if named:
        yield from named
        return
    for column in table.columns:
        by_name = names_person_id(column.name) and holds_named_ids(column, fewest=2)
        if by_name or holds_ids(column, rows=table.rows, fewest=10):
            yield column


def _triples(table: Table, key: bytes) -> Iterator[bytes]:
    """Fingerprints of triples of cells that stand in one row only, over the most telling columns."""
    telling = [column for column in table.columns if column.form is not Form.EMPTY and len(column.distinct) > 1]
    chosen = sorted(sorted(telling, key=lambda one: -len(one.distinct))[:TRIPLE_COLUMNS], key=lambda one: one.index)
    for columns in combinations(chosen, 3):
        rows = list(zip(*(column.cells[:TRIPLE_ROWS] for column in columns), strict=True))
        for cells, count in Counter(rows).items():
            if count == 1:
                yield triple_fingerprint(key, cells)


def triple_fingerprint(key: bytes, cells: Sequence[str]) -> bytes:
    """The keyed fingerprint of three cells: BLAKE2b, eight bytes, over the cells with their lengths."""
    spelled = [re.sub(r"\.0+$", "", cell) for cell in cells]
    joined = "\x1f".join(f"{len(cell)}:{cell}" for cell in spelled)
    return blake2b(joined.encode("utf-8", "surrogatepass"), key=key, digest_size=8).digest()
