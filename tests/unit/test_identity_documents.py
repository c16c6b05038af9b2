"""A document's form and its proofs, one fault at a time: all else is right, and the envelope signed anew.

Signed anew, because a change under the old signature is refused for the signature, whatever checks the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from abci_app import canonical, cid
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.identities import documents
from abci_app.limits import MAX_ENDPOINTS, MAX_IDENTITY_ENVELOPE_BYTES, MAX_TIME_S
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2, tx_pb2
from tests.support.actors import Actor, seeded
from tests.support.refusals import Because, raised, refused
from tests.support.world import fresh_custody

Document = identity_pb2.IdentityDocument
GID = seeded("gid")
CID = cid.cid_of(b"an earlier document")
PRINCIPAL, FIDUCIARY = Actor("principal"), Actor("fiduciary", fiduciary=True, gateway="https://gateway.example/v1")


def set_to(field: str, value: Any) -> Callable[[Document], object]:
    return lambda document: setattr(document, field, value)


def add_gateways(count: int, kind: str = "gateway", url: str = "https://a.example") -> Callable[[Document], object]:
    return lambda document: document.endpoints.extend([identity_pb2.Endpoint(kind=kind, url=url)] * count)


FORMS: dict[str, tuple[Because, Actor, Callable[[Document], object]]] = {
    "no name": (Because(Code.DOCUMENT_MALFORMED, "name"), PRINCIPAL, set_to("name", "")),
    "a name too long": (Because(Code.DOCUMENT_MALFORMED, "name"), PRINCIPAL, set_to("name", "n" * 129)),
    "no role": (Because(Code.DOCUMENT_MALFORMED, "roles"), PRINCIPAL, lambda made: made.ClearField("roles")),
    "a role twice": (Because(Code.DOCUMENT_MALFORMED, "roles"), PRINCIPAL, lambda made: made.roles.append(1)),
    "roles out of order": (Because(Code.DOCUMENT_MALFORMED, "roles"), FIDUCIARY, lambda made: made.roles.append(1)),
    "a role that is none": (Because(Code.DOCUMENT_MALFORMED, "role"), PRINCIPAL, lambda made: made.roles.append(4)),
    "the role of nothing": (Because(Code.DOCUMENT_MALFORMED, "role"), PRINCIPAL, lambda made: made.roles.insert(0, 0)),
    "a transaction key that is no point": (
        Because(Code.DOCUMENT_MALFORMED, "tx_key"), PRINCIPAL, set_to("tx_key", (1).to_bytes(32, "little")),
    ),
    "half a next key": (
        Because(Code.DOCUMENT_MALFORMED, "next_key_digest"), PRINCIPAL, set_to("next_key_digest", bytes(31)),
    ),
    "a BLS key off the curve": (Because(Code.DOCUMENT_MALFORMED, "bls_key"), PRINCIPAL, set_to("bls_key", bytes(48))),
    "half an HPKE key": (
        Because(Code.DOCUMENT_MALFORMED, "hpke_key"), PRINCIPAL, lambda made: made.hpke_key.ClearField("x25519"),
    ),
    "a fiduciary without node key": (Because(Code.DOCUMENT_MALFORMED, "node_key"), FIDUCIARY, set_to("node_key", b"")),
    "one key for node and operator": (
        Because(Code.DOCUMENT_MALFORMED, "node_key"), FIDUCIARY, lambda made: setattr(made, "node_key", made.tx_key),
    ),
    "a node key of a principal": (
        Because(Code.DOCUMENT_MALFORMED, "node_key-of-others"), PRINCIPAL,
        set_to("node_key", bytes(FIDUCIARY.node_key.verify_key)),
    ),
    "too many gateways": (
        Because(Code.DOCUMENT_MALFORMED, "endpoints"), PRINCIPAL, add_gateways(MAX_ENDPOINTS + 1),
    ),
    "an endpoint of another kind": (
        Because(Code.DOCUMENT_MALFORMED, "endpoint"), PRINCIPAL, add_gateways(1, kind="mail"),
    ),
    "an endpoint that is no URL": (
        Because(Code.DOCUMENT_MALFORMED, "endpoint"), PRINCIPAL, add_gateways(1, url="file:///etc"),
    ),
    "an end after all time": (
        Because(Code.DOCUMENT_MALFORMED, "not_after_s"), PRINCIPAL, set_to("not_after_s", MAX_TIME_S + 1),
    ),
    "a beginning after all time": (
        Because(Code.DOCUMENT_MALFORMED, "not_after_s"), PRINCIPAL, set_to("not_before_s", MAX_TIME_S + 1),
    ),
    "an end at its beginning": (
        Because(Code.DOCUMENT_MALFORMED, "validity"), PRINCIPAL,
        lambda made: (setattr(made, "not_before_s", 9), setattr(made, "not_after_s", 9)),
    ),
    "a first document that follows one": (
        Because(Code.DOCUMENT_MALFORMED, "previous_cid"), PRINCIPAL, set_to("previous_cid", CID),
    ),
    "a later document that follows none": (
        Because(Code.DOCUMENT_MALFORMED, "previous_cid"), PRINCIPAL, set_to("identity", seeded("id")),
    ),
}  # fmt: skip
LENGTHS: dict[str, tuple[Because, Actor, Callable[[Document], object]]] = {
    "a short proof of the transaction key": (
        Because(Code.DOCUMENT_MALFORMED, "tx_key_proof"), PRINCIPAL, set_to("tx_key_proof", bytes(63)),
    ),
    "a short proof of the node key": (
        Because(Code.DOCUMENT_MALFORMED, "node_key_proof"), FIDUCIARY, set_to("node_key_proof", bytes(63)),
    ),
    "a proof of no node key": (
        Because(Code.DOCUMENT_MALFORMED, "node_key_proof"), PRINCIPAL, set_to("node_key_proof", bytes(64)),
    ),
    "a short proof of the BLS key": (
        Because(Code.DOCUMENT_MALFORMED, "bls_proof"), PRINCIPAL, set_to("bls_proof", bytes(95)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("actor", [PRINCIPAL, FIDUCIARY], ids=lambda actor: actor.name)
def test_the_documents_that_are_broken_here_are_taken_whole(actor: Actor) -> None:
    document = actor.document(GID)
    read = documents.read(actor.sealed_document(GID, document))
    documents.check_proofs(GID, statements.identity_id(document), read)


@pytest.mark.parametrize("name", FORMS)
def test_a_document_of_a_wrong_form_is_refused_by_the_field(name: str) -> None:
    expected, actor, spoil = FORMS[name]
    document = actor.document(GID)
    spoil(document)
    refused(lambda: documents.read(actor.sealed_document(GID, document)), *expected)


@pytest.mark.parametrize("name", LENGTHS)
def test_a_proof_of_another_length_is_refused_by_the_field(name: str) -> None:
    expected, actor, spoil = LENGTHS[name]
    document = actor.document(GID)
    actor.prove(GID, document)
    spoil(document)
    refused(lambda: documents.read(actor.sign_document(GID, document)), *expected)


def test_what_is_no_document_in_clear_is_refused() -> None:
    document = PRINCIPAL.document(GID)
    PRINCIPAL.prove(GID, document)
    record = PRINCIPAL.sign_document(GID, document, type=envelope_pb2.ENVELOPE_TYPE_ORDER)
    assert raised(lambda: documents.read(record)) == Because(Code.DOCUMENT_MALFORMED, "envelope"), "without recipients"
    whole = envelope_pb2.Envelope.FromString(PRINCIPAL.sign_document(GID, document))
    whole.body += b"\xf8\x7f\x01"
    refused(lambda: documents.read(canonical.encode(whole)), Code.DOCUMENT_MALFORMED, "document")
    keys = PRINCIPAL.sign_document(GID, document, type=envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS)
    refused(lambda: documents.read(keys), Code.DOCUMENT_MALFORMED, "kind")
    document.identity = bytes(31)
    half = PRINCIPAL.sign_document(GID, document, sender=seeded("somebody"))
    refused(lambda: documents.read(half), Code.DOCUMENT_MALFORMED, "identity")
    for block in (b"", b"\x01", bytes(MAX_IDENTITY_ENVELOPE_BYTES + 1)):
        refused(lambda block=block: documents.read(block), Code.DOCUMENT_MALFORMED, "envelope")


PROOFS = {
    "tx_key_proof": Because(Code.DOCUMENT_PROOF, "tx-key"),
    "node_key_proof": Because(Code.DOCUMENT_PROOF, "node-key"),
    "bls_proof": Because(Code.DOCUMENT_PROOF, "bls"),
}


def proofs_of(actor: Actor, document: Document, block: bytes) -> Because | None:
    identity = statements.identity_id(document)
    return raised(lambda: documents.check_proofs(GID, identity, documents.read(block)))


@pytest.mark.parametrize("field", PROOFS)
def test_a_wrong_proof_is_refused_though_the_envelope_is_signed_anew(field: str) -> None:
    other = Actor("other", fiduciary=True)
    theirs = other.document(GID)
    other.prove(GID, theirs)
    for proof in (getattr(theirs, field), None):
        document = FIDUCIARY.document(GID)
        FIDUCIARY.prove(GID, document)
        own = getattr(document, field)
        setattr(document, field, proof or own[:-1] + bytes([own[-1] ^ 1]))
        assert proofs_of(FIDUCIARY, document, FIDUCIARY.sign_document(GID, document)) == PROOFS[field]


def test_a_document_that_another_sends_or_signs_is_refused() -> None:
    document = FIDUCIARY.document(GID)
    FIDUCIARY.prove(GID, document)
    sent = FIDUCIARY.sign_document(GID, document, sender=seeded("somebody"))
    assert proofs_of(FIDUCIARY, document, sent) == Because(Code.DOCUMENT_PROOF, "sender")
    signed = Actor("other").sign_document(GID, document)
    assert proofs_of(FIDUCIARY, document, signed) == Because(Code.DOCUMENT_PROOF, "envelope")
    elsewhere = FIDUCIARY.sign_document(seeded("another chain"), document)
    assert proofs_of(FIDUCIARY, document, elsewhere) == Because(Code.DOCUMENT_PROOF, "envelope")


def test_a_node_key_that_another_identity_owns_is_refused_though_its_possession_is_proved() -> None:
    """Who holds another's node key too can prove it: it belongs to whom it was registered for all the same."""
    custody = fresh_custody()
    chain, eve, victim = custody.chain, Actor("eve", fiduciary=True), custody.chain.founders[1]
    document = eve.document(chain.gid)
    document.node_key = bytes(victim.node_key.verify_key)
    eve.prove(chain.gid, document)
    statement = statements.document_statement(chain.gid, statements.identity_id(document), document, document.node_key)
    document.node_key_proof = victim.node_key.sign(statement).signature
    envelope = eve.sign_document(chain.gid, document)
    refused(chain.run(chain.founders[0], tx_pb2.RegisterIdentity(envelope=envelope)), Code.KEY_TAKEN)
