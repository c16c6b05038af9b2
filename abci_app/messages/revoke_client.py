"""RevokeClient: from now on the client is issued no permit and is not enrolled again. Final."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.mfa import issuing, realms
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_CLIENTS, REALMS
from abci_app.state.view import StateView


def _validate(message: mfa_pb2.RevokeClient) -> None:
    need_bytes(message.realm, limits.ID_BYTES, "realm")
    need_bytes(message.client, limits.ID_BYTES, "client")


def _execute(context: Context, message: mfa_pb2.RevokeClient) -> bytes:
    realm = realms.get_as_registrar(context, message.realm)
    record = REALM_CLIENTS.find(context.state, realm.id, message.client)
    if record is None:
        raise Refusal(Code.UNKNOWN_CLIENT, message.client.hex(), reason="revoke")
    revoked = record.status == mfa_pb2.MFA_CLIENT_STATUS_REVOKED
    context.require(not revoked, Code.ALREADY_DONE, message.client.hex(), reason="client-revoked")
    record.status = mfa_pb2.MFA_CLIENT_STATUS_REVOKED
    record.revoked_height, record.revoked_tx = context.height, context.tx_hash
    REALM_CLIENTS.put(context.state, record, realm.id, message.client)
    issuing.cancel_permits(context, realm, message.client)
    realms.emit(context, realm, "client-revoked", client=message.client)
    return b""


def _decides(view: StateView, signer: bytes, message: mfa_pb2.RevokeClient) -> bytes | None:
    realm = REALMS.read(view, message.realm)
    if realm is None or realm.terms.registrar != signer:
        return None
    client = REALM_CLIENTS.read(view, realm.id, message.client)
    enrolled = client is not None and client.status == mfa_pb2.MFA_CLIENT_STATUS_ENROLLED
    return realm.id + message.client if enrolled else None


SPEC = MessageSpec(
    field="revoke_client",
    message=mfa_pb2.RevokeClient,
    message_class=MessageClass.USER,
    cost=lambda _: 400,
    validate=_validate,
    execute=_execute,
    decides=_decides,
    writes=(REALM_CLIENTS, *issuing.CANCEL_WRITES),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.NOT_REGISTRAR, Code.UNKNOWN_CLIENT, Code.ALREADY_DONE),
    events=(events.EXTRACTION, events.CLIENT_REVOKED),
)
