"""Proposals and votes as a fiduciary's operator works with them (docs/spec/governance.md).

What is shown is read by proof. Only searches ask the node's index, which can miss some and be behind.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from abci_app.codes import info
from abci_app.crypto import statements
from abci_app.limits import NONCE_BYTES
from abci_app.pb.dta.v1 import custody_pb2, params_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state.records import ORDERS, PROPOSALS, VOTES
from dta.base.errors import JsonValue, UsageError
from dta.client.ledger import fiduciaries, leaves
from dta.client.ledger import search as index
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.tx import Signer

OPEN_ORDER = (custody_pb2.ORDER_STATUS_PLACED, custody_pb2.ORDER_STATUS_ACTIVE)


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal and the votes of those who are fiduciaries now (None: not yet), with their powers.

    ``power_for``, ``power_against``: what these votes come to; ``power_total``: of all. A suspended fiduciary's vote is
    among them, and the ledger leaves it out.
    """

    record: pb.ProposalRecord
    votes: Mapping[bytes, pb.VoteRecord | None]
    powers: Mapping[bytes, int]

    @property
    def power_total(self) -> int:
        return sum(self.powers.values())

    def power(self, *, against: bool) -> int:
        """The power of those who voted so."""
        return sum(self.powers[who] for who, vote in self.votes.items() if vote and vote.against == against)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a step: the proposal as it is proved to be after it, and the height of the block that has it."""

    record: pb.ProposalRecord
    height: int


def view(ledger: Ledger, founders: Iterable[bytes], proposal: bytes) -> ProposalView:
    """A proposal with its votes. Raises NotFound and what verified reads raise."""
    record = ledger.get(leaves.of(PROPOSALS, proposal))
    active = fiduciaries.current(ledger, founders)
    votes = {id_: ledger.find(leaves.of(VOTES, proposal, id_)) for id_ in active}
    return ProposalView(record, votes, {id_: fiduciary.power for id_, fiduciary in active.items()})


def propose(ledger: Ledger, signer: Signer, action: pb.Action, nonce: bytes | None = None) -> Done:
    """Propose, and vote for it. The same ``nonce`` (32 bytes) again is the same proposal, and is refused.

    Raises RefusedByLedger and what reads and submitting raise.
    """
    nonce = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    proposal = statements.proposal_id(ledger.trust.gid, signer.identity, nonce)  # and not as a node says it is
    sent = ledger.send(signer, pb.Propose(nonce=nonce, action=action))
    return Done(ledger.get(leaves.of(PROPOSALS, proposal), sent.height), sent.height)


def vote(ledger: Ledger, signer: Signer, proposal: bytes, *, against: bool) -> Done:
    """Vote on the proposal as it is proved to be."""
    record = ledger.get(leaves.of(PROPOSALS, proposal))
    message = pb.Vote(proposal=proposal, content_digest=record.content_digest, against=against)
    sent = ledger.send(signer, message)
    return Done(ledger.get(leaves.of(PROPOSALS, proposal), sent.height), sent.height)


def withdraw(ledger: Ledger, signer: Signer, proposal: bytes) -> Done:
    """Take one's own proposal back."""
    sent = ledger.send(signer, pb.WithdrawProposal(proposal=proposal))
    return Done(ledger.get(leaves.of(PROPOSALS, proposal), sent.height), sent.height)


@dataclass(frozen=True, slots=True)
class SearchedProposals:
    """What a door's index found, each read by proof. ``is_cut``: it has more than was looked at, or less than all
    blocks."""

    records: list[pb.ProposalRecord]
    is_cut: bool


def search(ledger: Ledger) -> SearchedProposals:
    """The proposals that a door's index finds, each read by proof, the newest first."""
    newest = ledger.rpc.run(ledger.flows.reader.head()).height
    found = ledger.rpc.run(index.ids("proposal", {"action": "proposed"}, newest=newest))
    records = [ledger.find(leaves.of(PROPOSALS, id_)) for id_ in found.ids]
    known = [record for record in records if record is not None]
    newest_first = sorted(known, key=lambda record: (record.proposed_height, record.id), reverse=True)
    return SearchedProposals(newest_first, found.is_cut)


def changed_params(ledger: Ledger, changes: Mapping[str, int]) -> pb.Action:
    """The parameters in force but for ``changes``. Raises UsageError where they would be as they are."""
    now = ledger.params()
    changed = params_pb2.Params()
    changed.CopyFrom(now)
    for name, value in changes.items():
        try:
            setattr(changed, name, value)
        except AttributeError:
            raise UsageError(f"there is no parameter {name!r} of one number") from None
        except ValueError:
            raise UsageError(f"{name} can't be {value}", hint="docs/spec/parameters.md has the bounds") from None
    if changed == now:
        raise UsageError("these are the parameters in force", hint="there is nothing to change")
    return pb.Action(change_params=pb.ChangeParams(params=changed, base_digest=statements.params_digest(now)))


@dataclass(frozen=True, slots=True)
class Affected:
    """The open orders that a removal would leave with less. ``is_cut``: as of :class:`SearchedProposals`."""

    orders: list[AffectedOrder]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class AffectedOrder:
    """An open order that names a fiduciary; ``left``: its other fiduciaries that are active and did not reject it."""

    record: custody_pb2.OrderRecord
    left: int

    @property
    def falls_below(self) -> bool:
        """Whether what is left can't reach the threshold."""
        return self.left < self.record.threshold


def affected_by_removal(ledger: Ledger, founders: Iterable[bytes], fiduciary: bytes) -> Affected:
    """The open orders that name ``fiduciary``, those that a door's index finds, each read by proof."""
    active = [id_ for id_ in fiduciaries.current(ledger, founders) if id_ != fiduciary]
    affected = []
    newest = ledger.rpc.run(ledger.flows.reader.head()).height
    named = index.ids("fiduciary", {"action": "order-placed"}, "id", fiduciary, named="order", newest=newest)
    found = ledger.rpc.run(named)
    for order in found.ids:
        record = ledger.find(leaves.of(ORDERS, order))
        if record is None or record.status not in OPEN_ORDER or fiduciary not in record.fiduciaries:
            continue
        answers = ledger.order_view(order).fulfilments
        left = [id_ for id_, answer in answers.items() if id_ in active and not (answer and answer.rejection)]
        affected.append(AffectedOrder(record, len(left)))
    return Affected(affected, found.is_cut)


# --- as JSON, every field: what the command line and the agent's API both show ----------------------------------


def status_name(record: pb.ProposalRecord) -> str:
    """The status in lower case, as people and JSON see it."""
    return pb.ProposalStatus.Name(record.status).removeprefix("PROPOSAL_STATUS_").lower()


def kind_of(record: pb.ProposalRecord) -> str:
    """What is proposed, such as ``admit-fiduciary``."""
    return (record.action.WhichOneof("kind") or "nothing").replace("_", "-")


def as_json(message: Message) -> dict[str, JsonValue]:
    """Any message by its fields: bytes in hex, enumerations by name, numbers as they are."""
    shown: dict[str, JsonValue] = {}
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name) != field.name:
            continue
        value = getattr(message, field.name)
        shown[field.name] = [_value(field, one) for one in value] if field.is_repeated else _value(field, value)
    return shown


def _value(field: Any, value: object) -> JsonValue:
    if isinstance(value, Message):
        return as_json(value)
    if isinstance(value, bytes):
        return value.hex()
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name.lower() if known is not None else value
    return value if isinstance(value, bool | int | str) else str(value)


def proposal_json(record: pb.ProposalRecord) -> dict[str, JsonValue]:
    """A proposal, all of it."""
    field = record.action.WhichOneof("kind")
    impact: JsonValue = as_json(record.impact) if record.HasField("impact") else None
    return {
        "proposal": record.id.hex(), "status": status_name(record), "proposes": kind_of(record),
        "action": as_json(getattr(record.action, field)) if field else {}, "proposer": record.proposer.hex(),
        "content_digest": record.content_digest.hex(), "proposed_height": record.proposed_height,
        "proposed_time_s": record.proposed_time_s, "proposed_tx": record.proposed_tx.hex(),
        "deadline_time_s": record.deadline_time_s, "votes": record.votes, "counted_height": record.counted_height,
        "power_for": record.power_for, "power_against": record.power_against, "power_total": record.power_total,
        "passed_height": record.passed_height, "deciding_tx": record.deciding_tx.hex(),
        "ended_height": record.ended_height, "ended_tx": record.ended_tx.hex(),
        "failure_code": record.failure_code or None,
        "failure": info(record.failure_code).name if record.failure_code else None, "impact": impact,
    }  # fmt: skip


def view_json(view: ProposalView, affected: Affected | None) -> dict[str, JsonValue]:
    """A proposal with its votes, and what a removal means for open orders."""
    cast: list[JsonValue] = [
        {
            "fiduciary": who.hex(), "power": view.powers[who], "height": vote.height if vote else 0,
            "vote": None if vote is None else "against" if vote.against else "for",
        }
        for who, vote in view.votes.items()
    ]  # fmt: skip
    shown = {**proposal_json(view.record), "votes_cast": cast}
    if affected is not None:
        shown["affected_orders"] = [
            {
                "order": one.record.id.hex(), "threshold": one.record.threshold, "left": one.left,
                "below_threshold": one.falls_below,
            }
            for one in affected.orders
        ]  # fmt: skip
        shown["affected_orders_cut"] = affected.is_cut
    return shown
