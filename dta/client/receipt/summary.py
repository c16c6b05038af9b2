"""What a verified receipt says, for people and for programs: who vouches, what happened when, what the state was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

from google.protobuf.message import DecodeError

from abci_app.codes import info
from abci_app.limits import ID_BYTES
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.collection import Records
from abci_app.state.records import (
    CHAIN,
    FIDUCIARIES,
    IDENTITIES,
    ORDERS,
    REQUESTS,
    VALIDATOR_ADDRESSES,
    validator_address,
)
from dta.base.errors import JsonValue
from dta.client.receipt.identity import IdentityAnswer
from dta.client.receipt.order import OrderLeaves
from dta.client.receipt.statuses import statuses
from dta.client.receipt.transactions import message_json
from dta.client.receipt.verify import Verified, VerifiedTx, Vouching
from dta.light.people import People, line
from dta.light.types import ValidatorSet


@cache
def _records_of() -> Mapping[bytes, Records[Any, *tuple[Any, ...]]]:
    """The records of this version, by prefix."""
    from abci_app.messages.registry import LEAVES  # all rules with it: slow to import, and few commands need it

    return {leaves.prefix: leaves for leaves in LEAVES if isinstance(leaves, Records)}


def key_text(key: bytes) -> str:
    """A state key as people see it: its prefix in ASCII, each id after it in hex."""
    prefix, _, rest = key.partition(b"/")
    parts = [rest[start : start + ID_BYTES].hex() for start in range(0, len(rest), ID_BYTES)]
    return prefix.decode("ascii", "replace") + "/" + ".".join(parts)


def record_json(key: bytes, value: bytes) -> JsonValue:
    """The record at a key, field by field; None where this version does not know what is there."""
    records = _records_of().get(key.partition(b"/")[0] + b"/")
    try:
        return None if records is None else message_json(records.parse(value))
    except DecodeError:
        return None


def _moment(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def shown_people(states: Mapping[bytes, bytes | None]) -> People:
    """Whom a receipt's own leaves name: identities by their records, validators by their addresses' leaves."""
    names, owners = {}, {}
    for key, value in states.items():
        with suppress(DecodeError):  # of a later version: it is shown in hex, and names nobody here
            if value is None:
                continue
            if IDENTITIES.holds(key):
                names[key.removeprefix(IDENTITIES.prefix)] = IDENTITIES.parse(value).name
            elif VALIDATOR_ADDRESSES.holds(key):
                owners[key.removeprefix(VALIDATOR_ADDRESSES.prefix)] = value
            elif FIDUCIARIES.holds(key):
                owners[validator_address(FIDUCIARIES.parse(value).validator_key)] = key.removeprefix(FIDUCIARIES.prefix)
    return People(names, owners)


def _set_json(validators: ValidatorSet, people: People) -> list[JsonValue]:
    return [*people.rows(validators.validators)]


def _vouching_json(one: Vouching, people: People) -> JsonValue:
    return {
        "height": one.header.height,
        "time": _moment(one.header.time.seconds),
        "header_hash": one.header_hash.hex(),
        "signed_power": one.power.signed,
        "total_power": one.power.total,
        "validators": _set_json(one.validators, people),
    }


def _tx_json(tx: VerifiedTx, people: People) -> JsonValue:
    included, row = tx.included, info(tx.included.code)
    return {
        "tx_hash": tx.tx_hash.hex(),
        "height": tx.header.height,
        "time": _moment(tx.header.time.seconds),
        "signer": tx.read.signer.hex() if tx.read else None,
        "signer_name": people.names.get(tx.read.signer, "") if tx.read else None,
        "message": tx.read.kind if tx.read else None,
        "fields": message_json(tx.read.message) if tx.read else None,
        "code": included.code,
        "code_name": row.name,
        "meaning": row.meaning,
        "data": included.data.hex(),
        "gas_wanted": included.gas_wanted,
        "gas_used": included.gas_used,
        "parts": [
            {"message": one.kind, "code": one.code, "code_name": info(one.code).name, "meaning": info(one.code).meaning,
             "data": one.data.hex()}
            for one in tx.outcomes
        ],
    }  # fmt: skip


def answer_json(answer: IdentityAnswer) -> dict[str, JsonValue]:
    """An answer about an identity at a height."""
    return {
        "identity": answer.identity.hex(), "height": answer.height, "revoked": answer.revoked,
        "status": answer.status, "since_height": answer.since_height, "proved_height": answer.proved_height,
    }  # fmt: skip


def summary_json(verified: Verified, people: People) -> dict[str, JsonValue]:
    """All of it. Times are block times, UTC; bytes are in hex. ``people``: who is to be named, where it is known.

    A state's ``status`` is as of the last header's block; its ``record`` is as it was recorded.
    """
    names = statuses(verified.states, verified.moment)
    receipt, trust = verified.receipt, verified.trust
    return {
        "verified": True,
        "kind": receipt.kind,
        "chain_id": receipt.chain_id,
        "gid": receipt.gid.hex(),
        "trusted": {
            "height": trust.height,
            "header_hash": trust.header_hash.hex(),
            "trusted_at": _moment(trust.trusted_at_s),
            "trust_period_s": trust.trust_period_s,
            "validators": _set_json(trust.validators, people),
        },
        "headers": [_vouching_json(one, people) for one in verified.vouching],
        "transactions": [_tx_json(tx, people) for tx in verified.txs],
        "state_height": verified.state_height,
        "states": [
            {"key": key_text(key), "record": None if value is None else record_json(key, value),
             "value": None if value is None else value.hex(), "status": names.get(key)}
            for key, value in verified.states.items()
        ],
        "warnings": list(verified.warnings),
    }  # fmt: skip


# --- for people -----------------------------------------------------------------------------------------------
def summary_lines(verified: Verified, people: People) -> list[str]:
    """The same for a person, shorter."""
    receipt, trust, last = verified.receipt, verified.trust, verified.vouching[-1]
    since = "its genesis" if not trust.header_hash else f"height {trust.height}"
    lines = [
        f"the receipt holds: {receipt.kind}",
        f"ledger    {receipt.chain_id}, genesis id {receipt.gid.hex()}",
        f"trusted   {since}, on {_moment(trust.trusted_at_s)}",
        f"proved    the state of height {verified.state_height}; last header of {_moment(last.header.time.seconds)}",
    ]
    lines += _vouching_lines(verified, people)
    if verified.txs:
        lines += ["", "what happened:"]
        lines += [told for tx in verified.txs for told in _tx_lines(tx, people)]
    if verified.order is not None:
        lines += ["", *_order_lines(verified.order, statuses(verified.states, verified.moment), people)]
    else:
        lines += ["", *_state_lines(verified)]
    return lines


def _vouching_lines(verified: Verified, people: People) -> list[str]:
    lines: list[str] = []
    shown: ValidatorSet | None = None
    for one in verified.vouching:
        if one.validators != shown:
            shown = one.validators
            lines.append(f"vouching  from height {one.header.height}, {len(shown.validators)} validators:")
            lines += [f"            {line(row)}" for row in people.rows(shown.validators)]
    signed = ", ".join(f"{one.header.height}: {one.power.signed} of {one.power.total}" for one in verified.vouching)
    return [*lines, f"signed    power by height: {signed}"]


def _tx_lines(tx: VerifiedTx, people: People) -> list[str]:
    who = f"{tx.read.kind} by {people.named(tx.read.signer)}" if tx.read else ""
    what = who or "bytes that are no transaction of this ledger"
    when = f"  height {tx.header.height}, {_moment(tx.header.time.seconds)}"
    name = f"transaction {tx.tx_hash.hex()}"
    if len(tx.outcomes) <= 1:
        code = tx.outcomes[0].code if tx.outcomes else tx.included.code
        return [f"{when}  {what}", f"      {_ended(code)}; {name}"]
    parts = [f"      {item}: {one.kind} {_ended(one.code)}" for item, one in enumerate(tx.outcomes)]
    return [f"{when}  {what}", f"      {name}, whose parts", *parts]


def _ended(code: int) -> str:
    return "done" if code == 0 else f"refused, {info(code).name} ({code}): {info(code).meaning}"


def _order_lines(held: OrderLeaves, names: Mapping[bytes, str], people: People) -> list[str]:
    """``names``: the statuses by key."""
    order = held.order
    held_by = (
        f"under the authority key {order.authority.hex()}"
        if order.authority
        else f"{order.fulfilled} fulfilled, {order.rejected} rejected, of {len(order.fiduciaries)}; "
        f"threshold {order.threshold}"
    )
    lines = [
        f"order     {order.id.hex()}",
        f"            status {names[ORDERS.key(order.id)]}, principal {people.named(order.principal)}",
        f"            {held_by}",
    ]
    if order.ended_height and not order.ended_tx:
        lines.append(f"            ended at height {order.ended_height} by its deadline")
    lines.append(f"            requests {counts_line(order)}")
    for request in sorted(held.requests.values(), key=lambda request: request.number):
        decided = [
            f"{people.named(party)} {'vetoed' if one.veto else 'approved'}{_replaced(one)}"
            for (of, party), one in held.decisions.items()
            if of == request.id and one is not None
        ]
        lines.append(f"request   {request.id.hex()}, number {request.number}")
        lines.append(f"            status {names[REQUESTS.key(request.id)]}, by {people.named(request.beneficiary)}")
        extraction = held.extractions.get(request.id)
        if extraction is not None:
            answered = f"{extraction.answers} of {extraction.threshold} members answered, in epoch {extraction.epoch}"
            lines.append(f"            {answered}; the ledger verified each")
            if extraction.earlier_answers:
                lines.append(f"            {extraction.earlier_answers} more answers in epochs before")
        else:
            lines.append(f"            {request.answers} answers, {request.bad_answers} proved bad")
        signed = held.signings.get(request.id)
        if signed is not None:
            lines.append(f"            signature {signed.signature.hex() or 'not yet'}")
        lines += [f"            {decision}" for decision in decided]
    return lines


def counts_line(order: custody_pb2.OrderRecord) -> str:
    """How many requests an order's record counts, and how many answers to them."""
    answers = f"{order.answers} answers of {order.answerers} fiduciaries" if order.answers else "no answer"
    return f"{order.requests} made, {answers}"


def _replaced(decision: custody_pb2.DecisionRecord) -> str:
    return f", having approved at height {decision.approved_height}" if decision.approved_height else ""


def _state_lines(verified: Verified) -> list[str]:
    lines = []
    names = statuses(verified.states, verified.moment)
    for key, value in verified.states.items():
        if key == CHAIN.key() and len(verified.states) > 1:
            continue
        if value is None:
            lines.append(f"state     {key_text(key)}: there is no such leaf")
            continue
        record = record_json(key, value)
        shown = record if isinstance(record, dict) else {"value": value.hex()}
        then = f": {names[key]}" if key in names else ""
        lines.append(f"state     {key_text(key)}{then}")
        lines += [f"            {name}: {_short(content)}" for name, content in shown.items()]
    return lines


def _short(content: JsonValue) -> str:
    text = str(content)
    return text if len(text) <= 100 else f"{text[:97]}... ({len(text)} characters; --json has them all)"
