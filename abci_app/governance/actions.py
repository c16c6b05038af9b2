"""The table of what can be proposed: one line a kind."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message

from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.governance import (
    admit,
    change_params,
    create_authority,
    create_realm,
    remove,
    reshare_authority,
    retry_set_aside,
    revoke,
    set_signing_policy,
    upgrade,
)
from abci_app.pb.dta.v1 import governance_pb2 as pb

_ALL: Final[tuple[Action[Any], ...]] = (
    admit.ACTION,
    remove.ACTION,
    change_params.ACTION,
    revoke.ACTION,
    upgrade.ACTION,
    retry_set_aside.ACTION,
    create_authority.ACTION,
    reshare_authority.ACTION,
    set_signing_policy.ACTION,
    create_realm.ACTION,
)


def _by_field() -> dict[str, Action[Any]]:
    table = {action.field: action for action in _ALL}
    if list(table) != [field.name for field in pb.Action.DESCRIPTOR.oneofs_by_name["kind"].fields]:
        raise AssertionError("the table and Action's oneof must name the same kinds, in the same order")
    return table


ACTIONS: Final[dict[str, Action[Any]]] = _by_field()
CODES: Final[tuple[Code, ...]] = tuple(dict.fromkeys(code for action in _ALL for code in action.codes))
"""All that a proposal may be refused with because of its action."""


def of(action: pb.Action) -> tuple[Action[Any], Message]:
    """The row of what is proposed, and its message. Refuses with FIELD_INVALID where nothing is."""
    field = action.WhichOneof("kind")
    if field is None:
        raise Refusal(Code.FIELD_INVALID, "action", reason="action")
    return ACTIONS[field], getattr(action, field)
