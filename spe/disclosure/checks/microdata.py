"""Rows about single people: cohort-sized tables, identifiers, records unique on what is easily known.

Disclosure notes, section 1.5. What a dataset looks like comes from its profile, which holds no raw value.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spe.disclosure.columns import MISSING, Column, Form, words
from spe.disclosure.content import Hit, Layer, Profiled, Table
from spe.disclosure.idlike import holds_ids, holds_named_ids, names_person_id
from spe.disclosure.parameters import Stricter, parameter
from spe.disclosure.profile import Profile, plain, shape
from spe.disclosure.registry import check
from spe.disclosure.vocabulary import AGGREGATE_WORDS
from spe.domain.verdict import Place, Severity

_WORD: Final = re.compile(r"[^\s,;|\"'<>()\[\]{}=:@]{3,}")
MAX_REPEATS: Final = 24
SAMPLE: Final = 2000
ENOUGH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSize:
    """From which size on a table is as long as the cohort."""

    percent: int = parameter(50, stricter=Stricter.LOWER, says="percent of the cohort", at_least=1, at_most=100)
    fewest_rows: int = parameter(
        20, stricter=Stricter.LOWER, says="rows below which no table counts as a cohort", at_least=2
    )


@check(
    "MIC-01",
    applies_to=Profiled,
    parameters=CohortSize,
    sentence="No table as long as {percent} percent of the cohort, or exactly as long as a list of its people.",
    remedy="Take out summaries, not rows; a table this long has about one row per person.",
)
def cohort_sized(output: Profiled, p: CohortSize) -> Iterator[Hit]:
    """A table with as many rows as people (or a whole multiple of them) is a copy of records, whatever it holds."""
    declared = output.opened.declared
    cohorts = {profile.cohort for profile in output.profiles} | {declared.population or 0 if declared else 0}
    sizes = {size for profile in output.profiles for size in profile.sizes}
    for table in output.opened.tables:
        if table.rows < p.fewest_rows:
            continue
        if table.rows in sizes:
            yield Hit(text="as many rows as a list of people in the dataset", place=table.place(0))
        elif any(cohort and _as_long(table.rows, cohort, p.percent) for cohort in cohorts):
            yield Hit(text=f"at least {p.percent} percent as many rows as there are people", place=table.place(0))


def _as_long(rows: int, cohort: int, percent: int) -> bool:
    near = rows * 100 >= cohort * percent and rows * 2 <= cohort * 3
    repeated = rows % cohort == 0 and rows // cohort <= MAX_REPEATS
    return near or repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIds:
    """How many short numeric identifiers make a column one of identifiers."""

    weak_percent: int = parameter(
        90,
        stricter=Stricter.LOWER,
        says="percent of a column's cells that are known short numbers",
        at_least=10,
        at_most=100,
    )


@check(
    "MIC-02",
    applies_to=Profiled,
    parameters=KnownIds,
    sentence="No identifier of a person or sample of the datasets, also wrapped in other words or simply hashed.",
    remedy="Remove the identifiers; aggregate over people before taking the result out.",
)
def known_identifier(output: Profiled, p: KnownIds) -> Iterator[Hit]:
    """Every word is compared with keyed fingerprints: as it is, in parts, and as md5, sha1 or sha256."""
    profiles = [profile for profile in output.profiles if profile.strong or profile.weak]
    if not profiles:
        return
    for layer in output.opened.layers:
        yield from _known_words(layer, profiles)
    if any(profile.knows(_stem(output.opened.path)) for profile in profiles):
        yield Hit(text="the file's name is an identifier of the dataset")
    for table in output.opened.tables:
        for column in table.columns:
            if _weak_ids(column, table.rows, profiles, p.weak_percent):
                yield Hit(text="the column holds identifiers of the dataset", place=table.place(None, column))


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]


def _known_words(layer: Layer, profiles: list[Profile]) -> Iterator[Hit]:
    found: Counter[int] = Counter()
    tokens = list(layer.outline.words(_WORD, lambda word: any(profile.worth_asking(word) for profile in profiles)))
    for profile in profiles:
        for token in filter(profile.worth_asking, tokens) if len(profiles) > 1 else tokens:
            if len(token) <= 400 and profile.knows(token):
                found[layer.place(layer.text.find(token)).line or 1] += 1
                if found.total() >= ENOUGH:
                    break
    for line, count in sorted(found.items()):
        what = "an identifier" if count == 1 else f"{count} identifiers"
        yield Hit(text=f"{what} of the dataset{layer.suffix}", place=_line(layer, line))


def _line(layer: Layer, line: int) -> Place:
    return Place(line=line) if layer.origin is None else layer.place(0)


def _weak_ids(column: Column, rows: int, profiles: list[Profile], percent: int) -> bool:
    """A column of short numbers that are nearly all known, by its header or by covering half of the people."""
    if column.form is Form.DECIMAL:
        return False
    present = column.distinct - MISSING
    if len(present) < 5 or len(present) * 2 < rows:
        return False
    for profile in profiles:
        if not profile.weak:
            continue
        known = sum(1 for cell in present if profile.knows_weakly(cell))
        named = names_person_id(column.name) or known * 2 >= len(profile.weak)
        if known * 100 >= len(present) * percent and named:
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class KAnonymity:
    """How many rows must share their easily known values, and from when on it is a block."""

    minimum: int = parameter(10, stricter=Stricter.HIGHER, says="rows that must share their values (k)", at_least=2)
    block_percent: int = parameter(
        50, stricter=Stricter.LOWER, says="percent of unique rows from which on it is a block", at_least=1, at_most=100
    )
    fewest_rows: int = parameter(20, stricter=Stricter.LOWER, says="rows below which this is not asked", at_least=5)


@check(
    "MIC-04",
    applies_to=Table,
    parameters=KAnonymity,
    sentence="In a table of records each combination of easily known values is shared by {minimum} rows; "
    "{block_percent} percent unique rows are a block.",
    remedy="Aggregate: one row per group with its count, with groups of enough people.",
)
def unique_records(table: Table, p: KAnonymity) -> Iterator[Hit]:
    """Joint uniqueness on columns of few values (k-anonymity); tables of aggregates and grids are not records."""
    keys = [column for column in table.columns if _easily_known(column, table.rows)]
    if table.rows < p.fewest_rows or len(keys) < 2 or _aggregated(table) or _is_grid(keys, table.rows):
        return
    groups = Counter(zip(*(column.cells for column in keys), strict=True))
    unique = sum(1 for count in groups.values() if count == 1)
    small = sum(count for count in groups.values() if count < p.minimum)
    if unique * 100 >= table.rows * p.block_percent:
        yield Hit(
            text=f"{p.block_percent} percent or more of the rows are unique on easily known values",
            place=table.place(0),
        )
    elif small:
        text = f"rows that share their easily known values with fewer than {p.minimum - 1} others"
        yield Hit(text=text, place=table.place(0), severity=Severity.REFER)


def _easily_known(column: Column, rows: int) -> bool:
    """Few different values, most of them repeated: a sex, an age, a grade, a region."""
    return column.form is not Form.DECIMAL and 1 < len(column.distinct) <= max(12, rows // 4)


def _aggregated(table: Table) -> bool:
    return any(
        column.is_count or (column.form is not Form.TEXT and set(words(column.name)) & AGGREGATE_WORDS)
        for column in table.columns
    )


def _is_grid(keys: list[Column], rows: int) -> bool:
    """Every combination once, most combinations there: the key columns of a table of groups."""
    combinations = 1
    for column in keys:
        combinations *= len(column.distinct)
    different = len(set(zip(*(column.cells for column in keys), strict=True)))
    return different == rows and rows * 2 >= combinations


@dataclass(frozen=True, slots=True, kw_only=True)
class IdColumns:
    """From how many cells on a column can be one of identifiers."""

    fewest: int = parameter(
        3, stricter=Stricter.LOWER, says="different cells below a header that says identifier", at_least=2
    )
    fewest_unnamed: int = parameter(
        10, stricter=Stricter.LOWER, says="cells of one fixed form below any header", at_least=5
    )


@check(
    "MIC-06",
    applies_to=Profiled,
    parameters=IdColumns,
    sentence="No column of identifiers: a header that says so, or unique cells of one fixed form.",
    remedy="Drop the column, and aggregate over people: a row with an identifier is a record.",
)
def identifier_column(output: Profiled, p: IdColumns) -> Iterator[Hit]:
    """Identifiers are unique and of one form; public ones (variants, genes, trials) and labels are not meant."""
    forms = {form for profile in output.profiles for form in profile.shapes if "a" in form and form.count("9") >= 2}
    for table in output.opened.tables:
        for column in table.columns:
            named = names_person_id(column.name) and holds_named_ids(column, fewest=p.fewest)
            alike = holds_ids(column, rows=table.rows, fewest=p.fewest_unnamed)
            if named or alike or _of_known_form(column, forms, p.fewest_unnamed):
                yield Hit(text="the cells are identifiers", place=table.place(None, column))


def _of_known_form(column: Column, forms: set[str], fewest: int) -> bool:
    """Nine in ten cells have the outer form of the dataset's identifiers and hardly repeat. All forms have letters."""
    if column.numeric:
        return False
    present = column.distinct - MISSING
    if not forms or len(present) < fewest or len(present) * 10 < len(column.cells) * 9:
        return False
    sample = list(present)[:SAMPLE]
    return sum(1 for cell in sample if shape(plain(cell)) in forms) * 10 >= len(sample) * 9
