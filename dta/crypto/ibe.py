"""Encryption to an identity under an authority's key: FullIdent (Boneh and Franklin, SIAM J. Comput. 32(3), 2003,
section 4.2) over a Type-3 pairing, with a data key and ChaCha20-Poly1305 (docs/spec/authority.md, Custody).

Whoever holds K = s*H(ID) opens everything that was ever encrypted to ID: there is one release and no revocation. It is
not post-quantum: s*g2 is public.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from abci_app.crypto.curve import G1, G2, BadPoint, pairing_check
from abci_app.crypto.transcript import challenge
from abci_app.hashing import tagged, tagged_hash
from dta.base.errors import EXIT_NOT_VERIFIED, DtaError
from dta.base.secret import SecretBytes
from dta.crypto.gt import pairing_bytes
from dta.crypto.proofs import RandomBytes

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = G2.BYTES + 2 * KEY_BYTES + TAG_BYTES
"""How much longer than the plaintext a ciphertext is."""

_NONCE: Final = bytes(12)  # a data key encrypts one body


class CannotDecrypt(DtaError):
    """``reason``: what did not check out."""

    kind = "cannot-decrypt"
    exit_code = EXIT_NOT_VERIFIED

    def __init__(self, reason: str) -> None:
        super().__init__(f"the ciphertext does not open: {reason}", data={"reason": reason})
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom: ``identity`` (ID, 32 bytes), its ``point`` H(ID), under the key ``authority`` (its id, 32 bytes, without
    an epoch), whose ``public_key`` is s*g2."""

    identity: bytes
    point: G1
    authority: bytes
    public_key: G2


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """U (96 bytes, G2), V and W (32 each), and the body with its tag."""

    u: bytes
    v: bytes
    w: bytes
    body: bytes

    def encode(self) -> bytes:
        """U | V | W | body."""
        return self.u + self.v + self.w + self.body

    @classmethod
    def decode(cls, data: bytes) -> Ciphertext:
        """The parts of an encoding. Raises :class:`CannotDecrypt` for one that is too short."""
        if len(data) < OVERHEAD_BYTES:
            raise CannotDecrypt("it is too short")
        v, w = G2.BYTES, G2.BYTES + KEY_BYTES
        return cls(data[:v], data[v:w], data[w : w + KEY_BYTES], data[w + KEY_BYTES :])


def encrypt(
    to: Recipient, plaintext: SecretBytes, random_bytes: RandomBytes = secrets.token_bytes, *, bound: bytes = b""
) -> Ciphertext:
    """``plaintext`` to whoever gets K of ``to.identity``. ``bound``: what else has to be said again to open it."""
    sigma, data_key = random_bytes(KEY_BYTES), random_bytes(KEY_BYTES)
    rho = _rho(sigma, data_key, to)
    shared = pairing_bytes(to.point * rho, to.public_key)
    u = (G2.generator() * rho).encode()
    v = _xor(sigma, _mask(shared))
    w = _xor(data_key, _sigma_mask(sigma))
    body = ChaCha20Poly1305(data_key).encrypt(_NONCE, plaintext.reveal(), _associated(to, u, v, w, bound))
    return Ciphertext(u, v, w, body)


def is_identity_key(to: Recipient, key: G1) -> bool:
    """Whether ``key`` is K = s*H(ID): e(K, g2) = e(H(ID), s*g2)."""
    return not key.is_identity and pairing_check([(key, G2.generator()), (-to.point, to.public_key)])


def decrypt(to: Recipient, key: G1, ciphertext: Ciphertext, *, bound: bytes = b"") -> SecretBytes:
    """The plaintext, by ``key`` K. Checks K first, then that U is the one that sigma and the data key make, then the
    body's tag. Raises :class:`CannotDecrypt`."""
    if not is_identity_key(to, key):
        raise CannotDecrypt("the key is not that of this identity")
    if len(ciphertext.v) != KEY_BYTES or len(ciphertext.w) != KEY_BYTES:
        raise CannotDecrypt("a part has another length")
    try:
        u = G2.decode(ciphertext.u)
    except BadPoint:
        raise CannotDecrypt("U is no point of G2") from None
    sigma = _xor(ciphertext.v, _mask(pairing_bytes(key, u)))
    data_key = _xor(ciphertext.w, _sigma_mask(sigma))
    if G2.generator() * _rho(sigma, data_key, to) != u:
        raise CannotDecrypt("U was not made from what is inside")
    associated = _associated(to, ciphertext.u, ciphertext.v, ciphertext.w, bound)
    try:
        return SecretBytes(ChaCha20Poly1305(data_key).decrypt(_NONCE, ciphertext.body, associated))
    except InvalidTag:
        raise CannotDecrypt("the body was changed") from None


def _rho(sigma: bytes, data_key: bytes, to: Recipient) -> int:
    """H3."""
    return challenge("DTA-v1-ibe-rho", sigma, data_key, to.identity, to.authority)


def _mask(shared: SecretBytes) -> bytes:
    """H2, over the 576 bytes of a pairing's value."""
    return tagged_hash("DTA-v1-ibe-mask", shared.reveal())


def _sigma_mask(sigma: bytes) -> bytes:
    """H4."""
    return tagged_hash("DTA-v1-ibe-sigma", sigma)


def _associated(to: Recipient, u: bytes, v: bytes, w: bytes, bound: bytes) -> bytes:
    if bound:
        return tagged("DTA-v1-ibe-bound", to.identity, to.authority, u, v, w, bound)
    return tagged("DTA-v1-ibe-body", to.identity, to.authority, u, v, w)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
