"""What the Vault adapter makes of a Vault that does not answer, answers no, or points elsewhere. No server needed."""

import socket
from datetime import timedelta
from pathlib import Path

import pytest

from spe.adapters.secrets.vault import AppRoleLogin, HeldLogin, TokenLogin, VaultSecrets, VaultSettings
from spe.adapters.secrets.vault.layout import Layout, lease_policy, portal_policy
from spe.domain.errors import Invalid, Unavailable
from spe.ports.secrets import KeyName, SecretValue
from tests.support.answering import Answering

HOUR = timedelta(hours=1)
HELD = HeldLogin(token=SecretValue("hvs.held"))


@pytest.fixture
def server(tmp_path):
    made = Answering(tmp_path)
    yield made
    made.close()


def told(server, **changes):
    plain = {"address": server.address, "ca_file": server.ca, "login": HELD, "answer_seconds": 0.3}
    return VaultSecrets(VaultSettings(**plain | changes))


CALLS = {
    "put": lambda s: s.put("name", SecretValue("x")),
    "remove": lambda s: s.remove("name"),
    "names": lambda s: s.names(),
    "lease": lambda s: s.lease("ws-1", "pm-1", "name", ttl=HOUR, holder="p-1"),
    "revoke_all": lambda s: s.revoke_all("ws-1"),
    "confirm_revoked": lambda s: s.confirm_revoked("ws-1"),
    "leases": lambda s: s.leases("ws-1"),
    "sign": lambda s: s.sign(KeyName.LOG, b""),
    "public_key": lambda s: s.public_key(KeyName.RELEASE),
    "mac": lambda s: s.mac(KeyName.LINKS, b""),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [301, 307, 308, 401, 403, 405, 412, 429, 472, 473, 500, 501, 502, 503, 504])
def test_every_call_refuses_when_vault_answers_with(server, call, status):
    server.status = status
    server.body = b'{"errors": ["whatever"]}'
    store = told(server)
    with pytest.raises(Unavailable, match=r"The secret store does not answer: .*[Vv]ault|active one"):
        CALLS[call](store)
    store.close()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'"text"', b'{"data": []}', b'{"data": {"keys": 1}, "auth": 1}']
)
def test_an_answer_in_another_form_grants_nothing(server, call, body):
    server.body = body
    store = told(server)
    with pytest.raises(Unavailable):
        CALLS[call](store)
    store.close()


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail": "Not Found"}', b"[]"])
@pytest.mark.parametrize("call", ["revoke_all", "confirm_revoked", "leases", "lease"])
def test_what_something_else_than_vault_does_not_know_is_no_evidence(server, call, status, body):
    server.status, server.body = status, body
    store = told(server)
    with pytest.raises(Unavailable, match=r"it is not Vault|cannot be read"):
        CALLS[call](store)
    store.close()


@pytest.mark.parametrize("call", ["revoke_all", "confirm_revoked", "leases", "names"])
def test_a_missing_mount_or_an_empty_list_is_no_evidence_that_nothing_is_there(server, call):
    store = told(server)
    for status, body in ((404, b'{"errors": ["no handler for route"]}'), (200, b'{"data": {}}')):
        server.status, server.body = status, body
        with pytest.raises(Unavailable):
            CALLS[call](store)
    store.close()


def test_an_empty_answer_is_no_lease_no_signature_and_no_hash(server):
    store = told(server)
    for call in ("lease", "sign", "public_key", "mac"):
        with pytest.raises(Exception, match=r"No secret|expected|not an Ed25519|something other"):
            CALLS[call](store)
    store.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_target_hears_nothing(server, tmp_path, status):
    target = Answering(tmp_path, "target")
    server.status, server.headers = status, {"Location": f"{target.address}/v1/spe/secrets/metadata/"}
    store = told(server)
    for call in CALLS.values():
        with pytest.raises(Unavailable, match="points elsewhere, which is not followed"):
            call(store)
    store.close()
    target.close()
    assert (target.connections, target.heard) == (0, [])
    assert len(CALLS) <= len(server.heard) <= len(CALLS) + 2  # a revocation tries all that it can end


def test_a_vault_that_never_answers_is_given_up(server):
    server.silent = True
    store = told(server)
    with pytest.raises(Unavailable, match="does not answer in time"):
        store.names()
    store.close()


def test_a_port_where_nobody_listens_is_no_connection(server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        store = told(server, address=f"https://127.0.0.1:{probe.getsockname()[1]}")
        with pytest.raises(Unavailable, match="no connection to Vault"):
            store.names()
        store.close()


def test_a_server_with_another_certificate_hears_no_token(server, tmp_path):
    other = Answering(tmp_path, "other")
    store = told(server, ca_file=other.ca)
    with pytest.raises(Unavailable, match="not one that the CA file vouches for"):
        store.names()
    store.close()
    other.close()
    assert server.heard == []


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_ca_file_that_cannot_be_read_vouches_for_nobody(server, tmp_path, text):
    if text is not None:
        (tmp_path / "other.pem").write_text(text)
    store = told(server, ca_file=tmp_path / "other.pem")
    with pytest.raises(Unavailable, match="CA file"):
        store.names()
    store.close()
    assert server.heard == []


def test_nothing_is_taken_from_the_process_environment(server, tmp_path, monkeypatch):
    proxy = Answering(tmp_path, "proxy")
    (tmp_path / ".vault-token").write_text("hvs.from-home")
    for name, value in {
        "HTTPS_PROXY": proxy.address,
        "https_proxy": proxy.address,
        "REQUESTS_CA_BUNDLE": str(proxy.ca),
        "VAULT_ADDR": proxy.address,
        "VAULT_TOKEN": "hvs.from-environment",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    server.status, server.body = 404, b'{"errors": []}'
    store = told(server)
    assert store.names() == ()
    store.close()
    proxy.close()
    assert proxy.connections == 0
    assert len(server.heard) == 1


def test_a_login_that_fails_is_not_tried_again_at_every_call(server, tmp_path):
    server.status, server.body = 403, b'{"errors": ["permission denied"]}'
    (tmp_path / "secret").write_text("secret-id")
    store = told(server, login=AppRoleLogin(role_id="r", secret_file=tmp_path / "secret"))
    for _ in range(200):
        with pytest.raises(Unavailable, match="does not accept the login at auth/approle/login"):
            store.names()
    store.close()
    assert len(server.heard) <= 8


def test_a_refused_request_is_not_sent_again_and_again(server, tmp_path):
    server.status, server.body = 403, b'{"errors": ["permission denied"]}'
    (tmp_path / "token").write_text("hvs.token")
    store = told(server, login=TokenLogin(token_file=tmp_path / "token"))
    for _ in range(20):
        with pytest.raises(Unavailable, match="refuses the request"):
            store.names()
    store.close()
    assert len(server.heard) == 20


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_credential_file_that_is_missing_or_empty_is_said(server, tmp_path, text):
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    store = told(server, login=TokenLogin(token_file=file))
    with pytest.raises(Unavailable, match="file with the credential for Vault cannot be read"):
        store.names()
    store.close()
    assert server.heard == []


def test_an_id_of_another_form_or_another_store_asks_nobody(server):
    store = told(server)
    for lease in ("", "ls-unknown", "ls-../x-ws-1-00000000", "ls-abc-ws-1-00000000", "ls-abc-ws-1-0000000g"):
        with pytest.raises(Exception, match="no such lease"):
            store.revoke(lease)
    store.close()
    assert server.heard == []


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "http://127.0.0.1:8200"},
        {"address": "https://vault.example/v1"},
        {"address": "https://me@vault.example"},
        {"address": "vault.example:8200"},
        {"instance": "Spe"},
        {"instance": "spe.other"},
        {"instance": "spe*"},
        {"instance": ""},
        {"instance": "x" * 41},
        {"databases": frozenset({"Registry*"})},
        {"login": AppRoleLogin(role_id="r", secret_file=Path("f"), mount="../sys")},
    ],
)
def test_settings_that_could_reach_elsewhere_are_refused(tmp_path, changes):
    plain = {"address": "https://vault.example:8200", "ca_file": tmp_path / "ca.pem", "login": HELD}
    VaultSettings(**plain)
    with pytest.raises(Invalid):
        VaultSettings(**plain | changes)


def test_no_prefix_of_one_environment_covers_another():
    policy = portal_policy(Layout(instance="spe"))
    prefixes = [
        line.split('"')[1].rstrip("*") for line in policy.splitlines() if line.startswith("path") and "*" in line
    ]
    assert prefixes
    for other in ("spe-two", "spe2", "spee"):
        layout = Layout(instance=other)
        theirs = [
            f"{layout.secrets}/data/{layout.stem('x')}",
            f"{layout.leases}/ws-1/x",
            f"auth/token/roles/{layout.stem('ws-1')}",
            layout.tokens("ws-1"),
            f"sys/leases/revoke-prefix/{layout.accounts('x')}",
        ]
        assert not [(prefix, path) for prefix in prefixes for path in theirs if path.startswith(prefix)]


def test_the_control_plane_may_write_no_policy_and_read_no_value():
    policy = portal_policy(Layout(instance="spe"))
    assert "sys/policies" not in policy
    assert "spe/database" not in policy.replace("sys/leases/lookup/spe/database", "").replace(
        "sys/leases/revoke-prefix/spe/database", ""
    )
    (data,) = [line for line in policy.split("path ") if line.startswith('"spe/secrets/data/')]
    assert '"read"' not in data
    assert "*" not in lease_policy(Layout(instance="spe"), "auth_token_1")
