"""A gate in a cluster says hello with its pod's account token, and asks where its notebooks are."""

import pytest
from starlette.testclient import TestClient

from spe.domain import ids
from spe.domain.ids import PersonId, WorkspaceId
from spe.web.app import create_internal
from tests.support.ground import Ground
from tests.web.front import WEB

ACCOUNT = "account-token-of-a-gate"


@pytest.fixture
def client(ground: Ground) -> TestClient:
    ground.cluster.accounts[ACCOUNT] = WorkspaceId(ground.workspace_id)
    return TestClient(create_internal(ground.app, WEB), base_url="http://portal", follow_redirects=False)


def hello(client: TestClient, shown: str = ACCOUNT):
    return client.post("/gate/hello", headers={"Authorization": f"Bearer {shown}"}, json={})


def bearer(ground: Ground, workspace: str = "") -> dict[str, str]:
    return {"Authorization": f"Bearer {ground.app.house.gate_token(workspace or ground.workspace_id)}"}


def test_a_gate_hears_whose_it_is_and_the_token_works(client, ground):
    answer = hello(client)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {
        "workspace": ground.workspace_id,
        "token": ground.app.house.gate_token(ground.workspace_id),
    }
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert client.get("/gate/addresses", headers=headers).json() == {}


@pytest.mark.parametrize("shown", ["", "x", ACCOUNT + "x", ACCOUNT.upper(), "a" * 20_000, "é"])
def test_an_account_that_is_no_gates_hears_nothing(client, shown):
    answer = client.post("/gate/hello", headers={"Authorization": f"Bearer {shown}".encode()}, json={})
    assert answer.status_code == 401
    assert "token" not in answer.json()


def test_nothing_else_is_taken_for_an_account(client, ground):
    assert client.post("/gate/hello", json={}).status_code == 401
    assert client.post("/gate/hello", headers={"Authorization": f"Basic {ACCOUNT}"}, json={}).status_code == 401
    assert client.post("/gate/hello", headers=bearer(ground), json={}).status_code == 401
    assert hello(client, WEB.service_token).status_code == 401


def test_a_workspace_that_is_not_known_here_has_no_gate(client, ground):
    ground.cluster.accounts[ACCOUNT] = ids.new_workspace()
    assert hello(client).status_code == 401


def test_a_closed_workspace_has_no_gate(client, ground):
    ground.app.permits.narrow(ground.permit_id, "revoke", reason="It is over.", by=ground.by("board"))
    ground.settle()
    assert hello(client).status_code == 401


def test_a_silent_cluster_names_nobody(client, ground):
    ground.cluster.silent = True
    assert hello(client).status_code == 503
    assert client.get("/gate/addresses", headers=bearer(ground)).status_code == 503


def test_a_gate_hears_the_addresses_of_its_own_workspace_only(client, ground):
    other = ids.new_workspace()
    ada, bob = PersonId("p-ada"), PersonId("p-bob")
    ground.cluster.pods = {WorkspaceId(ground.workspace_id): {ada: "10.0.0.7"}, other: {bob: "10.0.0.8"}}
    assert client.get("/gate/addresses", headers=bearer(ground)).json() == {"p-ada": "10.0.0.7"}
    for headers in ({}, {"Authorization": f"Bearer {ACCOUNT}"}, {"Authorization": f"Bearer {WEB.service_token}"}):
        assert client.get("/gate/addresses", headers=headers).status_code == 401
