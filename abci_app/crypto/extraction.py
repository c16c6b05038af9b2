"""Partial extraction ``s_i * H(x)``: transport keys, partials blinded and in clear (docs/spec/authority.md).

The base (A or Q) and the transport key T of an item are in one group, G1 or G2; public shares are in G1 always. The
ledger checks every partial without a pairing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from abci_app.crypto import proofs, scalars
from abci_app.crypto.curve import G1, G1_BYTES, G2, SCALAR_BYTES, BadPoint, Point
from abci_app.crypto.proofs import Equation, Statement
from abci_app.hashing import u32

P = TypeVar("P", G1, G2)

KNOWN_POINTS: Final = 1_024
"""How many points out of state stay decoded: an item's base is met once for each member."""


UNBLINDED_PROOF_BYTES: Final = 2 * G1_BYTES + SCALAR_BYTES


def possession_bytes(group: type[Point]) -> int:
    """How long a proof of possession of a transport key in ``group`` is."""
    return group.BYTES + SCALAR_BYTES


def blinded_proof_bytes(group: type[Point]) -> int:
    """How long the proof of a blinded partial in ``group`` is: an equation in G1, two in ``group``, two witnesses."""
    return G1_BYTES + 2 * group.BYTES + 2 * SCALAR_BYTES


@dataclass(frozen=True, slots=True)
class Asked:
    """One item of one request, as a member of ``epoch`` answers it. ``suite`` and ``use`` are the request's.

    gid, authority and request are 32 bytes each; ``suite`` is the ASCII name of the suite that made the base.
    """

    gid: bytes
    suite: str
    purpose: int
    use: int
    authority: bytes
    epoch: int
    request: bytes
    item: int

    def parts(self) -> tuple[bytes, ...]:
        """As a transcript has it."""
        return (
            self.gid,
            self.suite.encode("ascii"),
            u32(self.purpose),
            u32(self.use),
            self.authority,
            u32(self.epoch),
            self.request,
            u32(self.item),
        )


@dataclass(frozen=True, slots=True)
class Answerer:
    """The member that answers: its index in the epoch and its public share (48 bytes, G1)."""

    index: int
    public_share: bytes


@dataclass(frozen=True, slots=True)
class Blinded:
    """c1 = r*B1, c3 = s_i*A + r*T, B1 the generator of T's group; encodings of that group."""

    c1: bytes
    c3: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Unblinded:
    """``value`` = s_i*A (48 bytes, G1)."""

    value: bytes
    proof: bytes


@lru_cache(maxsize=KNOWN_POINTS)
def known_g1(data: bytes) -> G1:
    """The point of an encoding that many partials share. Raises :class:`BadPoint`."""
    return G1.decode(data)


@lru_cache(maxsize=KNOWN_POINTS)
def known_g2(data: bytes) -> G2:
    """As :func:`known_g1`, in G2."""
    return G2.decode(data)


# --- transport keys ---------------------------------------------------------------------------------------------


def possession_statement(
    gid: bytes, use: int, request: bytes, subject: bytes, item_subject: bytes, transport: Point
) -> Statement:
    """That the receiver knows x of T = x*B1, for this request and nothing else.

    ``subject`` is the request's (a realm or an order), ``item_subject`` the item's (a client's hash, a server, the
    beneficiary).
    """
    group = type(transport)
    context = (gid, u32(use), request, subject, item_subject, name_of(group), transport.encode())
    return Statement("DTA-v1-proof-transport", context, (Equation(transport, ((group.generator(), 0),)),))


def possession_holds(
    group: type[G1] | type[G2],
    gid: bytes,
    use: int,
    request: bytes,
    subject: bytes,
    item_subject: bytes,
    transport: bytes,
    proof: bytes,
) -> bool:
    """Whether ``proof`` shows possession of the transport key ``transport`` of ``group``. Never raises."""
    try:
        point = group.decode(transport)
    except BadPoint:
        return False
    return proofs.holds(possession_statement(gid, use, request, subject, item_subject, point), proof)


# --- partials ---------------------------------------------------------------------------------------------------


def name_of(group: type[Point]) -> bytes:
    """The group as a transcript names it: G1 or G2."""
    return group.__name__.encode("ascii")


def blinded_statement(
    asked: Asked, index: int, share: G1, base: Point, transport: Point, c1: Point, c3: Point
) -> Statement:
    """That one s and one r satisfy PK_i = s*g1, c1 = r*B1 and c3 = s*base + r*T.

    With a base in G2 the proof spans both groups, which have the same order.
    """
    group = type(transport)
    points = (share, base, transport, c1, c3)
    context = (*asked.parts(), u32(index), name_of(group), *(point.encode() for point in points))
    equations = (
        Equation(share, ((G1.generator(), 0),)),
        Equation(c1, ((group.generator(), 1),)),
        Equation(c3, ((base, 0), (transport, 1))),
    )
    return Statement("DTA-v1-proof-blinded", context, equations)


def blinded_holds(asked: Asked, by: Answerer, base: bytes, transport: bytes, partial: Blinded) -> bool:
    """Whether ``partial`` is ``by``'s for this item: its own share, this base, this transport key. Never raises.

    ``base`` and ``transport`` are of one group (their length says which).
    """
    in_g1 = len(transport) == G1.BYTES
    group: type[G1] | type[G2] = G1 if in_g1 else G2
    known = known_g1 if in_g1 else known_g2
    try:
        share, points = known_g1(by.public_share), (known(base), known(transport))
        c1, c3 = group.decode(partial.c1), group.decode(partial.c3)
    except BadPoint:
        return False
    return proofs.holds(blinded_statement(asked, by.index, share, points[0], points[1], c1, c3), partial.proof)


def unblinded_statement(asked: Asked, index: int, share: G1, base: G1, value: G1) -> Statement:
    """That ``value`` = s*base for the s of PK_i = s*g1: equal logarithms."""
    context = (*asked.parts(), u32(index), name_of(G1), *(point.encode() for point in (share, base, value)))
    equations = (Equation(share, ((G1.generator(), 0),)), Equation(value, ((base, 0),)))
    return Statement("DTA-v1-proof-unblinded", context, equations)


def unblinded_holds(asked: Asked, by: Answerer, base: bytes, partial: Unblinded) -> bool:
    """Whether ``partial`` is s_i*base for ``by``'s share. Never raises."""
    try:
        share, point, value = known_g1(by.public_share), known_g1(base), G1.decode(partial.value)
    except BadPoint:
        return False
    return proofs.holds(unblinded_statement(asked, by.index, share, point, value), partial.proof)


def combine(group: type[P], points: Sequence[tuple[int, P]]) -> P:
    """The value at zero: the sum of points by their members' indices, weighted by Lagrange's coefficients.

    As many as the threshold, of distinct members, each verified before.
    """
    return group.msm([point for _, point in points], scalars.lagrange_at_zero([index for index, _ in points]))
