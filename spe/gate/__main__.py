"""`python -m spe.gate FOLDER` runs a gate on a host, `python -m spe.gate --pod` the gate of a workspace's namespace."""

from spe.gate.main import main

if __name__ == "__main__":
    raise SystemExit(main())
