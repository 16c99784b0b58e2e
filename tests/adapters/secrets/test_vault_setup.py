"""`spe vault setup` and `check`, and the login of service accounts of a real cluster, on real servers."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from spe.adapters.secrets.vault import HeldLogin, KubernetesLogin
from spe.adapters.secrets.vault.check import examine
from spe.adapters.secrets.vault.setup import KubernetesAccess
from spe.domain.errors import Unavailable
from spe.ports.secrets import KeyName, SecretValue
from tests.support import servers, vault

pytestmark = pytest.mark.servers


@pytest.fixture
def home(tmp_path):
    address, ca, token = servers.vault()
    made = vault.Environment(vault.Place(address=address, ca=Path(ca), token=token), tmp_path)
    yield made
    made.clear()


def spe(home, *words, token=None):
    """The command line as an administrator runs it; the token is in the environment, never an argument."""
    done = subprocess.run(
        [sys.executable, "-m", "spe.cli.main", "vault", *words, "--instance", home.instance],
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", "."),
            "VAULT_ADDR": home.place.address,
            "VAULT_CACERT": str(home.place.ca),
            "VAULT_TOKEN": home.place.token if token is None else token,
        },
        timeout=120,
    )
    assert home.place.token not in done.stdout + done.stderr
    return done


def states(done):
    return {row["state"] for row in json.loads(done.stdout)}


def test_setup_prints_first_then_applies_and_again_changes_nothing(home):
    printed = spe(home, "setup", "-o", "json")
    assert printed.returncode == 0, printed.stderr
    assert states(printed) == {"to do"}
    assert "Nothing was changed" in printed.stderr
    assert home.admin.read(f"sys/policies/acl/{home.layout.portal_policy}") is None
    applied = spe(home, "setup", "--apply", "-o", "json")
    assert applied.returncode == 0, applied.stderr
    assert "made" in states(applied) <= {"made", "as it should be"}
    assert states(spe(home, "setup", "--apply", "-o", "json")) == {"as it should be"}
    checked = spe(home, "check", "-o", "json")
    assert checked.returncode == 0, checked.stdout
    assert all(row["well"] for row in json.loads(checked.stdout))
    assert f'path "{home.layout.keys}/sign/release"' in spe(home, "setup", "-o", "table").stdout


def test_what_setup_made_is_enough_for_the_store(home):
    store = home.prepare().store()
    store.put("token", SecretValue("x"))
    assert store.sign(KeyName.RELEASE, b"data").public == store.public_key(KeyName.RELEASE)
    assert len(store.mac(KeyName.LINKS, b"data")) == 32


def test_what_was_changed_is_shown_and_mended(home):
    home.prepare()
    admin, layout = home.admin, home.layout
    admin.write_data(
        f"sys/policies/acl/{layout.portal_policy}", data={"policy": 'path "*" { capabilities = ["read"] }'}
    )
    admin.write_data(f"{layout.secrets}/config", data={"max_versions": 9})
    admin.write_data(f"{layout.keys}/keys/log/config", data={"deletion_allowed": True})
    checked = spe(home, "check", "-o", "json")
    assert checked.returncode == 4
    wrong = {row["check"]: row["seen"] for row in json.loads(checked.stdout) if not row["well"]}
    assert wrong == {
        f"policy {layout.portal_policy}": "policy: the text differs",
        f"mount settings {layout.secrets}": "max_versions is 9, should be 1",
        "key settings log": "deletion_allowed is True, should be False",
    }
    printed = spe(home, "setup", "-o", "json")
    (policy,) = [row for row in json.loads(printed.stdout) if row["name"] == layout.portal_policy]
    assert '-path "*" { capabilities = ["read"] }' in policy["changes"]
    assert f'+path "{layout.keys}/sign/log" {{' in policy["changes"]
    applied = spe(home, "setup", "--apply", "-o", "json")
    assert applied.returncode == 0, applied.stderr
    assert spe(home, "check").returncode == 0


def test_a_key_or_mount_of_another_kind_is_left_alone_and_said(home):
    admin, layout = home.admin, home.layout
    admin.write_data(f"sys/mounts/{layout.keys}", data={"type": "transit"})
    admin.write_data(f"{layout.keys}/keys/release", data={"type": "ed25519", "exportable": True})
    applied = spe(home, "setup", "--apply", "-o", "json")
    assert applied.returncode == 6
    assert "key release: exportable cannot be changed once made" in applied.stderr
    assert admin.read(f"{layout.keys}/keys/release")["data"]["exportable"] is True
    assert spe(home, "check").returncode == 4


def test_a_missing_database_role_is_the_database_administrators(home):
    applied = spe(home, "setup", "--apply", "--database", "registry", "-o", "json")
    assert applied.returncode == 6
    assert f"a database administrator makes the role {home.layout.database}/roles/" in applied.stderr
    assert spe(home, "check").returncode == 0


@pytest.mark.parametrize("token", ["", "hvs.wrong"])
def test_without_an_administrators_token_nothing_is_done(home, token):
    done = spe(home, "setup", "--apply", token=token)
    assert done.returncode == (6 if token else 2)
    assert spe(home, "check", token="hvs.wrong").returncode == 4
    assert home.admin.read(f"sys/policies/acl/{home.layout.portal_policy}") is None


def test_a_sealed_or_old_vault_fails_the_check(tmp_path):
    server = vault.OwnVault()
    try:
        home = vault.Environment(server.start(), tmp_path)
        parts = home.setup()
        assert [check.ok for check in examine(parts._link, parts)][:2] == [True, True]
        server.seal()
        (health, _) = examine(parts._link, parts)
        assert (health.ok, health.seen) == (False, "Vault is sealed and is on standby")
        server.stop()
        (health,) = examine(parts._link, parts)
        assert not health.ok
        parts._link.close()
    finally:
        server.clear()


# Service accounts of a cluster


class Namespace:
    """A namespace of our own with two service accounts, of which one may log in."""

    def __init__(self):
        self.config, self.name = servers.kubernetes(), "t" + secrets.token_hex(5)
        self.kubectl("create", "namespace", self.name)
        for account in ("portal", "other", "reviewer"):
            self.kubectl("create", "serviceaccount", account, "-n", self.name)
        self.reviewer = f"{self.name}-reviewer"
        self.kubectl(
            *("create", "clusterrolebinding", self.reviewer, "--clusterrole=system:auth-delegator"),
            f"--serviceaccount={self.name}:reviewer",
        )

    def kubectl(self, *words):
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.config, *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self, audience, account="portal"):
        words = ("create", "token", account, "-n", self.name, "--duration", "10m")
        return self.kubectl(*words, *(("--audience", audience) if audience else ()))

    def host(self):
        cluster = json.loads(self.kubectl("config", "view", "--raw", "--minify", "-o", "json"))["clusters"][0][
            "cluster"
        ]
        return cluster["server"], self.kubectl(
            "get", "configmap", "kube-root-ca.crt", "-n", self.name, "-o", r"jsonpath={.data.ca\.crt}"
        )

    def clear(self):
        self.kubectl("delete", "clusterrolebinding", self.reviewer, "--ignore-not-found")
        self.kubectl("delete", "namespace", self.name, "--ignore-not-found", "--wait=false")


@pytest.fixture
def namespace():
    made = Namespace()
    yield made
    made.clear()


def test_a_service_account_logs_in_with_its_audience_and_nobody_else(home, namespace, tmp_path):
    host, ca = namespace.host()
    (tmp_path / "cluster.pem").write_text(ca)
    mount = f"{home.instance}-kubernetes"
    access = KubernetesAccess(
        namespace=namespace.name,
        accounts=("portal",),
        mount=mount,
        host=host,
        ca_file=tmp_path / "cluster.pem",
        reviewer_file=tmp_path / "reviewer",
    )
    reviewer = namespace.token("", "reviewer")
    (tmp_path / "reviewer").write_text(reviewer)
    try:
        parts = home.setup(access)
        parts.apply()
        assert all(finding.well for finding in parts.look())
        assert reviewer not in str([finding.part for finding in parts.look()])
        file = tmp_path / "jwt"
        login = KubernetesLogin(role=home.instance, token_file=file, mount=mount)
        file.write_text(namespace.token("spe-vault"))
        store = home.store(login=login)
        store.put("token", SecretValue("x"))
        assert store.names() == ("token",)
        for wrong in (
            namespace.token("https://kubernetes.default.svc.cluster.local"),
            namespace.token("spe-portal"),
            namespace.token("spe-vault", "other"),
            "no.jwt.atall",
        ):
            file.write_text(wrong)
            with pytest.raises(Unavailable, match=f"does not accept the login at auth/{mount}/login"):
                home.store(login=login).names()
        assert store.names() == ("token",)  # who is in stays in until the token ends
        held = home.store(login=HeldLogin(token=store._link._session.token))
        role = home.admin.read(f"auth/{mount}/role/{home.instance}")["data"]
        assert (role["token_ttl"], role["token_explicit_max_ttl"], role["alias_name_source"]) == (
            900,
            3600,
            "serviceaccount_uid",
        )
        assert held.names() == ("token",)
    finally:
        home.drop_login(mount)
