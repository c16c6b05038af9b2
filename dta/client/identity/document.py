"""Making identity documents: their fields from a profile's keys, their proofs, and the envelope around them."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app import canonical
from abci_app.crypto import statements
from abci_app.errors import Refusal
from abci_app.identities import documents
from abci_app.limits import MAX_IDENTITY_ENVELOPE_BYTES
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2
from dta.base.errors import UsageError
from dta.base.keystore_config import KeystoreConfig
from dta.client.identity import derived
from dta.client.identity.keyring import Keyring, existing_key
from dta.client.identity.profile import ROLES
from dta.envelope.build import clear_envelope
from dta.envelope.sign import sign
from dta.hsm import labels


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    """Where a document's keys are: as in a profile, for the generation that the document is of."""

    generation: int
    derived: int
    keys: KeystoreConfig
    next_keys: KeystoreConfig
    root: KeystoreConfig
    node: KeystoreConfig | None


@dataclass(frozen=True, slots=True)
class Description:
    """What a document says beside its keys. Times are Unix seconds, 0: no bound."""

    name: str
    roles: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    not_before_s: int = 0
    not_after_s: int = 0


def build(ring: Keyring, places: KeyPlaces, said: Description, gid: bytes) -> identity_pb2.IdentityDocument:
    """The document without its proofs. ``gid``: what the next key is committed under (ZERO_GID for a founder).

    All its keys must be there. A rotation adds ``identity`` and ``previous_cid``. Raises KeystoreError.
    """
    root = ring.keystore(places.root)
    next_key = existing_key(ring.keystore(places.next_keys), labels.operator_key(places.generation + 1))
    document = identity_pb2.IdentityDocument(
        name=said.name,
        roles=sorted(ROLES[role] for role in said.roles),
        tx_key=existing_key(ring.keystore(places.keys), labels.operator_key(places.generation)),
        next_key_digest=statements.next_key_digest(gid, next_key),
        bls_key=derived.bls_key(root, places.derived).public_key,
        hpke_key=derived.hpke_key(root, places.derived).public,
        not_before_s=said.not_before_s,
        not_after_s=said.not_after_s,
    )
    if places.node is not None:
        document.node_key = existing_key(ring.keystore(places.node), labels.node_key())
    for url in said.gateways:
        document.endpoints.add(kind="gateway", url=url)
    return document


def seal(
    ring: Keyring, places: KeyPlaces, document: identity_pb2.IdentityDocument, gid: bytes, time_s: int
) -> bytes:
    """The document's envelope block: with every proof, signed by its BLS key. ``document`` is left as it is.

    ``time_s``: Unix seconds, what the envelope says of its time. Raises UsageError when the result is not a document
    that a ledger with this ``gid`` accepts, naming the field; KeystoreError.
    """
    proved = identity_pb2.IdentityDocument()
    proved.CopyFrom(document)
    identity = document.identity or statements.identity_id(document)
    keys, root = ring.keystore(places.keys), ring.keystore(places.root)
    statement = statements.document_statement(gid, identity, document, document.tx_key)
    proved.tx_key_proof = keys.sign(labels.operator_key(places.generation), statement)
    if places.node is not None:
        statement = statements.document_statement(gid, identity, document, document.node_key)
        proved.node_key_proof = ring.keystore(places.node).sign(labels.node_key(), statement)
    secret = derived.bls_key(root, places.derived)
    proved.bls_proof = secret.prove_possession(statements.bls_possession_statement(gid, identity, document.bls_key))
    draft = clear_envelope(
        envelope_pb2.ENVELOPE_TYPE_IDENTITY_DOCUMENT,
        sender=identity,
        time_s=time_s,
        body=canonical.encode(proved),
        previous_cid=document.previous_cid,
    )
    block = sign(draft, gid, {identity: secret}, MAX_IDENTITY_ENVELOPE_BYTES)
    check(block, gid)
    return block


def check(block: bytes, gid: bytes) -> documents.ReadDocument:
    """The document in ``block``, held to everything that the ledger will hold it to by itself. Raises UsageError."""
    try:
        read = documents.read(block)
        identity = read.document.identity or statements.identity_id(read.document)
        documents.check_proofs(gid, identity, read)
    except Refusal as refusal:
        raise UsageError(
            f"this is no identity document that the ledger would accept: {refusal}",
            hint=f"a document's block has at most {MAX_IDENTITY_ENVELOPE_BYTES} bytes and is made for one ledger",
        ) from None
    return read


def read(block: bytes) -> documents.ReadDocument:
    """The document in ``block``, its form checked, its proofs not. Raises UsageError."""
    try:
        return documents.read(block)
    except Refusal as refusal:
        raise UsageError(f"this is no identity document: {refusal}") from None
