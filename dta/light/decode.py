"""Strict, bounded decoding of the JSON that CometBFT's RPC answers with.

CometBFT writes 64-bit integers as decimal strings, hashes and addresses as upper-case hex, keys, signatures and
transactions as base64, and times as RFC 3339 with up to nine fractional digits. Anything else is refused
with :class:`BadAnswer`, which names the field. Unknown fields are skipped: versions add some.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from typing import Any

from abci_app.block import Time
from dta.base.errors import BadAnswer
from dta.light.merkle import MAX_AUNTS, MerkleProof
from dta.light.types import (
    ADDRESS_BYTES,
    FLAG_ABSENT,
    FLAG_COMMIT,
    FLAG_NIL,
    BlockId,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    SignedHeader,
    Validator,
    Version,
)

MAX_VALIDATORS = 1_000
MAX_CHAIN_ID_CHARS = 50
HASH_BYTES = 32
MAX_APP_HASH_BYTES = 64
KEY_TYPE = "tendermint/PubKeyEd25519"

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_HEX = re.compile(r"([0-9A-F]{2})*", re.ASCII)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = range(-(2**63), 2**63)


def refuse(where: str, expected: str) -> BadAnswer:
    """The error for field ``where`` that is not what it should be."""
    return BadAnswer(
        f"the node's answer has no good {where}: expected {expected}",
        hint="is this the RPC port of a CometBFT node of a supported version?",
        data={"field": where, "expected": expected},
    )


def member(value: Any, name: str) -> Any:
    """``value[name]`` of a JSON object; None where it is missing."""
    if not isinstance(value, dict):
        raise refuse(name, "an object around it")
    return value.get(name)


def items(value: Any, where: str, maximum: int) -> list[Any]:
    """A JSON list of at most ``maximum`` items; null is an empty one, as Go writes it."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > maximum:
        raise refuse(where, f"a list of at most {maximum} items")
    return value


def text(value: Any, where: str, max_chars: int) -> str:
    """A JSON string of at most ``max_chars``; null is the empty one."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > max_chars:
        raise refuse(where, f"a string of at most {max_chars} characters")
    return value


def small_integer(value: Any, where: str) -> int:
    """A JSON number, 0 to 2**32 - 1 (rounds, indexes, codes); missing is 0."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
        raise refuse(where, "a small whole number")
    return value


def integer(value: Any, where: str, minimum: int = 0) -> int:
    """An int64 as a decimal string; missing is 0."""
    if value is None:
        value = "0"
    if not isinstance(value, str) or _INTEGER.fullmatch(value) is None:
        raise refuse(where, "a whole number in a string")
    number = int(value)
    if number not in _INT64 or number < minimum:
        raise refuse(where, f"a 64-bit number of at least {minimum}")
    return number


def hex_bytes(value: Any, where: str, lengths: tuple[int, ...]) -> bytes:
    """Upper-case hex of one of the given lengths in bytes."""
    if not isinstance(value, str) or len(value) // 2 not in lengths or _HEX.fullmatch(value) is None:
        raise refuse(where, f"upper-case hex of {' or '.join(map(str, lengths))} bytes")
    return bytes.fromhex(value)


def base64_bytes(value: Any, where: str, max_bytes: int) -> bytes:
    """Standard base64 of at most ``max_bytes``; null is empty."""
    if value is None:
        return b""
    if not isinstance(value, str) or len(value) > 4 * (max_bytes // 3 + 1):
        raise refuse(where, f"base64 of at most {max_bytes} bytes")
    try:
        decoded = b64decode(value, validate=True)
    except (Base64Error, ValueError) as error:
        raise refuse(where, "base64") from error
    if len(decoded) > max_bytes:
        raise refuse(where, f"base64 of at most {max_bytes} bytes")
    return decoded


def time(value: Any, where: str) -> Time:
    """RFC 3339 in UTC, to the nanosecond. Go's zero time is in the year 1."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refuse(where, "a time such as 2026-01-02T03:04:05.678901234Z")
    try:
        moment = datetime(*(int(part) for part in match.groups()[:6]), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise refuse(where, "a date that exists") from error
    since = moment - _EPOCH
    return Time(since.days * 86_400 + since.seconds, int((match.group(7) or "").ljust(9, "0")))


def block_id(value: Any, where: str) -> BlockId:
    """``{hash, parts: {total, hash}}``."""
    parts = member(value, "parts")
    return BlockId(
        hex_bytes(member(value, "hash"), f"{where}.hash", (0, HASH_BYTES)),
        PartSetHeader(
            small_integer(member(parts, "total"), f"{where}.parts.total"),
            hex_bytes(member(parts, "hash"), f"{where}.parts.hash", (0, HASH_BYTES)),
        ),
    )


def header(value: Any) -> Header:
    """A block header as ``/commit`` and ``/block`` give it."""

    def digest(name: str) -> bytes:
        return hex_bytes(member(value, name), f"header.{name}", (0, HASH_BYTES))

    version = member(value, "version")
    return Header(
        version=Version(
            integer(member(version, "block"), "header.version.block"),
            integer(member(version, "app"), "header.version.app"),
        ),
        chain_id=text(member(value, "chain_id"), "header.chain_id", MAX_CHAIN_ID_CHARS),
        height=integer(member(value, "height"), "header.height", minimum=1),
        time=time(member(value, "time"), "header.time"),
        last_block_id=block_id(member(value, "last_block_id"), "header.last_block_id"),
        last_commit_hash=digest("last_commit_hash"),
        data_hash=digest("data_hash"),
        validators_hash=digest("validators_hash"),
        next_validators_hash=digest("next_validators_hash"),
        consensus_hash=digest("consensus_hash"),
        app_hash=hex_bytes(member(value, "app_hash"), "header.app_hash", tuple(range(MAX_APP_HASH_BYTES + 1))),
        last_results_hash=digest("last_results_hash"),
        evidence_hash=digest("evidence_hash"),
        proposer_address=hex_bytes(member(value, "proposer_address"), "header.proposer_address", (ADDRESS_BYTES,)),
    )


def _commit_sig(value: Any) -> CommitSig:
    flag = small_integer(member(value, "block_id_flag"), "commit.signatures.block_id_flag")
    if flag not in (FLAG_ABSENT, FLAG_COMMIT, FLAG_NIL):
        raise refuse("commit.signatures.block_id_flag", "1, 2 or 3")
    present = flag != FLAG_ABSENT
    return CommitSig(
        flag,
        hex_bytes(
            member(value, "validator_address"),
            "commit.signatures.validator_address",
            (ADDRESS_BYTES,) if present else (0,),
        ),
        time(member(value, "timestamp"), "commit.signatures.timestamp"),
        base64_bytes(member(value, "signature"), "commit.signatures.signature", 64 if present else 0),
    )


def commit(value: Any) -> Commit:
    """A commit as ``/commit`` gives it, and as a block's ``last_commit`` is."""
    return Commit(
        integer(member(value, "height"), "commit.height"),
        small_integer(member(value, "round"), "commit.round"),
        block_id(member(value, "block_id"), "commit.block_id"),
        tuple(_commit_sig(s) for s in items(member(value, "signatures"), "commit.signatures", MAX_VALIDATORS)),
    )


def signed_header(value: Any) -> SignedHeader:
    """``{header, commit}``."""
    return SignedHeader(header(member(value, "header")), commit(member(value, "commit")))


def validator(value: Any) -> Validator:
    """One validator of ``/validators`` (``voting_power``) or of a genesis file (``power``)."""
    key = member(value, "pub_key")
    if member(key, "type") != KEY_TYPE:
        raise refuse("validators.pub_key.type", KEY_TYPE)
    public_key = base64_bytes(member(key, "value"), "validators.pub_key.value", 32)
    if len(public_key) != 32:
        raise refuse("validators.pub_key.value", "32 bytes in base64")
    power = member(value, "voting_power") if "voting_power" in value else member(value, "power")
    return Validator(public_key, integer(power, "validators.voting_power", minimum=1))


def merkle_proof(value: Any) -> MerkleProof:
    """``{total, index, leaf_hash, aunts}``, as ``/tx`` with ``prove`` gives it."""
    return MerkleProof(
        integer(member(value, "total"), "proof.total"),
        integer(member(value, "index"), "proof.index"),
        base64_bytes(member(value, "leaf_hash"), "proof.leaf_hash", HASH_BYTES),
        tuple(
            base64_bytes(aunt, "proof.aunts", HASH_BYTES)
            for aunt in items(member(value, "aunts"), "proof.aunts", MAX_AUNTS)
        ),
    )
