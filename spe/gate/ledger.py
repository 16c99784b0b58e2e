"""What a gate must not forget when it is killed: reservations, cuts, passes, and events the portal has not taken yet.

One SQLite file in the state folder, written through before a call returns (WAL, synchronous=FULL). A file
that is damaged is `Corrupt`: a gate without its counters does not start. Room is taken in advance, so that
sessions go on when somebody else fills the disk.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spe.domain.errors import Corrupt, Unavailable
from spe.gate.budget import Spent

MOST_EVENTS = 10_000
DELIVERED_KEPT = 2_000
MOST_PASSES = 20
ROOM_BYTES = 256 * 1024
"""Kept free inside the file, and written once into its log: small writes then need nothing more of the disk."""
_LOG_PAGES = 32
_FULL = "its disk is full; free some space, then open the notebook again"

_SCHEMA = """
create table if not exists reserved (
    person text not null, day integer not null, bytes integer not null check (bytes >= 0),
    primary key (person, day)) without rowid;
create table if not exists spent (
    person text not null, day integer not null, channel text not null, kind text not null,
    bytes integer not null check (bytes >= 0), primary key (person, day, channel, kind)) without rowid;
create table if not exists cuts (person text primary key, stamp text not null, reason text not null) without rowid;
create table if not exists passes (
    person text not null, digest text not null, until real not null, primary key (person, digest)) without rowid;
create table if not exists events (
    number integer primary key autoincrement, id text not null unique, body text not null,
    delivered integer not null default 0);
create table if not exists room (filler blob);
create index if not exists events_waiting on events (number) where delivered = 0;
"""


class Ledger:
    """The state file of one gate."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            self._db.execute(f"pragma wal_autocheckpoint={_LOG_PAGES}")
            if self._db.execute("pragma quick_check").fetchone() != ("ok",):
                raise Corrupt(f"The counters in {path} are damaged.")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"The counters in {path} cannot be read: {error}.") from error
        self._take_room()

    def _take_room(self) -> None:
        """Grow file and log once; on a disk that is full already it stays as it is."""
        (free,) = self._db.execute("pragma freelist_count").fetchone()
        (page,) = self._db.execute("pragma page_size").fetchone()
        with contextlib.suppress(sqlite3.OperationalError):
            if free * page < ROOM_BYTES // 2:
                self._db.execute("insert into room values (zeroblob(?))", (ROOM_BYTES,))
            self._db.execute("delete from room")
            self._db.execute("pragma wal_checkpoint(restart)")

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._db.close()

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise Unavailable("gate's state folder", _FULL if full else str(error)) from error

    def reserved(self, person: str, day: int) -> int:
        """Bytes reserved for a person on a day."""
        row = self._db.execute("select bytes from reserved where person = ? and day = ?", (person, day)).fetchone()
        return int(row[0]) if row else 0

    def spent(self, person: str, day: int) -> Spent:
        """Bytes sent by channel and message type, as last settled."""
        query = "select channel, kind, bytes from spent where person = ? and day = ?"
        return {(channel, kind): size for channel, kind, size in self._db.execute(query, (person, day))}

    def reserve(self, person: str, day: int, amount: int) -> None:
        """Set the bytes reserved; on disk when this returns."""
        with self._together():
            self._reserve(person, day, amount)

    def _reserve(self, person: str, day: int, amount: int) -> None:
        self._db.execute("insert or replace into reserved values (?, ?, ?)", (person, day, amount))

    def settle(self, person: str, day: int, used: int, spent: Spent) -> None:
        """Replace the reservation by what was used, and write what it went on."""
        rows = [(person, day, channel, kind, size) for (channel, kind), size in spent.items()]
        with self._together():
            self._reserve(person, day, used)
            self._db.executemany("insert or replace into spent values (?, ?, ?, ?, ?)", rows)

    def cut(self, person: str) -> tuple[str, str] | None:
        """Stamp of the session file and the reason of a cut that still holds, or None."""
        row = self._db.execute("select stamp, reason from cuts where person = ?", (person,)).fetchone()
        return (row[0], row[1]) if row else None

    def mark_cut(self, person: str, stamp: str, reason: str) -> None:
        """Remember that a session, told by the stamp of its file, was cut."""
        with self._together():
            self._db.execute("insert or replace into cuts values (?, ?, ?)", (person, stamp, reason))

    def lift_cut(self, person: str) -> None:
        """Forget a cut: its session is gone."""
        with self._together():
            self._db.execute("delete from cuts where person = ?", (person,))

    def has_pass(self, person: str, digest: str, now: float) -> bool:
        """Whether the person was given the pass of this digest, and it has not run out."""
        query = "select 1 from passes where person = ? and digest = ? and until > ?"
        return self._db.execute(query, (person, digest, now)).fetchone() is not None

    def keep_pass(self, person: str, digest: str, until: float) -> None:
        """Remember a pass by its digest; only the newest of a person's are kept."""
        with self._together():
            self._db.execute("insert or replace into passes values (?, ?, ?)", (person, digest, until))
            self._db.execute(
                "delete from passes where person = ?1 and digest not in "
                "(select digest from passes where person = ?1 order by until desc limit ?2)",
                (person, MOST_PASSES),
            )

    def people(self) -> frozenset[str]:
        """Everybody of whom a cut or a pass is remembered."""
        query = "select person from cuts union select person from passes"
        return frozenset(str(row[0]) for row in self._db.execute(query))

    def forget(self, people: Iterable[str], *, passes: bool) -> None:
        """Forget cuts of these people, whose sessions are gone, and their passes unless they may come back."""
        with self._together():
            for person in people:
                self._db.execute("delete from cuts where person = ?", (person,))
                if passes:
                    self._db.execute("delete from passes where person = ?", (person,))

    def queue(self, identity: str, body: dict[str, Any]) -> bool:
        """Keep an event until the portal took it. False when one of this identity was kept before."""
        with self._together():
            (waiting,) = self._db.execute("select count(*) from events where delivered = 0").fetchone()
            if waiting >= MOST_EVENTS:
                return False
            done = self._db.execute(
                "insert or ignore into events (id, body) values (?, ?)",
                (identity, json.dumps(body, sort_keys=True)),
            )
        return done.rowcount == 1

    def waiting(self, most: int) -> list[tuple[int, dict[str, Any]]]:
        """The oldest events not delivered yet, with their numbers."""
        query = "select number, body from events where delivered = 0 order by number limit ?"
        return [(number, json.loads(body)) for number, body in self._db.execute(query, (most,))]

    def delivered(self, number: int) -> None:
        """The portal took it; its identity is kept for a while so that it is not said twice."""
        with self._together():
            self._db.execute("update events set delivered = 1 where number = ?", (number,))
            self._db.execute("delete from events where delivered = 1 and number <= ?", (number - DELIVERED_KEPT,))
