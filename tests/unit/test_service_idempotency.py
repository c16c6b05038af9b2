"""Idempotency keys: durable, of one body, alone, and nothing at rest that can be guessed at."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dta.base.secret import SecretBytes
from dta.service.errors import KeyAtWork, KeyOfAnotherBody
from dta.service.idempotency import (
    ANSWERS_FOR_S,
    FORGOTTEN_AFTER_S,
    Before,
    IdempotencyStore,
    Said,
    Sent,
    key_mac,
)

SCOPE, BODY, SUBJECT = b"s" * 32, b"b" * 32, b"o" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "serve" / "calls.sqlite"


def test_a_subject_that_was_bound_is_there_for_whoever_opens_the_file_next(path: Path) -> None:
    killed = IdempotencyStore(path)
    with killed.call(SCOPE, BODY, 1) as call:
        assert call.before == Before()
        call.bind(SUBJECT)
        # Killed here: nothing more of it runs, and another process opens the file.
        with IdempotencyStore(path).call(SCOPE, BODY, 2) as again:
            assert again.before == Before(SUBJECT)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_answer_is_given_again_for_a_day_and_the_subject_after_it(path: Path) -> None:
    store = IdempotencyStore(path)
    with store.call(SCOPE, BODY, 1) as call:
        call.bind(SUBJECT)
        call.answered(200, {"orderReference": "ab"}, 1)
    with store.call(SCOPE, BODY, 1 + ANSWERS_FOR_S) as call:
        assert call.before == Before(SUBJECT, 200, {"orderReference": "ab"})
    with store.call(SCOPE, BODY, 2 + ANSWERS_FOR_S) as call:
        assert call.before == Before(SUBJECT)


def test_another_body_under_the_same_key_is_refused(path: Path) -> None:
    store = IdempotencyStore(path)
    with store.call(SCOPE, BODY, 1):
        pass
    with pytest.raises(KeyOfAnotherBody), store.call(SCOPE, b"c" * 32, 1):
        pass


def test_a_key_at_work_is_at_work_and_free_again_when_it_failed(path: Path) -> None:
    store = IdempotencyStore(path)
    def fails() -> None:
        with store.call(SCOPE, BODY, 1):
            with pytest.raises(KeyAtWork), store.call(SCOPE, BODY, 1):
                pass
            with store.call(b"t" * 32, BODY, 1):  # another key is not held up
                pass
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    with store.call(SCOPE, BODY, 1):
        pass


def test_a_key_that_names_something_is_kept_for_good_and_no_other_nor_an_answer_that_is_given_no_more(
    path: Path,
) -> None:
    store, much_later = IdempotencyStore(path), 2 + FORGOTTEN_AFTER_S
    with store.call(SCOPE, BODY, 1) as call:
        call.bind(SUBJECT)
        call.answered(200, {"orderReference": "what it said"}, 1)
    with store.call(b"u" * 32, BODY, 1):
        pass
    store.close()
    later = IdempotencyStore(path)
    with later.call(b"t" * 32, BODY, much_later):
        pass
    with later.call(SCOPE, BODY, much_later) as call:
        assert call.before == Before(SUBJECT)
    with pytest.raises(KeyOfAnotherBody), later.call(SCOPE, b"c" * 32, much_later):
        pass
    with later.call(b"u" * 32, b"c" * 32, much_later) as call:
        assert call.before == Before()
    later.close()
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT answer FROM calls WHERE answer IS NOT NULL").fetchall() == []


def test_an_answer_that_lasts_is_kept_as_long_as_one_that_named_nothing_and_its_transactions_no_longer(
    path: Path,
) -> None:
    store = IdempotencyStore(path)
    with store.call(SCOPE, BODY, 1) as call:
        call.keep(Sent(b"signed"))
        call.bind(SUBJECT)
        call.answered(200, {"decision": "veto"}, 1, lasts=True)
    assert store.sent(SCOPE) == []
    with store.call(SCOPE, BODY, 1 + FORGOTTEN_AFTER_S) as call:
        assert call.before == Before(SUBJECT, 200, {"decision": "veto"})
    store.close()
    later = IdempotencyStore(path)
    with later.call(b"t" * 32, BODY, 2 + FORGOTTEN_AFTER_S):
        pass
    with later.call(SCOPE, BODY, 2 + FORGOTTEN_AFTER_S) as call:
        assert call.before == Before()


def test_a_key_that_is_at_work_again_is_pruned_by_nobody_meanwhile_nor_soon(path: Path) -> None:
    store = IdempotencyStore(path)
    again = 2 + FORGOTTEN_AFTER_S
    with store.call(SCOPE, BODY, 1):
        pass  # refused before anything was made
    store.close()
    store = IdempotencyStore(path)
    with store.call(SCOPE, BODY, again) as call:
        call.keep(Sent(b"signed"))
        with store.call(b"t" * 32, BODY, again):  # the first key that is new to this one prunes
            pass
    store.close()
    store = IdempotencyStore(path)  # it came to nothing, and is kept as long again
    with store.call(b"u" * 32, BODY, again + 1):
        pass
    assert store.sent(SCOPE) == [Sent(b"signed")]
    store._inserts = 0
    with store.call(SCOPE, BODY, again), store.call(b"v" * 32, BODY, again + 1 + FORGOTTEN_AFTER_S):  # a long call
        assert store.sent(SCOPE) == [Sent(b"signed")]


def test_a_file_from_before_there_was_trust_in_it_is_taken_over(path: Path) -> None:
    store = IdempotencyStore(path)
    with store.call(SCOPE, BODY, 1) as call:
        call.keep(Sent(b"signed"))
    store._db.executescript("ALTER TABLE sent DROP COLUMN trust; PRAGMA user_version=1;")
    store.close()
    assert IdempotencyStore(path).sent(SCOPE) == [Sent(b"signed", "")]


def test_pruning_reads_no_key_that_stays_as_it_is_however_many_there_are(path: Path) -> None:
    """Also in a file that has the index of all keys, as it was before: SQLite's own plan of each statement says so."""
    store = IdempotencyStore(path)
    store._db.executescript("DROP INDEX IF EXISTS calls_given; DROP INDEX IF EXISTS calls_forgotten;")
    store._db.execute("CREATE INDEX calls_at ON calls (at_s)")
    store.close()
    store, statements = IdempotencyStore(path), list[str]()
    store._db.set_trace_callback(statements.append)
    with store.call(SCOPE, BODY, 1):  # the first new key prunes
        store._db.set_trace_callback(None)
    pruning = [one for one in statements if one.startswith("DELETE FROM calls") or "answer = NULL" in one]
    plans = [[row[3] for row in store._db.execute(f"EXPLAIN QUERY PLAN {one}")] for one in pruning]
    assert [plan[0] for plan in plans] == [
        "SEARCH calls USING INDEX calls_forgotten (at_s<?)", "SEARCH calls USING INDEX calls_given (at_s<?)",
    ]  # fmt: skip


def test_what_is_kept_is_of_its_key_and_each_part() -> None:
    key, other = SecretBytes(b"k" * 32), SecretBytes(b"l" * 32)
    made = [
        Said(b"", b"", b"123456").mac(key), Said(b"", b"", b"123456").mac(other), Said(b"", b"", b"123457").mac(key),
        Said(b"", b"123456", b"").mac(key), Said(b"123456", b"", b"").mac(key), Said(b"12", b"34", b"56").mac(key),
        key_mac(key, "a", "b", "c"), key_mac(other, "a", "b", "c"), key_mac(key, "ab", "", "c"),
        key_mac(key, "a", "bc", ""), key_mac(key, "", "", "123456"),
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    assert Said(b"", b"", b"123456").mac(key) == made[0]
