"""Who somebody named in a binding is: one of ours, a part of the cluster, or somebody else. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from spe.adapters.cluster.kubernetes.kinds import Document, name_of
from spe.adapters.cluster.kubernetes.verify import granted

Subject = Mapping[str, Any]

_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts"
EVERYBODY = frozenset({"system:authenticated", "system:unauthenticated", "system:anonymous", _ACCOUNTS})


def spelled(subject: Subject) -> str:
    """As `--trusted` takes it: `User:ada`, `Group:operators`, `ServiceAccount:namespace:name`."""
    space = f"{subject['namespace']}:" if subject.get("namespace") else ""
    return f"{subject['kind']}:{space}{subject['name']}"


def place_of(binding: Document) -> str:
    """A binding's name, with its namespace where it has one."""
    space = binding["metadata"].get("namespace")
    return f"{space}/{name_of(binding)}" if space else name_of(binding)


def account_of(subject: Subject) -> tuple[str, str]:
    """Namespace and name of an account, in whichever way it is named; the name is `*` for all of a namespace."""
    kind, name = subject["kind"], str(subject["name"])
    if kind == "ServiceAccount":
        return str(subject.get("namespace", "")), name
    if kind == "User" and name.startswith(_ACCOUNT):
        space, _, account = name.removeprefix(_ACCOUNT).partition(":")
        return space, account
    if kind == "Group" and name.startswith(f"{_ACCOUNTS}:"):
        return name.removeprefix(f"{_ACCOUNTS}:"), "*"
    return "", ""


def is_ours(subject: Subject, release_namespace: str, workspaces: Collection[str]) -> bool:
    """Whether it is an account of the control plane or of a workspace."""
    space, _ = account_of(subject)
    return bool(space) and (space == release_namespace or space in workspaces)


def is_granted(
    binding: Document, subject: Subject, instance: str, release_namespace: str, workspaces: Collection[str]
) -> bool:
    """Whether a binding is one that the chart or the reconciler makes."""
    space, account = account_of(subject)
    role, where = str(binding["roleRef"]["name"]), binding["metadata"].get("namespace", "")
    if space != release_namespace:
        return False
    if binding["roleRef"]["kind"] != "ClusterRole":
        return (where, role) == (f"{instance}-intake", "intake") and account in granted.LOOKERS
    if not where:
        return granted.everywhere(instance).get(account) == role
    if account != "hub":
        return False
    return (where in workspaces and role == f"{instance}-hub-sessions") or (
        where == f"{instance}-canary" and role == f"{instance}-canary"
    )


def may_reach(subject: Subject, release_namespace: str, trusted: Collection[str]) -> bool:
    """Whether it is a part of the cluster, an account of ours (judged apart), or one that is trusted by name."""
    kind, name = subject["kind"], str(subject["name"])
    space, _ = account_of(subject)
    if spelled(subject) in trusted:
        return True
    if space:
        return space in ("kube-system", release_namespace)
    return kind in ("User", "Group") and name.startswith("system:") and name not in EVERYBODY
