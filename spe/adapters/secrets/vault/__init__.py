"""Secrets in HashiCorp Vault or OpenBao: every lease is a token of the service, ended and looked up there."""

from spe.adapters.secrets.vault.settings import (
    AppRoleLogin,
    HeldLogin,
    KubernetesLogin,
    Login,
    TokenLogin,
    VaultSettings,
)
from spe.adapters.secrets.vault.store import VaultSecrets

__all__ = ["AppRoleLogin", "HeldLogin", "KubernetesLogin", "Login", "TokenLogin", "VaultSecrets", "VaultSettings"]
