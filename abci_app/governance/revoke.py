"""RevokeByVote: the end of an identity, whose keys are lost or misused. Also of a fiduciary's.

A fiduciary whose identity is revoked can neither vote nor answer from then on; its voting power among the validators
stays until it is removed.
"""

from __future__ import annotations

from abci_app import limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.governance import validators
from abci_app.governance.action import Action
from abci_app.messages import identities
from abci_app.messages.context import Context
from abci_app.messages.spec import need_bytes
from abci_app.pb.dta.v1 import governance_pb2, identity_pb2
from abci_app.state.records import IDENTITIES


def _get(context: Context, identity: bytes) -> identity_pb2.IdentityRecord:
    record = IDENTITIES.find(context.state, identity)
    if record is None:
        raise Refusal(Code.UNKNOWN_IDENTITY, identity.hex())
    context.require(record.status != identity_pb2.IDENTITY_STATUS_REVOKED, Code.ALREADY_DONE, identity.hex())
    return record


def _check(context: Context, message: governance_pb2.RevokeByVote) -> None:
    _get(context, message.identity)
    others = [
        record
        for record in validators.active_fiduciaries(context.state)
        if record.id != message.identity and identities.is_active_fiduciary(context.state, record.id, context.time_s)
    ]
    context.require(others, Code.LAST_VALIDATOR, "nobody would be left to vote")


def _execute(context: Context, message: governance_pb2.RevokeByVote) -> None:
    _check(context, message)
    record = _get(context, message.identity)
    record.status = identity_pb2.IDENTITY_STATUS_REVOKED
    identities.put_change(context, record, identity_pb2.IDENTITY_CHANGE_REVOKED)


ACTION = Action(
    field="revoke_identity",
    message=governance_pb2.RevokeByVote,
    validate=lambda message: need_bytes(message.identity, limits.ID_BYTES, "identity"),
    check=_check,
    execute=_execute,
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_IDENTITY, Code.ALREADY_DONE, Code.LAST_VALIDATOR),
)
