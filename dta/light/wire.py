"""The few protobuf encodings that CometBFT hashes and signs, written out by hand.

Generated code would leave the two things that matter here implicit: which empty sub-messages are written
(gogoproto's ``nullable = false`` writes them, proto3 would not) and that scalars at their default are left out.
Source: CometBFT v0.38 to v0.40, ``proto/tendermint/types/{types,canonical,validator}.proto``.
"""

from __future__ import annotations

from abci_app.block import Time
from dta.light.types import BlockId, CommitSig, PartSetHeader, Validator, Version

_VARINT, _FIXED64, _BYTES = 0, 1, 2
PRECOMMIT_TYPE = 2


def uvarint(value: int) -> bytes:
    """``value`` (0 <= value < 2**64) as an unsigned LEB128 varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(field: int, wire_type: int) -> bytes:
    return uvarint(field << 3 | wire_type)


def integer(field: int, value: int) -> bytes:
    """An int32, int64, uint32, uint64 or enum field: nothing when 0; negatives as 64-bit two's complement."""
    return _tag(field, _VARINT) + uvarint(value & 0xFFFFFFFFFFFFFFFF) if value else b""


def sfixed64(field: int, value: int) -> bytes:
    """An sfixed64 field: nothing when 0."""
    return _tag(field, _FIXED64) + value.to_bytes(8, "little", signed=True) if value else b""


def blob(field: int, value: bytes) -> bytes:
    """A bytes or string field: nothing when empty."""
    return message(field, value) if value else b""


def message(field: int, encoded: bytes) -> bytes:
    """A sub-message that is present, even when it is empty."""
    return _tag(field, _BYTES) + uvarint(len(encoded)) + encoded


def timestamp(time: Time) -> bytes:
    """google.protobuf.Timestamp."""
    return integer(1, time.seconds) + integer(2, time.nanos)


def version(value: Version) -> bytes:
    """tendermint.version.Consensus."""
    return integer(1, value.block) + integer(2, value.app)


def part_set_header(value: PartSetHeader) -> bytes:
    """PartSetHeader and CanonicalPartSetHeader: the same bytes."""
    return integer(1, value.total) + blob(2, value.hash)


def block_id(value: BlockId) -> bytes:
    """BlockID and CanonicalBlockID: the part set header is written even when it is empty."""
    return blob(1, value.hash) + message(2, part_set_header(value.parts))


def simple_validator(value: Validator) -> bytes:
    """SimpleValidator: the leaf of a validator set's hash. Only Ed25519 keys (PublicKey field 1)."""
    return message(1, message(1, value.public_key)) + integer(2, value.power)


def commit_sig(value: CommitSig) -> bytes:
    """CommitSig: the leaf of ``last_commit_hash``."""
    return (
        integer(1, value.flag)
        + blob(2, value.validator_address)
        + message(3, timestamp(value.time))
        + blob(4, value.signature)
    )


def precommit_sign_bytes(chain_id: str, height: int, round_: int, block: BlockId | None, time: Time) -> bytes:
    """What a validator signs: a CanonicalVote of type precommit, prefixed by its varint length.

    ``block`` None is a vote for nil: the field is then left out.
    """
    vote = (
        integer(1, PRECOMMIT_TYPE)
        + sfixed64(2, height)
        + sfixed64(3, round_)
        + (b"" if block is None else message(4, block_id(block)))
        + message(5, timestamp(time))
        + blob(6, chain_id.encode("utf-8"))
    )
    return uvarint(len(vote)) + vote


def wrapped_string(value: str) -> bytes:
    """google.protobuf.StringValue: how a header's string is hashed; nothing when empty."""
    return blob(1, value.encode("utf-8"))


def wrapped_integer(value: int) -> bytes:
    """google.protobuf.Int64Value: how a header's height is hashed; nothing when 0."""
    return integer(1, value)


def wrapped_bytes(value: bytes) -> bytes:
    """google.protobuf.BytesValue: how a header's hashes are hashed; nothing when empty."""
    return blob(1, value)


def deterministic_tx_result(code: int, data: bytes, gas_wanted: int, gas_used: int) -> bytes:
    """The part of an ExecTxResult that enters the results hash: the leaf of ``last_results_hash``."""
    return integer(1, code) + blob(2, data) + integer(5, gas_wanted) + integer(6, gas_used)
