"""The two suites: how identities become points and how points and scalars are written (docs/spec/mfa.md, Suites).

Which bytes are hashed, and how, is the ledger's rule (``abci_app/mfa/points.py``): it computes the same points.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import py_arkworks_bls12381 as arkworks

from abci_app.crypto.curve import G1, G2, ORDER, SCALAR_BYTES, BadPoint
from abci_app.crypto.scalars import BadScalar
from abci_app.crypto.transcript import challenge
from abci_app.hashing import tagged, u32, u64
from abci_app.mfa import points
from abci_app.pb.dta.v1 import mfa_pb2 as pb

AMCL_G1_BYTES: Final = 97
AMCL_G2_BYTES: Final = 192
AMCL_SCALAR_BYTES: Final = 48
_FIELD_BYTES: Final = 48
_FIELD: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
_COMPRESSED: Final = 0x80
_LARGER: Final = 0x20
_ONE_PASS_TAG: Final = "DTA-v1-mpin-one-pass"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Suite:
    """``number`` is the ledger's (``MfaSuite``). Points come out of :meth:`read_g1` and :meth:`read_g2` checked."""

    number: int

    @property
    def name(self) -> str:
        return points.SUITES[self.number]

    def client_point(self, identity: bytes) -> G1:
        """A of an M-Pin identity."""
        return points.hash_client(self.number, identity)

    def server_point(self, identity: bytes) -> G2:
        """Q of a server's identity; under AMCL g2, whatever the identity."""
        return points.hash_server(self.number, identity)

    def permit_point(self, identity: bytes) -> G1:
        """D of a permit's identity."""
        return points.hash_permit(self.number, identity)

    def write_g1(self, point: G1) -> bytes:
        """RFC9380: 48 bytes, compressed. AMCL: ``04 | x | y``, 97 bytes. Raises BadPoint for AMCL's identity."""
        return amcl_write_g1(point) if self.is_amcl else point.encode()

    def read_g1(self, data: bytes) -> G1:
        """Of :meth:`write_g1`: canonical, on the curve, in the subgroup, not the identity. Raises BadPoint."""
        return amcl_read_g1(data) if self.is_amcl else G1.decode(data)

    def write_g2(self, point: G2) -> bytes:
        """RFC9380: 96 bytes, compressed. AMCL: ``x_re | x_im | y_re | y_im``, 192 bytes."""
        return amcl_write_g2(point) if self.is_amcl else point.encode()

    def read_g2(self, data: bytes) -> G2:
        """Of :meth:`write_g2`, with the same checks. Raises BadPoint."""
        return amcl_read_g2(data) if self.is_amcl else G2.decode(data)

    def write_scalar(self, scalar: int) -> bytes:
        """Big-endian: 32 bytes, 48 in AMCL."""
        return (scalar % ORDER).to_bytes(AMCL_SCALAR_BYTES if self.is_amcl else SCALAR_BYTES, "big")

    def read_scalar(self, data: bytes) -> int:
        """Of :meth:`write_scalar`: below r and not zero. Raises BadScalar."""
        width = AMCL_SCALAR_BYTES if self.is_amcl else SCALAR_BYTES
        scalar = int.from_bytes(data, "big")
        if len(data) != width or not 0 < scalar < ORDER:
            raise BadScalar
        return scalar

    def one_pass_y(self, time_s: int, u: G1, *context: bytes) -> int:
        """What stands for the server's y in a one-pass login at ``time_s`` (Unix time, below 2^32 in AMCL).

        ``context`` is all that the login is about; AMCL has it in Milagro's message. May be zero in theory: refuse it.
        """
        if self.is_amcl:
            message = tagged(_ONE_PASS_TAG, self.name.encode("ascii"), *context)
            digest = sha256(u32(time_s) + self.write_g1(u) + message).digest()
            return int.from_bytes(digest, "big") % ORDER
        return challenge(_ONE_PASS_TAG, self.name.encode("ascii"), *context, u64(time_s), u.encode())

    @property
    def is_amcl(self) -> bool:
        return self.number == pb.MFA_SUITE_AMCL


RFC9380: Final = Suite(pb.MFA_SUITE_RFC9380)
AMCL: Final = Suite(pb.MFA_SUITE_AMCL)


def suite_of(number: int) -> Suite:
    """The suite that the ledger knows by ``number``. Raises ValueError."""
    if number not in points.SUITES:
        raise ValueError("unknown suite")
    return Suite(number)


def amcl_write_g1(point: G1) -> bytes:
    """``04 | x | y``: 97 bytes. Raises BadPoint for the identity, which has no such form."""
    if point.is_identity:
        raise BadPoint
    return b"\x04" + bytes(arkworks.G1Point.from_compressed_bytes_unchecked(point.encode()).to_xy_bytes_be())


def amcl_read_g1(data: bytes) -> G1:
    """Of :func:`amcl_write_g1`, strictly. Raises BadPoint."""
    if len(data) != AMCL_G1_BYTES or data[0] != 0x04:
        raise BadPoint
    _, y = _numbers(data[1:])
    encoded = bytearray(data[1 : 1 + _FIELD_BYTES])
    encoded[0] |= _COMPRESSED | (_LARGER if 2 * y > _FIELD else 0)
    point = G1.decode(bytes(encoded))
    if amcl_write_g1(point) != data:
        raise BadPoint
    return point


def amcl_write_g2(point: G2) -> bytes:
    """``x_re | x_im | y_re | y_im``: 192 bytes. Raises BadPoint for the identity."""
    if point.is_identity:
        raise BadPoint
    return bytes(arkworks.G2Point.from_compressed_bytes_unchecked(point.encode()).to_xy_bytes_be())


def amcl_read_g2(data: bytes) -> G2:
    """Of :func:`amcl_write_g2`, strictly. Raises BadPoint."""
    if len(data) != AMCL_G2_BYTES:
        raise BadPoint
    _, _, y_re, y_im = _numbers(data)
    larger = 2 * (y_im or y_re) > _FIELD
    encoded = bytearray(data[_FIELD_BYTES : 2 * _FIELD_BYTES] + data[:_FIELD_BYTES])
    encoded[0] |= _COMPRESSED | (_LARGER if larger else 0)
    point = G2.decode(bytes(encoded))
    if amcl_write_g2(point) != data:
        raise BadPoint
    return point


def _numbers(data: bytes) -> list[int]:
    """The field elements of an encoding, each reduced, so that their three top bits are free. Raises BadPoint."""
    numbers = [int.from_bytes(data[at : at + _FIELD_BYTES], "big") for at in range(0, len(data), _FIELD_BYTES)]
    if any(number >= _FIELD for number in numbers):
        raise BadPoint
    return numbers
