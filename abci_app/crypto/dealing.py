"""A ceremony's statements and checks: accept, deal, open a share, accuse, confirm (docs/spec/authority.md, Ceremony).

``known`` and ``record`` are 32-byte digests: of what stands before Accept, and of the frozen record with members,
their keys and dealers. Both cover chain, authority, purpose, epoch, attempt and threshold. Identities are 32 bytes,
indices from 1, points 48 bytes in G1 unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from abci_app.crypto import proofs, scalars
from abci_app.crypto.curve import G1, G2, SCALAR_BYTES, BadPoint, pairing_check
from abci_app.crypto.proofs import Equation, Statement
from abci_app.hashing import tagged_hash, u32


@dataclass(frozen=True, slots=True)
class Party:
    """Who: an identity and its index, in the record's members or among its dealers."""

    fiduciary: bytes
    index: int

    def parts(self) -> tuple[bytes, bytes]:
        """As a transcript has it."""
        return self.fiduciary, u32(self.index)


@dataclass(frozen=True, slots=True)
class Dealing:
    """What a dealer publishes. ``shares`` are the encrypted ones (32 bytes each), in the order of the members."""

    commitments: tuple[bytes, ...]
    ephemeral: bytes
    shares: tuple[bytes, ...]
    constant_g2: bytes
    proof: bytes


class DealingFault(Enum):
    """Why a dealing is refused."""

    FORM = "the dealing has not the numbers and lengths that the record asks for"
    POINT = "a point of the dealing is malformed, outside the subgroup, or the identity"
    PROOF = "the proof of the coefficients and of e does not hold"
    CONSTANT_G2 = "a_0*g2 is not that of the first commitment"


class ShareFault(Enum):
    """Why an encrypted share is not a share."""

    SCALAR = "what was encrypted is no scalar below r"
    COMMITMENTS = "the share does not match the commitments"


class BadShare(ValueError):
    """The dealer encrypted no share. ``fault`` says why."""

    def __init__(self, fault: ShareFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


# --- accept -----------------------------------------------------------------------------------------------------


def accept_statement(known: bytes, fiduciary: bytes, key: G1) -> Statement:
    """That ``fiduciary`` knows x of its encryption key B = x*g1 for this attempt."""
    equation = Equation(key, ((G1.generator(), 0),))
    return Statement("DTA-v1-proof-accept", (known, fiduciary, key.encode()), (equation,))


def accept_holds(known: bytes, fiduciary: bytes, key: bytes, proof: bytes) -> bool:
    """Whether ``proof`` shows possession of the encryption key ``key``. Never raises."""
    try:
        return proofs.holds(accept_statement(known, fiduciary, G1.decode(key)), proof)
    except BadPoint:
        return False


# --- deal -------------------------------------------------------------------------------------------------------


def dealing_statement(
    record: bytes, dealer: Party, dealing: Dealing, commitments: Sequence[G1], ephemeral: G1
) -> Statement:
    """That the dealer knows every coefficient a_k of C_k = ``commitments[k]``, and e of E = ``ephemeral``.

    The challenge covers everything that the dealer sends, so that neither E nor any part can be another's. All of the
    polynomial is proved: with a_0 alone, the other commitments could be chosen in the exponent so that somebody
    else's public share comes out as the identity.
    """
    context = (
        record,
        *dealer.parts(),
        u32(len(dealing.commitments)),
        *dealing.commitments,
        dealing.ephemeral,
        u32(len(dealing.shares)),
        *dealing.shares,
        dealing.constant_g2,
    )
    g1 = G1.generator()
    images = (*commitments, ephemeral)
    equations = tuple(Equation(image, ((g1, number),)) for number, image in enumerate(images))
    return Statement("DTA-v1-proof-dealing", context, equations)


def dealing_fault(
    record: bytes, dealer: Party, threshold: int, members: int, publishes_g2: bool, dealing: Dealing
) -> DealingFault | None:
    """Why ``dealing`` is refused, or None: exactly ``threshold`` commitments, ``members`` shares, the proof.

    ``publishes_g2``: the dealing must carry a_0*g2 (a first key of a purpose that publishes s*g2), and otherwise
    must not. That C_0 of a reshare is the dealer's public share is for the caller to compare.
    """
    if len(dealing.commitments) != threshold or len(dealing.shares) != members:
        return DealingFault.FORM
    if any(len(share) != SCALAR_BYTES for share in dealing.shares) or bool(dealing.constant_g2) != publishes_g2:
        return DealingFault.FORM
    try:
        commitments = [G1.decode(commitment) for commitment in dealing.commitments]
        ephemeral = G1.decode(dealing.ephemeral)
        constant_g2 = G2.decode(dealing.constant_g2) if publishes_g2 else None
    except BadPoint:
        return DealingFault.POINT
    if not proofs.holds(dealing_statement(record, dealer, dealing, commitments, ephemeral), dealing.proof):
        return DealingFault.PROOF
    if constant_g2 is not None and not same_scalar(commitments[0], constant_g2):
        return DealingFault.CONSTANT_G2
    return None


def same_scalar(in_g1: G1, in_g2: G2) -> bool:
    """Whether a*g1 and b*g2 have a = b: e(a*g1, g2) = e(g1, b*g2)."""
    return pairing_check([(in_g1, G2.generator()), (-G1.generator(), in_g2)])


def public_share(commitments: Sequence[G1], index: int) -> G1:
    """f(index)*g1 of the polynomial behind ``commitments``, by Horner's scheme: indices are small and public."""
    value = commitments[-1]
    for commitment in commitments[-2::-1]:
        value = value.times_small(index) + commitment
    return value


def combine(dealings: Sequence[Sequence[G1]], weights: Sequence[int]) -> list[G1]:
    """The commitments of the weighted sum of several dealings' polynomials, all of one degree.

    Weights are ones for a first key, Lagrange's at zero over the dealers' old indices in a reshare.
    """
    if all(weight == 1 for weight in weights):
        return [G1.sum(column) for column in zip(*dealings, strict=True)]
    return [G1.msm(column, weights) for column in zip(*dealings, strict=True)]


# --- shares and accusations -------------------------------------------------------------------------------------


def pad(record: bytes, dealer: Party, member: Party, key: G1, ephemeral: G1, opened: G1) -> bytes:
    """32 bytes that hide one share: a hash of D = e*B = x*E and of all that it is for."""
    return tagged_hash(
        "DTA-v1-share-pad",
        record,
        *dealer.parts(),
        *member.parts(),
        key.encode(),
        ephemeral.encode(),
        opened.encode(),
    )


def apply_pad(share: bytes, with_pad: bytes) -> bytes:
    """Encrypt or decrypt 32 bytes: exclusive or."""
    return bytes(left ^ right for left, right in zip(share, with_pad, strict=True))


def open_share(
    record: bytes, dealer: Party, member: Party, key: G1, dealing: Dealing, place: int, opened: G1
) -> int:
    """The share that ``dealer`` encrypted to ``member``, with D = ``opened``: the one way to open one.

    The recipient uses it, and the ledger with the D that an accuser revealed. ``key`` is the member's encryption key,
    ``place`` its place among the members, from 0. Raises :class:`BadShare` unless what was encrypted is a scalar
    below r that matches the commitments (Feldman). The dealing was checked before.
    """
    hidden = pad(record, dealer, member, key, G1.decode(dealing.ephemeral), opened)
    try:
        share = scalars.decode(apply_pad(dealing.shares[place], hidden))
    except scalars.BadScalar:
        raise BadShare(ShareFault.SCALAR) from None
    commitments = [G1.decode(commitment) for commitment in dealing.commitments]
    if G1.generator() * share != public_share(commitments, member.index):
        raise BadShare(ShareFault.COMMITMENTS)
    return share


def accusation_statement(
    record: bytes, dealer: Party, accuser: Party, key: G1, ephemeral: G1, opened: G1
) -> Statement:
    """That D = ``opened`` is x*E for the x of the accuser's key B = x*g1: equal logarithms."""
    context = (record, *dealer.parts(), *accuser.parts(), key.encode(), ephemeral.encode(), opened.encode())
    equations = (Equation(key, ((G1.generator(), 0),)), Equation(opened, ((ephemeral, 0),)))
    return Statement("DTA-v1-proof-accusation", context, equations)


def accusation_holds(
    record: bytes, dealer: Party, accuser: Party, key: bytes, ephemeral: bytes, opened: bytes, proof: bytes
) -> bool:
    """Whether ``proof`` shows that ``opened`` is the accuser's. Says nothing of who is right. Never raises."""
    try:
        points = [G1.decode(point) for point in (key, ephemeral, opened)]
    except BadPoint:
        return False
    return proofs.holds(accusation_statement(record, dealer, accuser, *points), proof)


def accusation_upheld(
    record: bytes, dealer: Party, accuser: Party, key: bytes, dealing: Dealing, place: int, opened: bytes
) -> bool:
    """Whether the dealer encrypted no share to the accuser, whose proof held: the dealer is at fault, or the accuser.

    ``key`` and ``opened`` are points that :func:`accusation_holds` took.
    """
    try:
        open_share(record, dealer, accuser, G1.decode(key), dealing, place, G1.decode(opened))
    except BadShare:
        return True
    return False


# --- confirm ----------------------------------------------------------------------------------------------------


def confirm_statement(record: bytes, member: Party, share: G1) -> Statement:
    """That the member knows s of its public share PK = s*g1."""
    equation = Equation(share, ((G1.generator(), 0),))
    return Statement("DTA-v1-proof-confirm", (record, *member.parts(), share.encode()), (equation,))


def confirm_holds(record: bytes, member: Party, share: bytes, proof: bytes) -> bool:
    """Whether ``proof`` shows that the member holds its share, of public share ``share``. Never raises."""
    try:
        return proofs.holds(confirm_statement(record, member, G1.decode(share)), proof)
    except BadPoint:
        return False
