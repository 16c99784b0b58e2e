"""What the adapter is told: where Vault is, who it trusts, how it logs in, under which name it keeps its things."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from spe.adapters.secrets.rules import is_name
from spe.domain.errors import Invalid
from spe.ports.secrets import SecretValue

_INSTANCE = re.compile(r"(?=.{1,40}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_MOUNT = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesLogin:
    """By a projected service account token, read from its file at each login because the kubelet renews it."""

    role: str
    token_file: Path
    mount: str = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoleLogin:
    """By a role id and a secret id in a file, read at each login; for schedulers other than Kubernetes."""

    role_id: str
    secret_file: Path
    mount: str = "approle"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogin:
    """By a Vault token in a file that somebody else renews; read again whenever it stops to work."""

    token_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLogin:
    """By a token in hand, for the minutes in which an administrator sets things up."""

    token: SecretValue


Login: TypeAlias = KubernetesLogin | AppRoleLogin | TokenLogin | HeldLogin


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """Plain values of one environment's place in one Vault.

    `instance` prefixes every mount, policy and role (`[a-z0-9-]`, at most 40); `databases` are the names
    that lease an account of a database instead of a stored text; `namespace` is Vault's own (Enterprise,
    OpenBao), empty for none. Both times are in seconds and bound one request.
    """

    address: str
    ca_file: Path
    login: Login
    instance: str = "spe"
    namespace: str = ""
    databases: frozenset[str] = frozenset()
    connect_seconds: float = 2.0
    answer_seconds: float = 5.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise Invalid({"vault.address": "Give the address as https://host:port; secrets travel only under TLS."})
        if _INSTANCE.fullmatch(self.instance) is None:
            raise Invalid({"vault.instance": "Use 1-40 of a-z, 0-9 and single hyphens."})
        wrong = sorted(name for name in self.databases if not is_name(name))
        if wrong:
            raise Invalid({"vault.databases": f"{wrong[0]!r} cannot name a secret: use a-z, 0-9 and single hyphens."})
        mount = getattr(self.login, "mount", "login")
        if _MOUNT.fullmatch(mount) is None:
            raise Invalid({"vault.login.mount": "Give the path of the login method, such as kubernetes."})
