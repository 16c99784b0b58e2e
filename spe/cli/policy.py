"""`spe policy`: read disclosure policies, explain them to a board, compare two, try one on past requests."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

from spe.disclosure.child import examine_in_child
from spe.domain.errors import Invalid
from spe.policy.disclosure import DisclosureProfile, changes, explanations
from spe.policy.loader import load_profile, policies_folder, read_profile

app = typer.Typer(no_args_is_help=True, help="Disclosure policies: check, explain, compare and try them.")

_P = ParamSpec("_P")
Name = Annotated[str, typer.Argument(help="Name of a policy, or a YAML file.")]
Folder = Annotated[Path | None, typer.Option("--policies", help="Folder of policies. [env var: SPE_POLICIES]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")]


def _spoken(command: Callable[_P, None]) -> Callable[_P, None]:
    """A wrong call or document ends with its sentences and status 2."""

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except Invalid as error:
            for sentence in error.sentences:
                print(sentence, file=sys.stderr)
            sys.exit(2)

    return wrapped


@app.command()
@_spoken
def lint(name: Name = "default", policies: Folder = None, as_json: AsJson = False) -> None:
    """Read a policy strictly; status 0 when it is right, 2 with one sentence per fault."""
    profile = _profile(name, policies)
    facts = {"name": profile.name, "version": profile.version, "digest": profile.policy.digest}
    _say(
        {**facts, "checks": len(profile.policy.settings)},
        f"{profile.name} {profile.version}: {len(profile.policy.settings)} checks, {profile.policy.digest}",
        as_json=as_json,
    )


@app.command()
@_spoken
def explain(
    name: Name = "default",
    check: Annotated[str | None, typer.Argument(help="One check; all when not given.")] = None,
    policies: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Say each rule as a sentence, with the values that this policy sets."""
    profile = _profile(name, policies)
    rows = [one for one in explanations(profile) if check is None or one.check == check]
    if not rows:
        raise Invalid({"check": f"The policy {profile.name} has no check {check!r}."})
    if as_json or not sys.stdout.isatty():
        typer.echo(json.dumps([{field: getattr(row, field) for field in row.__dataclass_fields__} for row in rows]))
        return
    table = Table("check", "severity", "rule", title=f"{profile.title} ({profile.name} {profile.version})")
    for row in rows:
        reason = f" {row.because}" if row.because else ""
        table.add_row(row.check, row.severity + (", waivable" if row.waivable else ""), row.sentence + reason)
    Console().print(table)
    for source in profile.sources:
        typer.echo(f"Source: {source}")


@app.command()
@_spoken
def diff(before: Name, after: Name, policies: Folder = None, as_json: AsJson = False) -> None:
    """Say what differs between two policies, and what gets looser. Status 10 when something does, else 0."""
    found = changes(_profile(before, policies).policy, _profile(after, policies).policy)
    if as_json or not sys.stdout.isatty():
        typer.echo(json.dumps([{field: getattr(one, field) for field in one.__dataclass_fields__} for one in found]))
    else:
        table = Table("check", "what", before, after, "")
        for one in found:
            table.add_row(one.check, one.what, str(one.before), str(one.after), "looser" if one.looser else "tighter")
        Console().print(table if found else "The two policies ask the same.")
    if any(one.looser for one in found):
        sys.exit(10)


@app.command()
@_spoken
def replay(
    name: Name,
    folders: Annotated[list[Path], typer.Argument(help="Folders of past requests.")],
    against: Annotated[str, typer.Option(help="Policy that the requests were judged under.")] = "default",
    dataset: Annotated[list[Path] | None, typer.Option(help="Profile of a dataset.")] = None,
    policies: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Judge past requests again under another policy and say how many verdicts change."""
    new, old = _profile(name, policies), _profile(against, policies)
    rows = []
    for folder in folders:
        before = examine_in_child(folder, old.policy, dataset or ()).verdict
        after = examine_in_child(folder, new.policy, dataset or ()).verdict
        rows.append({"folder": str(folder), "before": before.value, "after": after.value})
    changed = sum(1 for row in rows if row["before"] != row["after"])
    lines = [f"{row['folder']}: {row['before']} → {row['after']}" for row in rows]
    summary = f"{changed} of {len(rows)} requests would be judged otherwise."
    _say({"changed": changed, "requests": rows}, "\n".join([*lines, summary]), as_json=as_json)


def _profile(name: str, policies: Path | None) -> DisclosureProfile:
    """A policy by name or by file; a file may extend the policies of the folder."""
    folder = policies_folder(policies)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return read_profile(Path(name), folder)
    return load_profile(folder, name)


def _say(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(document) if as_json or not sys.stdout.isatty() else text)
