"""Secret scalars: keys, shares, blindings and nonces. The public part: ``abci_app/crypto/scalars.py``."""

from __future__ import annotations

import secrets

from abci_app.crypto import scalars
from abci_app.crypto.curve import ORDER
from dta.base.secret import SecretBytes


class SecretScalar:
    """A scalar modulo r that must not be seen: ``repr`` shows nothing; it is not pickled, and is no dictionary key.

    Arithmetic on it is Python's, whose time depends on the value (docs/spec/threats.md).
    """

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value % ORDER

    @classmethod
    def from_wide(cls, data: SecretBytes) -> SecretScalar:
        """48 uniform bytes, big-endian, reduced modulo r. Raises ValueError for another length."""
        return cls(scalars.from_wide(data.reveal()))

    @classmethod
    def random(cls) -> SecretScalar:
        """A uniform scalar from 1 to r - 1, of the system's randomness."""
        return cls(1 + secrets.randbelow(ORDER - 1))

    def reveal(self) -> int:
        """The scalar itself: call it where it is used, and keep nothing."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretScalar) and secrets.compare_digest(
            scalars.encode(self._value), scalars.encode(other._value)
        )

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return "<redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<redacted>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
