"""The agent's view of state over the application's read socket: the same as the database's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_harness import die

from abci_app.block import Changes, Time
from abci_app.server.application import TIME_META
from abci_app.server.changes import CommittedChanges
from abci_app.server.connection import Service
from abci_app.server.convert import encode_time
from abci_app.server.listener import Listener, UnixAddress, bind
from abci_app.server.statesocket import MAX_REQUEST_BYTES, StateReader
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.node.agent.state import MAX_CONNECTIONS, StateClient, StateUnavailable
from tests.support.patience import PATIENCE_S


def commit(database: StateDB, height: int, leaves: dict[bytes, bytes], index: dict[bytes, bytes] | None = None) -> None:
    changes = Changes(leaves=tuple(sorted(leaves.items())), index=tuple(sorted((index or {}).items())))
    database.commit(database.stage(height, changes, {TIME_META: encode_time(Time(1_800_000_000 + height, 5))}))


class Application:
    """A served read socket. ``commit`` is as the application's: on its event loop, and told to whoever waits."""

    def __init__(self, database: StateDB, loop: asyncio.AbstractEventLoop) -> None:
        self.committed = CommittedChanges.of(database)
        self._database = database
        self._loop = loop

    def commit(self, height: int, time: Time, changes: Changes) -> None:
        asyncio.run_coroutine_threadsafe(self._commit(height, time, changes), self._loop).result(20)

    async def _commit(self, height: int, time: Time, changes: Changes) -> None:
        self._database.commit(self._database.stage(height, changes, {TIME_META: encode_time(time)}))
        self.committed.record(height, time, changes)


@contextmanager
def application(path: Path, database: StateDB, max_connections: int = 16) -> Iterator[Application]:
    """The read socket of the application, served from a thread of its own."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    served = Application(database, loop)

    def serve() -> Service:
        state = StateReader(database, served.committed, executor, die, [].append)
        return Service(state.answer, state.close)

    async def run() -> None:
        listener = Listener(
            bind(UnixAddress(path)), serve, name="state", max_frame_bytes=MAX_REQUEST_BYTES,
            max_connections=max_connections, log=[].append,
        )  # fmt: skip
        await listener.start()
        ready.set()
        await stop.wait()
        await listener.stop()

    executor = ThreadPoolExecutor(2)
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait(PATIENCE_S)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        executor.shutdown()
        loop.close()


@pytest.fixture
def database() -> StateDB:
    return StateDB(MemoryStore())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sock"


def test_what_the_agent_reads_is_what_was_committed(database: StateDB, path: Path) -> None:
    index = {b"due/%04d" % n: b"%d" % n for n in range(1_000)}  # several pages
    commit(database, 1, {b"a": b"1", b"b/1": b"x", b"b/2": b"y"}, index | {b"other": b"z"})
    with application(path, database), StateClient(path).pin() as now:
        assert (now.height, now.time_s) == (1, 1_800_000_001)
        assert now.view.get(b"a") == b"1"
        assert now.view.get(b"none") is None
        assert now.view.index_get(b"other") == b"z"
        assert list(now.view.scan(b"b/")) == [(b"b/1", b"x"), (b"b/2", b"y")]
        assert list(now.view.index_scan(b"due/")) == sorted(index.items())
        assert list(now.view.index_scan(b"due/", after=b"due/0997")) == sorted(index.items())[998:]
        assert len(list(now.view.index_scan(b"due/", limit=300))) == 300
        assert list(now.view.index_scan(b"nothing")) == []


def test_a_pin_stays_at_its_height_and_the_next_one_moves_on(database: StateDB, path: Path) -> None:
    commit(database, 1, {b"a": b"1"})
    with application(path, database):
        client = StateClient(path)
        with client.pin() as now:
            commit(database, 2, {b"a": b"2"})
            assert now.view.get(b"a") == b"1"
        with client.pin() as now:
            assert (now.height, now.view.get(b"a")) == (2, b"2")


def test_many_threads_share_a_few_connections(database: StateDB, path: Path) -> None:
    commit(database, 1, {b"a": b"1"})
    together = threading.Barrier(4, timeout=PATIENCE_S)

    def read(number: int) -> bytes | None:
        with client.pin() as now:
            if number < 4:
                together.wait()
            return now.view.get(b"a")

    with application(path, database, max_connections=MAX_CONNECTIONS):
        client = StateClient(path)
        with ThreadPoolExecutor(32) as threads:
            assert list(threads.map(read, range(500))) == [b"1"] * 500
        client.close()


def test_before_the_first_block_there_is_no_state(database: StateDB, path: Path) -> None:
    with application(path, database), pytest.raises(StateUnavailable), StateClient(path).pin():
        pass


def test_an_application_that_is_away_or_came_back_is_noticed(database: StateDB, path: Path) -> None:
    client = StateClient(path)
    with pytest.raises(StateUnavailable), client.pin():
        pass
    commit(database, 1, {b"a": b"1"})
    for _ in range(2):
        with application(path, database), client.pin() as now:
            assert now.view.get(b"a") == b"1"


def test_an_application_that_drips_is_given_up(path: Path) -> None:
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(100)
                connection.sendall(b"\x7f")
                for _ in range(400):  # twenty seconds, then the connection ends
                    if over.wait(0.05):
                        return
                    connection.sendall(b"\x00")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(StateUnavailable, match="no answer in time"), StateClient(path, timeout_s=0.3).pin():
            pass
        over.set()
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("answer", [b"\xff\xff\xff\xff\xff\xff\xff", b"\x02\xff\xff", b""])
def test_garbage_from_the_socket_is_an_error_and_no_hang(path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(StateUnavailable), StateClient(path, timeout_s=5.0).pin():
            pass
        thread.join(PATIENCE_S)
