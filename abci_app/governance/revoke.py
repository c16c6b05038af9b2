"""RevokeByVote: the end of an identity, whose keys are lost or misused. Also of a fiduciary's.

A fiduciary whose identity is revoked can neither vote nor answer from then on; its voting power among the validators
stays until it is removed.
"""

from __future__ import annotations

from abci_app import limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.governance import validators
from abci_app.identities import documents
from abci_app.pb.dta.v1 import governance_pb2, identity_pb2
from abci_app.state.records import IDENTITIES


def _get(context: Context, identity: bytes) -> identity_pb2.IdentityRecord:
    record = IDENTITIES.find(context.state, identity)
    if record is None:
        raise Refusal(Code.UNKNOWN_IDENTITY, identity.hex(), reason="revoked")
    context.require(
        record.status != identity_pb2.IDENTITY_STATUS_REVOKED, Code.ALREADY_DONE, identity.hex(), reason="revoked"
    )
    return record


def _check(context: Context, message: governance_pb2.RevokeByVote) -> None:
    _get(context, message.identity)
    fiduciaries = validators.active_fiduciaries(context.state)
    total = sum(record.power for record in fiduciaries)
    voting = sum(
        record.power
        for record in fiduciaries
        if record.id != message.identity and documents.is_active_fiduciary(context.state, record.id, context.time_s)
    )
    # A fiduciary's power stays in the total until it is removed. That takes a vote as any other, and so would the rest.
    is_fiduciary = any(record.id == message.identity for record in fiduciaries)
    enough = not is_fiduciary or 3 * voting > 2 * total
    context.require(
        enough, Code.LAST_VALIDATOR, "too few would be left to decide anything: remove it first", reason="revoked"
    )


def _execute(context: Context, message: governance_pb2.RevokeByVote) -> None:
    _check(context, message)
    documents.revoke(context, _get(context, message.identity))


ACTION = Action(
    field="revoke_identity",
    message=governance_pb2.RevokeByVote,
    validate=lambda message: need_bytes(message.identity, limits.ID_BYTES, "identity"),
    check=_check,
    execute=_execute,
    about=lambda message: (message.identity,),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_IDENTITY, Code.ALREADY_DONE, Code.LAST_VALIDATOR),
)
