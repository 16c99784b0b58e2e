"""`spe person`: through the API as an operator, and on the host itself before anybody can sign in."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_client import Answer, Shell, a_shell


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with a_shell(tmp_path_factory.mktemp("shell")) as made:
        yield made


def on_host(home: Path, *arguments: str) -> Answer:
    """One command on the host of an environment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SPE_")}
    done = subprocess.run(
        [sys.executable, "-m", "spe.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=home,
        env=kept | {"SPE_HOME": str(home / "environment"), "HOME": str(home)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def test_an_operator_registers_a_person_by_issuer_and_subject(shared: Shell) -> None:
    given = ("--issuer", "https://login.example", "--subject", "ada", "--name", "Ada", "--role", "checker")
    done = shared.outside("operator", "person", "add", *given)
    assert done.code == 0, done.err
    assert done.json["roles"] == ["checker"]
    listed = shared.outside("operator", "person", "list").json
    assert done.json["id"] in [person["id"] for person in listed]
    assert shared.outside("operator", "person", "add", *given).json["id"] == done.json["id"]
    assert shared.outside("researcher", "person", "add", *given).code == 4


def test_links_are_made_where_there_is_no_provider_and_invitations_where_there_is_one(shared: Shell) -> None:
    person = shared.ground.id_of("checker")
    done = shared.outside("operator", "person", "link", person)
    assert re.fullmatch(rf"{shared.url}/sign-in/spe_link_\S+\n", done.out)
    invited = shared.outside("operator", "person", "invite", person)
    assert invited.code == 4
    assert "No identity provider is in use here" in invited.err


def test_the_first_operator_is_registered_on_the_host_and_no_second_one(tmp_path: Path) -> None:
    given = ("--issuer", "https://login.example", "--subject", "olga", "--name", "Olga")
    early = on_host(tmp_path, "person", "first", *given)
    assert early.code == 6
    assert "spe db upgrade" in early.err
    assert on_host(tmp_path, "db", "upgrade").code == 0
    done = on_host(tmp_path, "person", "first", *given)
    assert done.code == 0, done.err
    person = done.out.strip()
    assert person.startswith("p-")
    again = on_host(tmp_path, "person", "first", *given)
    assert again.code == 4
    assert "There is an operator already" in again.err
    link = on_host(tmp_path, "person", "break-glass", person)
    assert "/sign-in/spe_link_" in link.out
    assert on_host(tmp_path, "person", "break-glass", "p-nobody").code == 5
