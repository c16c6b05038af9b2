"""BLS12-381: the groups G1 and G2 of prime order r, hashing to them, and the pairing (draft-irtf-cfrg-bls-signature).

Every operation is blst's (pyblst, pinned); docs/adr/0010-curve-libraries.md has the measurements. Points are
written in the compressed encoding of ZCash: G1 48 bytes, G2 96 bytes. What comes from outside goes through
:meth:`G1.decode` or :meth:`G2.decode`, which take only the canonical encoding of a point of the subgroup other than
the identity. Sums and products may be the identity; it is encoded but never decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final, Self, final

from pyblst import BlstP1Element, BlstP2Element, final_verify, miller_loop

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""r: the order of G1, G2 and GT, a 255-bit prime."""

SCALAR_BYTES: Final = 32
G1_BYTES: Final = 48
G2_BYTES: Final = 96
MAX_TAG_BYTES: Final = 255
_BUCKETS_FROM: Final = 48  # points from which the bucket method is the faster one

_G1_GENERATOR: Final = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
_G2_GENERATOR: Final = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)


class BadPoint(ValueError):
    """The bytes are not the canonical encoding of a point of the subgroup, or are the identity's."""


class Point:
    """What :class:`G1` and :class:`G2` share. ``BYTES`` is the length of an encoding. Immutable."""

    __slots__ = ("_encoding", "_point")

    BYTES: ClassVar[int]
    _library: ClassVar[Any]
    _generator: ClassVar[Any]
    _point: Any
    _encoding: bytes | None

    def __init__(self, point: object, encoding: bytes | None = None) -> None:
        """Of this module alone: use :meth:`generator`, :meth:`hash`, :meth:`decode` and arithmetic."""
        self._point = point
        self._encoding = encoding

    @classmethod
    def generator(cls) -> Self:
        """The standard generator (g1 or g2)."""
        return cls(cls._generator)

    @classmethod
    def identity(cls) -> Self:
        """The neutral element: what an empty sum gives."""
        return cls(cls._library())

    @classmethod
    def hash(cls, message: bytes, tag: bytes) -> Self:
        """``message`` hashed to the group under the domain tag ``tag`` (RFC 9380, ..._XMD:SHA-256_SSWU_RO_).

        A tag above 255 bytes is hashed first (section 5.3.3). Raises ValueError for an empty tag (section 3.1).
        """
        if not tag:
            raise ValueError("a domain separation tag is not empty")
        if len(tag) > MAX_TAG_BYTES:
            tag = sha256(b"H2C-OVERSIZE-DST-" + tag).digest()
        return cls(cls._library.hash_to_group(message, tag))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The point of a canonical compressed encoding. Raises :class:`BadPoint`, for the identity as well."""
        # Canonical infinity is the only encoding with its flag set, and it is the identity.
        if len(data) != cls.BYTES or data[0] & 0x40:
            raise BadPoint
        try:
            point = cls._library.uncompress(bytes(data))
        except ValueError:
            raise BadPoint from None
        if point.compress() != data:
            raise BadPoint
        return cls(point, bytes(data))

    def encode(self) -> bytes:
        """The canonical compressed encoding."""
        if self._encoding is None:
            self._encoding = bytes(self._point.compress())
        return self._encoding

    @property
    def is_identity(self) -> bool:
        """Whether this is the neutral element."""
        return bool(self.encode()[0] & 0x40)

    @classmethod
    def sum(cls, points: Iterable[Self]) -> Self:
        """The sum of ``points``; of none, the identity."""
        total = cls._library()
        for point in points:
            total = total + point._point
        return cls(total)

    @classmethod
    def msm(cls, points: Sequence[Self], scalars: Sequence[int]) -> Self:
        """The sum of ``points[i] * scalars[i]``. As many scalars as points, or ValueError.

        Its time depends on the scalars: for public ones only.
        """
        if len(points) != len(scalars):
            raise ValueError("as many scalars as points")
        reduced = [scalar % ORDER for scalar in scalars]
        if len(points) >= _BUCKETS_FROM:
            return cls(_bucket_sum(cls._library(), [point._point for point in points], reduced))
        return cls.sum(point * scalar for point, scalar in zip(points, reduced, strict=True))

    def times_small(self, factor: int) -> Self:
        """The product by a ``factor`` >= 0, by doubling and adding: fast for small ones. For public factors only."""
        total = self._library()
        for bit in f"{factor:b}":
            total = total + total
            if bit == "1":
                total = total + self._point
        return type(self)(total)

    def __add__(self, other: Self) -> Self:
        return type(self)(self._point + other._point)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self._point + -other._point)

    def __neg__(self) -> Self:
        return type(self)(-self._point)

    def __mul__(self, scalar: int) -> Self:
        return type(self)(self._point.scalar_mul(scalar % ORDER))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and bool(self._point == other._point)

    __hash__ = None  # type: ignore[assignment]  # a dictionary of points is keyed by their encodings

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.encode().hex()})"


@final
class G1(Point):
    """A point of G1: 48 bytes encoded."""

    __slots__ = ()
    BYTES = G1_BYTES
    _library = BlstP1Element
    _generator = BlstP1Element.uncompress(_G1_GENERATOR)


@final
class G2(Point):
    """A point of G2: 96 bytes encoded."""

    __slots__ = ()
    BYTES = G2_BYTES
    _library = BlstP2Element
    _generator = BlstP2Element.uncompress(_G2_GENERATOR)


def _bucket_sum(identity: Any, points: list[Any], scalars: list[int]) -> Any:
    """Pippenger's bucket method. The window suits from 48 points to some thousands."""
    window = 5 if len(points) < 96 else 6 if len(points) < 192 else 7
    bits = max(scalar.bit_length() for scalar in scalars)
    mask = (1 << window) - 1
    total = identity
    for shift in range((bits + window - 1) // window * window - window, -1, -window):
        for _ in range(window):
            total = total + total
        buckets: list[Any] = [None] * (mask + 1)
        for point, scalar in zip(points, scalars, strict=True):
            digit = scalar >> shift & mask
            held = buckets[digit]
            buckets[digit] = point if held is None else held + point
        running = identity
        for bucket in buckets[:0:-1]:
            if bucket is not None:
                running = running + bucket
            total = total + running
    return total


_ONE: Final = miller_loop(BlstP1Element(), BlstP2Element())


def pairing_check(pairs: Sequence[tuple[G1, G2]]) -> bool:
    """Whether the product of e(p, q) over ``pairs`` is one. A pair with an identity contributes one; no pairs hold."""
    product = _ONE
    for p, q in pairs:
        product = product * miller_loop(p._point, q._point)
    return bool(final_verify(product, _ONE))
