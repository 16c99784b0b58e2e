"""What the database's errors mean: ours for every foreign one, and a sentence for every rule it enforces.

Triggers (`triggers.py`) speak in codes, `spe:own-request`; the sentences stand here, so that both
databases and all pages say the same.
"""

import re

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from spe.domain.errors import Corrupt, Denial, Invalid, Refused, SpeError, Stale, Unavailable, Uncertain

_CODE = re.compile(r"spe:([a-z-]+)")
_FULL = ("disk is full", "no space left")
_THROWN_OUT = "25P03"
_TORN = ("malformed", "not a database")

SENTENCES = {
    "fixed": "This is written once and never changed.",
    "kept": "Records of the environment are never deleted.",
    "begins-elsewhere": "A new record begins in its first state.",
    "no-such-move": "This state cannot follow the one before it.",
    "terms-sealed": "The terms of a permit change only through a new version, while it is active or suspended.",
    "widening-unconfirmed": "What widens access needs a change that another member of the board confirmed.",
    "unconfirmed": "A permit becomes active only after a member of the board who is not its proposer confirmed it.",
    "own-proposal": "You proposed this; another member of the board confirms it.",
    "own-permit": "You are an authorised user of this permit, so you cannot decide on it.",
    "settled": "This proposal was settled already.",
    "not-on-permit": "Only a person whom the permit names writes egress requests under it.",
    "wrong-permit": "The egress request belongs to the permit of its workspace.",
    "round": "Each submission begins a new round, and nothing else does.",
    "policy-changed": "The policy and the report are those that were reviewed; another policy begins a new round.",
    "outputs-frozen": "The files of this request are frozen until it is returned.",
    "not-in-review": "The egress request is not in review.",
    "own-request": "You wrote this request; other checkers decide on it.",
    "own-project": "You work under this permit; checkers without a tie to it decide.",
    "already-voted": "You have already reviewed this round; your votes stand.",
    "other-bytes": "The file's SHA-256 is not the one that the request holds.",
    "too-few-approvals": "Not enough independent checkers approved these outputs; one approval never releases.",
    "permit-not-active": "The permit is not active, so nothing leaves under it; ask the board.",
    "not-releasing": "A release is made only of an approved request that is being released.",
    "not-approved": "This file was not approved in the review of this request.",
    "no-release": "A request is released only with a release on record.",
    "identity-taken": "Somebody is registered with this identity already.",
    "identity-fixed": "The identity of a person is bound once and stays.",
    "used-once": "This was used already.",
    "index-gap": "The audit log grows by one entry at a time, at its end.",
    "checkpoint-contradicts": "A tree head never contradicts an earlier one.",
    "fence": "The leadership has changed hands.",
    "isolation": "Writers use the isolation level “read committed”, so that each rule sees what others committed.",
}


def denial(code: str) -> Denial:
    """The refusal for a code of a trigger."""
    return Denial(code=code, message=SENTENCES[code])


def translate(error: DBAPIError, *, port: str = "database") -> SpeError:
    """Ours for the driver's error; the reason is its first line, without statement or values."""
    reason = _reason(error)
    found = _CODE.search(reason)
    if found is not None and found[1] in SENTENCES:
        return Refused([denial(found[1])])
    if found is not None and found[1] == "exists":
        return Stale("There is a record with this key already.")
    if isinstance(error, DataError):
        return Invalid({"text": "The database cannot hold this text or number."})
    if isinstance(error, IntegrityError) and port == "database":
        return Stale(_stale(reason))
    if any(sign in reason for sign in _TORN):
        return Corrupt(f"The database file cannot be read: {reason}.")
    if any(sign in reason.lower() for sign in _FULL):
        return Unavailable(port, "its disk is full, so nothing was changed; free some space, then try again")
    return Unavailable(port, reason)


def uncommitted(error: DBAPIError) -> SpeError:
    """Ours for an error of the commit itself.

    When the connection went with it, the server may have kept the transaction or not; only of one that it threw out
    for standing still is it known that nothing was kept.
    """
    if error.connection_invalidated and getattr(error.orig, "sqlstate", None) != _THROWN_OUT:
        return Uncertain("database", _reason(error))
    return translate(error)


def _reason(error: DBAPIError) -> str:
    return str(error.orig).strip().split("\n", 1)[0][:200]


def _stale(reason: str) -> str:
    lowered = reason.lower()
    if "foreign key" in lowered:
        return "It refers to something that is not there (any more)."
    if "check constraint" in lowered:
        return "A value is outside of what the record allows."
    return "There is a record with this key already."
