"""What a gate is told: about itself, and one entry for each person who may enter. Pure."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from spe.adapters.cluster.kubernetes.names import Names
from spe.adapters.cluster.kubernetes.site import Site
from spe.domain.permit import Limits
from spe.ports.cluster import SessionPlace

HUB_PORT = 8081
MIRROR_PORT = 8080
_LONGEST_NAME = 200


def about_itself(site: Site, own: Names, *, permit: str) -> dict[str, Any]:
    """The part that is the same for everybody."""
    gate, services = site.gate, site.services
    assets = {"lab": gate.lab, "server": gate.server}
    return {
        "workspace": own.workspace,
        "permit": permit,
        "hub": _at(services.hub, HUB_PORT),
        "mirror": _at(services.mirror, MIRROR_PORT) if services.mirror else None,
        "mirror_names": sorted(gate.mirror_names),
        "assets": {**assets, **({"extensions": gate.extensions} if gate.extensions else {})},
        "deadline_seconds": gate.deadline_seconds,
        "public_origins": list(gate.public_origins),
        "portal_url": gate.portal_url,
    }


def everything(
    site: Site, own: Names, *, permit: str, limits: Limits, places: Iterable[SessionPlace]
) -> dict[str, Any]:
    """The whole configuration; a place's address is for the portal to say."""
    return {
        "gate": about_itself(site, own, permit=permit),
        "sessions": [_session(site, own, limits, place) for place in sorted(places, key=lambda place: place.person)],
    }


def digest(part: Any) -> str:
    """Tells one document from another."""
    return "sha256:" + hashlib.sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _session(site: Site, own: Names, limits: Limits, place: SessionPlace) -> dict[str, Any]:
    return {
        "person": place.person,
        "name": "".join(c if c.isprintable() else " " for c in place.name)[:_LONGEST_NAME],
        "base_url": f"/user/{place.person}/{own.workspace}/",
        "address": None,
        "daily_bytes": limits.daily_bytes,
        "message_bytes": site.gate.message_bytes,
        "terminals": site.gate.terminals,
        "expires": place.expires.isoformat(),
    }


def _at(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
