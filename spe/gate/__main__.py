"""`python -m spe.gate FOLDER` runs the gate of the workspace whose folder is given."""

from spe.gate.main import main

if __name__ == "__main__":
    raise SystemExit(main())
