"""What waits for a later block is not read by this one, however much it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from abci_app import transition
from abci_app.hashing import u64
from abci_app.messages.registry import INDEXES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.collection import AnyIndex, Part
from abci_app.state.indexes import (
    DEADLINE_HEIGHT,
    DEADLINE_TIME,
    OPEN_CEREMONIES,
    QUEUES,
    RELEASE_QUEUE,
    RESTARTS,
    REVOKED_REQUESTERS,
    UNSIGNED,
    VETO_WINDOWS,
    WAITING_PROPOSALS,
    put_key,
)
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from tests.support.actors import seeded
from tests.support.chain import GENESIS_TIME_S, Chain

MANY = 300
IN_TEN_YEARS = GENESIS_TIME_S + 315_360_000
AT_WORK = (OPEN_CEREMONIES, RELEASE_QUEUE, RESTARTS, REVOKED_REQUESTERS, UNSIGNED, WAITING_PROPOSALS)
"""What is in these the next block has to do with: it is bounded by what may be open, or done within a budget."""


class Counting(MemoryView):
    """Counts the index entries that were read, by what their key begins with."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[bytes] = Counter()

    def index_scan(
        self, prefix: bytes, after: bytes = b"", limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        for key, value in super().index_scan(prefix, after, limit):
            self.read[key.partition(b"/")[0]] += 1
            yield key, value


def value_of(part: Part, number: int) -> bytes | int:
    if part.widths == (1,):
        return int(pb.RELEASE_STAGE_VETO_TIME) + number % 2
    return IN_TEN_YEARS + number if part.widths in ((4,), (8,)) else seeded(part.name, number)


@pytest.mark.parametrize("seconds", [1, 86_400])
def test_a_block_reads_no_more_however_much_waits_for_later(seconds: int) -> None:
    chain = Chain()
    view = chain.view = Counting()
    view.apply(transition.init_chain(chain.genesis))
    for _ in range(2):  # the two kinds of deadline take turns at going first
        chain.block(seconds=seconds)
    alone = view.read.copy()
    state = Overlay(view)
    notes = [queue.first for queue in QUEUES]
    waiting: list[AnyIndex] = [one for one in INDEXES if one not in (*AT_WORK, *notes) and one.parts]
    assert {DEADLINE_TIME, DEADLINE_HEIGHT, VETO_WINDOWS} <= set(waiting)
    for index in waiting:
        for number in range(MANY):
            put_key(state, index.key(*(value_of(part, number) for part in index.parts)))
    view.apply(state.changes())
    view.read.clear()
    for _ in range(2):
        chain.block(seconds=seconds)
    # The first that is not due, and the one behind it that a scan has in hand; of a queue not even these.
    assert all(read <= alone[name] + 8 for name, read in view.read.items()), view.read
    assert not [queue for queue in QUEUES if view.read[queue.prefix[:-1]]]
    noted = DEADLINE_TIME.first.find(view) or b""
    assert noted[8:16] == u64(IN_TEN_YEARS), "it is known when there is something to do"


def test_of_what_is_not_due_a_queue_reads_one_entry() -> None:
    view = Counting()
    state = Overlay(view)
    for number in range(MANY):
        DEADLINE_TIME.put(state, number // 2, 1, seeded("subject", number))
    view.apply(state.changes())
    for last in (0, 1):
        view.read.clear()
        assert len(DEADLINE_TIME.due(Overlay(view), 1, last, limit=MANY)) == 2 + 2 * last
        assert view.read[b"deadline-time"] <= 2 + 2 * last + 2  # and one that a scan has in hand
