"""What every pod of ours has in common: no rights, no names to look up, no network but what policies give (B2)."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.site import Site

USER = 1000


def bounded(site: Site) -> Document:
    """The part of a pod's `spec` that is the same for gates and probes."""
    return {
        "automountServiceAccountToken": False,
        # Without a name server the API refuses the policy; this one answers "no" at once.
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "enableServiceLinks": False,
        "securityContext": {
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsGroup": USER,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"supplementalGroupsPolicy": "Strict"} if site.features.strict_groups else {}),
            **({"appArmorProfile": {"type": "RuntimeDefault"}} if site.features.apparmor else {}),
        },
        **({"hostUsers": False} if site.features.user_namespaces else {}),
        **({"nodeSelector": dict(site.node_selector)} if site.node_selector else {}),
    }


def locked() -> Document:
    """A container's security context."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
