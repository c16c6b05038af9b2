"""ChangeParams: another whole set of parameters, in force from the next block on."""

from __future__ import annotations

from abci_app import limits
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.errors import GenesisRefused, Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.params import check_params, find_custodian
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state import records
from abci_app.state.records import PARAMS


def _validate(message: governance_pb2.ChangeParams) -> None:
    need_bytes(message.base_digest, limits.ID_BYTES, "base_digest")


def _check(context: Context, message: governance_pb2.ChangeParams) -> None:
    now = records.params(context.state)
    # Or two changes that pass one after the other would each undo the other in silence.
    context.require(statements.params_digest(now) == message.base_digest, Code.PARAMS_STALE)
    version = message.params.protocol_version
    context.require(
        version == now.protocol_version, Code.PARAMS_REFUSED, "protocol_version: propose an upgrade",
        reason="protocol-version",
    )
    try:
        check_params(message.params)
    except GenesisRefused as refused:
        raise Refusal(Code.PARAMS_REFUSED, f"{refused.field}: {refused.reason}", reason="bounds") from None
    for custodian in now.custodians:
        kept = find_custodian(message.params, custodian.name) == custodian
        context.require(
            kept, Code.PARAMS_REFUSED, f"custodians: orders may need {custodian.name} as it is", reason="custodian"
        )


def _execute(context: Context, message: governance_pb2.ChangeParams) -> None:
    _check(context, message)
    PARAMS.put(context.state, message.params)


ACTION = Action(
    field="change_params",
    message=governance_pb2.ChangeParams,
    validate=_validate,
    check=_check,
    execute=_execute,
    urgent=True,
    codes=(Code.FIELD_INVALID, Code.PARAMS_STALE, Code.PARAMS_REFUSED),
)
