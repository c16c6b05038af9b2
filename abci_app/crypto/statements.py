"""Every statement that a signature, a commitment or a seal covers, written once (docs/spec).

Provers (``dta``) and verifiers (the ledger) both build them here, so that a transcript exists in one place only.
Everything is length-prefixed under a tag ``DTA-v1-...`` but the transaction's signed bytes (docs/spec/transactions.md).
"""

from __future__ import annotations

from hashlib import sha256

from abci_app.hashing import tagged, tagged_hash, u32
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, governance_pb2, identity_pb2, params_pb2, tx_pb2

ZERO_GID = bytes(32)
"""Founders commit to their next keys under this: the gid covers their documents, so their documents can't cover it."""

_PROOF_FIELDS = ("tx_key_proof", "node_key_proof", "bls_proof")


def signed_tx_bytes(gid: bytes, signer: bytes, body: bytes) -> bytes:
    """What a transaction's signature covers, ``tag | gid | len(signer) | signer | body``: docs/spec/transactions.md."""
    return b"DTA-v1-tx" + gid + u32(len(signer)) + signer + body


def replay_key(gid: bytes, signer: bytes, body: bytes) -> bytes:
    """SHA-256 of the signed bytes: counts once until the body expires."""
    return sha256(signed_tx_bytes(gid, signer, body)).digest()


def document_without_proofs(document: identity_pb2.IdentityDocument) -> bytes:
    """The document's canonical encoding with its proofs cleared."""
    cleared = identity_pb2.IdentityDocument()
    cleared.CopyFrom(document)
    for name in _PROOF_FIELDS:
        cleared.ClearField(name)
    return cleared.SerializeToString(deterministic=True)


def identity_id(first_document: identity_pb2.IdentityDocument) -> bytes:
    """The self-certifying id: the hash of the first document without its proofs. 32 bytes."""
    return tagged_hash("DTA-v1-identity", document_without_proofs(first_document))


def next_key_digest(gid: bytes, next_key: bytes) -> bytes:
    """What a document commits to: the Ed25519 key that will sign the next rotation. 32 bytes."""
    return tagged_hash("DTA-v1-next-key", gid, next_key)


def document_statement(gid: bytes, identity: bytes, document: identity_pb2.IdentityDocument, key: bytes) -> bytes:
    """What ``tx_key`` and ``node_key`` each sign to prove possession, and with it the whole document."""
    return tagged("DTA-v1-document", gid, identity, document_without_proofs(document), key)


def validator_key_statement(gid: bytes, fiduciary: bytes, key: bytes, old_key: bytes) -> bytes:
    """What a new consensus key signs to take the place of ``old_key``: its possession, for this fiduciary alone.

    ``old_key`` is empty where the fiduciary has none: to be admitted.
    """
    return tagged("DTA-v1-validator-key", gid, fiduciary, key, old_key)


def proposal_id(gid: bytes, proposer: bytes, nonce: bytes) -> bytes:
    """The same nonce again is the same proposal."""
    return tagged_hash("DTA-v1-proposal", gid, proposer, nonce)


def action_digest(gid: bytes, proposal: bytes, action: governance_pb2.Action) -> bytes:
    """What a vote names, so that nobody votes for one thing and gets another."""
    return tagged_hash("DTA-v1-action", gid, proposal, action.SerializeToString(deterministic=True))


def params_digest(params: params_pb2.Params) -> bytes:
    """Names a whole set of parameters."""
    return tagged_hash("DTA-v1-params", params.SerializeToString(deterministic=True))


def bls_possession_statement(gid: bytes, identity: bytes, public_key: bytes) -> bytes:
    """The message of a BLS proof of possession (docs/spec/identities.md, Document)."""
    return tagged("DTA-v1-bls-possession", gid, identity, public_key)


def envelope_statement(gid: bytes, header: bytes, body: bytes, signers: list[bytes]) -> bytes:
    """What the signers of an envelope sign: header with its encapsulations, body, and who the signers are."""
    return tagged("DTA-v1-envelope", gid, header, body, *signers)


def vault_id(gid: bytes, principal: bytes, nonce: bytes) -> bytes:
    """The same nonce again is the same vault: a retry can't make a second one."""
    return tagged_hash("DTA-v1-vault", gid, principal, nonce)


def order_id(gid: bytes, principal: bytes, nonce: bytes) -> bytes:
    """The order's reference. The nonce is the order's salt too."""
    return tagged_hash("DTA-v1-order", gid, principal, nonce)


def request_id(gid: bytes, order: bytes, beneficiary: bytes, nonce: bytes) -> bytes:
    """The id of a request for an order's secret."""
    return tagged_hash("DTA-v1-request", gid, order, beneficiary, nonce)


def policy_hash(policy: custody_pb2.Policy, rule: custody_pb2.BeneficiaryRule) -> bytes:
    """Binds the policy and the beneficiary rule into everything sealed for an order."""
    return tagged_hash(
        "DTA-v1-policy", policy.SerializeToString(deterministic=True), rule.SerializeToString(deterministic=True)
    )


def hpke_key_digest(key: identity_pb2.HpkeKey) -> bytes:
    """Names a hybrid public key. 32 bytes."""
    return tagged_hash("DTA-v1-hpke-key", key.mlkem768, key.x25519)


def order_context(gid: bytes, vault: bytes, principal: bytes, salt: bytes, policy: bytes) -> bytes:
    """The digest that an order's seals and commitments bind: genesis, vault, principal, salt, policy hash."""
    return tagged_hash("DTA-v1-order-context", gid, vault, principal, salt, policy)


def share_commitment(context: bytes, index: int, share: bytes) -> bytes:
    """The commitment to share ``index`` (1..n) under an :func:`order_context`."""
    return tagged_hash("DTA-v1-share-commitment", context, u32(index), share)


def key_commitment(context: bytes, key: bytes) -> bytes:
    """The commitment to the key whose shares the fiduciaries hold."""
    return tagged_hash("DTA-v1-key-commitment", context, key)


def share_seal_info(context: bytes, index: int, commitment: bytes) -> bytes:
    """HPKE ``info`` of share ``index`` sealed to a vault key (docs/spec/custody.md, ``hsm-realm``)."""
    return tagged("DTA-v1-share-seal", context, u32(index), commitment)


def answer_seal_info(gid: bytes, request: bytes, fiduciary: bytes, index: int, commitment: bytes) -> bytes:
    """HPKE ``info`` of a fiduciary's answer, sealed to the request's key for it."""
    return tagged("DTA-v1-answer-seal", gid, request, fiduciary, u32(index), commitment)


def request_keys_digest(key_digests: list[bytes]) -> bytes:
    """One digest over a request's keys, in the order of the order's fiduciaries."""
    return tagged_hash("DTA-v1-request-keys", *key_digests)


def authorisation_statement(gid: bytes, request: bytes, message: tx_pb2.RequestSecret) -> bytes:
    """What a principal signs to let the beneficiary receive by this one request, where the rule leaves it open.

    It names the request, whose id counts once: so it lets in no second one.
    """
    answers = request_answers_digest(message)
    return tagged("DTA-v1-authorisation", gid, message.order, request, message.beneficiary, answers)


def request_answers_digest(message: tx_pb2.RequestSecret) -> bytes:
    """One digest over what a request's answers are sealed to: its keys, or its transport key."""
    if message.transport_key:
        return tagged_hash("DTA-v1-request-transport", message.transport_key)
    return request_keys_digest(list(message.key_digests))


def custody_identity(gid: bytes, authority: bytes, principal: bytes, salt: bytes, policy: bytes) -> bytes:
    """What a secret is encrypted to under a custody key (docs/spec/authority.md, Custody). 32 bytes.

    There is no CID in it, so it is known before the ciphertext; the salt is the order's nonce, which a principal uses
    once, so nobody else's order and no second one of hers has the same identity.
    """
    return tagged_hash("DTA-v1-custody-identity", gid, authority, principal, salt, policy)


def signing_message(gid: bytes, authority: bytes, kind: str, message: bytes, digest: bytes) -> bytes:
    """What a signing key signs for an order of ``kind``: its message, or in its place the SHA-256 of a longer one."""
    form = b"sha-256" if digest else b"message"
    return tagged("DTA-v1-signed", gid, authority, kind.encode("ascii"), form, digest or message)


def signing_content_digest(gid: bytes, request: bytes, message: extraction_pb2.PlaceSigningOrder) -> bytes:
    """What approvals and vetoes of a signing order name."""
    return tagged_hash("DTA-v1-signing-content", gid, request, message.SerializeToString(deterministic=True))


def request_content_digest(gid: bytes, request: bytes, message: tx_pb2.RequestSecret) -> bytes:
    """What approvals and vetoes name, so that nobody approves one request and gets another."""
    return tagged_hash("DTA-v1-request-content", gid, request, message.SerializeToString(deterministic=True))
