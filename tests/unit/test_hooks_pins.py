"""Which blocks are wanted, followed: what a reading of the whole state says, and no more is read than changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.block import Changes, Time
from abci_app.cid import cid_of
from abci_app.pb.dta.v1 import custody_pb2, identity_pb2
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.changes import CommittedChanges
from abci_app.state.indexes import OPEN_REQUESTS, VAULT_ORDERS
from abci_app.state.memory_view import MemoryView
from abci_app.state.records import IDENTITIES, ORDERS, REQUESTS
from abci_app.state.view import StateView
from dta.blocks.reconcile import PinKeeper
from dta.client.ledger.rpc import AsyncRpc
from dta.node.agent.documents import DocumentsOnChain
from dta.node.agent.pinning import PinFollower
from dta.node.agent.pins import INDEX_PREFIXES, LEAF_PREFIXES, WantedPins
from dta.node.hooks.tools import Pinned
from tests.support.actors import Actor
from tests.support.chain import Chain

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

    def block(self, leaves: Leaves, index: Leaves) -> None:
        self.height += 1
        changes = Changes(leaves=tuple(sorted(leaves.items())), index=tuple(sorted(index.items())))
        self.view.apply(changes)
        self.committed.record(self.height, Time(self.height), changes)

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        yield Pinned(self.view, self.height, self.height, self.view)

    async def after(self, height: int) -> pb.StateChanged:
        return await self.committed.after(height, INDEX_PREFIXES, LEAF_PREFIXES)

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


def order(id_: bytes, cid: str) -> tuple[Leaves, Leaves]:
    record = custody_pb2.OrderRecord(id=id_, envelope_cid=cid)
    return {ORDERS.key(id_): record.SerializeToString()}, {VAULT_ORDERS.key(VAULT, id_): b"\x01"}


def request(id_: bytes, cid: str) -> tuple[Leaves, Leaves]:
    record = custody_pb2.RequestRecord(id=id_, keys_cid=cid)
    return {REQUESTS.key(id_): record.SerializeToString()}, {OPEN_REQUESTS.key(VAULT, id_): b"\x01"}


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
            opened = order(id_, cid) if kind == "order" else request(other, cid)
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


def test_no_more_is_read_than_what_opened_and_nothing_while_nothing_changes() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        for number in range(100):
            ledger.block(*order(bytes([number]) * 32, cid_of(b"%d" % number)))
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
        ledger.block(*order(b"\xaa" * 32, cid_of(b"new")))
        await follow.step()
        assert (ledger.view.gets, ledger.view.scans) == (1, 0)
        assert (looked.cids, wanted.count) == ([cid_of(b"5"), cid_of(b"new")], 100)
        ledger.committed = CommittedChanges(ledger.height + 1, 0)
        await follow.step()
        await follow.step()  # whole, but what orders name is known
        assert (ledger.view.gets, looked.all) == (1, 2)

    asyncio.run(scenario())


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
