from dataclasses import replace
from datetime import datetime

import pytest

from spe.adapters.secrets import ed25519
from spe.domain.audit import Actor
from spe.domain.canonical import canonical, digest_of, parse
from spe.domain.checkpoint import Checkpoint, sign_checkpoint
from spe.domain.errors import Corrupt, Invalid
from spe.domain.keys import TrustedKeys
from spe.domain.merkle import inclusion_proof
from spe.domain.receipt import BadReceipt, Decision, PermitReference, Receipt, ReleasedOutput, verify_receipt
from tests.support.evidence import ORIGIN, Issuer, a_manifest, an_entry

ISSUER = Issuer()
RECEIPT = ISSUER.issue()
DATA = RECEIPT.data()


def verified(data=DATA, keys=ISSUER.keys):
    return verify_receipt(data, keys, ed25519.verify)


def part_that_failed(data=DATA, keys=ISSUER.keys):
    with pytest.raises(BadReceipt) as caught:
        verified(data, keys)
    assert isinstance(caught.value, Corrupt)
    assert caught.value.remedy
    return caught.value.part


def test_a_receipt_proves_its_release_with_two_public_keys():
    facts = verified()
    assert facts.manifest == a_manifest()
    assert facts.entry.digests["manifest"] == facts.manifest.digest
    assert (facts.entry.index, facts.checkpoint.size) == (20, 24)
    assert Receipt.read(DATA) == RECEIPT


def test_every_single_byte_change_is_refused():
    tried = 0
    for place in range(len(DATA)):
        was = DATA[place]
        others = {was ^ 1 << bit for bit in range(8)} | {0, 0x20, ord("0"), ord("a"), ord('"'), 0xFF}
        for byte in others - {was}:
            part_that_failed(DATA[:place] + bytes([byte]) + DATA[place + 1 :])
            tried += 1
    print(f"{tried} changes of {len(DATA)} bytes refused")


def test_every_removed_doubled_or_inserted_byte_is_refused():
    tried = 0
    for place in range(len(DATA)):
        changed = [DATA[:place] + DATA[place + 1 :], DATA[:place] + DATA[place : place + 1] + DATA[place:]]
        changed += [DATA[:place] + extra + DATA[place:] for extra in (b" ", b"\n", b"0", b"\\")]
        for data in changed:
            part_that_failed(data)
            tried += 1
    print(f"{tried} removals and insertions refused")


def test_every_truncation_and_anything_appended_is_refused():
    for length in range(len(DATA)):
        assert part_that_failed(DATA[:length]) == "form"
    for extra in (b"\n", b" ", b"\0", b"{}", DATA):
        assert part_that_failed(DATA + extra) == "form"


def test_a_file_too_large_for_a_receipt_is_not_even_parsed():
    with pytest.raises(Invalid, match="at most 16777216 bytes"):
        Receipt.read(b" " * (16 * 1024 * 1024 + 1))


def changed(path, value):
    """The receipt with one value of its document replaced, in canonical form again."""
    document = parse(DATA)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return canonical(document)


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (["workspace"], "ws-3333333333333333", "signature"),
        (["permit", "version"], 3, "signature"),
        (["outputs", 0, "sha256"], "0" * 64, "signature"),
        (["outputs", 0, "path"], "figures/survivaL.csv", "signature"),
        (["decisions", 1, "checker"], "ck-9", "signature"),
        (["released_at"], "2026-03-01T13:30:00.000001Z", "signature"),
        (["destination"], "public", "signature"),
        (["signature", "key"], digest_of(b"another key"), "key"),
        (["proof", "entry", "index"], 21, "log"),
        (["proof", "entry", "at"], "2026-03-01T09:30:21.000000Z", "log"),
        (["proof", "entry", "event"], "egress.rejected", "entry"),
        (["proof", "entry", "digests", "manifest"], digest_of(b"another manifest"), "entry"),
        (["proof", "entry", "object", "id"], "eg-3333333333333333", "entry"),
        (["proof", "entry", "actor"], {"issuer": "https://x", "subject": "s", "role": "checker"}, "entry"),
        (["proof", "path"], [], "log"),
        (["proof", "checkpoint"], "no note", "checkpoint"),
        (["extra"], 1, "form"),
        (["proof", "extra"], 1, "form"),
        (["signature", "extra"], 1, "form"),
        (["permit", "extra"], 1, "form"),
        (["outputs", 0, "note"], "text", "form"),
        (["outputs"], [], "form"),
        (["decisions"], [], "form"),
        (["schema"], "spe.receipt/2", "form"),
        (["outputs", 0, "size"], True, "form"),
        (["outputs", 0, "size"], -1, "form"),
    ],
)
def test_the_part_that_was_changed_is_named(path, value, part):
    assert part_that_failed(changed(path, value)) == part


def test_doubled_keys_are_refused():
    assert part_that_failed(DATA[:-1] + b',"workspace":"ws-2222222222222222"}') == "form"


def test_a_receipt_of_another_environment_is_refused():
    other = Issuer()
    assert part_that_failed(other.issue().data()) == "key"
    mixed = TrustedKeys(origin=ORIGIN, release=ISSUER.keys.release, log=other.keys.log)
    assert part_that_failed(keys=mixed) == "checkpoint"
    renamed = TrustedKeys(origin="other.example/audit", release=ISSUER.keys.release, log=ISSUER.keys.log)
    assert part_that_failed(keys=renamed) == "checkpoint"


def test_a_manifest_that_the_log_never_recorded_is_refused_though_it_is_signed():
    forged = a_manifest({"all-patients.csv": b"everything"})
    signed = replace(RECEIPT, manifest=forged, signature=ed25519.signer(ISSUER.release)(forged.data()))
    assert part_that_failed(signed.data()) == "entry"
    entry = replace(RECEIPT.entry, digests={"manifest": forged.digest})
    assert part_that_failed(replace(signed, entry=entry).data()) == "log"


def test_a_log_entry_cannot_stand_for_two_releases():
    other = ISSUER.issue(replace(a_manifest(), release="rl-3"))
    assert part_that_failed(replace(RECEIPT, entry=other.entry).data()) == "entry"


def test_a_checkpoint_that_another_key_signed_is_refused():
    head = Checkpoint(origin=ORIGIN, size=24, root=bytes(32))
    stranger = ed25519.generate()
    note = sign_checkpoint(head, ed25519.public_of(stranger), ed25519.signer(stranger))
    assert part_that_failed(replace(RECEIPT, checkpoint=note).data()) == "checkpoint"


def test_the_release_key_cannot_stand_in_for_the_log_key():
    public = ed25519.public_of(ISSUER.release)
    with pytest.raises(Invalid, match="One key may not sign both"):
        TrustedKeys(origin=ORIGIN, release=(public,), log=(public,))


def test_a_receipt_that_names_a_person_in_the_log_entry_is_refused():
    receipt = Issuer()
    named = receipt.issue(actor=Actor(issuer="https://x", subject="someone", role="checker"))
    assert part_that_failed(named.data(), receipt.keys) == "entry"


def test_a_later_checkpoint_proves_the_same_release():
    issuer = Issuer()
    receipt = issuer.issue()
    for number in range(50):
        issuer.log.append(an_entry(number))
    size = issuer.log.frontier.size
    path = inclusion_proof(receipt.entry.index, size, issuer.log.node)
    later = replace(receipt, path=path, checkpoint=issuer.log.note())
    assert verified(later.data(), issuer.keys).checkpoint.size == size
    stale = replace(receipt, checkpoint=issuer.log.note())
    assert part_that_failed(stale.data(), issuer.keys) == "log"


def test_receipts_under_an_exchanged_key_still_verify_while_the_old_one_is_trusted():
    fresh = Issuer()
    both = TrustedKeys(
        origin=ORIGIN, release=fresh.keys.release + ISSUER.keys.release, log=fresh.keys.log + ISSUER.keys.log
    )
    assert verified(keys=both) == verified()
    assert TrustedKeys.read(both.data()) == both


def test_no_person_no_free_text_and_no_vote_stands_in_a_receipt():
    assert set(parse(DATA)) == {
        "schema", "release", "request", "workspace", "permit", "policy", "report", "outputs", "decisions",
        "released_at", "destination", "signature", "proof",
    }  # fmt: skip
    assert b"user-" not in DATA


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\nb", "a\x1b[2J", "a\u2028b", "a\x85b"]
)
def test_output_paths_are_plain_and_relative(path):
    with pytest.raises(Invalid):
        ReleasedOutput(path=path, sha256="0" * 64, size=1, media_type="text/csv")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outputs", ()),
        ("outputs", tuple(reversed(a_manifest().outputs))),
        ("outputs", a_manifest().outputs[:1] * 2),
        ("decisions", ()),
        ("decisions", a_manifest().decisions[:1] * 2),
        ("policy_digest", "0" * 64),
        ("report", ""),
        ("destination", "the data user"),
        ("released_at", datetime(2026, 3, 1)),  # noqa: DTZ001
    ],
)
def test_a_manifest_of_another_form_is_not_made(field, value):
    with pytest.raises(Invalid):
        replace(a_manifest(), **{field: value})


def test_parts_of_a_manifest_have_their_forms():
    for make in (
        lambda: Decision(checker="Jane Doe", vote=digest_of(b"")),
        lambda: Decision(checker="ck-1", vote="yes"),
        lambda: PermitReference(id="pm-1", kind="data-permit", issuer="a\nb", version=1),
        lambda: PermitReference(id="pm-1", kind="data-permit", issuer="", version=1),
        lambda: ReleasedOutput(path="a", sha256="0" * 64, size=1, media_type="csv"),
    ):
        with pytest.raises(Invalid):
            make()


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'{"schema":"spe.keys/1","origin":"o","release":[],"log":[]}', b"\xff",
     b'{"schema":"spe.keys/1","origin":"o","release":["AAAA"],"log":["AAAA"]}',
     b'{"schema":"spe.keys/2","origin":"o","release":["AAAA"],"log":["AAAA"]}'],
)  # fmt: skip
def test_a_file_of_keys_of_another_form_is_refused(data):
    with pytest.raises(Invalid):
        TrustedKeys.read(data)
