"""From files in `policies/` to frozen values. A document that is wrong in any way is refused as a whole.

Disclosure policies stand in `policies/disclosure/*.yaml`, one per file, the file named after the policy;
what the house itself allows stands beside them.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import spe
from spe.disclosure.parameters import unknown
from spe.disclosure.settings import CheckSetting, DisclosurePolicy, Part, read_settings
from spe.domain.canonical import Json, canonical, digest_of
from spe.domain.errors import Invalid
from spe.domain.signin import Requirement
from spe.policy.disclosure import DisclosurePolicies, DisclosureProfile
from spe.policy.documents import DisclosureDocument, read_disclosure
from spe.policy.house import read_roles, read_rules
from spe.policy.plainyaml import read_yaml
from spe.policy.policyset import PolicySet

VARIABLE: Final = "SPE_POLICIES"
_SOURCE: Final = Path(spe.__file__).resolve().parent.parent


def policies_folder(chosen: Path | None = None) -> Path:
    """Where policies are: as chosen, else `SPE_POLICIES`, else beside the package, else installed. Raises Invalid."""
    named = chosen or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        if not (named / "disclosure").is_dir():
            raise Invalid({"policies": f"{named} holds no folder `disclosure` with policies; name another folder."})
        return named
    for folder in (_SOURCE / "policies", Path(sys.prefix) / "share" / "spe" / "policies"):
        if (folder / "disclosure").is_dir():
            return folder
    raise Invalid({"policies": f"No policies were found; name their folder with --policies or {VARIABLE}."})


def read_policies(folder: Path) -> PolicySet:
    """Everything in `folder` as one set with a digest. Raises Invalid when any document is wrong."""
    roles = read_roles(folder / "roles.yaml")
    rules = read_rules(folder / "rules.yaml")
    known = load_disclosure(folder)
    disclosure = {name: profile.policy for name, profile in known.profiles.items()}
    found = PolicySet(
        permissions=roles.permissions,
        exclusive=roles.exclusive,
        sign_in=roles.sign_in,
        disclosure=disclosure,
        rules=rules,
    )
    return replace(found, digest=_digest(found))


def load_disclosure(folder: Path) -> DisclosurePolicies:
    """Every disclosure policy below `folder`. Raises Invalid when one is wrong, or when there is none."""
    names = sorted(path.stem for path in (folder / "disclosure").glob("*.yaml"))
    if not names:
        raise Invalid({"policies": f"There is no disclosure policy in {folder / 'disclosure'}."})
    return DisclosurePolicies(profiles={name: load_profile(folder, name) for name in names})


def load_profile(folder: Path, name: str) -> DisclosureProfile:
    """One disclosure policy by name, with what it extends. Raises Invalid, listing the known ones."""
    paths = {path.stem: path for path in (folder / "disclosure").glob("*.yaml")}
    if name not in paths:
        known = ", ".join(sorted(paths)) or "none"
        raise Invalid(
            {"policy": f"There is no policy {name!r}: {unknown(name, paths, 'policy')} Known policies: {known}."}
        )
    profile = read_profile(paths[name], folder)
    if profile.name != name:
        raise Invalid({f"{name}.yaml: name": f"The file is called {name}, so the policy must be, too."})
    return profile


def read_profile(path: Path, folder: Path, above: tuple[str, ...] = ()) -> DisclosureProfile:
    """A policy from any file; what it extends is looked up in `folder`. Raises Invalid."""
    document = read_disclosure(read_yaml(path), path.name)
    base, because = _base(document, folder, (*above, document.name))
    checks, reasons = _split(document.checks, path.name)
    try:
        settings = read_settings(checks, base)
        policy = DisclosurePolicy(parts=(Part(name=document.name, version=document.version),), settings=settings)
    except Invalid as error:
        raise Invalid({f"{path.name}: {name}": text for name, text in error.fields.items()}) from error
    return DisclosureProfile(
        name=document.name,
        version=document.version,
        title=document.title,
        owner=document.owner,
        sources=tuple(document.sources),
        policy=policy,
        because={**because, **reasons},
    )


def _base(
    document: DisclosureDocument, folder: Path, above: tuple[str, ...]
) -> tuple[tuple[CheckSetting, ...], Mapping[str, str]]:
    if document.extends is None:
        return (), {}
    if document.extends in above:
        raise Invalid({f"{document.name}.yaml: extends": "The policies extend each other in a circle."})
    path = folder / "disclosure" / f"{document.extends}.yaml"
    if not path.is_file():
        known = sorted(one.stem for one in path.parent.glob("*.yaml"))
        raise Invalid({f"{document.name}.yaml: extends": unknown(document.extends, known, "policy")})
    profile = read_profile(path, folder, above)
    return profile.policy.settings, profile.because


def _split(checks: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of each check, and the reasons given with them."""
    settings: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for check, given in checks.items():
        rest = dict(given or {})
        because = rest.pop("because", "")
        if not isinstance(because, str):
            raise Invalid({f"{where}: checks.{check}.because": "This must be a sentence."})
        settings[check] = rest
        if because:
            reasons[check] = because
    return settings, reasons


def _digest(found: PolicySet) -> str:
    permissions = {role.value: sorted(one.value for one in held) for role, held in found.permissions.items()}
    body: dict[str, Json] = {
        "permissions": permissions,
        "sign_in": {role.value: _asked(one) for role, one in found.sign_in.items()},
        "exclusive": sorted(sorted(role.value for role in pair) for pair in found.exclusive),
        "disclosure": {name: policy.digest for name, policy in found.disclosure.items()},
        "rules": {name: getattr(found.rules, name) for name in found.rules.__dataclass_fields__},
    }
    return digest_of(canonical(body))


def _asked(one: Requirement) -> dict[str, Json]:
    listed: dict[str, Json] = {name: sorted(getattr(one, name)) for name in ("acr", "amr", "assurance")}
    return {**listed, "hours": one.hours}
