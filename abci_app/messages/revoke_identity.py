"""RevokeIdentity: the end of an identity, by its own next key. Final; history stays readable."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import documents
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.indexes import REVOKED_REQUESTERS
from abci_app.state.records import IDENTITIES, IDENTITY_HISTORY


def _signing_key(gid: bytes, record: identity_pb2.IdentityRecord | None, message: tx_pb2.RevokeIdentity) -> bytes:
    assert record is not None, "a newcomer only registers itself"
    if not documents.matches_next_key(gid, record, message.next_key):
        raise Refusal(Code.NEXT_KEY_MISMATCH, reason="revocation")
    return message.next_key


def _execute(context: Context, _message: tx_pb2.RevokeIdentity) -> bytes:
    record = context.identity
    assert record is not None
    documents.revoke(context, record)
    return record.id


SPEC = MessageSpec(
    field="revoke_identity",
    message=tx_pb2.RevokeIdentity,
    message_class=MessageClass.USER,
    cost=lambda _: 200,
    validate=lambda message: need_bytes(message.next_key, limits.ED25519_KEY_BYTES, "next_key"),
    execute=_execute,
    signing_key=_signing_key,
    by_next_key=True,
    decides=lambda _view, _signer, _message: b"",
    writes=(IDENTITIES, IDENTITY_HISTORY, REVOKED_REQUESTERS),
    codes=(Code.NEXT_KEY_MISMATCH,),
    events=(events.IDENTITY, events.FIDUCIARY_IDENTITY),
)
