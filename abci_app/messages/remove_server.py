"""RemoveServer: from now on the server gets no secret of the realm. What it was given it keeps."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.mfa import issuing, realms
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_SERVERS, REALMS


def _validate(message: mfa_pb2.RemoveServer) -> None:
    need_bytes(message.realm, limits.ID_BYTES, "realm")
    need_bytes(message.server, limits.ID_BYTES, "server")


def _execute(context: Context, message: mfa_pb2.RemoveServer) -> bytes:
    realm = realms.get_as_registrar(context, message.realm)
    context.require(message.server in realm.servers, Code.UNKNOWN_SERVER, message.server.hex(), reason="removed")
    record = REALM_SERVERS.get(context.state, realm.id, message.server)
    record.removed_height, record.removed_tx = context.height, context.tx_hash
    REALM_SERVERS.put(context.state, record, realm.id, message.server)
    realm.servers.remove(message.server)
    REALMS.put(context.state, realm, realm.id)
    if record.latest_request:
        issuing.cancel(context, record.latest_request)
    realms.emit(context, realm, "server-removed", server=message.server)
    return b""


SPEC = MessageSpec(
    field="remove_server",
    message=mfa_pb2.RemoveServer,
    message_class=MessageClass.USER,
    cost=lambda _: 250,
    validate=_validate,
    execute=_execute,
    writes=(REALMS, REALM_SERVERS, *issuing.CANCEL_WRITES),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.NOT_REGISTRAR, Code.UNKNOWN_SERVER),
    events=(events.EXTRACTION, events.REALM_SERVERS),
)
