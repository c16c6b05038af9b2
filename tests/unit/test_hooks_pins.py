"""Which blocks are wanted, followed: what a reading of the whole state says, and no more is read than changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hooks_state_socket import application

from abci_app.block import Changes, Time
from abci_app.cid import cid_of
from abci_app.pb.dta.v1 import custody_pb2, identity_pb2
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.changes import MAX_BLOCKS_AT_ONCE, MAX_CHANGED_BYTES, MAX_KEPT_BLOCKS, CommittedChanges
from abci_app.state.indexes import OPEN_REQUESTS, VAULT_ORDERS, block_named
from abci_app.state.memory_view import MemoryView
from abci_app.state.records import IDENTITIES, ORDERS, REQUESTS
from abci_app.state.view import StateView
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.blocks.reconcile import PinKeeper
from dta.client.ledger.rpc import AsyncRpc
from dta.node.agent.documents import DocumentsOnChain
from dta.node.agent.pinning import PinFollower
from dta.node.agent.pins import INDEX_PREFIXES, LEAF_PREFIXES, READ_AT_ONCE, WantedPins
from dta.node.agent.state import StateClient, StateUnavailable
from dta.node.agent.watch import StateWatch
from dta.node.hooks.tools import Pinned
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain
from tests.support.committed import told_after
from tests.support.patience import PATIENCE_S

VAULT = b"\x07" * 32
IDS = [bytes([n]) * 32 for n in range(1, 5)]
CIDS = ["", *(cid_of(b"%d" % n) for n in range(4))]
cids = st.sampled_from(CIDS)
Leaves = dict[bytes, bytes | None]


class CountingView(MemoryView):
    """Counts what is read."""

    gets = 0
    scans = 0

    def get(self, key: bytes) -> bytes | None:
        self.gets += 1
        return super().get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        self.scans += 1
        return super().scan(prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        self.scans += 1
        return super().index_scan(prefix, after, limit)


class Ledger:
    """Committed state and its changes, in this process."""

    def __init__(self) -> None:
        self.view = CountingView()
        self.height = 1
        self.committed = CommittedChanges(1, 0, held_s=0.001)
        self.waits = 0

    def block(self, leaves: Leaves, index: Leaves) -> None:
        self.height += 1
        changes = Changes(leaves=tuple(sorted(leaves.items())), index=tuple(sorted(index.items())))
        self.view.apply(changes)
        self.committed.record(self.height, Time(self.height), changes)

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        yield Pinned(self.view, self.height, self.height, self.view)

    async def after(self, height: int) -> pb.StateChanged:
        self.waits += 1
        return await told_after(self.committed, height, INDEX_PREFIXES, LEAF_PREFIXES)

    async def close(self) -> None:
        pass


class Counted:
    """What who counts uploads was told."""

    def __init__(self) -> None:
        self.all = 0
        self.cids: list[str] = []

    def named(self, cids: Iterable[str]) -> None:
        self.cids += cids

    async def look_at_all(self) -> None:
        self.all += 1


class Looked:
    """What a keeper was told."""

    is_whole = True

    def __init__(self) -> None:
        self.all = 0
        self.cids: list[str] = []
        self.uploads = Counted()

    def look_at_all(self) -> None:
        self.all += 1

    def look_later(self, cids: list[str]) -> None:
        self.cids += cids


def follower(ledger: Ledger) -> tuple[PinFollower, WantedPins, Looked]:
    wanted, looked = WantedPins(), Looked()
    keeper = cast(PinKeeper, looked)
    return PinFollower(ledger, ledger, wanted, keeper, looked.uploads, between_s=0.0), wanted, looked


def expected(view: StateView) -> set[str]:
    named = {one.document_cid for one in IDENTITIES.all(view)}
    named |= {ORDERS.get(view, order).envelope_cid for _, order in VAULT_ORDERS.entries(view)}
    named |= {REQUESTS.get(view, request).keys_cid for _, request in OPEN_REQUESTS.entries(view)}
    return named - {""}


def identity(id_: bytes, cid: str) -> Leaves:
    record = identity_pb2.IdentityRecord(id=id_, document_cid=cid)
    return {IDENTITIES.key(id_): record.SerializeToString(deterministic=True)}


def entry(cid: str, is_old: bool) -> bytes:
    """An index entry's value: what is named, or as an earlier version wrote it."""
    return b"\x01" if is_old else block_named(cid)


def order(id_: bytes, cid: str, *, is_old: bool = False) -> tuple[Leaves, Leaves]:
    record = custody_pb2.OrderRecord(id=id_, envelope_cid=cid)
    return {ORDERS.key(id_): record.SerializeToString()}, {VAULT_ORDERS.key(VAULT, id_): entry(cid, is_old)}


def request(id_: bytes, cid: str, *, is_old: bool = False) -> tuple[Leaves, Leaves]:
    record = custody_pb2.RequestRecord(id=id_, keys_cid=cid)
    return {REQUESTS.key(id_): record.SerializeToString()}, {OPEN_REQUESTS.key(VAULT, id_): entry(cid, is_old)}


def block_of(happened: list[tuple[str, bytes, str]]) -> tuple[Leaves, Leaves]:
    """A request's id is none of an order's."""
    leaves: Leaves = {}
    index: Leaves = {}
    for kind, id_, cid in happened:
        other = bytes(reversed(id_[1:])) + b"r"
        if kind == "identity":
            leaves |= identity(id_, cid)
        elif kind == "close order":
            index[VAULT_ORDERS.key(VAULT, id_)] = None
        elif kind == "close request":
            index[OPEN_REQUESTS.key(VAULT, other)] = None
        else:
            is_old = id_[-1] % 4 == 0
            opened = order(id_, cid, is_old=is_old) if kind == "order" else request(other, cid, is_old=is_old)
            leaves |= opened[0]
            index |= opened[1]
    return leaves, index


async def catch_up(follow: PinFollower, height: int) -> None:
    await follow.step()
    while follow._height != height:
        await follow.step()


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[str, bytes, str]]]:
    """Blocks of what happens to whom. What an order or a request names is the same for ever."""
    names = {id_: draw(cids) for id_ in IDS}
    one = st.one_of(
        st.tuples(st.just("identity"), st.sampled_from(IDS), cids),
        *(
            st.sampled_from(IDS).map(lambda id_, kind=kind: (kind, id_, names[id_]))  # type: ignore[misc]
            for kind in ("order", "request", "close order", "close request")
        ),
    )
    return draw(st.lists(st.lists(one, max_size=6), min_size=1, max_size=10))


@settings(deadline=None)
@given(histories(), st.data())
def test_what_is_wanted_is_what_state_names_whatever_happens(
    history: list[list[tuple[str, bytes, str]]], data: st.DataObject
) -> None:
    async def scenario() -> None:
        ledger = Ledger()
        follow, wanted, looked = follower(ledger)
        for happened in history:
            ledger.block(*block_of(happened))
            if data.draw(st.booleans()):
                before, was_all = set(wanted.cids()), looked.all
                looked.cids.clear()
                looked.uploads.cids.clear()
                await catch_up(follow, ledger.height)
                assert set(wanted.cids()) == expected(ledger.view)
                assert all(wanted.wants(cid) is (cid in expected(ledger.view)) for cid in CIDS[1:])
                assert looked.uploads.all == looked.all
                assert looked.uploads.cids == looked.cids
                if looked.all == was_all:
                    assert before ^ set(wanted.cids()) <= set(looked.cids)
            if data.draw(st.integers(0, 5)) == 0:
                ledger.committed = CommittedChanges(ledger.height, ledger.height, held_s=0.001)

    asyncio.run(scenario())


def many_orders(count: int, *, is_old: bool) -> Ledger:
    ledger, leaves, index = Ledger(), {}, {}
    for number in range(count):
        opened = order(number.to_bytes(32, "big"), CIDS[1], is_old=is_old)
        leaves |= opened[0]
        index |= opened[1]
    ledger.block(leaves, index)
    return ledger


def test_the_application_is_left_alone_after_each_page_of_records_read_or_known() -> None:
    view, wanted = many_orders(2 * READ_AT_ONCE + 50, is_old=True).view, WantedPins()
    read_by_then: list[int] = []
    wanted.replace(wanted.read(view, lambda _: read_by_then.append(view.gets)))
    assert read_by_then == [READ_AT_ONCE, 2 * READ_AT_ONCE, 2 * READ_AT_ONCE + 50]
    wanted.read(view, lambda _: read_by_then.append(view.gets))
    assert read_by_then[3:] == [read_by_then[2]] * 3, "what is known is not read again, and its names are pages too"


def test_no_record_is_read_to_know_what_open_orders_and_requests_name() -> None:
    ledger, wanted, paused = many_orders(2 * READ_AT_ONCE + 50, is_old=False), WantedPins(), list[float]()
    ledger.block(*order(b"\xaa" * 32, ""))
    ledger.block(*request(b"\xbb" * 32, CIDS[2]))
    found = wanted.read(ledger.view, paused.append)
    assert (ledger.view.gets, len(paused)) == (0, 4)
    wanted.replace(found)
    assert set(wanted.cids()) == {CIDS[1], CIDS[2]} == expected(ledger.view)


def test_a_reading_of_all_ends_with_the_agent() -> None:
    async def scenario() -> None:
        ledger = many_orders(READ_AT_ONCE + 1, is_old=True)
        follow, wanted, looked = follower(ledger)
        await follow.close()
        with pytest.raises(StateUnavailable):
            await follow.step()
        assert (ledger.view.gets, wanted.count, looked.all) == (READ_AT_ONCE, 0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("is_old", [True, False])
def test_no_more_is_read_than_what_opened_and_nothing_while_nothing_changes(is_old: bool) -> None:
    async def scenario() -> None:
        ledger = Ledger()
        for number in range(100):
            ledger.block(*order(bytes([number]) * 32, cid_of(b"%d" % number), is_old=is_old))
        follow, wanted, looked = follower(ledger)
        await follow.step()
        assert (wanted.count, looked.all) == (100, 1)
        ledger.view.gets = ledger.view.scans = 0
        await follow.step()  # a while without a block
        ledger.block({}, {})
        await follow.step()
        ledger.block({}, {VAULT_ORDERS.key(VAULT, b"\x05" * 32): None})
        await follow.step()
        assert (ledger.view.gets, ledger.view.scans) == (0, 0)
        assert looked.cids == [cid_of(b"5")]
        ledger.block(*order(b"\xaa" * 32, cid_of(b"new"), is_old=is_old))
        await follow.step()
        assert (ledger.view.gets, ledger.view.scans) == (is_old, 0)
        assert (looked.cids, wanted.count) == ([cid_of(b"5"), cid_of(b"new")], 100)
        ledger.committed = CommittedChanges(ledger.height + 1, 0)
        await follow.step()
        await follow.step()  # whole, but what orders name is known
        assert (ledger.view.gets, looked.all) == (is_old, 2)

    asyncio.run(scenario())


@pytest.mark.parametrize(("behind", "reads_again"), [(MAX_KEPT_BLOCKS, 0), (MAX_KEPT_BLOCKS + 1, 1)])
def test_a_thousand_blocks_with_changes_behind_it_wants_what_one_that_never_lagged_wants(
    behind: int, reads_again: int
) -> None:
    """The last that are kept are told; one more, and all is read anew, and looked at."""

    async def scenario() -> None:
        ledger = Ledger()
        (lagging, lagged, looked), (prompt, wanted, _) = follower(ledger), follower(ledger)
        await lagging.step()
        for number in range(behind):
            happened = [
                ("order", seeded("order", number), cid_of(b"%d" % number)),
                ("close order", seeded("order", number - 20), ""),
                ("request", seeded("order", number), cid_of(b"keys %d" % number)),
                ("close request", seeded("order", number - 10), ""),
                ("identity", IDS[number % 4], cid_of(b"document %d" % number)),
            ]
            ledger.block(*block_of(happened))
            await prompt.step()
        assert (prompt._height, looked.all) == (ledger.height, 1)
        waits = ledger.waits
        await catch_up(lagging, ledger.height)
        assert looked.all == 1 + reads_again
        # Where all is read anew: that it is cut off, and that there is nothing yet after what was read.
        assert ledger.waits - waits == (2 if reads_again else behind // MAX_BLOCKS_AT_ONCE)
        assert set(lagged.cids()) == set(wanted.cids()) == expected(ledger.view)
        assert lagged.count == 20 + 10 + len(IDS)
        assert reads_again or set(lagged.cids()) <= set(looked.cids)
        ledger.block(*order(b"\xaa" * 32, cid_of(b"new")))
        for one in (lagging, prompt):
            await one.step()
        assert set(lagged.cids()) == set(wanted.cids()) == expected(ledger.view)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_a_block_of_more_than_an_answer_is_told_over_the_read_socket_and_nothing_is_read_anew(tmp_path: Path) -> None:
    database, path = StateDB(MemoryStore()), tmp_path / "state.sock"
    leaves: Leaves = {}
    index: Leaves = {}
    for number in range(4_000):
        opened = order(seeded("order", number), cid_of(b"%d" % number))
        leaves |= opened[0] | identity(seeded("who", number), cid_of(b"document %d" % number))
        index |= opened[1]
    documents = [(key, value or b"") for key, value in leaves.items() if key.startswith(LEAF_PREFIXES)]
    for told in (documents, [(key, value or b"") for key, value in index.items()]):
        assert sum(len(key) + len(value) for key, value in told) > MAX_CHANGED_BYTES

    async def scenario() -> None:
        client, wanted, looked = StateClient(path), WantedPins(), Looked()
        watch = StateWatch(path, index_prefixes=INDEX_PREFIXES, leaf_prefixes=LEAF_PREFIXES)
        follow = PinFollower(client, watch, wanted, cast(PinKeeper, looked), looked.uploads, between_s=0.0)
        with application(path, database) as served:

            async def block(height: int, leaves: Leaves, index: Leaves) -> None:
                changes = Changes(tuple(sorted(leaves.items())), tuple(sorted(index.items())))
                await asyncio.to_thread(served.commit, height, Time(height), changes)

            await block(1, {}, {})
            await block(2, leaves, index)
            follow._height = 1
            wanted.replace(WantedPins().read(MemoryView()))
            await follow.step()
            assert (follow._height, wanted.count, looked.all) == (2, 8_000, 0)
            assert set(wanted.cids()) == set(looked.cids)
            await block(3, {}, dict.fromkeys(index))
            await follow.step()
            assert (follow._height, wanted.count, looked.all) == (3, 4_000, 0)
            await follow.close()
        client.close()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_a_block_that_two_name_is_wanted_until_neither_does() -> None:
    async def scenario() -> None:
        ledger, cid = Ledger(), CIDS[1]
        follow, wanted, looked = follower(ledger)
        await follow.step()
        for id_ in IDS[:2]:
            ledger.block(*order(id_, cid))
            await follow.step()
        for id_, is_wanted in zip(IDS[:2], (True, False), strict=True):
            ledger.block({}, {VAULT_ORDERS.key(VAULT, id_): None})
            await follow.step()
            assert wanted.wants(cid) is is_wanted
        assert looked.cids == [cid, cid, cid]

    asyncio.run(scenario())


def test_what_opened_and_closed_between_two_answers_is_told_though_it_is_not_wanted() -> None:
    """A release may be over before the next answer: its keys were uploaded, and nothing else would let go of them."""

    async def scenario() -> None:
        ledger = Ledger()
        follow, wanted, looked = follower(ledger)
        await follow.step()
        ledger.block(*request(IDS[0], CIDS[1]))
        ledger.block({}, {OPEN_REQUESTS.key(VAULT, IDS[0]): None})
        await follow.step()
        assert (wanted.count, looked.cids, looked.uploads.cids) == (0, [CIDS[1]], [CIDS[1]])

    asyncio.run(scenario())


def test_what_was_let_go_may_be_deleted_only_where_all_that_state_names_is_known_and_looked_at() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        follow, _, looked = follower(ledger)
        assert not follow.knows(1)
        await follow.step()
        assert follow.knows(ledger.height)
        assert not follow.knows(ledger.height + 1)
        looked.is_whole = False
        assert not follow.knows(ledger.height)
        looked.is_whole = True
        ledger.committed = CommittedChanges(ledger.height + 1, 0)
        await follow.step()
        assert not follow.knows(ledger.height), "what is cut off is read anew first"

    asyncio.run(scenario())


def test_whose_document_it_is_is_known_until_there_is_another() -> None:
    ledger = Ledger()
    follow, wanted, _ = follower(ledger)

    async def scenario() -> None:
        ledger.block(identity(IDS[0], CIDS[1]), {})
        await follow.step()
        assert wanted.identity_of(CIDS[1]) == IDS[0]
        ledger.block(identity(IDS[0], CIDS[2]), {})
        await follow.step()
        assert (wanted.identity_of(CIDS[1]), wanted.identity_of(CIDS[2])) == (None, IDS[0])
        ledger.block(*order(IDS[1], CIDS[3]))
        await follow.step()
        assert wanted.identity_of(CIDS[3]) is None

    asyncio.run(scenario())


def test_a_document_is_found_in_genesis_or_asked_of_the_transaction_that_brought_it(tmp_path: Path) -> None:
    chain = Chain(2)
    ledger = Ledger()
    ledger.view.apply(Changes(tuple(sorted(chain.view.leaves.items())), tuple(sorted(chain.view.index.items()))))
    newcomer = Actor("bob")
    genesis = tmp_path / "genesis.json"
    genesis.write_text(f'{{"app_state": {chain.genesis.app_state.decode()}}}')
    founder = chain.founders[0]
    named = {cid_of(founder.block): founder.identity, cid_of(newcomer.block): newcomer.identity}
    documents = DocumentsOnChain(ledger, cast(AsyncRpc, None), genesis, named.get)

    async def scenario() -> None:
        assert await documents.find(cid_of(founder.block)) == founder.block
        assert await documents.find(cid_of(newcomer.block)) is None  # state has no such identity
        assert await documents.find(CIDS[1]) is None  # nobody's document

    asyncio.run(scenario())
