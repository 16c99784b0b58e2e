"""Signing in and out with a certified OpenID provider: real redirects, real tokens, nothing in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spe.domain.principal import Role
from tests.support.ground import Ground
from tests.support.instance import free_ports
from tests.support.portal import Portal, oidc_settings, portal
from tests.support.prepared import Template
from tests.support.provider import Provider, Visitor, account, client_of, new_key, provider

ACCOUNTS = {
    "olga": account(name="Olga"),
    "rita": account(name="Rita"),
    "weak": account(acr="", amr=("pwd",)),
    "poor": account(eduperson_assurance=["https://refeds.org/assurance/IAP/low"]),
    "stranger": account(name="Stranger", email="olga@example.org"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def port() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def idp(port: int) -> Iterator[Provider]:
    with provider(ACCOUNTS, client_of(f"http://127.0.0.1:{port}")) as made:
        yield made


@pytest.fixture
def ground(template: Template, tmp_path: Path) -> Iterator[Ground]:
    with template.copy(tmp_path / "world") as found:
        yield found


@pytest.fixture
def desk(ground: Ground, idp: Provider, port: int, tmp_path: Path) -> Iterator[Portal]:
    with portal(ground, oidc_settings(idp, f"http://127.0.0.1:{port}", tmp_path)) as made:
        yield made


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    made = Visitor()
    yield made
    made.close()


def test_a_registered_person_signs_in_and_arrives_where_they_wanted_to_go(desk: Portal, visitor: Visitor) -> None:
    person = desk.person("olga", Role.OPERATOR)
    address, page = visitor.follow(f"{desk.url}/people")
    assert "Go on to sign in" in page.text
    start = page.text.partition('href="/login')[2].partition('"')[0]
    address, page = visitor.sign_in(desk.url, "olga", start=f"/login{start}")
    assert (address, page.status_code) == (f"{desk.url}/people", 200)
    assert person.name in page.text
    assert desk.entries("credential.session-issued")[0].details == {"by": "identity-provider"}
