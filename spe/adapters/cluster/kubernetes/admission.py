"""Admission policies: their text filled in for an instance, put into a cluster, and seen to be in force.

The text is data (`policies/admission/`); this module only fills in its words and makes the bindings. A policy
counts when the API server was seen to refuse by it: what was sent is compiled about a second later, and what
does not compile refuses nothing that it should.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from spe.domain.errors import Rejected, Unavailable

Document = dict[str, Any]

GROUP = "admissionregistration.k8s.io/v1"
INSTANCE = "spe.local/instance"
SCOPE = "spe.local/scope"
WORKSPACE = "spe.local/workspace"
MARKER = "spe-admission-marker"
_POLICY, _BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
_PLURAL = {_POLICY: "validatingadmissionpolicies", _BINDING: "validatingadmissionpolicybindings"}
_APPLY = "application/apply-patch+yaml"
_WORD = re.compile(r"@([a-z_]+)@")
_SAFE_INSTANCE = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_SAFE_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_SAFE_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")
_RULE = re.compile(r"denied request: ([A-Z]{1,2}[0-9]{2}): ([^\n]*)")
_PAUSE_SECONDS = 0.1


class Wire(Protocol):
    """One request to the API server as one account; raises `Rejected` with its sentence, or `Unavailable`."""

    def send(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        query: dict[str, Any] | None = None,
        content: str = "application/json",
    ) -> Document:
        """The answer's document."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the text of the policies leaves open.

    Images by digest. `host_folders` whether datasets may be folders of the nodes. `runtime_classes` are those a pod
    must have one of; empty: none may be named.
    `user_namespaces` whether pods must have their own users; `longest_seconds` how long a session may last.
    """

    instance: str
    release_namespace: str
    notebook_images: tuple[str, ...]
    gate_images: tuple[str, ...]
    intake_images: tuple[str, ...] = ()
    host_folders: bool = False
    runtime_classes: tuple[str, ...] = ()
    user_namespaces: bool = False
    longest_seconds: int = 12 * 3600

    def __post_init__(self) -> None:
        names = (self.release_namespace, *self.runtime_classes)
        images = (*self.notebook_images, *self.gate_images, *self.intake_images)
        if not _SAFE_INSTANCE.fullmatch(self.instance) or not all(_SAFE_NAME.fullmatch(name) for name in names):
            raise ValueError(
                "an instance, a namespace and runtime classes are names of Kubernetes; one of these is not"
            )
        if not all(_SAFE_IMAGE.fullmatch(image) for image in images):
            raise ValueError("an image is named by its digest, `name@sha256:…`; one of these is not")

    def account(self, name: str) -> str:
        """An account of the release namespace, as the API server names it."""
        return f"system:serviceaccount:{self.release_namespace}:{name}"

    @property
    def words(self) -> dict[str, Any]:
        """The value of each word of the text."""
        managers = [self.account("reconciler"), self.account("setup")]
        return {
            "instance": self.instance,
            "hub": self.account("hub"),
            "portal": self.account("portal"),
            "lookers": [self.account("portal"), self.account("reconciler")],
            "managers": managers,
            "makers": [*managers, self.account("portal")],
            "notebook_images": list(self.notebook_images),
            "gate_images": list(self.gate_images),
            "intake_images": list(self.intake_images),
            "host_folders": self.host_folders,
            "runtime_classes": list(self.runtime_classes),
            "user_namespaces": self.user_namespaces,
            "longest_seconds": self.longest_seconds,
        }


def texts(folder: Path) -> tuple[Document, ...]:
    """The policies as written, in the order of their files."""
    return tuple(yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.yaml")))


def render(policies: Iterable[Document], places: Places) -> tuple[Document, ...]:
    """Policies and bindings for one instance, the marker last. Raises `KeyError` for a word nobody knows.

    The marker refuses one ConfigMap that nobody makes, with the digest of all the rest: seen to refuse, it
    tells that this text, and no older one, is in force.
    """
    filled = [
        {**policy, "metadata": _raw(policy["metadata"], places.words), "spec": _literal(policy["spec"], places.words)}
        for policy in policies
    ]
    filled.append(_marker(places, digest_of(filled)))
    return tuple(document for policy in filled for document in (policy, _binding(policy, places)))


def digest_of(documents: Iterable[Document]) -> str:
    """Names one rendering."""
    return hashlib.sha256(json.dumps(list(documents), sort_keys=True).encode()).hexdigest()


def install(api: Wire, documents: Iterable[Document]) -> None:
    """Make the cluster hold these policies of the instance, by server-side apply; others of it stay."""
    for document in documents:
        path = f"{_path(document['kind'])}/{document['metadata']['name']}"
        api.send("PATCH", path, document, query={"fieldManager": "spe", "force": "true"}, content=_APPLY)


def replace(api: Wire, documents: Iterable[Document], *, namespace: str, seconds: float = 20.0) -> None:
    """Make the policies of the instance exactly these, with no moment in which neither old nor new ones are in force.

    What is not among them goes only when these were seen to refuse in `namespace`. Raises `Unavailable` when they
    do not; then the others stay.
    """
    documents = tuple(documents)
    install(api, documents)
    wait_in_force(api, documents, namespace=namespace, seconds=seconds)
    instance = documents[0]["metadata"]["labels"][INSTANCE]
    wanted = {(document["kind"], document["metadata"]["name"]) for document in documents}
    for kind in (_BINDING, _POLICY):
        found = api.send("GET", _path(kind), query={"labelSelector": f"{INSTANCE}={instance}"})
        for item in found.get("items") or []:
            if (kind, item["metadata"]["name"]) not in wanted:
                api.send("DELETE", f"{_path(kind)}/{item['metadata']['name']}")


def wait_in_force(api: Wire, documents: Iterable[Document], *, namespace: str, seconds: float = 20.0) -> None:
    """Wait until the API server refuses the marker by exactly this text, in a namespace the policies are bound to.

    Raises `Unavailable` when it does not. With several API servers one of them may be later; they share the
    store, so by seconds.
    """
    expected, said = _digest_in(documents), ""
    deadline = time.monotonic() + seconds
    while expected not in (said := _marked(api, namespace)):
        if time.monotonic() >= deadline:
            raise Unavailable("cluster", f"its admission policies are not in force ({said or 'the marker gets in'})")
        time.sleep(_PAUSE_SECONDS)


def _marked(api: Wire, namespace: str) -> str:
    """What the API server says to the marker; empty when it would take it.

    Sent as an apply, whose address names the object: so the right for this one name is enough.
    """
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MARKER, "namespace": namespace}}
    query = {"dryRun": "All", "fieldManager": "spe", "force": "true"}
    try:
        api.send("PATCH", f"/api/v1/namespaces/{namespace}/configmaps/{MARKER}", body, query=query, content=_APPLY)
    except Rejected as error:
        return error.reason
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """By which rule the API server refused (empty: not by one of ours), and in which words."""

    rule: str
    said: str


def refused(api: Wire, method: str, path: str, body: Document | None, **query: str) -> Refusal | None:
    """Send it as a dry run; None when it would be let in. Raises `Unavailable` when nobody decided."""
    content = "application/merge-patch+json" if method == "PATCH" else "application/json"
    try:
        api.send(method, path, body, query={"dryRun": "All", **query}, content=content)
    except Rejected as error:
        return refusal_of(error)
    return None


def refusal_of(error: Rejected) -> Refusal:
    """Which rule a refusal of the API server names."""
    found = _RULE.search(error.reason)
    return Refusal(rule=found[1] if found else "", said=error.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One object that must not get in, and the rules either of which may say so first; none: it must get in."""

    name: str
    body: Document
    rules: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What became of an attempt: `rule` refused it, empty when it would have been let in."""

    name: str
    holds: bool
    rule: str
    said: str = ""


def observe_refusals(hub: Wire, canonical: Mapping[str, Any]) -> tuple[Observation, ...]:
    """The canonical pod gets in as the Hub's, and one wrong pod for each part of it does not; all are dry runs.

    `hub` speaks as the Hub's account; `canonical` is a pod for a namespace in which the Hub may make pods.
    """
    path = f"/api/v1/namespaces/{canonical['metadata']['namespace']}/pods"
    seen = []
    for attempt in attempts(canonical):
        refusal = refused(hub, "POST", path, attempt.body)
        rule = refusal.rule if refusal is not None else ""
        holds = rule in attempt.rules if attempt.rules else refusal is None
        seen.append(Observation(name=attempt.name, holds=holds, rule=rule, said=refusal.said if refusal else ""))
    return tuple(seen)


def attempts(canonical: Mapping[str, Any]) -> tuple[Attempt, ...]:
    """The canonical pod, and it with one thing changed, for every rule that can be seen to refuse by itself."""
    right = Attempt(name="the canonical pod", body=_copy(canonical), rules=frozenset())
    return (right, *(_changed(canonical, *change) for change in _CHANGES))


_SERVER = ("spec", "containers", 0)
_SEAL = ("spec", "initContainers", 0)
_ELSEWHERE = "localhost/elsewhere@sha256:" + "0" * 64
# Name, where, what is put there, rules of which one refuses. Some are refused by Pod Security before.
_CHANGES: tuple[tuple[str, tuple[str | int, ...], Any, set[str]], ...] = (
    ("a finalizer", ("metadata", "finalizers"), ["spe.local/stay"], {"E01"}),
    ("the gate's role", ("metadata", "labels", "spe.local/role"), "gate", {"E02"}),
    ("another permit", ("metadata", "labels", "spe.local/permit"), "pm-0000000000000001", {"E02", "P14"}),
    ("names of its own", ("spec", "hostAliases"), [{"ip": "127.0.0.2", "hostnames": ["hub"]}], {"E03"}),
    ("a grace of a day", ("spec", "terminationGracePeriodSeconds"), 86400, {"E04"}),
    ("a name server", ("spec", "dnsConfig"), {"nameservers": ["127.0.0.2"]}, {"E04", "P13"}),
    ("another user", ("spec", "securityContext", "runAsUser"), 1001, {"E05"}),
    ("a probe that tries nothing", (*_SEAL, "command"), ["python", "-I", "/opt/spe/seal.py"], {"E06"}),
    ("another command", (*_SERVER, "command"), ["sleep", "3600"], {"E07"}),
    ("another image", (*_SERVER, "image"), _ELSEWHERE, {"E08", "P06"}),
    ("a variable of its own", (*_SERVER, "env", 0, "name"), "LD_PRELOAD", {"E09"}),
    ("another port", (*_SERVER, "ports", 0, "containerPort"), 9999, {"E10"}),
    ("another person's home", ("spec", "volumes", 0, "persistentVolumeClaim", "claimName"), "home-p-0", {"E11"}),
    ("a folder elsewhere", (*_SERVER, "volumeMounts", 2, "mountPath"), "/opt", {"E12"}),
    ("an account's token", ("spec", "automountServiceAccountToken"), True, {"P03", "P04", "E06", "E11", "E12"}),
    ("Services in its environment", ("spec", "enableServiceLinks"), True, {"P05"}),
    ("a writable image", (*_SERVER, "securityContext", "readOnlyRootFilesystem"), False, {"P11"}),
    ("days of time", ("spec", "activeDeadlineSeconds"), 10**7, {"E04", "P17"}),
)


def _changed(
    canonical: Mapping[str, Any], name: str, where: tuple[str | int, ...], value: Any, rules: set[str]
) -> Attempt:
    body = _copy(canonical)
    part: Any = body
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    return Attempt(name=name, body=body, rules=frozenset(rules))


def _copy(document: Mapping[str, Any]) -> Document:
    copied: Document = json.loads(json.dumps(document))
    return copied


def _raw(value: Any, words: Mapping[str, Any]) -> Any:
    return _walked(value, lambda word: str(words[word]))


def _literal(value: Any, words: Mapping[str, Any]) -> Any:
    return _walked(value, lambda word: json.dumps(words[word]))


def _walked(value: Any, fill: Any) -> Any:
    if isinstance(value, str):
        return _WORD.sub(lambda found: fill(found[1]), value)
    if isinstance(value, list):
        return [_walked(item, fill) for item in value]
    if isinstance(value, dict):
        return {key: _walked(item, fill) for key, item in value.items()}
    return value


def _binding(policy: Document, places: Places) -> Document:
    metadata = policy["metadata"]
    spec: Document = {"policyName": metadata["name"], "validationActions": ["Deny", "Audit"]}
    if metadata["labels"][SCOPE] == "workspaces":
        spec["matchResources"] = {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {
                "matchLabels": {INSTANCE: places.instance},
                "matchExpressions": [{"key": WORKSPACE, "operator": "Exists"}],
            },
        }
    if metadata["labels"][SCOPE] == "intake":
        # The API server itself writes this label and lets nobody change it.
        here = {"kubernetes.io/metadata.name": f"{places.instance}-intake"}
        spec["matchResources"] = {"matchPolicy": "Equivalent", "namespaceSelector": {"matchLabels": here}}
    return {"apiVersion": GROUP, "kind": _BINDING, "metadata": metadata, "spec": spec}


def _marker(places: Places, digest: str) -> Document:
    labels = {"app.kubernetes.io/managed-by": "spe", INSTANCE: places.instance, SCOPE: "workspaces"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    return {
        "apiVersion": GROUP,
        "kind": _POLICY,
        "metadata": {"name": f"{places.instance}-marker", "labels": labels},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [rule]},
            "matchConditions": [{"name": "the-marker", "expression": f"object.metadata.name == '{MARKER}'"}],
            "validations": [{"expression": "false", "message": f"A00: {digest}", "reason": "Forbidden"}],
        },
    }


def _digest_in(documents: Iterable[Document]) -> str:
    marker = next(d for d in documents if d["kind"] == _POLICY and d["metadata"]["name"].endswith("-marker"))
    return str(marker["spec"]["validations"][0]["message"]).removeprefix("A00: ")


def _path(kind: str) -> str:
    return f"/apis/{GROUP}/{_PLURAL[kind]}"
