"""The door's own small index of events: which blocks' events name an id (docs/spec/door.md, Search).

Hints, for who then asks for the proof: nothing is right here because it is here. It is made again from CometBFT's block
results where it is lost, and holds the newest events only. What a block costs here is paid at every node for every
order: so the events of a block that name one id, in one role and of one kind, are one row.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from abci_app.block import Event

T = TypeVar("T")

MOST_EVENTS: Final = 2_000_000
"""About 1.3 GB. Those of the oldest blocks go where there are more."""
PAGE_EVENTS: Final = 100
_ID_CHARS = 64
_ID = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)
_FORMAT = 3
"""Of the file: one of another is read again from the blocks."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    height INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (height, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (
    role TEXT NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, height INTEGER NOT NULL, numbers BLOB NOT NULL,
    PRIMARY KEY (role, id, kind, height)
) WITHOUT ROWID;
"""
_ALL = "SELECT height, number, kind, attributes FROM events WHERE (height, number) > (?, ?) ORDER BY height, number"
_ONE = "SELECT height, number, kind, attributes FROM events WHERE height = ? AND number = ?"
_LISTS = "SELECT height, numbers FROM names WHERE role = ? AND id = ? AND kind = ? AND height >= ? ORDER BY height"
_NEXT_KIND = "SELECT kind FROM names WHERE role = ? AND id = ? AND kind > ? ORDER BY kind LIMIT 1"
_Named = tuple[str, bytes, str]
"""Role, id and kind of events. Role and id empty: all of the kind."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """An event's place: the block, and which of the block's events it is, from 0. As text ``height.index``."""

    height: int
    number: int

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises ValueError for what is none."""
        found = re.fullmatch(r"(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,8})", text, re.ASCII)
        if found is None:
            raise ValueError("a place is height.index")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.height}.{self.number}"


@dataclass(frozen=True, slots=True)
class Found:
    """An event as it stands in its block."""

    at: Cursor
    kind: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of this kind, and with this id as the attribute ``role``. Empty: whatever."""

    kind: str = ""
    role: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a place, in order. ``is_cut``: there are more. Whole from ``from_height`` up to ``height``."""

    events: tuple[Found, ...]
    is_cut: bool
    from_height: int
    height: int


class Index:
    """Events by what they name, in one SQLite file. Calls block: not on an event loop. Safe from several threads.

    A file that turns out to be damaged, when it is opened or at any later call, is made anew and begins with block 1;
    whatever else SQLite has against it (it is locked, the disk is full) is raised, and takes nothing away.
    """

    def __init__(self, path: Path, chain_id: str, most_events: int = MOST_EVENTS) -> None:
        self._path = path
        self._chain_id = chain_id
        self._most_events = most_events
        self._lock = Lock()
        self._damage: sqlite3.DatabaseError | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._begin_anew(error)

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            self._read_facts(self._database)
        except BaseException:
            self._database.close()
            raise

    def _read_facts(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again
        if database.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            for table in ("events", "names", "facts"):
                database.execute(f"DROP TABLE IF EXISTS {table}")
            database.execute(f"PRAGMA user_version = {_FORMAT}")
        database.executescript(_SCHEMA)
        known = database.execute("SELECT value FROM facts WHERE name = 'chain_id'").fetchone()
        if known is None or known[0] != self._chain_id:
            for table in ("events", "names", "facts"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - the three names above
            facts = [("chain_id", self._chain_id), ("from_height", "1"), ("height", "0")]
            database.executemany("INSERT INTO facts VALUES (?, ?)", facts)
        self._from_height, self._height = int(self._fact("from_height")), int(self._fact("height"))
        self._count = int(database.execute("SELECT COUNT(*) FROM events").fetchone()[0])

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """The file was no database of ours, or is damaged: its blocks are read again."""
        _log.error("the index %s is damaged (%s) and is made anew", self._path, error)
        self._damage = error  # while it is not made: the disk may be full
        self._database.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._open()
        self._damage = None

    def _lasting(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, alone with the file; from a new file where this one turns out to be damaged."""
        with self._lock:
            if self._damage is not None:
                self._begin_anew(self._damage)
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._begin_anew(error)
                return work()

    @property
    def from_height(self) -> int:
        """The first block whose events are all here."""
        return self._from_height

    @property
    def height(self) -> int:
        """The last one; below ``from_height`` where there is none."""
        return self._height

    def begin_at(self, height: int) -> None:
        """Forget all: the blocks before ``height`` are nowhere to be had."""

        def forget() -> None:
            with self._database:
                self._database.execute("BEGIN")
                self._database.execute("DELETE FROM events")
                self._database.execute("DELETE FROM names")
                self._set(from_height=height, height=height - 1)
            self._from_height, self._height, self._count = height, height - 1, 0

        self._lasting(forget)

    def add(self, height: int, events: Sequence[Event]) -> None:
        """The events of the block after the last one, in their order. Raises ValueError for another block."""
        self._lasting(partial(self._add, height, events))

    def _add(self, height: int, events: Sequence[Event]) -> None:
        if height != self._height + 1:
            raise ValueError(f"the next block is {self._height + 1}, not {height}")
        named = _named((number, event.kind, event.attributes) for number, event in enumerate(events))
        rows = [(height, number, event.kind, json.dumps(event.attributes)) for number, event in enumerate(events)]
        lists = [(*name, height, struct.pack(f"<{len(at)}I", *at)) for name, at in sorted(named.items())]
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
            self._database.executemany("INSERT INTO names VALUES (?, ?, ?, ?, ?)", lists)
            from_height, count = self._drop_oldest(height, self._count + len(rows))
            self._set(from_height=from_height, height=height)
        self._from_height, self._height, self._count = from_height, height, count

    def search(self, wanted: Wanted, after: Cursor, limit: int) -> Page:
        """At most ``limit`` events that are wanted, after that place."""

        def found() -> Page:
            rows = list(islice(self._wanted(wanted, after), limit + 1))
            events = tuple(
                Found(Cursor(height, number), kind, tuple((name, value) for name, value in json.loads(attributes)))
                for height, number, kind, attributes in rows[:limit]
            )
            return Page(events, len(rows) > limit, self._from_height, self._height)

        return self._lasting(found)

    def _wanted(self, wanted: Wanted, after: Cursor) -> Iterator[tuple[int, int, str, str]]:
        """Rows of the events that are wanted after that place, in order: no more is read than is taken.

        What a stranger asks for costs by what is found, and not by how much there is of something else.
        """
        if not wanted.id and not wanted.kind:
            yield from self._database.execute(_ALL, [after.height, after.number])
            return
        name = (wanted.role or "id", bytes.fromhex(wanted.id)) if wanted.id else ("", b"")
        kinds = [wanted.kind] if wanted.kind else self._kinds(*name)
        for height, number in merge(*(self._places((*name, kind), after) for kind in kinds)):
            yield from self._database.execute(_ONE, [height, number])

    def _kinds(self, role: str, id_: bytes) -> list[str]:
        """The kinds of the events that name an id in a role: one step each, however many events they are."""
        kinds: list[str] = []
        while row := self._database.execute(_NEXT_KIND, [role, id_, kinds[-1] if kinds else ""]).fetchone():
            kinds.append(row[0])
        return kinds

    def _places(self, name: _Named, after: Cursor) -> Iterator[tuple[int, int]]:
        """Height and number of the events with that name after a place, in order."""
        for height, packed in self._database.execute(_LISTS, [*name, after.height]):
            numbers = struct.unpack(f"<{len(packed) // 4}I", packed)
            first = bisect_right(numbers, after.number) if height == after.height else 0
            for number in islice(numbers, first, None):
                yield height, number

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _drop_oldest(self, height: int, count: int) -> tuple[int, int]:
        """Let whole blocks go while there are too many events, but never the newest; the first that is left, and how
        many events are."""
        from_height = self._from_height
        while count > self._most_events and from_height < height:
            gone = self._database.execute("SELECT number, kind, attributes FROM events WHERE height = ?", [from_height])
            named = _named((number, kind, json.loads(attributes)) for number, kind, attributes in gone)
            self._database.executemany(
                "DELETE FROM names WHERE role = ? AND id = ? AND kind = ? AND height = ?",
                [(*name, from_height) for name in sorted(named)],
            )
            count -= self._database.execute("DELETE FROM events WHERE height = ?", [from_height]).rowcount
            from_height += 1
        return from_height, count

    def _fact(self, name: str) -> str:
        return str(self._database.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()[0])

    def _set(self, *, from_height: int, height: int) -> None:
        values = [(str(from_height), "from_height"), (str(height), "height")]
        self._database.executemany("UPDATE facts SET value = ? WHERE name = ?", values)


def _named(events: Iterable[tuple[int, str, Iterable[tuple[str, str]]]]) -> dict[_Named, list[int]]:
    """The numbers of a block's events by what they name, ids of 32 bytes, and by their kind; in ascending order."""
    named: dict[_Named, list[int]] = {}
    for number, kind, attributes in events:
        named.setdefault(("", b"", kind), []).append(number)
        for role, value in attributes:
            if len(value) == _ID_CHARS and _ID.fullmatch(value):
                numbers = named.setdefault((role, bytes.fromhex(value), kind), [])
                if not numbers or numbers[-1] != number:
                    numbers.append(number)
    return named


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether it says that the file is no database, or is malformed. The last byte is the code, the others details."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # those of the module's own have none
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
