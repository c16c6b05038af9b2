"""Actors with real keys, derived from a seed: who signs transactions and documents in tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message
from nacl.signing import SigningKey
from pyblst import BlstP1Element, BlstP2Element

from abci_app import canonical, cid
from abci_app.crypto import bls, hpke, statements
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2, tx_pb2

_R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def seeded(*parts: object) -> bytes:
    """32 bytes that depend on what is given."""
    return sha256(repr(parts).encode()).digest()


_G1 = BlstP1Element.uncompress(
    bytes.fromhex(
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    )
)


class TestBls:
    """A BLS key for tests, on the compiled curve directly."""

    __test__ = False

    def __init__(self, seed: bytes) -> None:
        self._scalar = int.from_bytes(sha256(b"bls" + seed).digest(), "big") % _R
        self.public_key: bytes = bytes(_G1.scalar_mul(self._scalar).compress())

    def sign(self, message: bytes, tag: bytes = bls.SIGNATURE_TAG) -> bytes:
        return bytes(BlstP2Element.hash_to_group(message, tag).scalar_mul(self._scalar).compress())


@dataclass
class Actor:
    """An identity and its keys. ``generation`` counts rotations, ``keystores`` how often its node's was replaced."""

    name: str
    fiduciary: bool = False
    seed: int = 0
    generation: int = 0
    gateway: str = ""
    identity: bytes = b""
    previous_cid: str = ""
    block: bytes = b""
    next_of: dict[int, SigningKey] = field(default_factory=dict)
    keystores: int = 0

    def key(self, generation: int) -> SigningKey:
        return SigningKey(seeded("tx", self.name, self.seed, generation))

    @property
    def tx_key(self) -> SigningKey:
        return self.key(self.generation)

    @property
    def node_key(self) -> SigningKey:
        return SigningKey(seeded("node", self.name, self.seed, *([self.keystores] if self.keystores else [])))

    @property
    def bls_key(self) -> TestBls:
        return TestBls(seeded("bls", self.name, self.seed))

    def document(self, gid: bytes | None, generation: int = 0) -> identity_pb2.IdentityDocument:
        """The document of ``generation``, without proofs. ``gid`` None: a founder's, committed under the zero gid."""
        hpke_seed = seeded("hpke", self.name, self.seed)
        document = identity_pb2.IdentityDocument(
            name=self.name,
            roles=[identity_pb2.ROLE_FIDUCIARY] if self.fiduciary else [identity_pb2.ROLE_PRINCIPAL],
            tx_key=bytes(self.key(generation).verify_key),
            next_key_digest=statements.next_key_digest(
                statements.ZERO_GID if gid is None else gid, bytes(self.key(generation + 1).verify_key)
            ),
            bls_key=self.bls_key.public_key,
            hpke_key=hpke.public_key_of(hpke_seed + hpke_seed, hpke_seed),
        )
        if self.fiduciary:
            document.node_key = bytes(self.node_key.verify_key)
        if self.gateway:
            document.endpoints.add(kind="gateway", url=self.gateway)
        return document

    def sealed_document(
        self, gid: bytes, document: identity_pb2.IdentityDocument, generation: int = 0
    ) -> bytes:
        """The document's envelope block, with every proof."""
        self.prove(gid, document, generation)
        return self.sign_document(gid, document)

    def prove(self, gid: bytes, document: identity_pb2.IdentityDocument, generation: int = 0) -> None:
        """Set the document's proofs of possession."""
        identity = document.identity or statements.identity_id(document)
        statement = statements.document_statement(gid, identity, document, document.tx_key)
        document.tx_key_proof = self.key(generation).sign(statement).signature
        if document.node_key:
            statement = statements.document_statement(gid, identity, document, document.node_key)
            document.node_key_proof = self.node_key.sign(statement).signature
        possession = statements.bls_possession_statement(gid, identity, document.bls_key)
        document.bls_proof = self.bls_key.sign(possession, bls.POSSESSION_TAG)

    def sign_document(
        self, gid: bytes, document: identity_pb2.IdentityDocument, sender: bytes = b"", **header_fields: Any
    ) -> bytes:
        """The envelope block of the document as it is, whatever its proofs, signed by the BLS key as ``sender``."""
        signer = sender or document.identity or statements.identity_id(document)
        fields: dict[str, Any] = {
            "version": 1, "type": envelope_pb2.ENVELOPE_TYPE_IDENTITY_DOCUMENT, "sender": signer, "time_s": 1_000,
        }  # fmt: skip
        header = canonical.encode(envelope_pb2.EnvelopeHeader(**{**fields, **header_fields}))
        body = canonical.encode(document)
        signature = self.bls_key.sign(statements.envelope_statement(gid, header, body, [signer]))
        return canonical.encode(
            envelope_pb2.Envelope(header=header, body=body, signers=[signer], signature=signature)
        )

    def enrol(self, gid: bytes) -> bytes:
        """Make the first document's block and take its id as our own."""
        document = self.document(gid)
        self.identity = statements.identity_id(document)
        self.block = self.sealed_document(gid, document)
        self.previous_cid = cid.cid_of(self.block)
        return self.block

    def next_document(self, gid: bytes) -> bytes:
        """The next generation's block; ``generation`` moves on when the test says that it was accepted."""
        document = self.document(gid, self.generation + 1)
        document.identity = self.identity
        document.previous_cid = self.previous_cid
        return self.sealed_document(gid, document, self.generation + 1)


def body_bytes(
    chain_id: str, message: Message, expires_at_height: int, salt: bytes, made_at_height: int = 0
) -> bytes:
    """A transaction's body around ``message``."""
    body = tx_pb2.TxBody(
        chain_id=chain_id, expires_at_height=expires_at_height, salt=salt, made_at_height=made_at_height
    )
    for oneof_field in tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields:
        if oneof_field.message_type is message.DESCRIPTOR:
            getattr(body, oneof_field.name).CopyFrom(message)
    return canonical.encode(body)


def signed_tx(gid: bytes, signer: bytes, key: SigningKey, body: bytes, **overrides: Any) -> bytes:
    """A signed transaction over ``body``."""
    signature = key.sign(statements.signed_tx_bytes(gid, signer, body)).signature
    fields: dict[str, Any] = {"body": body, "signer": signer, "signature": signature, **overrides}
    return canonical.encode(tx_pb2.SignedTx(**fields))
