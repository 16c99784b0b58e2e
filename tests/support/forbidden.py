"""What must not get into a workspace, sent by whom, and the rules either of which may be the one that says so.

One description of each attempt serves twice: it is evaluated without an API server, and sent to a real one.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.workspace_objects import Document, Workspace

DIGEST = "sha256:" + "0" * 64
HUB, MANAGER, WORKSPACE_ACCOUNT, ADMIN = "hub", "reconciler", "a workspace's account", "a namespace's administrator"
REPLICA_SETS = "system:serviceaccount:kube-system:replicaset-controller"
JOBS = "system:serviceaccount:kube-system:job-controller"
NODE = "system:node:one"
# Refused by others before our rules are asked: Pod Security, or the API server's own look at the object.
ELSEWHERE = ""

# plural: group, version
RESOURCES: Mapping[str, tuple[str, str]] = {
    "pods": ("", "v1"), "services": ("", "v1"), "endpoints": ("", "v1"), "serviceaccounts": ("", "v1"),
    "secrets": ("", "v1"), "resourcequotas": ("", "v1"), "limitranges": ("", "v1"), "namespaces": ("", "v1"),
    "persistentvolumeclaims": ("", "v1"), "persistentvolumes": ("", "v1"), "replicationcontrollers": ("", "v1"),
    "endpointslices": ("discovery.k8s.io", "v1"), "ingresses": ("networking.k8s.io", "v1"),
    "networkpolicies": ("networking.k8s.io", "v1"), "roles": ("rbac.authorization.k8s.io", "v1"),
    "rolebindings": ("rbac.authorization.k8s.io", "v1"), "deployments": ("apps", "v1"), "replicasets": ("apps", "v1"),
    "statefulsets": ("apps", "v1"), "daemonsets": ("apps", "v1"), "jobs": ("batch", "v1"), "cronjobs": ("batch", "v1"),
    "horizontalpodautoscalers": ("autoscaling", "v2"),
}  # fmt: skip
CLUSTER_WIDE = {"namespaces", "persistentvolumes"}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """`body` is the object for CREATE, a merge patch for UPDATE. `rules` empty: it must get in."""

    name: str
    by: str
    operation: str
    resource: str
    target: str = ""
    sub: str = ""
    body: Document | None = None
    rules: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.name} by {self.by}"


Change = Callable[[Document], None]
_SERVER: tuple[str | int, ...] = ("spec", "containers", 0)
_SEAL: tuple[str | int, ...] = ("spec", "initContainers", 0)
_VOLUMES, _MOUNTS = ("spec", "volumes"), (*_SERVER, "volumeMounts")
_ENV = (*_SERVER, "env")


def _part(pod: Document, path: tuple[str | int, ...]) -> Any:
    part: Any = pod
    for step in path:
        part = part[step]
    return part


def _set(*path: str | int, to: Any) -> Change:
    def change(pod: Document) -> None:
        _part(pod, path[:-1])[path[-1]] = to

    return change


def _drop(*path: str | int) -> Change:
    def change(pod: Document) -> None:
        del _part(pod, path[:-1])[path[-1]]

    return change


def _add(*path: str | int, item: Any) -> Change:
    def change(pod: Document) -> None:
        _part(pod, path).append(item)

    return change


def _cut(*path: str | int, to: int) -> Change:
    def change(pod: Document) -> None:
        del _part(pod, path)[to:]

    return change


def _value(name: str, value: str) -> Change:
    def change(pod: Document) -> None:
        next(entry for entry in _part(pod, _ENV) if entry["name"] == name)["value"] = value

    return change


def _both(*changes: Change) -> Change:
    def change(pod: Document) -> None:
        for one in changes:
            one(pod)

    return change


def _volume(**source: Any) -> Change:
    return _add(*_VOLUMES, item={"name": "more", **source})


def _another(kind: str, **fields: Any) -> Change:
    """One more container beside or before."""

    def change(pod: Document) -> None:
        extra = {**copy.deepcopy(pod["spec"]["initContainers"][0]), "name": "more", **fields}
        pod["spec"].setdefault(kind, []).append(extra)

    return change


def _shorter(pod: Document) -> None:
    for container in (_part(pod, _SEAL), _part(pod, _SERVER)):
        container["image"] = container["image"][1:]


_EXEC = {"exec": {"command": ["true"]}}
_OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "0"}
_PROJECTED = {"sources": [{"serviceAccountToken": {"path": "token", "audience": "spe-portal"}}]}

# What the Hub might send instead of the canonical pod.
PODS: tuple[tuple[str, Change, str], ...] = (
    ("the node's network", _set("spec", "hostNetwork", to=True), "E03 P01 "),
    ("the node's processes", _set("spec", "hostPID", to=True), "E03 P01 "),
    ("the node's shared memory", _set("spec", "hostIPC", to=True), "E03 P01 "),
    ("shared processes", _set("spec", "shareProcessNamespace", to=True), "E03 P18"),
    ("an account's token", _set("spec", "automountServiceAccountToken", to=True), "P03 P04 P07 E06 E11 E12"),
    ("a projected token", _volume(projected=_PROJECTED), "E11 P04 P07"),
    ("Services in the environment", _set("spec", "enableServiceLinks", to=True), "P05"),
    ("an image by its tag", _set(*_SERVER, "image", to="localhost/spe/notebook:1"), "E08 P06"),
    ("another image", _set(*_SERVER, "image", to=f"localhost/spe/notebook@{DIGEST}"), "E08 P06"),
    ("an image whose name is part of an allowed one", _shorter, "P06"),
    ("an image that is always pulled", _set(*_SERVER, "imagePullPolicy", to="Always"), "E08"),
    ("a folder of the node", _volume(hostPath={"path": "/"}), "E11 P07 "),
    ("a ConfigMap", _volume(configMap={"name": "kube-root-ca.crt"}), "E11 P07"),
    ("a Secret", _volume(secret={"secretName": "x"}), "E11 P07"),
    ("a file server", _volume(nfs={"server": "10.0.0.1", "path": "/"}), "E11 P07 "),
    ("a driver's volume", _volume(csi={"driver": "x.example"}), "E11 P07 "),
    ("a claim made for it", _volume(ephemeral={"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}}), "E11 P07"),
    ("a dataset under an innocent name", _volume(persistentVolumeClaim={"claimName": "ds-0123456789ab"}), "E11 P08"),
    ("a dataset's claim to write", _drop(*_VOLUMES, 4, "persistentVolumeClaim", "readOnly"), "E11 P08"),
    ("a dataset mounted to write",
     _both(_drop(*_MOUNTS, 5, "readOnly"), _drop(*_MOUNTS, 5, "recursiveReadOnly")), "E12 P09"),
    ("a dataset with writable mounts below", _drop(*_MOUNTS, 5, "recursiveReadOnly"), "E12 P09"),
    ("a part of a dataset", _set(*_MOUNTS, 5, "subPath", to="x"), "E12 P10"),
    ("a dataset in the home", _set(*_MOUNTS, 5, "mountPath", to="/home/researcher/data"), "E12"),
    ("a mount that spreads", _set(*_MOUNTS, 0, "mountPropagation", to="HostToContainer"), "E12 P10"),
    ("a part by a variable",
     _both(_drop(*_MOUNTS, 0, "subPath"), _set(*_MOUNTS, 0, "subPathExpr", to="$(HOME)")), "E12 P10"),
    ("the whole home", _drop(*_MOUNTS, 0, "subPath"), "E12"),
    ("a mount over the system", _set(*_MOUNTS, 3, "mountPath", to="/etc"), "E12"),
    ("a block device",
     _both(_volume(persistentVolumeClaim={"claimName": "shared"}),
           _set(*_SERVER, "volumeDevices", to=[{"name": "more", "devicePath": "/dev/x"}])), "E07 E11 P10"),
    ("another person's home",
     _set(*_VOLUMES, 0, "persistentVolumeClaim", "claimName", to="home-p-zzzzzzzzzzzzzzzz"), "E11"),
    ("the gate's counters", _set(*_VOLUMES, 1, "persistentVolumeClaim", "claimName", to="gate"), "E11"),
    ("temporary files on the node's disk", _set(*_VOLUMES, 2, "emptyDir", to={"sizeLimit": "1Mi"}), "E11"),
    ("a writable image", _set(*_SERVER, "securityContext", "readOnlyRootFilesystem", to=False), "P11"),
    ("more rights by a program", _set(*_SERVER, "securityContext", "allowPrivilegeEscalation", to=True), "P11 "),
    ("all rights", _set(*_SERVER, "securityContext", "privileged", to=True), "P11 "),
    ("one right", _set(*_SERVER, "securityContext", "capabilities", "add", to=["NET_BIND_SERVICE"]), "P11"),
    ("rights kept", _set(*_SERVER, "securityContext", "capabilities", to={"drop": ["NET_RAW"]}), "P11 "),
    ("no bounds", _set(*_SERVER, "resources", to={}), "E08 P12"),
    ("more memory than set aside", _set(*_SERVER, "resources", "requests", "memory", to="1Mi"), "E08"),
    ("the cluster's names", _both(_set("spec", "dnsPolicy", to="ClusterFirst"), _drop("spec", "dnsConfig")), "E04 P13"),
    ("a name server", _set("spec", "dnsConfig", "nameservers", to=["10.202.0.10"]), "E04 P13"),
    ("names of its own", _set("spec", "hostAliases", to=[{"ip": "10.0.0.1", "hostnames": ["hub"]}]), "E03"),
    ("another permit", _set("metadata", "labels", "spe.local/permit", to="pm-zzzzzzzzzzzzzzzz"), "E02 P14"),
    ("another workspace", _set("metadata", "labels", "spe.local/workspace", to="ws-zzzzzzzzzzzzzzzz"), "E02 E09 P14"),
    ("the gate's role", _set("metadata", "labels", "spe.local/role", to="gate"), "E02"),
    ("no role", _drop("metadata", "labels", "spe.local/role"), "E02"),
    ("one more label", _set("metadata", "labels", "app.kubernetes.io/component", to="portal"), "E02"),
    ("no person", _drop("metadata", "labels", "spe.local/person"), "E01 E02 E09 E11"),
    ("an annotation", _set("metadata", "annotations", to={"sidecar.example/inject": "true"}), "E01"),
    ("a finalizer", _set("metadata", "finalizers", to=["x.example/stay"]), "E01"),
    ("an owner", _set("metadata", "ownerReferences", to=[_OWNER]), "E01"),
    ("another name", _set("metadata", "name", to="nb-p-zzzzzzzzzzzzzzzz-1"), "E01"),
    ("a node of its choice", _set("spec", "nodeName", to="node"), "E03 P15"),
    ("a kind of node", _set("spec", "nodeSelector", to={"a": "b"}), "E03"),
    ("an affinity", _set("spec", "affinity", to={"podAntiAffinity": {}}), "E03"),
    ("another scheduler", _set("spec", "schedulerName", to="mine"), "E04 P15"),
    ("every node", _set("spec", "tolerations", to=[{"operator": "Exists"}]), "P15"),
    ("a port of the node", _set(*_SERVER, "ports", 0, "hostPort", to=8888), "E10 P16 "),
    ("another port", _set(*_SERVER, "ports", 0, "containerPort", to=22), "E10"),
    ("no end", _drop("spec", "activeDeadlineSeconds"), "E04 P17"),
    ("days of time", _set("spec", "activeDeadlineSeconds", to=10**6), "E04 P17"),
    ("a grace of a day", _set("spec", "terminationGracePeriodSeconds", to=86400), "E04"),
    ("restarts", _set("spec", "restartPolicy", to="Always"), "E04"),
    ("a hook", _set(*_SERVER, "lifecycle", to={"postStart": _EXEC}), "E07 P19"),
    ("a probe that runs a program", _set(*_SERVER, "livenessProbe", to=_EXEC), "E07 P19"),
    ("one more container", _another("containers"), "E07"),
    ("one more first container", _another("initContainers"), "E06"),
    ("a companion for life", _another("initContainers", restartPolicy="Always"), "E06 P18"),
    ("no seal probe", _drop("spec", "initContainers"), "E06"),
    ("a seal probe for life", _set(*_SEAL, "restartPolicy", to="Always"), "E06 P18"),
    ("a seal probe that tries nothing", _cut(*_SEAL, "command", to=4), "E06"),
    ("a seal probe that asks elsewhere", _set(*_SEAL, "command", 3, to="http://10.0.0.1:8081/hello"), "E06"),
    ("a seal probe with a program of its own", _set(*_SEAL, "command", 2, to="/home/researcher/seal.py"), "E06"),
    ("a seal probe that sees the home", _set(*_SEAL, "volumeMounts", to=[{"name": "home", "mountPath": "/h"}]), "E06"),
    ("another command", _set(*_SERVER, "command", to=["sleep", "3600"]), "E07"),
    ("one more flag", _add(*_SERVER, "command", item="--ServerApp.token="), "E07"),
    ("arguments", _set(*_SERVER, "args", to=["--debug"]), "E07"),
    ("another folder to work in", _set(*_SERVER, "workingDir", to="/tmp"), "E07"),
    ("an input", _set(*_SERVER, "stdin", to=True), "E07"),
    ("a variable of its own", _add(*_ENV, item={"name": "LD_PRELOAD", "value": "/home/researcher/x.so"}), "E09"),
    ("a variable twice", _add(*_ENV, item={"name": "HOME", "value": "/home/researcher"}), "E09"),
    ("a variable from the pod", _add(*_ENV, item={"name": "JUPYTERHUB_HOST2", "valueFrom": {
        "fieldRef": {"fieldPath": "spec.nodeName"}}}), "E09 P19"),
    ("variables from a Secret", _set(*_SERVER, "envFrom", to=[{"secretRef": {"name": "x"}}]), "E07 P19"),
    ("another door", _value("SPE_DOOR", "http://gate.example:8081"), "E06 E09"),
    ("another Hub", _value("JUPYTERHUB_API_URL", "http://10.0.0.1:8081/hub/api"), "E09"),
    ("another person by variable", _value("JUPYTERHUB_USER", "p-zzzzzzzzzzzzzzzz"), "E09"),
    ("open to strangers", _value("JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS", "1"), "E09"),
    ("readiness of its own", _set("spec", "readinessGates", to=[{"conditionType": "x.example/y"}]), "E03"),
    ("a hold on scheduling", _set("spec", "schedulingGates", to=[{"name": "x.example/y"}]), "E03"),
    ("devices", _set("spec", "resourceClaims", to=[{"name": "x", "resourceClaimName": "y"}]), "E03"),
    ("a credential for images", _set("spec", "imagePullSecrets", to=[{"name": "x"}]), "E03"),
    ("a name in the network", _both(_set("spec", "hostname", to="gate"), _set("spec", "subdomain", to="x")), "E03"),
    ("the gate's account", _set("spec", "serviceAccountName", to="gate"), "E04"),
    ("root",
     _both(_set("spec", "securityContext", "runAsUser", to=0),
           _set("spec", "securityContext", "runAsNonRoot", to=False)), "E05 "),
    ("another user", _set("spec", "securityContext", "runAsUser", to=1001), "E05"),
    ("another group", _set("spec", "securityContext", "supplementalGroups", to=[0]), "E05"),
    ("all calls of the kernel", _set("spec", "securityContext", "seccompProfile", to={"type": "Unconfined"}), "E05 "),
    ("a setting of the kernel", _set("spec", "securityContext", "sysctls", to=[
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]), "E05"),
    ("another user for the container", _set(*_SERVER, "securityContext", "runAsUser", to=0), "E08 P11 "),
)  # fmt: skip


def attempts(workspace: Workspace) -> Iterator[Attempt]:
    """All that must be refused."""
    for name, change, rules in PODS:
        pod = copy.deepcopy(workspace.notebook)
        change(pod)
        yield Attempt(
            name=f"a pod with {name}",
            by=HUB,
            operation="CREATE",
            resource="pods",
            body=pod,
            rules=frozenset(rules.split(" ")),
        )
    yield from _others(workspace)


def _others(own: Workspace) -> Iterator[Attempt]:
    senders = (ADMIN, WORKSPACE_ACCOUNT, HUB)
    pod = own.notebook["metadata"]["name"]

    def of(rules: str, operation: str, resource: str, name: str, body: Document | None = None, **more: str) -> Any:
        for by in senders:
            yield Attempt(
                name=name,
                by=by,
                operation=operation,
                resource=resource,
                body=body,
                rules=frozenset(rules.split()),
                **more,
            )

    def once(by: str, rules: str, operation: str, resource: str, name: str, body: Any = None, **more: str) -> Attempt:
        return Attempt(
            name=name, by=by, operation=operation, resource=resource, body=body, rules=frozenset(rules.split()), **more
        )

    yield once(ADMIN, "P00", "CREATE", "pods", "the canonical pod", own.notebook)
    yield once(WORKSPACE_ACCOUNT, "P00", "CREATE", "pods", "the canonical pod", own.notebook)
    yield once(ADMIN, "P00 P04 P06 P07 P17", "CREATE", "pods", "a gate", own.gate_pod())
    yield once(HUB, "E01 E02 E03 E04 E06 E07 E09 E11 P04 P06 P07 P17", "CREATE", "pods", "a gate", own.gate_pod())
    yield once(HUB, "E01 E02 E04 E06 E07", "CREATE", "pods", "a probe", own.probe())
    yield once(MANAGER, "S01 S02 S03 S04 S05", "CREATE", "pods", "a notebook", own.notebook)
    for door in ("exec", "attach", "portforward", "proxy"):
        yield from of("A01", "CONNECT", "pods", f"{door} into a notebook", target=pod, sub=door)
    yield from of("A01", "CONNECT", "services", "proxy to the gate", target="gate", sub="proxy")

    locked = own.notebook["spec"]["containers"][0]["securityContext"]
    more = {"name": "debug", "image": own.image, "targetContainerName": "notebook", "securityContext": locked}
    change = {"spec": {"ephemeralContainers": [more]}}
    yield from of("A02 A03", "UPDATE", "pods", "one more container", change, target=pod, sub="ephemeralcontainers")
    relabel = {"metadata": {"labels": {"spe.local/role": "gate"}}}
    yield from of("A03", "UPDATE", "pods", "the gate's role for a running pod", relabel, target=pod)
    yield once(HUB, "A03", "UPDATE", "pods", "no role for a running pod", {"metadata": {"labels": None}}, target=pod)
    yield once(ADMIN, "A03", "UPDATE", "pods", "a finalizer", {"metadata": {"finalizers": ["x.example/y"]}}, target=pod)
    yield once(ADMIN, "A03", "UPDATE", "pods", "an earlier end", {"spec": {"activeDeadlineSeconds": 5}}, target=pod)
    other = [{**own.notebook["spec"]["containers"][0], "image": f"localhost/x@{DIGEST}"}]
    changed = {"spec": {"containers": other}}
    yield from of("A03", "UPDATE", "pods", "another image for a running pod", changed, target=pod)
    address = {"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}}
    yield from of("A16", "UPDATE", "pods", "another address", address, target=pod, sub="status")
    node = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": {"kind": "Node", "name": "x"}}
    yield from of("A17", "CREATE", "pods", "a node", node, target=pod, sub="binding")

    def service(**spec: Any) -> Document:
        made = own.service(**spec)
        return {**made, "metadata": {**made["metadata"], "name": "more"}}

    yield from of("A04", "CREATE", "services", "a Service", service())
    for kind in ("NodePort", "LoadBalancer"):
        yield once(MANAGER, "A04", "CREATE", "services", f"a {kind}", service(type=kind))
    outside = service(type="ExternalName", externalName="x.example", selector=None)
    yield once(MANAGER, "A04", "CREATE", "services", "a name outside", outside)
    yield once(MANAGER, "A04", "CREATE", "services", "an address outside", service(externalIPs=["192.0.2.1"]))
    yield once(MANAGER, "A04", "CREATE", "services", "a Service of nobody's pods", service(selector=None))
    away = {"spec": {"selector": {"spe.local/role": "notebook"}}}
    yield from of("A04", "UPDATE", "services", "the gate's Service for notebooks", away, target="gate")
    yield from of("A04", "DELETE", "services", "no Service", target="gate")
    rule = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {
        "service": {"name": "gate", "port": {"number": 8888}}}}]}}  # fmt: skip
    yield from of("A05", "CREATE", "ingresses", "an Ingress", _made("networking.k8s.io/v1", "Ingress", rules=[rule]))
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "more", "labels": {"kubernetes.io/service-name": "gate"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
    }
    yield from of("A05", "CREATE", "endpointslices", "endpoints", slices)

    yield from of("A06", "CREATE", "networkpolicies", "an open network", own.policy("open", ingress=[{}], egress=[{}]))
    yield from of("A06", "DELETE", "networkpolicies", "no deny-all", target="deny-all")
    opened = {"spec": {"egress": [{}]}}
    yield from of("A06", "UPDATE", "networkpolicies", "a deny-all that lets out", opened, target="deny-all")
    for name, peer in (
        ("everybody", {"namespaceSelector": {}}),
        ("every pod here", {"podSelector": {}}),
        ("every address", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
        ("a network", {"ipBlock": {"cidr": "10.0.0.0/8"}}),
    ):
        to = [{"to": [peer], "ports": [{"port": 443}]}]
        yield once(MANAGER, "A06", "CREATE", "networkpolicies", f"a way to {name}", own.policy("open", egress=to))
    gates = {"podSelector": {"matchLabels": {"spe.local/role": "gate"}}}
    every = own.policy("open", egress=[{"to": [gates]}])
    yield once(MANAGER, "A06", "CREATE", "networkpolicies", "a way to every port", every)
    span = own.policy("open", egress=[{"to": [gates], "ports": [{"port": 1, "endPort": 65535, "protocol": "TCP"}]}])
    yield once(MANAGER, "A06", "CREATE", "networkpolicies", "a way to a span of ports", span)

    space = {"target": own.name}
    unmarked = {"metadata": {"labels": {"spe.local/workspace": None, "spe.local/permit": "pm-zzzzzzzzzzzzzzzz"}}}
    yield from of("A07", "UPDATE", "namespaces", "a namespace without mark", unmarked, **space)
    for label, value in (
        ("spe.local/permit", "pm-zzzzzzzzzzzzzzzz"),
        ("spe.local/instance", "other"),
        ("pod-security.kubernetes.io/enforce", "privileged"),
        ("pod-security.kubernetes.io/enforce-version", "v1.20"),
    ):
        relabelled = {"metadata": {"labels": {label: value}}}
        yield once(ADMIN, "A07", "UPDATE", "namespaces", f"a namespace with another {label}", relabelled, **space)
    noted = {"metadata": {"annotations": {"spe.local/seal": "holds"}}}
    yield from of("A07", "UPDATE", "namespaces", "a seal that was not seen", noted, **space)
    yield from of("A07", "DELETE", "namespaces", "no namespace", **space)
    false_one = {**own.namespace, "metadata": {**own.namespace["metadata"], "name": "not-a-workspace"}}
    yield from of("A07", "CREATE", "namespaces", "a false workspace", false_one)

    yield from of("A08", "CREATE", "persistentvolumeclaims", "a claim", own.claim("home-p-zzzzzzzzzzzzzzzz"))
    yield from of("A08", "DELETE", "persistentvolumeclaims", "no counters", target="gate")
    other = own.claim("ds-ffffffffffff", accessModes=["ReadWriteMany"], volumeName=f"{own.name}-ds-ffffffffffff")
    yield once(MANAGER, "A08", "CREATE", "persistentvolumeclaims", "a dataset to write", other)
    other = own.claim("ds-ffffffffffff", accessModes=["ReadOnlyMany"], volumeName="somebody-elses")
    yield once(MANAGER, "A08", "CREATE", "persistentvolumeclaims", "a dataset of another volume", other)
    other = own.claim("ds-ffffffffffff", accessModes=["ReadOnlyMany"], volumeName=f"{own.name}-ds-ffffffffffff")
    yield once("portal", "A08", "CREATE", "persistentvolumeclaims", "a dataset", other)
    copied = own.claim("more", dataSource={"kind": "PersistentVolumeClaim", "name": "home-p-bbbbbbbbbbbbbbbb"})
    yield once("portal", "A08", "CREATE", "persistentvolumeclaims", "a copy of a home", copied)
    chosen = own.claim("home-p-cccccccccccccccc", volumeName="somebody-elses")
    yield once("portal", "A08", "CREATE", "persistentvolumeclaims", "a home on a volume of its choice", chosen)
    yield from of("A08", "CREATE", "persistentvolumes", "a volume of ours", own.volume(f"{own.name}-ds-ffffffffffff"))
    alien = own.volume("alien", claimRef={"name": "ds-ffffffffffff", "namespace": own.name})
    alien["metadata"]["labels"] = {}
    yield once(ADMIN, "A08", "CREATE", "persistentvolumes", "a volume for a dataset's claim", alien)
    wide = {"spec": {"accessModes": ["ReadWriteMany"]}}
    volume = {"target": f"{own.name}-ds-0123456789ab"}
    yield from of("A08", "UPDATE", "persistentvolumes", "a dataset's volume to write", wide, **volume)
    yield once(MANAGER, "A08", "UPDATE", "persistentvolumes", "a dataset's volume to write", wide, **volume)
    yield from of("A08", "DELETE", "persistentvolumes", "no volume", **volume)

    rights = {**_made("rbac.authorization.k8s.io/v1", "Role"), "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]}  # fmt: skip
    yield from of("A09", "CREATE", "roles", "a role", rights)
    granted = {
        **_made("rbac.authorization.k8s.io/v1", "RoleBinding"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "notebook", "namespace": own.name}],
    }
    yield from of("A09", "CREATE", "rolebindings", "rights for notebooks", granted)
    yield from of("A15", "CREATE", "serviceaccounts", "an account", _made("v1", "ServiceAccount"))
    mounted = {"automountServiceAccountToken": True}
    yield from of("A15", "UPDATE", "serviceaccounts", "a token for notebooks", mounted, target="notebook")
    for account in ("notebook", "gate"):
        token = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account},
            "spec": {"audiences": ["spe-portal"], "expirationSeconds": 3600},
        }
        yield from of("A10", "CREATE", "serviceaccounts", f"a token of {account}", token, target=account, sub="token")
    yield once(MANAGER, "A10", "CREATE", "serviceaccounts", "a token of the gate", token, target="gate", sub="token")
    secret = {**_made("v1", "Secret"), "stringData": {"a": "b"}}
    yield from of("A11", "CREATE", "secrets", "a Secret", secret)
    credential = {**_made("v1", "Secret"), "type": "kubernetes.io/service-account-token"}
    credential["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "gate"}
    yield once(ADMIN, "A11", "CREATE", "secrets", "a token that never ends", credential)
    yield from of(
        "A14", "UPDATE", "resourcequotas", "a wider quota", {"spec": {"hard": {"pods": "99"}}}, target="workspace"
    )
    yield from of("A14", "DELETE", "resourcequotas", "no quota", target="workspace")
    bounds = _made("v1", "LimitRange", limits=[{"type": "Container"}])
    yield once(ADMIN, "A14", "CREATE", "limitranges", "bounds", bounds)

    for plural, kind in (("deployments", "Deployment"), ("replicasets", "ReplicaSet")):
        made = own.deployment(kind)
        made["metadata"] = {**made["metadata"], "name": "more"}
        yield from of("A13", "CREATE", plural, f"a {kind}", made)
    templates = {"selector": own.deployment()["spec"]["selector"], "template": own.deployment()["spec"]["template"]}
    daemons = _made("apps/v1", "DaemonSet", **templates)
    yield once(MANAGER, "A13", "CREATE", "daemonsets", "a DaemonSet", daemons)
    stateful = _made("apps/v1", "StatefulSet", serviceName="x", **templates)
    yield once(ADMIN, "A13", "CREATE", "statefulsets", "a StatefulSet", stateful)
    once_only = {"metadata": {"labels": own.labels}, "spec": own.batch()["spec"]}
    yield from of("A13", "CREATE", "jobs", "a Job", _made("batch/v1", "Job", template=once_only))
    often = _made("batch/v1", "CronJob", schedule="* * * * *", jobTemplate={"spec": {"template": once_only}})
    yield once(ADMIN, "A13", "CREATE", "cronjobs", "a CronJob", often)
    controlled = _made("v1", "ReplicationController", replicas=1, template={
        "metadata": {"labels": {"a": "b"}}, "spec": own.gate_pod()["spec"]})  # fmt: skip
    yield once(ADMIN, "A13", "CREATE", "replicationcontrollers", "a ReplicationController", controlled)
    scaled = _made("autoscaling/v2", "HorizontalPodAutoscaler", maxReplicas=9, minReplicas=1, scaleTargetRef={
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "gate"})  # fmt: skip
    yield once(ADMIN, "A13", "CREATE", "horizontalpodautoscalers", "an autoscaler", scaled)
    awake = {"spec": {"replicas": 2}}
    yield from of("A13", "UPDATE", "deployments", "two gates", awake, target="gate", sub="scale")
    yield from of("A13", "UPDATE", "deployments", "another gate", awake, target="gate")
    yield from of("A13", "DELETE", "deployments", "no gate", target="gate")


def _made(version: str, kind: str, **spec: Any) -> Document:
    document: Document = {"apiVersion": version, "kind": kind, "metadata": {"name": "more"}}
    return {**document, "spec": spec} if spec else document


def merged(document: Any, patch: Any) -> Any:
    """A merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    found = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found
