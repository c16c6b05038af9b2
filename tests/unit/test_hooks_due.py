"""What is due, followed: always what a plan of the whole state says, whatever comes and breaks, and without polling."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from test_hooks_state_socket import application

from abci_app.block import Changes, Time
from abci_app.hashing import u64
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.changes import MAX_BLOCKS_AT_ONCE, MAX_CHANGED_BYTES, MAX_KEPT_BLOCKS, CommittedChanges
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.memory_view import MemoryView
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.node.agent.due import DueEntries, WatchedDue
from dta.node.agent.state import StateClient, StateUnavailable
from dta.node.agent.watch import StateWatch
from dta.node.hooks.owed import Planned
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Pinned
from tests.support.actors import seeded
from tests.support.committed import told_after
from tests.support.patience import PATIENCE_S

T = TypeVar("T")
US, OTHER = b"\x01" * 32, b"\x02" * 32
START_S = 1_800_000_000
SUBJECTS = [bytes([n]) * 32 for n in range(2)]
JOBS = [Job(kind, subject) for kind in (DueKind.FULFIL_ORDER, DueKind.FULFIL_SECRET) for subject in SUBJECTS]


def entry(job: Job, who: bytes = US) -> bytes:
    return DUE.key(who, job.kind, job.subject)


def expected(view: MemoryView, height: int, time_s: int) -> Planned:
    return Planned(height, time_s, frozenset(plan(view, US, time_s, height + 1)))


class Ledger:
    """Committed state and its changes, in this process. ``breaks``: so many waits fail from now on.

    Its blocks are those of ``history``, as far as there are any: a ledger that is replayed has no others.
    """

    def __init__(self, history: list[tuple[int, dict[bytes, bytes | None]]] | None = None) -> None:
        self.history = [] if history is None else history
        self.view = MemoryView()
        self.height, self.time_s = 1, START_S
        self.committed = CommittedChanges(1, START_S)
        self.breaks = 0
        # Who is cancelled leaves its thread reading.
        self.reading = threading.Lock()
        self.scans = 0
        self.waits = 0

    def block(self, time_s: int, index: dict[bytes, bytes | None]) -> None:
        if len(self.history) < self.height:
            self.history.append((time_s, index))
        time_s, index = self.history[self.height - 1]
        changes = Changes(leaves=(), index=tuple(sorted(index.items())))
        with self.reading:
            self.height, self.time_s = self.height + 1, time_s
            self.view.apply(changes)
        self.committed.record(self.height, Time(time_s), changes)

    def start_again(self) -> None:
        self.committed = CommittedChanges(self.height, self.time_s)

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        with self.reading:
            self.scans += 1
            yield Pinned(self.view, self.height, self.time_s, self.view)

    async def after(self, height: int) -> pb.StateChanged:
        self.waits += 1
        if self.breaks:
            self.breaks -= 1
            raise StateUnavailable("broken")
        return await told_after(self.committed, height, [DUE.under(US)], ())

    async def close(self) -> None:
        pass


class Following(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.ledger = Ledger()
        self.owed = WatchedDue(self.ledger, self.ledger, US)
        self.seen = 0
        self.plans = {1: expected(self.ledger.view, 1, START_S)}

    def teardown(self) -> None:
        self.runner.close()

    def run(self, what: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await asyncio.wait_for(what, PATIENCE_S)

        return self.runner.run(awaited())

    @rule(
        writes=st.dictionaries(
            st.sampled_from(JOBS), st.none() | st.tuples(st.integers(-1, 4), st.integers(-1, 4)), max_size=6
        ),
        seconds=st.integers(0, 3),
        others=st.booleans(),
    )
    def a_block(self, writes: dict[Job, tuple[int, int] | None], seconds: int, others: bool) -> None:
        time_s = self.ledger.time_s + seconds
        index: dict[bytes, bytes | None] = {}
        for job, later in writes.items():
            value = None if later is None else u64(time_s + later[0]) + u64(self.ledger.height + later[1])
            index[entry(job, OTHER if others else US)] = value
        self.block(time_s, index)

    def block(self, time_s: int, index: dict[bytes, bytes | None]) -> None:
        self.ledger.block(time_s, index)
        self.plans[self.ledger.height] = expected(self.ledger.view, self.ledger.height, self.ledger.time_s)

    @rule(blocks=st.integers(1, 40), seconds=st.integers(0, 2))
    def many_blocks(self, blocks: int, seconds: int) -> None:
        for _ in range(blocks):
            self.block(self.ledger.time_s + seconds, {})

    @rule()
    def all_goes(self) -> None:
        self.block(self.ledger.time_s, {entry(job): None for job in JOBS})

    @rule()
    def the_application_starts_again(self) -> None:
        self.ledger.start_again()

    @rule()
    def the_application_loses_its_state_and_replays(self) -> None:
        before, self.ledger = self.ledger, Ledger(self.ledger.history)
        self.ledger.breaks = max(1, before.breaks)
        self.owed._state = self.owed._watch = self.ledger

    @rule(breaks=st.integers(1, 2))
    def the_connection_breaks(self, breaks: int) -> None:
        self.ledger.breaks = max(breaks, self.ledger.breaks)

    @precondition(lambda self: self.ledger.height > self.seen)
    @rule()
    def newer(self) -> None:
        for _ in range(8):
            with contextlib.suppress(StateUnavailable):
                found = self.run(self.owed.newer(self.seen))
                break
        # What it had seen of a state that was lost since is what the replayed one comes to.
        assert found == self.plans[found.height]
        assert found.height >= self.ledger.height
        self.seen = found.height

    @rule()
    def now(self) -> None:
        for _ in range(8):
            with contextlib.suppress(StateUnavailable):
                found = self.run(self.owed.now())
                break
        assert found == self.plans[self.ledger.height]
        self.seen = found.height

    @rule()
    def newer_is_cancelled(self) -> None:
        async def cancelled() -> None:
            waiting = asyncio.create_task(self.owed.newer(self.ledger.height))
            for _ in range(3):
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError, StateUnavailable):
                await waiting

        self.run(cancelled())

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        if self.owed._entries is not None:
            assert self.owed._entries.size <= 3 * len(JOBS) + 64


def test_whatever_comes_and_breaks_what_is_due_is_what_a_plan_of_the_state_says() -> None:
    run_state_machine_as_test(
        Following, settings=settings(deadline=None, max_examples=60, stateful_step_count=30)
    )


def test_an_entry_is_due_when_both_are_reached_as_it_was_written_last() -> None:
    entries = DueEntries(START_S, 5)
    first, second, third, fourth = JOBS[:4]
    entries.put(first, START_S, 6)
    entries.put(second, START_S + 10, 5)
    entries.put(third, START_S + 10, 7)
    entries.put(fourth, START_S, 5)
    assert entries.jobs == {fourth}
    entries.advance(START_S + 9, 6)
    assert entries.jobs == {first, fourth}
    entries.put(second, START_S + 20, 5)  # later than it was to be
    entries.put(fourth, START_S + 20, 5)
    entries.advance(START_S + 10, 6)
    assert entries.jobs == {first}
    entries.advance(START_S + 10, 7)
    assert entries.jobs == {first, third}
    entries.remove(third)
    entries.remove(second)
    entries.advance(START_S + 20, 7)
    assert entries.jobs == {first, fourth}


def test_after_a_cut_and_after_a_break_all_is_read_anew() -> None:
    async def run() -> None:
        ledger = Ledger()
        owed = WatchedDue(ledger, ledger, US)
        await owed.now()
        ledger.block(START_S, {entry(JOBS[0]): u64(0) + u64(0)})
        ledger.start_again()
        assert (await owed.newer(1)).jobs == {JOBS[0]}
        assert ledger.scans == 2
        ledger.breaks = 1
        ledger.block(START_S, {entry(JOBS[0]): None})
        with pytest.raises(StateUnavailable):
            await owed.newer(2)
        assert (await owed.newer(2)).jobs == frozenset()
        assert ledger.scans == 3

    asyncio.run(run())


def test_far_behind_it_goes_on_to_the_newest() -> None:
    async def run() -> None:
        ledger = Ledger()
        owed = WatchedDue(ledger, ledger, US)
        await owed.now()
        for _ in range(100):  # more than one answer has
            ledger.block(START_S, {})
        assert (await owed.newer(1)).height == 101

    asyncio.run(run())


def test_what_is_newer_is_the_newest_though_an_older_state_would_do() -> None:
    async def run() -> None:
        ledger = Ledger()
        owed = WatchedDue(ledger, ledger, US)
        await owed.now()
        ledger.block(START_S, {})
        assert (await owed.newer(0)).height == 2

    asyncio.run(run())


def test_what_went_or_moved_is_not_kept_for_ever() -> None:
    entries = DueEntries(START_S, 1)
    for later in range(1_000):
        entries.put(JOBS[0], START_S + 10 + later, 1)
        entries.put(JOBS[1], 0, 10 + later)
    assert entries.size < 100
    entries.advance(START_S + 1_009, 1_009)
    assert entries.jobs == {JOBS[0], JOBS[1]}


def test_while_nothing_breaks_the_index_is_read_once() -> None:
    async def run() -> None:
        ledger = Ledger()
        owed = WatchedDue(ledger, ledger, US)
        await owed.now()
        for _ in range(20):
            before = ledger.height
            ledger.block(ledger.time_s + 1, {entry(JOBS[0]): u64(0) + u64(0)})
            planned = await owed.newer(before)
            assert planned.jobs == {JOBS[0]}
        assert (ledger.scans, ledger.waits) == (1, 20)

    asyncio.run(run())


@pytest.mark.parametrize(("behind", "reads_again"), [(MAX_KEPT_BLOCKS, 0), (MAX_KEPT_BLOCKS + 1, 1)])
def test_a_thousand_blocks_with_changes_behind_it_comes_to_what_one_that_never_lagged_knows(
    behind: int, reads_again: int
) -> None:
    """The last that are kept are told; one more, and all is read anew."""

    async def run() -> None:
        ledger = Ledger()
        lagged, prompt = (WatchedDue(ledger, ledger, US) for _ in range(2))
        for owed in (lagged, prompt):
            await owed.now()
        for number in range(behind):
            index: dict[bytes, bytes | None] = {
                entry(Job(DueKind.FULFIL_ORDER, seeded("job", number))): u64(START_S + number % 7) + u64(number % 5),
                entry(Job(DueKind.FULFIL_ORDER, seeded("job", number - 20))): None,
            }
            ledger.block(START_S + number // 100, index)
            await prompt.newer(ledger.height - 1)
        scans, waits = ledger.scans, ledger.waits
        planned = await lagged.newer(1)
        assert ledger.scans == scans + reads_again
        assert ledger.waits - waits == (1 if reads_again else behind // MAX_BLOCKS_AT_ONCE)
        assert planned == expected(ledger.view, ledger.height, ledger.time_s) == await prompt.now()
        assert len(planned.jobs) == 20
        ledger.block(ledger.time_s, {entry(JOBS[0]): u64(0) + u64(0)})  # and both go on
        assert JOBS[0] in (await lagged.newer(ledger.height - 1)).jobs
        assert await lagged.now() == await prompt.now()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


# --- over the socket ---------------------------------------------------------------------------------------------
def changed(index: dict[Job, tuple[int, int] | None]) -> Changes:
    pairs = {entry(job): None if when is None else u64(when[0]) + u64(when[1]) for job, when in index.items()}
    return Changes(leaves=(), index=tuple(sorted(pairs.items())))


def test_what_is_due_is_told_over_the_read_socket_from_block_to_block(tmp_path: Path) -> None:
    database, path = StateDB(MemoryStore()), tmp_path / "state.sock"
    first, second, third = JOBS[:3]

    async def scenario() -> None:
        client = StateClient(path)
        owed = WatchedDue.at(client, path, US)
        with pytest.raises(StateUnavailable):
            await owed.now()
        with application(path, database) as served:
            await asyncio.to_thread(
                served.commit, 1, Time(START_S), changed({first: (0, 0), second: (START_S + 5, 0), third: (0, 4)})
            )
            assert await owed.now() == Planned(1, START_S, frozenset({first}))
            waiting = asyncio.create_task(owed.newer(1))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await asyncio.to_thread(served.commit, 2, Time(START_S + 5), changed({first: None}))
            assert await waiting == Planned(2, START_S + 5, frozenset({second}))
            waiting = asyncio.create_task(owed.newer(2))
            await asyncio.sleep(0.05)
            waiting.cancel()  # what was asked is answered to the next
            await asyncio.to_thread(served.commit, 3, Time(START_S + 6), changed({}))
            assert await owed.newer(2) == Planned(3, START_S + 6, frozenset({second, third}))
            waiting = asyncio.create_task(owed.newer(3))
            await asyncio.sleep(0.05)
        with pytest.raises(StateUnavailable, match="closed the connection"):
            await waiting
        with pytest.raises(StateUnavailable):
            await owed.newer(3)
        with application(path, database) as served:
            await asyncio.to_thread(served.commit, 4, Time(START_S + 7), changed({second: None}))
            assert await owed.newer(3) == Planned(4, START_S + 7, frozenset({third}))
            assert await owed.now() == Planned(4, START_S + 7, frozenset({third}))
            await owed.close()
        client.close()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_a_block_of_more_than_an_answer_is_told_over_the_read_socket_and_nothing_is_read_anew(tmp_path: Path) -> None:
    database, path = StateDB(MemoryStore()), tmp_path / "state.sock"
    jobs = [Job(DueKind.FULFIL_ORDER, seeded("job", number)) for number in range(5_000)]
    block = changed(dict.fromkeys(jobs, (0, 0)))
    assert sum(len(key) + len(value or b"") for key, value in block.index) > MAX_CHANGED_BYTES

    async def scenario() -> None:
        client = StateClient(path)
        owed = WatchedDue.at(client, path, US)
        with application(path, database) as served:
            await asyncio.to_thread(served.commit, 1, Time(START_S), changed({JOBS[0]: (0, 0)}))
            await owed.now()
            entries = owed._entries
            await asyncio.to_thread(served.commit, 2, Time(START_S), block)
            assert await owed.newer(1) == Planned(2, START_S, frozenset({JOBS[0], *jobs}))
            await asyncio.to_thread(served.commit, 3, Time(START_S), changed(dict.fromkeys(jobs[1:])))
            await asyncio.to_thread(served.commit, 4, Time(START_S), changed({jobs[1]: (0, 0)}))
            assert await owed.newer(3) == Planned(4, START_S, frozenset({JOBS[0], *jobs[:2]}))
            assert owed._entries is entries
            await owed.close()
        client.close()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[None]:
    """A socket that gives each question the next of these answers, and closes after the last."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for answer in answers:
                    connection.recv(4096)
                    connection.sendall(answer)
                if not answers:
                    connection.recv(4096)
                    over.wait(PATIENCE_S)

        over = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        over.set()
        thread.join(PATIENCE_S)


def framed(answer: pb.StateResponse) -> bytes:
    message = answer.SerializeToString()
    assert len(message) < 128
    return bytes([len(message)]) + message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\xff\xff\xff\xff\xff\xff", "too large"),
        (b"\x02\xff\xff", "malformed"),
        (b"\x05a", "closed the connection"),
        (b"", "closed the connection"),
        (framed(pb.StateResponse(pinned=pb.StatePinned())), "another question"),
        (framed(pb.StateResponse(refusal=pb.StateRefusal(message="no"))), "refused a request: no"),
        (framed(pb.StateResponse(changed=pb.StateChanged(height=4))), "another question"),
        (framed(pb.StateResponse(changed=pb.StateChanged(height=5, is_cut=True))), "another question"),
        (framed(pb.StateResponse(changed=pb.StateChanged(height=5, is_part=True))), "another question"),
        (framed(pb.StateResponse(changed=pb.StateChanged(height=6, is_part=True))), "nothing new"),
    ],
    ids=[
        "huge", "garbage", "cut short", "nothing", "of another kind", "a refusal", "from before", "cut at the head",
        "a part of no block", "a part with nothing",
    ],
)
def test_what_the_socket_should_not_say_is_an_error_and_no_hang(tmp_path: Path, answer: bytes, reason: str) -> None:
    async def scenario() -> None:
        watch = StateWatch(tmp_path / "s", index_prefixes=[b"i/"])
        with answering(tmp_path / "s", answer), pytest.raises(StateUnavailable, match=reason):
            await watch.after(5)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_an_application_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        watch = StateWatch(tmp_path / "s", index_prefixes=[b"i/"], timeout_s=0.2)
        with answering(tmp_path / "s"), pytest.raises(StateUnavailable, match="no answer in time"):
            await watch.after(5)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
