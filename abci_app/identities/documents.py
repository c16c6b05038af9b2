"""What registration, rotation and genesis share: reading an identity document and holding it to its proofs."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app import canonical, cid, envelope, limits, text
from abci_app.codes import Code
from abci_app.crypto import bls, ed25519, hpke, statements
from abci_app.errors import Refusal, StateBroken
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2
from abci_app.state import as_of, requesters
from abci_app.state.overlay import Overlay
from abci_app.state.records import BLS_KEY_OWNERS, FIDUCIARIES, IDENTITIES, IDENTITY_HISTORY, TX_KEY_OWNERS
from abci_app.state.view import StateView


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """An identity document as its block carries it. ``document`` is read only."""

    document: identity_pb2.IdentityDocument
    envelope: envelope.DecodedEnvelope


def read(block: bytes) -> ReadDocument:
    """Decode a document's envelope block and check its form. Refuses with DOCUMENT_MALFORMED, naming the field."""
    try:
        decoded = envelope.decode(block, limits.MAX_IDENTITY_ENVELOPE_BYTES)
    except envelope.EnvelopeRefused as refused:
        raise Refusal(Code.DOCUMENT_MALFORMED, f"envelope: {refused}", reason="envelope") from None
    if decoded.header.type != envelope_pb2.ENVELOPE_TYPE_IDENTITY_DOCUMENT:
        raise Refusal(Code.DOCUMENT_MALFORMED, "envelope: not an identity document in clear", reason="kind")
    try:
        document = canonical.decode(
            identity_pb2.IdentityDocument, decoded.body, limits.MAX_IDENTITY_ENVELOPE_BYTES
        )
    except canonical.NotCanonical as error:
        raise Refusal(Code.DOCUMENT_MALFORMED, f"document: {error}", reason="document") from None
    _check_form(document)
    return ReadDocument(document, decoded)


def _check_form(document: identity_pb2.IdentityDocument) -> None:
    def need(condition: bool, reason: str, field: str = "") -> None:
        if not condition:
            raise Refusal(Code.DOCUMENT_MALFORMED, field or reason, reason=reason)

    roles = list(document.roles)
    is_fiduciary = identity_pb2.ROLE_FIDUCIARY in roles
    need(text.is_name(document.name, limits.MAX_NAME_CHARS), "name")
    need(0 < len(roles) <= limits.MAX_ROLES and roles == sorted(dict.fromkeys(roles)), "roles")
    need(all(1 <= role <= identity_pb2.ROLE_BENEFICIARY for role in roles), "role", "roles")
    need(ed25519.valid_public_key(document.tx_key), "tx_key")
    need(len(document.next_key_digest) == 32, "next_key_digest")
    need(bls.valid_public_key(document.bls_key), "bls_key")
    need(hpke.valid_key(document.hpke_key), "hpke_key")
    if is_fiduciary:
        need(ed25519.valid_public_key(document.node_key) and document.node_key != document.tx_key, "node_key")
    else:
        need(not document.node_key, "node_key-of-others", "node_key")
    need(len(document.endpoints) <= limits.MAX_ENDPOINTS, "endpoints")
    for endpoint in document.endpoints:
        need(endpoint.kind == "gateway" and text.is_url(endpoint.url, limits.MAX_URL_CHARS), "endpoint", "endpoints")
    need(max(document.not_before_s, document.not_after_s) <= limits.MAX_TIME_S, "not_after_s")
    need(not document.not_after_s or document.not_before_s < document.not_after_s, "validity", "not_after_s")
    need(len(document.identity) in (0, limits.ID_BYTES), "identity")
    need(cid.is_cid(document.previous_cid) if document.identity else not document.previous_cid, "previous_cid")
    # What no key has signed yet; a length that is wrong is no proof of anything, and would be paid by everybody.
    need(len(document.tx_key_proof) == limits.ED25519_SIGNATURE_BYTES, "tx_key_proof")
    need(len(document.node_key_proof) == (limits.ED25519_SIGNATURE_BYTES if is_fiduciary else 0), "node_key_proof")
    need(len(document.bls_proof) == limits.BLS_SIGNATURE_BYTES, "bls_proof")


def check_proofs(gid: bytes, identity: bytes, read_document: ReadDocument) -> None:
    """Hold the document to its proofs of possession and the envelope's signature, cheapest first (DOCUMENT_PROOF)."""
    document, decoded = read_document.document, read_document.envelope
    statement = statements.document_statement(gid, identity, document, document.tx_key)
    if not ed25519.verify(document.tx_key, statement, document.tx_key_proof):
        raise Refusal(Code.DOCUMENT_PROOF, "tx_key_proof", reason="tx-key")
    if document.node_key:
        statement = statements.document_statement(gid, identity, document, document.node_key)
        if not ed25519.verify(document.node_key, statement, document.node_key_proof):
            raise Refusal(Code.DOCUMENT_PROOF, "node_key_proof", reason="node-key")
    if decoded.header.sender != identity or list(decoded.signers) != [identity]:
        raise Refusal(
            Code.DOCUMENT_PROOF, "the envelope's sender and signer must be the identity itself", reason="sender"
        )
    possession = statements.bls_possession_statement(gid, identity, document.bls_key)
    if not bls.verify_possession(document.bls_key, possession, document.bls_proof):
        raise Refusal(Code.DOCUMENT_PROOF, "bls_proof", reason="bls")
    if not envelope.verify(decoded, gid, {identity: document.bls_key}):
        raise Refusal(Code.DOCUMENT_PROOF, "the envelope's signature", reason="envelope")


def take_keys(state: Overlay, identity: bytes, document: identity_pb2.IdentityDocument) -> None:
    """Give the document's keys to the identity, for ever. Refuses with KEY_TAKEN what belongs to another."""
    owned = [TX_KEY_OWNERS.key(document.tx_key), BLS_KEY_OWNERS.key(document.bls_key)]
    if document.node_key:
        owned.append(TX_KEY_OWNERS.key(document.node_key))
    for key in owned:
        owner = state.get(key)
        if owner is not None and owner != identity:
            raise Refusal(Code.KEY_TAKEN, "a key of the document")
        if owner is None:
            state.put(key, identity)


def write(
    context: Context, identity: bytes, read_document: ReadDocument, change: identity_pb2.IdentityChange, founding: bool
) -> identity_pb2.IdentityRecord:
    """Write the record that follows from the document, and its history entry."""
    document = read_document.document
    record = IDENTITIES.find(context.state, identity) or identity_pb2.IdentityRecord(
        id=identity, registered_height=context.height
    )
    record.status = identity_pb2.IDENTITY_STATUS_ACTIVE
    record.name = document.name
    del record.roles[:]
    record.roles.extend(document.roles)
    record.tx_key = document.tx_key
    record.next_key_digest = document.next_key_digest
    record.node_key = document.node_key
    record.bls_key = document.bls_key
    record.document_cid = read_document.envelope.cid
    record.not_before_s = document.not_before_s
    record.not_after_s = document.not_after_s
    del record.gateways[:]
    record.gateways.extend(endpoint.url for endpoint in document.endpoints)
    record.founding = founding
    put_change(context, record, change)
    return record


def put_change(
    context: Context, record: identity_pb2.IdentityRecord, change: identity_pb2.IdentityChange
) -> None:
    """Write the record with one more entry of its history, and say so."""
    entry = identity_pb2.IdentityHistory(
        change=change, height=context.height, tx_hash=context.tx_hash, document_cid=record.document_cid,
        tx_key=record.tx_key,
    )  # fmt: skip
    IDENTITY_HISTORY.put(context.state, entry, record.id, record.history_count)
    record.history_count += 1
    record.updated_height = context.height
    IDENTITIES.put(context.state, record, record.id)
    action = identity_pb2.IdentityChange.Name(change).removeprefix("IDENTITY_CHANGE_").lower()
    context.emit("identity", record.id, action, document=record.document_cid)
    if identity_pb2.ROLE_FIDUCIARY in record.roles:
        context.emit("fiduciary", record.id, action)


def revoke(context: Context, record: identity_pb2.IdentityRecord) -> None:
    """The identity's end. What it asked for is not due any more from here on; the sweep cancels it."""
    record.status = identity_pb2.IDENTITY_STATUS_REVOKED
    put_change(context, record, identity_pb2.IDENTITY_CHANGE_REVOKED)
    requesters.note_revoked(context.state, record.id)


def admitted_fiduciaries(view: StateView) -> list[identity_pb2.FiduciaryRecord]:
    """All that are admitted and not removed, by id, whatever became of their identities."""
    active = identity_pb2.FIDUCIARY_STATUS_ACTIVE
    return [record for record in FIDUCIARIES.all(view) if record.status == active]


def is_active_fiduciary(view: StateView, identity: bytes, time_s: int) -> bool:
    """Whether this identity is an admitted fiduciary whose identity is neither suspended, revoked nor out of date."""
    fiduciary = FIDUCIARIES.read(view, identity)
    if fiduciary is None or fiduciary.status != identity_pb2.FIDUCIARY_STATUS_ACTIVE:
        return False
    record = IDENTITIES.read(view, identity)
    if record is None:
        raise StateBroken("a fiduciary without an identity")
    return record.status == identity_pb2.IDENTITY_STATUS_ACTIVE and as_of.is_in_date(record, time_s)


def matches_next_key(gid: bytes, record: identity_pb2.IdentityRecord, key: bytes) -> bool:
    """Whether ``key`` is the one that the current document commits to."""
    committed_under = statements.ZERO_GID if record.founding else gid
    return statements.next_key_digest(committed_under, key) == record.next_key_digest
