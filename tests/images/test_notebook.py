"""The notebook image's own settings are those under which a notebook runs in the embedded sandbox."""

import json
from pathlib import Path

from spe.adapters.cluster.embedded import notebook

FOLDER = Path(__file__).resolve().parent.parent.parent / "images" / "notebook" / "jupyter"


def test_the_files_of_settings_are_those_of_the_sandbox() -> None:
    assert _read("labconfig/default_setting_overrides.json") == notebook._LAB_DEFAULTS
    assert _read("labconfig/page_config.json") == notebook._LAB_PAGE
    embedded = json.loads(notebook._server_settings(terminals=False))
    assert _read("jupyter_server_config.json")["ServerApp"].items() >= embedded["ServerApp"].items()


def test_every_option_of_the_sandbox_stands_in_the_image() -> None:
    settings = _read("jupyter_server_config.json")
    for option in notebook.server_command("python"):
        name, _, value = option.removeprefix("--").partition("=")
        if not option.startswith("--") or name == "ServerApp.sock":
            continue
        section, _, field = name.partition(".")
        held = settings[section][field]
        assert str("None" if held is None else held) == value, name


def _read(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((FOLDER / name).read_text())
    return found
