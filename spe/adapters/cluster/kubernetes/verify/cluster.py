"""The rows of the whole cluster: versions, nodes, admission, rights, strays (B1–B4 where there is no namespace)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spe.adapters.cluster.kubernetes import canary, compare
from spe.adapters.cluster.kubernetes.features import FLOOR
from spe.adapters.cluster.kubernetes.kinds import (
    ADMISSION_BINDING,
    ADMISSION_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    NODE,
    POD,
    POLICY,
    ROLE,
    ROLE_BINDING,
    VOLUME,
    Document,
    kind_of,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import INSTANCE, owner_of
from spe.adapters.cluster.kubernetes.objects.intake import namespace_of
from spe.adapters.cluster.kubernetes.objects.namespace import LEVEL, SECURITY
from spe.adapters.cluster.kubernetes.objects.policies import opens
from spe.adapters.cluster.kubernetes.verify import granted, nodes, subjects, versions
from spe.adapters.cluster.kubernetes.verify.finding import CouldNotLook, Row, Verdict, judged, outside
from spe.adapters.cluster.kubernetes.verify.rights import beyond, reaching
from spe.adapters.cluster.kubernetes.verify.strict import differences
from spe.adapters.cluster.kubernetes.verify.whole import Whole

_POLICY_DEFAULTS: Mapping[str, tuple[Any, ...]] = {"scope": ("*",), "matchPolicy": ("Equivalent",)}
_SET_UP = "Run `helm upgrade`, whose hook installs the policies, or `spe cluster setup` as the administrator."
_NODES = "Have the operators of the nodes mend it."


# -- admission


def _texts(whole: Whole) -> Verdict:
    live = {(d["kind"], name_of(d)): d for kind in (ADMISSION_POLICY, ADMISSION_BINDING) for d in whole.all(kind)}
    wrong = []
    for wanted in whole.policies:
        key = (wanted["kind"], name_of(wanted))
        found = live.pop(key, None)
        what = f"{wanted['kind']} {name_of(wanted)}"
        if found is None:
            wrong.append(f"{what} is not there")
            continue
        wrong += [f"{what} differs at spec.{p}" for p in differences(wanted["spec"], found["spec"], _POLICY_DEFAULTS)]
    ours = [name for (_, name), d in live.items() if labels_of(d).get(INSTANCE) == whole.instance]
    wrong += [f"{name} is an older policy of ours" for name in ours]
    return judged(wrong, f"{len(whole.policies)} policies and bindings, word for word")


def _force(whole: Whole) -> Verdict:
    if whole.unobserved:
        raise CouldNotLook(whole.unobserved)
    wrong = [
        f"{one.name}: " + (f"refused, but by {one.rule or 'no rule of ours'} ({one.said})" if one.said else "let in")
        for one in whole.observed
        if not one.holds
    ]
    rules = sorted({one.rule for one in whole.observed if one.rule})
    if not whole.observed:
        wrong.append("nothing was tried")
    return judged(wrong, f"{len(whole.observed)} pods tried as the Hub's; refused by {', '.join(rules)}")


def _space(whole: Whole) -> Verdict:
    wrong = []
    for wanted in whole.space:
        if wanted["kind"] == CLUSTER_ROLE.name:
            continue  # judged with the other roles
        kind = kind_of(wanted)
        found = next((d for d in (whole.inside if kind.namespaced else whole.lists).get(kind, ())
                      if name_of(d) == name_of(wanted)), None)  # fmt: skip
        what = f"{wanted['kind']} {name_of(wanted)}"
        if found is None:
            wrong.append(f"{what} is not there")
            continue
        wrong += [f"{what} differs at {path}" for path in compare.deviations(compare.shaped(wanted), found)]
    wrong += [f"pod {name_of(pod)} is in it" for pod in whole.inside.get(POD, ())]
    return judged(wrong, f"{canary.namespace_of(whole.instance)}: closed, and nothing runs in it")


# -- rights


def _roles(whole: Whole) -> Verdict:
    live = {name_of(role): role for role in whole.all(CLUSTER_ROLE)}
    wrong = []
    least = granted.roles(whole.instance, intake=bool(whole.places.intake_images))
    for name, rules in granted.roles(whole.instance).items():
        if name not in live:
            wrong.append(f"ClusterRole {name} is not there")
            continue
        wrong += [f"{name} also allows {said}" for said in beyond(live[name].get("rules") or [], rules)]
        wrong += [f"{name} does not allow {said}" for said in beyond(least[name], live[name].get("rules") or [])]
    if f"{whole.instance}-setup" in live:
        wrong.append("the rights of the set-up are still there")
    return judged(wrong, f"{len(granted.roles(whole.instance))} roles allow what the chart gives")


def _own_accounts(whole: Whole) -> Verdict:
    spaces = {name_of(n) for n in whole.all(NAMESPACE) if owner_of(n, whole.instance) is not None}
    wrong = [
        f"{binding['kind']} {subjects.place_of(binding)} gives {subjects.spelled(subject)} {binding['roleRef']['name']}"
        for binding in (*whole.all(CLUSTER_ROLE_BINDING), *whole.all(ROLE_BINDING))
        for subject in binding.get("subjects") or []
        if subjects.is_ours(subject, whole.places.release_namespace, spaces)
        and not subjects.is_granted(binding, subject, whole.instance, whole.places.release_namespace, spaces)
    ]
    return judged(wrong, "portal, reconciler and Hub have their one role each; accounts of workspaces have none")


def _strangers(whole: Whole) -> Verdict:
    rules = {name_of(role): role.get("rules") or [] for role in whole.all(CLUSTER_ROLE)}
    wrong: list[str] = []
    for binding in whole.all(CLUSTER_ROLE_BINDING):
        reached = reaching(rules.get(binding["roleRef"]["name"], []))
        for subject in binding.get("subjects") or [] if reached else []:
            wrong += _reaches(whole, binding, subject, reached)
    known = f"; trusted by whoever asks: {', '.join(sorted(whole.trusted))}" if whole.trusted else ""
    return judged(wrong, f"beside the cluster's own parts nobody reaches into workspaces{known}")


def _reaches(whole: Whole, binding: Document, subject: subjects.Subject, reached: list[str]) -> Iterator[str]:
    if not subjects.may_reach(subject, whole.places.release_namespace, whole.trusted):
        yield f"{subjects.spelled(subject)} may {reached[0]}, by ClusterRoleBinding {name_of(binding)}"


# -- strays, the release's own network


def _strays(whole: Whole) -> Verdict:
    spaces = [n for n in whole.all(NAMESPACE) if labels_of(n).get(INSTANCE) == whole.instance]
    ours = {name_of(n) for n in spaces if owner_of(n, whole.instance) is not None}
    wrong = [
        f"namespace {name_of(n)} says it is ours and is not"
        for n in spaces
        if name_of(n) not in {*ours, canary.namespace_of(whole.instance)}
    ]
    for volume in whole.all(VOLUME):
        if labels_of(volume).get(INSTANCE) != whole.instance:
            continue
        reference = volume["spec"].get("claimRef") or {}
        if owner_of(volume, whole.instance) is None or reference.get("namespace") not in ours:
            wrong.append(f"volume {name_of(volume)} belongs to no workspace that is there")
    return judged(wrong, f"{len(ours)} workspaces, and nothing that only looks like one")


def _release(whole: Whole) -> Verdict:
    found = whole.release.get(POLICY, ())
    return judged(_opened(whole.places.release_namespace, found), f"closed but for {len(found) - 1} rules")


def _intake(whole: Whole) -> Verdict:
    space = namespace_of(whole.instance)
    namespace = next((n for n in whole.all(NAMESPACE) if name_of(n) == space), None)
    if namespace is None:
        return outside("datasets are not looked at in this cluster")
    found = whole.intake.get(POLICY, ())
    wrong = [*_opened(space, found), *(f"NetworkPolicy {name_of(p)} opens something" for p in found if opens(p))]
    if labels_of(namespace).get(f"{SECURITY}enforce") != LEVEL:
        wrong.append(f"Pod Security of {space} is not {LEVEL}")
    for role in whole.intake.get(ROLE, ()):
        more = beyond(role.get("rules") or [], granted.in_the_intake() if name_of(role) == "intake" else [])
        wrong += [f"Role {name_of(role)} also allows {said}" for said in more]
    return judged(wrong, f"{space} has no network, and the portal may only look")


def _opened(space: str, found: Iterable[Document]) -> list[str]:
    """Why a namespace is not closed; empty when it is."""
    all_pods = [policy for policy in found if not policy["spec"].get("podSelector")]
    closed = [p for p in all_pods if not opens(p) and {*p["spec"].get("policyTypes", ())} == {"Ingress", "Egress"}]
    wrong = [] if closed else [f"no policy closes {space}"]
    return wrong + [f"NetworkPolicy {name_of(policy)} opens every pod of it" for policy in all_pods if opens(policy)]


def _policy_group(_: Whole) -> Verdict:
    return outside("no such policy is ours to make; the proof are the probes' reports")


def _encryption(_: Whole) -> Verdict:
    return outside("between nodes it is the network plug-in's; nothing of the cluster's objects tells it")


def _resolver(_: Whole) -> Verdict:
    return outside("no pod of a workspace asks a name server")


ROWS: tuple[Row[Whole], ...] = (
    Row(id="version", title="Kubernetes is recent enough", judge=nodes.kubernetes, needs=(NODE,),
        remedy=f"Upgrade to {versions.dotted(FLOOR)} or later, best the newest patch of a supported minor version."),
    Row(id="B2.19", title="container runtimes are recent enough", judge=nodes.runtimes, needs=(NODE,),
        remedy=f"Upgrade the nodes' runtime: {versions.RECENT}."),
    Row(id="B2.18", title="nodes answer nobody unknown", judge=nodes.kubelets, needs=(NODE,), remedy=_NODES),
    Row(id="B2.18", title="a pod cannot fill its node with processes", judge=nodes.processes, needs=(NODE,),
        remedy="Set podPidsLimit in the kubelets' configuration, such as 1024."),
    Row(id="B2.9", title="nodes mount read-only all the way down", judge=nodes.read_only, needs=(NODE,), remedy=_NODES),
    Row(id="B2.2", title="pods have users of their own", judge=nodes.user_namespaces, remedy=_NODES),
    Row(id="B3", title="admission policies are those of this version", judge=_texts,
        needs=(ADMISSION_POLICY, ADMISSION_BINDING), remedy=_SET_UP),
    Row(id="B3", title="the API server refuses by them", judge=_force, remedy=_SET_UP),
    Row(id="B3", title="the canary is as made", judge=_space,
        needs=(NAMESPACE, POD), remedy=_SET_UP),
    Row(id="rights", title="our roles allow what the chart gives", judge=_roles, needs=(CLUSTER_ROLE,),
        remedy="Run `helm upgrade`; who changed it stands in the API server's audit log."),
    Row(id="rights", title="our accounts have no other role", judge=_own_accounts,
        needs=(CLUSTER_ROLE_BINDING, ROLE_BINDING, NAMESPACE), remedy="Remove that binding."),
    Row(id="rights", title="nobody else reaches into workspaces", judge=_strangers,
        needs=(CLUSTER_ROLE, CLUSTER_ROLE_BINDING),
        remedy="Take the right away, or name who has it for a reason: --trusted Kind:name."),
    Row(id="B1", title="nothing only looks like a workspace", judge=_strays, needs=(NAMESPACE, VOLUME),
        remedy="Whoever made it has to remove it; nothing of ours touches it."),
    Row(id="B4", title="the control plane's own namespace is closed", judge=_release, needs=(POLICY,),
        remedy="Set networkPolicy.enabled in the chart's values."),
    Row(id="B4", title="where datasets are looked at nothing has a network", judge=_intake,
        needs=(NAMESPACE, POLICY, ROLE),
        remedy="Run `helm upgrade`; who changed it stands in the API server's audit log."),
    Row(id="B4.5", title="a policy of the administrator's tier", judge=_policy_group, remedy=""),
    Row(id="B4.8", title="the resolver knows its zone only", judge=_resolver, remedy=""),
    Row(id="B4.11", title="traffic between nodes is encrypted", judge=_encryption, remedy=""),
)  # fmt: skip
