"""What the researcher types in the demonstration, and the notebook that is really executed in the sandbox."""

import json

LOOK_AROUND = """
import os, pathlib, hashlib, json
data = pathlib.Path(os.environ['SPE_DATA_DIR'])
print(json.dumps({str(p.relative_to(data)): hashlib.sha256(p.read_bytes()).hexdigest()
                  for p in sorted(data.rglob('*')) if p.is_file()}))
"""

TRY_TO_WRITE = """
import os, pathlib, json
data = pathlib.Path(os.environ['SPE_DATA_DIR'])
target = next(p for p in sorted(data.rglob('*.csv')))
seen = {}
for name, act in (('write', lambda: target.write_text('x')), ('append', lambda: open(target, 'a').write('x')),
                  ('rename', lambda: target.rename(target.with_suffix('.old'))), ('remove', target.unlink),
                  ('chmod', lambda: target.chmod(0o666)), ('new file', lambda: (target.parent / 'n').touch())):
    try:
        act(); seen[name] = 'DONE'
    except OSError as error:
        seen[name] = error.strerror
print(json.dumps(seen))
"""

ANALYSIS = (
    """import os, pathlib
import pandas as pd
from lifelines import KaplanMeierFitter
data = pathlib.Path(os.environ['SPE_DATA_DIR'])
cohort = pd.read_csv(next(data.rglob('cohort.csv')))
cohort.shape""",
    """rows = []
for arm, group in cohort.groupby('horTh'):
    fit = KaplanMeierFitter().fit(group['time'], group['cens'])
    rows.append({'hormone_therapy': arm, 'persons': len(group), 'events': int(group['cens'].sum()),
                 'median_days': int(fit.median_survival_time_)})
table = pd.DataFrame(rows)
clean = pathlib.Path('/workspace/outputs/clean')
clean.mkdir(parents=True, exist_ok=True)
table.to_csv(clean / 'survival_by_arm.csv', index=False)
(clean / 'egress.yaml').write_text('''purpose: Median recurrence-free survival by hormone therapy, for the annual report
outputs:
  - path: survival_by_arm.csv
    title: Recurrence-free survival by arm
    kind: survival
    population: 686
    unit: person
    notes: two arms, no cell under 10
''')
table""",
    """leak = pathlib.Path('/workspace/outputs/leaking')
leak.mkdir(parents=True, exist_ok=True)
pd.crosstab(cohort['tgrade'], cohort['age'] // 10 * 10).to_csv(leak / 'grade_by_decade.csv')
cohort.head(40).to_csv(leak / 'first_rows.csv', index=False)
(leak / 'egress.yaml').write_text('''purpose: Tumour grade by age, and some example rows
outputs:
  - path: grade_by_decade.csv
    title: Tumour grade by decade of age
    kind: frequency-table
    population: 686
    unit: person
  - path: first_rows.csv
    title: Example rows
    kind: other
''')
sorted(p.name for p in leak.iterdir())""",
)

SUBMIT = """
import subprocess, json
done = subprocess.run(['spe', 'egress', 'submit', '/workspace/outputs/{folder}', '-o', 'json'],
                      capture_output=True, text=True)
print(json.dumps({{'exit': done.returncode, 'out': done.stdout, 'err': done.stderr[-1500:]}}))
"""

SECRET = """
import subprocess, json
done = subprocess.run(['spe', 'secret', 'get', '{name}'], capture_output=True, text=True)
print(json.dumps({{'exit': done.returncode, 'out': done.stdout.strip(), 'err': done.stderr[-500:]}}))
"""


def notebook() -> str:
    """The analysis as a notebook document (nbformat 4)."""
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": code}
        for n, code in enumerate(ANALYSIS)
    ]
    document = {
        "cells": cells,
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    }
    return json.dumps(document)
