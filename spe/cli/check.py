"""`spe check`: the automatic checks on a folder, before it is submitted. The same engine as the environment's.

Exit status: 0 pass, 10 refer, 20 block, 2 the call is wrong, 1 anything else. On a terminal the answer is for
people; into a pipe, or with --json, it is the report's JSON.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spe.disclosure.child import examine_in_child
from spe.disclosure.codepoints import visible
from spe.disclosure.content import EntryKind
from spe.disclosure.declaration import NAME
from spe.disclosure.folder import Closed, Folder
from spe.disclosure.job import Limits
from spe.disclosure.profile import Profile
from spe.disclosure.registry import catalogue
from spe.disclosure.settings import DisclosurePolicy, meet_all
from spe.domain.errors import Invalid, SpeError
from spe.domain.verdict import Finding, Report, Severity, Verdict
from spe.policy.loader import load_profile, policies_folder

EXIT: Final = {Verdict.PASS: 0, Verdict.REFER: 10, Verdict.BLOCK: 20}
USAGE: Final = 2
FAILURE: Final = 1
_STYLES: Final = {"pass": "green", "note": "cyan", "refer": "yellow", "block": "bold red"}
_NEXT: Final = {
    Verdict.PASS: "Nothing was found. Two output checkers still look at it: submit it with `spe egress submit`.",
    Verdict.REFER: "Output checkers will look at these findings. Correct what you can, then submit.",
    Verdict.BLOCK: "This cannot be released as it is. Correct what is marked block, then check again.",
}


def check(
    folder: Annotated[Path, typer.Argument(help="Folder with the outputs.", show_default=False)],
    dataset: Annotated[
        list[Path] | None, typer.Option(help="Profile of a dataset (PROFILE.json); may be given several times.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Name of a policy; of several the strictest value holds. [default: default]"),
    ] = None,
    history: Annotated[
        list[Path] | None, typer.Option(help="Folder of an earlier release; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, also on a terminal.")] = False,
    policies: Annotated[
        Path | None, typer.Option(help="Folder of policies. [env var: SPE_POLICIES]", show_default=False)
    ] = None,
    seconds: Annotated[int, typer.Option(help="Longest time a check may take.", min=1)] = 180,
) -> None:
    """Check a folder of outputs as the environment will, and say what to do about each finding."""
    try:
        rules = _rules(policies, policy or ["default"])
        _look(folder)
        _profiles(dataset or ())
        limits = Limits(wall_seconds=seconds, cpu_seconds=seconds)
        report = examine_in_child(folder, rules, dataset or (), history or (), limits)
    except SpeError as error:
        _complain(error)
        sys.exit(USAGE if isinstance(error, Invalid) else FAILURE)
    if as_json or not sys.stdout.isatty():
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(report, Console())
    sys.exit(EXIT[report.verdict])


def show(report: Report, console: Console) -> None:
    """The report for people: each output with its findings, then what to do."""
    for output in report.outputs:
        console.print(_headline(output.path, output.verdict))
        if output.findings:
            console.print(_table(output.findings))
    if report.findings:
        console.print(
            _headline("The request as a whole", Verdict.worst(one.severity.verdict for one in report.findings))
        )
        console.print(_table(report.findings, with_path=True))
    for sentence in _remedies(report):
        console.print(Text(f"→ {sentence}"))
    console.print(Text(f"\nVerdict: {report.verdict}", style=_STYLES[report.verdict]))
    console.print(Text(_NEXT[report.verdict]))
    console.print(Text(f"Policy {report.policy.name} {report.policy.version} · {report.policy.digest}", style="dim"))


def _rules(folder: Path | None, names: Sequence[str]) -> DisclosurePolicy:
    known = policies_folder(folder)
    return meet_all(load_profile(known, name).policy for name in names)


def _look(folder: Path) -> None:
    """Refuse what cannot be a request before a child is started for it. Raises Invalid."""
    with Folder(folder) as opened:
        try:
            files = [one for one in opened.entries() if one.kind is not EntryKind.FOLDER and one.path != NAME]
        except Closed:
            return  # the engine meets it again and makes it a finding
        if not files:
            raise Invalid({"folder": f"There is no file in {folder}; put the outputs into it first."})


def _profiles(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            Profile.from_json(path.read_bytes())
        except OSError as error:
            raise Invalid({"dataset": f"{path} cannot be read: {error.strerror}."}) from error
        except Invalid as error:
            raise Invalid({"dataset": f"{path}: {error.fields['dataset']}"}) from error


def _complain(error: SpeError) -> None:
    for sentence in error.sentences:
        print(sentence, file=sys.stderr)


def _headline(name: str, verdict: Verdict) -> Text:
    return Text.assemble((visible(name), "bold"), "  ", (verdict.value, _STYLES[verdict]))


def _table(findings: Sequence[Finding], *, with_path: bool = False) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    for finding in findings:
        where = f"{visible(finding.path)}: " if with_path and finding.path else ""
        table.add_row(
            Text(finding.severity.value, style=_STYLES[finding.severity]),
            Text(finding.check),
            Text(where + visible(finding.message)),
        )
    return table


def _remedies(report: Report) -> list[str]:
    """What to do about each check that found something heavier than a note, once."""
    checks = dict.fromkeys(one.check for one in report.all_findings if one.severity is not Severity.NOTE)
    return [f"{name}: {catalogue()[name].remedy.format()}" for name in checks if name in catalogue()]
