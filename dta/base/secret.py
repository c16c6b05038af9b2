"""Secrets have a type of their own, so that printing, logging or raising one shows nothing."""

from __future__ import annotations

from hmac import compare_digest


class SecretBytes:
    """Bytes that must not be seen. ``repr``, ``str`` and ``format`` give ``<redacted>``; equality is constant-time.

    Python cannot promise to wipe memory; docs/spec/threats.md says what that means.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """The secret itself: call it where the secret is used, and keep nothing."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return "<redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<redacted>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
