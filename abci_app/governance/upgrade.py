"""PlanUpgrade: from a height on, the rules of another protocol version. A binary without them stops before it."""

from __future__ import annotations

from functools import partial

from abci_app import limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution import guard, upkeep
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import governance_pb2, params_pb2
from abci_app.state import records
from abci_app.state.records import PARAMS, UPGRADES


def _validate(message: governance_pb2.PlanUpgrade) -> None:
    if not message.protocol_version or not 1 <= message.height <= limits.MAX_HEIGHT:
        raise Refusal(Code.FIELD_INVALID, "height or protocol_version", reason="upgrade")


def _check(context: Context, message: governance_pb2.PlanUpgrade) -> None:
    now = records.params(context.state).protocol_version
    context.require(message.height > context.height, Code.BAD_UPGRADE, "the height is past", reason="height")
    context.require(
        message.protocol_version >= now, Code.BAD_UPGRADE, f"the chain is at version {now}", reason="version"
    )
    if message.protocol_version == now:
        planned = UPGRADES.find(context.state)
        is_planned = planned is not None and not planned.settled
        context.require(is_planned, Code.BAD_UPGRADE, "there is none to call off", reason="none-planned")


def _execute(context: Context, message: governance_pb2.PlanUpgrade) -> None:
    _check(context, message)
    plan = governance_pb2.UpgradeRecord(
        height=message.height,
        protocol_version=message.protocol_version,
        decided_height=context.height,
        decided_tx=context.tx_hash,
        settled=message.protocol_version == records.params(context.state).protocol_version,
    )
    UPGRADES.put(context.state, plan)


def begin_if_due(context: Context) -> None:
    """At the end of the block before it: the next block has the planned version, or a node that lacks it stops."""
    plan = UPGRADES.find(context.state)
    if plan is None or plan.settled or plan.height > context.height + 1:
        return
    plan.settled = True
    UPGRADES.put(context.state, plan)
    changed = params_pb2.Params()
    changed.CopyFrom(records.params(context.state))
    changed.protocol_version = plan.protocol_version
    PARAMS.put(context.state, changed)
    guard.failure_of(context, partial(upkeep.retry_all, context))  # whatever becomes of that, the upgrade begins
    context.emit("upgrade", context.gid, "begins", height=plan.height, version=plan.protocol_version)


ACTION = Action(
    field="upgrade",
    message=governance_pb2.PlanUpgrade,
    validate=_validate,
    check=_check,
    execute=_execute,
    urgent=True,
    codes=(Code.FIELD_INVALID, Code.BAD_UPGRADE),
)
