import dataclasses
import json
from pathlib import Path

import pytest
from traitlets.config import Config

from spe.adapters.hub.settings import HubSettings as Written
from spe.adapters.hub.settings import write_hub_settings, write_private
from spe.hub.configure import configure
from spe.hub.settings import BadSettings
from spe.hub.settings import HubSettings as Read

SETTINGS = Written(
    db_url="sqlite:////tmp/x",
    cookie_secret_file="/tmp/c",
    crypt_key="0" * 64,
    public_url="http://localhost:1",
    hub_url="http://127.0.0.1:2",
    proxy_api_url="http://127.0.0.1:3",
    proxy_auth_token="proxy-token",
    portal_url="http://127.0.0.1:4",
    portal_internal="/tmp/s",
    portal_token_file="/tmp/t",
    oauth_client_id="hub",
    oauth_client_secret="client-secret",
    hub_token="hub-token",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hub" / "settings.json"
    write_hub_settings(path, SETTINGS)
    return path


def _change(path: Path, **fields: object) -> None:
    write_private(path, json.dumps(json.loads(path.read_text()) | fields))


def test_what_is_written_is_what_is_read(file: Path) -> None:
    assert dataclasses.asdict(Read.read(file)) == dataclasses.asdict(SETTINGS)


def test_both_sides_name_the_same_fields_with_the_same_defaults() -> None:
    assert [(f.name, f.type, f.default) for f in dataclasses.fields(Read)] == [
        (f.name, f.type, f.default) for f in dataclasses.fields(Written)
    ]


def test_the_file_and_its_folder_are_for_the_owner_only(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_second_write_replaces_the_file_and_leaves_nothing_beside_it(file: Path) -> None:
    write_hub_settings(file, dataclasses.replace(SETTINGS, log_level="ERROR"))
    assert Read.read(file).log_level == "ERROR"
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_open_to_others_stops_the_hub(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(BadSettings, match="open to others"):
        Read.read(file)


def test_an_unknown_field_stops_the_hub(file: Path) -> None:
    _change(file, admin_users=["p-aaaaaaaaaaaaaaaa"])
    with pytest.raises(BadSettings, match="unknown fields: admin_users"):
        Read.read(file)


def test_a_missing_field_stops_the_hub(file: Path) -> None:
    document = json.loads(file.read_text())
    del document["portal_internal"]
    write_private(file, json.dumps(document))
    with pytest.raises(BadSettings, match="lacks these fields: portal_internal"):
        Read.read(file)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("hub_token", "", "hub_token is empty"),
        ("hub_token", 7, "hub_token must be of type str"),
        ("refresh_seconds", "30", "refresh_seconds must be of type int"),
        ("refresh_seconds", True, "refresh_seconds must be of type int"),
        ("log_level", "DEBUG", "no token is ever logged"),
        ("refresh_seconds", 0, "refresh_seconds must be between"),
        ("refresh_seconds", 86400, "refresh_seconds must be between"),
        ("crypt_key", "secret", "64 hexadecimal digits"),
    ],
)
def test_a_value_that_cannot_be_meant_stops_the_hub(file: Path, field: str, value: object, reason: str) -> None:
    _change(file, **{field: value})
    with pytest.raises(BadSettings, match=reason):
        Read.read(file)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_what_is_not_an_object_stops_the_hub(file: Path, text: str) -> None:
    write_private(file, text)
    with pytest.raises(BadSettings):
        Read.read(file)


def test_an_absent_file_stops_the_hub_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        Read.read(tmp_path / "nothing.json")


@pytest.mark.parametrize("shown", [repr, str])
def test_no_secret_shows_in_the_repr_of_the_settings(shown: object, file: Path) -> None:
    for settings in (SETTINGS, Read.read(file)):
        text = shown(settings)  # type: ignore[operator]
        for secret in (SETTINGS.crypt_key, "proxy-token", "client-secret", "hub-token"):
            assert secret not in text


@pytest.mark.parametrize("address", ["internal.sock", "https://portal:9001", "portal:9001"])
def test_the_portal_is_at_a_socket_or_at_a_port(file: Path, address: str) -> None:
    _change(file, portal_internal=address)
    with pytest.raises(BadSettings, match="portal_internal must be"):
        Read.read(file)


def test_an_unknown_spawner_stops_the_hub(file: Path) -> None:
    _change(file, spawner="docker")
    with pytest.raises(BadSettings, match="spawner must be one of pod, portal"):
        Read.read(file)


def test_the_hub_asks_the_portal_inside_the_cluster_and_sends_browsers_to_its_public_address() -> None:
    on_a_host = Read(**dataclasses.asdict(SETTINGS))
    inside = dataclasses.replace(on_a_host, portal_internal="http://portal-internal:9001")
    c = Config()
    configure(c, inside)
    oauth = c.GenericOAuthenticator
    assert oauth.token_url == "http://portal-internal:9001/oauth/token"
    assert oauth.userdata_url == "http://portal-internal:9001/oauth/userinfo"
    assert oauth.authorize_url == f"{inside.portal_url}/oauth/authorize"
    c = Config()
    configure(c, on_a_host)
    assert c.GenericOAuthenticator.token_url == f"{SETTINGS.portal_url}/oauth/token"
