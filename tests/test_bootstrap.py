"""What is chosen where the parts are put together."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spe import bootstrap
from spe.domain.errors import Invalid, Unavailable
from spe.domain.ids import new_person, new_workspace
from spe.ports.cluster import Step, StepKind
from spe.settings import Settings
from tests.support.vault import make_certificate


def test_a_portal_that_is_restarted_on_its_host_leads_under_the_same_name(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="")
    assert bootstrap.holder(settings) == bootstrap.holder(settings)


def test_portals_that_share_a_database_server_never_share_a_name(tmp_path: Path) -> None:
    """Two under one name would both lead, with one fence: on one node, or before a container that hangs is gone."""
    settings = Settings(home=tmp_path, database_url="postgresql://app@db.example/spe")
    assert bootstrap.holder(settings) != bootstrap.holder(settings)


def test_what_the_settings_choose_without_saying_where_is_refused_with_the_name(tmp_path: Path) -> None:
    for chosen, name in (
        ({"login": "oidc"}, "oidc"),
        ({"secrets": "vault"}, "vault"),
        ({"objects": "s3"}, "s3"),
        ({"checker": "remote"}, "checker_address"),
    ):
        with pytest.raises(Invalid) as refusal:
            bootstrap.build(Settings(home=tmp_path, **chosen))
        assert set(refusal.value.fields) == {name}


def test_an_environment_over_vault_and_an_identity_provider_is_put_together_without_asking_them(tmp_path: Path) -> None:
    """A control plane starts while they are down, and says so when somebody needs them."""
    make_certificate(tmp_path / "ca.pem", tmp_path / "key.pem")
    (tmp_path / "token").write_text("t")
    settings = Settings(
        home=tmp_path,
        login="oidc",
        secrets="vault",
        objects="s3",
        s3={
            "endpoint": "http://127.0.0.1:1",
            "buckets": {z: f"{z}-spe" for z in ("airlock", "release", "views", "evidence")},
        },
        checker="remote",
        checker_address="http://127.0.0.1:1",
        oidc={"issuer": "http://127.0.0.1:1", "client_id": "spe"},
        vault={"address": "https://127.0.0.1:1", "ca_file": tmp_path / "ca.pem", "token_file": tmp_path / "token"},
    )
    app = bootstrap.build(settings)
    assert app.house.ports.identity is not None
    with pytest.raises(Unavailable):
        app.house.ports.secrets.names()


def silent_cluster(tmp_path: Path) -> Settings:
    """Settings for a cluster whose API server does not answer."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "it", "user": {"token": "t"}}],
            }
        )
    )
    images = {f"{name}_image": f"localhost/{name}@sha256:{'0' * 64}" for name in ("notebook", "gate")}
    return Settings(
        home=tmp_path,
        cluster="kubernetes",
        checker="remote",
        checker_address="http://127.0.0.1:1",
        kubernetes={**images, "kubeconfig": kubeconfig},
    )


def test_an_environment_comes_up_while_its_cluster_is_silent_and_says_so_when_it_is_needed(tmp_path: Path) -> None:
    app = bootstrap.build(silent_cluster(tmp_path))
    ports, workspace, person = app.house.ports, new_workspace(), new_person()
    asks: tuple[Callable[[], object], ...] = (
        ports.cluster.owned,
        lambda: ports.cluster.guarantees,
        lambda: ports.cluster.observe(workspace),
        lambda: ports.cluster.recognise("a-token"),
        lambda: ports.cluster.apply(Step(kind=StepKind.CUT, workspace=workspace)),
        lambda: ports.sandboxes.start(workspace, person, environment={}, base_url="/"),
        lambda: ports.sandboxes.poll(workspace, person),
    )
    for ask in asks:
        with pytest.raises(Unavailable):
            ask()


def test_settings_of_a_cluster_that_are_wrong_are_refused_at_the_start(tmp_path: Path) -> None:
    settings = silent_cluster(tmp_path)
    with pytest.raises(Invalid) as refusal:
        bootstrap.build(settings.model_copy(update={"kubernetes": None}))
    assert set(refusal.value.fields) == {"kubernetes"}
