"""RequestServerSecret: a registered server asks for s*Q, blinded to a transport key of its own in G2."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority.proofs import check_transport_form
from abci_app.codes import Code
from abci_app.crypto.curve import G2
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.mfa import issuing, realms
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_SERVERS


def _validate(message: mfa_pb2.RequestServerSecret) -> None:
    need_bytes(message.realm, limits.ID_BYTES, "realm")
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    check_transport_form(G2, message.transport_key, message.proof)


def _execute(context: Context, message: mfa_pb2.RequestServerSecret) -> bytes:
    realm = realms.get(context, message.realm)
    context.require(context.signer in realm.servers, Code.UNKNOWN_SERVER, context.signer.hex(), reason="signer")
    record = REALM_SERVERS.get(context.state, realm.id, context.signer)
    pending = record.latest_request and issuing.is_pending(context, record.latest_request)
    context.require(not pending, Code.TOO_MANY, "a request of this server is pending", reason="server-secret")
    request = issuing.ask_server_secret(context, realm, message)
    record.requests += 1
    record.latest_request = request
    REALM_SERVERS.put(context.state, record, realm.id, context.signer)
    realms.emit(context, realm, "server-secret-requested", server=context.signer, extraction=request)
    return request


SPEC = MessageSpec(
    field="request_server_secret",
    message=mfa_pb2.RequestServerSecret,
    message_class=MessageClass.USER,
    cost=lambda _: 1_300,
    validate=_validate,
    execute=_execute,
    writes=(REALM_SERVERS, *issuing.ASK_WRITES),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.UNKNOWN_SERVER, Code.TOO_MANY, *issuing.ASK_CODES),
    events=(events.EXTRACTION, events.REALM_SERVERS),
)
