"""SuspendIdentity: the current key stops the identity, its own. Only a rotation to the next key lifts it."""

from __future__ import annotations

from abci_app import events
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.identities import documents
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.records import IDENTITIES, IDENTITY_HISTORY


def _execute(context: Context, _message: tx_pb2.SuspendIdentity) -> bytes:
    record = context.identity
    assert record is not None
    record.status = identity_pb2.IDENTITY_STATUS_SUSPENDED
    documents.put_change(context, record, identity_pb2.IDENTITY_CHANGE_SUSPENDED)
    return record.id


SPEC = MessageSpec(
    field="suspend_identity",
    message=tx_pb2.SuspendIdentity,
    message_class=MessageClass.USER,
    cost=lambda _: 200,
    validate=lambda _: None,
    execute=_execute,
    decides=lambda _view, _signer, _message: b"",
    writes=(IDENTITIES, IDENTITY_HISTORY),
    codes=(),
    events=(events.IDENTITY, events.FIDUCIARY_IDENTITY),
)
