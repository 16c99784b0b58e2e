"""The process of a gate in a pod, on a loopback address of its own: `python -m tests.gate.pod_process JSON`."""

import json
import os
import sys
from pathlib import Path

from spe.gate.main import run_pod
from spe.gate.ports import PodSettings

if __name__ == "__main__":
    os.umask(0o077)
    given = json.loads(sys.argv[1])
    folders = {name: Path(given[name]) for name in ("state", "run", "token_file")}
    raise SystemExit(run_pod(PodSettings(portal=given["portal"], host=given["host"], **folders)))
