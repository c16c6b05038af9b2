"""RegisterIdentity: a new identity, by itself or sponsored by a fiduciary (docs/spec/identities.md)."""

from __future__ import annotations

from abci_app import events
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.identities import documents
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state import as_of
from abci_app.state.records import BLS_KEY_OWNERS, IDENTITIES, IDENTITY_HISTORY, TX_KEY_OWNERS


def _validate(message: tx_pb2.RegisterIdentity) -> None:
    documents.read(message.envelope)


def _signing_key(_gid: bytes, record: identity_pb2.IdentityRecord | None, message: tx_pb2.RegisterIdentity) -> bytes:
    """A registered signer sponsors with its current key; a new one signs with its own document's key."""
    return record.tx_key if record is not None else documents.read(message.envelope).document.tx_key


def _execute(context: Context, message: tx_pb2.RegisterIdentity) -> bytes:
    read = documents.read(message.envelope)
    document = read.document
    if document.identity or document.previous_cid:
        raise Refusal(Code.DOCUMENT_CHAIN, "a first document follows no other", reason="first")
    identity = statements.identity_id(document)
    sponsored = context.identity is not None
    if sponsored:
        active = documents.is_active_fiduciary(context.state, context.signer, context.time_s)
        context.require(active, Code.SPONSOR_REQUIRED, "the sponsor is no active fiduciary", reason="sponsor")
    known = IDENTITIES.find(context.state, identity) is not None
    context.require(not known, Code.IDENTITY_EXISTS, identity.hex())
    sponsor = context.signer if sponsored else b""
    _require_room(context, sponsor)
    context.require(as_of.is_in_date(document, context.time_s), Code.DOCUMENT_NOT_VALID_NOW, reason="registered")
    documents.check_proofs(context.gid, identity, read)
    documents.take_keys(context.state, identity, document)
    documents.write(context, identity, read, identity_pb2.IDENTITY_CHANGE_REGISTERED, founding=False)
    if sponsored:
        context.emit("fiduciary", context.signer, "sponsored", identity=identity)
    context.scratch.registrations.append(sponsor)
    return identity


def _require_room(context: Context, sponsor: bytes) -> None:
    """Those that succeeded count. A sponsor has a part of its own, which nobody else takes; who registers itself has
    room while the block holds fewer registrations than ``max_registrations``, of either kind.
    """
    done, most = context.scratch.registrations, context.params.max_registrations
    if not sponsor:
        context.require(len(done) < most, Code.REGISTRATIONS_FULL, reason="block")
        return
    own = max(1, most // len(documents.admitted_fiduciaries(context.state)))
    context.require(done.count(sponsor) < own, Code.REGISTRATIONS_FULL, f"{own} of one sponsor", reason="sponsor")


SPEC = MessageSpec(
    field="register_identity",
    message=tx_pb2.RegisterIdentity,
    message_class=MessageClass.USER,
    cost=lambda _: 5_000,
    validate=_validate,
    execute=_execute,
    signing_key=_signing_key,
    writes=(IDENTITIES, IDENTITY_HISTORY, TX_KEY_OWNERS, BLS_KEY_OWNERS),
    codes=(
        Code.DOCUMENT_MALFORMED, Code.DOCUMENT_CHAIN, Code.SPONSOR_REQUIRED, Code.IDENTITY_EXISTS,
        Code.REGISTRATIONS_FULL, Code.DOCUMENT_NOT_VALID_NOW, Code.DOCUMENT_PROOF, Code.KEY_TAKEN,
    ),
    events=(events.IDENTITY, events.FIDUCIARY_IDENTITY, events.SPONSORED),
)  # fmt: skip
