"""RotateValidatorKey: a fiduciary's new consensus key takes the voting power of its old one (docs/spec/validators.md).

How a fiduciary that lost its disk gets its vote back, and how one that only wants another key changes it. CometBFT
uses the new key from two heights later on; the old one never counts again.
"""

from __future__ import annotations

from abci_app.block import ValidatorUpdate
from abci_app.codes import Code
from abci_app.crypto import ed25519, statements
from abci_app.errors import Refusal
from abci_app.messages.context import Context
from abci_app.messages.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state import keys
from abci_app.state.records import FIDUCIARIES, VALIDATOR_CHANGES

# With fewer validators than this, one is a third of the power or more: they may change one after the other.
_FEW_VALIDATORS = 4


def _validate(message: tx_pb2.RotateValidatorKey) -> None:
    need_bytes(message.key, 32, "key")
    need_bytes(message.proof, 64, "proof")


def _execute(context: Context, message: tx_pb2.RotateValidatorKey) -> bytes:
    fiduciary = FIDUCIARIES.find(context.state, context.signer)
    if fiduciary is None or fiduciary.status != identity_pb2.FIDUCIARY_STATUS_ACTIVE or not fiduciary.power:
        raise Refusal(Code.NOT_FIDUCIARY)
    is_new = context.state.get(keys.validator_key_owner(message.key)) is None
    context.require(is_new and ed25519.valid_public_key(message.key), Code.VALIDATOR_KEY_USED)
    _require_room(context, fiduciary)
    statement = statements.validator_key_statement(
        context.gid, fiduciary.id, message.key, fiduciary.validator_key
    )
    context.require(ed25519.verify(message.key, statement, message.proof), Code.VALIDATOR_KEY_PROOF)
    old_key = fiduciary.validator_key
    fiduciary.validator_key = message.key
    fiduciary.key_changed_height = context.height
    FIDUCIARIES.put(context.state, fiduciary, fiduciary.id)
    context.state.put(keys.validator_key_owner(message.key), fiduciary.id)
    context.state.put(keys.validator_address(message.key), fiduciary.id)
    change = identity_pb2.ValidatorChange(
        fiduciary=fiduciary.id, old_key=old_key, new_key=message.key, power=fiduciary.power, height=context.height,
        tx_hash=context.tx_hash,
    )  # fmt: skip
    VALIDATOR_CHANGES.put(context.state, change, context.height)
    context.scratch.validator_updates += [ValidatorUpdate(old_key, 0), ValidatorUpdate(message.key, fiduciary.power)]
    context.emit("fiduciary", fiduciary.id, "validator-key-rotated", key=message.key)
    return message.key


def _require_room(context: Context, fiduciary: identity_pb2.FiduciaryRecord) -> None:
    """Refuse what would change too much voting power at once.

    Until its owner proves otherwise by voting, power under a new key may be absent: below 1/3 the chain goes on
    without it. And whoever trusts an earlier set still finds more than 2/3 of it in the next ones.
    """
    powers = [
        record.power
        for record in map(identity_pb2.FiduciaryRecord.FromString, _values(context))
        if record.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE and record.power
    ]
    context.require(len(powers) > 1, Code.LAST_VALIDATOR)
    window = context.params.validator_change_window_blocks
    after = keys.validator_change(max(context.height - window, 0))
    recent = [
        identity_pb2.ValidatorChange.FromString(value)
        for _, value in context.state.scan(keys.VALIDATOR_CHANGE, after)
    ]
    context.require(
        all(change.height != context.height for change in recent), Code.VALIDATOR_CHANGE_TOO_SOON, "one a block"
    )
    changed = sum(change.power for change in recent) + fiduciary.power
    is_small = len(powers) < _FEW_VALIDATORS and not recent
    context.require(is_small or 3 * changed < sum(powers), Code.VALIDATOR_CHANGE_TOO_SOON)


def _values(context: Context) -> list[bytes]:
    return [value for _, value in context.state.scan(keys.FIDUCIARY)]


SPEC = MessageSpec(
    field="rotate_validator_key",
    message=tx_pb2.RotateValidatorKey,
    message_class=MessageClass.USER,
    cost=lambda _: 2_000,
    validate=_validate,
    execute=_execute,
    writes=(keys.FIDUCIARY, keys.VALIDATOR_KEY_OWNER, keys.VALIDATOR_ADDRESS, keys.VALIDATOR_CHANGE),
    codes=(
        Code.FIELD_INVALID, Code.NOT_FIDUCIARY, Code.VALIDATOR_KEY_USED, Code.VALIDATOR_KEY_PROOF,
        Code.VALIDATOR_CHANGE_TOO_SOON, Code.LAST_VALIDATOR,
    ),
    events=("fiduciary",),
)  # fmt: skip
