"""The receipt of a release: what left, under which permit and policy, who decided, and the proof of it.

Its signed part (`ReleaseManifest`) is signed by the release key; the log's entry of the release names
the manifest's digest, and an inclusion path leads from that entry to a checkpoint signed by the log
key. So a receipt needs no server: two public keys suffice. It names no person: checkers appear under
pseudonyms, votes as digests. The file is canonical JSON, so that no byte of it can vary.

    {"schema": "spe.receipt/1", "release", "request", "workspace", "permit": {"id", "kind", "issuer", "version"},
     "policy": {"name", "digest"}, "report", "outputs": [{"path", "sha256", "size", "media_type"}],
     "decisions": [{"checker", "vote"}], "released_at", "destination",                      ← signed part
     "signature": {"key": fingerprint, "value": base64},
     "proof": {"entry": {…spe.audit/1…}, "path": [hex…], "checkpoint": signed note}}
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from spe.domain.audit import AuditEntry
from spe.domain.canonical import (
    DIGEST,
    HEX_DIGEST,
    Json,
    Reader,
    canonical,
    digest_of,
    moment_text,
    parse,
    read64,
    read_moment,
    text64,
)
from spe.domain.checkpoint import Checkpoint, open_checkpoint
from spe.domain.errors import Corrupt, Invalid
from spe.domain.keys import TrustedKeys, Verify, fingerprint
from spe.domain.merkle import verify_inclusion

SCHEMA = "spe.receipt/1"
RELEASED = "egress.released"
MANIFEST = "manifest"
LARGEST = 16 * 1024 * 1024

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+=-]{0,127}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,127}")
_PROOF_PARTS = frozenset({"signature", "proof"})
_MANIFEST_KEYS = frozenset(
    {"schema", "release", "request", "workspace", "permit", "policy", "report"}
    | {"outputs", "decisions", "released_at", "destination"}
)


class BadReceipt(Corrupt):
    """A receipt that proves nothing; `part` names what failed: form, key, signature, entry, log, checkpoint."""

    code = "bad-receipt"
    remedy = "Do not rely on this file. Ask the environment that issued it for the receipt again."

    def __init__(self, part: str, sentence: str) -> None:
        self.part = part
        super().__init__(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedOutput:
    """One released file: relative path, SHA-256 in hexadecimal, size in bytes, media type."""

    path: str
    sha256: str
    size: int
    media_type: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        plain = not any(unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in self.path)
        if not path.parts or path.is_absolute() or ".." in path.parts or str(path) != self.path or not plain:
            raise Invalid({"outputs.path": "Expected a plain relative path."})
        _demand("outputs.sha256", self.sha256, HEX_DIGEST)
        _demand("outputs.media_type", self.media_type, _MEDIA_TYPE)
        if self.size < 0:
            raise Invalid({"outputs.size": "A size is 0 or more."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One checker's part: a pseudonym that means nothing outside, and the digest of the stored vote."""

    checker: str
    vote: str

    def __post_init__(self) -> None:
        _demand("decisions.checker", self.checker, _TOKEN)
        _demand("decisions.vote", self.vote, DIGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitReference:
    """The permit the release happened under; `issuer` is the body's name as pages show it."""

    id: str
    kind: str
    issuer: str
    version: int

    def __post_init__(self) -> None:
        _demand("permit.id", self.id, _TOKEN)
        _demand("permit.kind", self.kind, _TOKEN)
        if not 0 < len(self.issuer) <= 200 or not self.issuer.isprintable() or self.version < 0:
            raise Invalid({"permit": "Expected an issuer of 1-200 printable characters and a version of 0 or more."})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseManifest:
    """The signed part of a receipt. `report` is the digest of the checks' report, `destination` a token.

    Outputs are sorted by path, each path once; each checker decides once. Anything else is `Invalid`.
    """

    release: str
    request: str
    workspace: str
    permit: PermitReference
    policy_name: str
    policy_digest: str
    report: str
    outputs: tuple[ReleasedOutput, ...]
    decisions: tuple[Decision, ...]
    released_at: datetime
    destination: str

    def __post_init__(self) -> None:
        for name in ("release", "request", "workspace", "policy_name", "destination"):
            _demand(name, getattr(self, name), _TOKEN)
        for name in ("policy_digest", "report"):
            _demand(name, getattr(self, name), DIGEST)
        moment_text(self.released_at)
        paths = [output.path for output in self.outputs]
        if not paths or paths != sorted(set(paths)):
            raise Invalid({"outputs": "Expected at least one output, sorted by path, each path once."})
        if not self.decisions or len({decision.checker for decision in self.decisions}) != len(self.decisions):
            raise Invalid({"decisions": "Expected at least one decision, each checker once."})

    def document(self) -> dict[str, Json]:
        """The signed part as a JSON object."""
        permit, outputs, decisions = self.permit, self.outputs, self.decisions
        return {
            "schema": SCHEMA,
            "release": self.release,
            "request": self.request,
            "workspace": self.workspace,
            "permit": {"id": permit.id, "kind": permit.kind, "issuer": permit.issuer, "version": permit.version},
            "policy": {"name": self.policy_name, "digest": self.policy_digest},
            "report": self.report,
            "outputs": [
                {"path": o.path, "sha256": o.sha256, "size": o.size, "media_type": o.media_type} for o in outputs
            ],
            "decisions": [{"checker": d.checker, "vote": d.vote} for d in decisions],
            "released_at": moment_text(self.released_at),
            "destination": self.destination,
        }

    def data(self) -> bytes:
        """The canonical bytes that the release key signs."""
        return canonical(self.document())

    @property
    def digest(self) -> str:
        """`sha256:…` of `data()`: what the audit entry of the release carries under `manifest`."""
        return digest_of(self.data())

    @classmethod
    def of_document(cls, document: Json) -> "ReleaseManifest":
        """The manifest in a parsed object with exactly its keys; `Invalid` otherwise."""
        top = Reader(document, "receipt", _MANIFEST_KEYS)
        permit = Reader(top.value("permit"), "permit", frozenset({"id", "kind", "issuer", "version"}))
        policy = Reader(top.value("policy"), "policy", frozenset({"name", "digest"}))
        if top.text("schema") != SCHEMA:
            raise Invalid({"schema": f"Expected {SCHEMA}."})
        return cls(
            release=top.text("release"),
            request=top.text("request"),
            workspace=top.text("workspace"),
            permit=PermitReference(
                id=permit.text("id"),
                kind=permit.text("kind"),
                issuer=permit.text("issuer"),
                version=permit.number("version"),
            ),
            policy_name=policy.text("name"),
            policy_digest=policy.text("digest"),
            report=top.text("report"),
            outputs=tuple(_output(item) for item in top.items("outputs")),
            decisions=tuple(_decision(item) for item in top.items("decisions")),
            released_at=read_moment(top.text("released_at")),
            destination=top.text("destination"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A manifest with its signature (by the key of fingerprint `key`) and its place in the log.

    `entry` is the log's entry of the release, `path` its inclusion path in the tree of `checkpoint`,
    the signed note. Making one proves nothing; `verify_receipt` does.
    """

    manifest: ReleaseManifest
    key: str
    signature: bytes
    entry: AuditEntry
    path: tuple[bytes, ...]
    checkpoint: bytes

    def data(self) -> bytes:
        """The receipt file's bytes."""
        return canonical(
            {
                **self.manifest.document(),
                "signature": {"key": self.key, "value": text64(self.signature)},
                "proof": {
                    "entry": self.entry.document(),
                    "path": [step.hex() for step in self.path],
                    "checkpoint": self.checkpoint.decode(),
                },
            }
        )

    @classmethod
    def read(cls, data: bytes) -> "Receipt":
        """The receipt in a file, checked for form only; anything but its exact bytes is `Invalid`."""
        if len(data) > LARGEST:
            raise Invalid({"receipt": f"A receipt has at most {LARGEST} bytes."})
        document = parse(data)
        top = Reader(document, "receipt", _MANIFEST_KEYS | _PROOF_PARTS)
        signature = Reader(top.value("signature"), "signature", frozenset({"key", "value"}))
        proof = Reader(top.value("proof"), "proof", frozenset({"entry", "path", "checkpoint"}))
        assert isinstance(document, Mapping)
        signed = {key: value for key, value in document.items() if key not in _PROOF_PARTS}
        return cls(
            manifest=ReleaseManifest.of_document(signed),
            key=_demand("signature.key", signature.text("key"), DIGEST),
            signature=read64(signature.text("value"), 64),
            entry=AuditEntry.of_document(proof.value("entry")),
            path=tuple(bytes.fromhex(_demand("proof.path", step, HEX_DIGEST)) for step in proof.texts("path")),
            checkpoint=proof.text("checkpoint").encode(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFacts:
    """What a verified receipt proves, and by which keys (fingerprints)."""

    manifest: ReleaseManifest
    entry: AuditEntry
    checkpoint: Checkpoint
    release_key: str
    log_key: str


def verify_receipt(data: bytes, keys: TrustedKeys, verify: Verify) -> ReceiptFacts:
    """What the receipt file `data` proves under the keys trusted; `BadReceipt` names the part that failed.

    In this order: exact form · a trusted release key signed the manifest · the log entry is that of
    this release and names the manifest's digest, and no person · a trusted log key signed the
    checkpoint · the entry is in that log, at the place it claims.
    """
    try:
        receipt = Receipt.read(data)
    except Invalid as error:
        raise BadReceipt("form", f"The file is not an intact receipt. {error}") from None
    manifest, entry = receipt.manifest, receipt.entry
    public = keys.release_key(receipt.key)
    if public is None:
        raise BadReceipt("key", "The receipt was signed with a key that is not among the trusted release keys.")
    if not verify(public, manifest.data(), receipt.signature):
        raise BadReceipt("signature", "The signature does not fit: the receipt was changed after it was signed.")
    sentence = _mismatch(manifest, entry)
    if sentence:
        raise BadReceipt("entry", sentence)
    try:
        checkpoint, log_key = open_checkpoint(receipt.checkpoint, origin=keys.origin, publics=keys.log, verify=verify)
    except (Invalid, Corrupt) as error:
        raise BadReceipt("checkpoint", f"The log's checkpoint does not count. {error}") from None
    if not verify_inclusion(
        leaf=entry.leaf(), index=entry.index, size=checkpoint.size, path=receipt.path, root=checkpoint.root
    ):
        raise BadReceipt("log", "The audit log does not contain the release as the receipt tells it.")
    return ReceiptFacts(
        manifest=manifest,
        entry=entry,
        checkpoint=checkpoint,
        release_key=fingerprint(public),
        log_key=fingerprint(log_key),
    )


def _mismatch(manifest: ReleaseManifest, entry: AuditEntry) -> str:
    """Why the entry is not the log's record of this manifest; empty when it is."""
    if (entry.event, entry.object_kind, entry.object_id) != (RELEASED, "egress", manifest.request):
        return "The log entry in the receipt is not the release of this request."
    if entry.digests.get(MANIFEST) != manifest.digest:
        return "The log entry in the receipt records another manifest."
    if not entry.actor.is_system:
        return "The log entry in the receipt names a person; a receipt carries none."
    return ""


def _output(item: Json) -> ReleasedOutput:
    fields = Reader(item, "outputs", frozenset({"path", "sha256", "size", "media_type"}))
    return ReleasedOutput(
        path=fields.text("path"),
        sha256=fields.text("sha256"),
        size=fields.number("size"),
        media_type=fields.text("media_type"),
    )


def _decision(item: Json) -> Decision:
    fields = Reader(item, "decisions", frozenset({"checker", "vote"}))
    return Decision(checker=fields.text("checker"), vote=fields.text("vote"))


def _demand(name: str, text: str, shape: re.Pattern[str]) -> str:
    if shape.fullmatch(text) is None:
        raise Invalid({name: "It does not have the form that belongs here."})
    return text
