"""One way to ask Vault: logged in, bounded in time, no redirect followed, nothing tried again and again.

Requests and answers may hold secrets. They travel as `SecretValue` or hide from `repr`, and an error is raised
only after the client library's own, with the request in its frames, was let go. A login that failed is not
repeated at once: until a short wait is over everybody gets the same refusal without a request.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac.adapters
import hvac.exceptions
import requests

from spe.adapters.secrets.rules import PORT
from spe.adapters.secrets.vault.settings import AppRoleLogin, HeldLogin, KubernetesLogin, TokenLogin, VaultSettings
from spe.domain.errors import Unavailable
from spe.ports.secrets import SecretValue

FRESH = 5.0
"""Seconds for which a refusal is believed to be one: a token this young has not ended."""
WAITS = (0.5, 1.0, 2.0, 5.0)
"""Seconds between failed logins: the first, the second, … and from then on."""

_HEARD = {hvac.exceptions.InvalidRequest: 400, hvac.exceptions.Forbidden: 403, hvac.exceptions.InvalidPath: 404}
_SILENCE: tuple[tuple[type[Exception], str], ...] = (
    (hvac.exceptions.VaultDown, "Vault is sealed or in maintenance; its operators unseal it"),
    (hvac.exceptions.VaultNotInitialized, "Vault is not initialised"),
    (hvac.exceptions.RateLimitExceeded, "Vault is on standby or limits the rate of requests"),
    (hvac.exceptions.Unauthorized, "Vault asks for another login"),
    (hvac.exceptions.BadGateway, "a gateway before Vault reaches no server"),
    (hvac.exceptions.InternalServerError, "Vault reports an internal error; its log says which"),
    (hvac.exceptions.VaultError, "Vault answers with a status that is not expected"),
    (requests.exceptions.SSLError, "the certificate is not one that the CA file vouches for"),
    (requests.exceptions.Timeout, "Vault does not answer in time"),
    (requests.exceptions.RequestException, "no connection to Vault"),
)
_UNREADABLE = "Vault's answer cannot be read"
_ELSEWHERE = "the server at this address is not the active one and points elsewhere, which is not followed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Vault said: 200 with data, a refusal (400, 403) with its words, or 404 for nothing there.

    A 404 with words is no evidence of absence: Vault says so of a mount that is missing. It counts as 400.
    """

    status: int
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lease: str = ""
    seconds: int = 0
    errors: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether it was done."""
        return self.status == 200

    def says(self, words: str) -> bool:
        """Whether one of the errors contains these words."""
        return any(words in error for error in self.errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A token of ours: since when, and until when it is used (monotonic seconds)."""

    token: SecretValue
    since: float
    until: float


class Link:
    """A connection to Vault under one login; for any number of threads."""

    def __init__(self, settings: VaultSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy, no .netrc, no CA bundle out of the environment
        self._http.verify = str(settings.ca_file)
        self._http.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=32, max_retries=0))
        self._guard = threading.Lock()
        self._session: _Session | None = None
        self._failures = 0
        self._not_before = 0.0
        self._last = ""

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def read(self, path: str) -> Answer:
        """GET; 404 when there is nothing."""
        return self._ask("get", path)

    def list(self, path: str) -> tuple[str, ...]:
        """The names below a path; none when there is nothing."""
        answer = self.demand(self._ask("list", path), 404)
        keys = answer.data.get("keys") if answer.well else ()
        if not isinstance(keys, list | tuple):
            raise Unavailable(PORT, _UNREADABLE)
        return tuple(str(key) for key in keys)

    def write(self, path: str, body: Mapping[str, Any] | SecretValue) -> Answer:
        """POST of a mapping, or of JSON that nobody else may see."""
        return self._ask("post", path, body if isinstance(body, SecretValue) else SecretValue(json.dumps(dict(body))))

    def delete(self, path: str) -> Answer:
        """DELETE; well also when there was nothing."""
        return self._ask("delete", path)

    def read_as(self, token: SecretValue, path: str) -> Answer:
        """GET with another token than ours."""
        return self._heard(self._send("get", path, None, token))

    def health(self) -> Mapping[str, Any]:
        """Vault's own view of its state, whatever it is: `initialized`, `sealed`, `standby`, `version`."""
        path = "sys/health?standbycode=200&sealedcode=200&uninitcode=200&performancestandbycode=200&drsecondarycode=200"
        heard = self._send("get", path, None, None, whole=True)
        return self._heard(heard).data

    @staticmethod
    def demand(answer: Answer, *fine: int) -> Answer:
        """The answer, if it was well or one of `fine`; else `Unavailable`: whoever is not answered is not granted."""
        if not answer.well and answer.status not in fine:
            refused = "Vault refuses the request; `spe vault check` compares its policies and roles"
            raise Unavailable(PORT, refused if answer.status == 403 else f"Vault answers {answer.status}")
        return answer

    def _ask(self, method: str, path: str, body: SecretValue | None = None) -> Answer:
        session = self._logged_in(None)
        answer = self._heard(self._send(method, path, body, session.token))
        if answer.status == 403 and not answer.says("invalid accessor") and self._clock() - session.since > FRESH:
            again = self._logged_in(session)  # it may have ended before its time: one new login, one more try
            if again.token.reveal() != session.token.reveal():
                answer = self._heard(self._send(method, path, body, again.token))
        return answer

    def _logged_in(self, ended: _Session | None) -> _Session:
        """The session to use now; a new one when there is none, or it has ended, or is the one given."""
        with self._guard:
            session, now = self._session, self._clock()
            if session is not None and session is not ended and now < session.until:
                return session
            if now < self._not_before:
                raise Unavailable(PORT, self._last)
            found = self._log_in(now)
            if isinstance(found, str):
                self._not_before = now + WAITS[min(self._failures, len(WAITS) - 1)]
                self._failures += 1
                self._session, self._last = None, found
                raise Unavailable(PORT, found)
            self._session, self._failures = found, 0
            return found

    def _log_in(self, now: float) -> _Session | str:
        """A new session, or the sentence that says why there is none."""
        login = self._settings.login
        if isinstance(login, HeldLogin):
            return _Session(token=login.token, since=now, until=float("inf"))
        try:
            if isinstance(login, TokenLogin):
                return _Session(token=_line(login.token_file), since=now, until=float("inf"))
            path, body = _credentials(login)
        except (OSError, UnicodeDecodeError):
            return "the file with the credential for Vault cannot be read"
        answer = self._send("post", path, body, None)
        if isinstance(answer, str):
            return answer
        token, seconds = answer.auth.get("client_token"), answer.auth.get("lease_duration")
        if not answer.well or not isinstance(token, str) or not isinstance(seconds, int):
            return f"Vault does not accept the login at {path}"
        until = now + seconds - min(30.0, seconds / 4) if seconds else float("inf")
        return _Session(token=SecretValue(token), since=now, until=until)

    @staticmethod
    def _heard(outcome: Answer | str) -> Answer:
        if isinstance(outcome, str):
            raise Unavailable(PORT, outcome)
        return outcome

    def _send(
        self, method: str, path: str, body: SecretValue | None, token: SecretValue | None, *, whole: bool = False
    ) -> Answer | str:
        """One request: the answer, or the sentence that says why there is none. Raises nothing of its own."""
        times = (self._settings.connect_seconds, self._settings.answer_seconds)
        client = hvac.adapters.JSONAdapter(
            base_uri=self._settings.address,
            token=token.reveal() if token else None,
            namespace=self._settings.namespace or None,
            session=self._http,
            timeout=times,
            allow_redirects=False,
            strict_http=True,
        )
        try:
            found = client.request(method, f"/v1/{path}", **({"data": body.reveal().encode()} if body else {}))
        except tuple(_HEARD) as error:
            return _refused(_HEARD[type(error)], error.json)
        except (hvac.exceptions.VaultError, requests.exceptions.RequestException) as error:
            return next(sentence for kind, sentence in _SILENCE if isinstance(error, kind))
        except OSError:
            return "the CA file cannot be read"
        except (ValueError, AttributeError):  # the client library expects an object in every answer
            return _UNREADABLE
        return _understood(found, whole)


def _refused(status: int, said: Any) -> Answer | str:
    """A refusal in Vault's own form; anything else was said by something in between, and proves nothing."""
    if not isinstance(said, dict) or not ("errors" in said or "data" in said):
        return f"something at Vault's address answers {status}, and it is not Vault"
    words = said.get("errors") or []
    errors = tuple(map(str, words if isinstance(words, list) else [words]))
    return Answer(status=400 if status == 404 and errors else status, errors=errors)


def _understood(found: Any, whole: bool) -> Answer | str:
    if isinstance(found, requests.Response):
        if found.status_code == 204:
            return Answer(status=200)
        return _ELSEWHERE if 300 <= found.status_code < 400 else _UNREADABLE
    if not isinstance(found, dict):
        return _UNREADABLE
    parts = {"data": {}, "auth": {}, "lease_id": "", "lease_duration": 0}
    kept = {part: empty if found.get(part) is None else found[part] for part, empty in parts.items()}
    data, auth, lease, seconds = (
        found if whole else kept["data"],
        kept["auth"],
        kept["lease_id"],
        kept["lease_duration"],
    )
    if not (isinstance(data, dict) and isinstance(auth, dict) and isinstance(lease, str) and isinstance(seconds, int)):
        return _UNREADABLE
    return Answer(status=200, data=data, auth=auth, lease=lease, seconds=seconds)


def _credentials(login: KubernetesLogin | AppRoleLogin) -> tuple[str, SecretValue]:
    """Path and body of a login; the file is read now."""
    if isinstance(login, KubernetesLogin):
        body = {"role": login.role, "jwt": _line(login.token_file).reveal()}
    else:
        body = {"role_id": login.role_id, "secret_id": _line(login.secret_file).reveal()}
    return f"auth/{login.mount}/login", SecretValue(json.dumps(body))


def _line(file: Path) -> SecretValue:
    text = SecretValue(file.read_text().strip())
    if not text.reveal():
        raise FileNotFoundError(file)
    return text
