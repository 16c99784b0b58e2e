"""Run inside the notebook image: the libraries people expect, our command, the seal's probe. Prints one JSON object."""

import json
import os
import pathlib
import subprocess

import acro
import lifelines
import matplotlib
import pandas
import pyarrow
import scipy
import sklearn
import statsmodels

os.environ["HOME"] = "/tmp"
outputs = pathlib.Path("/tmp/outputs")
outputs.mkdir()
pandas.DataFrame({"arm": ["a", "b"], "n": [120, 340]}).to_csv(outputs / "table.csv", index=False)
(outputs / "egress.yaml").write_text(
    "purpose: a table\noutputs:\n"
    "  - {path: table.csv, title: A table, kind: frequency-table, population: 460, unit: person}\n"
)


def spe(*arguments):
    """One call of our command."""
    done = subprocess.run(["spe", *arguments], capture_output=True, text=True, timeout=120, check=False)
    return {"exit": done.returncode, "out": done.stdout, "err": done.stderr[-500:]}


print(
    json.dumps(
        {
            "versions": [
                m.__name__ for m in (acro, lifelines, matplotlib, pandas, pyarrow, scipy, sklearn, statsmodels)
            ],
            "help": spe("--help"),
            "check": spe("check", str(outputs), "--json"),
            "serve": spe("serve"),
            "door": spe("secret", "get", "x"),
            # As the first container of a session's pod calls it; without a place to try it says so.
            "seal": subprocess.run(["python", "-I", "/opt/spe/seal.py"], capture_output=True).returncode,
            "kernel": subprocess.run(["jupyter", "kernelspec", "list"], capture_output=True, text=True).stdout,
            "singleuser": subprocess.run(
                ["python", "-m", "jupyterhub.singleuser", "--version"], capture_output=True, text=True
            ).stdout.strip(),
        }
    )
)
