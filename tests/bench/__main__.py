"""`python -m tests.bench [NAME…]`: runs the benchmarks and prints what they say as ratios.

`--json` prints the same for programs, `--pairs N` measures more or fewer pairs, `--toy` only shows that
everything runs. Nothing here passes or fails: a goal that was missed is said, the exit status stays 0.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol

from tests.bench.figures import Figure

BENCHES = ("audited_write", "gate", "submit", "session_start")


class Measure(Protocol):
    """How each benchmark is run."""

    def __call__(self, *, pairs: int | None = None, toy: bool = False) -> Iterable[Figure]: ...


def bench(name: str) -> Measure:
    """The benchmark of that name."""
    found: Measure = importlib.import_module(f"tests.bench.{name}").measure
    return found


def machine() -> dict[str, object]:
    """What it ran on; load before anything was started."""
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def machine_line(facts: dict[str, object]) -> str:
    """The machine in one line."""
    return (
        f"machine: {facts['cores']} cores of {facts['cpu']}, {facts['memory_gib']} GiB, {facts['system']}, "
        f"Python {facts['python']}, load {facts['load']} at the start"
    )


HEAD = f"{'ours ÷ theirs':58} {'median':>7} {'lowest':>7} {'highest':>7} {'pairs':>5}  {'goal':9} said"


def lines(figure: Figure) -> Iterator[str]:
    """A figure as a line of the table, and its facts below it."""
    said = [] if figure.is_met is None else ["met" if figure.is_met else "MISSED"]
    said += ["noisy"] if figure.is_noisy else []
    shown = f"{figure.name} ÷ {figure.against}, {figure.unit}"
    goal = str(figure.goal) if figure.goal else ""
    yield (
        f"{shown:58} {figure.ratio:7.2f} {min(figure.ratios):7.2f} {max(figure.ratios):7.2f} "
        f"{len(figure.pairs):5}  {goal:9} {', '.join(said)}"
    ).rstrip()
    if figure.goal and figure.goal.added:
        yield f"    added: {figure.added:+.2f} {figure.unit} (median of the pairs)"
    if figure.facts:
        yield "    " + ", ".join(f"{name} {_shown(value)}" for name, value in figure.facts.items())


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def main(words: list[str]) -> int:
    """Run what was asked for; 0."""
    parser = argparse.ArgumentParser(prog="make bench", description="What it costs, as ratios in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; all when none is given")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--pairs", type=int, help="how many pairs")
    parser.add_argument("--toy", action="store_true", help="tiny sizes: shows that it runs, the figures say nothing")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.names) - set(BENCHES)):
        parser.error(f"there is no benchmark {unknown[0]!r}; choose from {', '.join(BENCHES)}")
    facts = machine()
    if not given.json:
        print(machine_line(facts), HEAD, sep="\n", flush=True)
    figures: list[Figure] = []
    for name in given.names or BENCHES:
        for figure in bench(name)(pairs=given.pairs, toy=given.toy):
            figures.append(figure)
            if not given.json:
                print(*lines(figure), sep="\n", flush=True)
    if given.json:
        print(json.dumps({"machine": facts, "figures": [figure.to_json() for figure in figures]}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
