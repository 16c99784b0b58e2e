"""The checker as a service elsewhere: a job goes there as one stream, its answer comes back as one.

No answer is `Unavailable`, and the check is asked for again; an answer that is none is `Rejected`, and the
caller makes a block of it.
"""

import json
import tempfile
from collections.abc import Iterator
from typing import IO

import httpx2

from spe.adapters.checker import wire
from spe.adapters.checker.answer import AnswerLimits
from spe.domain.errors import Rejected, Unavailable
from spe.ports.checker import CheckJob, CheckResult

_SPARE_SECONDS = 30.0
_IN_MEMORY = 8 * 1024**2
_PIECE = 1024 * 1024


class RemoteChecker:
    """Asks the checker's service; implements `spe.ports.checker.Checker`. Safe on many threads."""

    def __init__(self, *, address: str, token: str, limits: AnswerLimits | None = None) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-tar"}
        self._limits = limits or AnswerLimits()

    def check(self, job: CheckJob) -> CheckResult:
        """Run the checks. Raises `Rejected` on a crash, a time-out, no report; `Unavailable` when nobody answers."""
        patience = httpx2.Timeout(10.0, read=job.seconds * 2 + _SPARE_SECONDS)
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body, tempfile.SpooledTemporaryFile(_IN_MEMORY) as answer:
            wire.pack_job(job, body)
            headers = {**self._headers, "Content-Length": str(body.tell())}
            body.seek(0)
            try:
                with (
                    httpx2.Client(timeout=patience, trust_env=False, follow_redirects=False) as client,
                    client.stream(
                        "POST", f"{self._address}/checks", content=_pieces(body), headers=headers
                    ) as response,
                ):
                    self._take(response, answer)
            except httpx2.HTTPError as error:
                raise Unavailable("checker", type(error).__name__) from error
            answer.seek(0)
            return wire.unpack_answer(answer, self._limits)

    def _take(self, response: httpx2.Response, answer: IO[bytes]) -> None:
        most = self._limits.report + self._limits.views
        for piece in response.iter_raw(_PIECE):
            answer.write(piece)
            if answer.tell() > most:
                raise Rejected("checker", "The checker's answer is too large.")
        if response.status_code == 422:
            answer.seek(0)
            raise Rejected("checker", _reason(answer.read(10_000)))
        if response.status_code != 200:
            raise Unavailable("checker", f"it answered with status {response.status_code}")


def _pieces(body: IO[bytes]) -> Iterator[bytes]:
    while piece := body.read(_PIECE):
        yield piece


def _reason(data: bytes) -> str:
    try:
        said = json.loads(data)["detail"]
    except (ValueError, LookupError, TypeError):
        said = ""
    text = said if isinstance(said, str) else ""
    return "".join(c if c.isprintable() else " " for c in text)[:1000] or "The checker refused the job."
