"""Sealing what must not lie about in clear: under a key that comes out of an identity's keystore each time.

``nonce (12) | ChaCha20-Poly1305 (RFC 8439)``; the key is derived (dta/hsm/derive.py) for this purpose and context, the
associated data is the context. Never under a PIN: whoever has the file would try PINs until one opens it.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.keystore import Keystore

SEALED_PURPOSE: Final = "mfa-sealed-file"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Sealer:
    """Seals and opens under an identity's root key. Raises KeystoreError where that is not at hand."""

    def __init__(self, root: Keystore) -> None:
        self._root = root

    def seal(self, context: bytes, content: SecretBytes) -> bytes:
        """``content`` sealed for ``context``: what the file is about."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(context).encrypt(nonce, content.reveal(), context)

    def open(self, context: bytes, sealed: bytes, what: str) -> SecretBytes:
        """Of :meth:`seal`. Raises UsageError, naming ``what``, where it was changed or sealed by another keystore."""
        try:
            nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return SecretBytes(self._cipher(context).decrypt(nonce, content, context))
        except (InvalidTag, ValueError):
            raise UsageError(
                f"{what} does not open with this keystore", hint="is it the identity that it was made for?"
            ) from None

    def _cipher(self, context: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(derive(self._root, labels.root(), SEALED_PURPOSE, context, _KEY_BYTES).reveal())
