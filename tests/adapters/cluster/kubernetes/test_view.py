"""What a snapshot means: the reconciler notices whatever of a workspace's foundations and gate was changed."""

from typing import Any

import pytest

from spe.adapters.cluster.kubernetes import view
from spe.adapters.cluster.kubernetes.kinds import DEPLOYMENT, ROLE_BINDING, SERVICE, SERVICE_ACCOUNT
from tests.adapters.cluster.kubernetes.verify.scene import SITE, Scene


def test_where_everything_is_as_made_nothing_is_wrong() -> None:
    seen = Scene().place().seen
    assert view.wrong(SITE, seen) == ()
    assert view.gate_stands(SITE, seen)


@pytest.mark.parametrize("account", ["notebook", "gate", "default"])
def test_an_account_that_gets_a_token_is_noticed(account: str) -> None:
    scene = Scene()
    scene.one(SERVICE_ACCOUNT, account)["automountServiceAccountToken"] = True
    assert view.wrong(SITE, scene.place().seen) == (
        f"ServiceAccount {account} differs at automountServiceAccountToken",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("subjects", [{"kind": "User", "name": "ada"}]), ("roleRef", {"kind": "ClusterRole", "name": "edit"})],
)
def test_a_right_of_the_hub_that_was_changed_is_noticed(field: str, value: Any) -> None:
    scene = Scene()
    scene.one(ROLE_BINDING, "hub")[field] = value
    assert not view.rights_fit(SITE, scene.place().seen, given=True)


def test_the_hub_has_its_right_while_there_are_people_and_no_longer() -> None:
    scene = Scene()
    assert view.rights_fit(SITE, scene.place().seen, given=True)
    assert not view.rights_fit(SITE, scene.place().seen, given=False)
    scene.inside[ROLE_BINDING] = []
    assert view.rights_fit(SITE, scene.place().seen, given=False)
    assert not view.rights_fit(SITE, scene.place().seen, given=True)


@pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE])
def test_a_gate_without_one_of_its_parts_does_not_stand(kind: Any) -> None:
    scene = Scene()
    scene.inside[kind] = []
    assert not view.gate_stands(SITE, scene.place().seen)
