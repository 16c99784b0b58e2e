"""The audit log: what an entry says, its exact bytes, and whether a whole log is what was signed.

Entries form an append-only Merkle log (`spe.domain.merkle`); signed checkpoints freeze its heads
(`spe.domain.checkpoint`). An entry holds codes, ids, numbers and digests only: no data value, no name
of a person, no sentence written in a workspace (security note B9.1, B9.7). Who a subject is stands in
the people's table, which may forget; the log may not. Storage and signing live elsewhere.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from spe.domain.canonical import DIGEST, Json, Reader, canonical, moment_text, parse, read_moment
from spe.domain.checkpoint import Checkpoint, open_checkpoint
from spe.domain.errors import Corrupt, Invalid
from spe.domain.keys import Verify
from spe.domain.merkle import Frontier, leaf_hash
from spe.domain.principal import Principal, Role

__all__ = ["Actor", "AuditEntry", "Checkpoint", "Detail", "Problem", "verify_log"]

SCHEMA = "spe.audit/1"
SYSTEM_ISSUER = "spe"
MOST_DETAILS = 32

_IDENTITY = re.compile(r"[!-~]{1,255}")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,127}")
_EVENT = re.compile(r"[a-z][a-z0-9-]{0,39}\.[a-z][a-z0-9-]{0,39}")
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ENTRY_KEYS = frozenset(
    {"schema", "index", "at", "actor", "event", "object", "before", "after"}
    | {"digests", "request", "reason", "policy", "details"}
)
_ACTOR_KEYS = frozenset({"issuer", "subject", "role"})
_OBJECT_KEYS = frozenset({"kind", "id"})

Detail = str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted: identity as the provider vouched for it (never an e-mail), and the role used.

    The environment's own principals have the issuer `spe`, their name as subject and the role
    `system`; nobody else may use that issuer.
    """

    issuer: str
    subject: str
    role: str

    def __post_init__(self) -> None:
        for name, text in (("issuer", self.issuer), ("subject", self.subject)):
            _demand(f"actor.{name}", text, _IDENTITY, "1-255 printable ASCII characters without space")
        _demand("actor.role", self.role, _TOKEN, "a short token")
        if (self.issuer == SYSTEM_ISSUER) != (self.role == Role.SYSTEM):
            raise Invalid({"actor": "The issuer spe and the role system belong together."})

    @classmethod
    def system(cls, name: str) -> "Actor":
        """The environment's own principal `name`, as `reconciler`."""
        return cls(issuer=SYSTEM_ISSUER, subject=name, role=Role.SYSTEM.value)

    @classmethod
    def of(cls, principal: Principal) -> "Actor":
        """The principal in the role used; several that hold the same permission are joined by `+`."""
        roles = "+".join(sorted(role.value for role in principal.acting or principal.roles))
        return cls(issuer=principal.issuer, subject=principal.subject, role=roles)

    @property
    def is_system(self) -> bool:
        """Whether the environment itself acted."""
        return self.issuer == SYSTEM_ISSUER


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act that took effect, or one recorded failure.

    `event` is `subject.past-tense`; `before` and `after` are states; `digests` map a name to
    `sha256:…`; `request` is the id of the HTTP request or job; `reason` a code; `policy` the digest of
    the policies in force; `details` a flat map of short tokens, whole numbers and truth values. The
    log assigns `index` when it appends. Anything else is `Invalid`.
    """

    at: datetime
    actor: Actor
    event: str
    object_kind: str
    object_id: str
    index: int = 0
    before: str | None = None
    after: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    request: str | None = None
    reason: str | None = None
    policy: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.index < 0:
            raise Invalid({"index": "The index counts from 0."})
        moment_text(self.at)
        _demand("event", self.event, _EVENT, "subject.past-tense, as egress.released")
        for name in ("object_kind", "object_id", "before", "after", "request", "reason"):
            text = getattr(self, name)
            if text is not None:
                _demand(name, text, _TOKEN, "a short token without spaces")
        if self.policy is not None:
            _demand("policy", self.policy, DIGEST, "sha256: and 64 hexadecimal digits")
        for name, digest in self.digests.items():
            _demand("digests", name, _KEY, "short lower-case names")
            _demand(f"digests.{name}", digest, DIGEST, "sha256: and 64 hexadecimal digits")
        _demand_details(self.details)
        object.__setattr__(self, "digests", MappingProxyType(dict(self.digests)))
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def document(self) -> Mapping[str, Json]:
        """The entry as the JSON object that is hashed."""
        return {
            "schema": SCHEMA,
            "index": self.index,
            "at": moment_text(self.at),
            "actor": {"issuer": self.actor.issuer, "subject": self.actor.subject, "role": self.actor.role},
            "event": self.event,
            "object": {"kind": self.object_kind, "id": self.object_id},
            "before": self.before,
            "after": self.after,
            "digests": self.digests,
            "request": self.request,
            "reason": self.reason,
            "policy": self.policy,
            "details": self.details,
        }

    def data(self) -> bytes:
        """The canonical bytes (RFC 8785): what is stored, hashed and exported."""
        return canonical(self.document())

    def leaf(self) -> bytes:
        """The RFC 6962 leaf hash of the canonical bytes."""
        return leaf_hash(self.data())

    @classmethod
    def read(cls, data: bytes) -> "AuditEntry":
        """The entry whose canonical bytes these are; anything else is `Invalid`."""
        return cls.of_document(parse(data))

    @classmethod
    def of_document(cls, document: Json) -> "AuditEntry":
        """The entry in a parsed JSON object, with exactly the keys of the schema; `Invalid` otherwise."""
        entry = Reader(document, "entry", _ENTRY_KEYS)
        if entry.text("schema") != SCHEMA:
            raise Invalid({"schema": f"Expected {SCHEMA}."})
        actor = Reader(entry.value("actor"), "actor", _ACTOR_KEYS)
        about = Reader(entry.value("object"), "object", _OBJECT_KEYS)
        return cls(
            index=entry.number("index"),
            at=read_moment(entry.text("at")),
            actor=Actor(issuer=actor.text("issuer"), subject=actor.text("subject"), role=actor.text("role")),
            event=entry.text("event"),
            object_kind=about.text("kind"),
            object_id=about.text("id"),
            before=entry.text_or_none("before"),
            after=entry.text_or_none("after"),
            digests={name: str(digest) for name, digest in entry.flat("digests").items()},
            request=entry.text_or_none("request"),
            reason=entry.text_or_none("reason"),
            policy=entry.text_or_none("policy"),
            details=entry.flat("details"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with a log: `code` for programs, `message` for people, `index` where it is known."""

    code: str
    message: str
    index: int | None = None


def verify_log(
    entries: Iterable[bytes],
    checkpoints: Iterable[bytes],
    *,
    origin: str,
    publics: Sequence[bytes],
    verify: Verify,
    seen: Checkpoint | None = None,
    unsealed_allowed: int = 0,
    read_entries: bool = True,
) -> tuple[Problem, ...]:
    """Recompute a whole log; empty when every entry is the one that was signed for.

    `entries` are the stored bytes in the order of the log; they are read once and not kept.
    `checkpoints` are the signed notes, oldest first; `publics` the log's public keys. `seen` is a
    checkpoint that somebody kept outside: it alone can show that the newest entries *and* their
    checkpoints are missing together. The last `unsealed_allowed` entries may still wait for a
    checkpoint; all others must lie under one, since nothing vouches for them otherwise.

    Tree heads bind every byte, every position and the number of entries. Reading each entry as well
    tells where a damage lies and whether the writer kept to the form; without `read_entries` a log is
    judged some ten times faster, and a damage is placed between two checkpoints only.
    """
    heads, problems = _open_all(checkpoints, origin, publics, verify)
    if seen is not None and seen.origin != origin:
        problems.append(Problem(code="foreign-checkpoint", message="The checkpoint kept outside is of another log."))
        seen = None
    watched = heads if seen is None else [*heads, seen]
    roots, size, found = _recompute(entries, {head.size for head in watched}, read_entries)
    problems += found
    problems += _compare(heads, roots, size)
    if seen is not None:
        problems += _compare_seen(seen, roots, size)
    sealed = max((head.size for head in heads), default=0)
    if size - sealed > unsealed_allowed:
        problems.append(
            Problem(code="unsealed", index=sealed, message=f"No checkpoint covers the last {size - sealed} entries.")
        )
    return tuple(problems)


def _open_all(
    checkpoints: Iterable[bytes], origin: str, publics: Sequence[bytes], verify: Verify
) -> tuple[list[Checkpoint], list[Problem]]:
    heads: list[Checkpoint] = []
    problems: list[Problem] = []
    for number, note in enumerate(checkpoints, 1):
        try:
            head, _ = open_checkpoint(note, origin=origin, publics=publics, verify=verify)
        except (Invalid, Corrupt) as error:
            problems.append(Problem(code="bad-checkpoint", message=f"Checkpoint {number} does not count: {error}"))
            continue
        if heads and head.size < heads[-1].size:
            sentence = f"Checkpoint {number} covers fewer entries than the one before."
            problems.append(Problem(code="checkpoint-shrank", message=sentence))
        heads.append(head)
    return heads, problems


def _recompute(
    entries: Iterable[bytes], sizes: set[int], read_entries: bool
) -> tuple[dict[int, bytes], int, list[Problem]]:
    """Roots at the sizes asked for, the number of entries, and what is wrong with single entries."""
    frontier, problems = Frontier(), list[Problem]()
    roots = {0: frontier.root()}
    for position, data in enumerate(entries):
        if read_entries:
            problems += _problems_of(position, data)
        frontier, _ = frontier.append(leaf_hash(data))
        if frontier.size in sizes:
            roots[frontier.size] = frontier.root()
    return roots, frontier.size, problems


def _problems_of(position: int, data: bytes) -> Iterator[Problem]:
    try:
        index = AuditEntry.read(data).index
    except Invalid as error:
        yield Problem(code="bad-entry", index=position, message=f"Entry {position} cannot be read: {error}")
        return
    if index != position:
        yield Problem(
            code="wrong-index",
            index=position,
            message=f"Entry {index} stands at place {position}: entries were dropped, moved or added.",
        )


def _compare(heads: Sequence[Checkpoint], roots: Mapping[int, bytes], size: int) -> Iterator[Problem]:
    """Each head against the recomputed roots; the first that differs bounds where the change lies."""
    good = 0
    for head in sorted(heads, key=lambda head: head.size):
        if head.size > size:
            yield Problem(
                code="truncated",
                index=size,
                message=f"The log has {size} entries, but {head.size} were signed for: the newest are missing.",
            )
            return
        if roots[head.size] != head.root:
            yield Problem(
                code="changed",
                index=good,
                message=f"Entries {good} to {head.size - 1} are not those that were signed for.",
            )
            return
        good = head.size


def _compare_seen(seen: Checkpoint, roots: Mapping[int, bytes], size: int) -> Iterator[Problem]:
    if seen.size > size:
        yield Problem(
            code="truncated-since-seen",
            index=size,
            message=f"The checkpoint kept outside covers {seen.size} entries; the log has only {size}.",
        )
    elif roots[seen.size] != seen.root:
        yield Problem(
            code="forked",
            message=f"The first {seen.size} entries are not those of the checkpoint kept outside.",
        )


def _demand(name: str, text: str, shape: re.Pattern[str], expected: str) -> None:
    if not isinstance(text, str) or shape.fullmatch(text) is None:
        raise Invalid({name: f"Expected {expected}."})


def _demand_details(details: Mapping[str, Detail]) -> None:
    if len(details) > MOST_DETAILS:
        raise Invalid({"details": f"At most {MOST_DETAILS} details belong to one entry."})
    for name, detail in details.items():
        _demand("details", name, _KEY, "short lower-case names")
        if isinstance(detail, str) and detail:
            _demand(f"details.{name}", detail, _TOKEN, "a short token without spaces")
        elif not isinstance(detail, str | int):
            raise Invalid({f"details.{name}": "Expected a short token, a whole number, true or false."})
