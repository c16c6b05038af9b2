"""RegisterServer: the registrar names an identity that may ask for a server secret of its realm."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import concerns
from abci_app.mfa import realms
from abci_app.pb.dta.v1 import concern_pb2, identity_pb2, mfa_pb2
from abci_app.state.records import CONCERNS, COUNTERS, IDENTITIES, REALM_SERVERS, REALMS


def _validate(message: mfa_pb2.RegisterServer) -> None:
    need_bytes(message.realm, limits.ID_BYTES, "realm")
    need_bytes(message.server, limits.ID_BYTES, "server")


def _execute(context: Context, message: mfa_pb2.RegisterServer) -> bytes:
    realm = realms.get_as_registrar(context, message.realm)
    identity = IDENTITIES.find(context.state, message.server)
    active = identity is not None and identity.status == identity_pb2.IDENTITY_STATUS_ACTIVE
    context.require(active, Code.UNKNOWN_SERVER, "no active identity of this id", reason="identity")
    context.require(message.server not in realm.servers, Code.ALREADY_DONE, message.server.hex(), reason="server")
    most = context.params.max_realm_servers
    context.require(len(realm.servers) < most, Code.TOO_MANY, f"a realm has at most {most} servers", reason="servers")
    record = REALM_SERVERS.find(context.state, realm.id, message.server)
    if record is None:
        record = mfa_pb2.MfaServerRecord(realm=realm.id, server=message.server)
        role = concern_pb2.CONCERN_ROLE_SERVER
        concerns.note(context, concern_pb2.CONCERN_KIND_REALM_SERVER, realm.id, role, message.server)
    record.registered_height, record.registered_tx = context.height, context.tx_hash
    record.removed_height, record.removed_tx = 0, b""
    REALM_SERVERS.put(context.state, record, realm.id, message.server)
    realm.servers.append(message.server)
    REALMS.put(context.state, realm, realm.id)
    realms.emit(context, realm, "server-registered", server=message.server)
    return b""


SPEC = MessageSpec(
    field="register_server",
    message=mfa_pb2.RegisterServer,
    message_class=MessageClass.USER,
    cost=lambda _: 250 + concerns.NAME_COST,
    validate=_validate,
    execute=_execute,
    writes=(REALMS, REALM_SERVERS, CONCERNS, COUNTERS),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.NOT_REGISTRAR, Code.UNKNOWN_SERVER, Code.ALREADY_DONE,
        Code.TOO_MANY,
    ),
    events=(events.REALM_SERVERS,),
)  # fmt: skip
