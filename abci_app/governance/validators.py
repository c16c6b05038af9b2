"""The rule that every change of the validators keeps, whoever asks for it (docs/spec/validators.md).

Power under a key may be absent until its owner proves otherwise by voting: below 1/3 the chain goes on without it. And
whoever trusts an earlier set still finds more than 2/3 of it in the next ones.
"""

from __future__ import annotations

from typing import Final

from abci_app.block import ValidatorUpdate
from abci_app.codes import Code
from abci_app.crypto import ed25519, statements
from abci_app.execution.context import Context
from abci_app.identities import documents
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import (
    FIDUCIARIES,
    VALIDATOR_ADDRESSES,
    VALIDATOR_CHANGES,
    VALIDATOR_KEY_OWNERS,
    validator_address,
)
from abci_app.state.view import StateView

# With fewer validators than this, one is a third of the power or more: they may change one after the other.
FEW_VALIDATORS: Final = 4


def active_fiduciaries(view: StateView) -> list[identity_pb2.FiduciaryRecord]:
    """All that are admitted and not removed, by id: those whose power CometBFT counts."""
    return [record for record in documents.admitted_fiduciaries(view) if record.power]


def require_new_key(context: Context, fiduciary: bytes, key: bytes, proof: bytes, old_key: bytes) -> None:
    """A consensus key that nobody ever had, and its own signature for this fiduciary."""
    is_new = not VALIDATOR_KEY_OWNERS.exists(context.state, key)
    context.require(is_new and ed25519.valid_public_key(key), Code.VALIDATOR_KEY_USED)
    statement = statements.validator_key_statement(context.gid, fiduciary, key, old_key)
    context.require(ed25519.verify(key, statement, proof), Code.VALIDATOR_KEY_PROOF)


def require_possible(context: Context, moved: int, *, added: int = 0) -> None:
    """Refuse what no waiting would make possible: a third of the larger total at once, among four or more."""
    powers = [record.power for record in active_fiduciaries(context.state)]
    fits = len(powers) < FEW_VALIDATORS or 3 * moved < sum(powers) + added
    context.require(fits, Code.VALIDATOR_CHANGE_TOO_LARGE)


def require_room(context: Context, moved: int, *, added: int = 0) -> None:
    """Refuse what would change too much voting power at once.

    ``moved`` is how much comes, goes or changes its key; ``added`` by how much the total grows.
    """
    powers = [record.power for record in active_fiduciaries(context.state)]
    window = context.params.validator_change_window_blocks
    after = VALIDATOR_CHANGES.key(max(context.height - window, 0))
    recent = [
        VALIDATOR_CHANGES.parse(value)
        for _, value in context.state.scan(VALIDATOR_CHANGES.prefix, after)
    ]
    context.require(
        all(change.height != context.height for change in recent), Code.VALIDATOR_CHANGE_TOO_SOON, "one a block",
        reason="one-a-block",
    )
    changed = sum(change.power for change in recent) + moved
    is_small = len(powers) < FEW_VALIDATORS and not recent
    context.require(is_small or 3 * changed < sum(powers) + added, Code.VALIDATOR_CHANGE_TOO_SOON, reason="window")


def change(context: Context, fiduciary: identity_pb2.FiduciaryRecord, old_key: bytes, new_key: bytes) -> None:
    """Write the change of ``fiduciary.power`` from one key to another and tell CometBFT. Either key may be empty."""
    updates = context.scratch.validator_updates
    if old_key:
        updates.append(ValidatorUpdate(old_key, 0))
    if new_key:
        updates.append(ValidatorUpdate(new_key, fiduciary.power))
        fiduciary.validator_key = new_key
        VALIDATOR_KEY_OWNERS.put(context.state, fiduciary.id, new_key)
        VALIDATOR_ADDRESSES.put(context.state, fiduciary.id, validator_address(new_key))
    FIDUCIARIES.put(context.state, fiduciary, fiduciary.id)
    record = identity_pb2.ValidatorChange(
        fiduciary=fiduciary.id, old_key=old_key, new_key=new_key, power=fiduciary.power, height=context.height,
        tx_hash=context.tx_hash,
    )  # fmt: skip
    VALIDATOR_CHANGES.put(context.state, record, context.height)
