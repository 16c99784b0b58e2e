"""The audit log as people use it: read, seal, verify, export; the keys with which outsiders check."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from spe.domain.audit import AuditEntry, Problem, verify_log
from spe.domain.canonical import moment_text
from spe.domain.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from spe.domain.errors import Corrupt, NotFound
from spe.domain.keys import TrustedKeys, Verify
from spe.domain.merkle import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from spe.domain.principal import Permission, Principal
from spe.ports.secrets import KeyName
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.transact import demand

READING = """This is an audit pack: entries.jsonl holds one canonical entry a line, checkpoints.txt the signed
tree heads, keys.json the public keys, entries.index the place of each entry in the log.
Check it with `spe audit verify --pack FILE`, without network and without the server.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One entry, the oldest signed head that covers it (None while there is none), its path, and whether it fits."""

    entry: AuditEntry
    head: Checkpoint | None
    path: tuple[bytes, ...]
    holds: bool


class AuditService:
    """Reads, seals and verifies the log."""

    def __init__(self, house: House, verify: Verify) -> None:
        self._house = house
        self._verify = verify

    def entries(
        self,
        *,
        subject: str = "",
        event: str = "",
        person: str = "",
        before: int | None = None,
        limit: int = 100,
        by: Principal,
    ) -> tuple[AuditEntry, ...]:
        """Entries, newest first."""
        demand(by, Permission.AUDIT_READ)
        with self._house.ports.store.read() as uow:
            return uow.audit.select(subject=subject, event=event, person=person, before=before, limit=min(limit, 500))

    def proof(self, index: int, *, by: Principal) -> Proof:
        """One entry with its inclusion proof under the oldest checkpoint that covers it. Raises `NotFound`."""
        demand(by, Permission.AUDIT_READ)
        with self._house.ports.store.read() as uow:
            if not 0 <= index < uow.audit.size:
                raise NotFound("There is no such entry.")
            entry = uow.audit.entry(index)
            head = next((h for h, _ in uow.audit.checkpoints() if h.size > index), None)
            if head is None:
                return Proof(entry=entry, head=None, path=(), holds=False)
            path = inclusion_proof(index, head.size, uow.audit.node)
        holds = verify_inclusion(leaf=entry.leaf(), index=index, size=head.size, path=path, root=head.root)
        return Proof(entry=entry, head=head, path=path, holds=holds)

    def keys(self) -> TrustedKeys:
        """The public keys; anybody may have them."""
        secrets = self._house.ports.secrets
        return TrustedKeys(
            origin=self._house.origin,
            release=(secrets.public_key(KeyName.RELEASE),),
            log=(secrets.public_key(KeyName.LOG),),
        )

    def seal(self, uow: UnitOfWork) -> tuple[bytes, Checkpoint]:
        """Sign the head of the log as it stands in this transaction, and keep the note.

        Raises `Corrupt`, and signs nothing, when the log is no continuation of the last head that was
        signed (security note B9.3).
        """
        now = self._house.ports.clock.now()
        head = Checkpoint(origin=self._house.origin, size=uow.audit.size, root=uow.audit.root())
        self._demand_continuation(uow, head)
        public = self._house.ports.secrets.public_key(KeyName.LOG)
        note = sign_checkpoint(head, public, lambda text: self._house.ports.secrets.sign(KeyName.LOG, text).value)
        uow.audit.add_checkpoint(head, note.decode(), now)
        return note, head

    def _demand_continuation(self, uow: UnitOfWork, head: Checkpoint) -> None:
        newest = uow.audit.newest_checkpoint()
        if newest is None:
            return
        keys = self.keys()
        last, _ = open_checkpoint(newest[1].encode(), origin=keys.origin, publics=keys.log, verify=self._verify)
        continues = last.size <= head.size and verify_consistency(
            old=last.size,
            new=head.size,
            old_root=last.root,
            new_root=head.root,
            proof=consistency_proof(last.size, head.size, uow.audit.node),
        )
        if not continues:
            raise Corrupt(f"The audit log is no continuation of what was signed at {last.size} entries.")

    def seal_if_grown(self) -> int:
        """Seal when entries came since the last checkpoint; how many entries are sealed now."""
        with self._house.ports.store.read() as uow:
            newest = uow.audit.newest_checkpoint()
            if newest is not None and newest[0].size == uow.audit.size:
                return newest[0].size
        with self._house.ports.store.begin() as uow:
            _, head = self.seal(uow)
        return head.size

    def inclusion(self, uow: UnitOfWork, index: int) -> tuple[bytes, ...]:
        """The inclusion path of one entry under the head of this transaction."""
        return inclusion_proof(index, uow.audit.size, uow.audit.node)

    def verify(self, *, seen: Checkpoint | None = None, by: Principal) -> tuple[int, tuple[Problem, ...]]:
        """Recompute the whole log: (entries, problems), sealed first; what others write meanwhile is not read."""
        demand(by, Permission.AUDIT_READ)
        sealed = self.seal_if_grown()
        keys = self.keys()
        with self._house.ports.store.read() as uow:
            size = min(sealed, uow.audit.size)
            notes = [note.encode() for head, note in uow.audit.checkpoints() if head.size <= sealed]
            problems = verify_log(
                (data for _, data in uow.audit.raw(stop=sealed)),
                notes,
                origin=keys.origin,
                publics=keys.log,
                verify=self._verify,
                seen=seen,
            )
        return size, problems

    def export(self, *, subject: str = "", by: Principal) -> bytes:
        """An audit pack (ZIP) of the whole log, or of one object's entries with their places; audited itself."""
        by = demand(by, Permission.AUDIT_READ)
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            record(uow, event="audit.exported", kind="audit", subject=subject or "log", now=now, by=by)
            _, sealed = self.seal(uow)
        buffer = io.BytesIO()
        with self._house.ports.store.read() as uow, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
            chosen = list(self._chosen(uow, subject, sealed.size))
            notes = [note for head, note in uow.audit.checkpoints() if head.size <= sealed.size]
            pack.writestr("README.txt", READING)
            pack.writestr("entries.jsonl", b"".join(data + b"\n" for _, data in chosen))
            pack.writestr("entries.index", json.dumps([index for index, _ in chosen]))
            pack.writestr("checkpoints.txt", "\n".join(notes))
            pack.writestr("keys.json", self.keys().data())
            pack.writestr("made.txt", moment_text(now) + "\n")
        return buffer.getvalue()

    def _chosen(self, uow: UnitOfWork, subject: str, stop: int) -> Iterator[tuple[int, bytes]]:
        for index, data in uow.audit.raw(stop=stop):
            if not subject or subject.encode() in data:
                yield index, data
