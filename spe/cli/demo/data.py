"""Open data for the demonstration: a published clinical cohort and simulated genotypes; nothing personal.

The cohort is that of the German Breast Cancer Study Group (Schumacher et al., J Clin Oncol 1994), as
shipped in the `lifelines` package; the ids are made here. Genotypes are simulated by msprime.
"""

import csv
import hashlib
import io
from pathlib import Path

COHORT_CODEBOOK = """# German Breast Cancer Study Group cohort
686 women; columns: id (pseudonym made for this demonstration), horTh (hormone therapy), age (years),
menostat (Pre/Post), tsize (mm), tgrade (I-III), pnodes, progrec and estrec (fmol), time (days to
recurrence or censoring), cens (1 = event). Source: the Python package lifelines, data set gbsg2.
"""

SAMPLES = 200


def write_cohort(folder: Path) -> None:
    """`cohort.csv` and its codebook."""
    from lifelines.datasets import load_gbsg2

    frame = load_gbsg2()
    ids = [pseudonym("gbsg", n) for n in range(len(frame))]
    frame.insert(0, "id", ids)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cohort.csv").write_text(frame.to_csv(index=False), encoding="utf-8")
    (folder / "README.md").write_text(COHORT_CODEBOOK, encoding="utf-8")


def write_genotypes(folder: Path) -> None:
    """`genotypes.vcf` (200 diploid samples, 200 kb) and `samples.csv`."""
    import msprime

    trees = msprime.sim_ancestry(
        samples=SAMPLES, sequence_length=200_000, recombination_rate=1e-8, population_size=10_000, random_seed=20
    )
    mutated = msprime.sim_mutations(trees, rate=1e-8, random_seed=21)
    names = [pseudonym("geno", n) for n in range(SAMPLES)]
    text = io.StringIO()
    mutated.write_vcf(text, individual_names=names, contig_id="20")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genotypes.vcf").write_text(text.getvalue(), encoding="utf-8")
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(["sample", "sex", "case"])
    for n, name in enumerate(names):
        writer.writerow([name, "F" if n % 2 else "M", int(n % 5 == 0)])
    (folder / "samples.csv").write_text(sheet.getvalue(), encoding="utf-8")


def pseudonym(kind: str, number: int) -> str:
    """A made-up id, stable from run to run, that tells nothing."""
    return "P" + hashlib.sha256(f"spe demonstration {kind} {number}".encode()).hexdigest()[:9].upper()
