"""The application: ABCI's methods bound to the state machine and the state database. No business logic.

FinalizeBlock writes nothing: it holds what it staged, and Commit writes that in one synced batch. InitChain has no
Commit and may be repeated: its changes stay in memory and go into the batch of the first block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from abci_app.block import Block, BlockResult, Changes, Genesis, Time, TxResult
from abci_app.errors import GenesisRefused, UpgradeNeeded
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server import convert
from abci_app.server.dispatch import AbciRefused
from abci_app.server.query import answer_query
from abci_app.state.cached import CachedView
from abci_app.state.overlay import Overlay
from abci_app.state.view import StateView
from abci_app.storage.statedb import Staged, StateDB

if TYPE_CHECKING:
    from abci_app.mempool import Mempool

NAME = "dta"
# Enters every header (version.app). The rules in force are selected by params.protocol_version, not by this.
APP_VERSION = 1
ABCI_MAJOR = "2"
TIME_META = "time"


class StateMachine(Protocol):
    """abci_app.transition, as the server calls it."""

    def require_version(self, view: StateView) -> None: ...
    def init_chain(self, genesis: Genesis) -> Changes: ...
    def check_tx(self, view: StateView, tx: bytes, mempool: Mempool, *, recheck: bool) -> TxResult: ...
    def prepare_proposal(
        self, view: StateView, txs: Sequence[bytes], *, max_tx_bytes: int, height: int, time: Time
    ) -> list[bytes]: ...
    def process_proposal(self, view: StateView, txs: Sequence[bytes], *, height: int, time: Time) -> bool: ...
    def apply_block(self, view: StateView, block: Block, breathe: Callable[[], None]) -> BlockResult: ...


@dataclass(frozen=True, slots=True)
class _PendingGenesis:
    initial_height: int
    changes: Changes


@dataclass(frozen=True, slots=True)
class _Finalized:
    staged: Staged
    time: Time


class Application:
    """One state database and one state machine. Every method but :meth:`query` runs on the event loop.

    ``on_committed`` is told each block once it is written. ``after_commit`` is called at the end of each Commit (to
    schedule pruning). Neither may block. ``write_lock`` is
    held while the database stages or writes, so that pruning in another thread takes turns with it. ``breathe`` is
    called again and again while a block is executed, and must not block either (it reads sockets). ``on_last_block`` is
    called after the Commit of the last block before rules that this binary lacks.
    """

    def __init__(
        self,
        database: StateDB,
        machine: StateMachine,
        mempool: Mempool,
        *,
        version: str,
        on_committed: Callable[[int, Time, Changes], None] = lambda *_: None,
        after_commit: Callable[[], None] = lambda: None,
        breathe: Callable[[], None] = lambda: None,
        on_last_block: Callable[[UpgradeNeeded], None] = lambda _: None,
    ) -> None:
        self.write_lock = Lock()
        self._database = database
        self._machine = machine
        self._version = version
        self._on_committed = on_committed
        self._after_commit = after_commit
        self._breathe = breathe
        self._on_last_block = on_last_block
        self._mempool = mempool
        self._genesis: _PendingGenesis | None = None
        self._finalized: _Finalized | None = None
        self._view: StateView = CachedView(database.view())
        time = database.meta(TIME_META)
        if time is not None:
            mempool.begin_recheck(database.height, convert.decode_time(time))

    def info(self, request: pb.InfoRequest) -> pb.InfoResponse:
        """The last *committed* height and hash. Raises :class:`AbciRefused` unless CometBFT speaks ABCI 2.

        Raises :class:`abci_app.errors.UpgradeNeeded` where the next block has rules that this binary lacks.
        """
        if request.abci_version.split(".")[0] != ABCI_MAJOR or request.abci_version.count(".") != 2:
            raise AbciRefused(
                f"this application speaks ABCI {ABCI_MAJOR}.x.y, CometBFT {request.version!r} speaks "
                f"{request.abci_version!r}: run CometBFT v0.38, v0.39 or v0.40"
            )
        height = self._database.height
        if height:
            self._machine.require_version(self._view)
        return pb.InfoResponse(
            data=NAME,
            version=self._version,
            app_version=APP_VERSION,
            last_block_height=height,
            last_block_app_hash=self._database.app_hash if height else b"",
        )

    def init_chain(self, request: pb.InitChainRequest) -> pb.InitChainResponse:
        """Keep genesis in memory and answer its app hash. Raises :class:`AbciRefused` with the reason it is refused."""
        if self._database.height:
            raise AbciRefused(f"InitChain on a ledger that is at height {self._database.height}")
        genesis = convert.genesis_from(request)
        try:
            changes = self._machine.init_chain(genesis)
        except GenesisRefused as refused:
            raise AbciRefused(str(refused)) from refused
        with self.write_lock:
            # Staged to learn the root, then dropped: it depends on the leaves alone, not on the height.
            app_hash = self._database.stage(genesis.initial_height, changes).app_hash
        self._genesis = _PendingGenesis(genesis.initial_height, changes)
        self._finalized = None
        self._view = self._over_genesis()
        self._mempool.begin_recheck(genesis.initial_height - 1, genesis.time)
        return pb.InitChainResponse(app_hash=app_hash)

    def query(self, request: pb.QueryRequest) -> pb.QueryResponse:
        """From a database snapshot: safe in any thread, and consensus does not wait for it."""
        return answer_query(self._database, request)

    def check_tx(self, request: pb.CheckTxRequest) -> pb.CheckTxResponse:
        """Against the last committed state. The code 0 is no promise: committed is."""
        self._expect_state()
        recheck = request.type == pb.CHECK_TX_TYPE_RECHECK
        return convert.check_tx_response(self._machine.check_tx(self._view, request.tx, self._mempool, recheck=recheck))

    def prepare_proposal(self, request: pb.PrepareProposalRequest) -> pb.PrepareProposalResponse:
        """The transactions to propose, within ``max_tx_bytes``."""
        self._expect_state()
        txs = self._machine.prepare_proposal(
            self._view,
            request.txs,
            max_tx_bytes=request.max_tx_bytes,
            height=request.height,
            time=convert.time_from(request.time),
        )
        return pb.PrepareProposalResponse(txs=txs)

    def process_proposal(self, request: pb.ProcessProposalRequest) -> pb.ProcessProposalResponse:
        """Accept or reject; never the zero status, at which CometBFT panics."""
        self._expect_state()
        accepted = self._machine.process_proposal(
            self._view, request.txs, height=request.height, time=convert.time_from(request.time)
        )
        status = pb.ProcessProposalResponse
        return status(status=status.STATUS_ACCEPT if accepted else status.STATUS_REJECT)

    def finalize_block(self, request: pb.FinalizeBlockRequest) -> pb.FinalizeBlockResponse:
        """Execute a decided block and hold its writes. The same block may come again before Commit.

        Raises :class:`AbciRefused` for a block that is not the next one.
        """
        self._expect_height(request.height)
        block = convert.block_from(request)
        if self._genesis is None:
            result = self._machine.apply_block(self._view, block, self._breathe)
            changes = result.changes
        else:
            overlay = self._over_genesis()
            result = self._machine.apply_block(overlay, block, self._breathe)
            overlay.apply(result.changes)
            changes = overlay.changes()
        if len(result.tx_results) != len(block.txs):
            raise ValueError(f"{len(result.tx_results)} results for {len(block.txs)} transactions")
        self._breathe()
        with self.write_lock:
            staged = self._database.stage(block.height, changes, {TIME_META: convert.encode_time(block.time)})
        self._finalized = _Finalized(staged, block.time)
        self._breathe()
        response = pb.FinalizeBlockResponse(
            validator_updates=convert.validator_updates(result.validator_updates), app_hash=staged.app_hash
        )
        convert.add_events(response.events, result.events)
        for one in result.tx_results:
            convert.add_tx_result(response, one)
        return response

    def commit(self, _: pb.CommitRequest) -> pb.CommitResponse:
        """Write the finalized block in one synced batch. All blocks are kept (``retain_height`` 0).

        Where the next block has rules that this binary lacks, ``on_last_block`` is called: it has to end the process,
        but not at once. A peer that is a moment behind still needs our votes for this block; without them it would
        stand before it for ever, and not say why.
        """
        finalized = self._finalized
        if finalized is None:
            raise AbciRefused("Commit without a finalized block")
        with self.write_lock:
            self._database.commit(finalized.staged)
        self._finalized = None
        self._genesis = None
        self._view = CachedView(self._database.view())
        self._mempool.begin_recheck(finalized.staged.height, finalized.time)
        self._on_committed(finalized.staged.height, finalized.time, finalized.staged.changes)
        self._after_commit()
        try:
            self._machine.require_version(self._view)
        except UpgradeNeeded as needed:
            self._on_last_block(needed)
        return pb.CommitResponse(retain_height=0)

    def _over_genesis(self) -> Overlay:
        overlay = Overlay(self._database.view())
        if self._genesis is not None:
            overlay.apply(self._genesis.changes)
        return overlay

    def _expect_state(self) -> None:
        if self._genesis is None and not self._database.height:
            raise AbciRefused("nothing can be asked before InitChain")

    def _expect_height(self, height: int) -> None:
        self._expect_state()
        expected = self._database.height + 1 if self._genesis is None else self._genesis.initial_height
        if height != expected:
            raise AbciRefused(f"block {height} was sent, the next one is {expected}")
