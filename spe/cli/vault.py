"""`spe vault`: what the environment needs in Vault, printed or made, and whether it stands.

For administrators of Vault, with their own token; the control plane never runs it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from spe.cli.output import Form, Output, note, on_terminal, plain, show
from spe.domain.errors import Invalid, Rejected

app = typer.Typer(no_args_is_help=True, help="Vault: set up, check.")

Address = Annotated[str, typer.Option(envvar="VAULT_ADDR", help="https://host:port of the active server.")]
CaFile = Annotated[Path, typer.Option(envvar="VAULT_CACERT", help="The authority that vouches for its certificate.")]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with an administrator's token; without it the variable VAULT_TOKEN.")
]
Instance = Annotated[str, typer.Option(help="Name of the environment: prefix of everything it has in Vault.")]
Tenant = Annotated[str, typer.Option(envvar="VAULT_NAMESPACE", help="Vault's own namespace, where it has some.")]
Databases = Annotated[
    list[str] | None, typer.Option("--database", help="A name that leases a database account; may be repeated.")
]
Cluster = Annotated[str, typer.Option(help="Namespace of the release whose service accounts log in.")]
Accounts = Annotated[list[str] | None, typer.Option("--account", help="A service account; default portal, reconciler.")]
Audience = Annotated[str, typer.Option(help="Audience of their tokens.")]
Mount = Annotated[str, typer.Option(help="Path of the Kubernetes login method.")]
Host = Annotated[str, typer.Option(help="Address of the cluster's API server, to set up the login method too.")]
HostCa = Annotated[Path | None, typer.Option(help="The authority of that API server.")]
Reviewer = Annotated[Path | None, typer.Option(help="File with the token with which Vault asks it about others.")]


@app.command()
def setup(
    address: Address,
    ca_file: CaFile,
    token_file: TokenFile = None,
    instance: Instance = "spe",
    namespace: Tenant = "",
    database: Databases = None,
    kubernetes_namespace: Cluster = "",
    account: Accounts = None,
    audience: Audience = "spe-vault",
    mount: Mount = "kubernetes",
    kubernetes_host: Host = "",
    kubernetes_ca_file: HostCa = None,
    kubernetes_reviewer_file: Reviewer = None,
    apply: Annotated[bool, typer.Option("--apply", help="Make it so; without it nothing is changed.")] = False,
    output: Output = Form.AUTO,
) -> None:
    """Print what Vault must hold and how that differs from what it holds; with --apply make it so.

    Applying again changes nothing. Exit status 6 when something cannot be made and needs a person.
    """
    with _opened(locals()) as (_, parts):
        from spe.adapters.secrets.vault.check import changes, differences

        findings = parts.apply() if apply else parts.look()
        made = "made" if apply else "to do"
        rows = [
            {
                "kind": each.part.kind,
                "name": each.part.name,
                "state": "as it should be" if each.well else "by hand" if each.stuck else made,
                "differences": [*differences(each), *([each.stuck] if each.stuck else [])] if not each.well else [],
                "changes": list(changes(each)),
                "path": each.part.target or each.part.path,
                "fields": each.part.shown,
            }
            for each in findings
        ]
        show(rows, ("kind", "name", "state", "differences"), output)
        if on_terminal(output) and not apply:
            for row in rows:
                typer.echo(f"\n# {row['kind']}, {row['state']}: {row['path']}")
                typer.echo(plain("\n".join(row["changes"]) or _readable(row["fields"])))
        by_hand = [each for each in findings if each.stuck]
        if apply and by_hand:
            told = "; ".join(f"{each.part.kind} {each.part.name}: {each.stuck}" for each in by_hand)
            raise Rejected("Vault", f"{told}.")
        if not apply:
            note("Nothing was changed. Run it again with --apply to make it so.")


@app.command()
def check(
    address: Address,
    ca_file: CaFile,
    token_file: TokenFile = None,
    instance: Instance = "spe",
    namespace: Tenant = "",
    database: Databases = None,
    kubernetes_namespace: Cluster = "",
    account: Accounts = None,
    audience: Audience = "spe-vault",
    mount: Mount = "kubernetes",
    kubernetes_host: Host = "",
    kubernetes_ca_file: HostCa = None,
    kubernetes_reviewer_file: Reviewer = None,
    output: Output = Form.AUTO,
) -> None:
    """Check Vault's state, version and every part. Exit status 0 when all is well, 4 when something is not."""
    with _opened(locals()) as (link, parts):
        from spe.adapters.secrets.vault.check import examine

        checks = examine(link, parts)
        rows = [
            {"well": each.ok, "check": each.name, "seen": each.seen, "what mends it": "" if each.ok else each.remedy}
            for each in checks
        ]
        show(rows, ("well", "check", "seen", "what mends it"), output)
        if not all(each.ok for each in checks):
            raise typer.Exit(4)


@contextmanager
def _opened(given: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """A connection under the administrator's token, and the setup that was asked for."""
    from spe.adapters.secrets.vault import HeldLogin, TokenLogin, VaultSettings
    from spe.adapters.secrets.vault.link import Link
    from spe.adapters.secrets.vault.setup import KubernetesAccess, Setup

    databases = frozenset(given["database"] or ())
    login = TokenLogin(token_file=given["token_file"]) if given["token_file"] else HeldLogin(token=_token())
    link = Link(
        VaultSettings(
            address=given["address"],
            ca_file=given["ca_file"],
            login=login,
            instance=given["instance"],
            namespace=given["namespace"],
            databases=databases,
        )
    )
    access = None
    if given["kubernetes_namespace"]:
        accounts = {"accounts": tuple(given["account"])} if given["account"] else {}
        access = KubernetesAccess(
            namespace=given["kubernetes_namespace"],
            audience=given["audience"],
            mount=given["mount"],
            host=given["kubernetes_host"],
            ca_file=given["kubernetes_ca_file"],
            reviewer_file=given["kubernetes_reviewer_file"],
            **accounts,
        )
    try:
        yield link, Setup(link, given["instance"], access=access, databases=databases)
    finally:
        link.close()


def _token() -> Any:
    from spe.ports.secrets import SecretValue

    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        raise Invalid({"token": "Give --token-file, or an administrator's token in the variable VAULT_TOKEN."})
    return SecretValue(token)


def _readable(fields: dict[str, Any]) -> str:
    """A policy as its own text, everything else as YAML."""
    policy = fields.get("policy")
    dump: Callable[..., str] = yaml.safe_dump
    return str(policy) if policy else dump(fields, sort_keys=True) if fields else "(nothing to write)"
