"""RemoveFiduciary: it loses its vote and gets nothing new; what it owes for open orders and vaults it still answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from abci_app import limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.governance import validators
from abci_app.pb.dta.v1 import custody_pb2, governance_pb2, identity_pb2
from abci_app.state.indexes import FIDUCIARY_VAULTS, VAULT_ORDERS
from abci_app.state.overlay import Overlay
from abci_app.state.records import FIDUCIARIES, FULFILMENTS, ORDERS

_MAX_STEPS: Final = 300
"""How many vaults, open orders and answers to them a proposal's count looks at, so that its cost has a bound."""


def _get(context: Context, identity: bytes) -> identity_pb2.FiduciaryRecord:
    record = FIDUCIARIES.find(context.state, identity)
    if record is None:
        raise Refusal(Code.UNKNOWN_FIDUCIARY, identity.hex(), reason="removed")
    context.require(
        record.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE, Code.FIDUCIARY_NOT_ACTIVE, identity.hex(),
        reason="removed",
    )
    return record


def _check(context: Context, message: governance_pb2.RemoveFiduciary) -> None:
    record = _get(context, message.identity)
    context.require(len(validators.active_fiduciaries(context.state)) > 1, Code.LAST_VALIDATOR, reason="removed")
    validators.require_possible(context, record.power)


def _execute(context: Context, message: governance_pb2.RemoveFiduciary) -> None:
    _check(context, message)
    record = _get(context, message.identity)
    validators.require_room(context, record.power)
    record.status = identity_pb2.FIDUCIARY_STATUS_REMOVED
    record.removed_height = context.height
    validators.change(context, record, record.validator_key, b"")
    context.emit("fiduciary", record.id, "removed")


def _note(
    context: Context, message: governance_pb2.RemoveFiduciary, record: governance_pb2.ProposalRecord
) -> None:
    record.impact.CopyFrom(impact(context.state, message.identity))


def impact(state: Overlay, fiduciary: bytes) -> governance_pb2.RemovalImpact:
    """The open orders that name ``fiduciary``, and those that its removal leaves below their threshold."""
    found = governance_pb2.RemovalImpact()
    active = [record.id for record in validators.active_fiduciaries(state)]
    steps = 0
    for order in _orders_of_its_vaults(state, fiduciary):
        steps += 1 if order is None else 1 + len(order.fiduciaries)
        if steps > _MAX_STEPS:
            found.more = True
            break
        if order is None or fiduciary not in order.fiduciaries:
            continue
        found.open_orders += 1
        left = [
            other
            for other in order.fiduciaries
            if other != fiduciary and other in active and not _rejected(state, order.id, other)
        ]
        found.below_threshold += len(left) < order.threshold
    return found


def _orders_of_its_vaults(state: Overlay, fiduciary: bytes) -> Iterator[custody_pb2.OrderRecord | None]:
    """The open orders of all vaults that name it; None once for each vault, so that empty ones are steps too."""
    for _, vault in FIDUCIARY_VAULTS.entries(state, fiduciary):
        yield None
        for _, order in VAULT_ORDERS.entries(state, vault):
            yield ORDERS.get(state, order)


def _rejected(state: Overlay, order: bytes, fiduciary: bytes) -> bool:
    answer = FULFILMENTS.find(state, order, fiduciary)
    return answer is not None and answer.rejection != custody_pb2.REJECTION_UNSPECIFIED


ACTION = Action(
    field="remove_fiduciary",
    message=governance_pb2.RemoveFiduciary,
    validate=lambda message: need_bytes(message.identity, limits.ID_BYTES, "identity"),
    check=_check,
    execute=_execute,
    about=lambda message: (message.identity,),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_FIDUCIARY, Code.FIDUCIARY_NOT_ACTIVE, Code.LAST_VALIDATOR,
        Code.VALIDATOR_CHANGE_TOO_LARGE,
    ),
    changes_validators=True,
    urgent=True,
    note=_note,
    proposing_cost=lambda _: 900,
)  # fmt: skip
