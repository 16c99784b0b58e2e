"""Settings: YAML file < `SPE_…` variables (`__` nests) < files of secrets < what the command line says.

Only `bootstrap` and `cli` see this; everything else receives values.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

import spe
from spe.domain.errors import Invalid
from spe.policy.loader import policies_folder

SOURCE = Path(spe.__file__).resolve().parent.parent


class Oidc(BaseModel):
    """The OpenID provider at which people sign in."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    issuer: str
    """Exactly as the provider writes it."""
    client_id: str
    """The name under which the provider knows this environment."""
    client_secret_file: Path | None = None
    """File with the client's secret; without one the client is public, and PKCE alone protects it."""
    ca_file: Path | None = None
    """Certificates that vouch for the provider instead of the system's."""
    scopes: tuple[str, ...] = ("openid", "profile")
    """What is asked for; `openid` is among them."""
    subject_claim: str = "sub"
    """What identifies a person: never reassigned, never an e-mail."""
    assurance_claim: str = "eduperson_assurance"
    """Where the proof of identity stands."""
    required_claims: dict[str, str] = {}
    """Claim and value that it must be or contain, such as an entitlement."""
    skew_seconds: int = Field(default=30, ge=0, le=120)
    """How far the clocks may differ."""


class Retention(BaseModel):
    """How long objects of a zone resist deletion, in a bucket with object lock."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    days: int = Field(ge=1)
    """Counted from the last time the object was stored."""
    mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"
    """Nobody lifts compliance; a right of its own lifts governance."""


class S3(BaseModel):
    """An S3 service where outputs wait and stay."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    buckets: dict[Literal["airlock", "release", "views", "evidence"], str]
    """One bucket for each zone, all different."""
    endpoint: str = ""
    """`https://host:port`; empty: the endpoint of the region."""
    region: str = "us-east-1"
    """The region that requests are signed for."""
    path_style: bool = True
    """Buckets in the path (most servers), not in the host name."""
    ca_file: Path | None = None
    """Authorities that may vouch for the endpoint; empty: the system's."""
    access_key: str = ""
    """Empty: the client library's own chain."""
    secret_key: SecretStr = SecretStr("")
    """Comes as a file of `SPE_CREDENTIALS` rather than here."""
    account: str = ""
    """Account number that must own the buckets; empty: any."""
    retention: dict[Literal["release", "evidence"], Retention] = {}
    """Retention sent with each object of a zone."""


class Vault(BaseModel):
    """Vault or OpenBao, where secrets and keys lie."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    address: str
    """`https://host:port` of the active server."""
    ca_file: Path
    """The authority that vouches for its certificate."""
    token_file: Path
    """A projected service account token; or, without a role, a Vault token that somebody renews."""
    role: str = ""
    """The role of the Kubernetes login; empty: the file holds a Vault token."""
    mount: str = "kubernetes"
    """Where that login is mounted."""
    instance: str = "spe"
    """Prefix of every mount, policy and role of this environment."""
    namespace: str = ""
    """Vault's own namespace, where it has them."""
    databases: tuple[str, ...] = ()
    """Names of secrets that lease an account of a database instead of a stored text."""


class Kubernetes(BaseModel):
    """The cluster in which workspaces live."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    notebook_image: str
    """What sessions run, by digest: `name@sha256:…`."""
    gate_image: str
    """What stands between a workspace and the environment, by digest."""
    intake_image: str = ""
    """What reads datasets when they are registered, by digest: the control plane's own; empty: none is registered."""
    instance: str = "spe"
    """Name of this environment in the cluster: on every object it makes, and before every namespace's name."""
    release_namespace: str = "spe"
    """Where portal, Hub and proxy run."""
    kubeconfig: Path | None = None
    """How the API server is reached; without one by the account of the pod."""
    context: str = ""
    """Which context of that file; empty: its current one."""
    storage_class: str = ""
    """Class of the claims for homes and shared folders; empty: the cluster's default."""
    shared_access: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """`ReadWriteOnce` where a workspace's sessions all run on one node."""
    host_folders: bool = False
    """Whether datasets may be folders of the nodes, `hostPath:/…`: for a cluster of tests alone."""
    runtime_class: str = ""
    """Runtime of the notebooks, such as one with a kernel of its own; empty: the nodes' default."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes on which gates run; sessions run where their workspace's claims can."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When images are fetched."""
    forbidden: tuple[str, ...] = ()
    """Further places that no notebook may reach, `tcp:10.0.0.1:443`: each seal probe tries them as well."""
    session_seconds: int = Field(default=12 * 3600, ge=60)
    """How long one session may last."""
    seal_seconds: int = Field(default=6 * 3600, ge=60)
    """How old an observed seal may become while somebody works behind it."""
    probe_seconds: int = Field(default=20, ge=5, le=300)
    """How long a seal probe waits until all is as it should be."""
    intake_seconds: int = Field(default=3600, ge=60, le=86400)
    """How long reading a dataset may take when it is registered or verified."""
    mirror: bool = False
    """Whether there is a package mirror."""
    mirror_names: tuple[str, ...] = ()
    """Packages that may be fetched from it."""


class Settings(BaseSettings):
    """One environment, on one host or on a cluster."""

    model_config = SettingsConfigDict(
        env_prefix="SPE_", env_nested_delimiter="__", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    home: Path = Path("spe-home")
    """Folder of everything that stays: database, objects, sealed secrets, workspaces."""
    run: Path | None = None
    """Folder of sockets: short, lower case; chosen when it is not given."""
    cluster: Literal["embedded", "kubernetes"] = "embedded"
    """Where workspaces live: on this host, or in namespaces of a Kubernetes cluster."""
    objects: Literal["local", "s3"] = "local"
    """Where outputs wait and stay: a folder below `home`, or buckets."""
    secrets: Literal["local", "vault"] = "local"
    """Where secrets and keys lie: a sealed file below `home`, or Vault."""
    login: Literal["links", "oidc"] = "links"
    """How people sign in: by one-time links that an operator hands over, or at an OpenID provider."""
    oidc: Oidc | None = None
    """The OpenID provider, for `login: oidc`."""
    kubernetes: Kubernetes | None = None
    """The cluster, for `cluster: kubernetes`."""
    s3: S3 | None = None
    """The S3 service, for `objects: s3`."""
    vault: Vault | None = None
    """Vault, for `secrets: vault`."""
    checker: Literal["embedded", "remote"] = "embedded"
    """Where outputs are checked: in sandboxes of this host, or by the checker's own service."""
    keys: Path | None = None
    """Folder of the tokens that portal, Hub and proxy show each other; empty: below `home`, made when missing."""
    listen: str = "127.0.0.1"
    """Address on which the portal listens."""
    internal_port: int = Field(default=0, ge=0, le=65535)
    """Port of what gates and Hub ask the portal; 0: a Unix socket below `run`."""
    health_port: int = Field(default=9009, ge=1024, le=65535)
    """Port of `spe reconcile` for whoever watches over it: `/healthz`, `/readyz`."""
    portal_origin: str = ""
    """Where people open the portal, `https://…`; empty: its port on 127.0.0.1."""
    views_origin: str = ""
    """Another origin of the same portal, for derived views of outputs; empty: its port on localhost."""
    hub_origin: str = ""
    """Where people open notebooks; empty: the Hub's port on localhost."""
    hub_address: str = ""
    """Where the portal asks the Hub; empty: the Hub's own port on loopback."""
    proxy_address: str = ""
    """Where the Hub tells its proxy; empty: the proxy's port on loopback."""
    checker_address: str = ""
    """Where the portal asks the checker's service, when it is a service of its own."""
    internal_address: str = ""
    """Where the Hub asks the portal, `http://…`; empty: the Unix socket."""
    port: int = Field(default=9000, ge=1024, le=65535)
    """Port of the portal on 127.0.0.1."""
    hub_port: int = Field(default=8000, ge=1024, le=65535)
    """Port of the Hub's proxy on localhost: where notebooks are opened."""
    hub_api_port: int = Field(default=0, ge=0, le=65535)
    """Loopback port of the Hub itself; 0: the Hub's port plus 81."""
    proxy_api_port: int = Field(default=0, ge=0, le=65535)
    """Loopback port of the proxy's control interface; 0: the Hub's port plus 1."""
    database_url: str = ""
    """`sqlite:////path` or `postgresql://…`; empty: SQLite below `home`."""
    dataset_roots: tuple[Path, ...] = ()
    """Folders of this host below which datasets may be registered; empty: any folder."""
    policies: Path = Field(default_factory=policies_folder)
    """Folder of the policy documents; where none is named, those beside the package or installed with it."""
    node_modules: Path = SOURCE / "node_modules"
    """Where configurable-http-proxy is installed."""
    origin: str = "spe.local/audit"
    """Name of the audit log, as in its checkpoints."""
    title: str = "Secure processing environment"
    """Name of the environment on its pages."""
    terminals: bool = False
    """Whether notebooks offer terminals."""
    message_bytes: int = Field(default=8 * 1024 * 1024, ge=65536)
    """Largest single answer from a notebook to a browser, in bytes."""
    demo: bool = False
    """Seeded demonstration: one-time links are printed and the clock can be turned forward."""

    def __init__(self, **given: Any) -> None:
        """Raises `Invalid`: a sentence for each setting that is wrong, never with its value, which may be a secret."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise Invalid({".".join(map(str, e["loc"])): f"{e['msg']}." for e in error.errors()}) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then the folder named by `SPE_CREDENTIALS`, then environment, then the file `SPE_CONFIG`.

        A file of the folder is one setting, named like it (`database_url`, nested by `__`), and holds its value.
        """
        del dotenv_settings
        file = os.environ.get("SPE_CONFIG", "")
        yaml = YamlConfigSettingsSource(settings_cls, yaml_file=file or None)
        credentials = NestedSecretsSettingsSource(
            file_secret_settings,
            secrets_dir=os.environ.get("SPE_CREDENTIALS") or None,
            secrets_dir_missing="error",
            secrets_prefix="",
        )
        return init_settings, credentials, env_settings, yaml

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'spe.db'}"

    @property
    def hub_internal(self) -> int:
        """The Hub's own port."""
        return self.hub_api_port or self.hub_port + 81

    @property
    def proxy_control(self) -> int:
        """The proxy's control port."""
        return self.proxy_api_port or self.hub_port + 1

    @property
    def portal_url(self) -> str:
        """Where people open the portal."""
        return self.portal_origin or f"http://127.0.0.1:{self.port}"

    @property
    def views_url(self) -> str:
        """The other origin, for derived views of outputs."""
        return self.views_origin or f"http://localhost:{self.port}"

    @property
    def hub_url(self) -> str:
        """Where people open notebooks."""
        return self.hub_origin or f"http://localhost:{self.hub_port}"

    @property
    def hub_api(self) -> str:
        """Where the portal asks the Hub."""
        return self.hub_address or f"http://127.0.0.1:{self.hub_internal}"

    @property
    def proxy_api(self) -> str:
        """Where the Hub tells its proxy."""
        return self.proxy_address or f"http://127.0.0.1:{self.proxy_control}"

    @property
    def on_one_host(self) -> bool:
        """Whether one process does everything: portal, reconciler and timers."""
        return self.cluster == "embedded"

    def as_environment(self) -> dict[str, str]:
        """The same settings as variables, for a child process."""
        values = self.model_dump(mode="json")
        return {
            f"SPE_{name.upper()}": json.dumps(value) if isinstance(value, list | dict) else str(value)
            for name, value in values.items()
            if value is not None
        }


def settings_from(**given: Any) -> Settings:
    """Settings with what the command line says; the demonstration has a home of its own."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen.get("demo") and "home" not in chosen and "SPE_HOME" not in os.environ:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        chosen["home"] = state / "spe-demo"
    settings = Settings(**chosen)
    return settings.model_copy(update={"home": settings.home.expanduser().resolve()})
