import pytest

from spe.adapters.secrets import ed25519
from spe.domain.canonical import read64, text64
from spe.domain.checkpoint import Checkpoint, NoteKey, open_checkpoint, open_note, sign_note
from spe.domain.errors import Corrupt, Invalid
from tests.support.evidence import ORIGIN, Log, a_log


def opened(note, log, origin=ORIGIN):
    return open_checkpoint(note, origin=origin, publics=[log.public], verify=ed25519.verify)[0]


def test_a_note_by_another_implementation_is_read():
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    published = read64("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", 33)
    key = NoteKey(name="PeterNeumann", public=published[1:])
    assert key.key_id.hex() == "c74f20a3"
    line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    assert open_note(text + b"\n" + line.encode() + b"\n", [key], ed25519.verify) == (text, key)


def test_a_checkpoint_is_read_back():
    log = a_log(5)
    assert opened(log.note(), log) == log.head
    assert log.note().decode().splitlines()[:2] == [ORIGIN, "5"]


def test_every_single_byte_change_of_a_note_is_refused():
    log = a_log(5)
    note, tried = log.note(), 0
    for place in range(len(note)):
        for byte in range(256):
            if byte != note[place]:
                with pytest.raises((Invalid, Corrupt)):
                    opened(note[:place] + bytes([byte]) + note[place + 1 :], log)
                tried += 1
    print(f"{tried} changed notes refused")


def test_a_second_signature_line_or_text_around_is_refused():
    log = a_log(5)
    note = log.note()
    line = note[note.index("—".encode()) :]
    for changed in (note + line, note + b"\n", b"\n" + note, note[:-1], b"more\n" + note, line, b""):
        with pytest.raises((Invalid, Corrupt)):
            opened(changed, log)


def test_a_checkpoint_of_another_key_is_refused():
    with pytest.raises(Corrupt, match="not signed by the log's key"):
        opened(a_log(5).note(), Log())


def test_a_checkpoint_of_another_log_is_refused():
    log = a_log(5)
    with pytest.raises(Corrupt):
        opened(log.note(), log, origin="other.example/audit")
    other = Checkpoint(origin="other.example/audit", size=5, root=bytes(32))
    note = sign_note(other.text(), NoteKey(name=ORIGIN, public=log.public), ed25519.signer(log.private))
    with pytest.raises(Invalid, match="another log"):
        opened(note, log)


@pytest.mark.parametrize(
    "text",
    ["@\n05\n#\n", "@\n-1\n#\n", "@\n5\n#\nmore\n", "@\n5\n#", "@\n5\n#\n\n", "\n5\n#\n", "a b\n5\n#\n", "@\n٥\n#\n",
     "@\n5\nAAAA\n", "@\n99999999999999999\n#\n", "@\n5 \n#\n", "@\n+5\n#\n"],
)  # fmt: skip
def test_another_spelling_of_a_checkpoint_is_refused_though_it_is_signed(text):
    log = Log()
    changed = text.replace("@", ORIGIN).replace("#", text64(bytes(32))).encode()
    note = sign_note(changed, NoteKey(name=ORIGIN, public=log.public), ed25519.signer(log.private))
    with pytest.raises(Invalid):
        opened(note, log)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "é"])
def test_a_key_name_has_no_space_and_no_plus(name):
    with pytest.raises(Invalid):
        NoteKey(name=name, public=bytes(32))


def test_of_several_trusted_keys_the_one_that_signed_is_named():
    old, new = Log(), a_log(3)
    keys = [new.public, old.public]
    assert open_checkpoint(new.note(), origin=ORIGIN, publics=keys, verify=ed25519.verify)[1] == new.public
    assert open_checkpoint(old.note(), origin=ORIGIN, publics=keys, verify=ed25519.verify)[1] == old.public
