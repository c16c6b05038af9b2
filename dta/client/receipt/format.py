"""The file of a receipt: one JSON object in one canonical form, strict and bounded (docs/spec/receipt.md).

Members in the order of their names, no white space, no escapes, one newline at the end: a receipt is refused unless
writing what was read gives back the very bytes. Nothing stands in it twice, so that no byte of it is free.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from abci_app.block import Time
from abci_app.limits import MAX_CHAIN_ID_CHARS, MAX_TX_BYTES, MAX_VALUE_BYTES
from abci_app.state.proof import MAX_PROOF_BYTES
from abci_app.text import is_chain_id
from dta.base.errors import BadAnswer
from dta.client.receipt.errors import ReceiptRefused
from dta.light import decode
from dta.light.types import ADDRESS_BYTES, BlockId, Header, PartSetHeader, Validator, ValidatorSet, Version

FORMAT = "dta-receipt-1"
KINDS = ("order", "state", "transaction")
MAX_RECEIPT_BYTES = 32 << 20
MAX_BLOCKS = 4_096
MAX_TXS_IN_BLOCK = 4_096
MAX_STATES = 4_096
MAX_PATH = 32
MAX_STATE_KEY_BYTES = 1_024
MAX_RESULT_DATA_BYTES = 65_536
MAX_NUMBER = 2**53 - 1
"""Any JSON reader shows a number up to here as it is."""

_HASH = (0, 32)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Vote:
    """A validator's precommit: for the block, or for nil. ``signature``: 64 bytes.

    ``time`` is the validator's own word: any that CometBFT's encoding holds, from the year 1 to 9999. One that lies
    takes nothing away from the others' signatures, nor does its own become less good.
    """

    for_block: bool
    time: Time
    signature: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """One level of the two like trees over a block's transactions and results, from the leaf up.

    ``left``: whether the transaction is on the left. ``tx`` and ``result``: 32-byte hashes of the other sides.
    """

    left: bool
    tx: bytes
    result: bytes


@dataclass(frozen=True, slots=True)
class IncludedTx:
    """A transaction of a block, the consensus part of its result, and the way from both up to their roots."""

    tx: bytes
    code: int
    data: bytes
    gas_wanted: int
    gas_used: int
    path: tuple[Turn, ...]

    @property
    def position(self) -> tuple[bool, ...]:
        """The turns from the root down, right as True: in one block, they sort as the transactions do."""
        return tuple(not turn.left for turn in reversed(self.path))


@dataclass(frozen=True, slots=True)
class ReceiptBlock:
    """A signed header. ``validators``: the set that signed it, None where it is the one before. None: no vote."""

    header: Header
    round: int
    parts: PartSetHeader
    votes: tuple[Vote | None, ...]
    validators: ValidatorSet | None
    txs: tuple[IncludedTx, ...]


@dataclass(frozen=True, slots=True)
class StateLeaf:
    """A leaf of the state and its ICS23 proof. ``value`` None: there is no such leaf."""

    key: bytes
    value: bytes | None
    proof: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as the file has it: nothing is verified by being here.

    ``states`` are of the height before the last block's: their app hash stands in the last header.
    """

    kind: str
    chain_id: str
    gid: bytes
    blocks: tuple[ReceiptBlock, ...]
    states: tuple[StateLeaf, ...]

    def encode(self) -> bytes:
        """The file's bytes."""
        value = {
            "blocks": [_block_json(block) for block in self.blocks],
            "chain_id": self.chain_id,
            "format": FORMAT,
            "gid": self.gid.hex(),
            "kind": self.kind,
            "states": [_state_json(state) for state in self.states],
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"

    @staticmethod
    def decode(content: bytes) -> Receipt:
        """The receipt in ``content``. Raises ReceiptRefused (step ``format``), naming the place."""
        if len(content) > MAX_RECEIPT_BYTES:
            raise ReceiptRefused("format", f"it is longer than {MAX_RECEIPT_BYTES} bytes")
        try:
            value = json.loads(content.decode("ascii"))
        except (ValueError, RecursionError):
            raise ReceiptRefused("format", "it is not JSON in ASCII", hint="is it the right file?") from None
        try:
            receipt = _receipt(value)
        except BadAnswer as error:
            expected, field = error.data["expected"], error.data["field"]
            raise ReceiptRefused("format", f"expected {expected}", str(field)) from None
        if receipt.encode() != content:
            raise ReceiptRefused("format", "it is not in the canonical form", hint="nobody may edit or re-format it")
        return receipt


# --- writing --------------------------------------------------------------------------------------------------
def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def time_text(time: Time) -> str:
    """RFC 3339 in UTC with nine digits after the point and four for the year, always. Years 1 to 9999."""
    moment = (_EPOCH + timedelta(seconds=time.seconds)).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='seconds')}.{time.nanos:09d}Z"


def _parts_json(parts: PartSetHeader) -> dict[str, Any]:
    return {"hash": parts.hash.hex(), "total": parts.total}


def _header_json(header: Header) -> dict[str, Any]:
    return {
        "app_hash": header.app_hash.hex(),
        "chain_id": header.chain_id,
        "consensus_hash": header.consensus_hash.hex(),
        "data_hash": header.data_hash.hex(),
        "evidence_hash": header.evidence_hash.hex(),
        "height": header.height,
        "last_block_id": {"hash": header.last_block_id.hash.hex(), "parts": _parts_json(header.last_block_id.parts)},
        "last_commit_hash": header.last_commit_hash.hex(),
        "last_results_hash": header.last_results_hash.hex(),
        "next_validators_hash": header.next_validators_hash.hex(),
        "proposer_address": header.proposer_address.hex(),
        "time": time_text(header.time),
        "validators_hash": header.validators_hash.hex(),
        "version": {"app": header.version.app, "block": header.version.block},
    }


def _vote_json(vote: Vote | None) -> dict[str, Any] | None:
    if vote is None:
        return None
    return {
        "for": "block" if vote.for_block else "nil",
        "signature": _base64(vote.signature),
        "time": time_text(vote.time),
    }


def _tx_json(included: IncludedTx) -> dict[str, Any]:
    return {
        "code": included.code,
        "data": _base64(included.data),
        "gas_used": included.gas_used,
        "gas_wanted": included.gas_wanted,
        "path": [
            {"result": turn.result.hex(), "side": "left" if turn.left else "right", "tx": turn.tx.hex()}
            for turn in included.path
        ],
        "tx": _base64(included.tx),
    }


def _block_json(block: ReceiptBlock) -> dict[str, Any]:
    validators = block.validators
    return {
        "commit": {
            "parts": _parts_json(block.parts),
            "round": block.round,
            "votes": [_vote_json(vote) for vote in block.votes],
        },
        "header": _header_json(block.header),
        "transactions": [_tx_json(included) for included in block.txs],
        "validators": None
        if validators is None
        else [{"power": one.power, "public_key": one.public_key.hex()} for one in validators.validators],
    }


def _state_json(state: StateLeaf) -> dict[str, Any]:
    return {
        "key": state.key.hex(),
        "proof": _base64(state.proof),
        "value": None if state.value is None else _base64(state.value),
    }


# --- reading --------------------------------------------------------------------------------------------------
def _member(value: Any, name: str, path: str) -> tuple[Any, str]:
    if not isinstance(value, dict):
        raise decode.refuse(path or "the file", "an object")
    where = f"{path}.{name}" if path else name
    if name not in value:
        raise decode.refuse(where, "to be there")
    return value[name], where


def _number(value: Any, path: str, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MAX_NUMBER:
        raise decode.refuse(path, f"a whole number, {least} to 2^53 - 1")
    return value


def _small(value: Any, path: str) -> int:
    if _number(value, path) >= 2**31:
        raise decode.refuse(path, "a whole number below 2^31")
    return int(value)


def _hex(value: Any, path: str, lengths: tuple[int, ...]) -> bytes:
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.hex() != value or len(found) not in lengths:
        raise decode.refuse(path, f"lower-case hex of {' or '.join(map(str, lengths))} bytes")
    return found


def _bytes(value: Any, path: str, most: int, least: int = 0) -> bytes:
    try:
        found = b64decode(value, validate=True) if isinstance(value, str) and len(value) < 2 * most + 8 else None
    except ValueError:
        found = None
    if found is None or not least <= len(found) <= most or _base64(found) != value:
        raise decode.refuse(path, f"base64 of {least} to {most} bytes")
    return found


def _list(value: Any, path: str, most: int, read: Callable[[Any, str], T], least: int = 0) -> tuple[T, ...]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise decode.refuse(path, f"a list of {least} to {most} items")
    return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(value))


def _choice(value: Any, path: str, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise decode.refuse(path, f"one of {', '.join(choices)}")
    return value


def _chain_id(value: Any, path: str) -> str:
    if not isinstance(value, str) or not is_chain_id(value, MAX_CHAIN_ID_CHARS):
        raise decode.refuse(path, "a chain id")
    return value


def _time(value: Any, path: str) -> Time:
    if not isinstance(value, str) or len(value) != len("2026-01-02T03:04:05.678901234Z"):
        raise decode.refuse(path, "a time such as 2026-01-02T03:04:05.678901234Z")
    return decode.time(value, path)


def _header_time(value: Any, path: str) -> Time:
    time = _time(value, path)
    if time.seconds < 0:
        raise decode.refuse(path, "a time from 1970 on")
    return time


def _parts(value: Any, path: str) -> PartSetHeader:
    return PartSetHeader(_small(*_member(value, "total", path)), _hex(*_member(value, "hash", path), _HASH))


def _header(value: Any, path: str) -> Header:
    def digest(name: str) -> bytes:
        return _hex(*_member(value, name, path), _HASH)

    version, version_path = _member(value, "version", path)
    last, last_path = _member(value, "last_block_id", path)
    return Header(
        version=Version(
            _number(*_member(version, "block", version_path)), _number(*_member(version, "app", version_path))
        ),
        chain_id=_chain_id(*_member(value, "chain_id", path)),
        height=_number(*_member(value, "height", path), least=1),
        time=_header_time(*_member(value, "time", path)),
        last_block_id=BlockId(
            _hex(*_member(last, "hash", last_path), _HASH), _parts(*_member(last, "parts", last_path))
        ),
        last_commit_hash=digest("last_commit_hash"),
        data_hash=digest("data_hash"),
        validators_hash=digest("validators_hash"),
        next_validators_hash=digest("next_validators_hash"),
        consensus_hash=digest("consensus_hash"),
        app_hash=digest("app_hash"),
        last_results_hash=digest("last_results_hash"),
        evidence_hash=digest("evidence_hash"),
        proposer_address=_hex(*_member(value, "proposer_address", path), (ADDRESS_BYTES,)),
    )


def _vote(value: Any, path: str) -> Vote | None:
    if value is None:
        return None
    return Vote(
        _choice(*_member(value, "for", path), ("block", "nil")) == "block",
        _time(*_member(value, "time", path)),
        _bytes(*_member(value, "signature", path), 64, least=64),
    )


def _validator(value: Any, path: str) -> Validator:
    return Validator(
        _hex(*_member(value, "public_key", path), (32,)), _number(*_member(value, "power", path), least=1)
    )


def _turn(value: Any, path: str) -> Turn:
    return Turn(
        _choice(*_member(value, "side", path), ("left", "right")) == "left",
        _hex(*_member(value, "tx", path), (32,)),
        _hex(*_member(value, "result", path), (32,)),
    )


def _tx(value: Any, path: str) -> IncludedTx:
    return IncludedTx(
        tx=_bytes(*_member(value, "tx", path), MAX_TX_BYTES),
        code=_small(*_member(value, "code", path)),
        data=_bytes(*_member(value, "data", path), MAX_RESULT_DATA_BYTES),
        gas_wanted=_number(*_member(value, "gas_wanted", path)),
        gas_used=_number(*_member(value, "gas_used", path)),
        path=_list(*_member(value, "path", path), MAX_PATH, _turn),
    )


def _block(value: Any, path: str) -> ReceiptBlock:
    commit, commit_path = _member(value, "commit", path)
    named, named_path = _member(value, "validators", path)
    return ReceiptBlock(
        header=_header(*_member(value, "header", path)),
        round=_small(*_member(commit, "round", commit_path)),
        parts=_parts(*_member(commit, "parts", commit_path)),
        votes=_list(*_member(commit, "votes", commit_path), decode.MAX_VALIDATORS, _vote, least=1),
        validators=None
        if named is None
        else ValidatorSet(_list(named, named_path, decode.MAX_VALIDATORS, _validator, least=1)),
        txs=_list(*_member(value, "transactions", path), MAX_TXS_IN_BLOCK, _tx),
    )


def _state_key(value: Any, path: str) -> bytes:
    if not isinstance(value, str) or not 2 <= len(value) <= 2 * MAX_STATE_KEY_BYTES:
        raise decode.refuse(path, f"lower-case hex of 1 to {MAX_STATE_KEY_BYTES} bytes")
    return _hex(value, path, (len(value) // 2,))


def _state(value: Any, path: str) -> StateLeaf:
    present, value_path = _member(value, "value", path)
    return StateLeaf(
        key=_state_key(*_member(value, "key", path)),
        value=None if present is None else _bytes(present, value_path, MAX_VALUE_BYTES, least=1),
        proof=_bytes(*_member(value, "proof", path), MAX_PROOF_BYTES),
    )


def _receipt(value: Any) -> Receipt:
    _choice(*_member(value, "format", ""), (FORMAT,))
    return Receipt(
        kind=_choice(*_member(value, "kind", ""), KINDS),
        chain_id=_chain_id(*_member(value, "chain_id", "")),
        gid=_hex(*_member(value, "gid", ""), (32,)),
        blocks=_list(*_member(value, "blocks", ""), MAX_BLOCKS, _block, least=1),
        states=_list(*_member(value, "states", ""), MAX_STATES, _state),
    )
