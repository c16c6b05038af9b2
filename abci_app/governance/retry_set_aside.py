"""RetrySetAside: deadlines and steps that failed are tried again, as they are after each upgrade."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.execution import upkeep
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import governance_pb2


def _validate(message: governance_pb2.RetrySetAside) -> None:
    del message  # it says nothing


def _check(context: Context, message: governance_pb2.RetrySetAside) -> None:
    del message
    context.require(upkeep.is_anything_set_aside(context.state), Code.NOTHING_SET_ASIDE)


def _execute(context: Context, message: governance_pb2.RetrySetAside) -> None:
    _check(context, message)
    upkeep.retry_all(context)


ACTION = Action(
    field="retry_set_aside",
    message=governance_pb2.RetrySetAside,
    validate=_validate,
    check=_check,
    execute=_execute,
    codes=(Code.NOTHING_SET_ASIDE,),
    cost=lambda _: 20_000,
)
