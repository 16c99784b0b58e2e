"""Where one environment's things lie in Vault, and the two policies that bound it. Pure.

    <instance>/secrets    KV 2, one version: the value of each secret, key `<instance>.<name>`
    <instance>/leases     KV 1: which token is which lease, key `<workspace>/<accessor>`; never a value
    <instance>/keys       transit: release and log (ed25519), links and pseudonyms (hmac)
    <instance>/database   accounts leased from databases, role `<instance>.<name>`
    auth/token/roles/<instance>.<workspace>   what a workspace's lease tokens are: one policy, orphan, never renewed

A lease token carries an identity alias `<instance>.<name>`, and the lease policy's paths are filled in from it:
each token reads the one secret it was made for. The dot cannot occur in an instance's name, so no prefix
of one environment is a prefix of another's. Aliases and role names hold only letters, digits, hyphens and
that dot (security note B8: nothing that a policy could read as a pattern).
"""

from dataclasses import dataclass
from types import MappingProxyType

from spe.ports.secrets import MAC_KEYS, SIGNING_KEYS

LONGEST = "24h"
ROLE_SHAPE = MappingProxyType(
    {
        "orphan": True,
        "renewable": False,
        "token_type": "service",
        "token_no_default_policy": True,
        "token_explicit_max_ttl": LONGEST,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths and names of one environment."""

    instance: str

    @property
    def secrets(self) -> str:
        """Mount of the stored values."""
        return f"{self.instance}/secrets"

    @property
    def leases(self) -> str:
        """Mount of the lease records."""
        return f"{self.instance}/leases"

    @property
    def keys(self) -> str:
        """Mount of the environment's own keys."""
        return f"{self.instance}/keys"

    @property
    def database(self) -> str:
        """Mount of the database accounts."""
        return f"{self.instance}/database"

    @property
    def portal_policy(self) -> str:
        """Name of the policy of the control plane."""
        return self.stem("portal")

    @property
    def lease_policy(self) -> str:
        """Name of the policy of lease tokens."""
        return self.stem("lease")

    def stem(self, name: str) -> str:
        """The name under which Vault knows one of ours, apart from every other environment's."""
        return f"{self.instance}.{name}"

    def name(self, stem: str) -> str | None:
        """The inverse of `stem`; None for somebody else's."""
        prefix = self.stem("")
        return stem.removeprefix(prefix) if stem.startswith(prefix) else None

    def accounts(self, name: str) -> str:
        """Path at which Vault makes accounts of one database; their lease ids continue it."""
        return f"{self.database}/creds/{self.stem(name)}"

    def tokens(self, workspace: str) -> str:
        """Path at which Vault makes a workspace's lease tokens; their lease ids continue it."""
        return f"auth/token/create/{self.stem(workspace)}"

    def token_role(self) -> dict[str, object]:
        """The one shape a workspace's token role may have; the control plane's policy pins every field."""
        return {
            "allowed_policies": self.lease_policy,
            "allowed_entity_aliases": self.stem("*"),
            **ROLE_SHAPE,
        }


def lease_policy(layout: Layout, token_mount: str) -> str:
    """The policy of lease tokens: exactly the secret whose alias the token carries. `token_mount` is an accessor."""
    alias = f"{{{{identity.entity.aliases.{token_mount}.name}}}}"
    return "\n".join(
        _rule(f"{mount}/{alias}", "read") for mount in (f"{layout.secrets}/data", f"{layout.database}/creds")
    )


def portal_policy(layout: Layout) -> str:
    """The policy of the control plane: everything it calls, nothing else; in particular it reads no stored value."""
    ours, tokens = layout.stem("*"), layout.tokens("*")
    signs = [(f"{layout.keys}/sign/{key}", ["create", "update"]) for key in sorted(SIGNING_KEYS)]
    shows = [(f"{layout.keys}/keys/{key}", ["read"]) for key in sorted(SIGNING_KEYS)]
    hashes = [(f"{layout.keys}/hmac/{key}/sha2-256", ["create", "update"]) for key in sorted(MAC_KEYS)]
    plain = [
        (f"{layout.secrets}/metadata", ["list"]),
        (f"{layout.secrets}/metadata/", ["list"]),
        (f"{layout.secrets}/metadata/{ours}", ["read", "delete"]),
        (f"{layout.secrets}/data/{ours}", ["create", "update", "delete"]),
        (f"{layout.leases}/*", ["create", "read", "update", "delete", "list"]),
        *signs,
        *shows,
        *hashes,
        ("auth/token/lookup-accessor", ["create", "update"]),
        ("auth/token/revoke-accessor", ["create", "update"]),
        *((f"sys/leases/lookup/{path}", ["list", "sudo"]) for path in (tokens, layout.accounts("*"))),
        *(
            (f"sys/leases/revoke-prefix/{path}", ["create", "update", "sudo"])
            for path in (tokens, layout.accounts("*"))
        ),
    ]
    rules = [_rule(path, *capabilities) for path, capabilities in plain]
    role = {name: [value] for name, value in layout.token_role().items()}
    token: dict[str, list[object]] = {"entity_alias": [ours], "explicit_max_ttl": [], "ttl": [], "meta": []}
    rules.append(_rule(f"auth/token/roles/{ours}", "delete", "create", "update", only=role))
    rules.append(_rule(tokens, "create", "update", only=token))
    return "\n".join(rules)


def _rule(path: str, *capabilities: str, only: dict[str, list[object]] | None = None) -> str:
    """One path; with `only`, each of these parameters is demanded with one of its values, and no other is taken."""
    lines = [f'path "{path}" {{', f"  capabilities = [{', '.join(map(_text, capabilities))}]"]
    if only is not None:
        values = (f"    {_text(name)} = [{', '.join(map(_text, allowed))}]" for name, allowed in only.items())
        lines += ["  allowed_parameters = {", *values, "  }"]
        lines.append(f"  required_parameters = [{', '.join(map(_text, only))}]")
    return "\n".join([*lines, "}", ""])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
