"""ABCI's methods over a real state database: the handshake, genesis, a block's life, queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from server_machine import CountingMempool, SettingMachine

from abci_app.block import Changes, Time
from abci_app.codes import Code
from abci_app.errors import UpgradeNeeded
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.application import Application
from abci_app.server.dispatch import AbciRefused
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.support.refusals import Because, refused

KEY = pb.PublicKey(ed25519=b"\x07" * 32)


class Chain:
    """An application and the database under it; reopening keeps what was committed."""

    def __init__(self, breathe: Callable[[], None] = lambda: None) -> None:
        self.store = MemoryStore()
        self.breathe = breathe
        self.mempool = CountingMempool()
        self.commits = 0
        self.tell: Callable[[int, Time, Changes], None] = lambda *_: None
        self.lacking: list[UpgradeNeeded] = []
        self.open()

    def open(self) -> None:
        self.database = StateDB(self.store)
        self.app = Application(
            self.database, SettingMachine(), cast(Any, self.mempool), version="0.1.0", after_commit=self._committed,
            on_committed=self.tell, breathe=self.breathe, on_last_block=self.lacking.append,
        )  # fmt: skip

    def _committed(self) -> None:
        self.commits += 1

    def init(self, app_state: bytes = b"start", initial_height: int = 1) -> pb.InitChainResponse:
        return self.app.init_chain(
            pb.InitChainRequest(
                time=pb.Timestamp(seconds=1_800_000_000),
                chain_id="test",
                validators=[pb.ValidatorUpdate(pub_key=KEY, power=10)],
                app_state_bytes=app_state,
                initial_height=initial_height,
            )
        )

    def finalize(self, height: int, *txs: bytes) -> pb.FinalizeBlockResponse:
        time = pb.Timestamp(seconds=1_800_000_000 + height, nanos=7)
        return self.app.finalize_block(pb.FinalizeBlockRequest(height=height, txs=txs, time=time))

    def block(self, height: int, *txs: bytes) -> bytes:
        app_hash: bytes = self.finalize(height, *txs).app_hash
        self.app.commit(pb.CommitRequest())
        return app_hash

    def info(self) -> pb.InfoResponse:
        return self.app.info(pb.InfoRequest(version="0.39.4", abci_version="2.0.0"))

    def query(self, path: bytes = b"/store", data: bytes = b"genesis", **more: Any) -> pb.QueryResponse:
        return self.app.query(pb.QueryRequest(path=path, data=data, **more))


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.mark.parametrize("version", ["2.0.0", "2.1.7"])
def test_a_cometbft_that_speaks_abci_2_is_told_the_committed_height(chain: Chain, version: str) -> None:
    info = chain.app.info(pb.InfoRequest(abci_version=version, block_version=99, p2p_version=99))
    assert (info.last_block_height, info.last_block_app_hash, info.version) == (0, b"", "0.1.0")


@pytest.mark.parametrize("version", ["", "0.17.0", "1.0.0", "20.0.0", "2", "2.0", "3.0.0"])
def test_another_abci_version_is_refused_with_the_one_wanted(chain: Chain, version: str) -> None:
    with pytest.raises(AbciRefused, match=r"speaks ABCI 2\.x\.y"):
        chain.app.info(pb.InfoRequest(version="0.34.0", abci_version=version))


def test_the_first_block_carries_genesis_and_its_own_changes(chain: Chain) -> None:
    chain.init()
    chain.block(1, b"genesis=changed", b"new=1")
    view = chain.database.view()
    assert [view.get(key) for key in (b"genesis", b"other", b"new")] == [b"changed", b"from genesis", b"1"]
    assert view.index_get(b"ig") == b"1"
    assert view.index_get(b"last") == b"1"


def test_genesis_hash_is_the_root_of_the_genesis_leaves(chain: Chain) -> None:
    leaves = ((b"genesis", b"start"), (b"other", b"from genesis"))
    expected = StateDB(MemoryStore()).stage(1, Changes(leaves=leaves)).app_hash
    assert chain.init(initial_height=5).app_hash == expected
    assert chain.database.height == 0


def test_a_first_block_that_changes_no_leaf_has_the_genesis_hash(chain: Chain) -> None:
    genesis_hash = chain.init().app_hash
    assert chain.finalize(1).app_hash == genesis_hash


def test_a_repeated_init_chain_replaces_the_first(chain: Chain) -> None:
    first = chain.init(b"first").app_hash
    second = chain.init(b"second").app_hash
    assert first != second
    chain.finalize(1, b"a=1")
    assert chain.init(b"second").app_hash == second
    with pytest.raises(AbciRefused, match="without a finalized block"):
        chain.app.commit(pb.CommitRequest())
    chain.block(1)
    assert chain.database.view().get(b"genesis") == b"second"


def test_a_chain_may_start_above_height_one(chain: Chain) -> None:
    chain.init(initial_height=100)
    with pytest.raises(AbciRefused, match="the next one is 100"):
        chain.finalize(1)
    chain.block(100, b"a=1")
    chain.block(101)
    assert chain.info().last_block_height == 101


@pytest.mark.parametrize(
    "request_",
    [
        pb.InitChainRequest(initial_height=1, app_state_bytes=b"refuse"),
        pb.InitChainRequest(initial_height=0),
        pb.InitChainRequest(initial_height=1, time=pb.Timestamp(seconds=-62135596800)),
        pb.InitChainRequest(
            initial_height=1, validators=[pb.ValidatorUpdate(pub_key=pb.PublicKey(secp256k1=b"\x02" * 33), power=1)]
        ),
    ],
    ids=["app_state", "initial_height", "time", "key type"],
)
def test_a_genesis_that_does_not_fit_is_refused_with_its_reason(chain: Chain, request_: pb.InitChainRequest) -> None:
    with pytest.raises(AbciRefused):
        chain.app.init_chain(request_)
    with pytest.raises(AbciRefused, match="before InitChain"):
        chain.finalize(1)


def test_finalize_block_writes_nothing_and_gives_the_same_answer_again(chain: Chain) -> None:
    chain.init()
    chain.block(1)
    first = chain.finalize(2, b"a=1")
    assert chain.info().last_block_height == 1
    assert chain.database.view().get(b"a") is None
    assert chain.finalize(2, b"a=1") == first
    assert chain.finalize(2, b"a=2").app_hash != first.app_hash
    chain.app.commit(pb.CommitRequest())
    assert chain.database.view().get(b"a") == b"2"


def test_a_crash_between_finalize_and_commit_loses_only_that_block(chain: Chain) -> None:
    chain.init()
    chain.block(1)
    app_hash = chain.finalize(2, b"a=1").app_hash
    chain.open()
    assert chain.info().last_block_height == 1
    with pytest.raises(AbciRefused):
        chain.app.commit(pb.CommitRequest())
    assert chain.block(2, b"a=1") == app_hash
    chain.open()
    assert (chain.info().last_block_height, chain.info().last_block_app_hash) == (2, app_hash)


@pytest.mark.parametrize("height", [-1, 0, 1, 2, 4, 2**62])
def test_only_the_next_block_is_executed(chain: Chain, height: int) -> None:
    chain.init()
    chain.block(1)
    chain.block(2)
    with pytest.raises(AbciRefused, match="the next one is 3"):
        chain.finalize(height)


def test_init_chain_on_a_ledger_with_blocks_is_refused(chain: Chain) -> None:
    chain.init()
    chain.block(1)
    with pytest.raises(AbciRefused, match="height 1"):
        chain.init()


def test_a_block_time_that_is_none_is_refused(chain: Chain) -> None:
    chain.init()
    for time in (
        pb.Timestamp(seconds=-1),
        pb.Timestamp(nanos=-1),
        pb.Timestamp(nanos=10**9),
        pb.Timestamp(seconds=2**62),
    ):
        with pytest.raises(AbciRefused):
            chain.app.finalize_block(pb.FinalizeBlockRequest(height=1, time=time))


def test_results_events_and_validator_updates_reach_cometbft(chain: Chain) -> None:
    chain.init()
    response = chain.finalize(1, b"vote=1", b"b=2")
    assert [(one.code, one.data, one.gas_wanted, one.gas_used) for one in response.tx_results] == [
        (0, b"vote", 3, 2),
        (0, b"b=2", 3, 2),
    ]
    events = [*response.events, *(event for one in response.tx_results for event in one.events)]
    said = [(event.type, attribute.key, attribute.value) for event in events for attribute in event.attributes]
    assert said == [("done", "at", "1"), ("set", "tx", "1"), ("set", "tx", "1")]
    # Each that CometBFT indexes is a write of its own, and nothing asks it.
    assert not any(attribute.index for event in events for attribute in event.attributes)
    assert response.events[0].type == "done"
    assert response.validator_updates[0].pub_key.ed25519 == b"\x01" * 32
    assert response.validator_updates[0].power == 5


def test_check_tx_sees_genesis_before_the_first_block_and_then_committed_state_only(chain: Chain) -> None:
    chain.init()
    assert chain.app.check_tx(pb.CheckTxRequest(tx=b"genesis=")).data == b"start"
    chain.finalize(1, b"genesis=next")
    assert chain.app.check_tx(pb.CheckTxRequest(tx=b"genesis=")).data == b"start"
    chain.app.commit(pb.CommitRequest())
    answer = chain.app.check_tx(pb.CheckTxRequest(tx=b"genesis=", type=pb.CHECK_TX_TYPE_RECHECK))
    assert (answer.data, answer.log) == (b"next", "recheck")


def test_nothing_is_asked_of_the_state_machine_before_init_chain(chain: Chain) -> None:
    for ask in (
        lambda: chain.app.check_tx(pb.CheckTxRequest(tx=b"a=1")),
        lambda: chain.app.prepare_proposal(pb.PrepareProposalRequest(height=1)),
        lambda: chain.app.process_proposal(pb.ProcessProposalRequest(height=1)),
        lambda: chain.finalize(1),
    ):
        with pytest.raises(AbciRefused, match="before InitChain"):
            ask()


def test_a_refused_transaction_names_the_codespace(chain: Chain) -> None:
    chain.init()
    answer = chain.app.check_tx(pb.CheckTxRequest(tx=b"nonsense"))
    assert (answer.code, answer.codespace) == (10, "dta")
    assert chain.app.check_tx(pb.CheckTxRequest(tx=b"a=1")).codespace == ""


def test_commit_keeps_all_blocks_announces_the_recheck_and_asks_for_pruning(chain: Chain) -> None:
    chain.init()
    chain.finalize(1)
    assert chain.app.commit(pb.CommitRequest()).retain_height == 0
    genesis, block = (0, Time(1_800_000_000)), (1, Time(1_800_000_001, 7))
    assert chain.mempool.rechecks == [genesis, block]
    assert chain.commits == 1
    chain.open()
    assert chain.mempool.rechecks == [genesis, block, block]


def test_a_version_that_is_lacking_is_told_once_the_block_is_written_and_ends_every_start(chain: Chain) -> None:
    chain.init()
    chain.block(1, b"a=1")
    assert chain.lacking == []
    chain.block(2, b"version=2")
    assert chain.database.height == 2
    assert [needed.version for needed in chain.lacking] == [2]
    chain.open()
    with pytest.raises(UpgradeNeeded):
        chain.info()


def test_proposals_are_accepted_or_rejected_never_unknown(chain: Chain) -> None:
    chain.init()
    accepted = chain.app.process_proposal(pb.ProcessProposalRequest(txs=[b"a=1"], height=1))
    rejected = chain.app.process_proposal(pb.ProcessProposalRequest(txs=[b"junk"], height=1))
    assert accepted.status == pb.ProcessProposalResponse.STATUS_ACCEPT
    assert rejected.status == pb.ProcessProposalResponse.STATUS_REJECT
    prepared = chain.app.prepare_proposal(
        pb.PrepareProposalRequest(txs=[b"a=1", b"toolong=1"], max_tx_bytes=4, height=1)
    )
    assert list(prepared.txs) == [b"a=1"]


def test_a_query_before_the_first_block_has_its_own_code(chain: Chain) -> None:
    refused(Because(chain.query().code), Code.QUERY_BEFORE_FIRST_BLOCK)
    chain.init()
    refused(Because(chain.query().code), Code.QUERY_BEFORE_FIRST_BLOCK)
    refused(Because(chain.query(path=b"/app/height").code), Code.QUERY_BEFORE_FIRST_BLOCK)


def test_a_query_reads_committed_state(chain: Chain) -> None:
    chain.init()
    chain.block(1, b"a=1")
    chain.finalize(2, b"a=2")
    answer = chain.query(data=b"a")
    assert (answer.code, answer.key, answer.value, answer.height) == (0, b"a", b"1", 1)
    assert chain.query(data=b"absent").value == b""
    assert chain.query(path=b"/app/height").value == (1).to_bytes(8, "big")


def test_a_proof_is_of_the_last_height_whose_hash_stands_in_a_header(chain: Chain) -> None:
    chain.init()
    chain.block(1, b"a=1")
    refused(Because(chain.query(data=b"a", prove=True).code), Code.QUERY_HEIGHT_PRUNED)
    chain.block(2, b"a=2")
    for key, value in ((b"a", b"1"), (b"absent", b"")):
        answer = chain.query(data=key, prove=True)
        assert (answer.code, answer.value, answer.height) == (0, value, 1)
        (op,) = answer.proof_ops.ops
        assert (op.type, op.key, op.data) == ("ics23:jmt", key, chain.database.prove(key, 1).proof)
    assert chain.query(data=b"a", height=2, prove=True).value == b"2"
    assert chain.query(data=b"a", height=1).value == b"1"
    assert not chain.query(data=b"a", height=1).proof_ops.ops


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"path": b"/nothing"}, Because(Code.QUERY_UNKNOWN_PATH)),
        ({"path": b"/index"}, Because(Code.QUERY_UNKNOWN_PATH)),
        ({"path": b"\xff\xfe"}, Because(Code.QUERY_UNKNOWN_PATH)),
        ({"path": b""}, Because(Code.QUERY_UNKNOWN_PATH)),
        ({"data": b""}, Because(Code.QUERY_MALFORMED)),
        ({"data": b"x" * 2000}, Because(Code.QUERY_MALFORMED)),
        ({"height": -1}, Because(Code.QUERY_MALFORMED)),
        ({"height": 3}, Because(Code.QUERY_HEIGHT_PRUNED)),
        ({"height": 2**63 - 1, "prove": True}, Because(Code.QUERY_HEIGHT_PRUNED)),
    ],
    ids=str,
)
def test_a_query_that_can_not_be_answered_gets_its_code_and_a_hint(chain: Chain, wrong: Any, code: Because) -> None:
    chain.init()
    chain.block(1)
    chain.block(2)
    answer = chain.query(**wrong)
    assert Because(answer.code) == code
    assert answer.codespace == "dta"
    assert answer.log
    assert answer.info
    assert answer.value == b""


def test_the_changes_of_genesis_may_be_deleted_by_the_first_block(chain: Chain) -> None:
    chain.init()
    chain.block(1, b"other=")
    only = Changes(leaves=((b"genesis", b"start"),))
    assert chain.database.app_hash == StateDB(MemoryStore()).stage(1, only).app_hash
