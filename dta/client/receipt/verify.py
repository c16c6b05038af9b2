"""Whether a receipt proves what it says, from its raw bytes and what the verifier trusts. Offline, no node, no state.

Every hash is recomputed: header, validator set, data, results, app hash. The order of the checks and their names are
those of docs/spec/receipt.md, so that a second verifier can be written from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from abci_app.codes import Code
from abci_app.pb.dta.v1 import params_pb2
from abci_app.state.as_of import Moment
from abci_app.state.proof import ProofRefused, verify_absence, verify_existence
from abci_app.state.records import CHAIN
from dta.base.errors import NotVerified
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.format import IncludedTx, Receipt, ReceiptBlock, time_text
from dta.client.receipt.order import Named, OrderLeaves, read_record
from dta.client.receipt.transactions import Outcome, ReadTx, outcomes, read_tx
from dta.light.hashes import ResultLeaf, header_hash, tx_hash, validators_hash, verify_result, verify_tx
from dta.light.merkle import MerkleProof, leaf_hash
from dta.light.trust import TrustedState, TrustFile
from dta.light.types import (
    FLAG_ABSENT,
    FLAG_COMMIT,
    FLAG_NIL,
    BlockId,
    Commit,
    CommitSig,
    Header,
    LightBlock,
    SignedHeader,
    ValidatorSet,
)
from dta.light.verify import Power, verify_light_block
from dta.light.wire import deterministic_tx_result

MAX_CLOCK_DRIFT_S = 60


@dataclass(frozen=True, slots=True)
class VerifiedTx:
    """A transaction that was in the block of ``header``. ``read`` None: its bytes are none of this ledger's.

    ``outcomes``: what became of each part of it, by its number; of what can't be read, nothing.
    """

    tx_hash: bytes
    header: Header
    included: IncludedTx
    read: ReadTx | None
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Vouching:
    """Who signed a header: ``validators`` in all, with the power that signed."""

    header: Header
    header_hash: bytes
    validators: ValidatorSet
    power: Power


@dataclass(frozen=True)
class Verified:
    """What a receipt proves. ``states``: key to value, None for absent, all of height ``state_height``.

    ``txs`` are in the order in which they were executed. ``order`` is there for the receipt of an order. ``warnings``
    are sentences for a person: the proofs hold, but under a trust that may be too old.
    """

    receipt: Receipt
    trust: TrustFile
    vouching: tuple[Vouching, ...]
    txs: tuple[VerifiedTx, ...]
    states: Mapping[bytes, bytes | None]
    state_height: int
    order: OrderLeaves | None
    warnings: tuple[str, ...]

    @property
    def moment(self) -> Moment:
        """The block whose header proves the state: what its records are seen as of."""
        last = self.vouching[-1].header
        return Moment(last.height, last.time.seconds)


def verify_receipt(content: bytes, trust: TrustFile, now_s: int) -> Verified:
    """What the receipt in ``content`` proves to who trusts ``trust``. ``now_s``: Unix seconds.

    Raises ReceiptRefused whose ``step`` names the check that failed. Past the trust period the answer has a warning.
    """
    receipt = Receipt.decode(content)
    if receipt.chain_id != trust.chain_id:
        raise ReceiptRefused(
            "chain", f"it is of the chain {receipt.chain_id}, not of {trust.chain_id}", "chain_id", hint=_OTHER_CHAIN
        )
    if receipt.gid != trust.gid:
        raise ReceiptRefused("gid", "it is of another genesis than the trust file names", "gid", hint=_OTHER_CHAIN)
    vouching = _verify_path(receipt, trust, now_s)
    txs = _verify_txs(receipt)
    states = _verify_states(receipt)
    _verify_chain_record(receipt, states)
    order = _verify_content(receipt, txs, states)
    last = receipt.blocks[-1].header
    return Verified(
        receipt, trust, vouching, txs, states, last.height - 1, order, tuple(_warnings(trust, vouching, now_s))
    )


_OTHER_CHAIN = "take the trust file of that ledger"
_EARLIER_TRUST = "use a trust file from that height or before: the ledger's genesis file will do"


def _light_block(block: ReceiptBlock, validators: ValidatorSet, path: str) -> LightBlock:
    header = block.header
    if len(block.votes) != len(validators.validators):
        raise ReceiptRefused("commit", "it has not one entry for each validator", f"{path}.commit.votes")
    signatures = []
    for vote, validator in zip(block.votes, validators.validators, strict=True):
        if vote is None:
            signatures.append(CommitSig(FLAG_ABSENT, b"", header.time, b""))
        else:
            flag = FLAG_COMMIT if vote.for_block else FLAG_NIL
            signatures.append(CommitSig(flag, validator.address, vote.time, vote.signature))
    block_id = BlockId(header_hash(header), block.parts)
    commit = Commit(header.height, block.round, block_id, tuple(signatures))
    return LightBlock(SignedHeader(header, commit), validators)


def _verify_path(receipt: Receipt, trust: TrustFile, now_s: int) -> tuple[Vouching, ...]:
    """Belief moved from the trust file over every block of the receipt, in order."""
    first = receipt.blocks[0].header.height
    if first < trust.height or (first == trust.height and not trust.header_hash):
        reason = f"it begins at height {first}, which the trust file of height {trust.height} can't reach"
        raise ReceiptRefused("trust", reason, "blocks[0].header.height", hint=_EARLIER_TRUST)
    state = TrustedState.from_file(trust)
    held = trust.validators
    vouching = []
    for index, block in enumerate(receipt.blocks):
        path = f"blocks[{index}]"
        held = _validators_of(block, held, path)
        light = _light_block(block, held, path)
        if light.header.time.seconds > now_s + MAX_CLOCK_DRIFT_S:
            reason = f"its header of {time_text(light.header.time)} is from the future"
            raise ReceiptRefused("time", reason, f"{path}.header.time", hint="is this machine's clock right?")
        try:
            if light.header.height == state.height and state.header is None:
                # The header that the trust file names: its validators have signed it, which is shown as for the others.
                state = state.anchored(light.header)
                power = verify_light_block(trust.chain_id, light)
            else:
                state = state.step(light)
                power = _signed(light)
        except NotVerified as error:
            raise ReceiptRefused(error.step, error.message, path, hint=_hint(error, index)) from error
        vouching.append(Vouching(light.header, light.signed.commit.block_id.hash, held, power))
    return tuple(vouching)


def _hint(error: NotVerified, index: int) -> str:
    if error.step == "trust" and index == 0:
        return "the validators of the trust file do not vouch for it: is it the right one, of that height or before?"
    return error.hint


def _signed(block: LightBlock) -> Power:
    pairs = zip(block.signed.commit.signatures, block.validators.validators, strict=True)
    signed = sum(validator.power for signature, validator in pairs if signature.flag == FLAG_COMMIT)
    return Power(signed, block.validators.total_power)


def _validators_of(block: ReceiptBlock, held: ValidatorSet, path: str) -> ValidatorSet:
    """The set that signed: the one before, or the one that stands there. Never the same once more: no free bytes."""
    same = validators_hash(held) == block.header.validators_hash
    if block.validators is None and not same:
        raise ReceiptRefused("validators", "the set changed, and the new one is not there", f"{path}.validators")
    if block.validators is not None and same:
        raise ReceiptRefused("validators", "the set did not change, and stands there again", f"{path}.validators")
    return held if block.validators is None else block.validators


def _verify_txs(receipt: Receipt) -> tuple[VerifiedTx, ...]:
    found = []
    for index, block in enumerate(receipt.blocks):
        if not block.txs:
            continue
        following = receipt.blocks[index + 1].header if index + 1 < len(receipt.blocks) else None
        if following is None or following.height != block.header.height + 1:
            reason = "the next header, which holds the results of these transactions, is missing"
            raise ReceiptRefused("result", reason, f"blocks[{index}].transactions")
        before: tuple[bool, ...] | None = None
        for number, included in enumerate(block.txs):
            path = f"blocks[{index}].transactions[{number}]"
            _verify_included(block.header, following, included, path)
            if before is not None and included.position <= before:
                raise ReceiptRefused("transaction", "transactions of a block are not in its order", path)
            before = included.position
            read = read_tx(included.tx)
            each = () if read is None else outcomes(read, included.code, included.data)
            if each is None:
                raise ReceiptRefused("result", "it does not say what became of each result", f"{path}.data")
            found.append(VerifiedTx(tx_hash(included.tx), block.header, included, read, each))
    return tuple(found)


def _verify_included(header: Header, following: Header, included: IncludedTx, path: str) -> None:
    """The transaction and its result, on the same way through two like trees: so the result is this transaction's.

    A root does not commit to how many leaves it has, so neither count nor index is in a receipt: the turns are, and
    they are those of a full tree of that depth.
    """
    index = sum(1 << level for level, turn in enumerate(included.path) if not turn.left)
    total = 1 << len(included.path)
    result = ResultLeaf(included.code, included.data, included.gas_wanted, included.gas_used)
    encoded = deterministic_tx_result(result.code, result.data, result.gas_wanted, result.gas_used)
    tx_proof = MerkleProof(total, index, leaf_hash(tx_hash(included.tx)), tuple(turn.tx for turn in included.path))
    result_proof = MerkleProof(total, index, leaf_hash(encoded), tuple(turn.result for turn in included.path))
    try:
        verify_tx(header, included.tx, tx_proof)
    except NotVerified:
        raise ReceiptRefused("transaction", f"it was not in block {header.height}", f"{path}.tx") from None
    try:
        verify_result(following, result, result_proof)
    except NotVerified:
        raise ReceiptRefused("result", f"header {following.height} holds another result", path) from None


def _verify_states(receipt: Receipt) -> dict[bytes, bytes | None]:
    root = receipt.blocks[-1].header.app_hash
    found: dict[bytes, bytes | None] = {}
    before = b""
    for index, state in enumerate(receipt.states):
        path = f"states[{index}]"
        if state.key <= before:
            raise ReceiptRefused("state", "the leaves are not in the order of their keys", f"{path}.key")
        before = state.key
        try:
            if state.value is None:
                verify_absence(root, state.key, state.proof)
            else:
                verify_existence(root, state.key, state.value, state.proof)
        except ProofRefused as error:
            raise ReceiptRefused("state", f"the proof does not hold: {error}", path) from None
        found[state.key] = state.value
    return found


def _verify_chain_record(receipt: Receipt, states: Mapping[bytes, bytes | None]) -> None:
    """The chain's own record names the genesis id: another genesis may have the same chain id and validators."""
    record = read_record(params_pb2.ChainRecord, states.get(CHAIN.key()) or b"")
    if record is None or record.gid != receipt.gid or record.chain_id != receipt.chain_id:
        reason = "the ledger's own record does not name this chain and genesis"
        raise ReceiptRefused("gid", reason, "states", hint=_OTHER_CHAIN)


def _verify_content(
    receipt: Receipt, txs: tuple[VerifiedTx, ...], states: Mapping[bytes, bytes | None]
) -> OrderLeaves | None:
    """What belongs in a receipt of its kind, no more and no less."""
    if receipt.kind == "transaction":
        if len(txs) != 1 or len(states) != 1:
            raise ReceiptRefused("content", "a transaction's receipt has one transaction and the chain's record")
        return None
    if receipt.kind == "state":
        if txs:
            raise ReceiptRefused("content", "a receipt of state has no transactions")
        return None
    order = OrderLeaves.of(states)
    _match(order, txs)
    return order


def _match(order: OrderLeaves, txs: tuple[VerifiedTx, ...]) -> None:
    """What the records name was done; and nothing is there by which nothing happened to the order.

    Done is a part of a transaction whose own code is 0: a bundle's code is 0 whatever became of its results.
    """
    named = order.named()
    done: set[Named] = set()
    for tx in txs:
        if tx.included.code != Code.OK:
            raise ReceiptRefused("content", f"the transaction {tx.tx_hash.hex()} was refused: nothing happened by it")
        about = False
        for item, one in enumerate(tx.outcomes):
            if one.code == Code.OK:
                part = Named(tx.tx_hash, tx.header.height, item)
                done.add(part)
                about = about or part in named
        if not about:
            raise ReceiptRefused("content", f"no record names the transaction {tx.tx_hash.hex()}")
    for lacking in sorted(named - done):
        part_of = f"part {lacking.item} of the transaction {lacking.tx_hash.hex()} of height {lacking.height}"
        raise ReceiptRefused("content", f"{part_of} is missing, or failed", "blocks")


def _warnings(trust: TrustFile, vouching: tuple[Vouching, ...], now_s: int) -> list[str]:
    until_s = trust.trusted_at_s + trust.trust_period_s
    found = []
    if trust.expired(now_s):
        found.append(
            "the trust file is past its trust period: validators of that day may have left since, with nothing to "
            "lose; get a fresh trust file from a fiduciary you know"
        )
    late = [one for one in vouching if one.header.time.seconds > until_s]
    if late:
        found.append(
            f"the header of {time_text(late[0].header.time)} was signed after the trust period of the trust file"
        )
    return found
