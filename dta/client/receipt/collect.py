"""Making receipts from what a node serves: the path of headers, the proofs, and nothing that is not needed.

The node is not believed: whatever it says is put together and verified as a stranger would before it is handed out.
Transactions are found by the heights and hashes that proved records name, an order's requests by their numbers: no
search is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import ParamSpec, TypeAlias, TypeVar

from google.protobuf.message import Message

from abci_app.block import Time
from abci_app.codes import Code
from abci_app.limits import MAX_AUTHORITY_MEMBERS
from abci_app.pb.dta.v1 import custody_pb2, identity_pb2
from abci_app.state.records import (
    ANSWERS,
    CHAIN,
    DECISIONS,
    EPOCHS,
    EXTRACTIONS,
    FULFILMENTS,
    IDENTITIES,
    IDENTITY_HISTORY,
    MEMBERS,
    ORDERS,
    PARTIALS,
    REQUEST_NUMBERS,
    REQUESTS,
    SIGNINGS,
)
from dta.base.errors import BadAnswer, InternalError, NotFound, NotVerified, TimedOut
from dta.client.ledger import leaves, requests
from dta.client.ledger.flow import Flow, call, elapsed_s, from_any_node, other_node, sleep, wall_time_s
from dta.client.ledger.leaves import Leaf
from dta.client.ledger.reads import ONE_NODE_S, PROOF_TYPE, STORE_PATH, VerifiedReader
from dta.client.ledger.rpc import Rpc
from dta.client.receipt.format import IncludedTx, Receipt, ReceiptBlock, StateLeaf, Turn, Vote
from dta.client.receipt.order import OrderLeaves
from dta.client.receipt.transactions import tx_hash
from dta.client.receipt.verify import Verified, verify_receipt
from dta.light.hashes import ResultLeaf, prove_result, prove_tx, validators_hash
from dta.light.merkle import MerkleProof
from dta.light.trust import TrustedState, TrustFile
from dta.light.types import FLAG_ABSENT, FLAG_COMMIT, CommitSig, LightBlock, ValidatorSet
from dta.light.verify import TWO_THIRDS, trusted_power

P = ParamSpec("P")
M = TypeVar("M", bound=Message)

DEFAULT_WAIT_S = 30.0
_POLL_S = 0.25
_MAX_STEPS = 2_000
_NOBODY = CommitSig(FLAG_ABSENT, b"", Time(0), b"")


@dataclass(frozen=True, slots=True)
class Collected:
    """A receipt's bytes, and what they were verified to prove."""

    content: bytes
    verified: Verified


# --- the path of headers --------------------------------------------------------------------------------------
@dataclass
class _Path:
    """The blocks that lead from the trust file to every height that is needed."""

    state: TrustedState
    blocks: dict[int, LightBlock] = field(default_factory=dict)

    def climb(self, heights: Iterable[int]) -> Flow[None]:
        """Steps over all of ``heights``, and over those between that it takes to believe them."""
        for height in sorted(set(heights)):
            if height == self.state.height and self.state.header is None and self.state.header_hash:
                block = yield from self._fetch(height)
                self.state = self.state.anchored(block.header)
                self.blocks[height] = block
            elif height > self.state.height:
                yield from self._climb_to(height)
            elif height not in self.blocks:
                raise NotVerified(
                    "trust",
                    f"height {height} is not after the trust file's height {self.state.height}",
                    hint="begin with a trust file from that height or before, such as one from genesis",
                )

    def _climb_to(self, height: int) -> Flow[None]:
        ahead = [(yield from self._fetch(height))]
        for _ in range(_MAX_STEPS):
            block = ahead[-1]
            try:
                self.state = self.state.step(block)
            except NotVerified as error:
                if error.step != "trust" or block.header.height <= self.state.height + 1:
                    raise
                ahead.append((yield from self._fetch((self.state.height + block.header.height) // 2)))
                continue
            self.blocks[block.header.height] = ahead.pop()
            if not ahead:
                return
        raise NotVerified("trust", f"the header at height {height} is more than {_MAX_STEPS} steps away")

    def _fetch(self, height: int) -> Flow[LightBlock]:
        signed = yield from call(requests.commit(height))
        if signed.header.height != height:
            raise NotVerified("answer", f"the node gave the header of height {signed.header.height}, not {height}")
        validators: ValidatorSet = self.state.validators
        if validators_hash(validators) != signed.header.validators_hash:
            validators = yield from requests.validators(height)
        return LightBlock(signed, validators)


def _receipt_block(block: LightBlock, held: ValidatorSet, txs: tuple[IncludedTx, ...]) -> ReceiptBlock:
    commit = block.signed.commit
    votes = tuple(
        None if one.flag == FLAG_ABSENT else Vote(one.flag == FLAG_COMMIT, one.time, one.signature)
        for one in _cast(block, held)
    )
    same = validators_hash(held) == block.header.validators_hash
    return ReceiptBlock(
        block.header, commit.round, commit.block_id.parts, votes, None if same else block.validators, txs
    )


def _cast(block: LightBlock, held: ValidatorSet) -> tuple[CommitSig, ...]:
    """The commit's entries. Votes from before 1970 are absent where they aren't needed: many readers can't hold them.

    They are needed unless more than 2/3 of the block's own set, and of the set before it, signed without them.
    """
    commit = block.signed.commit
    known = tuple(_NOBODY if one.time.seconds < 0 else one for one in commit.signatures)
    without = replace(block, signed=replace(block.signed, commit=replace(commit, signatures=known)))
    left = [trusted_power(without, one) for one in (block.validators, held)]
    return known if all(TWO_THIRDS.exceeded_by(one.signed, one.total) for one in left) else commit.signatures


# --- what is in a block and in the state ----------------------------------------------------------------------
def _turns(tx: MerkleProof, result: MerkleProof) -> tuple[Turn, ...]:
    """The common way of both proofs, from the leaf up. Where a list is halved: see :mod:`dta.light.merkle`."""
    sides: list[bool] = []
    index, count = tx.index, tx.total
    while count > 1:
        middle = 1 << ((count - 1).bit_length() - 1)
        left = index < middle
        sides.append(left)
        index, count = (index, middle) if left else (index - middle, count - middle)
    return tuple(
        Turn(left, own, other) for left, own, other in zip(reversed(sides), tx.aunts, result.aunts, strict=True)
    )


Wanted: TypeAlias = Callable[[bytes, ResultLeaf], bool]
"""Whether a transaction with this result goes into the receipt."""


def _included(height: int, wanted: Wanted) -> Flow[tuple[IncludedTx, ...]]:
    """The ``wanted`` transactions of the block at ``height``, each with its result."""
    block = yield from call(requests.block(height))
    answer = yield from call(requests.block_results(height))
    results = [ResultLeaf(one.code, one.data, one.gas_wanted, one.gas_used) for one in answer.tx_results]
    if len(results) != len(block.txs):
        raise BadAnswer(f"the node gave {len(results)} results for the {len(block.txs)} transactions of block {height}")
    found = []
    for index, (tx, result) in enumerate(zip(block.txs, results, strict=True)):
        if wanted(tx, result):
            path = _turns(prove_tx(block.txs, index), prove_result(results, index))
            found.append(IncludedTx(tx, result.code, result.data, result.gas_wanted, result.gas_used, path))
    return tuple(found)


def _leaf(key: bytes, height: int) -> Flow[StateLeaf]:
    answer = yield from call(requests.abci_query(STORE_PATH, key, height, prove=True))
    if answer.code == Code.QUERY_HEIGHT_PRUNED:
        raise NotFound(
            f"the node does not keep the state of height {height} any more",
            hint="records keep their history: a receipt of a recent height answers for an older one",
        )
    if answer.code != Code.OK or len(answer.proof_ops) != 1 or answer.proof_ops[0].kind != PROOF_TYPE:
        raise BadAnswer(f"the node proved nothing about the leaf {key.hex()}", data={"code": answer.code})
    return StateLeaf(key, answer.value or None, answer.proof_ops[0].data)


@dataclass
class _State:
    """Leaves of one height, each asked for once."""

    height: int
    leaves: dict[bytes, StateLeaf] = field(default_factory=dict)
    seen: dict[bytes, bytes | None] = field(default_factory=dict)

    def get(self, key: bytes) -> Flow[bytes | None]:
        """The value as the node says; the proof is verified with all else."""
        if key not in self.leaves:
            self.leaves[key] = yield from _leaf(key, self.height)
        return self.leaves[key].value

    def look(self, key: bytes) -> Flow[bytes | None]:
        """The value as the node says, for what goes into the receipt no further than where it leads."""
        if key not in self.seen:
            self.seen[key] = (yield from _leaf(key, self.height)).value
        return self.seen[key]

    def drop_absent(self, prefix: bytes) -> None:
        """Forget proofs of absence that say nothing which a record does not count."""
        gone = [key for key, leaf in self.leaves.items() if key.startswith(prefix) and leaf.value is None]
        for key in gone:
            del self.leaves[key]


def _newest_provable(at_least: int, wait_s: float) -> Flow[int]:
    """The newest height whose app hash stands in a header, once that is ``at_least``: of the first node that has it."""
    start_s = asked_s = yield from elapsed_s()
    while True:
        status = yield from call(requests.status())
        if status.latest_height - 1 >= max(at_least, 1):
            return status.latest_height - 1
        now_s = yield from elapsed_s()
        if now_s - asked_s >= ONE_NODE_S:
            yield from other_node()
            asked_s = now_s
        if now_s - start_s >= wait_s:
            raise TimedOut(
                f"the node is at height {status.latest_height}; it takes {at_least + 1}",
                hint="is the node catching up, or the chain halted?",
            )
        yield from sleep(_POLL_S)


def _assemble(
    kind: str, trust: TrustFile, state: _State, wanted: Mapping[int, Wanted]
) -> Flow[Collected]:
    """The receipt of these leaves and of these transactions by height, verified."""
    yield from state.get(CHAIN.key())
    path = _Path(TrustedState.from_file(trust))
    heights = {state.height + 1}
    for height in wanted:
        heights |= {height, height + 1}
    yield from path.climb(heights)
    held, blocks = trust.validators, []
    for height in sorted(path.blocks):
        txs = (yield from _included(height, wanted[height])) if height in wanted else ()
        blocks.append(_receipt_block(path.blocks[height], held, txs))
        held = path.blocks[height].validators
    proved = tuple(state.leaves[key] for key in sorted(state.leaves))
    content = Receipt(kind, trust.chain_id, trust.gid, tuple(blocks), proved).encode()
    now_s = yield from wall_time_s()
    return Collected(content, verify_receipt(content, trust, int(now_s)))


def _proved(reader: VerifiedReader, state: _State, leaf: Leaf[M]) -> Flow[M | None]:
    """A record that counts what else is asked for: proved, for one that was made up could have it go on for ever."""
    return (yield from reader.find_at((yield from reader.head_at(state.height)), leaf))


# --- receipts -------------------------------------------------------------------------------------------------


def _from_any_node(make: Callable[P, Flow[Collected]]) -> Callable[P, Flow[Collected]]:
    """Collected anew from the next node where what one serves makes no receipt that holds."""

    def collected(*args: P.args, **kwargs: P.kwargs) -> Flow[Collected]:
        try:
            return (yield from make(*args, **kwargs))
        except InternalError as error:  # a record that was not proved yet can't be read: whose fault it is nobody knows
            raise BadAnswer(f"what the node gave is no receipt: {error.message}", hint=error.hint) from error

    @wraps(make)
    def receipt(*args: P.args, **kwargs: P.kwargs) -> Flow[Collected]:
        return (yield from from_any_node(lambda: collected(*args, **kwargs)))

    return receipt


@_from_any_node
def transaction_receipt(
    trust: TrustFile, wanted: bytes, height: int | None = None, wait_s: float = DEFAULT_WAIT_S
) -> Flow[Collected]:
    """The receipt of the transaction with this 32-byte hash. ``height``: where it is, if the node's index is off."""
    if height is None:
        height = (yield from call(requests.tx(wanted))).height
        latest_height = (yield from call(requests.status())).latest_height
        if height > latest_height:  # it would be waited for, though it never comes
            raise BadAnswer(f"the node names block {height} of {latest_height} for the transaction")
    newest = yield from _newest_provable(height, wait_s)
    only = _first_only(wanted)
    return (yield from _assemble("transaction", trust, _State(newest), {height: only}))


def _first_only(wanted: bytes) -> Wanted:
    """Matches a transaction once: a block may hold the same bytes again, to be refused."""
    seen: list[bytes] = []

    def matches(tx: bytes, _result: ResultLeaf) -> bool:
        if seen or tx_hash(tx) != wanted:
            return False
        seen.append(tx)
        return True

    return matches


@_from_any_node
def state_receipt(trust: TrustFile, wanted: Sequence[bytes], wait_s: float = DEFAULT_WAIT_S) -> Flow[Collected]:
    """The receipt of the leaves at these raw keys, or of their absence, at the newest height that can be proved."""
    state = _State((yield from _newest_provable(1, wait_s)))
    for key in wanted:
        yield from state.get(key)
    return (yield from _assemble("state", trust, state, {}))


@_from_any_node
def identity_receipt(
    trust: TrustFile, identity: bytes, at_height: int | None = None, wait_s: float = DEFAULT_WAIT_S
) -> Flow[Collected]:
    """The receipt of an identity's record; with ``at_height``, of what the identity was then too."""
    state = _State((yield from _newest_provable(at_height or 1, wait_s)))
    leaf = leaves.of(IDENTITIES, identity)
    record = yield from _proved(VerifiedReader(trust), state, leaf)
    yield from state.get(leaf.key)
    if record is not None and at_height is not None and record.registered_height <= at_height < record.updated_height:
        yield from _history(state, record, at_height)
    return (yield from _assemble("state", trust, state, {}))


def _history(state: _State, record: identity_pb2.IdentityRecord, at_height: int) -> Flow[None]:
    """Adds the entry that was in force at a height, and the one after it: found by halving, so others drop out."""
    first, last = 0, record.history_count - 1
    while last - first > 1:
        middle = (first + last) // 2
        leaf = leaves.of(IDENTITY_HISTORY, record.id, middle)
        entry = leaf.found(leaf.read((yield from state.get(leaf.key))))
        first, last = (middle, last) if entry.height <= at_height else (first, middle)
    kept = {IDENTITY_HISTORY.key(record.id, sequence) for sequence in (first, last)}
    for key in sorted(kept):
        yield from state.get(key)
    for key in [key for key in state.leaves if key.startswith(IDENTITY_HISTORY.prefix) and key not in kept]:
        del state.leaves[key]


@_from_any_node
def order_receipt(trust: TrustFile, order: bytes, wait_s: float = DEFAULT_WAIT_S) -> Flow[Collected]:
    """The receipt of everything that happened to an order, up to the newest height that can be proved."""
    state = _State((yield from _newest_provable(1, wait_s)))
    leaf = leaves.of(ORDERS, order)
    reader = VerifiedReader(trust)
    record = leaf.found((yield from _proved(reader, state, leaf)))
    yield from state.get(leaf.key)
    for fiduciary in record.fiduciaries:
        yield from state.get(FULFILMENTS.key(order, fiduciary))
    for number in range(1, record.requests + 1):
        named = yield from state.look(REQUEST_NUMBERS.key(order, number))
        if named is None:
            raise BadAnswer(f"the node has no request number {number} of the {record.requests} of the order")
        yield from _about_request(reader, state, record, named)
    for prefix in (FULFILMENTS.prefix, ANSWERS.prefix, EXTRACTIONS.prefix, PARTIALS.prefix):
        state.drop_absent(prefix)
    held = OrderLeaves.of({key: one.value for key, one in state.leaves.items()})
    wanted: dict[int, set[bytes]] = {}
    for part in held.named():
        wanted.setdefault(part.height, set()).add(part.tx_hash)
    return (yield from _assemble("order", trust, state, {at: _done(hashes) for at, hashes in wanted.items()}))


def _done(hashes: set[bytes]) -> Wanted:
    """Those of these transactions that the ledger did not refuse: only they happened to the order."""
    return lambda tx, result: result.code == Code.OK and tx_hash(tx) in hashes


def _about_request(reader: VerifiedReader, state: _State, order: custody_pb2.OrderRecord, request: bytes) -> Flow[None]:
    """The request, who decided on it, and who answered."""
    yield from state.get(REQUESTS.key(request))
    for party in OrderLeaves(order).deciders():
        yield from state.get(DECISIONS.key(request, party))
    for fiduciary in order.fiduciaries:
        yield from state.get(ANSWERS.key(request, fiduciary))
    if order.authority:
        yield from _about_extraction(reader, state, order, request)


def _about_extraction(
    reader: VerifiedReader, state: _State, order: custody_pb2.OrderRecord, request: bytes
) -> Flow[None]:
    """What the members of the key's epoch answered, and those of epochs before; what a signing order signs."""
    if not order.identity:
        yield from state.get(SIGNINGS.key(request))
    leaf = leaves.of(EXTRACTIONS, request)
    record = yield from _proved(reader, state, leaf)
    yield from state.get(leaf.key)
    if record is None:
        return
    epoch, wanting = record.epoch, record.answers + record.earlier_answers
    while wanting > 0 and epoch > 0:
        for fiduciary in (yield from _members(state, order.authority, epoch)):
            answered = yield from state.get(PARTIALS.key(request, 0, epoch, fiduciary))
            wanting -= answered is not None
        epoch -= 1


def _members(state: _State, authority: bytes, epoch: int) -> Flow[list[bytes]]:
    """Who held a share in that epoch, as the node says: which answers there are is proved by their count."""
    leaf = leaves.of(EPOCHS, authority, epoch)
    seats = leaf.found(leaf.read((yield from state.look(leaf.key)))).members
    found: list[bytes] = []
    for index in range(1, MAX_AUTHORITY_MEMBERS + 1):
        if len(found) == seats:
            break
        member = leaves.of(MEMBERS, authority, epoch, index)
        record = member.read((yield from state.look(member.key)))
        if record is not None:
            found.append(record.fiduciary)
    return found


# --- blocking; under asyncio, `await rpc.run(...)` of the flows above -------------------------------------------
def collect_transaction_receipt(rpc: Rpc, trust: TrustFile, tx_hash: bytes, height: int | None = None) -> Collected:
    """The receipt of the transaction with this hash.

    ``trust``: where the path of headers begins; from genesis, it will serve everybody. ``height``: the transaction's,
    where the node's index is off. Raises ReceiptRefused or NotVerified (the node lies), RpcError (no such transaction),
    NotFound, TimedOut, Unreachable, BadAnswer; so do all here.
    """
    return rpc.run(transaction_receipt(trust, tx_hash, height))


def collect_state_receipt(rpc: Rpc, trust: TrustFile, wanted: Sequence[bytes]) -> Collected:
    """The receipt of leaves, or of their absence, by their raw keys (:mod:`abci_app.state.records`)."""
    return rpc.run(state_receipt(trust, wanted))


def collect_identity_receipt(rpc: Rpc, trust: TrustFile, identity: bytes, at_height: int | None = None) -> Collected:
    """The receipt of an identity; with ``at_height``, of what it was then."""
    return rpc.run(identity_receipt(trust, identity, at_height))


def collect_order_receipt(rpc: Rpc, trust: TrustFile, order: bytes) -> Collected:
    """The receipt of an order, with everything that happened to it."""
    return rpc.run(order_receipt(trust, order))
