"""Submitting through doors that nobody believes: one that drops, refuses, makes up or hides is left for another."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from abci_app.block import TxResult
from abci_app.codes import Code
from dta.base.errors import Expired, NotVerified, RefusedByLedger, TimedOut
from dta.client.ledger.headers import Trust
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.client.ledger.submit import Committed, Patience, submit
from dta.light.hashes import data_hash
from tests.support.light_chain import Chain, ClockedRpc, Node, RpcFailure, b64, members, result_json
from tests.support.refusals import refused
from tests.unit.test_client_submit import OTHER, TX


class Mempool(Node):
    """A node that takes transactions into a pool, from which the chain's next block takes them."""

    def __init__(self, chain: Chain, pool: list[bytes], **options: Any) -> None:
        super().__init__(chain, check_tx=self._take, **options)
        self.pool = pool
        self.sent: list[bytes] = []

    def _take(self, tx: bytes) -> dict[str, Any]:
        self.sent.append(tx)
        self.pool.append(tx)
        return {"code": 0}


class World:
    """Doors ``a``, ``b``, ... at nodes of one chain, which has a block more at each sleep."""

    def __init__(self, *nodes: Node, chain: Chain, pool: list[bytes], result: TxResult | None = None) -> None:
        self.chain, self.pool, self.nodes = chain, pool, dict(zip("abc", nodes, strict=False))
        self.result = result or TxResult(0, b"data", "", 7, 5)
        self.rpc = ClockedRpc(nodes[0], on_sleep=self.grow)
        first, *others = self.nodes
        Rpc.__init__(
            self.rpc, door_rpc(f"http://{first}.test"), others=[door_rpc(f"http://{one}.test") for one in others],
            transport=httpx.MockTransport(lambda request: self.nodes[request.url.host[0]].handle(request)),
        )  # fmt: skip

    def grow(self) -> None:
        taken = [tx for tx in dict.fromkeys(self.pool) if all(tx not in txs for txs in self.chain.txs.values())]
        self.chain.add(txs=[OTHER, *taken], results=[TxResult(0), *(self.result for _ in taken)])

    def submit(self, trust: Trust | None = None, **options: Any) -> Committed:
        patience = Patience(resend_s=1.0)
        return self.rpc.run(submit(TX, patience, trust=trust or Trust(self.chain.trust_file()), **options))


def moved_trust(chain: Chain, height: int = 4) -> Trust:
    """From a home's trust file as an earlier command leaves it: moved to a header, before which nothing is proved."""
    trust = Trust(chain.trust_file())
    ClockedRpc(Node(chain)).run(trust.state_at(height))
    return Trust(trust.moved_file())


def chain_of(blocks: int = 5) -> Chain:
    chain = Chain(members(4))
    for _ in range(blocks):
        chain.add()
    return chain


def worlds(liar: Any, honest: int = 1, **options: Any) -> World:
    """A world whose first door is what ``liar`` makes of a chain and a pool."""
    chain, pool = chain_of(), []
    return World(liar(chain, pool), *(Mempool(chain, pool) for _ in range(honest)), chain=chain, pool=pool, **options)


def test_what_came_of_it_is_proved_by_the_headers_of_its_block_and_of_the_next_one() -> None:
    world = worlds(Mempool, honest=0, result=TxResult(int(Code.ORDER_NOT_OPEN), b"d", "said", 3, 2))
    done = world.submit()
    refused(done, Code.ORDER_NOT_OPEN)
    assert (done.data, done.gas_wanted, done.gas_used) == (b"d", 3, 2)
    assert TX.tx in world.chain.txs[done.height]
    assert world.chain.height > done.height


def drops(chain: Chain, pool: list[bytes]) -> Node:
    """Says OK to what it passes on to nobody."""
    return Mempool(chain, [])


def refuses(chain: Chain, pool: list[bytes]) -> Node:
    return Node(chain, check_tx=lambda tx: {"code": int(Code.UNKNOWN_SIGNER), "log": "who?"})


def is_always_busy(chain: Chain, pool: list[bytes]) -> Node:
    return Node(chain, check_tx=lambda tx: {"code": int(Code.BUSY)})


def makes_up_an_index(chain: Chain, pool: list[bytes]) -> Node:
    return has_it_at(3, drops(chain, pool))


def has_it_at(height: int, node: Node, result: TxResult | None = None) -> Node:
    """The node, with an index that says that the transaction is in that block."""

    def do_tx(params: dict[str, Any]) -> Any:
        return {
            "hash": TX.tx_hash.hex().upper(), "height": str(height), "index": 0, "tx": b64(TX.tx),
            "tx_result": result_json(result or TxResult(0, b"made up")),
        }  # fmt: skip

    node.do_tx = do_tx  # type: ignore[method-assign]
    return node


def says_it_is_old(chain: Chain, pool: list[bytes]) -> Node:
    """It had it before, and in a block that is not after the trust file's: there it could not be proved."""
    return has_it_at(3, Node(chain, check_tx=lambda tx: {"code": int(Code.REPLAYED)}))


def says_it_is_in_its_cache(chain: Chain, pool: list[bytes]) -> Node:
    def check_tx(tx: bytes) -> dict[str, Any]:
        raise RpcFailure("tx already exists in cache")

    return has_it_at(3, Node(chain, check_tx=check_tx))


def makes_up_a_block(chain: Chain, pool: list[bytes]) -> Node:
    def block(params: dict[str, Any], honest: Any) -> Any:
        honest["block"]["data"]["txs"] = [b64(TX.tx)]
        return honest

    def results(params: dict[str, Any], honest: Any) -> Any:
        return {**honest, "txs_results": [result_json(TxResult(0))]}

    node = drops(chain, pool)
    node.indexing = False
    node.lies = {"block": block, "block_results": results}
    return node


def makes_up_a_height(chain: Chain, pool: list[bytes]) -> Node:
    def status(params: dict[str, Any], honest: Any) -> Any:
        honest["sync_info"]["latest_block_height"] = "900000"
        return honest

    node = drops(chain, pool)
    node.lies = {"status": status}
    return node


def hides_it(chain: Chain, pool: list[bytes]) -> Node:
    """Passes it on, and shows blocks without it."""
    node = Mempool(chain, pool, indexing=False)

    def block(params: dict[str, Any], honest: Any) -> Any:
        honest["block"]["data"]["txs"] = []
        return honest

    node.lies = {"block": block}
    return node


def says_a_later_block(chain: Chain, pool: list[bytes]) -> Node:
    """It is in a block that is to come: nothing is decided, and nothing ever will be."""
    return has_it_at(10**9, drops(chain, pool))


def stands_still(chain: Chain, pool: list[bytes]) -> Node:
    """Drops it, and shows no newer block, so that nothing of it is decided."""

    def status(params: dict[str, Any], honest: Any) -> Any:
        honest["sync_info"]["latest_block_height"] = "5"
        return honest

    node = drops(chain, pool)
    node.indexing, node.lies = False, {"status": status}
    return node


LIARS = [
    drops, refuses, is_always_busy, makes_up_an_index, makes_up_a_block, makes_up_a_height, hides_it, says_it_is_old,
    says_it_is_in_its_cache, says_a_later_block, stands_still,
]  # fmt: skip


@pytest.mark.parametrize("moved", [False, True], ids=["from-genesis", "moved"])
@pytest.mark.parametrize("liar", LIARS)
def test_a_door_that_lies_about_a_transaction_is_left_for_one_that_does_not(liar: Any, moved: bool) -> None:
    world = worlds(liar, honest=2)
    done = world.submit(moved_trust(world.chain) if moved else None)
    assert (done.code, done.data) == (0, b"data")
    assert TX.tx in world.chain.txs[done.height]


def test_a_door_that_hides_it_is_left_long_before_the_expiry() -> None:
    world = worlds(hides_it, honest=2)
    assert world.submit().height == 6
    assert world.chain.height < TX.expires_at_height


def test_a_block_that_is_to_come_is_a_lie_at_once() -> None:
    with pytest.raises(TimedOut, match=r"height 1000000000, and has only \d+ blocks"):
        worlds(says_a_later_block, honest=0).submit()


def test_a_block_that_came_since_the_door_was_asked_is_no_lie() -> None:
    """The door's status is from before the block: it is asked again, and not left for what it found."""

    def status(params: dict[str, Any], honest: Any) -> Any:
        if node.calls.count("status") == 3:
            honest["sync_info"]["latest_block_height"] = "5"
        return honest

    chain, pool = chain_of(), []
    node = Mempool(chain, pool, lies={"status": status})
    other = Mempool(chain, pool)
    assert World(node, other, chain=chain, pool=pool).submit().height == 6
    assert "tx" not in other.calls


@pytest.mark.parametrize("liar", [says_it_is_old, says_it_is_in_its_cache])
def test_bytes_that_were_just_made_are_in_no_older_block_whoever_says_so(liar: Any) -> None:
    world = worlds(liar, honest=0)
    with pytest.raises((TimedOut, RefusedByLedger)):
        world.submit(moved_trust(world.chain))


def test_what_is_older_than_the_trust_file_is_believed_where_every_door_says_it_and_may() -> None:
    """Of bytes that an earlier command may have sent; where doors contradict each other, of none."""
    chain = chain_of()
    chain.txs[3] = (TX.tx,)  # no header says so: it is before the trust file's
    nodes = [Node(chain, check_tx=lambda tx: {"code": int(Code.REPLAYED)}) for _ in range(3)]
    chain.results[3] = (TxResult(0, b"old"),)
    world = World(*nodes, chain=chain, pool=[])
    done = world.submit(moved_trust(chain), sent_earlier=True)
    assert (done.height, done.data) == (3, b"old")
    assert all("tx" in node.calls for node in nodes)
    has_it_at(3, nodes[2])
    with pytest.raises(RefusedByLedger) as caught:
        world.submit(moved_trust(chain), sent_earlier=True)
    refused(caught.value, Code.REPLAYED)


def test_one_door_s_word_of_an_old_block_is_not_every_door_s_though_it_says_it_again_and_again() -> None:
    chain, pool = chain_of(), []
    world = World(says_it_is_old(chain, pool), Mempool(chain, []), chain=chain, pool=pool)
    world.rpc._on_sleep = lambda: None
    with pytest.raises(TimedOut):
        world.submit(moved_trust(chain), sent_earlier=True)


def test_another_result_of_a_transaction_that_is_there_is_not_believed() -> None:
    def lies(chain: Chain, pool: list[bytes]) -> Node:
        other = result_json(TxResult(int(Code.ORDER_NOT_OPEN)))

        def results(params: dict[str, Any], honest: Any) -> Any:
            return {**honest, "txs_results": [other for _ in honest["txs_results"] or ()]}

        return Mempool(chain, pool, lies={
            "block_results": results, "tx": lambda params, honest: {**honest, "tx_result": other},
        })  # fmt: skip

    assert worlds(lies).submit().code == 0
    with pytest.raises(TimedOut, match="not the chain's"):
        worlds(lies, honest=0).submit()


def test_a_block_that_was_made_up_is_not_believed_for_its_results() -> None:
    """The results are the chain's; what is false is that the transaction is among those that they are of."""

    def false(chain: Chain, pool: list[bytes]) -> Node:
        def block(params: dict[str, Any], honest: Any) -> Any:
            if honest["block"]["data"]["txs"]:
                honest["block"]["data"]["txs"][0] = b64(TX.tx)
            return honest

        return Mempool(chain, [], indexing=False, lies={"block": block})

    with pytest.raises(TimedOut, match="not the chain's"):
        worlds(false, honest=0).submit()
    assert worlds(false).submit().data == b"data"


def test_a_refusal_that_every_door_says_is_told_and_each_was_asked_once() -> None:
    chain, pool = chain_of(), []
    nodes = [refuses(chain, pool) for _ in range(3)]
    world = World(*nodes, chain=chain, pool=pool)
    with pytest.raises(RefusedByLedger) as caught:
        world.submit()
    refused(caught.value, Code.UNKNOWN_SIGNER)
    assert [node.calls.count("broadcast_tx_sync") for node in nodes] == [1, 1, 1]


def test_it_is_expired_only_where_every_door_shows_all_blocks_without_it() -> None:
    """One door's blocks are without it though it is committed; a chain that is not so far yet is no reason either."""
    chain, pool = chain_of(), []
    hiding, honest = hides_it(chain, []), Mempool(chain, [])
    world = World(hiding, honest, chain=chain, pool=pool)
    at = 8

    def grow() -> None:
        chain.add(txs=[TX.tx] if chain.height + 1 == at else [OTHER])

    world.grow = grow  # type: ignore[method-assign]
    world.rpc._on_sleep = grow
    honest.do_broadcast_tx_sync = hiding.do_broadcast_tx_sync  # type: ignore[method-assign]
    while chain.height < 25:
        grow()
    world.rpc._on_sleep = lambda: None
    assert world.submit(since_height=6).height == at
    chain = chain_of(25)
    with pytest.raises(Expired):
        World(Mempool(chain, []), Mempool(chain, []), chain=chain, pool=[]).submit(since_height=6)


def test_a_door_that_says_that_the_expiry_is_past_is_not_believed_alone() -> None:
    def early(chain: Chain, pool: list[bytes]) -> Node:
        node = drops(chain, pool)

        def status(params: dict[str, Any], honest: Any) -> Any:
            if len(node.calls) > 3:
                honest["sync_info"]["latest_block_height"] = "30"
            return honest

        def do_block(params: dict[str, Any]) -> Any:
            return Node.do_block(node, {"height": str(min(int(params["height"]), chain.height))})

        node.lies = {"status": status}
        node.do_block = do_block  # type: ignore[method-assign]
        return node

    assert worlds(early).submit().code == 0


def test_where_no_door_s_height_can_be_verified_nothing_is_sent() -> None:
    strange = Chain(members(4), "another-chain")
    for _ in range(5):
        strange.add()
    chain, node = chain_of(), Mempool(strange, [])
    world = World(node, chain=chain, pool=[])
    with pytest.raises(NotVerified):
        world.submit()
    assert node.sent == []


def test_data_hash_is_of_the_transactions_that_were_shown() -> None:
    """What the proof rests on, seen to be so of the test's own chain."""
    chain = chain_of()
    chain.add(txs=[OTHER, TX.tx])
    assert chain.blocks[6].header.data_hash == data_hash([OTHER, TX.tx])
    with pytest.raises(RpcFailure):
        Node(chain).do_block({"height": "7"})
