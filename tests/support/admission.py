"""Admission policies evaluated without an API server: the same text, by another implementation of CEL.

What differs is kept out of the text; the suite for real servers sends the same objects to a real one.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cel

from spe.adapters.cluster.kubernetes.admission import INSTANCE, WORKSPACE, Places, render, texts

POLICIES = Path(__file__).parents[2] / "policies" / "admission"
Document = Mapping[str, Any]
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as admission sees it. `resource` is the plural; `sub` a subresource."""

    user: str
    operation: str
    resource: str
    object: Document | None = None
    old: Document | None = None
    group: str = ""
    sub: str = ""
    name: str = ""
    groups: tuple[str, ...] = ("system:authenticated",)
    namespace: Document | None = None

    @property
    def context(self) -> dict[str, Any]:
        """The variables of CEL."""
        return {
            "object": self.object,
            "oldObject": self.old,
            "namespaceObject": self.namespace,
            # The API server leaves out what is empty; an expression that asks for it anyway is an error.
            "request": {
                "operation": self.operation,
                **({"name": self.name} if self.name else {}),
                **({"subResource": self.sub} if self.sub else {}),
                "resource": {
                    **({"group": self.group} if self.group else {}),
                    "version": "v1",
                    "resource": self.resource,
                },
                "userInfo": {"username": self.user, "groups": list(self.groups)},
            },
        }


@dataclass
class Policies:
    """The rendered policies of an instance."""

    places: Places
    documents: tuple[Document, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.documents = render(texts(POLICIES), self.places)

    def refusals(self, request: Request) -> set[str]:
        """The rules that refuse; what cannot be evaluated refuses as `broken: policy`."""
        return {rule for policy in self._bound(request) for rule in _refusals(policy, request.context)}

    def _bound(self, request: Request) -> Iterator[Document]:
        policies = {d["metadata"]["name"]: d for d in self.documents if d["kind"] == "ValidatingAdmissionPolicy"}
        for binding in self.documents:
            if binding["kind"] == "ValidatingAdmissionPolicy" or not _selected(binding, request):
                continue
            policy = policies[binding["spec"]["policyName"]]
            if any(_matches(rule, request) for rule in policy["spec"]["matchConstraints"]["resourceRules"]):
                yield policy


def _selected(binding: Document, request: Request) -> bool:
    selector = binding["spec"].get("matchResources", {}).get("namespaceSelector")
    if selector is None:
        return True
    if request.namespace is None:
        return False
    labels = {**request.namespace["metadata"]["labels"], NAME: request.namespace["metadata"]["name"]}
    if NAME in selector["matchLabels"]:
        return bool(labels[NAME] == selector["matchLabels"][NAME])
    return labels.get(INSTANCE) == selector["matchLabels"][INSTANCE] and WORKSPACE in labels


def _matches(rule: Document, request: Request) -> bool:
    asked = f"{request.resource}/{request.sub}" if request.sub else request.resource
    return (
        request.group in rule["apiGroups"]
        and request.operation in rule["operations"]
        and bool({asked, "*"} & set(rule["resources"]))
    )


def _refusals(policy: Document, context: dict[str, Any]) -> Iterator[str]:
    spec, known = policy["spec"], dict(context)
    try:
        if not all(cel.evaluate(c["expression"], known) is True for c in spec.get("matchConditions", ())):
            return
        known["variables"] = _variables(spec, known)
        for rule in spec["validations"]:
            if cel.evaluate(rule["expression"], known) is not True:
                yield rule["message"].partition(":")[0]
    except Exception as error:
        yield f"broken: {policy['metadata']['name']}: {error}"


def _variables(spec: Document, context: dict[str, Any]) -> dict[str, Any]:
    # The API server evaluates one when it is asked for; here all are, and one that cannot be stays away.
    known: dict[str, Any] = {}
    for variable in spec.get("variables", ()):
        try:
            known[variable["name"]] = cel.evaluate(variable["expression"], {**context, "variables": known})
        except Exception:
            continue
    return known


def stored(pod: Document) -> dict[str, Any]:
    """A pod as admission sees it: with the defaults of the API server and of its own plug-ins."""
    given: dict[str, Any] = copy.deepcopy(dict(pod))
    spec = given["spec"]
    for name, value in _POD_DEFAULTS.items():
        spec.setdefault(name, value)
    spec.setdefault("serviceAccount", spec.get("serviceAccountName", "default"))
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for entry in container.get("env", ()):
            if entry.get("value") == "":
                del entry["value"]
    return given


_POD_DEFAULTS: dict[str, Any] = {
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
    "schedulerName": "default-scheduler",
    "tolerations": [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for what in ("not-ready", "unreachable")
    ],
}
