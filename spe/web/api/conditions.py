"""Requests that must not act on what changed, or act twice: `ETag` with `If-Match`, and `Idempotency-Key`."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from spe.domain.errors import Denial, Invalid, SpeError, Uncertain
from spe.domain.principal import Principal
from spe.services.app import App
from spe.web.problems import KeyInUse, PreconditionFailed, PreconditionMissing

ATTEMPTS = 20
AGAIN = "again"
CHANGED = "This changed since you read it."


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def mark(response: Response, version: int) -> None:
    """Put the entity tag of a version on an answer."""
    response.headers["ETag"] = etag(version)


def mark_as(response: Response, tag: str) -> None:
    """Put an entity tag on an answer."""
    response.headers["ETag"] = f'"{tag}"'


def if_match(value: Annotated[str, Header(alias="If-Match", max_length=100)] = "") -> str:
    """The tags that the request holds its decision to, or nothing."""
    return value


def must_match(value: Annotated[str, Depends(if_match)]) -> str:
    """What a decision is about, as its tag. Raises `PreconditionMissing` without one."""
    mark = value.strip().strip('"')
    if not mark:
        raise PreconditionMissing({"If-Match": "Send the ETag of what you read: a decision holds for that only."})
    return mark


IfMatch = Annotated[str, Depends(if_match)]
Mark = Annotated[str, Depends(must_match)]


def check(given: str, version: int) -> None:
    """Raises `PreconditionFailed` when the request names another version."""
    tags = [tag.strip() for tag in given.split(",") if tag.strip()]
    if tags and "*" not in tags and etag(version) not in tags:
        raise PreconditionFailed(CHANGED)


def expect(given: str, mark: str) -> None:
    """Raises `PreconditionFailed` unless the two are the same."""
    if given != mark:
        raise PreconditionFailed(CHANGED)


class Once:
    """Carries out a creation at most once per person, address and key; the same request gets the same answer."""

    def __init__(self, app: App, person: str, route: str, key: str, body: str) -> None:
        self._store = app.house.ports.store
        self._clock = app.house.ports.clock
        self._name = hashlib.sha256(f"{person}\n{route}\n{key}".encode()).hexdigest()
        self._body = hashlib.sha256(body.encode()).hexdigest()

    def answer(self, act: Callable[[], BaseModel]) -> str:
        """The JSON of the answer, new or kept. A refused attempt may be repeated, an unfinished one may not."""
        for attempt in range(ATTEMPTS):
            name = f"once:{self._name}:{attempt}"
            kept = self._begin(name)
            if kept == AGAIN:
                continue
            return self._carry_out(name, act) if kept is None else kept
        raise Invalid({"Idempotency-Key": "This key was tried too often; use a new one."})

    def _begin(self, name: str) -> str | None:
        with self._store.begin() as uow:
            body = uow.answer_of(name)
            if body is None:
                uow.keep_answer(name, self._body, self._clock.now())
                return None
            if body != self._body:
                raise Invalid({"Idempotency-Key": "This key was used for another request; use a new one."})
            kept = uow.answer_of(f"{name}:answer")
        if kept is None:
            sentence = "The first request with this key has not finished; look at the list before you use a new key."
            raise KeyInUse([Denial(code="key-in-use", message=sentence)])
        return kept

    def _carry_out(self, name: str, act: Callable[[], BaseModel]) -> str:
        try:
            answer = act().model_dump_json()
        except Uncertain:
            raise  # it may have happened: the key stays unfinished, so that nobody makes a second one with it
        except SpeError:
            self._keep(name, AGAIN)
            raise
        self._keep(name, answer)
        return answer

    def _keep(self, name: str, answer: str) -> None:
        with self._store.begin() as uow:
            uow.keep_answer(f"{name}:answer", answer, self._clock.now())


IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=100)]


def created(
    request: Request, app: App, by: Principal, key: str, body: BaseModel, act: Callable[[], BaseModel]
) -> Response:
    """Answer a creation with 201, at most once when the request carries a key."""
    if key:
        text = Once(app, by.person, request.url.path, key, body.model_dump_json()).answer(act)
    else:
        text = act().model_dump_json()
    return JSONResponse(json.loads(text), status_code=201)
