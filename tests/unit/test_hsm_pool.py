"""Who may use which session when, without any module; and the doctor's pace, which must really have its threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dta.base.secret import SecretBytes
from dta.hsm import labels, pace
from dta.hsm.pool import Pool, Pooled
from tests.support.patience import PATIENCE_S


def pool_of(most: int) -> Pool:
    pool = Pool(most)
    with pool.alone():
        pool.sessions.append(Pooled("first"))
    return pool


def refused() -> object:
    raise AssertionError("nothing is to be opened")


def test_without_a_session_there_is_none_to_take() -> None:
    with Pool(4).one(refused) as session:
        assert session is None


def test_the_session_used_last_is_taken_first_and_no_more_are_opened_than_are_needed() -> None:
    pool, names = pool_of(3), iter(["second", "third"])
    with pool.one(refused) as session:
        assert session is not None
        assert session.handle == "first"
        with pool.one(lambda: next(names)) as other:
            assert other is not None
            assert other.handle == "second"
        with pool.one(refused) as other:
            assert other is not None
            assert other.handle == "second"
    with pool.one(refused) as session:
        assert session is not None
        assert session.handle == "first"


def test_where_no_more_can_be_opened_what_is_there_is_waited_for() -> None:
    pool, asked, taken = pool_of(8), threading.Event(), []

    def none() -> None:
        asked.set()

    def late() -> None:
        with pool.one(none) as session:
            assert session is not None
            taken.append(session.handle)

    with pool.one(refused):
        thread = threading.Thread(target=late)
        thread.start()
        assert asked.wait(PATIENCE_S)
        assert taken == []
    thread.join(PATIENCE_S)
    assert taken == ["first"]
    assert pool.most == 1


def test_who_is_alone_waits_for_all_and_all_wait_for_him() -> None:
    pool, order, inside, go = pool_of(1), [], threading.Event(), threading.Event()

    def use() -> None:
        with pool.one(refused):
            inside.set()
            assert go.wait(PATIENCE_S)
            order.append("use")

    def change() -> None:
        with pool.alone():
            order.append("change")

    def use_later() -> None:
        with pool.one(refused):
            order.append("later")

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(use)
        assert inside.wait(PATIENCE_S)
        second = threads.submit(change)
        while not pool._waiting and not second.done():
            threading.Event().wait(0.001)
        third = threads.submit(use_later)
        before = list(order)
        go.set()
        for future in (first, second, third):
            future.result(PATIENCE_S)
    assert before == []
    assert order == ["use", "change", "later"]


def test_a_session_that_broke_is_taken_by_nobody() -> None:
    pool = pool_of(2)
    with pool.one(refused) as session:
        assert session is not None
        session.is_broken = True
    assert (pool.sessions, [one.handle for one in pool.retired]) == ([], ["first"])
    with pool.one(refused) as session:
        assert session is None
    with pool.alone():
        pool.retired.clear()


def test_what_is_forgotten_is_forgotten_in_sessions_that_are_in_use_too() -> None:
    pool = pool_of(2)
    with pool.one(refused) as session:
        assert session is not None
        session.keys["root"] = "a handle"
        pool.forget()
    with pool.one(refused) as session:
        assert session is not None
        assert session.keys == {}
        session.keys["root"] = "another"
    with pool.one(refused) as session:
        assert session is not None
        assert session.keys == {"root": "another"}


class Meeting:
    """A keystore in which nobody's first signature, nor derivation, ends before as many have come as are expected."""

    def __init__(self) -> None:
        self.expected = 0
        self.met: list[int] = []
        self._turn = threading.Condition()
        self._inside = 0

    def expect(self, threads: int) -> None:
        self.expected, self.met = threads, []

    def signing_public_key(self, label: str) -> bytes | None:
        return bytes(32)

    def has_prf_key(self, label: str) -> bool:
        return True

    def sign(self, label: str, message: bytes) -> bytes:
        assert label == labels.node_key()
        self._come()
        return bytes(64)

    def prf(self, label: str, data: bytes) -> SecretBytes:
        assert label == labels.root()
        return SecretBytes(bytes(32))

    def _come(self) -> None:
        with self._turn:
            self._inside += 1
            if self._inside >= self.expected:
                self.met.append(self._inside)
                self._turn.notify_all()
            assert self._turn.wait_for(lambda: self.met, PATIENCE_S), f"{self._inside} of {self.expected} came"
            self._inside -= 1


@pytest.mark.parametrize("threads", pace.THREADS)
def test_the_pace_of_so_many_threads_is_that_of_so_many(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SPAN_S", 0.0)
    store = Meeting()
    store.expect(threads)
    assert pace._rate(store, threads) > 0  # type: ignore[arg-type]
    assert max(store.met) == threads


def test_the_doctor_measures_each_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SPAN_S", 0.0)
    store, rate, met = Meeting(), pace._rate, []

    def observed(given: object, threads: int) -> float:
        store.expect(threads)
        answer = rate(given, threads)  # type: ignore[arg-type]
        met.append(max(store.met))
        return answer

    monkeypatch.setattr(pace, "_rate", observed)
    (step,) = pace.check_pace(store)  # type: ignore[arg-type]
    assert met == [1, 2, 4, 8] == list(pace.THREADS)
    assert step.status == "ok"
