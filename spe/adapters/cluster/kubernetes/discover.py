"""Addresses that follow from the cluster: what gates speak to, and what no notebook may reach.

Looked up once at start. A gate and a probe are told addresses, so that neither needs to look up a name.
"""

from collections.abc import Iterable

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.kinds import ENDPOINTS, SERVICE, Document, labels_of, name_of
from spe.adapters.cluster.kubernetes.site import Services
from spe.domain.errors import Rejected

_DNS = {"k8s-app": "kube-dns"}


def services(api: Api, release_namespace: str, *, mirror: bool = False) -> Services:
    """The Services that gates use. Raises `Rejected` for one that is not there, `Unavailable`."""

    def address(name: str) -> str:
        found = api.find(SERVICE, name, release_namespace)
        given = str((found or {}).get("spec", {}).get("clusterIP") or "")
        if given in ("", "None"):
            raise Rejected("cluster", f"the Service {name} in {release_namespace} has no address")
        return given

    return Services(
        portal_internal=address("portal-internal"), hub=address("hub"), mirror=address("mirror") if mirror else ""
    )


def forbidden(api: Api, release_namespace: str, *, also: Iterable[str] = ()) -> tuple[str, ...]:
    """Places that notebooks must find closed: the API server, the name servers, every Service of ours, and `also`.

    The API server stands there by its Service and by its own addresses: its own ingress is open to all pods, so a
    closed door there is the workspace's doing.
    """
    found = [
        *(place for item in (api.find(SERVICE, "kubernetes", "default"),) if item for place in places_of(item)),
        *(place for item in api.all(ENDPOINTS, "default") if _is_api_server(item) for place in endpoints_of(item)),
        *(place for item in api.all(SERVICE, "kube-system", labels=_DNS) for place in places_of(item)),
        *(place for item in api.all(SERVICE, release_namespace) for place in places_of(item)),
        *also,
    ]
    if not any(place.startswith("tcp:") for place in found):
        raise Rejected("cluster", "it names no API server; the seal cannot be looked at without one")
    return tuple(dict.fromkeys(found))


def places_of(service: Document) -> list[str]:
    """Every port of a Service at its first address; none when it has no address of its own."""
    address = str(service["spec"].get("clusterIP") or "None")
    if address == "None":
        return []
    return [_place(port, address, port["port"]) for port in service["spec"].get("ports") or []]


def endpoints_of(item: Document) -> list[str]:
    """Every address and port of an EndpointSlice."""
    return [
        _place(port, address, port["port"])
        for endpoint in item.get("endpoints") or []
        for address in endpoint.get("addresses") or []
        for port in item.get("ports") or []
        if item.get("addressType") != "FQDN" and port.get("port")
    ]


def _is_api_server(item: Document) -> bool:
    return labels_of(item).get("kubernetes.io/service-name") == "kubernetes" or name_of(item) == "kubernetes"


def _place(port: Document, address: str, number: int) -> str:
    protocol = str(port.get("protocol", "TCP")).lower()
    return f"{protocol}:{f'[{address}]' if ':' in address else address}:{number}"
