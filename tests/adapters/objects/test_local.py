"""What only the folder of files has: modes, left-overs of killed writers, full disks."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from spe.adapters.objects.local import LocalObjects
from spe.domain.errors import NotFound, Unavailable
from spe.ports.objects import Zone

DATA = b"x" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_files_are_read_only_and_folders_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        root = tmp_path / "objects"
        root.mkdir(mode=0o777)
        LocalObjects(root).put(Zone.AIRLOCK, [DATA])
    finally:
        os.umask(before)
    for path in [root, *root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o400 if path.is_file() else 0o700), path


def test_what_a_killed_writer_left_is_swept_at_the_next_start(tmp_path):
    program = textwrap.dedent("""
        import pathlib, sys, time
        from spe.adapters.objects.local import LocalObjects
        from spe.ports.objects import Zone
        def chunks():
            yield b"half of a file"
            print("writing", flush=True)
            time.sleep(600)
        LocalObjects(pathlib.Path(sys.argv[1])).put(Zone.AIRLOCK, chunks())
    """)
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with child:
        try:
            assert child.stdout.readline() == "writing\n"
            (unfinished,) = files_below(tmp_path)
            LocalObjects(tmp_path)
            assert files_below(tmp_path) == [unfinished], "a living writer's file is left alone"
        finally:
            child.send_signal(signal.SIGKILL)
    assert files_below(tmp_path) == [unfinished]
    store = LocalObjects(tmp_path)
    assert files_below(tmp_path) == []
    assert not list(store.list(Zone.AIRLOCK))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    left = [2500]

    def write(descriptor, data):
        if left[0] < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= len(data)
        return os.write(descriptor, data)

    store = LocalObjects(tmp_path, write=write)
    store.put(Zone.AIRLOCK, [DATA])
    with pytest.raises(Unavailable, match="disk is full, so nothing was stored; free some space"):
        store.put(Zone.AIRLOCK, [DATA, DATA])
    with pytest.raises(Unavailable, match="disk is full"):
        store.copy(DIGEST, Zone.AIRLOCK, Zone.RELEASE)
    assert {path.name for path in files_below(tmp_path)} == {DIGEST}


def test_writes_that_take_only_a_part_are_continued(tmp_path):
    store = LocalObjects(tmp_path, write=lambda descriptor, data: os.write(descriptor, data[:7]))
    assert store.put(Zone.AIRLOCK, [DATA]).digest == DIGEST
    with store.open(Zone.AIRLOCK, DIGEST) as reader:
        assert reader.read() == DATA


FILL = textwrap.dedent("""
    import pathlib, resource, sys
    from spe.adapters.objects.local import LocalObjects
    from spe.domain.errors import Unavailable
    from spe.ports.objects import Zone
    root = pathlib.Path(sys.argv[1])
    store = LocalObjects(root)
    kept = store.put(Zone.AIRLOCK, [b"kept"])
    if sys.argv[2:]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    try:
        store.put(Zone.AIRLOCK, [b"x" * 65536] * 64)
    except Unavailable as error:
        print(error)
    print(sorted(p.name for p in root.rglob("*") if p.is_file()) == [kept.digest])
    with store.open(Zone.AIRLOCK, kept.digest) as reader:
        print(reader.read())
""")
SAID = (
    "The object store does not answer: its disk is full, so nothing was stored; free some space, then try again.\n"
    "True\nb'kept'\n"
)


def test_a_limit_of_the_file_size_acts_like_a_full_disk(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), "1000000"], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (SAID, "")


def test_a_file_system_that_is_really_full_is_said_and_leaves_nothing():
    done = subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all", "--size", "1048576", "--tmpfs", "/mnt",
         sys.executable, "-c", FILL, "/mnt/objects"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (SAID, "")


def test_a_folder_that_cannot_be_written_is_said():
    with pytest.raises(Unavailable, match=r"Read-only file system|Permission denied|No such file"):
        LocalObjects(Path("/proc/objects"))


def test_a_link_in_place_of_an_object_is_not_followed(tmp_path):
    store = LocalObjects(tmp_path / "objects")
    (tmp_path / "secret").write_bytes(DATA)
    place = tmp_path / "objects" / "airlock" / DIGEST[:2]
    place.mkdir(mode=0o700)
    (place / DIGEST).symlink_to(tmp_path / "secret")
    with pytest.raises(Unavailable):
        store.open(Zone.AIRLOCK, DIGEST)


def test_readers_leave_no_open_file(tmp_path):
    store = LocalObjects(tmp_path)
    store.put(Zone.AIRLOCK, [DATA])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with store.open(Zone.AIRLOCK, DIGEST) as reader:
            reader.read(10)
        with pytest.raises(NotFound):
            store.open(Zone.VIEWS, DIGEST)
    assert len(os.listdir("/proc/self/fd")) == before
