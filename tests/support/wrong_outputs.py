"""Folders of outputs that cannot be submitted, made, checked and submitted from a cell of a notebook.

This source is sent to the kernel as it stands: standard library and `spe.notebook` only.
"""

import os
import pathlib
import subprocess
import sys

RIGHT = "purpose: A table of a test\n"
TABLE = "arm,n\nA,120\nB,130\n"


def sparse(folder, size):
    with open(folder / "large.csv", "wb") as file:
        file.truncate(size)


def link(folder):
    (folder / "link.csv").symlink_to("/etc/passwd")


def link_to_folder(folder):
    (folder / "inner").symlink_to("/data")


def many(folder):
    for number in range(51):
        (folder / f"{number}.csv").write_text(TABLE)


def named(name):
    def make(folder):
        (folder / name).write_text(TABLE)

    return make


def declared(text):
    def make(folder):
        (folder / "egress.yaml").write_text(text)

    return make


def inner(depth):
    def make(folder):
        deep = folder.joinpath(*["d"] * depth)
        deep.mkdir(parents=True)
        (deep / "t.csv").write_text(TABLE)

    return make


def emptied(folder):
    for file in folder.iterdir():
        if file.name != "egress.yaml":
            file.unlink()


def locked(folder):
    (folder / "locked.csv").touch(0)


FOLDERS = {
    "2 GiB": lambda folder: sparse(folder, 2 * 1024**3),
    "link": link,
    "link to a folder": link_to_folder,
    "pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "too many": many,
    "bell": named("a\a.csv"),
    "newline": named("a\nb.csv"),
    "turned": named("a\u202egnp.exe"),
    "not text": named(b"\xff\xfe.csv".decode("utf-8", "surrogateescape")),
    "backslash": named("a\\b.csv"),
    "too deep": inner(13),
    "empty": emptied,
    "locked": locked,
    "no purpose": declared("outputs: []\n"),
    "not YAML": declared("purpose: [one\n"),
    "nested": declared("purpose: " + "[" * 20_000),
    "a list": declared("- purpose\n"),
    "unknown key": declared(RIGHT + "file: t.csv\n"),
    "unknown key of an output": declared(RIGHT + "outputs:\n- path: t.csv\n  name: x\n"),
    "unknown kind": declared(RIGHT + "outputs:\n- path: t.csv\n  kind: pie\n"),
    "no such output": declared(RIGHT + "outputs:\n- path: other.csv\n"),
    "no path": declared(RIGHT + "outputs:\n- title: x\n"),
    "population": declared(RIGHT + "outputs:\n- path: t.csv\n  population: many\n"),
    "a purpose of two kinds": declared("purpose: {a: b}\n"),
    "a purpose with a bell": declared('purpose: "a\\ab"\n'),
    "a date": declared("purpose: 2031-01-01\n"),
    "no number": declared(RIGHT + "outputs:\n- path: t.csv\n  population: .nan\n"),
    "nowhere": None,
}


def run(*words):
    done = subprocess.run([sys.executable, "-m", "spe.cli.main", *words], capture_output=True, text=True, check=False)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def submitted(folder):
    """What `spe.notebook` says."""
    import spe.notebook

    try:
        return {"state": spe.notebook.submit(folder)["state"], "said": []}
    except spe.notebook.Refused as refusal:
        return {"state": "refused", "said": list(refusal.sentences)}
    except BaseException as error:
        return {"state": "fell over", "said": [repr(error)]}


def everything(command_for):
    """For each folder: what `spe.notebook.submit` says; for those named also `spe egress submit` and `spe check`."""
    root = pathlib.Path("/workspace/outputs/wrong")
    found = {}
    for name, make in FOLDERS.items():
        folder = root / name.replace(" ", "-")
        if make is not None:
            folder.mkdir(parents=True)
            (folder / "egress.yaml").write_text(RIGHT)
            (folder / "t.csv").write_text(TABLE)
            make(folder)
        found[name] = {"notebook": submitted(folder)}
        if name in command_for:
            found[name]["submit"] = run("egress", "submit", str(folder))
            found[name]["check"] = run("check", str(folder))
    subprocess.run(["rm", "-rf", str(root)], check=True)
    return found
