"""Forms of secrets: tokens, keys, passwords, connection strings, each with a literal that must occur first.

Looking for the literal is a hundred times cheaper than the pattern, so a large text without any of them costs
almost nothing. The patterns are written for this project from the public forms of each token.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spe.disclosure.outline import Outline


@dataclass(frozen=True, kw_only=True)
class Form:
    """One kind of secret: its name, literals of which one must occur (lower case), and its pattern as written."""

    name: str
    literals: tuple[str, ...]
    written: str
    flags: re.RegexFlag

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern, compiled when a literal was met: most texts have none."""
        return re.compile(self.written, self.flags)


def _form(name: str, literals: str, pattern: str, flags: re.RegexFlag = re.NOFLAG) -> Form:
    return Form(name=name, literals=tuple(literals.split()), written=pattern, flags=flags)


FORMS: Final = (
    _form("a Vault token", "hvs. hvb. hvr.", r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}"),
    _form("a Vault token", "s.", r"(?<![\w.])s\.(?=[A-Za-z0-9]*\d)(?=[A-Za-z0-9]*[A-Z])[A-Za-z0-9]{24}\b"),
    _form("a JSON web token", "eyj", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{5,}"),
    _form(
        "a JupyterHub token", "jupyterhub_api_token jpy_api_token", r"(?:JUPYTERHUB|JPY)_API_TOKEN\W{1,4}[0-9a-f]{20,}"
    ),
    _form("a token in an address", "token=", r"[?&](?:access_)?token=[A-Za-z0-9_.-]{16,}"),
    _form("a private key", "private", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"),
    _form("a private key", "putty-user-key-file-", r"PuTTY-User-Key-File-\d"),
    _form("a private key", "age-secret-key-1", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}", re.IGNORECASE),
    _form(
        "a cluster credential", "client-key-data client-certificate-data", r"client-(?:key|certificate)-data:\s*\S{16,}"
    ),
    _form("a registry credential", '"auths"', r'"auths"\s*:\s*\{[^{}]*\{[^{}]*"auth"\s*:\s*"[^"]{8,}"'),
    _form("a cloud key", "akia asia", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    _form("a cloud key", "aws_secret", r"aws_secret_access_key\W{1,5}[A-Za-z0-9/+]{40}\b", re.IGNORECASE),
    _form("a cloud key", "aiza", r"\bAIza[0-9A-Za-z_-]{35}\b"),
    _form("a cloud key", "ya29.", r"\bya29\.[0-9A-Za-z_-]{20,}"),
    _form("a cloud key", "service_account", r'"type"\s*:\s*"service_account"'),
    _form("a cloud key", "accountkey=", r"AccountKey=[A-Za-z0-9+/]{40,}={0,2}", re.IGNORECASE),
    _form("a cloud key", "sig=", r"[?&]sig=[A-Za-z0-9%/+]{40,}"),
    _form("a cloud key", "dapi", r"\bdapi[0-9a-f]{32}\b"),
    _form("a cloud key", "dop_v1_", r"\bdop_v1_[0-9a-f]{64}\b"),
    _form("a code-hosting token", "ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    _form("a code-hosting token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{40,}"),
    _form("a code-hosting token", "glpat- glptt-", r"\bgl(?:pat|ptt)-[A-Za-z0-9_-]{20,}"),
    _form("a package-registry token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    _form("a package-registry token", "pypi-", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    _form("a model-hosting token", "hf_", r"\bhf_[A-Za-z0-9]{30,}\b"),
    _form("an API key", "sk-", r"\bsk-[A-Za-z0-9_-]{32,}"),
    _form("an API key", "sk_live_ rk_live_", r"\b[sr]k_live_[A-Za-z0-9]{20,}"),
    _form("an API key", "sg.", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _form("an API key", ".atlasv1.", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}"),
    _form("a chat token", "xoxb- xoxa- xoxp- xoxr- xoxs-", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    _form(
        "a password in an address",
        "://",
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"]{1,64}:[^\s/@'\"]{3,}@[\w.-]+",
        re.IGNORECASE,
    ),
    _form(
        "a password in a connection string",
        "password= pwd=",
        r"(?:password|pwd)=[^\s;&'\"{}$(<]{4,}[;&\s]",
        re.IGNORECASE,
    ),
    _form(
        "a password",
        "password passwd",
        r"passw(?:or)?d[\"']?\s*[:=]{1,2}>?\s*[\"'][^\"'\s{}$<]{6,}[\"']",
        re.IGNORECASE,
    ),
    _form(
        "a secret in an assignment",
        "secret token api_key apikey api-key",
        r"(?:secret|token|api[_-]?key)[\"']?\s*[:=]>?\s*[\"'](?=[^\"']*\d)[A-Za-z0-9_./+=-]{20,}[\"']",
        re.IGNORECASE,
    ),
    _form("a login", "machine ", r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+\S+"),
    _form(
        "an authorisation header",
        "bearer basic",
        r"\bauthorization\W{1,4}(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}",
        re.IGNORECASE,
    ),
    _form("a password hash", "$2a$ $2b$ $2y$", r"\$2[aby]\$\d{2}\$[./A-Za-z0-9]{53}"),
    _form("a password hash", "$6$ $5$ $argon2 $y$", r"\$(?:[56]\$|y\$|argon2(?:id|i|d)\$)[^\s:]{20,}"),
)


def secrets_in(outline: Outline) -> Iterator[tuple[str, int]]:
    """The name and position of each secret in the text of an outline."""
    likely = [form for form in FORMS if any(map(outline.holds, form.literals))]
    lower = outline.text.lower() if likely else ""
    for form in likely:
        if any(literal in lower for literal in form.literals):
            for match in form.pattern.finditer(outline.text):
                yield form.name, match.start()
