"""What the adapter believes (security notes T99 to T101): a provider that bends one thing at a time, each refused."""

import hmac
import json
import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from spe.adapters.identity.oidc import OidcProvider
from spe.adapters.identity.settings import OidcSettings
from spe.domain.errors import Invalid, Unavailable
from spe.ports.identity import Attempt, Identity, NotVouched, Why
from tests.support.hostile import Hostile, at_hash, hostile, rsa_key, say

METADATA = "/.well-known/openid-configuration"
NONCE = "n" * 43
SECRET = "a-secret-of-the-tests-that-is-long-enough"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def evil() -> Iterator[Hostile]:
    with hostile() as made:
        made.gives(made.signed(made.claims(NONCE)))
        yield made


@pytest.fixture
def settings(evil: Hostile, tmp_path: Path) -> OidcSettings:
    return settings_of(evil, tmp_path)


def settings_of(evil: Hostile, folder: Path, **changes: Any) -> OidcSettings:
    secret = folder / "secret"
    secret.write_text(SECRET)
    given: dict[str, Any] = {
        "issuer": evil.issuer,
        "client_id": "spe",
        "redirect_base": "http://127.0.0.1:9000",
        "client_secret_file": secret,
        "timeout_seconds": 2,
    }
    return OidcSettings(**(given | changes))


def attempt(**changes: Any) -> Attempt:
    given = {"state": "s" * 43, "nonce": NONCE, "verifier": "v" * 43, "begun": datetime.now(UTC)}
    return Attempt(**(given | changes))


def identify(settings: OidcSettings | OidcProvider, *, hours: int = 12, **answer: str) -> Identity:
    provider = settings if isinstance(settings, OidcProvider) else OidcProvider(settings)
    given = {"code": "the-code", "iss": provider.issuer} | answer
    return provider.identify(given, attempt(), hours=hours, now=datetime.now(UTC))


def refused(settings: OidcSettings | OidcProvider, **answer: str) -> str:
    with pytest.raises(NotVouched) as caught:
        identify(settings, **answer)
    return caught.value.reason


def test_a_good_answer_vouches_for_a_person(settings: OidcSettings, evil: Hostile) -> None:
    found = identify(settings)
    assert (found.issuer, found.subject, found.login, found.sid) == (evil.issuer, "olga", "olga", "s-1")
    assert found.shown.acr == "https://refeds.org/profile/mfa"
    assert found.shown.amr == {"pwd", "mfa"}
    assert found.shown.assurance == {"https://refeds.org/assurance/IAP/high"}
    assert found.shown.at
    assert found.hint not in repr(found)


def test_the_address_asks_for_a_code_with_everything_that_binds_it(settings: OidcSettings, evil: Hostile) -> None:
    asked = attempt()
    address = OidcProvider(settings).address(asked, acr=("a", "b"), hours=12, fresh=True)
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert address.startswith(f"{evil.issuer}/auth?")
    challenge = query.pop("code_challenge")
    assert query == {
        "response_type": "code",
        "client_id": "spe",
        "redirect_uri": "http://127.0.0.1:9000/login/callback",
        "scope": "openid profile",
        "state": asked.state,
        "nonce": NONCE,
        "acr_values": "a b",
        "max_age": "43200",
        "prompt": "login",
        "code_challenge_method": "S256",
    }
    assert len(challenge) == 43
    assert asked.verifier not in address


def test_the_code_goes_to_the_token_endpoint_with_verifier_and_secret_and_nothing_else_does(
    settings: OidcSettings, evil: Hostile
) -> None:
    identify(settings)
    (form,) = evil.forms
    assert form["code_verifier"] == ["v" * 43]
    assert form["redirect_uri"] == ["http://127.0.0.1:9000/login/callback"]
    assert "client_secret" not in form
    shown = [h["Authorization"] for h in evil.headers if "Authorization" in h]
    assert len(shown) == 1
    assert shown[0].startswith("Basic ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://other.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": ["https://other.example"]}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": ["other", "another"]}, "aud"),
        ({"aud": {"spe": True}}, "aud"),
        ({"aud": ["spe", "other"]}, "azp"),
        ({"aud": ["spe", "other"], "azp": "other"}, "azp"),
        ({"azp": "other"}, "azp"),
        ({"azp": ["spe"]}, "azp"),
        ({"nonce": "other"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": [NONCE]}, "nonce"),
        ({"exp": int(time.time()) - 3600}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"iat": int(time.time()) + 3600}, "iat"),
        ({"iat": int(time.time()) - 3600}, "iat"),
        ({"iat": None}, "iat"),
        ({"nbf": int(time.time()) + 3600}, "nbf"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "é"}, "sub"),
        ({"sub": "a b"}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"auth_time": None}, "auth-time"),
        ({"auth_time": "now"}, "auth-time"),
        ({"auth_time": True}, "auth-time"),
        ({"auth_time": int(time.time()) + 3600}, "auth-time"),
        ({"auth_time": 1e300}, "auth-time"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at-hash"),
        ({"at_hash": ["x"]}, "at-hash"),
        ({"amr": "mfa"}, "amr"),
        ({"acr": ["https://refeds.org/profile/mfa"]}, "acr"),
        ({"sid": 5}, "sid"),
    ],
)
def test_a_claim_that_is_not_as_it_should_be_vouches_for_nobody(
    changes: dict[str, Any], reason: str, settings: OidcSettings, evil: Hostile
) -> None:
    evil.gives(evil.signed(evil.claims(NONCE, **changes)))
    assert refused(settings) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["spe"]},
        {"aud": ["spe", "other"], "azp": "spe"},
        {"at_hash": at_hash("at")},
        {"exp": int(time.time()) + 300.5},
        {"unknown": {"deep": [1, 2, 3]}},
        {"amr": None, "acr": None, "sid": None},
    ],
)
def test_what_the_specification_allows_is_believed(
    changes: dict[str, Any], settings: OidcSettings, evil: Hostile
) -> None:
    evil.gives(evil.signed(evil.claims(NONCE, **changes)))
    assert identify(settings).subject == "olga"


def test_values_that_are_no_single_words_are_left_out(settings: OidcSettings, evil: Hostile) -> None:
    evil.gives(evil.signed(evil.claims(NONCE, amr=["not mfa", "", 7, None, "é", "pwd"])))
    assert identify(settings).shown.amr == {"pwd"}


@pytest.mark.parametrize(("skew", "believed"), [(25, True), (-25, True), (40, False), (-40, False)])
def test_the_clocks_may_differ_by_what_is_set(skew: int, believed: bool, settings: OidcSettings, evil: Hostile) -> None:
    now = int(time.time())
    life = {"iat": now + skew, "exp": now + skew + 5, "auth_time": now} if skew > 0 else {"exp": now + skew}
    evil.gives(evil.signed(evil.claims(NONCE, **life)))
    if believed:
        assert identify(settings).subject == "olga"
    else:
        assert refused(settings) in ("iat", "exp")


def unsigned(claims: dict[str, Any], **header: Any) -> str:
    parts = ({"alg": "none", **header}, claims)
    return ".".join(urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


def confused(evil: Hostile) -> str:
    """The classic: the public key, which everybody has, taken for a shared secret."""
    parts = ({"alg": "HS256", "kid": "one"}, evil.claims(NONCE))
    text = ".".join(urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
    mac = hmac.digest(evil.key.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def forgeries(evil: Hostile) -> dict[str, str]:
    """Tokens whose claims are all right and whose signature is not."""
    claims = evil.claims(NONCE)
    good = evil.signed(claims)
    head, body, signature = good.split(".")
    changed = urlsafe_b64encode(json.dumps({**claims, "sub": "root"}).encode()).decode().rstrip("=")
    stranger = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
    jwk = stranger.as_dict(private=False)
    edwards = OKPKey.generate_key("Ed25519", {"kid": "one"}, private=True)
    return {
        "none": unsigned(claims),
        "None": unsigned(claims, alg="None"),
        "nOnE": unsigned(claims, alg="nOnE"),
        "empty alg": unsigned(claims, alg=""),
        "no alg": unsigned(claims, alg=None),
        "alg is a list": unsigned(claims, alg=["RS256"]),
        "HS256 with the public key": confused(evil),
        "HS256 with the client's secret": evil.signed(claims, key=OctKey.import_key(SECRET), alg="HS256"),
        "another key, same kid": evil.signed(claims, key=stranger),
        "another key in the header": evil.signed(claims, key=stranger, jwk=jwk),
        "another key, kid is a path": evil.signed(claims, key=stranger, kid="../../../dev/null"),
        "RS384": evil.signed(claims, alg="RS384"),
        "ES256 with an RSA kid": evil.signed(claims, key=ECKey.generate_key("P-256", private=True), alg="ES256"),
        "Ed25519 with an RSA kid": evil.signed(claims, key=edwards, alg="Ed25519"),
        "no signature": f"{head}.{body}.",
        "changed claims": f"{head}.{changed}.{signature}",
        "two parts": f"{head}.{body}",
        "five parts": f"{good}.x.y",
        "empty": "",
        "dots": "..",
        "not base64": "&&&.&&&.&&&",
        "not JSON": f"{urlsafe_b64encode(b'x').decode()}.{body}.{signature}",
        "claims are a list": evil.signed({}).split(".")[0] + ".W10.AAAA",
        "too long": good + "A" * 20_000,
        "not ASCII": good + "é",
    }


def test_a_signature_that_is_not_the_providers_vouches_for_nobody(settings: OidcSettings, evil: Hostile) -> None:
    for name, token in forgeries(evil).items():
        evil.gives(token)
        with pytest.raises(NotVouched) as caught:
            identify(settings)
        assert caught.value.why is Why.FORGED, name


@pytest.mark.parametrize("header", [{"typ": "logout+jwt"}, {"typ": "at+jwt"}, {"typ": "JOSE"}, {"crit": ["x"], "x": 1}])
def test_a_token_of_another_kind_vouches_for_nobody(
    header: dict[str, Any], settings: OidcSettings, evil: Hostile
) -> None:
    head, body, _ = evil.signed(evil.claims(NONCE)).split(".")
    made = json.dumps(json.loads(urlsafe_b64decode(head + "==")) | header).encode()
    text = f"{urlsafe_b64encode(made).decode().rstrip('=')}.{body}"
    signature = evil.key.private_key.sign(text.encode(), PKCS1v15(), SHA256())
    token = f"{text}.{urlsafe_b64encode(signature).decode().rstrip('=')}"
    evil.gives(token)
    assert refused(settings)


def test_a_shared_secret_signs_only_where_that_is_set(evil: Hostile, tmp_path: Path) -> None:
    evil.documents[METADATA] = evil.metadata(id_token_signing_alg_values_supported=["HS256"])
    evil.gives(evil.signed(evil.claims(NONCE), key=OctKey.import_key(SECRET), alg="HS256"))
    both = settings_of(evil, tmp_path, algorithms=("RS256", "HS256"))
    assert identify(both).subject == "olga"
    evil.gives(confused(evil))
    assert refused(both)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("PS256", RSAKey.generate_key(2048, {"kid": "one"}, private=True)),
        ("ES256", ECKey.generate_key("P-256", {"kid": "one"}, private=True)),
        ("ES384", ECKey.generate_key("P-384", {"kid": "one"}, private=True)),
        ("Ed25519", OKPKey.generate_key("Ed25519", {"kid": "one"}, private=True)),
    ],
)
def test_modern_signatures_are_understood(algorithm: str, key: Any, evil: Hostile, tmp_path: Path) -> None:
    evil.documents[METADATA] = evil.metadata(id_token_signing_alg_values_supported=[algorithm])
    evil.publishes(key.as_dict(private=False))
    evil.gives(evil.signed(evil.claims(NONCE), key=key, alg=algorithm))
    assert identify(settings_of(evil, tmp_path)).subject == "olga"


@pytest.mark.parametrize("named", ["https://other.example", "", "http://127.0.0.1"])
def test_an_answer_that_names_another_issuer_is_not_redeemed(named: str, settings: OidcSettings, evil: Hostile) -> None:
    """Mix-up: the code of another provider is not sent to this one (RFC 9207)."""
    assert refused(settings, iss=named) == "answer-iss"
    assert "/token" not in evil.asked


def test_a_provider_that_does_not_announce_it_need_not_name_itself(settings: OidcSettings, evil: Hostile) -> None:
    evil.documents[METADATA] = evil.metadata(authorization_response_iss_parameter_supported=None)
    assert identify(settings, iss="").subject == "olga"
    assert refused(settings, iss="https://other.example") == "answer-iss"


@pytest.mark.parametrize("code", ["", "x" * 5000, "a\nb", "é"])
def test_an_answer_without_a_proper_code_is_not_redeemed(code: str, settings: OidcSettings, evil: Hostile) -> None:
    assert refused(settings, code=code) == "no-code"
    assert "/token" not in evil.asked


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "https://user:word@provider.example/token"},
        {"token_endpoint": "ftp://provider.example/token"},
        {"token_endpoint": "http://provider.example/token"},
        {"token_endpoint": ["https://provider.example/token"]},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://provider.example/#fragment"},
        {"authorization_endpoint": "https://provider.example\\@evil.example/"},
        {"userinfo_endpoint": "http://10.0.0.1/me"},
        {"end_session_endpoint": "data:text/html,x"},
        {"response_types_supported": ["id_token"]},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
        {"id_token_signing_alg_values_supported": "RS256"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_metadata_that_cannot_be_trusted_stops_every_sign_in(
    changes: dict[str, Any], settings: OidcSettings, evil: Hostile
) -> None:
    evil.documents[METADATA] = evil.metadata(**changes)
    with pytest.raises(Unavailable):
        OidcProvider(settings).address(attempt(), acr=(), hours=0, fresh=False)


def endless(_: Hostile, handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * 65536)
    except OSError:
        return


def slowly(_: Hostile, handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    try:
        for _ in range(600):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        return


def never(_: Hostile, handler: Any) -> None:
    time.sleep(4)


BAD_ANSWERS = {
    "endless": endless,
    "slow": slowly,
    "silent": never,
    "500": lambda _, h: say(h, b"{}", status=500),
    "429": lambda _, h: say(h, b"{}", status=429),
    "a page": lambda _, h: say(h, b"<html>maintenance</html>"),
    "a list": lambda _, h: say(h, b"[]"),
    "empty": lambda _, h: say(h, b""),
    "deep": lambda _, h: say(h, b"[" * 100_000),
    "packed": lambda _, h: say(h, b"\x1f\x8b", Content_Encoding="gzip"),
    "elsewhere": lambda _, h: say(h, b"", status=302, Location="http://127.0.0.1:1/metadata"),
    "cut": lambda _, h: h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "no HTTP": lambda _, h: h.wfile.write(b"\x00\x01\x02\r\n\r\n"),
}


@pytest.mark.parametrize("path", [METADATA, "/keys", "/token", "/me"])
@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_a_provider_that_is_down_slow_or_talks_nonsense_signs_nobody_in_and_soon_says_so(
    bad: str, path: str, settings: OidcSettings, evil: Hostile
) -> None:
    evil.gives(evil.signed(evil.claims(NONCE, eduperson_assurance=None)))
    evil.documents["/me"] = {"sub": "olga"}
    evil.answers[path] = BAD_ANSWERS[bad]
    with pytest.raises(Unavailable) as caught:
        identify(settings)
    assert evil.issuer not in str(caught.value)


def test_a_provider_that_is_not_there_is_told_so_at_once_for_a_while(evil: Hostile, tmp_path: Path) -> None:
    nowhere = OidcProvider(settings_of(evil, tmp_path, issuer="http://127.0.0.1:1"))
    with pytest.raises(Unavailable, match="the connection failed"):
        identify(nowhere)
    with pytest.raises(Unavailable, match="a moment ago"):
        identify(nowhere)


def test_an_unknown_key_is_looked_for_once_and_not_again_for_a_while(settings: OidcSettings, evil: Hostile) -> None:
    provider = OidcProvider(settings)
    identify(provider)
    assert evil.asked["/keys"] == 1
    other = rsa_key("two")
    evil.gives(evil.signed(evil.claims(NONCE), key=other, kid="two"))
    for _ in range(5):
        assert refused(provider) == "invalid-key-id"
    assert evil.asked["/keys"] == 2


def test_new_keys_count_from_the_first_token_that_names_them(settings: OidcSettings, evil: Hostile) -> None:
    provider = OidcProvider(settings)
    identify(provider)
    other = rsa_key("two")
    evil.publishes(other.as_dict(private=False))
    evil.gives(evil.signed(evil.claims(NONCE), key=other, kid="two"))
    assert identify(provider).subject == "olga"
    evil.gives(evil.signed(evil.claims(NONCE)))
    assert refused(provider) == "invalid-key-id"  # the old key is gone with the set that held it


def test_keys_are_forgotten_after_their_time(evil: Hostile, tmp_path: Path) -> None:
    provider = OidcProvider(settings_of(evil, tmp_path, keys_seconds=0))
    identify(provider)
    identify(provider)
    assert evil.asked["/keys"] == 2
    assert evil.asked[METADATA] == 1


def small_key() -> dict[str, Any]:
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()
    modulus = urlsafe_b64encode(numbers.n.to_bytes(128, "big")).decode().rstrip("=")
    return {"kty": "RSA", "kid": "one", "n": modulus, "e": "AQAB"}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        None,
        "keys",
        [None, 1, "x", {}],
        [{"kty": "oct", "kid": "one", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}],
        [{"kty": "RSA", "kid": "one"}],
        [{"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA"}],
        [small_key()],
    ],
)
def test_a_key_set_without_a_usable_key_verifies_nothing(keys: Any, settings: OidcSettings, evil: Hostile) -> None:
    evil.documents["/keys"] = {"keys": keys}
    with pytest.raises(Unavailable, match="no key"):
        identify(settings)


def test_a_key_for_encryption_or_another_algorithm_verifies_nothing(settings: OidcSettings, evil: Hostile) -> None:
    public = evil.key.as_dict(private=False)
    spare = rsa_key("two").as_dict(private=False)
    for change in ({"use": "enc"}, {"alg": "PS256"}):
        evil.publishes({**public, **change}, spare)
        assert refused(settings)


def test_a_person_may_be_identified_by_another_claim_of_userinfo_for_the_same_login(
    evil: Hostile, tmp_path: Path
) -> None:
    """The shape of LS Login: an identifier and the assurance that stand at the userinfo address."""
    shaped = settings_of(evil, tmp_path, subject_claim="voperson_id")
    evil.gives(evil.signed(evil.claims(NONCE, eduperson_assurance=None)))
    evil.documents["/me"] = {
        "sub": "olga",
        "voperson_id": "5f2a@lifescience-ri.eu",
        "eduperson_assurance": "https://refeds.org/assurance https://refeds.org/assurance/IAP/high",
        "acr": "https://refeds.org/profile/forged",
        "sid": "forged",
    }
    found = identify(shaped)
    assert (found.subject, found.login, found.sid) == ("5f2a@lifescience-ri.eu", "olga", "s-1")
    assert "https://refeds.org/assurance/IAP/high" in found.shown.assurance
    assert found.shown.acr == "https://refeds.org/profile/mfa"
    for wrong, reason in (({"sub": "root"}, "userinfo-sub"), ({"sub": "olga", "voperson_id": ["a"]}, "subject")):
        evil.documents["/me"] = {"voperson_id": "x", **wrong}
        assert refused(shaped) == reason
    evil.documents["/me"] = {"sub": "olga"}
    assert refused(shaped) == "subject"


def test_claims_that_are_required_must_be_there(evil: Hostile, tmp_path: Path) -> None:
    group = settings_of(evil, tmp_path, required_claims={"eduperson_entitlement": "urn:example:node"})
    evil.documents["/me"] = {"sub": "olga", "eduperson_entitlement": ["urn:example:other"]}
    assert refused(group) == "required-claim"
    evil.documents["/me"] = {"sub": "olga", "eduperson_entitlement": ["urn:example:other", "urn:example:node"]}
    assert identify(group).subject == "olga"


def test_a_public_client_shows_no_secret(evil: Hostile, tmp_path: Path) -> None:
    identify(settings_of(evil, tmp_path, client_secret_file=None))
    assert not any("Authorization" in h for h in evil.headers)
    assert evil.forms[0]["client_id"] == ["spe"]


def test_a_secret_may_go_in_the_form_where_the_provider_wants_it_there(evil: Hostile, tmp_path: Path) -> None:
    identify(settings_of(evil, tmp_path, client_auth="client_secret_post"))
    assert evil.forms[0]["client_secret"] == [SECRET]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"error": "invalid_grant"}, Why.USED),
        ({"error": "invalid_client"}, Why.MISCONFIGURED),
        ({"access_token": "at", "token_type": "Bearer"}, Why.FORGED),
        ({"access_token": 5, "id_token": "x"}, Why.FORGED),
        ({"id_token": ["x"], "access_token": "at"}, Why.FORGED),
    ],
)
def test_an_answer_of_the_token_endpoint_that_is_no_token(
    document: dict[str, Any], why: Why, settings: OidcSettings, evil: Hostile
) -> None:
    status = 400 if "error" in document else 200
    evil.answers["/token"] = lambda _, h: say(h, json.dumps(document).encode(), status=status)
    with pytest.raises(NotVouched) as caught:
        identify(settings)
    assert caught.value.why is why


def logout_claims(evil: Hostile, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {
        "iss": evil.issuer,
        "aud": "spe",
        "iat": now,
        "exp": now + 120,
        "jti": "j-1",
        "sub": "olga",
        "sid": "s-1",
        "events": {EVENT: {}},
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def test_a_logout_token_says_which_session_has_ended(settings: OidcSettings, evil: Hostile) -> None:
    provider = OidcProvider(settings)
    for typ in ("logout+jwt", "JWT"):
        token = evil.signed(logout_claims(evil), typ=typ)
        ended = provider.ended(token, now=datetime.now(UTC))
        assert (ended.issuer, ended.login, ended.sid, ended.id) == (evil.issuer, "olga", "s-1", "j-1")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"exp": None},
        {"exp": int(time.time()) - 3600},
        {"jti": None},
        {"jti": 7},
        {"events": None},
        {"events": {}},
        {"events": {EVENT: "yes"}},
        {"events": [EVENT]},
        {"sub": None, "sid": None},
        {"nonce": NONCE},
    ],
)
def test_a_logout_token_that_is_not_as_it_should_be_ends_nothing(
    changes: dict[str, Any], settings: OidcSettings, evil: Hostile
) -> None:
    token = evil.signed(logout_claims(evil, **changes), typ="logout+jwt")
    with pytest.raises(NotVouched):
        OidcProvider(settings).ended(token, now=datetime.now(UTC))


def test_an_id_token_ends_nothing_and_a_logout_token_signs_nobody_in(settings: OidcSettings, evil: Hostile) -> None:
    provider = OidcProvider(settings)
    with pytest.raises(NotVouched):
        provider.ended(evil.signed(evil.claims(NONCE)), now=datetime.now(UTC))
    evil.gives(evil.signed(logout_claims(evil) | {"nonce": NONCE}, typ="logout+jwt"))
    assert refused(provider) == "typ"


def test_a_provider_without_a_place_to_sign_out_has_none(settings: OidcSettings, evil: Hostile) -> None:
    assert OidcProvider(settings).farewell("hint").startswith(f"{evil.issuer}/end?client_id=spe&")
    evil.documents[METADATA] = evil.metadata(end_session_endpoint=None)
    assert OidcProvider(settings).farewell("hint") == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://login.example"},
        {"issuer": "login.example"},
        {"issuer": "https://user@login.example"},
        {"issuer": "https://login.example/#x"},
        {"client_id": ""},
        {"scopes": ("profile",)},
        {"subject_claim": "email"},
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": ("RS256", "HS256")},
        {"skew_seconds": 121},
        {"skew_seconds": -1},
        {"timeout_seconds": 0},
        {"client_auth": "tls_client_auth"},
    ],
)
def test_settings_that_would_be_unsafe_are_refused(changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "issuer": "https://login.example",
        "client_id": "spe",
        "redirect_base": "https://spe.example",
    }
    assert OidcSettings(**given).redirect == "https://spe.example/login/callback"
    with pytest.raises(Invalid):
        OidcSettings(**(given | changes))


def test_a_missing_or_empty_secret_file_is_named_and_not_shown(evil: Hostile, tmp_path: Path) -> None:
    settings = settings_of(evil, tmp_path)
    for spoil in (lambda p: p.write_text(" \n"), lambda p: p.unlink()):
        assert settings.client_secret_file
        spoil(settings.client_secret_file)
        with pytest.raises(Invalid, match="client_secret_file"):
            identify(settings)


def test_an_old_answer_to_an_old_question_is_none(settings: OidcSettings, evil: Hostile) -> None:
    """A token from before the attempt was kept by somebody."""
    late = attempt(begun=datetime.now(UTC) + timedelta(seconds=60))
    with pytest.raises(NotVouched) as caught:
        OidcProvider(settings).identify(
            {"code": "c", "iss": evil.issuer}, late, hours=12, now=late.begun + timedelta(seconds=1)
        )
    assert caught.value.reason == "iat"


def certificate(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself and for this address, and a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider of the tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    authority, private = folder / "authority.pem", folder / "key.pem"
    authority.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return authority, context


@pytest.mark.parametrize(
    ("address", "named", "believed"),
    [("127.0.0.1", True, True), ("127.0.0.1", False, False), ("127.0.0.2", True, False)],
)
def test_a_provider_counts_only_with_a_certificate_that_is_trusted_for_its_address(
    address: str, named: bool, believed: bool, tmp_path: Path
) -> None:
    authority, context = certificate(tmp_path, address)
    with hostile(tls=context) as evil:
        evil.gives(evil.signed(evil.claims(NONCE)))
        settings = settings_of(evil, tmp_path, ca_file=authority if named else None)
        if believed:
            assert identify(settings).subject == "olga"
        else:
            with pytest.raises(Unavailable, match="certificate"):
                identify(settings)
            assert evil.asked == {}


def test_an_https_provider_has_no_plain_endpoint(tmp_path: Path) -> None:
    authority, context = certificate(tmp_path, "127.0.0.1")
    with hostile(tls=context) as evil:
        plain = evil.issuer.replace("https:", "http:")
        evil.documents[METADATA] = evil.metadata(token_endpoint=f"{plain}/token")
        with pytest.raises(Unavailable, match="token_endpoint"):
            identify(settings_of(evil, tmp_path, ca_file=authority))
