"""A sealed body: ``key commitment (32) | ChaCha20-Poly1305 ciphertext and tag``.

HKDF-SHA256 over 32 bytes of key material, with the whole header in ``info``, gives the AEAD's key and the commitment.
The header has fresh encapsulations, so a key seals one body, ever: the nonce is therefore zero. The header is the
AAD too. The commitment binds the body to one key, which ChaCha20-Poly1305 by itself does not: a sender can't give
two recipients keys under which the same ciphertext opens to different texts.
"""

from __future__ import annotations

from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from abci_app.envelope import BODY_COMMITMENT_BYTES, body_key_info
from dta.base.secret import SecretBytes

KEY_BYTES = 32
_NONCE = bytes(12)


def seal_body(key_material: SecretBytes, header: bytes, plaintext: SecretBytes) -> bytes:
    """The body that belongs under ``header`` (its canonical bytes, encapsulations included). 48 bytes longer."""
    key, commitment = _derive(key_material, header)
    return commitment + ChaCha20Poly1305(key.reveal()).encrypt(_NONCE, plaintext.reveal(), header)


def open_body(key_material: SecretBytes, header: bytes, body: bytes) -> SecretBytes | None:
    """The plaintext, or None: another key, another header, or not the bytes that were sealed."""
    key, commitment = _derive(key_material, header)
    if not compare_digest(body[:BODY_COMMITMENT_BYTES], commitment):
        return None
    try:
        return SecretBytes(ChaCha20Poly1305(key.reveal()).decrypt(_NONCE, body[BODY_COMMITMENT_BYTES:], header))
    except InvalidTag:
        return None


def _derive(key_material: SecretBytes, header: bytes) -> tuple[SecretBytes, bytes]:
    if len(key_material) != KEY_BYTES:
        raise ValueError(f"a body's key material has {KEY_BYTES} bytes")
    info = body_key_info(header)
    okm = HKDF(SHA256(), KEY_BYTES + BODY_COMMITMENT_BYTES, salt=None, info=info).derive(key_material.reveal())
    return SecretBytes(okm[:KEY_BYTES]), okm[KEY_BYTES:]
