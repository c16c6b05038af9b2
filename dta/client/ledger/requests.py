"""CometBFT's RPC methods, typed: each function builds a request and knows how to read its answer.

Nothing here is verified: what a node says is what a node says. Source: CometBFT's RPC documentation, v0.38 to v0.40.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from abci_app.block import Event, Time, TxResult
from dta.base.errors import BadAnswer, JsonValue
from dta.client.ledger.flow import Flow, Request, call
from dta.light import decode
from dta.light.decode import member
from dta.light.merkle import MerkleProof
from dta.light.types import BlockId, Commit, Header, SignedHeader, Validator, ValidatorSet

MAX_BLOCK_ANSWER_BYTES = 64 << 20
MAX_TX_BYTES = 4 << 20
MAX_TXS = 200_000
MAX_TEXT_CHARS = 64 << 10
MAX_EVENTS = 100_000
MAX_VALUE_BYTES = 1 << 20
VALIDATORS_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Status:
    """What a node says of itself and of its newest block."""

    chain_id: str
    node_id: str
    moniker: str
    version: str
    latest_height: int
    latest_time: Time
    latest_block_hash: bytes
    earliest_height: int
    catching_up: bool
    validator_address: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What the node's CheckTx said. Code 0 is no acknowledgement: only a block is."""

    code: int
    log: str
    data: bytes
    tx_hash: bytes


@dataclass(frozen=True, slots=True)
class IncludedTx:
    """A transaction in a block, as the node's index says. ``proof`` leads to the block's ``data_hash``."""

    tx_hash: bytes
    height: int
    index: int
    tx: bytes
    result: TxResult
    proof: MerkleProof | None


@dataclass(frozen=True, slots=True)
class ProofOp:
    """One step of an ABCI query's proof."""

    kind: str
    key: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The application's answer to a query. ``value`` is empty where there is none."""

    code: int
    log: str
    info: str
    key: bytes
    value: bytes
    height: int
    proof_ops: tuple[ProofOp, ...]


@dataclass(frozen=True, slots=True)
class ValidatorsPage:
    """One page of the validator set that signs the block at ``height``."""

    height: int
    total: int
    validators: tuple[Validator, ...]


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """A block."""

    block_id: BlockId
    header: Header
    txs: tuple[bytes, ...]
    last_commit: Commit | None


@dataclass(frozen=True, slots=True)
class BlockResults:
    """What the application answered to a block."""

    height: int
    tx_results: tuple[TxResult, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """A node that this one is connected to."""

    node_id: str
    moniker: str
    remote_ip: str


@dataclass(frozen=True, slots=True)
class NetInfo:
    """A node's connections."""

    listening: bool
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class AbciInfo:
    """What the application told CometBFT of itself: ``height`` is the last one that it committed."""

    name: str
    version: str
    height: int


def status() -> Request[Status]:
    """The node's newest height, and whether it is still catching up."""
    return Request("status", {}, _status)


def broadcast_tx_sync(tx: bytes) -> Request[Broadcast]:
    """Hands a transaction to the node's mempool. Raises RpcError where it is there already or the mempool is full."""
    return Request("broadcast_tx_sync", {"tx": _base64(tx)}, _broadcast)


def tx(tx_hash: bytes, prove: bool = False) -> Request[IncludedTx]:
    """A committed transaction by its hash, from the node's index: which is behind the chain, or may be off."""
    return Request("tx", {"hash": _base64(tx_hash), "prove": prove}, _included_tx, MAX_BLOCK_ANSWER_BYTES)


def abci_query(path: str, data: bytes, height: int = 0, prove: bool = False) -> Request[QueryAnswer]:
    """A query to the application. Height 0: the newest (with ``prove``: the newest that can be proved)."""
    params: dict[str, JsonValue] = {"path": path, "data": data.hex(), "height": str(height), "prove": prove}
    return Request("abci_query", params, _query_answer)


def commit(height: int) -> Request[SignedHeader]:
    """The header at ``height`` and the precommits for it."""
    return Request("commit", {"height": str(height)}, _signed_header)


def validators_page(height: int, page: int) -> Request[ValidatorsPage]:
    """One page (from 1) of the set that signs the block at ``height``."""
    params = {"height": str(height), "page": str(page), "per_page": str(VALIDATORS_PER_PAGE)}
    return Request("validators", params, _validators_page)


def validators(height: int) -> Flow[ValidatorSet]:
    """The whole set that signs the block at ``height``, over as many pages as it has."""
    found: list[Validator] = []
    for page in range(1, decode.MAX_VALIDATORS // VALIDATORS_PER_PAGE + 1):
        answer = yield from call(validators_page(height, page))
        if answer.height != height:
            raise BadAnswer(f"the node answered with the validators of height {answer.height}, not {height}")
        found.extend(answer.validators)
        if len(found) >= answer.total or not answer.validators:
            break
    return ValidatorSet(tuple(found))


def block(height: int) -> Request[BlockAnswer]:
    """The block at ``height``."""
    return Request("block", {"height": str(height)}, _block, MAX_BLOCK_ANSWER_BYTES)


def block_results(height: int) -> Request[BlockResults]:
    """The results of the block at ``height``; an RpcError for a moment after the block is there."""
    return Request("block_results", {"height": str(height)}, _block_results, MAX_BLOCK_ANSWER_BYTES)


def net_info() -> Request[NetInfo]:
    """The node's peers."""
    return Request("net_info", {}, _net_info)


def abci_info() -> Request[AbciInfo]:
    """The application, asked through CometBFT."""
    return Request("abci_info", {}, _abci_info)


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise decode.refuse(where, "true or false")
    return value


def _status(value: Any) -> Status:
    node, sync = member(value, "node_info"), member(value, "sync_info")
    validator = member(value, "validator_info")
    return Status(
        chain_id=decode.text(member(node, "network"), "node_info.network", decode.MAX_CHAIN_ID_CHARS),
        node_id=decode.text(member(node, "id"), "node_info.id", 64),
        moniker=decode.text(member(node, "moniker"), "node_info.moniker", 256),
        version=decode.text(member(node, "version"), "node_info.version", 256),
        latest_height=decode.integer(member(sync, "latest_block_height"), "sync_info.latest_block_height"),
        latest_time=decode.time(member(sync, "latest_block_time"), "sync_info.latest_block_time"),
        latest_block_hash=decode.hex_bytes(member(sync, "latest_block_hash"), "sync_info.latest_block_hash", (0, 32)),
        earliest_height=decode.integer(member(sync, "earliest_block_height"), "sync_info.earliest_block_height"),
        catching_up=_flag(member(sync, "catching_up"), "sync_info.catching_up"),
        validator_address=decode.hex_bytes(member(validator, "address"), "validator_info.address", (0, 20)),
    )


def _broadcast(value: Any) -> Broadcast:
    return Broadcast(
        code=decode.small_integer(member(value, "code"), "code"),
        log=decode.text(member(value, "log"), "log", MAX_TEXT_CHARS),
        data=decode.hex_bytes(member(value, "data") or "", "data", tuple(range(65))),
        tx_hash=decode.hex_bytes(member(value, "hash"), "hash", (32,)),
    )


def _events(value: Any, where: str) -> tuple[Event, ...]:
    at_type, at_key, at_value = f"{where}.type", f"{where}.key", f"{where}.value"
    return tuple(
        Event(
            decode.text(member(event, "type"), at_type, MAX_TEXT_CHARS),
            tuple(
                (
                    decode.text(member(attribute, "key"), at_key, MAX_TEXT_CHARS),
                    decode.text(member(attribute, "value"), at_value, MAX_TEXT_CHARS),
                )
                for attribute in decode.items(member(event, "attributes"), where, MAX_EVENTS)
            ),
        )
        for event in decode.items(value, where, MAX_EVENTS)
    )


def _tx_result(value: Any) -> TxResult:
    return TxResult(
        code=decode.small_integer(member(value, "code"), "tx_result.code"),
        data=decode.base64_bytes(member(value, "data"), "tx_result.data", MAX_VALUE_BYTES),
        log=decode.text(member(value, "log"), "tx_result.log", MAX_TEXT_CHARS),
        gas_wanted=decode.integer(member(value, "gas_wanted"), "tx_result.gas_wanted", minimum=-(2**63)),
        gas_used=decode.integer(member(value, "gas_used"), "tx_result.gas_used", minimum=-(2**63)),
        events=_events(member(value, "events"), "tx_result.events"),
        reason=decode.text(member(value, "info"), "tx_result.info", MAX_TEXT_CHARS),
    )


def _included_tx(value: Any) -> IncludedTx:
    proof = member(value, "proof")
    inner = member(proof, "proof") if proof else None
    # Without `prove` the node writes an empty proof.
    proved = inner is not None and member(inner, "total") not in (None, "0")
    return IncludedTx(
        tx_hash=decode.hex_bytes(member(value, "hash"), "hash", (32,)),
        height=decode.integer(member(value, "height"), "height", minimum=1),
        index=decode.small_integer(member(value, "index"), "index"),
        tx=decode.base64_bytes(member(value, "tx"), "tx", MAX_TX_BYTES),
        result=_tx_result(member(value, "tx_result")),
        proof=decode.merkle_proof(inner) if proved else None,
    )


def _query_answer(value: Any) -> QueryAnswer:
    response = member(value, "response")
    ops = member(response, "proofOps")
    return QueryAnswer(
        code=decode.small_integer(member(response, "code"), "response.code"),
        log=decode.text(member(response, "log"), "response.log", MAX_TEXT_CHARS),
        info=decode.text(member(response, "info"), "response.info", MAX_TEXT_CHARS),
        key=decode.base64_bytes(member(response, "key"), "response.key", MAX_VALUE_BYTES),
        value=decode.base64_bytes(member(response, "value"), "response.value", MAX_VALUE_BYTES),
        height=decode.integer(member(response, "height"), "response.height"),
        proof_ops=tuple(
            ProofOp(
                decode.text(member(op, "type"), "response.proofOps.type", 64),
                decode.base64_bytes(member(op, "key"), "response.proofOps.key", MAX_VALUE_BYTES),
                decode.base64_bytes(member(op, "data"), "response.proofOps.data", MAX_VALUE_BYTES),
            )
            for op in (decode.items(member(ops, "ops"), "response.proofOps.ops", 8) if ops else ())
        ),
    )


def _signed_header(value: Any) -> SignedHeader:
    return decode.signed_header(member(value, "signed_header"))


def _validators_page(value: Any) -> ValidatorsPage:
    found = decode.items(member(value, "validators"), "validators", VALIDATORS_PER_PAGE)
    return ValidatorsPage(
        height=decode.integer(member(value, "block_height"), "block_height"),
        total=decode.integer(member(value, "total"), "total"),
        validators=tuple(decode.validator(v) for v in found),
    )


def _block(value: Any) -> BlockAnswer:
    inner = member(value, "block")
    txs = decode.items(member(member(inner, "data"), "txs"), "block.data.txs", MAX_TXS)
    last_commit = member(inner, "last_commit")
    return BlockAnswer(
        block_id=decode.block_id(member(value, "block_id"), "block_id"),
        header=decode.header(member(inner, "header")),
        txs=tuple(decode.base64_bytes(t, "block.data.txs", MAX_TX_BYTES) for t in txs),
        last_commit=decode.commit(last_commit) if last_commit else None,
    )


def _block_results(value: Any) -> BlockResults:
    results = decode.items(member(value, "txs_results"), "txs_results", MAX_TXS)
    return BlockResults(
        height=decode.integer(member(value, "height"), "height"),
        tx_results=tuple(_tx_result(r) for r in results),
        events=_events(member(value, "finalize_block_events"), "finalize_block_events"),
    )


def _net_info(value: Any) -> NetInfo:
    peers = decode.items(member(value, "peers"), "peers", 10_000)
    return NetInfo(
        listening=_flag(member(value, "listening"), "listening"),
        peers=tuple(
            Peer(
                node_id=decode.text(member(member(p, "node_info"), "id"), "peers.node_info.id", 64),
                moniker=decode.text(member(member(p, "node_info"), "moniker"), "peers.node_info.moniker", 256),
                remote_ip=decode.text(member(p, "remote_ip"), "peers.remote_ip", 64),
            )
            for p in peers
        ),
    )


def _abci_info(value: Any) -> AbciInfo:
    said = member(value, "response")
    return AbciInfo(  # CometBFT leaves out what is empty or zero
        name=decode.text(said.get("data", ""), "response.data", 64),
        version=decode.text(said.get("version", ""), "response.version", 64),
        height=decode.integer(said.get("last_block_height", "0"), "response.last_block_height"),
    )
