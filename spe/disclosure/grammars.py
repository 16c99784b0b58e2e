"""Genomic text formats, told by the grammar of their first lines, whatever the file is called.

Each grammar looks at no more than two hundred lines and answers a `Signature` or nothing. Formats: VCF
without its head, SAM, FASTQ, FASTA, pileup, PLINK ped, raw, fam, psam and keep, Oxford gen and sample,
23andMe-style arrays, and sample sheets (disclosure notes, 1.10).
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from spe.disclosure.content import Signature
from spe.disclosure.signatures import GENOTYPES, READS, SAMPLES, VARIANTS

LINES: Final = 200
_Rows: TypeAlias = Sequence[Sequence[str]]
_BASES: Final = re.compile(r"[ACGTUNacgtun*.-]+")
_ALLELE: Final = re.compile(r"[ACGTN]+|\*|\.|<[A-Z_0-9:]+>|[ACGTN]*[\[\]].+")
_QUALITY: Final = re.compile(r"[!-~]+")
_CIGAR: Final = re.compile(r"\*|(\d+[MIDNSHP=X])+")
_CHROMOSOME: Final = re.compile(r"(chr)?([1-9]|1\d|2[0-6]|X|Y|XY|M|MT)", re.IGNORECASE)
_GENOTYPE: Final = re.compile(r"[0-9.]([/|][0-9.])+(:.*)?")
_CALL: Final = re.compile(r"[ACGTDI-]{1,2}")
_READ_FILE: Final = re.compile(r"\.(fastq|fq|bam|cram|vcf|bcf|idat|cel)(\.gz)?$", re.IGNORECASE)
_SHEET_HEADS: Final = frozenset({"sample", "sample_id", "sampleid", "sample_name", "samplename"})


def grammar(text: str) -> Signature | None:
    """The genomic format that the first lines of `text` spell, or None."""
    lines = text[: 64 * 1024].splitlines()[:LINES]
    if len(text) > 64 * 1024 and len(lines) > 1:
        lines = lines[:-1]  # the cut may go through a line
    filled = [line for line in lines if line.strip()]
    if not filled:
        return None
    for test, name, group in _LINE_GRAMMARS:
        if test(filled):
            return Signature(name=name, group=group)
    tabs = [line.split("\t") for line in filled]
    blanks = [line.split() for line in filled]
    for field_test, by_tab, name, group in _FIELD_GRAMMARS:
        if field_test(tabs if by_tab else blanks):
            return Signature(name=name, group=group)
    return None


def _all(rows: _Rows, test: Callable[[Sequence[str]], bool], *, at_least: int = 2) -> bool:
    return len(rows) >= at_least and all(test(row) for row in rows)


def _vcf_head(lines: Sequence[str]) -> bool:
    return any(line.startswith(("##fileformat=VCF", "#CHROM\tPOS\tID\tREF\tALT")) for line in lines)


def _sam_head(lines: Sequence[str]) -> bool:
    return re.match(r"@(HD\tVN:|SQ\tSN:|RG\tID:|PG\tID:)", lines[0]) is not None


def _fastq(lines: Sequence[str]) -> bool:
    whole = len(lines) // 4
    return whole >= 1 and all(_fastq_record(lines[4 * at : 4 * at + 4]) for at in range(whole))


def _fastq_record(lines: Sequence[str]) -> bool:
    name, bases, plus, quality = lines
    return (
        name.startswith("@")
        and plus.startswith("+")
        and len(bases) == len(quality)
        and _BASES.fullmatch(bases) is not None
        and _QUALITY.fullmatch(quality) is not None
    )


def _fasta(lines: Sequence[str]) -> bool:
    sequence = [line for line in lines if not line.startswith(">")]
    letters = sum(len(line) for line in sequence)
    named = lines[0].startswith(">")
    fits = bool(sequence) and all(_BASES.fullmatch(line.strip()) for line in sequence)
    return fits and (
        letters >= 30 if named else letters >= 200 and min(len(line) for line in sequence[:-1] or [""]) > 9
    )


def _vcf_body(rows: _Rows) -> bool:
    return _all(
        rows,
        lambda row: (
            len(row) >= 8
            and row[1].isdigit()
            and _ALLELE.fullmatch(row[3]) is not None
            and all(_ALLELE.fullmatch(allele) for allele in row[4].split(","))
            and re.fullmatch(r"\.|[0-9.eE+-]+", row[5]) is not None
            and (len(row) < 10 or "GT" in row[8].split(":") or _GENOTYPE.fullmatch(row[9]) is not None)
        ),
        at_least=1,
    ) and (len(rows[0]) >= 10 or all("=" in row[7] or row[7] == "." for row in rows))


def _sam_body(rows: _Rows) -> bool:
    return _all(
        rows,
        lambda row: (
            len(row) >= 11
            and row[1].isdigit()
            and row[3].isdigit()
            and _CIGAR.fullmatch(row[5]) is not None
            and _BASES.fullmatch(row[9]) is not None
            and (row[10] == "*" or len(row[10]) == len(row[9]))
        ),
        at_least=1,
    )


def _pileup(rows: _Rows) -> bool:
    return _all(
        rows,
        lambda row: (
            len(row) == 6
            and row[1].isdigit()
            and re.fullmatch(r"[ACGTNacgtn*]", row[2]) is not None
            and row[3].isdigit()
            and len(row[5]) == int(row[3])
        ),
    )


def _raw(rows: _Rows) -> bool:
    return [name.upper() for name in rows[0][:6]] == ["FID", "IID", "PAT", "MAT", "SEX", "PHENOTYPE"]


def _ped(rows: _Rows) -> bool:
    return _all(
        rows,
        lambda row: (
            len(row) >= 8
            and len(row) % 2 == 0
            and row[4] in {"0", "1", "2", "-9", "other"}
            and all(allele in {"0", "A", "C", "G", "T", "1", "2", "N"} for allele in row[6:])
        ),
    )


def _fam(rows: _Rows) -> bool:
    return _all(
        rows,
        lambda row: (
            len(row) == 6
            and row[4] in {"0", "1", "2"}
            and re.fullmatch(r"-?\d+(\.\d+)?|NA", row[5]) is not None
            and not _number(row[0] + row[1])
        ),
    ) and len({row[1] for row in rows}) == len(rows)


def _psam(rows: _Rows) -> bool:
    return rows[0][0].upper() in {"#FID", "#IID"}


def _sample(rows: _Rows) -> bool:
    return (
        len(rows) > 1
        and [name.lower() for name in rows[0][:3]] == ["id_1", "id_2", "missing"]
        and list(rows[1][:3]) == ["0", "0", "0"]
    )


def _gen(rows: _Rows) -> bool:
    return _all(rows, _gen_row, at_least=1)


def _gen_row(row: Sequence[str]) -> bool:
    for fixed in (5, 6):
        body = row[fixed:]
        alleles = row[fixed - 2 : fixed]
        if len(body) >= 6 and len(body) % 3 == 0 and row[fixed - 3].isdigit():
            shares = [float(cell) if _number(cell) else -1.0 for cell in body]
            triples = [sum(shares[at : at + 3]) for at in range(0, len(shares), 3)]
            if all(_BASES.fullmatch(allele) for allele in alleles) and all(
                abs(total - 1) < 0.05 or total == 0 for total in triples
            ):
                return True
    return False


def _array(rows: _Rows) -> bool:
    body = [row for row in rows if not row[0].startswith("#")]
    return _all(
        body,
        lambda row: (
            len(row) in {4, 5}
            and re.fullmatch(r"(rs|i|[a-zA-Z]+-?)\d+", row[0]) is not None
            and _CHROMOSOME.fullmatch(row[1]) is not None
            and row[2].isdigit()
            and all(_CALL.fullmatch(call) for call in row[3:])
        ),
        at_least=3,
    )


def _sheet(rows: _Rows) -> bool:
    """A sample sheet: a header of names such as `sample`, and files of reads or calls in the rows."""
    heads = [cell.strip('" ').lower() for row in rows[:1] for cell in re.split(r"[,\t ;]", " ".join(row))]
    if not heads or not set(heads) & _SHEET_HEADS:
        return False
    cells = (cell.strip('" ') for row in rows[1:] for cell in re.split(r"[,\t ;]", " ".join(row)))
    return any(_READ_FILE.search(cell) for cell in cells)


def _number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text) is not None


_LINE_GRAMMARS: Final = (
    (_vcf_head, "VCF", VARIANTS),
    (_sam_head, "SAM", READS),
    (_fastq, "FASTQ", READS),
    (_fasta, "FASTA", READS),
)
_FIELD_GRAMMARS: Final = (
    (_vcf_body, True, "VCF without a head", VARIANTS),
    (_sam_body, True, "SAM", READS),
    (_pileup, True, "pileup", READS),
    (_raw, False, "PLINK raw", GENOTYPES),
    (_ped, False, "PLINK ped", GENOTYPES),
    (_gen, False, "Oxford gen", GENOTYPES),
    (_array, False, "genotyping array", GENOTYPES),
    (_psam, False, "PLINK psam", SAMPLES),
    (_sample, False, "Oxford sample", SAMPLES),
    (_fam, False, "PLINK fam", SAMPLES),
    (_sheet, False, "sample sheet", SAMPLES),
)
