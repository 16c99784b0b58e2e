"""Ordinary results pass: too many false alarms would teach people to ignore the true ones."""

from pathlib import Path

import pytest

from spe.disclosure.engine import examine
from spe.disclosure.profiling import profile_folder
from spe.domain.verdict import Severity, Verdict
from tests.disclosure.cases import build, default_policy

COHORT = "patient_id,age,grade\n" + "".join(f"GB-{n:04d},{30 + n % 40},{1 + n % 3}\n" for n in range(1, 201))
CLEAN = {
    "survival.csv": "arm,persons,events,median_survival_months\nno,440,205,46.5\nyes,246,94,66.2\n",
    "cox.csv": "covariate,coef,exp(coef),se(coef),z,p\nage,0.01,1.01,0.009,1.1,0.27\ntsize,0.008,1.008,0.004,2,0.05\n",
    "describe.csv": ",age,tsize,pnodes\ncount,686,686,686\nmean,53.1,29.3,5.0\nstd,10.1,14.3,5.5\n",
    "years.csv": "year,rate_per_100000\n2015,3\n2016,4\n2017,5\n2018,6\n2019,7\n"
    "2020,8\n2021,9\n2022,3\n2023,4\n2024,2\n",
    "ages.csv": "age,hazard\n" + "".join(f"{age},{age / 1000}\n" for age in range(20, 95)),
    "gwas.tsv": "snp\tchr\tpos\tea\toa\teaf\tbeta\tse\tp\n"
    + "".join(
        f"rs{n}\t{n % 22 + 1}\t{n * 977}\tA\tG\t0.{n % 90 + 10}\t0.01\t0.02\t0.{n % 99 + 1}\n" for n in range(1, 90)
    ),
    "anova.csv": "term,df,sum_sq,f,p\narm,1,3.2,4.1,0.04\ngrade,2,9.9,6.2,0.002\n",
    "correlation.csv": ",age,size,nodes\nage,1,0.1,0.2\nsize,0.1,1,0.3\nnodes,0.2,0.3,1\n",
    "roc.csv": "threshold,sensitivity,specificity\n0.1,0.99,0.2\n0.5,0.8,0.7\n0.9,0.3,0.98\n",
    "table1.csv": "characteristic,A,B\nn,440,246\n"
    'female,210 (47.7%),120 (48.8%)\n"age, mean (SD)",53.1 (10.1),54.2 (9.8)\n',
    "rounded.csv": "region,2021,2022,2023\nNorth,125,130,145\nSouth,210,205,220\n",
    "params.json": '{"model": "cox", "penalizer": 0.1, "max_iter": 5, "coef": {"age": 0.01, "grade": 0.4}}',
    "report.md": "# Results\n\nIn 686 patients (n = 686) the hazard ratio was 0.69 (95% CI 0.54–0.89, p = 0.004).\n"
    "We fitted 3 models over 5 folds; two covariates were dropped.\n",
    "analysis.py": "import pandas as pd\n\nn = 5\nfor k in range(3):\n    print(k, n)\n"
    "x = [1, 2, 3]\ny = {'a': 1, 'b': 2}\n",
    "analysis.r": "library(survival)\nfit <- coxph(Surv(time, cens) ~ age + grade, data = d)\nprint(summary(fit))\n",
    "query.sql": "select arm, count(*) as n from cohort group by arm having count(*) >= 10;\n",
    "genes.csv": "gene,chromosome,n_variants,burden_p\nTP53,17,4,0.01\nBRCA1,17,7,0.002\nBRCA2,13,3,0.2\n",
    "quantiles.csv": "quantile,age\n0.1,40\n0.5,53\n0.9,66\n",
    "hyper.yaml": "learning_rate: 0.1\nmax_depth: 3\nfolds: 5\n",
}


@pytest.mark.parametrize("name", CLEAN)
def test_an_ordinary_result_is_not_held(tmp_path: Path, name: str) -> None:
    build(tmp_path / "data", {"cohort.csv": COHORT})
    build(tmp_path / "out", {name: CLEAN[name]})

    report = examine(tmp_path / "out", default_policy(), [profile_folder(tmp_path / "data")])

    held = [finding for finding in report.all_findings if finding.severity is not Severity.NOTE]
    assert report.verdict is Verdict.PASS, held
