"""The agent's read socket: one snapshot a connection, bounded answers, garbage closes its own connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_harness import Died, Peer, die, serving

from abci_app.block import Changes, Time
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.application import TIME_META
from abci_app.server.changes import CommittedChanges
from abci_app.server.connection import Replies
from abci_app.server.convert import encode_time
from abci_app.server.statesocket import MAX_ANSWER_BYTES, MAX_ENTRIES, MAX_REQUEST_BYTES, StateReader
from abci_app.state.nodes import EMPTY_HASH
from abci_app.state.proof import verify_absence, verify_existence
from abci_app.storage.check import Checked
from abci_app.storage.kv import StorageFailure
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB

PIN = pb.StateRequest(pin=pb.StatePin())


def commit(database: StateDB, height: int, leaves: dict[bytes, bytes], index: dict[bytes, bytes] | None = None) -> None:
    changes = Changes(leaves=tuple(sorted(leaves.items())), index=tuple(sorted((index or {}).items())))
    meta = {TIME_META: encode_time(Time(1_800_000_000 + height, 5))}
    database.commit(database.stage(height, changes, meta))


def get(key: bytes) -> pb.StateRequest:
    return pb.StateRequest(get=pb.StateGet(key=key))


def scan(prefix: bytes, after: bytes = b"", limit: int = MAX_ENTRIES) -> pb.StateRequest:
    return pb.StateRequest(scan=pb.StateScan(prefix=prefix, after=after, limit=limit))


def reader(database: StateDB) -> StateReader:
    return StateReader(database, CommittedChanges.of(database), ThreadPoolExecutor(1), die, [].append)


async def awaited(answered: Awaitable[Replies]) -> Replies:
    return await answered


def ask(state: StateReader, *requests: pb.StateRequest) -> list[pb.StateResponse]:
    answered = state.answer([request.SerializeToString() for request in requests])
    replies = answered if isinstance(answered, Replies) else asyncio.run(awaited(answered))
    assert not replies.close
    return [pb.StateResponse.FromString(message) for message in replies.messages]


@pytest.fixture
def database() -> StateDB:
    return StateDB(MemoryStore())


def test_a_pin_before_the_first_block_says_height_zero(database: StateDB) -> None:
    (response,) = ask(reader(database), PIN)
    assert response.pinned == pb.StatePinned(height=0)


def test_a_pin_names_height_hash_and_block_time(database: StateDB) -> None:
    commit(database, 1, {b"a": b"1"})
    (response,) = ask(reader(database), PIN)
    assert response.pinned == pb.StatePinned(
        height=1, app_hash=database.app_hash, time_seconds=1_800_000_001, time_nanos=5
    )


def test_reading_before_a_pin_is_refused(database: StateDB) -> None:
    (response,) = ask(reader(database), get(b"a"))
    assert response.refusal.reason == pb.StateRefusal.REASON_NOT_PINNED


def test_what_is_read_is_the_pinned_height_until_the_next_pin(database: StateDB) -> None:
    state = reader(database)
    commit(database, 1, {b"a": b"1"}, {b"i": b"x"})
    ask(state, PIN)
    commit(database, 2, {b"a": b"2", b"b": b"2"}, {b"i": b"y"})
    index_get = pb.StateRequest(index_get=pb.StateGet(key=b"i"))
    before = ask(state, get(b"a"), get(b"b"), index_get, scan(b""))
    assert before[0].value.value == b"1"
    assert not before[1].value.HasField("value")
    assert before[2].value.value == b"x"
    assert [entry.key for entry in before[3].entries.entries] == [b"a"]
    pinned, after, *_ = ask(state, PIN, get(b"a"))
    assert pinned.pinned.height == 2
    assert after.value.value == b"2"


def test_a_scan_goes_on_after_the_last_key_until_there_is_no_more(database: StateDB) -> None:
    entries = {b"k/%03d" % number: b"v" for number in range(300)}
    commit(database, 1, entries | {b"other": b"v"}, entries)
    state = reader(database)
    ask(state, PIN)
    for kind in ("scan", "index_scan"):
        seen: list[bytes] = []
        more = True
        while more:
            request = pb.StateScan(prefix=b"k/", after=seen[-1] if seen else b"", limit=100)
            (response,) = ask(state, pb.StateRequest(**{kind: request}))
            seen += [entry.key for entry in response.entries.entries]
            more = response.entries.more
        assert seen == sorted(entries)


def test_the_size_of_an_answer_is_bounded(database: StateDB) -> None:
    commit(database, 1, {b"a": b"1"}, {b"i%03d" % number: b"x" * 60_000 for number in range(50)})
    state = reader(database)
    _, response = ask(state, PIN, pb.StateRequest(index_scan=pb.StateScan(prefix=b"i", limit=256)))
    assert response.entries.more
    assert len(response.SerializeToString()) < MAX_ANSWER_BYTES + 70_000


@pytest.mark.parametrize(
    "request_",
    [
        pb.StateRequest(),
        get(b""),
        get(b"x" * 2000),
        scan(b"a", limit=0),
        scan(b"a", limit=MAX_ENTRIES + 1),
        scan(b"a" * 2000),
        scan(b"a", after=b"a" * 2000),
    ],
    ids=["no kind", "empty key", "long key", "no limit", "limit", "long prefix", "long after"],
)
def test_a_readable_but_wrong_request_is_refused_and_the_connection_goes_on(
    database: StateDB, request_: pb.StateRequest
) -> None:
    responses = ask(reader(database), PIN, request_, get(b"a"))
    assert responses[1].refusal.reason == pb.StateRefusal.REASON_MALFORMED
    assert responses[2].WhichOneof("kind") == "value"


def test_garbage_closes_its_own_connection_only(database: StateDB, tmp_path: Path) -> None:
    commit(database, 1, {b"a": b"1"})

    async def run() -> None:
        state = reader(database)
        async with serving(tmp_path / "s", state.answer, max_frame_bytes=MAX_REQUEST_BYTES) as served:
            vandal, other = await served.peer(), await served.peer()
            for garbage in (b"\x03\xff\xff\xff", b"\xff" * 20, b"\xff\xff\x7f"):
                vandal = await served.peer()
                vandal.writer.write(garbage)
                assert await vandal.is_closed()
            assert (await _pinned(other)).height == 1

    asyncio.run(run())


async def _pinned(peer: Peer) -> pb.StatePinned:
    await peer.send(PIN)
    (message,) = await peer.receive(1)
    return pb.StateResponse.FromString(message).pinned


def test_a_failure_of_the_store_ends_the_process(database: StateDB) -> None:
    commit(database, 1, {b"a": b"1"})
    state = reader(database)
    ask(state, PIN)
    state.close()
    database.close()
    with pytest.raises(Died, match=StorageFailure.__name__):
        ask(state, PIN)


def prove(key: bytes) -> pb.StateRequest:
    return pb.StateRequest(prove=pb.StateGet(key=key))


def test_a_leaf_is_proved_under_the_hash_that_the_pin_named(database: StateDB) -> None:
    commit(database, 1, {b"a": b"1", b"b": b"2"})
    state = reader(database)
    (pinned,) = ask(state, PIN)
    commit(database, 2, {b"a": b"later"})
    present, absent = ask(state, prove(b"a"), prove(b"none"))
    assert present.proved.value == b"1"
    verify_existence(pinned.pinned.app_hash, b"a", b"1", present.proved.proof)
    assert not absent.proved.HasField("value")
    verify_absence(pinned.pinned.app_hash, b"none", absent.proved.proof)
    for key in (b"", bytes(1_025)):
        (refused,) = ask(state, prove(key))
        assert refused.refusal.reason == pb.StateRefusal.REASON_MALFORMED


def test_where_there_is_no_leaf_nothing_is_proved(database: StateDB) -> None:
    state = reader(database)
    (_, before) = ask(state, PIN, prove(b"a"))
    assert before.proved == pb.StateProved()
    commit(database, 1, {})
    (pinned, empty) = ask(state, PIN, prove(b"a"))
    assert (pinned.pinned.app_hash, empty.proved) == (EMPTY_HASH, pb.StateProved())


@pytest.mark.parametrize("older", [b"0", None])
def test_a_leaf_that_reads_otherwise_than_the_tree_ends_the_process_when_it_is_to_be_proved(
    older: bytes | None,
) -> None:
    store = MemoryStore()
    database = StateDB(store)
    commit(database, 1, {b"a": b"1"})
    store.write([(b"la", older)], sync=True)
    state = reader(database)
    ask(state, PIN)
    with pytest.raises(Died, match="StoreCorrupt"):
        ask(state, prove(b"a"))


def test_how_far_the_check_is_can_be_asked_before_the_first_block(database: StateDB) -> None:
    committed = CommittedChanges.of(database)
    state = StateReader(database, committed, ThreadPoolExecutor(1), die, [].append, lambda: Checked(12, 3, 77))
    (answer,) = ask(state, pb.StateRequest(check=pb.StateCheck()))
    assert answer.checked == pb.StateChecked(leaves=12, passes=3, whole_at_height=77)
