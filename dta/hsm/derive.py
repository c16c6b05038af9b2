"""Keys derived from a PRF key in the keystore: labelled HKDF-SHA256 (RFC 5869).

The purpose and the context enter the PRF as well as HKDF's ``info``, so that what the token answers for one key is
worth nothing for another. The same keystore key, purpose, context and length always give the same bytes: that is how
a node that lost its disk gets its keys back.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from abci_app.hashing import tagged, u32
from dta.base.secret import SecretBytes
from dta.hsm.keystore import LONGEST_PRF_INPUT_BYTES, Keystore

MAX_DERIVED_BYTES = 255 * 32


def derive(keystore: Keystore, key_label: str, purpose: str, context: bytes, length: int) -> SecretBytes:
    """``length`` bytes (1 to 8160) for ``purpose`` (ASCII) and ``context``, from the PRF key under ``key_label``.

    IKM = HMAC-SHA256(key, tagged("DTA-v1-derive-input", purpose, context)), no salt,
    info = tagged("DTA-v1-derive", purpose, context, u32(length)). Raises KeyMissing, ValueError for the length or
    for a context that no token need take (LONGEST_PRF_INPUT_BYTES).
    """
    if not 1 <= length <= MAX_DERIVED_BYTES:
        raise ValueError(f"a derived key has 1 to {MAX_DERIVED_BYTES} bytes")
    name = purpose.encode("ascii")
    given = tagged("DTA-v1-derive-input", name, context)
    if len(given) > LONGEST_PRF_INPUT_BYTES:
        raise ValueError(f"purpose and context have more than {LONGEST_PRF_INPUT_BYTES} bytes")
    seed = keystore.prf(key_label, given)
    info = tagged("DTA-v1-derive", name, context, u32(length))
    return SecretBytes(HKDF(SHA256(), length, salt=None, info=info).derive(seed.reveal()))
