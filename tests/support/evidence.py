"""A real log with real keys in memory, and receipts made from it the way the services make them."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from spe.adapters.secrets import ed25519
from spe.domain.audit import Actor, AuditEntry
from spe.domain.canonical import digest_of
from spe.domain.checkpoint import Checkpoint, sign_checkpoint
from spe.domain.keys import TrustedKeys, fingerprint
from spe.domain.merkle import Frontier, inclusion_proof
from spe.domain.receipt import (
    MANIFEST,
    RELEASED,
    Decision,
    PermitReference,
    Receipt,
    ReleasedOutput,
    ReleaseManifest,
)

ORIGIN = "spe.example/audit"
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def an_entry(number: int = 0, **changes: object) -> AuditEntry:
    entry = AuditEntry(
        at=START + timedelta(seconds=number, microseconds=number * 17),
        actor=Actor(issuer="https://login.example", subject=f"user-{number % 5}", role="authorised-user"),
        event="egress.submitted",
        object_kind="egress",
        object_id=f"eg-{number:016d}",
        before="draft",
        after="submitted",
        digests={"report": digest_of(str(number).encode())},
        request=f"rq-{number}",
        policy=digest_of(b"policy"),
        details={"files": number, "partial": number % 2 == 0, "round": "first"},
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


@dataclass
class Log:
    """An append-only log: the stored bytes, the stored nodes, the frontier and the log's key."""

    private: bytes = field(default_factory=ed25519.generate)
    entries: list[bytes] = field(default_factory=list)
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)
    frontier: Frontier = field(default_factory=Frontier)

    @property
    def public(self) -> bytes:
        return ed25519.public_of(self.private)

    def append(self, entry: AuditEntry) -> AuditEntry:
        entry = replace(entry, index=self.frontier.size)
        self.frontier, made = self.frontier.append(entry.leaf())
        self.nodes.update({(node.level, node.index): node.hash for node in made})
        self.entries.append(entry.data())
        return entry

    def node(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]

    @property
    def head(self) -> Checkpoint:
        return Checkpoint(origin=ORIGIN, size=self.frontier.size, root=self.frontier.root())

    def note(self) -> bytes:
        return sign_checkpoint(self.head, self.public, ed25519.signer(self.private))


def a_log(size: int) -> Log:
    log = Log()
    for number in range(size):
        log.append(an_entry(number))
    return log


def a_manifest(files: dict[str, bytes] | None = None) -> ReleaseManifest:
    files = files or {"figures/survival.csv": b"time,n\n1,100\n", "table1.csv": b"arm,n\na,246\nb,440\n"}
    return ReleaseManifest(
        release="rl-2222222222222222",
        request="eg-2222222222222222",
        workspace="ws-2222222222222222",
        permit=PermitReference(
            id="pm-2222222222222222", kind="data-permit", issuer="Health Data Board – Nürnberg", version=2
        ),
        policy_name="default",
        policy_digest=digest_of(b"policy"),
        report=digest_of(b"report"),
        outputs=tuple(
            ReleasedOutput(path=path, sha256=digest_of(data)[7:], size=len(data), media_type="text/csv")
            for path, data in sorted(files.items())
        ),
        decisions=tuple(Decision(checker=f"ck-{n}", vote=digest_of(b"vote" + bytes([n]))) for n in (1, 2)),
        released_at=START + timedelta(hours=4),
        destination="data-user",
    )


@dataclass
class Issuer:
    """An environment that issues receipts: a release key and a log that has other entries around the release."""

    release: bytes = field(default_factory=ed25519.generate)
    log: Log = field(default_factory=lambda: a_log(20))

    @property
    def keys(self) -> TrustedKeys:
        return TrustedKeys(origin=ORIGIN, release=(ed25519.public_of(self.release),), log=(self.log.public,))

    def issue(self, manifest: ReleaseManifest | None = None, **changes: object) -> Receipt:
        manifest = manifest or a_manifest()
        entry = an_entry(
            20,
            event=RELEASED,
            actor=Actor.system("releaser"),
            object_id=manifest.request,
            before="releasing",
            after="released",
            digests={MANIFEST: manifest.digest},
        )
        entry = self.log.append(replace(entry, **changes))  # type: ignore[arg-type]
        for number in range(3):
            self.log.append(an_entry(number))
        return Receipt(
            manifest=manifest,
            key=fingerprint(ed25519.public_of(self.release)),
            signature=ed25519.signer(self.release)(manifest.data()),
            entry=entry,
            path=inclusion_proof(entry.index, self.log.frontier.size, self.log.node),
            checkpoint=self.log.note(),
        )
