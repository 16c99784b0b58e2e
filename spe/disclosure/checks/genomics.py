"""Individual-level genomic data, whatever it is called. Disclosure notes, section 1.10."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from spe.disclosure.columns import MISSING, Column, Form, number
from spe.disclosure.content import Hit, Opened, Table
from spe.disclosure.idlike import holds_ids, names_person_id
from spe.disclosure.parameters import Nothing, Stricter, parameter
from spe.disclosure.registry import check
from spe.disclosure.signatures import GENOTYPES, READS, SAMPLES, VARIANTS
from spe.domain.verdict import Place

_STORES: Final = (".mt", ".ht", ".vds", ".zarr", ".tdb", ".tiledb", ".gds", ".bed", ".pgen", ".bgen")
_LISTS: Final = frozenset({".fam", ".psam", ".sample", ".keep", ".indiv", ".pedigree"})
_HEADER: Final = re.compile(
    r"##(SAMPLE|PEDIGREE|META=<ID=.*Sample|bcftools_\w*Command|GATKCommandLine|commandline|cmdline)", re.IGNORECASE
)
_CALLS: Final = re.compile(r"[0-9.]([/|][0-9.])+(:\S*)?|[ACGT-][ /|]?[ACGT-]")
_DOSES: Final = frozenset({"0", "1", "2", "0.0", "1.0", "2.0", "-9"})


@check(
    "GEN-01",
    applies_to=Opened,
    parameters=Nothing,
    sentence="No variant file with sample columns, sample or pedigree lines, or command lines in its head.",
    remedy="Keep only the sites with aggregate numbers, written as a plain table.",
)
def variants_with_samples(output: Opened, _: Nothing) -> Iterator[Hit]:
    """Genotypes stand in the columns after FORMAT; sample names also hide in the head of a VCF."""
    if output.signature is None or output.signature.group != VARIANTS:
        return
    if output.signature.name.startswith("BCF"):
        yield Hit(text="a binary variant file may hold sample columns")
        return
    for line, text in enumerate(output.head.splitlines(), start=1):
        if _HEADER.match(text):
            yield Hit(text="the head names samples, a pedigree or a command", place=Place(line=line))
        elif not text.startswith("##"):
            if len(text.split("\t")) > 8:
                yield Hit(text="the file has sample columns", place=Place(line=line))
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """From which size on cells that look like genotypes are taken for them."""

    columns: int = parameter(5, stricter=Stricter.LOWER, says="columns that look like genotypes", at_least=2)
    rows: int = parameter(5, stricter=Stricter.LOWER, says="rows in such a table", at_least=2)


@check(
    "GEN-02",
    applies_to=Table,
    parameters=Matrix,
    sentence="No table in which {columns} columns or more of {rows} rows or more look like genotypes or dosages.",
    remedy="Aggregate to allele counts or frequencies over enough people.",
)
def genotype_matrix(table: Table, p: Matrix) -> Iterator[Hit]:
    """Calls (0/1, A|G), allele counts 0, 1, 2, and dosages from 0 to 2, one column per person or variant."""
    if table.rows < p.rows or len(table.columns) < p.columns:
        return
    calls = sum(1 for column in table.columns if _all_calls(column))
    doses = [column for column in table.columns if _all_doses(column)]
    twos = sum(1 for column in doses if {"2", "2.0"} & column.distinct)
    dosages = sum(1 for column in table.columns if _all_dosages(column))
    if calls >= p.columns or (len(doses) >= p.columns and twos * 4 >= len(doses)) or dosages >= p.columns:
        yield Hit(text="the columns look like genotypes of single people", place=table.place(0))


def _all_calls(column: Column) -> bool:
    if column.form is Form.DECIMAL:
        return False
    present = column.distinct - MISSING - {"./.", ".|.", "00", "0 0", "--"}
    return bool(present) and len(present) <= 64 and all(_CALLS.fullmatch(cell) for cell in present)


def _all_doses(column: Column) -> bool:
    if column.form is Form.DECIMAL:
        return False
    present = column.distinct - MISSING
    return len(present - {"-9"}) >= 2 and present <= _DOSES and column.words[:1] != ("n",)


def _all_dosages(column: Column) -> bool:
    """Decimals in [0, 2] of which most lie near 0, 1 or 2 and some beyond 1."""
    if column.form is not Form.DECIMAL or len(column.cells) < 20:
        return False
    values = [found for found in map(number, column.cells[:500]) if found is not None]
    if not values or min(values) < 0 or max(values) > 2 or max(values) <= 1.05:
        return False
    near = sum(1 for value in values if min(abs(value), abs(value - 1), abs(value - 2)) <= 0.1)
    return near * 2 >= len(values)


@check(
    "GEN-03",
    applies_to=Opened,
    parameters=Nothing,
    sentence="No store of individual genotypes: PLINK, BGEN, GDS, Hail, Zarr, TileDB.",
    remedy="Individual genotypes never leave; take out aggregate results.",
)
def genotype_store(output: Opened, _: Nothing) -> Iterator[Hit]:
    """By magic or grammar, and by the name of the folder that such a store is made of."""
    if output.signature is not None and output.signature.group == GENOTYPES:
        yield Hit(text=f"the content is {output.signature.name}, individual genotypes")
    elif any(part.lower().endswith(_STORES) for part in output.path.split("/")):
        yield Hit(text="the name is that of a store of individual genotypes")


@check(
    "GEN-04",
    applies_to=Opened,
    parameters=Nothing,
    sentence="No sequencing reads, human sequences, pileups or genome-wide calls.",
    remedy="Reads never leave; take out aggregate results.",
)
def reads(output: Opened, _: Nothing) -> Iterator[Hit]:
    """FASTQ, SAM, BAM, CRAM, FASTA, pileup by magic or grammar; gVCF by its reference blocks."""
    if output.signature is None:
        return
    if output.signature.group == READS:
        yield Hit(text=f"the content is {output.signature.name}, sequences of a person")
    elif output.signature.group == VARIANTS and ("<NON_REF>" in output.head or "##GVCFBlock" in output.head):
        yield Hit(text="the content is a genome-wide VCF")


@check(
    "GEN-05",
    applies_to=Opened,
    parameters=Nothing,
    sentence="No lists of samples or participants.",
    remedy="Leave the list inside; say in words how the sample was chosen.",
)
def sample_list(output: Opened, _: Nothing) -> Iterator[Hit]:
    """PLINK and Oxford sample files, sample sheets, and lists of identifiers (Genomics England: ids never leave)."""
    if output.signature is not None and output.signature.group == SAMPLES:
        yield Hit(text=f"the content is a {output.signature.name}, a list of samples")
    elif PurePosixPath(output.path).suffix.lower() in _LISTS:
        yield Hit(text="the name is that of a list of samples")
    elif _bare_list(output) or any(_only_ids(table) for table in output.tables):
        yield Hit(text="the content is a list of identifiers")


def _bare_list(output: Opened) -> bool:
    """A text of one identifier per line."""
    if output.type not in {"txt", "csv", "tsv"} or not output.layers:
        return False
    outline = output.layers[0].outline.beginning(1 << 20)
    if any(len(line.split()) > 2 for lines in outline.lines for line in lines.splitlines()):
        return False
    cells = tuple(line.split()[-1] for line in outline.text.splitlines() if line.strip())
    if len(cells) < 5:
        return False
    column = Column(index=0, name="", cells=cells, form=Form.TEXT)
    return holds_ids(column, rows=len(cells), fewest=5)


def _only_ids(table: Table) -> bool:
    """A table of identifiers with next to nothing beside them."""
    if table.rows < 5 or len(table.columns) > 3:
        return False
    return any(
        (names_person_id(column.name) or column.name == "") and holds_ids(column, rows=table.rows, fewest=5)
        for column in table.columns
    )
