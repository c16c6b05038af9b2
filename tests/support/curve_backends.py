"""Three implementations of the curve behind the one interface of ``abci_app/crypto/curve.py``: blst (what the project
uses), arkworks and py-ecc (the oracles)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

import py_arkworks_bls12381 as ark
from py_ecc import optimized_bls12_381 as ecc
from py_ecc.bls import point_compression
from py_ecc.bls.g2_primitives import subgroup_check
from py_ecc.bls.hash_to_curve import hash_to_G1, hash_to_G2
from py_ecc.optimized_bls12_381.optimized_pairing import pairing

from abci_app.crypto import curve
from abci_app.crypto.curve import ORDER, BadPoint


@dataclass(frozen=True)
class Backend:
    """``g1`` and ``g2`` are classes with the interface of :class:`abci_app.crypto.curve.G1`."""

    name: str
    g1: Any
    g2: Any
    pairing_check: Callable[[Sequence[tuple[Any, Any]]], bool]

    def groups(self) -> tuple[Any, Any]:
        return self.g1, self.g2


def _tag(tag: bytes) -> bytes:
    if not tag:
        raise ValueError
    return tag if len(tag) <= 255 else sha256(b"H2C-OVERSIZE-DST-" + tag).digest()


class _Oracle:
    """Arithmetic on ``value`` by the operations that a subclass gives."""

    BYTES: ClassVar[int]

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def sum(cls, points: Iterable[Any]) -> Any:
        total = cls.identity()
        for point in points:
            total = total + point
        return total

    @classmethod
    def msm(cls, points: Sequence[Any], scalars: Sequence[int]) -> Any:
        return cls.sum(point * scalar for point, scalar in zip(points, scalars, strict=True))

    @classmethod
    def decode(cls, data: bytes) -> Any:
        if len(data) != cls.BYTES or data[0] & 0x40:
            raise BadPoint
        try:
            point = cls.read(data)
        except ValueError:
            raise BadPoint from None
        if point.encode() != data:
            raise BadPoint
        return point

    def times_small(self, factor: int) -> Any:
        return self * factor

    def __mul__(self, scalar: int) -> Any:
        raise NotImplementedError

    def __sub__(self, other: Any) -> Any:
        return self + -other

    @classmethod
    def identity(cls) -> Any:
        raise NotImplementedError

    @classmethod
    def read(cls, data: bytes) -> Any:
        raise NotImplementedError

    def encode(self) -> bytes:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        raise NotImplementedError

    def __neg__(self) -> Any:
        raise NotImplementedError


class _Ark(_Oracle):
    library: ClassVar[Any]

    @classmethod
    def generator(cls) -> Any:
        return cls(cls.library())

    @classmethod
    def identity(cls) -> Any:
        return cls(cls.library.identity())

    @classmethod
    def hash(cls, message: bytes, tag: bytes) -> Any:
        return cls(cls.library.hash_to_curve(message, _tag(tag)))

    @classmethod
    def read(cls, data: bytes) -> Any:
        return cls(cls.library.from_compressed_bytes(data))

    @classmethod
    def msm(cls, points: Sequence[Any], scalars: Sequence[int]) -> Any:
        if len(points) != len(scalars):
            raise ValueError
        reduced = [ark.Scalar(scalar % ORDER) for scalar in scalars]
        return cls(cls.library.multiexp_unchecked([point.value for point in points], reduced))

    def encode(self) -> bytes:
        return bytes(self.value.to_compressed_bytes())

    @property
    def is_identity(self) -> bool:
        return bool(self.value == self.library.identity())

    def __add__(self, other: Any) -> Any:
        return type(self)(self.value + other.value)

    def __neg__(self) -> Any:
        return type(self)(-self.value)

    def __mul__(self, scalar: int) -> Any:
        return type(self)(self.value * ark.Scalar(scalar % ORDER))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.value == other.value  # type: ignore[attr-defined]


class ArkG1(_Ark):
    BYTES = 48
    library = ark.G1Point


class ArkG2(_Ark):
    BYTES = 96
    library = ark.G2Point


def ark_pairing_check(pairs: Sequence[tuple[Any, Any]]) -> bool:
    return bool(ark.GT.pairing_check([p.value for p, _ in pairs], [q.value for _, q in pairs]))


class _Ecc(_Oracle):
    base: ClassVar[Any]
    zero: ClassVar[Any]
    hasher: ClassVar[Any]

    @classmethod
    def generator(cls) -> Any:
        return cls(cls.base)

    @classmethod
    def identity(cls) -> Any:
        return cls(cls.zero)

    @classmethod
    def hash(cls, message: bytes, tag: bytes) -> Any:
        return cls(cls.hasher(message, _tag(tag), sha256))

    @property
    def is_identity(self) -> bool:
        return bool(ecc.is_inf(self.value))

    def __add__(self, other: Any) -> Any:
        return type(self)(ecc.add(self.value, other.value))

    def __neg__(self) -> Any:
        return type(self)(ecc.neg(self.value))

    def __mul__(self, scalar: int) -> Any:
        return type(self)(ecc.multiply(self.value, scalar % ORDER))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and ecc.eq(self.value, other.value)  # type: ignore[attr-defined]


def _in_subgroup(value: Any) -> Any:
    if not subgroup_check(value):
        raise ValueError("outside the subgroup")
    return value


class EccG1(_Ecc):
    BYTES = 48
    base = ecc.G1
    zero = ecc.Z1
    hasher = staticmethod(hash_to_G1)

    @classmethod
    def read(cls, data: bytes) -> Any:
        return cls(_in_subgroup(point_compression.decompress_G1(int.from_bytes(data, "big"))))

    def encode(self) -> bytes:
        return int(point_compression.compress_G1(self.value)).to_bytes(48, "big")


class EccG2(_Ecc):
    BYTES = 96
    base = ecc.G2
    zero = ecc.Z2
    hasher = staticmethod(hash_to_G2)

    @classmethod
    def read(cls, data: bytes) -> Any:
        halves = (int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big"))
        return cls(_in_subgroup(point_compression.decompress_G2(halves)))

    def encode(self) -> bytes:
        return b"".join(int(half).to_bytes(48, "big") for half in point_compression.compress_G2(self.value))


def ecc_pairing_check(pairs: Sequence[tuple[Any, Any]]) -> bool:
    product = ecc.FQ12.one()
    for p, q in pairs:
        product *= pairing(q.value, p.value, final_exponentiate=False)
    return bool(ecc.final_exponentiate(product) == ecc.FQ12.one())


BACKENDS = (
    Backend("blst", curve.G1, curve.G2, curve.pairing_check),
    Backend("arkworks", ArkG1, ArkG2, ark_pairing_check),
    Backend("py-ecc", EccG1, EccG2, ecc_pairing_check),
)
