"""`spe hub settings`: the file that the Hub reads, made where tokens are mounted readable for a group."""

import secrets
from pathlib import Path

import pytest

from spe.bootstrap.keys import NAMES
from spe.cli.hub import settings as write_settings
from spe.hub.settings import HubSettings, read_private


def test_the_hub_reads_what_was_written_from_tokens_that_a_group_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in NAMES:
        (keys / name).write_text(secrets.token_hex(32))
        (keys / name).chmod(0o440)
    monkeypatch.setenv("SPE_KEYS", str(keys))
    monkeypatch.setenv("SPE_HOME", str(tmp_path / "home"))
    file = tmp_path / "run" / "settings.json"
    write_settings(file)
    found = HubSettings.read(file)
    assert read_private(Path(found.portal_token_file)) == (keys / "portal").read_text()
    assert found.proxy_auth_token == (keys / "proxy").read_text()
