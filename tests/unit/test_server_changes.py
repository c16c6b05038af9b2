"""Waiting on the read socket for what is committed: what is told, how much of it, what is cut off, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_harness import Peer, die, serving
from test_server_application import Chain

from abci_app.block import Changes, Time
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.application import TIME_META
from abci_app.server.changes import MAX_BLOCKS_AT_ONCE, MAX_CHANGED_BYTES, MAX_KEPT_BLOCKS, CommittedChanges
from abci_app.server.connection import Replies
from abci_app.server.convert import encode_time
from abci_app.server.statesocket import MAX_PREFIX_BYTES, MAX_PREFIXES, MAX_REQUEST_BYTES, StateReader
from abci_app.state.memory_view import MemoryView
from abci_app.storage.kv import StorageFailure
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import MAX_KEY_BYTES, StateDB
from tests.support.committed import told_after
from tests.support.patience import PATIENCE_S

START_S = 1_800_000_000
PIN = pb.StateRequest(pin=pb.StatePin())


def changes(leaves: dict[bytes, bytes | None] | None = None, index: dict[bytes, bytes | None] | None = None) -> Changes:
    return Changes(leaves=tuple(sorted((leaves or {}).items())), index=tuple(sorted((index or {}).items())))


def kept(
    *blocks: Changes, kept_bytes: int = 1 << 20, told_bytes: int = MAX_CHANGED_BYTES
) -> CommittedChanges:
    """From height 0 on, nothing before; no wait is held for long."""
    committed = CommittedChanges(0, 0, kept_bytes=kept_bytes, told_bytes=told_bytes, held_s=0.01)
    for height, block in enumerate(blocks, 1):
        committed.record(height, Time(START_S + height), block)
    return committed


def after(
    committed: CommittedChanges, height: int, index: tuple[bytes, ...] = (), leaves: tuple[bytes, ...] = ()
) -> pb.StateChanged:
    return asyncio.run(committed.after(height, index, leaves))


def pairs(found: Any) -> list[tuple[bytes, bytes | None]]:
    return [(one.key, one.value if one.HasField("value") else None) for one in found]


def test_changes_since_a_height_are_told_under_the_prefixes_alone_and_as_they_are_now() -> None:
    committed = kept(
        changes({b"a/1": b"1", b"b/1": b"1"}, {b"i/1": b"1", b"i/2": b"1", b"j/1": b"1"}),
        changes({b"a/1": b"2"}, {b"i/1": None}),
        changes({b"a/2": None, b"a": b"short of it"}, {b"i/3": b"3"}),
    )
    found = after(committed, 0, (b"i/",), (b"a/",))
    assert (found.height, found.time_seconds, found.is_cut, found.more) == (3, START_S + 3, False, False)
    assert pairs(found.index) == [(b"i/1", None), (b"i/2", b"1"), (b"i/3", b"3")]
    assert pairs(found.leaves) == [(b"a/1", b"2"), (b"a/2", None)]
    later = after(committed, 2, (b"i/1", b"i/3"), (b"b/",))
    assert (pairs(later.index), pairs(later.leaves)) == ([(b"i/3", b"3")], [])


def test_a_key_under_two_prefixes_is_told_once() -> None:
    found = after(kept(changes(index={b"i/1": b"1"})), 0, (b"i", b"i/"))
    assert pairs(found.index) == [(b"i/1", b"1")]


def test_with_no_block_a_wait_is_answered_after_a_while_with_nothing() -> None:
    found = after(kept(changes({b"a": b"1"})), 1, (), (b"a",))
    assert found == pb.StateChanged(height=1, time_seconds=START_S + 1)


@pytest.mark.parametrize("first", [1, 100])
def test_a_wait_is_answered_by_the_next_block(first: int) -> None:
    async def run() -> None:
        committed = CommittedChanges(0, 0)
        waiting = [asyncio.create_task(committed.after(0, (b"i",), ())) for _ in range(2)]
        gone = asyncio.create_task(committed.after(0, (b"i",), ()))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        committed.record(first, Time(START_S), changes(index={b"i": b"1"}))
        for found in await asyncio.gather(*waiting):
            assert (found.height, pairs(found.index)) == (first, [(b"i", b"1")])
        assert (await committed.after(0, (b"i",), ())).height == first

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_height_that_is_not_kept_or_not_there_yet_is_cut_off() -> None:
    committed = CommittedChanges(7, START_S, held_s=0.01)  # as after a restart
    for height in (0, 6, 8):
        assert after(committed, height, (b"i",)) == pb.StateChanged(height=7, time_seconds=START_S, is_cut=True)
    committed.record(8, Time(START_S + 1), changes())
    assert after(committed, 6, (b"i",)).is_cut
    assert not after(committed, 7, (b"i",)).is_cut


def test_no_more_blocks_are_kept_than_there_is_a_bound_for() -> None:
    committed = kept(*[changes()] * (MAX_KEPT_BLOCKS + 1))
    assert after(committed, 0, (b"i",)).is_cut
    assert after(committed, 1, (b"i",)).height == 1 + MAX_BLOCKS_AT_ONCE


def test_no_more_bytes_are_kept_than_there_is_a_bound_for() -> None:
    block = changes({b"key": b"v" * 97})
    committed = kept(block, block, block, kept_bytes=200)
    assert after(committed, 0, (), (b"key",)).is_cut
    assert after(committed, 1, (), (b"key",)).height == 3
    committed.record(4, Time(START_S + 4), changes({b"key": b"v" * 300}))
    assert after(committed, 3, (), (b"key",)).is_cut
    committed.record(5, Time(START_S + 5), block)
    assert after(committed, 4, (), (b"key",)).height == 5


def test_an_answer_is_bounded_and_whole_up_to_its_height() -> None:
    third = b"v" * (MAX_CHANGED_BYTES // 60)
    blocks = [changes(index={b"i/%d/%02d" % (at, n): third for n in range(20)}) for at in range(5)]
    committed = kept(*blocks, kept_bytes=1 << 24)
    height, told = 0, 0
    for expected in (2, 4, 5):
        found = after(committed, height, (b"i",))
        assert (found.height, found.is_cut, found.more) == (expected, False, expected < 5)
        assert len(found.SerializeToString()) <= MAX_CHANGED_BYTES
        height, told = found.height, told + len(found.index)
    assert told == 100


def test_one_block_with_more_than_an_answer_holds_comes_in_parts() -> None:
    value = b"v" * (MAX_CHANGED_BYTES // 60)
    much = {b"i/%03d" % n: value for n in range(100)}
    leaves = {b"l/%03d" % n: value for n in range(50)}
    committed = kept(changes(), changes(dict(leaves), dict(much)), changes(index={b"i/000": b"x"}), kept_bytes=1 << 24)
    assert after(committed, 0, (b"i/",)).height == 1
    parts: list[pb.StateChanged] = []
    told = b"", b""
    while not parts or parts[-1].is_part:
        found = asyncio.run(committed.after(1, [b"i/", b"i/0", b"j"], [b"l/"], told))
        assert len(found.SerializeToString()) <= MAX_CHANGED_BYTES
        parts.append(found)
        told = (
            max([told[0], *(one.key for one in found.index)]), max([told[1], *(one.key for one in found.leaves)])
        )  # fmt: skip
    assert [(one.height, one.time_seconds, one.is_part, one.is_cut, one.more) for one in parts] == [
        (2, START_S + 2, True, False, True),
        (2, START_S + 2, True, False, True),
        (3, START_S + 3, False, False, False),  # what a later block says had room in the last part
    ]
    first, second, last = parts
    assert pairs(first.index) + pairs(second.index) == sorted(much.items())
    assert pairs(second.leaves) + pairs(last.leaves) == sorted(leaves.items())
    assert (pairs(first.leaves), pairs(last.index)) == ([], [(b"i/000", b"x")])
    assert not after(committed, 1, (b"j",)).is_part


def test_one_block_with_more_than_is_kept_is_cut_off() -> None:
    much = changes(index={b"i/%02d" % n: b"v" * 10_000 for n in range(61)})
    committed = kept(changes(), much, kept_bytes=600_000)
    found = after(committed, 1, (b"i",))
    assert (found.height, found.is_cut, found.is_part, len(found.index)) == (2, True, False, 0)


def test_an_entry_that_is_larger_than_an_answer_is_told_by_itself() -> None:
    committed = CommittedChanges(0, 0, told_bytes=10, held_s=0.01)
    committed.record(1, Time(START_S), changes(index={b"i/1": b"v" * 100, b"i/2": b"v" * 100}))
    first = after(committed, 0, (b"i/",))
    assert (pairs(first.index), first.is_part) == ([(b"i/1", b"v" * 100)], True)
    second = asyncio.run(committed.after(0, [b"i/"], (), (b"i/1", b"")))
    assert (pairs(second.index), second.is_part) == ([(b"i/2", b"v" * 100)], False)


keys = st.sampled_from([b"a", b"a1", b"a2", b"b", b"b1", b"c"])
tables = st.dictionaries(keys, st.none() | st.sampled_from([b"1", b"2"]))


@settings(deadline=None)
@given(st.lists(st.tuples(tables, tables), min_size=1, max_size=8), st.data())
def test_what_is_told_makes_of_the_old_state_the_new_one(blocks: list[Any], data: st.DataObject) -> None:
    """Under the prefixes, whichever they are, from whichever height on, answer by answer, in whatever parts."""
    committed = kept(*[changes(*block) for block in blocks], told_bytes=data.draw(st.sampled_from([1, 50, 1 << 20])))
    prefixes = data.draw(st.lists(st.sampled_from([b"a", b"a1", b"b", b"c"]), min_size=1, max_size=3))
    height = data.draw(st.integers(0, len(blocks) - 1))
    follower, whole = MemoryView(), MemoryView()
    for at, block in enumerate(blocks, 1):
        whole.apply(changes(*block))
        if at <= height:
            follower.apply(changes(*block))
    while height < len(blocks):
        found = asyncio.run(told_after(committed, height, prefixes, prefixes))
        assert found.height > height
        follower.apply(Changes(tuple(pairs(found.leaves)), tuple(pairs(found.index))))
        height = found.height
    for prefix in prefixes:
        assert list(follower.scan(prefix)) == list(whole.scan(prefix))
        assert list(follower.index_scan(prefix)) == list(whole.index_scan(prefix))


def test_the_application_tells_what_it_has_written_and_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain()
    committed = CommittedChanges(0, 0, held_s=0.01)
    chain.tell = committed.record
    chain.open()
    chain.init(initial_height=5)
    chain.finalize(5, b"x=1")
    assert committed.height == 0
    chain.app.commit(Any)  # type: ignore[arg-type]
    found = after(committed, 0, (b"ig",), (b"genesis", b"x"))
    assert (found.height, found.time_seconds) == (5, START_S + 5)
    assert (pairs(found.leaves), pairs(found.index)) == ([(b"genesis", b"start"), (b"x", b"1")], [(b"ig", b"1")])
    chain.finalize(6, b"x=")

    def fails(*_: object, **__: object) -> None:
        raise StorageFailure("the disk")

    monkeypatch.setattr(chain.store, "write", fails)
    with pytest.raises(StorageFailure):
        chain.app.commit(Any)  # type: ignore[arg-type]
    assert committed.height == 5


# --- on the socket ---------------------------------------------------------------------------------------------------
def wait(after_height: int = 0, index: Any = (b"i/",), leaves: Any = ()) -> pb.StateRequest:
    return pb.StateRequest(
        wait=pb.StateWait(after_height=after_height, index_prefixes=index, leaf_prefixes=leaves)
    )


class World:
    """A served read socket; each connection has a reader of its own."""

    def __init__(self, path: Path) -> None:
        self.database = StateDB(MemoryStore())
        self.committed = CommittedChanges.of(self.database)
        self.path = path

    def commit(self, height: int, block: Changes) -> None:
        time = Time(START_S + height)
        self.database.commit(self.database.stage(height, block, {TIME_META: encode_time(time)}))
        self.committed.record(height, time, block)

    async def ask(self, peer: Peer, *requests: pb.StateRequest) -> list[pb.StateResponse]:
        await peer.send(*requests)
        return [pb.StateResponse.FromString(message) for message in await peer.receive(len(requests))]

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "s")


def connection(world: World) -> Any:
    state = StateReader(world.database, world.committed, ThreadPoolExecutor(1), die, [].append)
    return serving(world.path, state.answer, max_frame_bytes=MAX_REQUEST_BYTES)


def test_a_wait_on_the_socket_is_answered_when_a_block_is_committed(world: World) -> None:
    async def scenario() -> None:
        async with connection(world) as served:
            peer = await served.peer()
            for height in (1, 2):
                await peer.send(wait(height - 1))
                while not world.committed._waiting:
                    await asyncio.sleep(0.001)
                world.commit(height, changes(index={b"i/%d" % height: b"x", b"j": b"y"}))
                (message,) = await peer.receive(1)
                found = pb.StateResponse.FromString(message).changed
                assert (found.height, pairs(found.index)) == (height, [(b"i/%d" % height, b"x")])

    world.run(scenario())


@pytest.mark.parametrize(
    "request_",
    [
        wait(index=()),
        wait(index=[b"p"] * (MAX_PREFIXES + 1)),
        wait(index=[b"p"] * MAX_PREFIXES, leaves=[b"p"]),
        wait(index=[b""]),
        wait(index=[b"p" * (MAX_PREFIX_BYTES + 1)]),
        wait(leaves=[b"p" * (MAX_PREFIX_BYTES + 1)]),
        pb.StateRequest(wait=pb.StateWait(index_prefixes=[b"i/"], index_after=b"k" * (MAX_KEY_BYTES + 1))),
        pb.StateRequest(wait=pb.StateWait(index_prefixes=[b"i/"], leaves_after=b"k" * (MAX_KEY_BYTES + 1))),
    ],
    ids=["none", "many", "many together", "empty", "long", "long leaf", "told up to no key", "nor to such a leaf"],
)
def test_a_wait_with_other_prefixes_than_it_may_have_is_refused_and_the_connection_goes_on(
    world: World, request_: pb.StateRequest
) -> None:
    async def scenario() -> None:
        world.commit(1, changes(index={b"i/": b"x"}))
        async with connection(world) as served:
            peer = await served.peer()
            (refused,) = await world.ask(peer, request_)
            assert refused.refusal.reason == pb.StateRefusal.REASON_MALFORMED
            most = [b"i/"] + [b"p" * MAX_PREFIX_BYTES] * (MAX_PREFIXES - 1)
            (answered,) = await world.ask(peer, wait(index=most))
            assert pairs(answered.changed.index) == [(b"i/", b"x")]

    world.run(scenario())


@pytest.mark.parametrize(
    "batches",
    [[[PIN, wait()]], [[PIN], [wait()]], [[wait(), PIN]], [[wait(), wait()]], [[pb.StateRequest()], [wait()]]],
    ids=["beside", "after", "before", "two", "of no kind"],
)
def test_a_wait_among_other_requests_is_refused(world: World, batches: list[list[pb.StateRequest]]) -> None:
    async def scenario() -> None:
        world.commit(1, changes())
        state = StateReader(world.database, world.committed, ThreadPoolExecutor(1), die, [].append)
        for batch in batches:
            answered = state.answer([request.SerializeToString() for request in batch])
            replies = answered if isinstance(answered, Replies) else await answered
            answers = [pb.StateResponse.FromString(message) for message in replies.messages]
            assert len(answers) == len(batch)
            for request, answer in zip(batch, answers, strict=True):
                if request.HasField("wait"):
                    assert answer.refusal.reason == pb.StateRefusal.REASON_MALFORMED
                    assert "connection of its own" in answer.refusal.message

    world.run(scenario())


def test_on_a_connection_that_waits_nothing_else_is_answered(world: World) -> None:
    async def scenario() -> None:
        world.commit(1, changes())
        async with connection(world) as served:
            peer = await served.peer()
            (waited,) = await world.ask(peer, wait())
            assert waited.changed.height == 1
            (refused,) = await world.ask(peer, PIN)
            assert refused.refusal.reason == pb.StateRefusal.REASON_MALFORMED
            (again,) = await world.ask(peer, wait())
            assert again.changed.height == 1

    world.run(scenario())


def test_garbage_after_a_wait_is_answered_with_the_end_of_the_connection(world: World) -> None:
    async def scenario() -> None:
        async with connection(world) as served:
            peer = await served.peer()
            peer.writer.write(b"\x03\xff\xff\xff")
            assert await peer.is_closed()
            waiting = await served.peer()
            await waiting.send(wait())
            world.commit(1, changes())
            (message,) = await waiting.receive(1)
            assert pb.StateResponse.FromString(message).changed.height == 1

    world.run(scenario())
