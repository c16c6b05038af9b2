"""AdmitFiduciary: a registered identity becomes a fiduciary, and its consensus key a validator."""

from __future__ import annotations

from abci_app import limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.governance import validators
from abci_app.pb.dta.v1 import governance_pb2, identity_pb2
from abci_app.state import as_of
from abci_app.state.records import FIDUCIARIES, IDENTITIES


def _validate(message: governance_pb2.AdmitFiduciary) -> None:
    need_bytes(message.identity, limits.ID_BYTES, "identity")
    need_bytes(message.validator_key, limits.ED25519_KEY_BYTES, "validator_key")
    need_bytes(message.proof, limits.ED25519_SIGNATURE_BYTES, "proof")
    if not 1 <= message.power <= limits.MAX_POWER:
        raise Refusal(Code.FIELD_INVALID, f"power: 1 to {limits.MAX_POWER}", reason="power")


def _check(context: Context, message: governance_pb2.AdmitFiduciary) -> None:
    identity = IDENTITIES.find(context.state, message.identity)
    if identity is None:
        raise Refusal(Code.UNKNOWN_IDENTITY, message.identity.hex(), reason="admitted")
    context.require(identity_pb2.ROLE_FIDUCIARY in identity.roles, Code.NO_FIDUCIARY_ROLE, message.identity.hex())
    usable = identity.status == identity_pb2.IDENTITY_STATUS_ACTIVE and as_of.is_in_date(identity, context.time_s)
    context.require(usable, Code.IDENTITY_NOT_ACTIVE, message.identity.hex(), reason="admitted")
    active = validators.active_fiduciaries(context.state)
    already = any(record.id == message.identity for record in active)
    context.require(not already, Code.ALREADY_FIDUCIARY, message.identity.hex())
    context.require(len(active) < context.params.max_fiduciaries, Code.TOO_MANY_FIDUCIARIES)
    validators.require_new_key(context, message.identity, message.validator_key, message.proof, old_key=b"")
    validators.require_possible(context, message.power, added=message.power)


def _execute(context: Context, message: governance_pb2.AdmitFiduciary) -> None:
    _check(context, message)
    validators.require_room(context, message.power, added=message.power)
    record = FIDUCIARIES.find(context.state, message.identity) or identity_pb2.FiduciaryRecord(id=message.identity)
    record.status = identity_pb2.FIDUCIARY_STATUS_ACTIVE
    record.power = message.power
    record.admitted_height = context.height
    validators.change(context, record, b"", message.validator_key)
    context.emit("fiduciary", record.id, "admitted", key=message.validator_key, power=message.power)


ACTION = Action(
    field="admit_fiduciary",
    message=governance_pb2.AdmitFiduciary,
    validate=_validate,
    check=_check,
    execute=_execute,
    about=lambda message: (message.identity,),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_IDENTITY, Code.NO_FIDUCIARY_ROLE, Code.IDENTITY_NOT_ACTIVE,
        Code.ALREADY_FIDUCIARY, Code.TOO_MANY_FIDUCIARIES, Code.VALIDATOR_KEY_USED, Code.VALIDATOR_KEY_PROOF,
        Code.VALIDATOR_CHANGE_TOO_LARGE,
    ),
    changes_validators=True,
    urgent=True,
)  # fmt: skip
