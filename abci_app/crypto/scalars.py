"""Scalars of BLS12-381: integers modulo r, written as 32 bytes big-endian, below r."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from abci_app.crypto.curve import ORDER, SCALAR_BYTES

WIDE_BYTES: Final = 48
"""Uniform bytes that are reduced to one scalar: the bias is below 2^-128."""


class BadScalar(ValueError):
    """The bytes are not 32, or their number is not below r."""


def decode(data: bytes) -> int:
    """The scalar of its canonical encoding (zero included). Raises :class:`BadScalar`."""
    scalar = int.from_bytes(data, "big")
    if len(data) != SCALAR_BYTES or scalar >= ORDER:
        raise BadScalar
    return scalar


def encode(scalar: int) -> bytes:
    """``scalar`` modulo r: 32 bytes."""
    return (scalar % ORDER).to_bytes(SCALAR_BYTES, "big")


def from_wide(data: bytes) -> int:
    """48 bytes, big-endian, reduced modulo r. Raises ValueError for another length."""
    if len(data) != WIDE_BYTES:
        raise ValueError(f"a scalar is reduced from {WIDE_BYTES} bytes")
    return int.from_bytes(data, "big") % ORDER


def inverse(scalar: int) -> int:
    """The inverse modulo r. Raises ValueError for zero."""
    return pow(scalar, -1, ORDER)


def evaluate(coefficients: Sequence[int], x: int) -> int:
    """The value at ``x`` of the polynomial with these coefficients, the constant one first."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % ORDER
    return value


def lagrange_at_zero(indices: Sequence[int]) -> list[int]:
    """The coefficients with which values at ``indices`` add up to the value at 0, in the order given.

    Raises ValueError unless the indices are distinct and neither zero nor a multiple of r.
    """
    reduced = [index % ORDER for index in indices]
    if len(set(reduced)) != len(reduced) or 0 in reduced:
        raise ValueError("Lagrange takes distinct indices other than zero")
    coefficients = []
    for i in reduced:
        numerator, denominator = 1, 1
        for j in reduced:
            if j != i:
                numerator = numerator * j % ORDER
                denominator = denominator * (j - i) % ORDER
        coefficients.append(numerator * inverse(denominator) % ORDER)
    return coefficients
