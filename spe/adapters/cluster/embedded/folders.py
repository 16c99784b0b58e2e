"""Folders of people in a workspace: made private, and removed whatever their owner did to them.

What is inside was written by a sandbox, so nothing here follows a link, and a folder closed to its own
owner is opened before it is emptied.
"""

import contextlib
import os
import stat
from pathlib import Path

from spe.adapters.cluster.embedded.layout import Layout, private
from spe.adapters.cluster.embedded.notebook import Places

_LINKS = {"outputs": "/workspace/outputs", "shared": "/workspace/shared", "data": "/data"}


def make_shared(layout: Layout, workspace: str) -> None:
    """The workspace's own folders."""
    private(layout.shared(workspace))


def make_places(layout: Layout, workspace: str, person: str) -> Places:
    """One person's folders, and in their home the way to what is not below it."""
    places = places_of(layout, workspace, person)
    for folder in (places.home, places.outputs, places.notebook, places.door):
        private(folder)
    for name, target in _LINKS.items():
        with contextlib.suppress(FileExistsError):
            os.symlink(target, places.home / name)
    return places


def places_of(layout: Layout, workspace: str, person: str) -> Places:
    """Where one person's folders are."""
    return Places(
        home=layout.person_home(workspace, person),
        outputs=layout.outputs(workspace, person),
        shared=layout.shared(workspace),
        notebook=layout.notebook(workspace, person),
        door=layout.door(workspace, person),
    )


def remove(folder: Path) -> None:
    """Remove a folder and everything below it; fine when it is not there. Raises `OSError`."""
    try:
        parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _remove_entry(folder.name, parent)
    finally:
        os.close(parent)


def _remove_entry(name: str, parent: int) -> None:
    """Remove one file or a whole tree.

    Deep trees are flattened: a folder found inside another moves up to the top before it is emptied, so
    the depth never meets a limit of paths, descriptors or recursion.
    """
    try:
        facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(facts.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    top = _opened(name, parent)
    try:
        counter = 0
        while entries := os.listdir(top):
            for entry in entries:
                counter = _flatten(entry, top, counter)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _flatten(entry: str, top: int, counter: int) -> int:
    """Remove one entry of `top`; its sub-folders move up to `top` and wait there. The next free number."""
    if not stat.S_ISDIR(os.stat(entry, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(entry, dir_fd=top)
        return counter
    inner = _opened(entry, top)
    try:
        for child in os.listdir(inner):
            if stat.S_ISDIR(os.stat(child, dir_fd=inner, follow_symlinks=False).st_mode):
                os.chmod(child, 0o700, dir_fd=inner)
                os.rename(child, f".removing-{os.getpid()}-{counter}", src_dir_fd=inner, dst_dir_fd=top)
                counter += 1
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(entry, dir_fd=top)
    return counter


def _opened(name: str, parent: int) -> int:
    """A folder opened for emptying; its permissions are ours to set, because the files are ours."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
    finally:
        os.close(place)
    return os.open(name, flags, dir_fd=parent)
