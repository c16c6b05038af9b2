"""The full protocol's keys: h, what both sides hash, and how each shows the other that it has the same."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest, digest
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.crypto.transcript import challenge
from abci_app.hashing import tagged
from dta.base.secret import SecretBytes
from dta.mpin.suite import Suite

KEY_BYTES: Final = 32
EXPONENT_TAG: Final = "DTA-v1-mpin-agreement"
_KEYS_TAG: Final = "DTA-v1-mpin-keys"
_CONFIRM_CLIENT: Final = b"DTA-v1-mpin-confirm-client"
_CONFIRM_SERVER: Final = b"DTA-v1-mpin-confirm-server"


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """Four keys of 32 bytes from one agreement. ``session``: for whoever logs in and the service it logs in to;
    ``ticket``: what the service redeems. Neither is used before the other side's confirmation was checked.
    """

    session: SecretBytes
    ticket: SecretBytes
    _client: SecretBytes
    _server: SecretBytes

    def client_confirmation(self) -> bytes:
        """What the client sends: 32 bytes."""
        return digest(self._client.reveal(), _CONFIRM_CLIENT, "sha256")

    def server_confirmation(self) -> bytes:
        """What the server sends: 32 bytes."""
        return digest(self._server.reveal(), _CONFIRM_SERVER, "sha256")

    def client_confirmed(self, confirmation: bytes) -> bool:
        """Whether the client has the same keys."""
        return compare_digest(self.client_confirmation(), confirmation)

    def server_confirmed(self, confirmation: bytes) -> bool:
        """Whether the server has the same keys."""
        return compare_digest(self.server_confirmation(), confirmation)


def exponent(suite: Suite, context: tuple[bytes, ...], u: G1, v: G1, y: int, r: G1, w: G1) -> int:
    """h: everything that both sides saw, as a scalar."""
    seen = (suite.write_g1(u), suite.write_g1(v), suite.write_scalar(y), suite.write_g1(r), suite.write_g1(w))
    return challenge(EXPONENT_TAG, suite.name.encode("ascii"), *context, *seen)


def agree(pairing: SecretBytes, shared: G1, h: int) -> SessionKeys:
    """The keys from e(s*A, Q)^(r + h) (576 bytes) and x*w*B, bound to ``h``, which covers the transcript."""
    material = tagged(_KEYS_TAG, pairing.reveal(), shared.encode())
    info = tagged(_KEYS_TAG, scalars.encode(h))
    keys = HKDF(SHA256(), 4 * KEY_BYTES, salt=None, info=info).derive(material)
    parts = [SecretBytes(keys[at : at + KEY_BYTES]) for at in range(0, len(keys), KEY_BYTES)]
    return SessionKeys(session=parts[0], ticket=parts[1], _client=parts[2], _server=parts[3])
