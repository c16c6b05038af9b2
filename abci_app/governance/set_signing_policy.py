"""SetSigningPolicy: what a signing key signs from now on, and who has to agree. Orders placed before keep theirs."""

from __future__ import annotations

from abci_app import limits
from abci_app.authority import extractions
from abci_app.codes import Code
from abci_app.custody import policy
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2
from abci_app.state.records import SIGNING_POLICIES


def _validate(message: extraction_pb2.SetSigningPolicy) -> None:
    need_bytes(message.authority, limits.ID_BYTES, "authority")
    policy.check_form(message.policy, custody_pb2.BeneficiaryRule())


def _check(context: Context, message: extraction_pb2.SetSigningPolicy) -> None:
    extractions.require_authority(context, message.authority, authority_pb2.PURPOSE_SIGNING)
    policy.check_bounds(message.policy, custody_pb2.BeneficiaryRule(), context.params)


def _execute(context: Context, message: extraction_pb2.SetSigningPolicy) -> None:
    _check(context, message)
    record = extraction_pb2.SigningPolicy(
        authority=message.authority, policy=message.policy, raw_allowed=message.raw_allowed,
        changed_height=context.height,
    )  # fmt: skip
    SIGNING_POLICIES.put(context.state, record, message.authority)


ACTION = Action(
    field="set_signing_policy",
    message=extraction_pb2.SetSigningPolicy,
    validate=_validate,
    check=_check,
    execute=_execute,
    codes=(
        Code.FIELD_INVALID, Code.BAD_POLICY, Code.BAD_RULE, Code.UNKNOWN_AUTHORITY, Code.AUTHORITY_NOT_ACTIVE,
        Code.WRONG_PURPOSE,
    ),
)  # fmt: skip
