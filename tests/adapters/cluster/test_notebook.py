"""What a notebook server is told, and which of the Hub's variables reach it."""

import json
from pathlib import Path

from spe.adapters.bubblewrap.sandbox import Bind, SandboxSpec
from spe.adapters.cluster.embedded.notebook import Places, notebook_shape, server_command, server_environment
from spe.domain.permit import Limits


def shape(**changes: bool) -> SandboxSpec:
    root = Path("/srv")
    return notebook_shape(
        name="w/p",
        command=server_command("/opt/env/bin/python"),
        environment={"JUPYTERHUB_API_TOKEN": "t"},
        places=Places(home=root, outputs=root, shared=root, notebook=root, door=root / "door"),
        data=(Bind(source="/srv/data", target="/data/ds/1"),),
        limits=Limits(disk_bytes=123, memory_bytes=456, cpu=2.0),
        workspace="ws-1",
        **changes,
    )


def test_only_the_hubs_own_variables_pass() -> None:
    found = server_environment(
        {"JUPYTERHUB_API_TOKEN": "t", "LD_PRELOAD": "x", "PATH": "/evil", "PYTHONPATH": "/evil"}, base_url="/user/p/w/"
    )
    assert found["JUPYTERHUB_API_TOKEN"] == "t"
    assert not {"LD_PRELOAD", "PATH", "PYTHONPATH"} & set(found)


def test_the_server_asks_the_hub_through_the_door_whatever_the_hub_says() -> None:
    found = server_environment({"JUPYTERHUB_API_URL": "http://10.0.0.1/hub/api"}, base_url="/user/p/w/")
    assert found["JUPYTERHUB_API_URL"] == "http+unix://%2Frun%2Fdoor%2Fhub.sock/hub/api"
    assert found["JUPYTERHUB_SERVICE_URL"] == "http+unix://%2Frun%2Fnb%2Fnb.sock/user/p/w/"


def test_data_and_the_door_are_read_only_and_only_four_places_are_written() -> None:
    spec = shape()
    assert {bind.target for bind in spec.read_only} == {"/run/door", "/data/ds/1"}
    assert {bind.target for bind in spec.writable} == {
        "/home/researcher", "/workspace/shared", "/workspace/outputs", "/run/nb",
    }  # fmt: skip


def test_the_permits_limits_are_the_sandboxs_bounds() -> None:
    bounds = shape().bounds
    assert (bounds.disk_bytes, bounds.memory_bytes, bounds.cpu) == (123, 456, 2.0)


def test_a_notebook_asks_nobody_for_news() -> None:
    texts = [json.loads(text) for text in shape().files.values()]
    assert {"fetchNews": "false", "checkForUpdates": False} in [v for text in texts for v in text.values()]


def test_terminals_are_off_unless_allowed() -> None:
    def loaded(spec: SandboxSpec) -> bool:
        settings = json.loads(spec.files["/opt/jupyter/jupyter_server_config.json"])
        return bool(settings["ServerApp"]["jpserver_extensions"]["jupyter_server_terminals"])

    assert not loaded(shape())
    assert loaded(shape(terminals=True))
    assert "--ServerApp.terminals_enabled=False" in server_command("python")
