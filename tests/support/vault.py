"""Environments in a real Vault: in one that is named by the usual variables, or in one of our own that may be sealed.

Each environment has a random name, so that suites can share a Vault, and takes everything away at its end.
"""

import contextlib
import datetime
import ipaddress
import json
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spe.adapters.secrets.vault import HeldLogin, TokenLogin, VaultSecrets, VaultSettings
from spe.adapters.secrets.vault.layout import Layout
from spe.adapters.secrets.vault.link import Link
from spe.adapters.secrets.vault.setup import KubernetesAccess, Setup
from spe.ports.secrets import SecretValue
from tests.support import servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A Vault and what its administrator holds."""

    address: str
    ca: Path
    token: str

    def admin(self) -> hvac.Client:
        """The client library's own client, with every right."""
        return hvac.Client(url=self.address, token=self.token, verify=str(self.ca), timeout=10, cert=())


class Environment:
    """One environment, set up in a Vault as an administrator does it with `spe vault setup --apply`."""

    def __init__(self, place: Place, folder: Path, *, databases: frozenset[str] = frozenset()) -> None:
        self.place, self.folder, self.databases = place, folder, databases
        self.instance = "t" + secrets.token_hex(5)
        self.layout = Layout(instance=self.instance)
        self.admin = place.admin()
        self._opened: list[Any] = []
        self.token_file = folder / f"{self.instance}.token"

    def setup(self, access: KubernetesAccess | None = None) -> Setup:
        """The setup under the administrator's token."""
        settings = self.settings(login=HeldLogin(token=SecretValue(self.place.token)))
        link = Link(settings)
        self._opened.append(link)
        return Setup(link, self.instance, access=access, databases=self.databases)

    def prepare(self) -> "Environment":
        """Make the mounts, keys and policies, and a token of the control plane in its file."""
        self.setup().apply()
        self.token_file.write_text(self.portal_token())
        return self

    def portal_token(self, **options: Any) -> str:
        """A fresh token with the control plane's policy and no other."""
        made = self.admin.auth.token.create_orphan(
            policies=[self.layout.portal_policy], no_default_policy=True, **{"ttl": "1h", **options}
        )
        return str(made["auth"]["client_token"])

    def settings(self, **changes: Any) -> VaultSettings:
        """How the control plane reaches it."""
        plain: dict[str, Any] = {
            "address": self.place.address,
            "ca_file": self.place.ca,
            "login": TokenLogin(token_file=self.token_file),
            "instance": self.instance,
            "databases": self.databases,
        }
        return VaultSettings(**plain | changes)

    def store(self, **changes: Any) -> VaultSecrets:
        """A store as one process opens it."""
        self._opened.append(VaultSecrets(self.settings(**changes)))
        return self._opened[-1]

    def drop_login(self, mount: str) -> None:
        """Take away a login method and the identities that logged in by it."""
        accessor = self.admin.read(f"sys/auth/{mount}")["data"]["accessor"]
        self._drop_identities(lambda alias: alias["mount_accessor"] == accessor)
        self.admin.sys.disable_auth_method(mount)

    def _drop_identities(self, ours: Callable[[dict[str, Any]], bool]) -> None:
        found = self.admin.list("identity/entity-alias/id")
        for alias in found["data"]["key_info"].values() if found else ():
            if ours(alias):
                self.admin.delete(f"identity/entity/id/{alias['canonical_id']}")

    def clear(self) -> None:
        """Take everything of this environment out of Vault again."""
        for each in self._opened:
            each.close()
        admin, stem = self.admin, self.layout.stem("")
        for role in _keys(admin, "auth/token/roles"):
            if role.startswith(stem):
                admin.adapter.put(f"/v1/sys/leases/revoke-prefix/auth/token/create/{role}", json={"sync": True})
                admin.delete(f"auth/token/roles/{role}")
        with contextlib.suppress(hvac.exceptions.VaultError):
            admin.adapter.put(f"/v1/sys/leases/revoke-force/{self.layout.database}")
        for mount in (self.layout.secrets, self.layout.leases, self.layout.keys, self.layout.database):
            admin.delete(f"sys/mounts/{mount}")
        for policy in (self.layout.portal_policy, self.layout.lease_policy):
            admin.delete(f"sys/policies/acl/{policy}")
        self._drop_identities(lambda alias: alias["name"].startswith(stem))
        admin.adapter.close()


@contextlib.contextmanager
def named(folder: Path, **options: Any) -> Iterator[Environment]:
    """An environment in the Vault that the usual variables name."""
    address, ca, token = servers.vault()
    kept = shutil.copy(ca, folder / "ca.pem")  # the named file may be replaced while we run
    environment = Environment(Place(address=address, ca=kept, token=token), folder, **options)
    try:
        yield environment.prepare()
    finally:
        environment.clear()


class OwnVault:
    """A Vault server of our own on loopback, in memory, with one key share: it may be sealed, stopped, started."""

    def __init__(self) -> None:
        binary = shutil.which("vault")
        if binary is None:
            raise AssertionError("This test starts a Vault of its own. Put the program `vault` on PATH.")
        self._binary = binary
        self.folder = Path(tempfile.mkdtemp(prefix="spe-vault-", dir="/tmp"))
        self.ca = self.folder / "ca.pem"
        self.port = _free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self._certificate()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Place:
        """Start, initialise and unseal; in memory, so it begins empty each time."""
        configuration = {
            "storage": {"inmem": {}},
            "listener": {"tcp": {
                "address": f"127.0.0.1:{self.port}",
                "tls_cert_file": str(self.ca),
                "tls_key_file": str(self.folder / "key.pem"),
            }},
            "api_addr": self.address,
            "disable_mlock": True,
        }  # fmt: skip
        (self.folder / "server.json").write_text(json.dumps(configuration))
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._binary, "server", "-config", str(self.folder / "server.json")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"HOME": str(self.folder)},
            )
        self._client = hvac.Client(url=self.address, token="", verify=str(self.ca), timeout=10, cert=())
        until(lambda: _answers(self._client))
        made = self._client.sys.initialize(secret_shares=1, secret_threshold=1)
        self._share = made["keys_base64"][0]
        self.unseal()
        self.place = Place(address=self.address, ca=self.ca, token=made["root_token"])
        return self.place

    def seal(self) -> None:
        """Seal it, as its operators do in an emergency."""
        self.place.admin().sys.seal()

    def unseal(self) -> None:
        """Unseal it and wait until it is active."""
        self._client.sys.submit_unseal_key(self._share)
        until(lambda: self._client.sys.read_health_status(method="GET").get("standby") is False)

    def stop(self) -> None:
        """End the process; everything in it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)

    def clear(self) -> None:
        """Stop and remove the files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text()

    def _certificate(self) -> None:
        make_certificate(self.ca, self.folder / "key.pem")


def make_certificate(certificate: Path, key_file: Path) -> None:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    key_file.chmod(0o600)


def until(condition: Any, *, seconds: float = 20.0) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("The condition did not come true in time.")
        time.sleep(0.02)


def _answers(client: hvac.Client) -> bool:
    try:
        return client.sys.read_health_status(method="GET") is not None
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _keys(admin: hvac.Client, path: str) -> list[str]:
    found = admin.list(path)
    return list(found["data"]["keys"]) if found else []
