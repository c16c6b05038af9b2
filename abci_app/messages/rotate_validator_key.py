"""RotateValidatorKey: a fiduciary's new consensus key takes the voting power of its old one (docs/spec/validators.md).

How a fiduciary that lost its disk gets its vote back, and how one that only wants another key changes it. CometBFT
uses the new key from two heights later on; the old one never counts again.
"""

from __future__ import annotations

from abci_app import events
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.governance import proposals, validators
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.records import FIDUCIARIES, VALIDATOR_ADDRESSES, VALIDATOR_CHANGES, VALIDATOR_KEY_OWNERS
from abci_app.state.view import StateView


def _validate(message: tx_pb2.RotateValidatorKey) -> None:
    need_bytes(message.key, 32, "key")
    need_bytes(message.proof, 64, "proof")


def _execute(context: Context, message: tx_pb2.RotateValidatorKey) -> bytes:
    fiduciary = FIDUCIARIES.find(context.state, context.signer)
    if fiduciary is None or fiduciary.status != identity_pb2.FIDUCIARY_STATUS_ACTIVE or not fiduciary.power:
        raise Refusal(Code.NOT_FIDUCIARY, reason="validator-key")
    context.require(len(validators.active_fiduciaries(context.state)) > 1, Code.LAST_VALIDATOR, reason="rotated")
    # Or one that is about to be removed would use up the room for it, again and again.
    decided = proposals.is_a_validator_change_waiting(context.state)
    context.require(
        not decided, Code.VALIDATOR_CHANGE_TOO_SOON, "one that was voted on comes first", reason="decided-first"
    )
    validators.require_room(context, fiduciary.power)
    old_key = fiduciary.validator_key
    validators.require_new_key(context, fiduciary.id, message.key, message.proof, old_key)
    fiduciary.key_changed_height = context.height
    validators.change(context, fiduciary, old_key, message.key)
    context.emit("fiduciary", fiduciary.id, "validator-key-rotated", key=message.key)
    return message.key


def _decides(view: StateView, signer: bytes, _message: tx_pb2.RotateValidatorKey) -> bytes | None:
    fiduciary = FIDUCIARIES.read(view, signer)
    active = fiduciary is not None and fiduciary.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE
    return b"" if active else None


SPEC = MessageSpec(
    field="rotate_validator_key",
    message=tx_pb2.RotateValidatorKey,
    message_class=MessageClass.USER,
    cost=lambda _: 500,
    validate=_validate,
    execute=_execute,
    decides=_decides,
    writes=(FIDUCIARIES, VALIDATOR_KEY_OWNERS, VALIDATOR_ADDRESSES, VALIDATOR_CHANGES),
    codes=(
        Code.FIELD_INVALID, Code.NOT_FIDUCIARY, Code.VALIDATOR_KEY_USED, Code.VALIDATOR_KEY_PROOF,
        Code.VALIDATOR_CHANGE_TOO_SOON, Code.LAST_VALIDATOR,
    ),
    events=(events.VALIDATOR_KEY_ROTATED,),
)  # fmt: skip
