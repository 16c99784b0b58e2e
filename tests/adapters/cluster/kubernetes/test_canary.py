"""The canary, judged without a cluster: what it is, what it is not, and what is seen in it."""

from collections.abc import Callable
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes import canary, compare
from spe.adapters.cluster.kubernetes.admission import Places, attempts
from spe.adapters.cluster.kubernetes.kinds import Document, labels_of, name_of
from spe.adapters.cluster.kubernetes.names import owner_of
from spe.bootstrap.admission import canonical
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import is_id, new_workspace
from tests.support.admission import Policies, Request, stored

IMAGE = f"localhost/spe/notebook@sha256:{'1' * 64}"
GATE_IMAGE = f"localhost/spe/gate@sha256:{'2' * 64}"
PLACES = Places(instance="spe", release_namespace="spe", notebook_images=(IMAGE,), gate_images=(GATE_IMAGE,))
DOCUMENTS = canary.documents(PLACES, version=(1, 36))
NAMESPACE = next(d for d in DOCUMENTS if d["kind"] == "Namespace")
POLICY = Policies(PLACES)


def _judged(body: Document, places: Places = PLACES) -> set[str]:
    return Policies(places).refusals(
        Request(
            user=places.account("hub"), operation="CREATE", resource="pods", object=stored(body), namespace=NAMESPACE
        )
    )


def test_it_is_a_namespace_that_the_policies_are_bound_to_and_no_workspace() -> None:
    labels = labels_of(NAMESPACE)
    assert labels["spe.local/instance"] == "spe"
    assert is_id(labels["spe.local/workspace"])
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert owner_of(NAMESPACE, "spe") is None


def test_no_workspace_is_ever_called_like_it() -> None:
    assert all("0" not in new_workspace() for _ in range(200))


def test_its_network_is_closed_and_it_holds_one_pod_at_most_and_no_claim() -> None:
    by_kind = {d["kind"]: d for d in DOCUMENTS}
    assert by_kind["NetworkPolicy"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert "finalizers" not in by_kind["NetworkPolicy"]["metadata"]
    hard = by_kind["ResourceQuota"]["spec"]["hard"]
    assert (hard["pods"], hard["persistentvolumeclaims"], hard["count/secrets"]) == ("1", "0", "0")


def test_the_hub_may_only_make_pods_there() -> None:
    by_kind = {d["kind"]: d for d in DOCUMENTS}
    assert by_kind["ClusterRole"]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    assert by_kind["RoleBinding"]["roleRef"]["name"] == name_of(by_kind["ClusterRole"]) == "spe-canary"
    assert by_kind["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": "hub", "namespace": "spe"}]


@pytest.mark.parametrize("apart", [False, True])
def test_the_canonical_pod_of_nobody_gets_in_and_each_wrong_one_is_refused_by_its_rule(apart: bool) -> None:
    places = Places(
        instance="spe",
        release_namespace="spe",
        notebook_images=(IMAGE,),
        gate_images=(GATE_IMAGE,),
        user_namespaces=apart,
        runtime_classes=("gvisor",) if apart else (),
    )
    first, *wrong = attempts(canonical(places))
    assert _judged(first.body, places) == set()
    assert len(wrong) > 15
    for attempt in wrong:
        assert _judged(attempt.body, places) & attempt.rules, attempt.name


Answers = Callable[[int, Document], Exception | None]


class Server:
    """Answers by how many requests came before, and by what is sent."""

    def __init__(self, answers: Answers) -> None:
        self.answers, self.count = answers, 0

    def send(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        query: dict[str, Any] | None = None,
        content: str = "application/json",
    ) -> Document:
        assert query is not None
        assert query["dryRun"] == "All"
        answer = self.answers(self.count, body or {})
        self.count += 1
        if answer is not None:
            raise answer
        return {}


def _no(said: str) -> Rejected:
    return Rejected("cluster", said)


def _right(_: int, body: Document) -> Exception | None:
    """As a cluster answers in which the policies are in force."""
    rules = next(a.rules for a in attempts(canonical(PLACES)) if a.body == body)
    return _no(f"… denied request: {min(rules)}: …") if rules else None


LATE = _no('pods is forbidden: User "system:serviceaccount:spe:hub" cannot create resource "pods"')


def test_where_all_is_in_force_each_is_tried_once() -> None:
    hub = Server(_right)
    assert all(o.holds for o in canary.observe(hub, canonical(PLACES)))
    assert hub.count == len(attempts(canonical(PLACES)))


@pytest.mark.parametrize("early", [LATE, Unavailable("cluster", "exceeded quota"), None])
def test_rights_quotas_and_policies_that_count_a_moment_later_are_waited_for(early: Exception | None) -> None:
    hub = Server(lambda count, body: early if count < 30 else _right(count, body))
    assert all(o.holds for o in canary.observe(hub, canonical(PLACES), seconds=30))


def test_a_cluster_that_lets_everything_in_is_seen_to_do_so() -> None:
    seen = canary.observe(Server(lambda *_: None), canonical(PLACES), seconds=0)
    assert seen[0].holds
    assert not any(o.holds for o in seen[1:])


def test_a_hub_without_the_right_shows_what_was_said_and_never_counts_as_a_refusal_of_ours() -> None:
    seen = canary.observe(Server(lambda *_: LATE), canonical(PLACES), seconds=0)
    assert not any(o.holds for o in seen)
    assert "cannot create resource" in seen[0].said


def test_where_nobody_decides_nothing_is_claimed() -> None:
    with pytest.raises(Unavailable):
        canary.observe(Server(lambda *_: Unavailable("cluster", "silent")), canonical(PLACES), seconds=0)


def test_a_role_of_that_name_with_other_rights_is_not_taken_over() -> None:
    role = DOCUMENTS[0]
    same = {**role, "metadata": {**role["metadata"], "labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    assert not compare.deviations(role, {**same, "metadata": role["metadata"]})

    class There:
        def find(self, *_: Any) -> Document:
            return {**same, "rules": [*role["rules"], {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}

    with pytest.raises(Rejected, match="other rights"):
        canary.make(There(), [role])  # type: ignore[arg-type]
