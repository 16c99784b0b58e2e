"""Which columns hold identifiers of people: by the words of the header, or by cells of one fixed form.

Public identifiers (variants, genes, ontology terms, trial numbers) and ordinary labels (age bands, dates,
quarters) have fixed forms as well; they are named here so that they are not taken for people.
"""

import itertools
import re
from collections import Counter
from functools import cache
from typing import Final

from spe.disclosure.columns import MISSING, Column, Form
from spe.disclosure.profile import plain, shape
from spe.disclosure.vocabulary import ID_WORDS, NOT_PEOPLE_WORDS, PERSON_IDS, PERSON_WORDS

_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}",
    re.IGNORECASE,
)


@cache
def _public() -> re.Pattern[str]:
    """Variants, genes, transcripts, proteins, ontology terms, diagnosis codes, studies: known to everybody."""
    return re.compile(
        "|".join(
            (
                r"(rs|ss|esv|nsv|RCV|VCV|SCV)\d+",
                r"(chr)?([1-9]|1\d|2[0-2]|X|Y|MT?):\d+([:_-][ACGTN*,-]+)*",
                r"chr([1-9]|1\d|2[0-2]|X|Y|MT?)[_-]\d+\S*",
                r"([1-9]|1\d|2[0-2]|X|Y|MT?)[_-]\d+([:_-][ACGTN*,-]+){2}",
                r"ENS[A-Z]*[GTPER]\d+(\.\d+)?",
                r"(N[MRPCGTW]|X[MRP])_\d+(\.\d+)?",
                r"[A-Z]{1,2}\d{2}(\.\d{1,2})?",
                r"[A-Z]\d{2}[A-Z]{2}\d{2}",
                r"(GO|HP|MONDO|EFO|DOID|OMIM|ORPHA|HGNC|CHEBI|UBERON|CL|MP|SNOMED|UMLS|MESH|KEGG|R-HSA|hsa)[:_-]?\d+",
                r"(GCST|NCT|PGS|cg|ch)[:_-]?\d+",
                r"[OPQ]\d[A-Z0-9]{3}\d",
                r"\d{1,5}-\d",
            )
        ),
        re.IGNORECASE,
    )


@cache
def _label() -> re.Pattern[str]:
    """Bands, intervals, dates, quarters and weeks, times of day."""
    return re.compile(
        "|".join(
            (
                r"[<>≤≥]?=?\s*\d+(\.\d+)?\s*(?:-|–|to|,)\s*\d+(\.\d+)?\+?",
                r"\d+\+",
                r"[\[(]\s*-?\d+(\.\d+)?\s*,\s*-?\d+(\.\d+)?\s*[\])]",
                r"\d{4}-\d{2}(-\d{2})?([T ]\d{2}:\d{2}.*)?",
                r"\d{1,2}[./]\d{1,2}[./]\d{2,4}",
                r"\d{4}[- ]?[QWMqwm]\d{1,2}",
                r"[QWMqwm]\d{1,2}",
                r"\d{1,2}:\d{2}(:\d{2})?",
                r"\d{4}/\d{2,4}",
            )
        )
    )


def names_person_id(header: str) -> bool:
    """Whether a header says that the cells identify people."""
    name = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", header).lower())
    if "".join(name) in PERSON_IDS:
        return True
    if any(word in NOT_PEOPLE_WORDS for word in name):
        return False
    return any(word in PERSON_WORDS for word in name) and any(word in ID_WORDS for word in name)


def holds_ids(column: Column, *, rows: int, fewest: int) -> bool:
    """Whether the cells are unique and of one fixed form, as identifiers are."""
    if column.form is Form.DECIMAL or len(column.distinct) < fewest or len(column.distinct) * 3 < rows:
        return False
    present = [cell for cell in column.cells if cell not in MISSING]
    if len(present) < fewest or len(set(present)) * 100 < len(present) * 95 or len(present) * 2 < rows:
        return False
    sample = present[:5000]
    if _share(sample, _UUID):
        return True
    if _share(sample, _public()) or _share(sample, _label()):
        return False
    form, count = Counter(shape(plain(cell)) for cell in sample).most_common(1)[0]
    if count * 10 < len(sample) * 9:
        return False
    return _telling(form, sample)


def holds_named_ids(column: Column, *, fewest: int) -> bool:
    """Whether a column whose header says so really holds identifiers: several different ones."""
    present = column.distinct - MISSING
    whole_words = sum(1 for cell in present if re.fullmatch(r"[^\s.,;]*\d[^\s,;]*", cell))
    return len(present) >= fewest and whole_words * 2 >= len(present) and not _is_row_numbers(column)


def _is_row_numbers(column: Column) -> bool:
    return (
        column.name.lower() == "id"
        and list(column.cells)
        in (
            [str(at) for at in range(len(column.cells))],
            [str(at + 1) for at in range(len(column.cells))],
        )
        and len(column.cells) <= 50
    )


def _share(cells: list[str], pattern: re.Pattern[str]) -> bool:
    return sum(1 for cell in cells if pattern.fullmatch(cell)) * 10 >= len(cells) * 8


def _telling(form: str, cells: list[str]) -> bool:
    """Letters with three digits or more, or eight digits alone; decimals are numbers, not identifiers."""
    digits = form.count("9")
    if "a" in form:
        return digits >= 3 and not any(" " in cell for cell in cells)
    return digits >= 8 and all(cell.isdigit() for cell in cells) and not _arithmetic(cells)


def _arithmetic(cells: list[str]) -> bool:
    values = [int(cell) for cell in cells]
    steps = {right - left for left, right in itertools.pairwise(values)}
    return len(steps) == 1
