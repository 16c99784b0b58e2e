"""An engine in the place of ours that does what the job's policy says in Python: the worst a file could make it do."""

import json
import sys
from pathlib import Path

job = Path(sys.argv[1])
out = job / "out"
out.mkdir(exist_ok=True)


def report(**facts: object) -> None:
    """Leave a report."""
    (out / "report.json").write_text(json.dumps({"schema": "spe.report/1", **facts}))


document = json.loads((job / "job.json").read_text())
exec(document["policy"]["code"], {"job": job, "report": report})
