"""What one environment needs in Vault, compared with what is there, and made on demand.

Run with an administrator's token, never by the control plane. The list of parts is pure; a part is a path to
read, the fields that must be found there, and the body that makes them so. Applying twice changes nothing.
What cannot be changed once made (the type of a mount or key) is told, never replaced. Connections and roles of
databases hold an administrator's password and the site's own SQL: they are looked for, not made.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spe.adapters.secrets.rules import PORT
from spe.adapters.secrets.vault.layout import Layout, lease_policy, portal_policy
from spe.adapters.secrets.vault.link import Answer, Link
from spe.domain.errors import Rejected
from spe.ports.secrets import MAC_KEYS, SIGNING_KEYS, SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesAccess:
    """Who logs in from a cluster: service accounts of one namespace, with tokens for one audience.

    With `host` and `ca_file` the login method's own settings are part of the setup as well; without, the
    site has set it up. `reviewer_file` holds the token with which Vault asks the API server about others; a
    token for Vault's own audience cannot ask, so a Vault outside the cluster needs one.
    """

    namespace: str
    accounts: tuple[str, ...] = ("portal", "reconciler")
    audience: str = "spe-vault"
    mount: str = "kubernetes"
    host: str = ""
    ca_file: Path | None = None
    reviewer_file: Path | None = None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that Vault must have: `fields` found at `path`; `body` written to `target` makes it so."""

    kind: str
    name: str
    path: str
    fields: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    fixed: frozenset[str] = frozenset()
    remedy: str = ""

    @property
    def shown(self) -> dict[str, Any]:
        """The body for people: what is secret in it is not shown."""
        return {name: "(hidden)" if isinstance(each, SecretValue) else each for name, each in self.body.items()}

    def written(self) -> SecretValue:
        """The body as JSON."""
        return SecretValue(json.dumps({name: _revealed(each) for name, each in self.body.items()}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one part stands: `missing`, or the fields that differ as (field, found, wanted); neither: as it should be."""

    part: Part
    missing: bool = False
    differs: tuple[tuple[str, Any, Any], ...] = ()

    @property
    def well(self) -> bool:
        """Whether nothing is to be done."""
        return not self.missing and not self.differs

    @property
    def stuck(self) -> str:
        """Why it cannot be made so by writing it; empty when it can."""
        if self.well:
            return ""
        if self.part.remedy:
            return self.part.remedy
        held = [name for name, _, _ in self.differs if name in self.part.fixed]
        return f"{', '.join(held)} cannot be changed once made; move it away by hand" if held else ""


class Setup:
    """The parts of one environment, and how they stand in the Vault behind `link`, an administrator's."""

    def __init__(
        self,
        link: Link,
        instance: str,
        *,
        access: KubernetesAccess | None = None,
        databases: frozenset[str] = frozenset(),
    ) -> None:
        self._link = link
        self._layout = Layout(instance=instance)
        self._access = access
        self._databases = databases

    def parts(self) -> tuple[Part, ...]:
        """Everything that is needed, in the order in which it is made."""
        accessor = str(Link.demand(self._link.read("sys/auth/token")).data.get("accessor", ""))
        layout = self._layout
        return (
            *_mounts(layout, bool(self._databases)),
            *_keys(layout),
            _policy(layout.portal_policy, portal_policy(layout)),
            _policy(layout.lease_policy, lease_policy(layout, accessor)),
            *(_access(self._access, layout) if self._access else ()),
            *(_database(layout, name) for name in sorted(self._databases)),
        )

    def look(self) -> tuple[Finding, ...]:
        """How each part stands."""
        return tuple(self._finding(part) for part in self.parts())

    def apply(self) -> tuple[Finding, ...]:
        """Make what is missing or differs; returns what was found before. What is `stuck` stays as it is.

        `Rejected` when Vault does not take a part, or shows another one than was written.
        """
        seen = []
        for part in self.parts():
            finding = self._finding(part)
            seen.append(finding)
            if finding.well or finding.stuck:
                continue
            answer = self._link.write(part.target or part.path, part.written())
            if not answer.well:
                raise Rejected(PORT, f"{part.kind} {part.name}: {' '.join(answer.errors) or answer.status}")
            after = self._finding(part)
            if not after.well:
                raise Rejected(PORT, f"{part.kind} {part.name} is not as it was written: {_told(after)}")
        return tuple(seen)

    def _finding(self, part: Part) -> Finding:
        answer = self._link.read(part.path)
        if answer.status in (400, 404):
            return Finding(part=part, missing=True)
        found = _flat(Link.demand(answer))
        pairs = ((name, found.get(name), wanted) for name, wanted in part.fields.items())
        return Finding(part=part, differs=tuple(pair for pair in pairs if not _same(pair[1], pair[2])))


def _mounts(layout: Layout, databases: bool) -> Iterator[Part]:
    yield _mount(layout.secrets, "kv", {"version": "2"})
    yield Part(
        kind="mount settings",
        name=layout.secrets,
        path=f"{layout.secrets}/config",
        fields={"max_versions": 1},
        body={"max_versions": 1},
    )
    yield _mount(layout.leases, "kv", {"version": "1"})
    yield _mount(layout.keys, "transit", {})
    if databases:
        yield _mount(layout.database, "database", {})


def _mount(path: str, kind: str, options: Mapping[str, str]) -> Part:
    fields = {"type": kind, **{f"options.{name}": value for name, value in options.items()}}
    return Part(
        kind="mount",
        name=path,
        path=f"sys/mounts/{path}",
        fields=fields,
        body={"type": kind, "options": dict(options)},
        fixed=frozenset(fields),
    )


def _keys(layout: Layout) -> Iterator[Part]:
    closed = {"exportable": False, "allow_plaintext_backup": False}
    for key in sorted(SIGNING_KEYS | MAC_KEYS):
        shape: dict[str, Any] = {"type": "ed25519"} if key in SIGNING_KEYS else {"type": "hmac", "key_size": 32}
        yield Part(
            kind="key",
            name=key.value,
            path=f"{layout.keys}/keys/{key}",
            fields={"type": shape["type"], **closed, "derived": False},
            body={**shape, **closed},
            fixed=frozenset({"type", "derived", "exportable", "allow_plaintext_backup"}),
        )
        lasting = {"deletion_allowed": False, "auto_rotate_period": 0, "min_encryption_version": 0}
        yield Part(
            kind="key settings",
            name=key.value,
            path=f"{layout.keys}/keys/{key}",
            fields=lasting,
            body=lasting,
            target=f"{layout.keys}/keys/{key}/config",
        )


def _policy(name: str, text: str) -> Part:
    return Part(
        kind="policy", name=name, path=f"sys/policies/acl/{name}", fields={"policy": text}, body={"policy": text}
    )


def _access(access: KubernetesAccess, layout: Layout) -> Iterator[Part]:
    yield Part(
        kind="login method",
        name=access.mount,
        path=f"sys/auth/{access.mount}",
        fields={"type": "kubernetes"},
        body={"type": "kubernetes"},
        fixed=frozenset({"type"}),
    )
    if access.host and access.ca_file is not None:
        fields: dict[str, Any] = {
            "kubernetes_host": access.host,
            "kubernetes_ca_cert": access.ca_file.read_text().strip(),
            "disable_local_ca_jwt": True,
        }
        reviewer = access.reviewer_file
        yield Part(
            kind="login settings",
            name=access.mount,
            path=f"auth/{access.mount}/config",
            fields={**fields, **({"token_reviewer_jwt_set": True} if reviewer else {})},
            body={**fields, **({"token_reviewer_jwt": SecretValue(reviewer.read_text().strip())} if reviewer else {})},
        )
    role = {
        "bound_service_account_names": sorted(access.accounts),
        "bound_service_account_namespaces": [access.namespace],
        "audience": access.audience,
        "alias_name_source": "serviceaccount_uid",
        "token_policies": [layout.portal_policy],
        "token_no_default_policy": True,
        "token_type": "service",
        "token_ttl": 900,
        "token_explicit_max_ttl": 3600,
        "token_bound_cidrs": sorted(access.networks),
    }
    yield Part(
        kind="login role",
        name=layout.instance,
        path=f"auth/{access.mount}/role/{layout.instance}",
        fields=role,
        body=role,
    )


def _database(layout: Layout, name: str) -> Part:
    path = f"{layout.database}/roles/{layout.stem(name)}"
    return Part(
        kind="database role",
        name=layout.stem(name),
        path=path,
        fields={},
        remedy=f"a database administrator makes the role {path}, with the connection and the SQL of the site",
    )


def _flat(answer: Answer) -> dict[str, Any]:
    """The data with the options of a mount as fields of their own."""
    options = answer.data.get("options")
    named = {f"options.{name}": value for name, value in options.items()} if isinstance(options, Mapping) else {}
    return {**answer.data, **named}


def _revealed(value: Any) -> Any:
    return value.reveal() if isinstance(value, SecretValue) else value


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return sorted(found or []) == wanted
    if isinstance(wanted, str) and isinstance(found, str):
        return found.strip() == wanted.strip()
    return bool(found == wanted)


def _told(finding: Finding) -> str:
    return "; ".join(f"{name} is {found!r}" for name, found, _ in finding.differs) or "it is missing"
