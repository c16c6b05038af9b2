"""ABCI messages to the state machine's plain values and back. Nothing is decided here but whether a value fits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from abci_app.block import Block, Event, Genesis, Misbehaviour, Time, TxResult, ValidatorUpdate
from abci_app.codes import Code
from abci_app.hashing import u32, u64
from abci_app.limits import ED25519_KEY_BYTES, MAX_TIME_S
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.dispatch import CODESPACE, AbciRefused

TIME_BYTES = 12


def time_from(timestamp: pb.Timestamp) -> Time:
    """Block time. Raises :class:`AbciRefused` for one before 1970 or with nanoseconds out of range."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not (0 <= seconds <= MAX_TIME_S and 0 <= nanos < 1_000_000_000):
        raise AbciRefused(f"a block time of {seconds} s and {nanos} ns is none")
    return Time(seconds, nanos)


def encode_time(time: Time) -> bytes:
    """12 bytes: u64 seconds, u32 nanoseconds, big-endian."""
    return u64(time.seconds) + u32(time.nanos)


def decode_time(encoded: bytes) -> Time:
    """The inverse of :func:`encode_time`."""
    if len(encoded) != TIME_BYTES:
        raise ValueError(f"a time is {TIME_BYTES} bytes, not {len(encoded)}")
    return Time(int.from_bytes(encoded[:8], "big"), int.from_bytes(encoded[8:], "big"))


def genesis_from(request: pb.InitChainRequest) -> Genesis:
    """InitChain's content. Raises :class:`AbciRefused` for a validator key that is not Ed25519."""
    if request.initial_height < 1:
        raise AbciRefused(f"genesis: initial_height is {request.initial_height}, the least is 1")
    return Genesis(
        chain_id=request.chain_id,
        time=time_from(request.time),
        initial_height=request.initial_height,
        validators=tuple(_validator_from(validator) for validator in request.validators),
        app_state=request.app_state_bytes,
    )


def block_from(request: pb.FinalizeBlockRequest) -> Block:
    """The decided block."""
    return Block(
        height=request.height,
        time=time_from(request.time),
        txs=tuple(request.txs),
        proposer_address=request.proposer_address,
        misbehaviour=tuple(
            Misbehaviour(kind=int(one.type), address=one.validator.address, height=one.height)
            for one in request.misbehaviour
        ),
    )


def check_tx_response(result: TxResult) -> pb.CheckTxResponse:
    """What the mempool is told."""
    response = pb.CheckTxResponse(
        code=result.code,
        data=result.data,
        log=result.log,
        info=result.reason,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        codespace=_codespace(result.code),
    )
    add_events(response.events, result.events)
    return response


def add_tx_result(response: pb.FinalizeBlockResponse, result: TxResult) -> None:
    """One result of a block, made in its place: protobuf copies what is built apart. The codespace is not hashed."""
    target = response.tx_results.add()
    target.code = result.code
    target.data = result.data
    target.log = result.log
    target.info = result.reason
    target.gas_wanted = result.gas_wanted
    target.gas_used = result.gas_used
    target.codespace = _codespace(result.code)
    add_events(target.events, result.events)


def add_events(target: Any, items: Iterable[Event]) -> None:
    """Append to a response's events. CometBFT indexes no attribute: a door has an index of its own, of all of them."""
    for item in items:
        event = target.add()
        event.type = item.kind
        add_attribute = event.attributes.add
        for key, value in item.attributes:
            attribute = add_attribute()
            attribute.key = key
            attribute.value = value


def validator_updates(items: Iterable[ValidatorUpdate]) -> list[pb.ValidatorUpdate]:
    """Ed25519 keys and their new power."""
    return [pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=item.public_key), power=item.power) for item in items]


def _validator_from(validator: pb.ValidatorUpdate) -> ValidatorUpdate:
    key = validator.pub_key
    if key.WhichOneof("sum") != "ed25519" or len(key.ed25519) != ED25519_KEY_BYTES:
        raise AbciRefused("genesis: a validator's key is not an Ed25519 key of 32 bytes")
    return ValidatorUpdate(public_key=key.ed25519, power=validator.power)


def _codespace(code: int) -> str:
    return CODESPACE if code != Code.OK else ""
