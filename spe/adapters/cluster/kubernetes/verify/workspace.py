"""The rows of one workspace: namespace, network, accounts, gate, pods, data, seal (B1, B2, B4, B7).

What should be there is what the adapter would make now; the rows only say where what is there is something else.
"""

from collections.abc import Callable, Iterable

from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    LIMIT_RANGE,
    NAMESPACE,
    POD,
    POLICY,
    QUOTA,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    VOLUME,
    Kind,
)
from spe.adapters.cluster.kubernetes.names import GATE, NOTEBOOK
from spe.adapters.cluster.kubernetes.objects.policies import DENY_ALL
from spe.adapters.cluster.kubernetes.verify import contents, ground
from spe.adapters.cluster.kubernetes.verify.finding import Row, Verdict, judged, outside
from spe.adapters.cluster.kubernetes.verify.place import Place
from spe.adapters.cluster.kubernetes.verify.pods import NOT_OURS

RECONCILER = "The reconciler puts it right within a minute; if it stays, read its log and the reason on the page."


# -- pods


def _pods(*paths: str) -> Callable[[Place], Verdict]:
    def judge(place: Place) -> Verdict:
        running = len(place.all(POD))
        if not running:
            return outside("no pod is there")
        wrong = [str(d) for d in place.pods if _below(d.path, paths)]
        return judged(wrong, f"{running} pods, as made")

    return judge


def _rest(place: Place) -> Verdict:
    if not place.all(POD):
        return outside("no pod is there")
    named = tuple(path for _, _, paths in _POD_ROWS for path in paths)
    wrong = [str(d) for d in place.pods if d.path == NOT_OURS or not _below(d.path, named)]
    return judged(wrong, f"{len(place.all(POD))} pods, each a notebook, a gate or a probe")


def _below(path: str, parts: Iterable[str]) -> bool:
    """Whether a path lies in one of these; `containers` are all of them, and so are numbers of lists."""
    steps = _steps(path)
    return any(steps[: len(part)] == part for part in map(_steps, parts))


def _steps(path: str) -> list[str]:
    plain = path.replace("initContainers", "containers")
    return [step.partition("[")[0] for step in plain.split(".")][1:]


_CONTAINER = "spec.containers"
_POD_ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("B2.1", "pods run in the runtime that the settings name", ("spec.runtimeClassName",)),
    ("B2.2", "pods have users of their own where nodes can", ("spec.hostUsers",)),
    ("B2.3", "pods share nothing with the node or each other",
     ("spec.hostNetwork", "spec.hostPID", "spec.hostIPC", "spec.shareProcessNamespace")),
    ("B2.4", "pods are given no account's token", ("spec.automountServiceAccountToken", "spec.serviceAccountName")),
    ("B2.5", "pods are told of no Services", ("spec.enableServiceLinks",)),
    ("B2.6", "pods ask no name server", ("spec.dnsPolicy", "spec.dnsConfig")),
    ("B2.7", "pods run as nobody, with the runtime's seccomp profile", ("spec.securityContext",)),
    ("B2.8", "containers have no rights and cannot write their image", (f"{_CONTAINER}.securityContext",)),
    ("B2.9", "data is mounted read-only through and through", (f"{_CONTAINER}.volumeMounts",)),
    ("B2.10", "volumes are the claims and memory that are meant", ("spec.volumes",)),
    ("B2.11", "only images of this instance run, by digest", (f"{_CONTAINER}.image", f"{_CONTAINER}.imagePullPolicy")),
    ("B2.12", "pods are bounded as the permit says", (f"{_CONTAINER}.resources",)),
    ("B2.13", "the scheduler chooses the node",
     ("spec.nodeSelector", "spec.tolerations", "spec.affinity", "spec.schedulerName", "spec.priorityClassName")),
    ("B2.14", "pods end by themselves", ("spec.activeDeadlineSeconds",)),
    ("B2.15", "a crash is a visible end", ("spec.restartPolicy",)),
    ("B2.16", "pods end soon when they are told to", ("spec.terminationGracePeriodSeconds",)),
    ("B2.17", "nothing is run in pods from outside, no port of a node is taken",
     (f"{_CONTAINER}.lifecycle", f"{_CONTAINER}.ports", "spec.hostAliases")),
)  # fmt: skip
_ENDS = "End the session in the portal. No pod can change, so it came in past the policies: run `spe cluster check`."


def _row(row: str, title: str, judge: Callable[[Place], Verdict], *needs: Kind, remedy: str = RECONCILER) -> Row[Place]:
    return Row(id=row, title=title, judge=judge, remedy=remedy, needs=(NAMESPACE, *needs))


ROWS: tuple[Row[Place], ...] = (
    _row("B1.1", "the namespace's name tells nothing", ground.named),
    _row("B1.2", "Pod Security is restricted, at a pinned version", lambda p: ground.labels(p, security=True)),
    _row("B1.4", "the namespace says whose it is", lambda p: ground.labels(p, security=False)),
    _row("B1.5", "the namespace is as it was made", ground.origin),
    _row("B1.6", "nobody else writes into our objects", ground.makers, *ground.MADE),
    _row("B1.7", "the quota is the permit's", ground.foundation(QUOTA), QUOTA),
    _row("B1.8", "containers and claims are bounded", ground.foundation(LIMIT_RANGE), LIMIT_RANGE),
    _row("B1.9", "accounts have no token and no secret", ground.powerless_accounts, SERVICE_ACCOUNT),
    _row("B1.10", "only the Hub has a right here, one role's", ground.grants, ROLE_BINDING, ROLE),
    *(_row(row, title, _pods(*paths), POD, CLAIM, SERVICE, VOLUME, remedy=_ENDS) for row, title, paths in _POD_ROWS),
    _row("B2", "every pod is the canonical one", _rest, POD, CLAIM, SERVICE, VOLUME, remedy=_ENDS),
    _row("B4.1", "no traffic unless it is allowed", ground.policy(DENY_ALL), POLICY),
    _row("B4.2", "notebooks and gate speak in one pair", ground.policy(NOTEBOOK), POLICY),
    _row("B4.3", "the gate speaks with its pairs only", ground.policy(GATE), POLICY),
    _row("B4.4", "no policy of others opens the network", ground.others, POLICY,
         remedy="Remove that policy; policies add up, so what it lets through passes."),
    _row("B4.6", "the deny-all stays until no pod is left", ground.held, POLICY),
    _row("B4.7", "the seal was observed from inside", ground.seal, POLICY, DEPLOYMENT,
         remedy="Read what answered; nobody can start a session until a probe finds it closed."),
    _row("B4.7", "the seal was observed lately", ground.seal_age, DEPLOYMENT),
    _row("B4.10", "API server and name servers are closed from inside", ground.tried, SERVICE),
    _row("gate", "the gate is as made", contents.gate, DEPLOYMENT, SERVICE, POD),
    _row("claims", "claims are ours", contents.claims_held, CLAIM),
    _row("secrets", "no Secret is there", contents.secrets, QUOTA),
    _row("B7.6", "volumes of datasets can only be read", contents.volumes, VOLUME, CLAIM),
    _row("B7.7", "claims of datasets can only be read", contents.data_claims, VOLUME, CLAIM),
    _row("B7.9", "volume and claim name the same bytes", contents.digests, VOLUME, CLAIM, POD),
)  # fmt: skip
