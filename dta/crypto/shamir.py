"""Shamir's secret sharing (CACM 22(11), 1979) over the scalar field of BLS12-381.

The secret is the value at 0 of a random polynomial of degree threshold - 1; share ``i`` is its value at ``i``, for
i = 1..n. Scalars are 32 bytes, big-endian, below r. Fewer shares than the threshold say nothing about the secret.
A share carries no proof: its commitment on the ledger does that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from abci_app.crypto import scalars
from abci_app.crypto.curve import ORDER
from dta.base.errors import DtaError
from dta.base.secret import SecretBytes

MAX_SHARES: Final = 255


class ShareFault(Enum):
    """Why shares do not combine, or a secret does not split."""

    NOT_A_SCALAR = "not-a-scalar"
    THRESHOLD = "threshold"
    INDEX = "index"
    REPEATED_INDEX = "repeated-index"
    TOO_FEW = "too-few"
    INCONSISTENT = "inconsistent"


class BadShares(DtaError):
    """``reason`` says which rule broke, ``index`` which share broke it (None: no single one)."""

    kind = "bad-shares"

    def __init__(self, reason: ShareFault, index: int | None = None) -> None:
        where = "" if index is None else f" (share {index})"
        super().__init__(
            f"the shares do not combine: {reason.value}{where}",
            hint="check each share against its commitment: a bad one names its fiduciary",
            data={"reason": reason.value, "index": index},
        )
        self.reason = reason
        self.index = index


@dataclass(frozen=True, slots=True)
class Share:
    """``value`` (32 bytes, big-endian, below r) of the polynomial at ``index`` (1..n)."""

    index: int
    value: SecretBytes


def random_scalar(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> SecretBytes:
    """A uniform scalar, 0 to r - 1: 32 bytes."""
    return _encode(_uniform(random_bytes))


def split(
    secret: SecretBytes, threshold: int, count: int, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> list[Share]:
    """Split a scalar into ``count`` shares, any ``threshold`` of which give it back (1 <= threshold <= count <= 255).

    ``random_bytes(n)`` gives n bytes, as ``secrets.token_bytes`` does. Raises :class:`BadShares`.
    """
    if not 1 <= threshold <= count <= MAX_SHARES:
        raise BadShares(ShareFault.THRESHOLD)
    polynomial = [_decode(secret, None)] + [_uniform(random_bytes) for _ in range(threshold - 1)]
    return [Share(index, _encode(scalars.evaluate(polynomial, index))) for index in range(1, count + 1)]


def combine(shares: Sequence[Share], threshold: int, count: int) -> SecretBytes:
    """The secret of ``threshold`` or more distinct shares out of ``count``: 32 bytes.

    With more shares than the threshold, all must lie on one polynomial. Raises :class:`BadShares`.
    """
    if not 1 <= threshold <= count <= MAX_SHARES:
        raise BadShares(ShareFault.THRESHOLD)
    points: dict[int, int] = {}
    for share in shares:
        if not 1 <= share.index <= count:
            raise BadShares(ShareFault.INDEX, share.index)
        if share.index in points:
            raise BadShares(ShareFault.REPEATED_INDEX, share.index)
        points[share.index] = _decode(share.value, share.index)
    if len(points) < threshold:
        raise BadShares(ShareFault.TOO_FEW)
    basis = dict(sorted(points.items())[:threshold])
    for index, value in points.items():
        if index not in basis and _interpolate(basis, index) != value:
            raise BadShares(ShareFault.INCONSISTENT)
    return _encode(_interpolate(basis, 0))


def _uniform(random_bytes: Callable[[int], bytes]) -> int:
    return scalars.from_wide(random_bytes(scalars.WIDE_BYTES))


def _encode(scalar: int) -> SecretBytes:
    return SecretBytes(scalars.encode(scalar))


def _decode(value: SecretBytes, index: int | None) -> int:
    try:
        return scalars.decode(value.reveal())
    except scalars.BadScalar:
        raise BadShares(ShareFault.NOT_A_SCALAR, index) from None


def _interpolate(points: dict[int, int], x: int) -> int:
    """The value at ``x``, none of their indices, of the polynomial through ``points``: at 0 once ``x`` is moved there.

    Raises ValueError for an index.
    """
    weights = scalars.lagrange_at_zero([index - x for index in points])
    return sum(weight * value for weight, value in zip(weights, points.values(), strict=True)) % ORDER
