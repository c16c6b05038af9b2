"""RotateIdentity: the next document, signed by the key to which the current one commits. Lifts a suspension."""

from __future__ import annotations

from abci_app import events
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.identities import documents
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state import as_of
from abci_app.state.records import BLS_KEY_OWNERS, IDENTITIES, IDENTITY_HISTORY, TX_KEY_OWNERS


def _validate(message: tx_pb2.RotateIdentity) -> None:
    documents.read(message.envelope)


def _signing_key(gid: bytes, record: identity_pb2.IdentityRecord | None, message: tx_pb2.RotateIdentity) -> bytes:
    """The next document's key, which must be the one that the current document commits to."""
    assert record is not None, "a newcomer only registers itself"
    key = documents.read(message.envelope).document.tx_key
    if not documents.matches_next_key(gid, record, key):
        raise Refusal(Code.NEXT_KEY_MISMATCH, reason="rotation")
    return key


def _execute(context: Context, message: tx_pb2.RotateIdentity) -> bytes:
    record = context.identity
    assert record is not None
    read = documents.read(message.envelope)
    document = read.document
    follows = document.identity == record.id and document.previous_cid == record.document_cid
    context.require(follows, Code.DOCUMENT_CHAIN, "identity or previous_cid", reason="previous")
    context.require(as_of.is_in_date(document, context.time_s), Code.DOCUMENT_NOT_VALID_NOW, reason="rotated")
    was_fiduciary = identity_pb2.ROLE_FIDUCIARY in record.roles
    is_fiduciary = identity_pb2.ROLE_FIDUCIARY in document.roles
    context.require(
        was_fiduciary == is_fiduciary, Code.DOCUMENT_CHAIN, "the fiduciary role can't be gained or lost", reason="role"
    )
    context.require(record.id not in context.scratch.rotated, Code.TOO_MANY, "one rotation a block", reason="rotation")
    documents.check_proofs(context.gid, record.id, read)
    documents.take_keys(context.state, record.id, document)
    documents.write(context, record.id, read, identity_pb2.IDENTITY_CHANGE_ROTATED, founding=False)
    context.scratch.rotated.append(record.id)
    return record.id


SPEC = MessageSpec(
    field="rotate_identity",
    message=tx_pb2.RotateIdentity,
    message_class=MessageClass.USER,
    cost=lambda _: 5_000,
    validate=_validate,
    execute=_execute,
    signing_key=_signing_key,
    by_next_key=True,
    decides=lambda _view, _signer, _message: b"",
    writes=(IDENTITIES, IDENTITY_HISTORY, TX_KEY_OWNERS, BLS_KEY_OWNERS),
    codes=(
        Code.DOCUMENT_MALFORMED, Code.NEXT_KEY_MISMATCH, Code.DOCUMENT_CHAIN, Code.DOCUMENT_NOT_VALID_NOW,
        Code.TOO_MANY, Code.DOCUMENT_PROOF, Code.KEY_TAKEN,
    ),
    events=(events.IDENTITY, events.FIDUCIARY_IDENTITY),
)  # fmt: skip
