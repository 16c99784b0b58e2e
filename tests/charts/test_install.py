"""The chart on a real cluster, with every production adapter chosen: installed, tested, and what its parts may do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spe.bootstrap.verify import Part, State, examine
from spe.settings import Kubernetes, Settings
from tests.charts.release import PARTS, PATIENCE, Release
from tests.cluster.house import House
from tests.support import servers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    made = House(tmp_path_factory.mktemp("chart"))
    try:
        made.begin()
        made.apply("install")
        yield made
    finally:
        made.end()


TWICE = ("portal", "reconciler")


def _tokens(it: Release) -> dict[str, Any]:
    found: dict[str, Any] = next(s["data"] for s in it.get("secrets") if s["metadata"]["name"] == "tokens")
    return found


def test_every_part_is_ready_in_a_restricted_namespace_and_answers(installed: Release) -> None:
    ready = {d["metadata"]["name"]: d["status"].get("readyReplicas", 0) for d in installed.get("deployments")}
    assert ready == {part: 2 if part in TWICE else 1 for part in PARTS}
    installed.helm("test", "spe")


def test_what_the_set_up_needed_is_gone_with_it(installed: Release) -> None:
    assert installed.name not in {
        r["metadata"]["name"].removesuffix("-setup") for r in installed.get("clusterroles,clusterrolebindings")
    }
    assert not installed.get("jobs")
    assert "setup" not in {a["metadata"]["name"] for a in installed.get("serviceaccounts")}


def test_the_policies_stood_and_refused_before_the_control_plane_ran(installed: Release) -> None:
    named = {p["metadata"]["name"] for p in installed.get("validatingadmissionpolicies")}
    assert {f"{installed.name}-notebook-pods", f"{installed.name}-marker"} <= named
    assert not installed.kubectl("-n", f"{installed.name}-canary", "get", "pods", "-o", "name")


def test_everything_of_it_that_a_cluster_shows_holds(installed: Release) -> None:
    """What its operators would see with `spe verify`; nodes and other tenants of a cluster are not the chart's."""
    chosen = Kubernetes(
        **installed.values["config"]["kubernetes"],
        instance=installed.name,
        release_namespace=installed.name,
        notebook_image=servers.image("notebook"),
        gate_image=servers.image("gate"),
        intake_image=servers.image("control"),
        kubeconfig=Path(servers.kubernetes()),
    )
    findings = examine(Settings(cluster="kubernetes", kubernetes=chosen), [Part.CLUSTER])
    wrong = {f.title: f.seen for f in findings if f.state is State.FAIL and f.row not in {"B2.9", "B2.18", "B2.19"}}
    wrong.pop("nobody else reaches into workspaces", None)
    assert wrong == {}
    assert len(findings) > 15


def test_the_application_does_not_own_its_tables(installed: Release) -> None:
    assert "fit to work with" in installed.spe("db", "check")


def test_a_part_reaches_what_it_must_and_nothing_else(installed: Release) -> None:
    """From the Hub, which sees neither database nor checker, and from the checker, which sees nothing at all."""
    tries = (
        "import socket\n"
        "def tried(host, port):\n"
        "    try:\n"
        "        socket.create_connection((host, port), 3).close()\n"
        "        return 'open'\n"
        "    except OSError:\n"
        "        return 'closed'\n"
    )
    addresses = {s["metadata"]["name"]: s["spec"]["clusterIP"] for s in installed.get("services")}
    ports = {"portal": 9000, "portal-internal": 9001, "hub": 8081, "proxy": 8001, "checker": 9002}
    script = tries + f"print({{name: tried(host, {ports!r}[name]) for name, host in {addresses!r}.items()}})"
    wanted = {
        "hub": {"portal", "portal-internal", "proxy"},
        "checker": set(),
        "reconciler": {"hub", "checker"},
    }
    for part, reached in wanted.items():
        said = installed.kubectl("-n", installed.name, "exec", f"deployment/{part}", "--", "python", "-c", script)
        found: dict[str, str] = eval(said, {"__builtins__": {}})
        assert {name for name, state in found.items() if state == "open"} - {part} == reached, part


def _text_in_force(it: Release) -> str:
    """The digest of all admission policies, which the marker's refusal names."""
    (marker,) = (p for p in it.get("validatingadmissionpolicies") if p["metadata"]["name"] == f"{it.name}-marker")
    return str(marker["spec"]["validations"][0]["message"])


def test_the_way_back_to_a_former_release_leads_back_to_its_policies(installed: Release) -> None:
    former = _text_in_force(installed)
    config = installed.values["config"]
    installed.apply("upgrade", config={**config, "kubernetes": {**config["kubernetes"], "session_seconds": 3600}})
    assert _text_in_force(installed) != former
    installed.helm("rollback", "spe", "--wait", f"--timeout={PATIENCE}")
    assert _text_in_force(installed) == former


def test_an_upgrade_keeps_the_tokens_and_an_uninstalled_release_finds_everything_again(installed: Release) -> None:
    before = _tokens(installed)
    words = ("--issuer", "https://id.example.org", "--subject", "first", "--name", "First Operator")
    person = installed.spe("person", "first", *words).strip()
    installed.apply("upgrade", config={**installed.values["config"], "title": "Another title"})
    assert _tokens(installed) == before
    installed.helm("uninstall", "spe", "--wait")
    assert {c["metadata"]["name"] for c in installed.get("persistentvolumeclaims")} == {"hub"}
    assert _tokens(installed) == before
    assert not installed.get("deployments")
    installed.apply("install")
    assert _tokens(installed) == before
    with pytest.raises(AssertionError, match="There is an operator already"):
        installed.spe("person", "first", *words)
    assert person.startswith("p-")
    installed.helm("test", "spe")
