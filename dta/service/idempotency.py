"""Idempotency-Key: a retry finds what the first call made, also after the agent was killed (docs/spec/rest.md).

One SQLite file, each change durable before its call returns. What is kept of a key and of a body is an HMAC under a key
of the identity's keystore: a body may be a six-digit secret, whose bare digest is as good as the secret. No answer
with a secret is kept: a subject (an order's, a request's id) is, from which the answer is read again.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from abci_app.hashing import tagged
from dta.base.errors import UsageError
from dta.base.home import make_directory
from dta.base.secret import SecretBytes
from dta.service.errors import KeyAtWork, KeyOfAnotherBody

SCHEMA_VERSION: Final = 2
ANSWERS_FOR_S: Final = 86_400
"""So long the very answer is given again; after it the subject is shown as it is then."""

FORGOTTEN_AFTER_S: Final = 400 * 86_400
"""So long a key is kept that nothing was made under, or whose answer says for good what was done. One that names what
it made is kept as that is: for good."""

MAX_KEY_CHARS: Final = 255
_PRUNE_EVERY: Final = 256
_SCHEMA: Final = """
CREATE TABLE calls (
    scope BLOB PRIMARY KEY, body BLOB NOT NULL, subject BLOB, status INTEGER, answer TEXT, at_s INTEGER NOT NULL,
    lasts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE sent (scope BLOB NOT NULL, tx BLOB NOT NULL, trust TEXT NOT NULL DEFAULT '');
CREATE INDEX sent_of ON sent (scope);
CREATE TRIGGER sent_goes AFTER DELETE ON calls BEGIN DELETE FROM sent WHERE scope = old.scope; END;
"""
_FROM_1: Final = "ALTER TABLE sent ADD COLUMN trust TEXT NOT NULL DEFAULT '';"
"""Files of version 1 have no trust beside what was sent."""

_GIVEN: Final = "status IS NOT NULL AND NOT lasts"
_FORGOTTEN: Final = "subject IS NULL OR lasts"
_INDEXES: Final = f"""
CREATE INDEX IF NOT EXISTS calls_given ON calls (at_s) WHERE {_GIVEN};
CREATE INDEX IF NOT EXISTS calls_forgotten ON calls (at_s) WHERE {_FORGOTTEN};
DROP INDEX IF EXISTS calls_at;
"""
"""Pruning looks at what it changes alone: a key that names something is kept for good, and there are ever more of them.
Files that have the index of all keys instead are of the same version: both programs read them."""


TERMS_HEADER: Final = "DTA-Order"
"""The one header that says what a call does. Of the others, who calls and as whom stands in the key's scope; how long
the caller waits, and in what form it wants the answer, change nothing of what is done."""


@dataclass(frozen=True, slots=True)
class Said:
    """All of a call that says what is to be done. ``query``: after the question mark, as it came; ``terms``: of
    :data:`TERMS_HEADER`."""

    query: bytes
    terms: bytes
    body: bytes

    def mac(self, key: SecretBytes) -> bytes:
        """What is kept of it: 32 bytes (docs/spec/rest.md, At rest). ``key``: :meth:`Workplace.mac_key`."""
        covered = tagged("DTA-v1-serve-call", self.query, self.terms, self.body)
        return hmac.digest(key.reveal(), covered, "sha256")


def key_mac(key: SecretBytes, credential: str, call: str, idempotency_key: str) -> bytes:
    """What an Idempotency-Key is kept under: of the identity (its is ``key``), the credential, method and path."""
    parts = (part.encode("utf-8") for part in (credential, call, idempotency_key))
    return hmac.digest(key.reveal(), tagged("DTA-v1-serve-key", *parts), "sha256")


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier call with the same key left. ``subject``: what it made; ``status`` 0: its answer is not kept."""

    subject: bytes = b""
    status: int = 0
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A signed transaction, and the trust file (JSON) of what was verified as it was signed; "" where none was kept."""

    tx: bytes
    trust: str = ""


class Call:
    """One call that carries a key, while it is at work."""

    def __init__(self, store: IdempotencyStore, scope: bytes, before: Before) -> None:
        self._store = store
        self._scope = scope
        self.before = before

    @property
    def sent(self) -> list[Sent]:
        """The signed transactions that calls with this key have kept, and that may do something yet, or did."""
        return self._store.sent(self._scope)

    def keep(self, sent: Sent) -> None:
        """A signed transaction, durably: to be called before its first byte is sent."""
        self._store.keep(self._scope, sent)

    def forget(self, tx: bytes) -> None:
        """A transaction that did nothing, for good."""
        self._store.forget(self._scope, tx)

    def bind(self, subject: bytes) -> None:
        """What this call made, durably: to be called before anybody else learns of it."""
        self._store.bind(self._scope, subject)

    def answered(self, status: int, answer: Any, now_s: int, *, lasts: bool = False) -> None:
        """The answer, to be given again for a day, or for as long as the key is known. Never one with a secret."""
        self._store.answered(self._scope, status, answer, now_s, lasts=lasts)


class IdempotencyStore:
    """The file at ``path``, made where it is not there. Several threads may call; one process at a time."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where it can't be opened or is none of ours."""
        self._lock = threading.Lock()
        self._at_work: set[bytes] = set()
        self._inserts = 0
        make_directory(path.parent)
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
            elif version == 1:
                self._db.executescript(f"BEGIN;{_FROM_1}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
            elif version != SCHEMA_VERSION:
                raise UsageError(f"{path} has version {version}, this program knows {SCHEMA_VERSION}")
            self._db.executescript(f"BEGIN;{_INDEXES}COMMIT;")
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"can't open {path}: {error}", hint="is the directory there, and yours?") from None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def call(self, scope: bytes, body: bytes, now_s: int) -> Iterator[Call]:
        """A call with a key, alone with it until the end. ``scope`` and ``body`` are MACs.

        Raises KeyAtWork where another call with it has not ended, KeyOfAnotherBody.
        """
        with self._lock:
            if scope in self._at_work:
                raise KeyAtWork
            before = self._begin(scope, body, now_s)
            self._at_work.add(scope)
        try:
            yield Call(self, scope, before)
        finally:
            with self._lock:
                self._at_work.discard(scope)

    def _begin(self, scope: bytes, body: bytes, now_s: int) -> Before:
        row = self._db.execute(
            "SELECT body, subject, status, answer, at_s, lasts FROM calls WHERE scope = ?", (scope,)
        ).fetchone()
        if row is None:
            self._inserts += 1
            if self._inserts % _PRUNE_EVERY == 1:
                self._prune(now_s)
            self._db.execute("INSERT INTO calls (scope, body, at_s) VALUES (?, ?, ?)", (scope, body, now_s))
            return Before()
        kept_body, subject, status, answer, at_s, lasts = row
        if not hmac.compare_digest(kept_body, body):
            raise KeyOfAnotherBody
        if status is None or (at_s + ANSWERS_FOR_S < now_s and not lasts):
            # It is at work again: young once more, so that nobody's pruning takes it away meanwhile.
            self._db.execute(
                "UPDATE calls SET status = NULL, answer = NULL, at_s = ? WHERE scope = ?", (now_s, scope)
            )
            return Before(subject or b"")
        return Before(subject or b"", status, json.loads(answer))

    def _prune(self, now_s: int) -> None:
        at_work = list(self._at_work)
        others = f"scope NOT IN ({','.join('?' * len(at_work))})"
        self._db.execute(
            f"DELETE FROM calls WHERE ({_FORGOTTEN}) AND at_s < ? AND {others}",  # noqa: S608
            (now_s - FORGOTTEN_AFTER_S, *at_work),
        )
        # An answer is not given any more: nothing is kept of it.
        self._db.execute(
            f"UPDATE calls SET status = NULL, answer = NULL WHERE {_GIVEN} AND at_s < ?",  # noqa: S608
            (now_s - ANSWERS_FOR_S,),
        )

    def bind(self, scope: bytes, subject: bytes) -> None:
        """See :meth:`Call.bind`."""
        with self._lock:
            self._db.execute("UPDATE calls SET subject = ? WHERE scope = ?", (subject, scope))

    def sent(self, scope: bytes) -> list[Sent]:
        """See :meth:`Call.sent`."""
        with self._lock:
            found = self._db.execute(
                "SELECT tx, trust FROM sent WHERE scope = ? ORDER BY rowid", (scope,)
            ).fetchall()
        return [Sent(tx, trust) for tx, trust in found]

    def keep(self, scope: bytes, sent: Sent) -> None:
        """See :meth:`Call.keep`."""
        with self._lock:
            self._db.execute("INSERT INTO sent (scope, tx, trust) VALUES (?, ?, ?)", (scope, sent.tx, sent.trust))

    def forget(self, scope: bytes, tx: bytes) -> None:
        """See :meth:`Call.forget`."""
        with self._lock:
            self._db.execute("DELETE FROM sent WHERE scope = ? AND tx = ?", (scope, tx))

    def answered(self, scope: bytes, status: int, answer: Any, now_s: int, *, lasts: bool) -> None:
        """See :meth:`Call.answered`."""
        with self._lock:
            self._db.execute(
                "UPDATE calls SET status = ?, answer = ?, at_s = ?, lasts = ? WHERE scope = ?",
                (status, json.dumps(answer), now_s, lasts, scope),
            )
            if lasts:  # this is what the key answers from now on: nothing is sent by it again
                self._db.execute("DELETE FROM sent WHERE scope = ?", (scope,))
