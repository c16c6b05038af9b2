"""What an agent reads of one state it asks for once, and of another state it asks anew."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest
from test_hooks_state_socket import application, commit

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.framing import FrameBuffer, frame
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.node.agent import kept
from dta.node.agent.reads import read_ahead
from dta.node.agent.state import AT_ONCE, SocketView, StateClient, StateUnavailable
from tests.support.patience import PATIENCE_S


@pytest.fixture
def database() -> StateDB:
    return StateDB(MemoryStore())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each exchange with the application had, pins apart."""
    found: list[int] = []
    ask = SocketView._ask_all

    def count(self, requests):  # type: ignore[no-untyped-def]
        if requests[0].WhichOneof("kind") != "pin":
            found.append(len(requests))
        return ask(self, requests)

    monkeypatch.setattr(SocketView, "_ask_all", count)
    return found


def test_one_state_is_asked_for_each_key_once_and_the_next_one_again(
    database: StateDB, tmp_path: Path, asked: list[int]
) -> None:
    path = tmp_path / "state.sock"
    commit(database, 1, {b"a": b"1", b"b": b"2"}, {b"due/x": b"3"})
    with application(path, database):
        client = StateClient(path)
        for _ in range(3):
            with client.pin() as now:
                assert (now.view.get(b"a"), now.view.get(b"none"), now.view.index_get(b"due/x")) == (b"1", None, b"3")
                assert (now.proven.get(b"b"), now.proven.get(b"none")) == (b"2", None)
        assert asked == [1] * 5
        commit(database, 2, {b"a": b"new", b"none": b"some"}, {b"due/x": b"4"})
        with client.pin() as now:
            assert (now.view.get(b"a"), now.view.get(b"none"), now.view.index_get(b"due/x")) == (b"new", b"some", b"4")
            assert (now.proven.get(b"b"), now.proven.get(b"none")) == (b"2", b"some")
        assert asked == [1] * 10
        client.close()


def test_a_pin_that_is_older_than_the_newest_reads_its_own_state(database: StateDB, tmp_path: Path) -> None:
    path = tmp_path / "state.sock"
    commit(database, 1, {b"a": b"1"})
    with application(path, database):
        client = StateClient(path)
        with client.pin() as old:
            commit(database, 2, {b"a": b"2"})
            with client.pin() as new:
                assert new.view.get(b"a") == b"2"
                assert new.proven.get(b"a") == b"2"
            assert old.view.get(b"a") == b"1"
            assert old.proven.get(b"a") == b"1"
        client.close()


def test_many_keys_are_asked_for_at_once(database: StateDB, tmp_path: Path, asked: list[int]) -> None:
    path = tmp_path / "state.sock"
    leaves = {b"leaf/%04d" % number: b"%d" % number for number in range(AT_ONCE)}
    commit(database, 1, leaves, {b"due/%d" % number: b"x" for number in range(6)})
    with application(path, database), StateClient(path).pin() as now:
        read_ahead(now.view, [*leaves, b"none"], [b"due/0", b"due/5", b"due/6"])
        assert asked == [AT_ONCE, 4]
        assert {key: now.view.get(key) for key in leaves} == leaves
        assert now.view.get(b"none") is None
        assert [now.view.index_get(b"due/%d" % number) for number in (0, 5, 6)] == [b"x", b"x", None]
        read_ahead(now.view, leaves, [b"due/0"])
        assert asked == [AT_ONCE, 4], "all of that is known"


def test_what_is_kept_of_a_state_is_bounded(database: StateDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_KEPT", 3)
    path = tmp_path / "state.sock"
    commit(database, 1, {b"leaf/%d" % number: b"%d" % number for number in range(9)})
    with application(path, database):
        client = StateClient(path)
        with client.pin() as now:
            for number in range(9):
                assert now.view.get(b"leaf/%d" % number) == b"%d" % number
                assert len(client._reads.leaves) <= 3
        client.close()


def late_answers(listening: socket.socket, hold: threading.Event) -> None:
    """An application that pins, is late with its first answer, and then answers each key with itself."""
    connection, _ = listening.accept()
    with connection:
        buffer = FrameBuffer(1 << 20)
        asked = 0
        while data := connection.recv(1 << 16):
            buffer.feed(data)
            for message in buffer.take(64):
                request = pb.StateRequest.FromString(message)
                if request.WhichOneof("kind") == "pin":
                    answer = pb.StateResponse(pinned=pb.StatePinned(height=7, app_hash=bytes(32), time_seconds=1))
                else:
                    asked += 1
                    if asked == 1:
                        hold.wait(PATIENCE_S)
                    answer = pb.StateResponse(value=pb.StateValue(value=b"of " + request.get.key))
                with contextlib.suppress(OSError):
                    connection.sendall(frame(answer.SerializeToString()))


def test_an_answer_that_comes_late_is_taken_for_no_other_question_s(tmp_path: Path) -> None:
    hold = threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "state.sock"))
        listening.listen(1)
        serving = threading.Thread(target=late_answers, args=(listening, hold), daemon=True)
        serving.start()
        client = StateClient(tmp_path / "state.sock", timeout_s=0.2)
        with client.pin() as now:
            with pytest.raises(StateUnavailable):
                now.view.get(b"a")
            hold.set()
            with pytest.raises(StateUnavailable):
                now.view.get(b"b")
        assert client._reads.leaves == {}
        assert client._idle == [], "it is not used again"
        serving.join(PATIENCE_S)
