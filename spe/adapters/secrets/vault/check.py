"""Whether a Vault is fit to be used: it answers, is open and recent enough, and holds every part as it should be."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spe.adapters.secrets.vault.link import Link
from spe.adapters.secrets.vault.setup import Finding, Setup
from spe.domain.errors import Unavailable

FLOORS: Mapping[int, tuple[int, ...]] = {1: (1, 19, 0), 2: (2, 6, 4)}
"""Lowest version by generation: HashiCorp Vault 1.x; OpenBao 2.x (earlier ones have open advisories, security note)."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at: what was seen, and what mends it when it is not well."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


def standing(link: Link) -> tuple[Check, ...]:
    """Whether it answers, is open and recent enough; what anybody may ask."""
    try:
        health = link.health()
    except Unavailable as error:
        return (Check(name="health", ok=False, seen=str(error), remedy="Look at address, CA file and server."),)
    return (_health(health), _version(str(health.get("version", ""))))


def examine(link: Link, setup: Setup) -> tuple[Check, ...]:
    """Health first; the parts only when Vault is open, under the administrator's login of `setup`."""
    first = standing(link)
    if not first[0].ok:
        return first
    try:
        findings = setup.look()
    except Unavailable as error:
        remedy = "Give the token of an administrator who may read mounts, policies, keys and roles."
        return (*first, Check(name="setup", ok=False, seen=str(error), remedy=remedy))
    return (*first, *map(_part, findings))


def differences(finding: Finding) -> tuple[str, ...]:
    """What is not as it should be, one sentence each; long texts are not repeated."""
    if finding.missing:
        return ("missing",)
    return tuple(
        f"{name}: the text differs" if name == "policy" else f"{name} is {found!r}, should be {wanted!r}"
        for name, found, wanted in finding.differs
    )


def changes(finding: Finding) -> tuple[str, ...]:
    """What writing the part would change, line by line as in a patch; of a policy its text, else nothing."""
    texts = [(str(found), wanted) for name, found, wanted in finding.differs if name == "policy"]
    return tuple(
        line
        for found, wanted in texts
        for line in difflib.unified_diff(found.splitlines(), wanted.splitlines(), "found", "wanted", n=1, lineterm="")
    )


def _health(health: Mapping[str, Any]) -> Check:
    ills = {
        "is not initialised": health.get("initialized") is not True,
        "is sealed": health.get("sealed") is not False,
        "is on standby": health.get("standby") is not False,
        "is a replica for performance": bool(health.get("performance_standby")),
    }
    found = [ill for ill, there in ills.items() if there]
    return Check(
        name="health",
        ok=not found,
        seen=f"Vault {' and '.join(found)}" if found else "Vault is active and unsealed",
        remedy="Name the address of the active server; let the operators of Vault initialise or unseal it.",
    )


def _version(text: str) -> Check:
    found = _VERSION.match(text)
    version = tuple(map(int, found.groups())) if found else ()
    floor = FLOORS.get(version[0]) if version else None
    return Check(
        name="version",
        ok=floor is not None and version >= floor,
        seen=f"version {text or 'unknown'}",
        remedy=f"Use Vault {_dotted(1)} or later, or OpenBao {_dotted(2)} or later.",
    )


def _dotted(generation: int) -> str:
    return ".".join(map(str, FLOORS[generation]))


def _part(finding: Finding) -> Check:
    told = finding.stuck or "run `spe vault setup --apply`"
    return Check(
        name=f"{finding.part.kind} {finding.part.name}",
        ok=finding.well,
        seen="as it should be" if finding.well else "; ".join(differences(finding)),
        remedy=f"{told[0].upper()}{told[1:]}.",
    )
