"""Verifying what answers a request, and what a requester sends: statements from records, no pairing but the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abci_app.authority.bases import signing_point
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1, G2, SCALAR_BYTES, BadPoint, pairing_check
from abci_app.crypto.transcript import challenge
from abci_app.hashing import u32
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb

Point = Any


def group_of(use: pb.Use) -> type[G1] | type[G2]:
    """The group that a use's points are in: G2 for servers, G1 for all else."""
    return G2 if use == pb.USE_SERVER else G1


def possession_parts(
    gid: bytes, use: pb.Use, request: bytes, subject: bytes, item_subject: bytes, transport: bytes
) -> tuple[bytes, ...]:
    """What a transport key's proof of possession is about, in its challenge's order; then the announcement."""
    return (gid, u32(use), request, subject, item_subject, transport)


def statement_parts(
    gid: bytes, record: pb.ExtractionRecord, member: authority_pb2.MemberRecord, number: int, item: pb.ExtractionItem
) -> tuple[bytes, ...]:
    """What a partial's proof is about, but for the partial itself and the announcements."""
    return (
        gid, u32(record.use), record.authority, u32(record.epoch), record.id, u32(number), u32(member.index),
        member.public_share, item.base, item.transport,
    )  # fmt: skip


POSSESSION = "DTA-v1-transport-possession"
BLINDED = "DTA-v1-blinded-partial"
UNBLINDED = "DTA-v1-unblinded-partial"


def possession_holds(
    gid: bytes, use: pb.Use, request: bytes, subject: bytes, item_subject: bytes, transport: bytes, proof: bytes
) -> bool:
    """Whether ``proof`` (announcement, then a scalar) shows that somebody knows x of T = x*B1, for this request."""
    group = group_of(use)
    if len(proof) != group.BYTES + SCALAR_BYTES:
        return False
    try:
        point, announced = group.decode(transport), group.decode(proof[: group.BYTES])
        response = scalars.decode(proof[group.BYTES :])
    except (BadPoint, scalars.BadScalar):
        return False
    parts = possession_parts(gid, use, request, subject, item_subject, transport)
    c = challenge(POSSESSION, *parts, proof[: group.BYTES])
    return _same(group.generator() * response, announced, point, c)


def blinded_holds(
    gid: bytes,
    record: pb.ExtractionRecord,
    member: authority_pb2.MemberRecord,
    number: int,
    item: pb.ExtractionItem,
    partial: pb.BlindedPartial,
) -> bool:
    """Whether c1 = r*B1 and c3 = s_i*base + r*T for the s_i of the member's public share. No pairings."""
    group: Any = group_of(record.use)
    sizes = (G1.BYTES, group.BYTES, group.BYTES)
    if len(partial.proof) != sum(sizes) + 2 * SCALAR_BYTES:
        return False
    announced = [partial.proof[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(3)]
    try:
        c1, c3 = group.decode(partial.c1), group.decode(partial.c3)
        base, transport = group.decode(item.base), group.decode(item.transport)
        share = G1.decode(member.public_share)
        first, second, third = G1.decode(announced[0]), group.decode(announced[1]), group.decode(announced[2])
        of_share = scalars.decode(partial.proof[-2 * SCALAR_BYTES : -SCALAR_BYTES])
        of_blinding = scalars.decode(partial.proof[-SCALAR_BYTES :])
    except (BadPoint, scalars.BadScalar):
        return False
    parts = statement_parts(gid, record, member, number, item)
    c = challenge(BLINDED, *parts, partial.c1, partial.c3, *announced)
    return (
        _same(G1.generator() * of_share, first, share, c)
        and _same(group.generator() * of_blinding, second, c1, c)
        and _same(base * of_share + transport * of_blinding, third, c3, c)
    )


def unblinded_holds(
    gid: bytes,
    record: pb.ExtractionRecord,
    member: authority_pb2.MemberRecord,
    number: int,
    item: pb.ExtractionItem,
    partial: pb.UnblindedPartial,
) -> bool:
    """Whether the share is s_i*base for the s_i of the member's public share: equal logarithms. No pairings."""
    if len(partial.proof) != 2 * G1.BYTES + SCALAR_BYTES:
        return False
    announced = partial.proof[: G1.BYTES], partial.proof[G1.BYTES : 2 * G1.BYTES]
    try:
        value, base, share = G1.decode(partial.share), G1.decode(item.base), G1.decode(member.public_share)
        first, second = G1.decode(announced[0]), G1.decode(announced[1])
        response = scalars.decode(partial.proof[2 * G1.BYTES :])
    except (BadPoint, scalars.BadScalar):
        return False
    c = challenge(UNBLINDED, *statement_parts(gid, record, member, number, item), partial.share, *announced)
    return _same(G1.generator() * response, first, share, c) and _same(base * response, second, value, c)


def combine(points: Sequence[tuple[int, G1]]) -> G1:
    """The sum at zero of threshold-many points by their members' indices."""
    return G1.msm([point for _, point in points], scalars.lagrange_at_zero([index for index, _ in points]))


def combine_signature(shares: Sequence[tuple[int, bytes]]) -> bytes:
    """The signature (48 bytes) out of threshold-many verified shares, by their members' indices."""
    return combine([(index, G1.decode(share)) for index, share in shares]).encode()


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether e(signature, g2) = e(H(message), public_key): min-sig BLS, public key in G2 (96 bytes)."""
    try:
        key, point = G2.decode(public_key), G1.decode(signature)
    except BadPoint:
        return False
    return pairing_check([(point, G2.generator()), (-signing_point(message), key)])


def _same(left: Point, announced: Point, point: Point, c: int) -> bool:
    return bool(left == announced + point * c)
