"""Submitting: the same bytes again and again until they are in a block, or can't be any more.

CheckTx's OK is no acknowledgement: a transaction that got it can be dropped, and the mempool does not survive a
restart. What counts is a block. The node's index is behind the chain and may be off, so blocks are read too. What a
node says came of it has to follow from the verified headers of the block and of the next one; what can't be proved (a
refusal, an expiry) has to be said by every node that is known. docs/adr/0028-one-public-door.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.block import Event, TxResult
from abci_app.codes import Code, info
from dta.base.errors import (
    BadAnswer,
    DtaError,
    Expired,
    NotVerified,
    RefusedByLedger,
    RpcError,
    TimedOut,
    Unreachable,
)
from dta.client.ledger import requests
from dta.client.ledger.flow import Flow, call, elapsed_s, from_any_node, other_node, sleep
from dta.client.ledger.headers import Trust
from dta.client.ledger.reads import ONE_NODE_S
from dta.client.ledger.tx import SignedBytes
from dta.light.hashes import ResultLeaf, data_hash, results_hash
from dta.light.types import Header

LOOK_BACK_BLOCKS = 1_000
"""How far before its expiry a transaction that was sent earlier is looked for, at most."""

SETTLED_BLOCKS = 3
"""For so many blocks a transaction that was accepted once is looked for after the node began to refuse it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to look and to send again, and when to give up. ``timeout_s`` None: not before the expiry."""

    first_poll_s: float = 0.1
    last_poll_s: float = 2.0
    resend_s: float = 3.0
    timeout_s: float | None = 120.0


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that is in a block, whatever its ``code``."""

    height: int
    code: int
    log: str
    data: bytes
    tx_hash: bytes
    gas_wanted: int
    gas_used: int
    events: tuple[Event, ...]
    reason: str = ""

    def require_ok(self) -> Committed:
        """Itself, when the code is 0. Raises RefusedByLedger otherwise."""
        if self.code != Code.OK:
            raise _refusal(self.code, self.log, self.height, self.reason)
        return self


def _refusal(code: int, log: str, height: int | None = None, reason: str = "") -> RefusedByLedger:
    row = info(code)
    return RefusedByLedger(code, row.name, log or row.meaning, hint=row.hint, height=height, reason=reason)


def _committed(tx: SignedBytes, height: int, result: TxResult) -> Committed:
    return Committed(
        height, result.code, result.log, result.data, tx.tx_hash, result.gas_wanted, result.gas_used, result.events,
        result.reason,
    )  # fmt: skip


def _core(found: Committed) -> tuple[int, int, bytes]:
    """What nodes have to say the same of: not the log line, which is each node's own."""
    return found.height, found.code, found.data


class _Search:
    """Where one transaction was looked for so far."""

    def __init__(
        self, tx: SignedBytes, next_height: int, trust: Trust | None, sent_earlier: bool, first_possible: int
    ) -> None:
        self.tx = tx
        self.first_possible = first_possible
        self.trust = trust
        self.sent_earlier = sent_earlier
        self.said: list[Committed] = []  # what nodes say, one after the other, of a block that can't be proved
        self.first_height = self.next_height = next_height
        self.in_block = False  # a block holds it, its results, or their proof, are not there yet
        self.gap = False  # the node no longer has some of the blocks that could hold it
        self.latest_height = 0
        self.absent_by = 0  # so many nodes, one after the other, have shown all blocks up to its expiry, without it
        self.asked_since_s = 0.0  # since when the node that is asked now is

    def rewind(self) -> None:
        """A node says that it had the bytes before this search began: look at every block that could hold them.

        Only where its word may open that: not for bytes that were just made, which can be in no block before them.
        """
        if self.trust is not None and not self.sent_earlier:
            return
        earliest = max(1, self.first_possible, self.tx.expires_at_height - LOOK_BACK_BLOCKS)
        self.first_height = min(self.first_height, earliest)
        self.next_height = min(self.next_height, self.first_height)

    def start_over(self) -> None:
        """What was looked at so far is worth nothing: another node is asked."""
        self.next_height, self.in_block, self.said = self.first_height, False, []

    def next_node(self) -> Flow[int]:
        """Another node from now on, of which nothing was looked at yet; how many are known."""
        self.start_over()
        self.asked_since_s = yield from elapsed_s()
        return (yield from other_node())

    def leave_if_nothing_came(self, now_s: float) -> Flow[None]:
        """To the next node, where this one has shown nothing for long; with the only one that is known, on."""
        if self.trust is None or now_s - self.asked_since_s < ONE_NODE_S:
            return
        self.asked_since_s = now_s
        if (yield from other_node()) > 1:
            self.start_over()
            self.absent_by = 0

    @property
    def proved_absent(self) -> bool:
        """Past its expiry, and no block up to there has it."""
        return self.next_height > self.tx.expires_at_height and not self.in_block

    def look(self) -> Flow[Committed | None]:
        """The transaction's result, if it is in a block that the node has, and is proved.

        Raises NotVerified where what the node says does not follow from the headers.
        """
        found = yield from self._look()
        if found is None:
            self.said = []  # "every node, one after the other" begins anew
        return found if found is None or self.trust is None else (yield from self._proved(self.trust, found))

    def _proved(self, trust: Trust, found: Committed) -> Flow[Committed | None]:
        """The same by the verified headers; None until the block after it is there, whose header has the results.

        What is older than the trust file can't be checked from there: every node has to say the same of it.
        """
        height = found.height
        if height < self.first_possible or (height < self.first_height and not self.sent_earlier):
            raise NotVerified(
                "transaction",
                f"the node says that the transaction is in the block of height {height}, which was there before it",
                hint="this node lies, or is broken: use another one, and tell its operator",
                data={"height": height, "tx_hash": self.tx.tx_hash.hex()},
            )
        if height <= trust.file.height:
            return (yield from self._said_by_all(found))
        if self.latest_height < height:  # it may have come since the node was asked
            self.latest_height = (yield from call(requests.status())).latest_height
        if self.latest_height < height:
            raise NotVerified(
                "transaction",
                f"the node says that the transaction is in the block of height {height}, and has only "
                f"{self.latest_height} blocks",
                data={"height": height, "tx_hash": self.tx.tx_hash.hex()},
            )
        if self.latest_height == height:
            self.in_block = True
            return None
        before, after = (yield from _header_at(trust, height)), (yield from _header_at(trust, height + 1))
        block = yield from call(requests.block(height))
        results = (yield from call(requests.block_results(height))).tx_results
        leaves = [ResultLeaf(one.code, one.data, one.gas_wanted, one.gas_used) for one in results]
        if data_hash(block.txs) != before.data_hash or results_hash(leaves) != after.last_results_hash:
            raise NotVerified(
                "transaction",
                f"the block of height {height} that the node gives, or what came of it, is not the chain's",
                hint="this node lies, or is broken: use another one, and tell its operator",
                data={"height": height, "tx_hash": self.tx.tx_hash.hex()},
            )
        places = [place for place, tx in enumerate(block.txs) if tx == self.tx.tx]
        if not places:
            raise NotVerified(
                "transaction", f"the node says that the block of height {height} has the transaction, which it has not"
            )
        return _committed(self.tx, height, results[places[0]])

    def _said_by_all(self, found: Committed) -> Flow[Committed | None]:
        """``found`` once as many nodes as are known, one after the other, said it; None while some are to be asked."""
        if self.said and _core(self.said[0]) != _core(found):
            raise NotVerified(
                "transaction",
                "the nodes contradict each other about a transaction that is older than the trust file",
                hint="use a trust file from before it, or a receipt",
                data={"height": found.height, "tx_hash": self.tx.tx_hash.hex()},
            )
        self.said.append(found)
        if len(self.said) >= (yield from other_node()):
            return found
        self.next_height = self.first_height
        self.in_block = True  # it is not decided: nothing of "absent" or "refused" before all were asked
        return None

    def _look(self) -> Flow[Committed | None]:
        self.in_block = False
        status = yield from call(requests.status())
        self.latest_height = status.latest_height
        try:
            found = yield from call(requests.tx(self.tx.tx_hash))
        except RpcError:
            pass  # not indexed (yet), or the node keeps no index: the blocks decide
        else:
            if found.tx == self.tx.tx:
                return _committed(self.tx, found.height, found.result)
        if self.next_height < status.earliest_height:
            self.next_height, self.gap = status.earliest_height, True
        while self.next_height <= min(self.latest_height, self.tx.expires_at_height):
            result = yield from self._look_in_block(self.next_height)
            if result is not None or self.in_block:
                return result
            self.next_height += 1
        return None

    def _look_in_block(self, height: int) -> Flow[Committed | None]:
        block = yield from call(requests.block(height))
        if self.tx.tx not in block.txs:
            return None
        self.in_block = True
        try:
            results = yield from call(requests.block_results(height))
        except RpcError:
            return None  # the node has the block and executes it now
        index = block.txs.index(self.tx.tx)
        if index >= len(results.tx_results):
            return None
        return _committed(self.tx, height, results.tx_results[index])


@dataclass(slots=True)
class _Sending:
    """What came of sending the bytes so far."""

    accepted: bool = False
    refusal: RefusedByLedger | None = None
    known_before: bool = False
    refused_since_height: int | None = None
    _again: bool = False

    def send(self, tx: SignedBytes) -> Flow[None]:
        """Sends to the node that is asked now; where it refuses, or had the bytes before and they are in no block, to
        every other one too: one that refuses what others take, or passes on to nobody what it takes, decides nothing.
        """
        yield from self._send(tx)
        if self.refusal is None and not self._again:
            self._again = True
            return
        refusals = [self.refusal]
        for _ in range((yield from other_node()) - 1):
            yield from self._send(tx)
            refusals.append(self.refusal)
            yield from other_node()
        self.refusal = None
        if None not in refusals:
            said = [one for one in refusals if one is not None]
            self.refusal = next((one for one in said if info(one.code).retry), said[0])

    def _send(self, tx: SignedBytes) -> Flow[None]:
        self.refusal = None
        try:
            answer = yield from call(requests.broadcast_tx_sync(tx.tx))
        except RpcError as error:
            self._take_error(error)
            return
        if answer.code == Code.OK:
            self.accepted = True
            return
        self.refusal = _refusal(answer.code, answer.log)
        self.known_before |= not self.accepted and answer.code in (Code.REPLAYED, Code.EXPIRED)

    def _take_error(self, error: RpcError) -> None:
        # CometBFT gives all of these the same number: only its text tells them apart. A text that we don't know is
        # an error of the moment, and the same bytes are sent again.
        if "already exists in cache" in error.rpc_data:
            self.known_before |= not self.accepted
            self.accepted = True
        elif "tx too large" in error.rpc_data.lower():
            self.refusal = _refusal(Code.TOO_LARGE, error.rpc_data)
        else:
            self.refusal = _refusal(Code.BUSY, error.rpc_data or error.rpc_message)

    @property
    def final(self) -> RefusedByLedger | None:
        """The refusal, when sending the same bytes again can't help."""
        return self.refusal if self.refusal and not info(self.refusal.code).retry else None


def _header_at(trust: Trust, height: int) -> Flow[Header]:
    header = (yield from trust.state_at(height)).header
    if header is None:
        raise AssertionError("a verified height after the trust file's has a header")
    return header


def _newest(trust: Trust | None) -> Flow[int]:
    """The node's newest height: verified, for of one that it made up nothing would be found."""
    status = yield from call(requests.status())
    if trust is not None:
        yield from trust.state_at(status.latest_height)
    return status.latest_height


def submit(
    tx: SignedBytes,
    patience: Patience | None = None,
    since_height: int | None = None,
    trust: Trust | None = None,
    *,
    sent_earlier: bool = False,
    first_possible: int = 0,
) -> Flow[Committed]:
    """Sends ``tx`` until it is in a block. Its code says whether it did anything: :meth:`Committed.require_ok`.

    ``sent_earlier``: an earlier command may have sent these bytes. Where a node says that it had them before, the last
    blocks before their expiry are read; what stands in a block that is not after the trust file's can't be proved, and
    is believed where every node says the same. Without: they were just made, and a node that says either lies.
    ``since_height``: where to look from, for such bytes, if that is known. ``first_possible``: in no block below it can
    they be, for they were made later; a node that says so lies. With a trust file from below it all is proved.

    ``trust``: what came of it is proved to its validators; None: as the node says, for who needs no more.

    Raises RefusedByLedger (the mempool check of every node refused it for good; or, at the time limit, each time),
    Expired (past its expiry and in no block: safe to sign anew), TimedOut (it may still be committed), Unreachable
    (only before anything was sent), BadAnswer, NotVerified (likewise).
    """
    patience = patience or Patience()
    start_s = yield from elapsed_s()
    newest = yield from from_any_node(lambda: _newest(trust))
    first_height = newest + 1 if since_height is None else max(since_height, 1)
    search = _Search(tx, first_height, trust, sent_earlier or since_height is not None, first_possible)
    search.asked_since_s = start_s
    sending, poll_s, sent_s = _Sending(), patience.first_poll_s, None
    while True:
        now_s = yield from elapsed_s()
        try:
            if sent_s is None or now_s - sent_s >= patience.resend_s or sending.refusal is not None:
                sent_s = now_s
                yield from sending.send(tx)
                if sending.known_before:
                    search.rewind()
                    sending.known_before = False
            found = yield from search.look()
            if found is not None:
                return found
            yield from _stop_if_decided(tx, search, sending)
            yield from search.leave_if_nothing_came(now_s)
            trouble: DtaError | None = None
        except (NotVerified, Unreachable, BadAnswer, RpcError) as error:
            trouble = error
            if trust is not None:
                yield from search.next_node()
        if patience.timeout_s is not None and now_s - start_s >= patience.timeout_s:
            raise _out_of_time(tx, sending, trouble)
        yield from sleep(poll_s)
        poll_s = min(poll_s * 1.5, patience.last_poll_s)


def _stop_if_decided(tx: SignedBytes, search: _Search, sending: _Sending) -> Flow[None]:
    """Raises once nothing more can come of these bytes. Called only after every block so far was looked at."""
    if search.in_block:
        return
    if search.latest_height > tx.expires_at_height and search.proved_absent:
        if search.trust is not None:
            yield from search.trust.state_at(tx.expires_at_height + 1)  # so many blocks there are
        nodes = yield from search.next_node()
        search.absent_by += 1
        if search.absent_by < nodes:
            return
        if search.gap:
            raise TimedOut(
                "the transaction is past its expiry, and the node no longer has every block that could hold it",
                hint="ask a node that keeps all blocks, or look at the state that it would have made",
                data={"tx_hash": tx.tx_hash.hex(), "expires_at_height": tx.expires_at_height},
            )
        raise Expired(
            f"the transaction was not committed by height {tx.expires_at_height}, its last",
            hint="nothing was done; sign and send a new one",
            data={"tx_hash": tx.tx_hash.hex(), "expires_at_height": tx.expires_at_height},
        )
    refusal = sending.final
    if refusal is None or refusal.code == Code.EXPIRED:
        sending.refused_since_height = None
        return
    if sending.refused_since_height is None:
        sending.refused_since_height = search.latest_height
    # What was accepted before may still be in another node's mempool: the refusal must outlast a few blocks.
    if not sending.accepted or search.latest_height >= sending.refused_since_height + SETTLED_BLOCKS:
        raise refusal


def _out_of_time(tx: SignedBytes, sending: _Sending, trouble: DtaError | None) -> DtaError:
    if sending.refusal is not None and not sending.accepted and trouble is None:
        return sending.refusal
    return TimedOut(
        "the transaction is not committed yet" + (f"; last trouble: {trouble.message}" if trouble else ""),
        hint=f"it may still be, until height {tx.expires_at_height}: send the same bytes again, or look for it",
        data={"tx_hash": tx.tx_hash.hex(), "expires_at_height": tx.expires_at_height},
    )
