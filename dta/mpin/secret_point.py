"""Secret points: client secrets, tokens, server secrets."""

from __future__ import annotations

from hmac import compare_digest
from typing import Generic, TypeVar

from abci_app.crypto.curve import G1, G2

PointType = TypeVar("PointType", bound=G1 | G2)


class SecretPoint(Generic[PointType]):
    """A point that must not be seen: ``repr`` shows nothing; it is not pickled, and is no dictionary key."""

    __slots__ = ("_point",)

    def __init__(self, point: PointType) -> None:
        self._point = point

    def reveal(self) -> PointType:
        """The point itself: call it where it is used, and keep nothing."""
        return self._point

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretPoint) and compare_digest(self._point.encode(), other._point.encode())

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return "<redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<redacted>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
