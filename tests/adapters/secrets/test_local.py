"""What only the sealed file has: two files that belong together, their modes, kills, planted values."""

import io
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import textwrap
import traceback
from datetime import UTC, datetime, timedelta

import pytest

from spe.adapters.secrets.local import LocalSecrets
from spe.domain.errors import Corrupt, Invalid, NotFound, SpeError, Unavailable
from spe.ports.secrets import KeyName, SecretValue

PLANTED = "pl4nted-Value-7731"


@pytest.fixture
def home(tmp_path):
    return tmp_path


def sealed(home):
    return home / "home" / "secrets.sealed"


def key(home):
    return home / "key" / "sealing.key"


def opened(home, **options):
    return LocalSecrets(sealed(home), key(home), **options)


def planted(home):
    store = opened(home)
    store.put("token", SecretValue(PLANTED))
    return store


def test_both_files_are_private_whatever_the_umask(home):
    before = os.umask(0)
    try:
        planted(home)
    finally:
        os.umask(before)
    for path in (sealed(home), key(home)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {path.name for path in home.rglob("*") if path.is_file()} == {
        "secrets.sealed",
        "secrets.sealed.lock",
        "sealing.key",
    }


def test_no_value_no_name_and_no_private_key_stands_in_the_sealed_file(home):
    store = planted(home)
    store.lease("ws-1", "pm-1", "token", ttl=timedelta(hours=1), holder="p-1")
    data = sealed(home).read_bytes()
    for word in (PLANTED, "token", "ws-1", "release", "leases"):
        assert word.encode() not in data
    assert set(json.loads(data)) == {"schema", "key", "nonce", "data"}


def test_every_write_has_another_nonce(home):
    store = planted(home)
    nonces = set()
    for _ in range(20):
        store.put("token", SecretValue(PLANTED))
        nonces.add(json.loads(sealed(home).read_bytes())["nonce"])
    assert len(nonces) == 20


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666])
def test_a_key_that_others_can_read_stops_the_start_and_says_how_to_mend_it(home, mode):
    planted(home)
    key(home).chmod(mode)
    with pytest.raises(Invalid, match=r"Others can read .* Run `chmod 600 "):
        opened(home)
    key(home).chmod(0o600)
    assert opened(home).names() == ("token",)


def test_a_missing_key_stops_the_start_and_nothing_is_made_anew(home):
    planted(home)
    before = sealed(home).read_bytes()
    kept = key(home).read_bytes()
    key(home).unlink()
    with pytest.raises(Corrupt, match="Put the key back from its backup"):
        opened(home)
    assert sealed(home).read_bytes() == before
    assert not key(home).exists()
    key(home).write_bytes(kept)
    key(home).chmod(0o600)
    assert opened(home).names() == ("token",)


def test_a_missing_sealed_file_stops_the_start_and_no_new_signing_keys_appear(home):
    planted(home)
    sealed(home).unlink()
    with pytest.raises(Corrupt, match="Restore it from a backup"):
        opened(home)
    assert not sealed(home).exists()


def test_a_key_behind_a_link_is_refused(home):
    planted(home)
    key(home).rename(home / "elsewhere")
    key(home).symlink_to(home / "elsewhere")
    with pytest.raises(Unavailable):
        opened(home)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "spe.sealing-key/2 AAAA", "spe.sealing-key/1 AAAA", "spe.sealing-key/1 " + "A" * 300]
)
def test_a_key_file_of_another_form_is_corrupt(home, text):
    planted(home)
    key(home).write_text(text)
    with pytest.raises(Corrupt, match="not a sealing key of this version"):
        opened(home)


def test_another_stores_key_opens_nothing(home, tmp_path):
    planted(home)
    planted(tmp_path / "other")
    key(home).write_bytes(key(tmp_path / "other").read_bytes())
    with pytest.raises(Corrupt, match="belongs to another key"):
        opened(home)


def test_every_changed_byte_of_the_sealed_file_is_corrupt(home):
    planted(home)
    data, tried = sealed(home).read_bytes(), 0
    for place in range(len(data)):
        sealed(home).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(Corrupt):
            opened(home)
        tried += 1
    for length in (0, 1, len(data) // 2, len(data) - 1):
        sealed(home).write_bytes(data[:length])
        with pytest.raises(Corrupt):
            opened(home)
    sealed(home).write_bytes(data)
    assert opened(home).names() == ("token",)
    print(f"{tried} changed bytes refused")


def test_a_running_store_notices_a_changed_file(home):
    store = planted(home)
    assert store.names() == ("token",)
    sealed(home).write_bytes(b"{}")
    for call in (
        store.names,
        lambda: store.sign(KeyName.LOG, b""),
        lambda: store.confirm_revoked("ws-1"),
        lambda: store.revoke_all("ws-1"),
    ):
        with pytest.raises(Corrupt):
            call()


def test_a_running_store_whose_file_is_gone_grants_nothing(home):
    store = planted(home)
    sealed(home).unlink()
    with pytest.raises(Unavailable):
        store.lease("ws-1", "pm-1", "token", ttl=timedelta(hours=1), holder="p-1")


def test_contents_of_another_version_are_not_guessed_at(home):
    store = planted(home)
    store._file.write(SecretValue('{"keys":{},"leases":{},"schema":"spe.secrets/2","secrets":{}}'))
    with pytest.raises(Corrupt, match="open it with the version that wrote it"):
        opened(home)


def test_a_birth_cut_short_before_the_sealed_file_begins_again(home):
    key(home).parent.mkdir(parents=True, mode=0o700)
    pending = key(home).with_name("sealing.key.new")
    pending.write_text("half a k")
    pending.chmod(0o600)
    assert opened(home).names() == ()
    assert not pending.exists()


def test_a_birth_cut_short_after_the_sealed_file_is_completed(home):
    planted(home)
    key(home).rename(key(home).with_name("sealing.key.new"))
    assert opened(home).names() == ("token",)
    assert key(home).exists()


def test_killed_writers_leave_a_store_that_opens_with_whole_contents(home):
    planted(home)
    program = textwrap.dedent("""
        import pathlib, sys
        from spe.adapters.secrets.local import LocalSecrets
        from spe.ports.secrets import SecretValue
        store = LocalSecrets(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
        print("ready", flush=True)
        number = 0
        while True:
            number += 1
            store.put("left", SecretValue(str(number)))
            store.put("right", SecretValue(str(number)))
            if number % 5 == 0:
                print(number, flush=True)
    """)
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(sealed(home)), str(key(home))], stdout=subprocess.PIPE, text=True
        )
        with child:
            try:
                assert child.stdout.readline() == "ready\n"
                child.stdout.readline()
            finally:
                child.send_signal(signal.SIGKILL)
        store = opened(home)
        pair = [
            int(store.lease("ws-1", "pm-1", n, ttl=timedelta(hours=1), holder="p").value.reveal())
            for n in ("left", "right")
        ]
        assert pair[0] - pair[1] in (0, 1)
        assert not list(home.rglob("*.part"))
        store.revoke_all("ws-1")


def test_leases_are_forgotten_a_week_after_they_ended(home):
    moment = [datetime(2026, 3, 1, tzinfo=UTC)]
    store = opened(home, now=lambda: moment[0])
    store.put("token", SecretValue(PLANTED))
    lease = store.lease("ws-1", "pm-1", "token", ttl=timedelta(hours=1), holder="p-1")
    moment[0] += timedelta(days=6)
    store.put("token", SecretValue(PLANTED))
    store.revoke(lease.id)
    moment[0] += timedelta(days=2)
    store.put("token", SecretValue(PLANTED))
    with pytest.raises(NotFound):
        store.revoke(lease.id)


def test_a_full_disk_changes_nothing_and_is_said(home):
    planted(home)
    program = textwrap.dedent("""
        import pathlib, resource, sys
        from spe.adapters.secrets.local import LocalSecrets
        from spe.domain.errors import Unavailable
        from spe.ports.secrets import SecretValue
        store = LocalSecrets(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            store.put("large", SecretValue("x" * 60000))
        except Unavailable as error:
            print(error)
        print(store.names())
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(sealed(home)), str(key(home))], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert "The secret store does not answer" in done.stdout
    assert "File too large" in done.stdout
    assert "('token',)" in done.stdout
    assert not list(home.rglob("*.part"))


def test_a_planted_value_is_in_no_log_no_error_and_no_traceback_with_locals(home):
    store = planted(home)
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    logging.getLogger().addHandler(handler)
    before = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    value = SecretValue(PLANTED)
    too_long, broken = SecretValue(PLANTED * 10_000), SecretValue(PLANTED + "\ud800")

    def disk_refuses():
        sealed(home).parent.chmod(0o500)
        try:
            store.put("token", value)
        finally:
            sealed(home).parent.chmod(0o700)

    def file_changed():
        sealed(home).write_bytes(b"{}")
        store.put("token", value)

    def another_version():
        fresh = opened(home / "fresh")
        fresh.put("token", value)
        fresh._file.write(SecretValue(f'{{"keys":{{}},"leases":{{}},"schema":"{PLANTED}","secrets":{{}}}}'))
        fresh.names()

    attempts = {
        "bad name": lambda: store.put("BAD", value),
        "too long": lambda: store.put("token", too_long),
        "broken text": lambda: store.put("token", broken),
        "bad ttl": lambda: store.lease("ws-1", "pm-1", "token", ttl=timedelta(0), holder="p-1"),
        "bad holder": lambda: store.lease("ws-1", "pm-1", "token", ttl=timedelta(hours=1), holder=""),
        "disk": disk_refuses if os.geteuid() else file_changed,
        "changed": file_changed,
        "version": another_version,
    }
    try:
        lease = store.lease("ws-1", "pm-1", "token", ttl=timedelta(hours=1), holder="p-1")
        logging.getLogger("spe").info("leased %s %r from %r", lease, lease, vars(store))
        for name, attempt in attempts.items():
            with pytest.raises(SpeError) as caught:
                attempt()
            story = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            text = "".join(story.format()) + repr(caught.value) + str(caught.value)
            assert PLANTED not in text, name
            logging.getLogger("spe").exception("failed", exc_info=caught.value)
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(before)
    assert "leased" in shown.getvalue()
    assert PLANTED not in shown.getvalue()
