"""Ed25519 (RFC 8032) verification by libsodium, and a bounded memo of what was verified.

Every node must accept the same signatures, so the library is pinned and its choices on the edge cases of EdDSA are
pinned by tests (tests/unit/test_crypto_ed25519.py, docs/adr/0004-signature-library.md): S below the group order,
canonical public keys, neither key nor R of small order.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice
from typing import Final

import nacl.bindings
import nacl.exceptions

from abci_app.limits import ED25519_KEY_BYTES, ED25519_SIGNATURE_BYTES

MEMO_ENTRIES: Final = 65_536


def valid_public_key(public_key: bytes) -> bool:
    """Whether the 32 bytes are the canonical encoding of a point of the prime-order subgroup, but the identity.

    Checked where a key is registered. An honest key always passes.
    """
    return len(public_key) == ED25519_KEY_BYTES and bool(nacl.bindings.crypto_core_ed25519_is_valid_point(public_key))


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes, R | S) on ``message`` is good under ``public_key`` (32 bytes). Never raises."""
    if len(public_key) != ED25519_KEY_BYTES or len(signature) != ED25519_SIGNATURE_BYTES:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + message, public_key)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


class SignatureMemo:
    """Remembers up to ``max_entries`` verdicts, the oldest go first; a hit and a miss give the same answer.

    The key is a digest over key, signature and message, never a transaction's hash: so what was verified is exactly
    what is remembered. Good and bad verdicts are both kept.
    """

    def __init__(self, max_entries: int = MEMO_ENTRIES) -> None:
        self._verdicts: dict[bytes, bool] = {}
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._verdicts)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """As :func:`verify`."""
        if len(public_key) != ED25519_KEY_BYTES or len(signature) != ED25519_SIGNATURE_BYTES:
            return False
        # Both prefixes have fixed lengths, checked above: no two triples share a preimage.
        key = sha256(public_key + signature + message).digest()
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = verify(public_key, message, signature)
            if len(self._verdicts) >= self._max_entries:
                # Many at once: finding the first entry of a dictionary costs a walk over those deleted before it.
                for oldest in list(islice(self._verdicts, self._max_entries // 8 + 1)):
                    del self._verdicts[oldest]
            self._verdicts[key] = verdict
        return verdict
