"""How the environment is known at its OpenID provider, and what it accepts from there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from spe.domain.errors import Invalid

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "Ed25519")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_SKEW = 120
CLIENT_AUTH = ("client_secret_basic", "client_secret_post")
KNOWN = frozenset({*ALGORITHMS, "RS384", "RS512", "PS384", "PS512", "ES512", "EdDSA", "HS256", "HS384", "HS512"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """Plain values; `Invalid` names every one that cannot be.

    - `issuer`: exactly as the provider writes it; https, or http on this machine
    - `client_id`, `client_secret_file`: who we are there; without a file the client is public (PKCE protects it)
    - `client_auth`: how the secret is shown at the token endpoint
    - `redirect_base`: origin of the portal; the one return address is `…/login/callback`
    - `scopes`: what is asked for; `openid` is among them
    - `ca_file`: certificates that vouch for the provider instead of the system's
    - `subject_claim`: what identifies a person, `sub` or such as `voperson_id`: never reassigned, never an e-mail
    - `assurance_claim`: where the proof of identity stands (REFEDS assurance framework)
    - `required_claims`: claim → value that it must be or contain, such as an entitlement
    - `algorithms`: signatures that count; `HS256` only where the provider signs with the client's secret
    - `skew_seconds`: how far the clocks may differ; `timeout_seconds`: for one whole exchange
    - `keys_seconds`: how long signing keys are kept; `refetch_seconds`: the least time between two early fetches
    """

    issuer: str
    client_id: str
    redirect_base: str
    client_secret_file: Path | None = None
    client_auth: str = CLIENT_AUTH[0]
    scopes: tuple[str, ...] = ("openid", "profile")
    ca_file: Path | None = None
    subject_claim: str = "sub"
    assurance_claim: str = "eduperson_assurance"
    required_claims: Mapping[str, str] = field(default_factory=dict)
    algorithms: tuple[str, ...] = ALGORITHMS
    skew_seconds: int = 30
    timeout_seconds: float = 5
    keys_seconds: float = 600
    refetch_seconds: float = 10

    def __post_init__(self) -> None:
        rows = (
            ("issuer", is_endpoint(self.issuer, local=True), "Give an https address without query, as the provider's."),
            ("client_id", bool(self.client_id), "Give the name under which the provider knows this environment."),
            ("client_auth", self.client_auth in CLIENT_AUTH, f"This is one of {', '.join(CLIENT_AUTH)}."),
            ("redirect_base", is_endpoint(self.redirect_base, local=True), "Give the portal's address."),
            ("scopes", "openid" in self.scopes, "The scope openid is what makes this a sign-in; add it."),
            ("subject_claim", self.subject_claim not in ("", "email"), "An e-mail address identifies nobody."),
            ("algorithms", bool(self.algorithms) and set(self.algorithms) <= KNOWN, f"Known are {', '.join(KNOWN)}."),
            ("skew_seconds", 0 <= self.skew_seconds <= MOST_SKEW, f"Clocks may differ by 0 to {MOST_SKEW} seconds."),
            ("timeout_seconds", 0 < self.timeout_seconds <= 30, "Give more than 0 and at most 30 seconds."),
        )
        wrong = {f"oidc.{name}": sentence for name, fits, sentence in rows if not fits}
        if any(one.startswith("HS") for one in self.algorithms) and self.client_secret_file is None:
            wrong["oidc.client_secret_file"] = "Signatures with the client's secret need that secret; name its file."
        if wrong:
            raise Invalid(wrong)

    @property
    def is_local(self) -> bool:
        """Whether the provider runs on this machine, as in tests, where plain http stays inside it."""
        return urlsplit(self.issuer).scheme == "http"

    @property
    def redirect(self) -> str:
        """The one address to which the provider may send browsers back."""
        return f"{self.redirect_base}/login/callback"

    @property
    def signed_out(self) -> str:
        """Where the provider sends browsers after signing out."""
        return f"{self.redirect_base}/signed-out"

    def secret(self) -> str:
        """The client's secret, read at each use so that a replaced one counts at once; empty for a public client."""
        if self.client_secret_file is None:
            return ""
        try:
            found = self.client_secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid({"oidc.client_secret_file": "The file cannot be read; mend its path or rights."}) from error
        if not found:
            raise Invalid({"oidc.client_secret_file": "The file is empty; put the client's secret there."})
        return found


def is_endpoint(address: object, *, local: bool) -> bool:
    """Whether this is an address to talk to: https, or with `local` http on the loopback; nothing hidden in it."""
    if not isinstance(address, str) or not address.isascii() or not address.isprintable() or len(address) > 500:
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    plain = not (parts.fragment or parts.username or parts.password or " " in address or "\\" in address)
    return bool(plain and host and (parts.scheme == "https" or (local and parts.scheme == "http" and host in LOOPBACK)))
