"""What an authentication server must not forget in a restart: failures and lockouts, and one-pass logins used.

One SQLite file, mode 0600, each change durable before its call returns. It holds hashes and times, no secret. An
attempt is counted *before* it is checked, so that neither a crash nor many attempts at once give one for free.

A file that is lost takes this with it. A new one knows since when it knows anything, so that no one-pass login from
before is taken again; one that is there but empty is refused, never taken for new.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dta.base.errors import UsageError
from dta.base.home import sync_directory
from dta.mpin.refusals import LoginRefused, Refusal

SCHEMA_VERSION = 2
MAX_USED_LOGINS = 1_000_000
"""So many one-pass logins that are still fresh are remembered; more are refused as BUSY, never forgotten early."""

CLOCK_MARGIN_S = 3_600
"""A used login is remembered this much longer than it is fresh: a clock that is set back makes none fresh again."""

_PRUNE_EVERY = 64
_SCHEMA = """
CREATE TABLE failures (client BLOB PRIMARY KEY, count INTEGER NOT NULL, locked_until INTEGER) WITHOUT ROWID;
CREATE TABLE used (login BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX used_until ON used (until);
CREATE TABLE made (time INTEGER NOT NULL);
"""
_FOR_EVER = 1 << 62
_PUT_BACK = "put back what was there; removing it forgets every failure, lockout and used login"


@dataclass(frozen=True, slots=True)
class Lockout:
    """The realm's rule: see :class:`dta.mpin.realm.RealmFacts`."""

    max_attempts: int
    lockout_s: int


class ServerState:
    """The file at ``path``; it is made when it is not there, as of ``now_s`` (Unix time). Several threads may call.

    ``made_s``: when it was made. What happened before, it does not know. ``is_new``: this process made it.
    """

    def __init__(self, path: Path, now_s: int) -> None:
        """Raises UsageError where it can't be opened, is no state of ours, or was emptied."""
        self._lock = threading.Lock()
        self._inserts = 0
        self._used = 0
        try:
            self.is_new = not path.exists() and _make(path, now_s)
            if path.stat().st_size == 0:  # before SQLite sees it: it would drop the log beside it, and begin anew
                raise _emptied(path)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self.made_s = self._read_head(path)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"can't open the server's state {path}: {error}", hint="is the directory there, and yours?"
            ) from None

    def _read_head(self, path: Path) -> int:
        """When the file was made."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            raise _emptied(path)
        if version != SCHEMA_VERSION:
            raise UsageError(f"{path} has version {version}, this program knows {SCHEMA_VERSION}")
        row = self._db.execute("SELECT max(time) FROM made").fetchone()
        if row[0] is None:
            raise _emptied(path)
        return int(row[0])

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def check(self, client: bytes, now_s: int) -> None:
        """Raises LoginRefused(LOCKED_OUT) when the client is locked out now."""
        with self._lock:
            row = self._db.execute("SELECT locked_until FROM failures WHERE client = ?", (client,)).fetchone()
        _refuse_locked(row[0] if row else None, now_s)

    def attempt(self, client: bytes, rule: Lockout, now_s: int) -> None:
        """Counts an attempt as a failure, until :meth:`succeeded` is told otherwise. Raises as :meth:`check`.

        The attempt that reaches ``max_attempts`` is still made; the lockout starts with it.
        """
        if rule.max_attempts == 0:
            return
        with self._transaction() as db:
            row = db.execute("SELECT count, locked_until FROM failures WHERE client = ?", (client,)).fetchone()
            count, until = row or (0, None)
            _refuse_locked(until, now_s)
            if until is not None:
                count = 0  # a lockout that is over starts a new count
            count += 1
            locked = None
            if count >= rule.max_attempts:
                locked = now_s + rule.lockout_s if rule.lockout_s else _FOR_EVER
            db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (client, count, locked))

    def withdraw(self, client: bytes, rule: Lockout) -> None:
        """Takes back one :meth:`attempt` that failed by no fault of the client's, and the lockout that it began."""
        with self._transaction() as db:
            row = db.execute("SELECT count, locked_until FROM failures WHERE client = ?", (client,)).fetchone()
            if row is None:
                return
            count = max(row[0] - 1, 0)
            locked = row[1] if count >= rule.max_attempts else None
            db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (client, count, locked))

    def succeeded(self, client: bytes) -> None:
        """The client authenticated: nothing is held against it."""
        with self._transaction() as db:
            db.execute("DELETE FROM failures WHERE client = ?", (client,))

    def unlock(self, client: bytes) -> bool:
        """The operator lifts a lockout. False where nothing was held against the client."""
        with self._transaction() as db:
            return db.execute("DELETE FROM failures WHERE client = ?", (client,)).rowcount > 0

    def locked(self, now_s: int) -> list[tuple[bytes, int | None]]:
        """The clients that are locked out now, each with when it ends (Unix time), None for not by itself."""
        with self._lock:
            rows = self._db.execute(
                "SELECT client, locked_until FROM failures WHERE locked_until > ? ORDER BY client", (now_s,)
            ).fetchall()
        return [(bytes(client), None if until == _FOR_EVER else until) for client, until in rows]

    def check_unused(self, login: bytes) -> None:
        """Raises LoginRefused(REPLAYED) when the one-pass login (32 bytes) is remembered."""
        with self._lock:
            if self._db.execute("SELECT 1 FROM used WHERE login = ?", (login,)).fetchone():
                raise LoginRefused(Refusal.REPLAYED)

    def use(self, login: bytes, until_s: int, now_s: int) -> None:
        """Remembers a one-pass login (32 bytes) until it is too old by itself.

        Raises LoginRefused: REPLAYED when it is remembered already, BUSY when there are too many.
        """
        with self._transaction() as db:
            self._inserts += 1
            if self._inserts % _PRUNE_EVERY == 1 or self._used >= MAX_USED_LOGINS:
                db.execute("DELETE FROM used WHERE until < ?", (now_s - CLOCK_MARGIN_S,))
                self._used = db.execute("SELECT count(*) FROM used").fetchone()[0]
            if db.execute("SELECT 1 FROM used WHERE login = ?", (login,)).fetchone():
                raise LoginRefused(Refusal.REPLAYED)
            if self._used >= MAX_USED_LOGINS:
                raise LoginRefused(Refusal.BUSY)
            db.execute("INSERT INTO used VALUES (?, ?)", (login, until_s))
            self._used += 1


def _refuse_locked(until: int | None, now_s: int) -> None:
    if until is not None and now_s < until:
        raise LoginRefused(Refusal.LOCKED_OUT, retry_after_s=None if until == _FOR_EVER else until - now_s)


def _make(path: Path, now_s: int) -> bool:
    """A new file, whole or not there. False where another process was first. Raises UsageError, OSError."""
    left = path.with_name(path.name + "-wal")
    if left.exists():  # SQLite would write it into the new file
        raise UsageError(f"{left} is there without {path.name}", hint=_PUT_BACK)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(temporary, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            db.execute("INSERT INTO made VALUES (?)", (now_s,))
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            db.execute("COMMIT")
        with suppress(FileExistsError):
            os.link(temporary, path)
            sync_directory(path.parent)
            return True
        return False
    finally:
        temporary.unlink(missing_ok=True)


def _emptied(path: Path) -> UsageError:
    return UsageError(
        f"{path} holds nothing of an authentication server's: it was emptied, or is another program's", hint=_PUT_BACK
    )
