"""Vaults, orders, requests, envelopes, signing orders: docs/spec/custody.md, envelope.md, authority.md (Custody)."""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.vectors.statements.protobuf import encode, sample
from tests.vectors.statements.rows import ORDER as ORDER_OF_GROUPS
from tests.vectors.statements.rows import (
    Msg,
    PointBytes,
    Refused,
    Rows,
    Stated,
    challenge,
    digest,
    g1,
    g2,
    h,
    hash_g1,
    hash_g2,
    hkdf,
    plain,
    said,
    scalar,
    some,
    statement,
    tagged,
    times,
    u32,
    wide,
)

CUSTODY = Rows("docs/spec/custody.md")
ENVELOPE, AUTHORITY = "docs/spec/envelope.md", "docs/spec/authority.md"
GID, ALICE, BOB, NONCE = some("gid"), some("alice"), some("bob"), some("nonce")
VAULT, ORDER, REQUEST, CONTEXT, COMMITMENT = (some(name) for name in ("vault", "order", "request", "context", "c"))
BLS_TAG = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG = "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
SIGNING_TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
CUSTODY_TAG = "DTA-v1-CUSTODY_BLS12381G1_XMD:SHA-256_SSWU_RO_"
BLS_SECRET = scalar(wide(some("bls secret")))


def secret_key(secret: bytes) -> int:
    number = int.from_bytes(secret, "big")
    if not 0 < number < ORDER_OF_GROUPS:
        raise Refused
    return number


# --- ids and digests ------------------------------------------------------------------------------------------


@CUSTODY.row("vault id", "DTA-v1-vault", gid=GID, principal=ALICE, nonce=NONCE)
def vault_id(gid: bytes, principal: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-vault", gid, principal, nonce)


@CUSTODY.row("order id", "DTA-v1-order", gid=GID, principal=ALICE, nonce=NONCE)
def order_id(gid: bytes, principal: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-order", gid, principal, nonce)


@CUSTODY.row("request id", "DTA-v1-request", gid=GID, order=ORDER, beneficiary=BOB, nonce=NONCE)
def request_id(gid: bytes, order: bytes, beneficiary: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-request", gid, order, beneficiary, nonce)


@CUSTODY.row("policy hash", "DTA-v1-policy", policy=sample("Policy"), rule=sample("BeneficiaryRule"))
@CUSTODY.row("policy hash, beneficiary open", "DTA-v1-policy", policy=sample("Policy"), rule=Msg("BeneficiaryRule", {}))
def policy_hash(policy: Msg, rule: Msg) -> Stated:
    return digest("DTA-v1-policy", encode(policy), encode(rule))


@CUSTODY.row("digest of an HPKE key", "DTA-v1-hpke-key", key=sample("HpkeKey"))
def hpke_key_digest(key: Msg) -> Stated:
    return digest("DTA-v1-hpke-key", key.fields["mlkem768"], key.fields["x25519"])


@CUSTODY.row("order context", "DTA-v1-order-context", gid=GID, vault=VAULT, principal=ALICE, salt=NONCE,
             policy=some("policy hash"))  # fmt: skip
def order_context(gid: bytes, vault: bytes, principal: bytes, salt: bytes, policy: bytes) -> Stated:
    return digest("DTA-v1-order-context", gid, vault, principal, salt, policy)


@CUSTODY.row("share commitment", "DTA-v1-share-commitment", context=CONTEXT, index=2, share=some("share"))
def share_commitment(context: bytes, index: int, share: bytes) -> Stated:
    return digest("DTA-v1-share-commitment", context, u32(index), share)


@CUSTODY.row("key commitment", "DTA-v1-key-commitment", context=CONTEXT, key=some("k"))
def key_commitment(context: bytes, key: bytes) -> Stated:
    return digest("DTA-v1-key-commitment", context, key)


@CUSTODY.row("digest of a request's keys", "DTA-v1-request-keys", key_digests=[some("1"), some("2"), some("3")])
def request_keys_digest(key_digests: list[bytes]) -> Stated:
    return digest("DTA-v1-request-keys", *key_digests)


@CUSTODY.row("content of a request", "DTA-v1-request-content", gid=GID, request=REQUEST,
             message=sample("RequestSecret"))  # fmt: skip
def request_content_digest(gid: bytes, request: bytes, message: Msg) -> Stated:
    return digest("DTA-v1-request-content", gid, request, encode(message))


@CUSTODY.row("content of a signing order", "DTA-v1-signing-content", page=AUTHORITY, gid=GID, request=REQUEST,
             message=sample("PlaceSigningOrder"))  # fmt: skip
def signing_content_digest(gid: bytes, request: bytes, message: Msg) -> Stated:
    return digest("DTA-v1-signing-content", gid, request, encode(message))


# What the authorisation does not name: the request's id covers the nonce, the digests the keys of the envelope.
_BESIDE = ("message.nonce", "message.keys_cid", "message.authorisation", "message.possession")


@CUSTODY.row("authorisation of a request", "DTA-v1-authorisation", "DTA-v1-request-keys", gid=GID, request=REQUEST,
             message=Msg("RequestSecret", {**sample("RequestSecret").fields, "transport_key": b""}),
             ignored=_BESIDE)  # fmt: skip
@CUSTODY.row("authorisation of a request under an authority key", "DTA-v1-authorisation", "DTA-v1-request-transport",
             gid=GID, request=REQUEST,
             message=Msg("RequestSecret", {**sample("RequestSecret").fields, "transport_key": some("T", 48)}),
             ignored=(*_BESIDE, "message.key_digests"))  # fmt: skip
def authorisation_statement(gid: bytes, request: bytes, message: Msg) -> Stated:
    fields = message.fields
    if fields["transport_key"]:
        answers = h("DTA-v1-request-transport", fields["transport_key"])
    else:
        answers = h("DTA-v1-request-keys", *fields["key_digests"])
    return statement("DTA-v1-authorisation", gid, fields["order"], request, fields["beneficiary"], answers)


# --- seals ----------------------------------------------------------------------------------------------------


def share_seal(context: bytes, index: int, commitment: bytes) -> bytes:
    return tagged("DTA-v1-share-seal", context, u32(index), commitment)


@CUSTODY.row("info of a share's seal", "DTA-v1-share-seal", context=CONTEXT, index=2, commitment=COMMITMENT)
def share_seal_info(context: bytes, index: int, commitment: bytes) -> Stated:
    return plain(share_seal(context, index, commitment))


@CUSTODY.row("info of an answer's seal", "DTA-v1-answer-seal", gid=GID, request=REQUEST, fiduciary=BOB, index=2,
             commitment=COMMITMENT)  # fmt: skip
def answer_seal_info(gid: bytes, request: bytes, fiduciary: bytes, index: int, commitment: bytes) -> Stated:
    return statement("DTA-v1-answer-seal", gid, request, fiduciary, u32(index), commitment)


def without_seals(header: Msg) -> bytes:
    recipients = [
        {name: value for name, value in recipient.items() if name != "sealed"}
        for recipient in header.fields["recipients"]
    ]
    return encode(Msg(header.type, {**header.fields, "recipients": recipients}))


HEADER = sample("EnvelopeHeader")


@CUSTODY.row("info of a record's seal", "DTA-v1-record-seal", page=ENVELOPE, gid=GID, header=HEADER, index=1,
             ignored=("header.recipients.sealed",))  # fmt: skip
def record_seal_info(gid: bytes, header: Msg, index: int) -> Stated:
    return statement("DTA-v1-record-seal", gid, without_seals(header), u32(index))


@CUSTODY.row("info of a share's seal in its envelope", "DTA-v1-share-seal", "DTA-v1-seal-header", page=ENVELOPE,
             context=CONTEXT, index=2, commitment=COMMITMENT, header=HEADER,
             ignored=("header.recipients.sealed",))  # fmt: skip
def order_seal_info(context: bytes, index: int, commitment: bytes, header: Msg) -> Stated:
    of_header = tagged("DTA-v1-seal-header", sha256(without_seals(header)).digest())
    return plain(share_seal(context, index, commitment) + of_header)


@CUSTODY.row("info of a body's key", "DTA-v1-envelope-body", page=ENVELOPE, header_bytes=encode(HEADER))
def body_key_info(header_bytes: bytes) -> Stated:
    return statement("DTA-v1-envelope-body", sha256(header_bytes).digest())


@CUSTODY.row("sealed body", "DTA-v1-envelope-body", page=ENVELOPE, key_material=some("key material"),
             header=encode(HEADER), plaintext=b"the plaintext")  # fmt: skip
def sealed_body(key_material: bytes, header: bytes, plaintext: bytes) -> Stated:
    if len(key_material) != 32:
        raise Refused
    info = tagged("DTA-v1-envelope-body", sha256(header).digest())
    okm = hkdf(key_material, info, 64)
    sealed = ChaCha20Poly1305(okm[:32]).encrypt(bytes(12), plaintext, header)
    return Stated(info, okm[32:] + sealed, "HKDF-SHA256, ChaCha20-Poly1305")


# --- BLS signatures -------------------------------------------------------------------------------------------


@CUSTODY.row("what an envelope's signers sign", "DTA-v1-envelope", page=ENVELOPE, gid=GID, header=b"the header",
             body=b"the body", signers=[ALICE, BOB])  # fmt: skip
def envelope_statement(gid: bytes, header: bytes, body: bytes, signers: list[bytes]) -> Stated:
    return statement("DTA-v1-envelope", gid, header, body, *signers)


@CUSTODY.row("signature under an envelope", "DTA-v1-envelope", BLS_TAG, page=ENVELOPE, gid=GID, header=b"the header",
             body=b"the body", signers=[ALICE], secret=BLS_SECRET)  # fmt: skip
def envelope_signature(gid: bytes, header: bytes, body: bytes, signers: list[bytes], secret: bytes) -> Stated:
    covered = tagged("DTA-v1-envelope", gid, header, body, *signers)
    return Stated(covered, times(hash_g2(covered, BLS_TAG), secret_key(secret)), f"BLS, {BLS_TAG}")


@CUSTODY.row("proof of possession of a BLS key", "DTA-v1-bls-possession", POSSESSION_TAG, page=ENVELOPE, gid=GID,
             identity=ALICE, secret=BLS_SECRET)  # fmt: skip
def bls_possession(gid: bytes, identity: bytes, secret: bytes) -> Stated:
    number = secret_key(secret)
    covered = tagged("DTA-v1-bls-possession", gid, identity, times(g1(), number))
    return Stated(covered, times(hash_g2(covered, POSSESSION_TAG), number), f"BLS, {POSSESSION_TAG}")


@CUSTODY.row("what a signing key signs", "DTA-v1-signed", page=AUTHORITY, gid=GID, authority=some("authority"),
             kind="release", message=b"the message", digest=b"")  # fmt: skip
@CUSTODY.row("what a signing key signs, by digest", "DTA-v1-signed", page=AUTHORITY, gid=GID,
             authority=some("authority"), kind="release", message=b"", digest=some("digest"),
             ignored=("message",))  # fmt: skip
def signing_message(gid: bytes, authority: bytes, kind: str, message: bytes, digest: bytes) -> Stated:
    form = b"sha-256" if digest else b"message"
    return statement("DTA-v1-signed", gid, authority, kind.encode("ascii"), form, digest or message)


@CUSTODY.row("signature of a signing key", SIGNING_TAG, page=AUTHORITY, message=b"raw or tagged bytes",
             secret=scalar(77))  # fmt: skip
def min_sig(message: bytes, secret: bytes) -> Stated:
    return Stated(message, times(hash_g1(message, SIGNING_TAG), int.from_bytes(secret, "big")), f"BLS, {SIGNING_TAG}")


# --- encryption to an identity --------------------------------------------------------------------------------


@CUSTODY.row("identity of an order", "DTA-v1-custody-identity", page=AUTHORITY, gid=GID, authority=some("authority"),
             principal=ALICE, salt=NONCE, policy=some("policy hash"))  # fmt: skip
def custody_identity(gid: bytes, authority: bytes, principal: bytes, salt: bytes, policy: bytes) -> Stated:
    return digest("DTA-v1-custody-identity", gid, authority, principal, salt, policy)


@CUSTODY.row("point of an order's identity", CUSTODY_TAG, page=AUTHORITY, identity=some("ID"))
def custody_point(identity: bytes) -> Stated:
    return Stated(identity, hash_g1(identity, CUSTODY_TAG), f"RFC 9380 to G1, {CUSTODY_TAG}")


@CUSTODY.row("point under a long tag", "H2C-OVERSIZE-DST-", page=AUTHORITY, message=b"message", tag=some("tag", 300))
def long_tag(message: bytes, tag: bytes) -> Stated:
    import py_arkworks_bls12381 as arkworks

    dst = sha256(said("H2C-OVERSIZE-DST-") + tag).digest() if len(tag) > 255 else tag
    if not dst:
        raise Refused
    return Stated(message, bytes(arkworks.G1Point.hash_to_curve(message, dst).to_compressed_bytes()), "RFC 9380 to G1")


def pairing_bytes(p: bytes, q: bytes) -> bytes:
    import py_arkworks_bls12381 as arkworks  # its value's bytes are what the page says: test_authority_vectors.py

    value = arkworks.GT.pairing(
        arkworks.G1Point.from_compressed_bytes(bytes(p)), arkworks.G2Point.from_compressed_bytes(bytes(q))
    )
    return bytes.fromhex(str(value))


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


@CUSTODY.row("ciphertext to an identity", "DTA-v1-ibe-rho", "DTA-v1-ibe-mask", "DTA-v1-ibe-sigma", "DTA-v1-ibe-body",
             CUSTODY_TAG, page=AUTHORITY, sigma=some("sigma"), data_key=some("data key"), identity=some("ID"),
             authority=some("authority"), public_key=g2(4_711), plaintext=b"the secret")  # fmt: skip
def ibe_ciphertext(
    sigma: bytes, data_key: bytes, identity: bytes, authority: bytes, public_key: PointBytes, plaintext: bytes
) -> Stated:
    return full_ident(sigma, data_key, identity, authority, public_key, plaintext)


@CUSTODY.row("wrapped file key", "DTA-v1-ibe-rho", "DTA-v1-ibe-mask", "DTA-v1-ibe-sigma", "DTA-v1-ibe-bound",
             "DTA-v1-age-stanza", CUSTODY_TAG, page="docs/spec/age.md", sigma=some("sigma"), data_key=some("data key"),
             gid=GID, authority=some("authority"), order=ORDER, identity=some("ID"), public_key=g2(4_711),
             file_key=some("file key")[:16])  # fmt: skip
def wrapped_file_key(
    sigma: bytes, data_key: bytes, gid: bytes, authority: bytes, order: bytes, identity: bytes, public_key: PointBytes,
    file_key: bytes,
) -> Stated:  # fmt: skip
    bound = tagged("DTA-v1-age-stanza", bytes([1]), gid, order)
    return full_ident(sigma, data_key, identity, authority, public_key, file_key, bound)


def full_ident(
    sigma: bytes, data_key: bytes, identity: bytes, authority: bytes, public_key: PointBytes, plaintext: bytes,
    bound: bytes | None = None,
) -> Stated:  # fmt: skip
    if len(sigma) != 32 or len(data_key) != 32:
        raise Refused
    of_rho = challenge("DTA-v1-ibe-rho", sigma, data_key, identity, authority)
    rho = int.from_bytes(of_rho.result, "big")
    shared = pairing_bytes(times(hash_g1(identity, CUSTODY_TAG), rho), public_key)
    u = g2(rho)
    v = xor(sigma, h("DTA-v1-ibe-mask", shared))
    w = xor(data_key, h("DTA-v1-ibe-sigma", sigma))
    if bound is None:
        associated = tagged("DTA-v1-ibe-body", identity, authority, u, v, w)
    else:
        associated = tagged("DTA-v1-ibe-bound", identity, authority, u, v, w, bound)
    body = ChaCha20Poly1305(data_key).encrypt(bytes(12), plaintext, associated)
    return Stated(of_rho.covered, u + v + w + body, "FullIdent, ChaCha20-Poly1305")
