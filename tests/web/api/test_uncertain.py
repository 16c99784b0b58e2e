"""A database that goes silent at any COMMIT of a request: with one key, one thing at most, and nobody is misled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import databases
from tests.support.ground import world
from tests.support.severed import KEPT, LOST, Severed, severed
from tests.web.front import Front

COMMITS = 3
"""Of one creation: the key, the thing itself, the answer."""


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Severed]:
    with severed(databases.fresh("postgresql", tmp_path).url) as made:
        yield made


@pytest.fixture
def front(way: Severed, tmp_path: Path) -> Iterator[Front]:
    with world(tmp_path, url=way.url) as ground:
        yield Front(ground)


@pytest.mark.parametrize("how", [KEPT, LOST])
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
def test_a_request_repeated_with_its_key_is_never_carried_out_twice(
    front: Front, way: Severed, how: str, commit: int
) -> None:
    client = front.client("researcher")
    body, headers = {"workspace": front.ground.workspace_id, "purpose": "Once"}, {"Idempotency-Key": "k1"}
    client.get("/api/v1/egress")
    before = way.commits
    way.arm(how, commit=commit)
    first = client.post("/api/v1/egress", json=body, headers=headers)
    assert (first.status_code, first.json()["code"]) == (503, "uncertain")
    assert (way.cuts, way.commits - before) == (1, commit)
    later = [client.post("/api/v1/egress", json=body, headers=headers) for _ in range(3)]
    made = [item["id"] for item in front.api("researcher", "GET", "/egress")["items"]]
    assert len(made) <= 1
    for answer in later:
        if answer.status_code == 201:
            assert [answer.json()["id"]] == made
        else:
            assert (answer.status_code, answer.json()["code"]) == (409, "key-in-use")
    if (how, commit) == (KEPT, COMMITS):
        assert [answer.status_code for answer in later] == [201] * 3, "it was done, and the answer was kept"
    if (how, commit) == (LOST, 1):
        assert [answer.status_code for answer in later] == [201] * 3, "nothing had begun"


def test_without_a_key_the_asker_is_told_to_look(front: Front, way: Severed) -> None:
    client = front.client("researcher")
    way.arm(KEPT)
    answer = client.post("/api/v1/egress", json={"workspace": front.ground.workspace_id})
    assert answer.json()["code"] == "uncertain"
    assert "before you repeat it" in answer.json()["remedy"]
    assert len(front.api("researcher", "GET", "/egress")["items"]) == 1
