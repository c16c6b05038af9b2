"""Ceremonies, proofs and extraction: docs/spec/ceremonies.md (The record), docs/spec/authority.md (Proofs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.vectors.statements.protobuf import encode, sample
from tests.vectors.statements.rows import (
    ORDER,
    Msg,
    PointBytes,
    Rows,
    Stated,
    challenge,
    digest,
    g1,
    g2,
    h,
    plus,
    scalar,
    some,
    tagged,
    times,
    u32,
    wide,
)

CEREMONIES = Rows("docs/spec/ceremonies.md")
AUTHORITY = "docs/spec/authority.md"
GID, NONCE, AUTHORITY_ID, CEREMONY = some("gid"), some("nonce"), some("authority"), some("ceremony")
FIRST, SECOND, THIRD = some("fiduciary 1"), some("fiduciary 2"), some("fiduciary 3")
KNOWN, RECORD, FRESH = some("known"), some("record"), some("fresh")
HELD = scalar(wide(some("held")) >> 8)


@CEREMONIES.row("authority id", "DTA-v1-authority", gid=GID, proposer=FIRST, nonce=NONCE)
def authority_id(gid: bytes, proposer: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-authority", gid, proposer, nonce)


@CEREMONIES.row("ceremony id", "DTA-v1-ceremony", gid=GID, authority=AUTHORITY_ID, epoch=3, attempt=2)
def ceremony_id(gid: bytes, authority: bytes, epoch: int, attempt: int) -> Stated:
    return digest("DTA-v1-ceremony", gid, authority, u32(epoch), u32(attempt))


_CEREMONY = Msg("CeremonyRecord", {
    "id": CEREMONY, "authority": AUTHORITY_ID, "purpose": 2, "kind": 2, "epoch": 3, "attempt": 2, "threshold": 4,
    "previous_epoch": 1, "previous_threshold": 5,
})  # fmt: skip


def _party(name: bytes, **fields: Any) -> Msg:
    return Msg("CeremonyParty", {"fiduciary": name, **fields})


@CEREMONIES.row("known part of a record", "DTA-v1-ceremony-known", gid=GID, ceremony=_CEREMONY, parties=[
    _party(FIRST, candidate=True, old_index=1, old_share=some("share 1", 48)),
    _party(SECOND, candidate=True),
    _party(THIRD, old_index=4, old_share=some("share 4", 48)),
])  # fmt: skip
@CEREMONIES.row("known part of a first key's record", "DTA-v1-ceremony-known", gid=GID, ceremony=Msg("CeremonyRecord", {
    **_CEREMONY.fields, "kind": 1, "epoch": 1, "previous_epoch": 0, "previous_threshold": 0,
}), parties=[_party(FIRST, candidate=True), _party(SECOND, candidate=True)])  # fmt: skip
def known_digest(gid: bytes, ceremony: Msg, parties: list[Msg]) -> Stated:
    f = ceremony.fields
    numbers = ("purpose", "kind", "epoch", "attempt", "threshold", "previous_epoch", "previous_threshold")
    each = [party.fields for party in parties]
    candidates = b"".join(party["fiduciary"] for party in each if party.get("candidate"))
    old = b"".join(
        party["fiduciary"] + u32(party["old_index"]) + party["old_share"] for party in each if party.get("old_index")
    )
    return digest(
        "DTA-v1-ceremony-known", gid, f["id"], f["authority"], *(u32(f[name]) for name in numbers), candidates, old
    )


@CEREMONIES.row("terms of a consent", "DTA-v1-ceremony-terms", first=CEREMONY, kind=2, threshold=3,
                candidates=[FIRST, SECOND], old_members=[SECOND, THIRD])  # fmt: skip
def terms_digest(first: bytes, kind: int, threshold: int, candidates: list[bytes], old_members: list[bytes]) -> Stated:
    return digest(
        "DTA-v1-ceremony-terms", first, u32(kind), u32(threshold), b"".join(candidates), b"".join(old_members)
    )


@CEREMONIES.row("frozen record", "DTA-v1-ceremony-record", known=KNOWN, parties=[
    _party(FIRST, index=1, receive_key=some("B 1", 48), dealer_index=1, old_share=some("share 1", 48)),
    _party(SECOND, index=2, receive_key=some("B 2", 48)),
    _party(THIRD, dealer_index=4, old_share=some("share 4", 48)),
])  # fmt: skip
def record_digest(known: bytes, parties: list[Msg]) -> Stated:
    each = [party.fields for party in parties]
    members = b"".join(u32(p["index"]) + p["fiduciary"] + p["receive_key"] for p in each if p.get("index"))
    dealers = b"".join(
        u32(p["dealer_index"]) + p["fiduciary"] + p.get("old_share", b"") for p in each if p.get("dealer_index")
    )
    return digest("DTA-v1-ceremony-record", known, members, dealers)


@CEREMONIES.row("name of a dealing", "DTA-v1-dealing", dealing=sample("Dealing"))
def dealing_digest(dealing: Msg) -> Stated:
    return digest("DTA-v1-dealing", encode(dealing))


# --- challenges -----------------------------------------------------------------------------------------------

ANNOUNCED = [some("announcement 1", 48), some("announcement 2", 48)]
ASKED = {"gid": GID, "suite": "MPIN-BLS12381-RFC9380", "purpose": 1, "use": 1, "authority": AUTHORITY_ID, "epoch": 3,
         "request": some("request"), "item": 5}  # fmt: skip


def accept_context(known: bytes, fiduciary: bytes, key: bytes) -> tuple[bytes, ...]:
    return known, fiduciary, key


@CEREMONIES.row("challenge of accept", "DTA-v1-proof-accept", page=AUTHORITY, known=KNOWN, fiduciary=FIRST, key=g1(11),
                announcements=ANNOUNCED)  # fmt: skip
def accept_challenge(known: bytes, fiduciary: bytes, key: bytes, announcements: list[bytes]) -> Stated:
    return challenge("DTA-v1-proof-accept", *accept_context(known, fiduciary, key), *announcements)


def dealing_context(
    record: bytes, dealer: bytes, dealer_index: int, commitments: Sequence[bytes], ephemeral: bytes,
    shares: Sequence[bytes], constant_g2: bytes,
) -> tuple[bytes, ...]:  # fmt: skip
    sent = (u32(len(commitments)), *commitments, ephemeral, u32(len(shares)), *shares)
    return record, dealer, u32(dealer_index), *sent, constant_g2


@CEREMONIES.row("challenge of a dealing", "DTA-v1-proof-dealing", page=AUTHORITY, record=RECORD, dealer=FIRST,
                dealer_index=4, commitments=[g1(21), g1(22)], ephemeral=g1(23), shares=[some("s1"), some("s2")],
                constant_g2=g2(21), announcements=ANNOUNCED)  # fmt: skip
@CEREMONIES.row("challenge of a dealing without a_0 g2", "DTA-v1-proof-dealing", page=AUTHORITY, record=RECORD,
                dealer=FIRST, dealer_index=4, commitments=[g1(21), g1(22)], ephemeral=g1(23),
                shares=[some("s1"), some("s2")], constant_g2=b"", announcements=ANNOUNCED)  # fmt: skip
def dealing_challenge(announcements: list[bytes], **of: Any) -> Stated:
    return challenge("DTA-v1-proof-dealing", *dealing_context(**of), *announcements)


@CEREMONIES.row("challenge of an accusation", "DTA-v1-proof-accusation", page=AUTHORITY, record=RECORD, dealer=FIRST,
                dealer_index=4, accuser=SECOND, accuser_index=2, key=g1(31), ephemeral=g1(32), opened=g1(33),
                announcements=ANNOUNCED)  # fmt: skip
def accusation_challenge(
    record: bytes, dealer: bytes, dealer_index: int, accuser: bytes, accuser_index: int, key: bytes, ephemeral: bytes,
    opened: bytes, announcements: list[bytes],
) -> Stated:  # fmt: skip
    who = (dealer, u32(dealer_index), accuser, u32(accuser_index))
    return challenge("DTA-v1-proof-accusation", record, *who, key, ephemeral, opened, *announcements)


@CEREMONIES.row("challenge of confirm", "DTA-v1-proof-confirm", page=AUTHORITY, record=RECORD, fiduciary=FIRST, index=2,
                share=g1(41), announcements=ANNOUNCED)  # fmt: skip
def confirm_challenge(record: bytes, fiduciary: bytes, index: int, share: bytes, announcements: list[bytes]) -> Stated:
    return challenge("DTA-v1-proof-confirm", record, fiduciary, u32(index), share, *announcements)


def group_of(point: bytes) -> bytes:
    return b"G1" if len(point) == 48 else b"G2"


def transport_context(
    gid: bytes, use: int, request: bytes, subject: bytes, item_subject: bytes, transport: bytes
) -> tuple[bytes, ...]:
    return gid, u32(use), request, subject, item_subject, group_of(transport), transport


for _group, _transport in (("G1", g1(51)), ("G2", g2(51))):

    @CEREMONIES.row(f"challenge of a transport key in {_group}", "DTA-v1-proof-transport", page=AUTHORITY, gid=GID,
                    use=2, request=some("request"), subject=some("realm"), item_subject=some("server"),
                    transport=_transport, announcements=ANNOUNCED)  # fmt: skip
    def transport_challenge(announcements: list[bytes], **of: Any) -> Stated:
        return challenge("DTA-v1-proof-transport", *transport_context(**of), *announcements)


def asked_parts(asked: dict[str, Any]) -> tuple[bytes, ...]:
    return (
        asked["gid"], asked["suite"].encode("ascii"), u32(asked["purpose"]), u32(asked["use"]), asked["authority"],
        u32(asked["epoch"]), asked["request"], u32(asked["item"]),
    )  # fmt: skip


for _group, _of in (("G1", g1), ("G2", g2)):

    @CEREMONIES.row(f"challenge of a blinded partial in {_group}", "DTA-v1-proof-blinded", page=AUTHORITY, asked=ASKED,
                    index=2, share=g1(61), base=_of(62), transport=_of(63), c1=_of(64), c3=_of(65),
                    announcements=ANNOUNCED)  # fmt: skip
    def blinded_challenge(
        asked: dict[str, Any], index: int, share: bytes, base: bytes, transport: bytes, c1: bytes, c3: bytes,
        announcements: list[bytes],
    ) -> Stated:  # fmt: skip
        points = (group_of(transport), share, base, transport, c1, c3)
        return challenge("DTA-v1-proof-blinded", *asked_parts(asked), u32(index), *points, *announcements)


@CEREMONIES.row("challenge of a partial in clear", "DTA-v1-proof-unblinded", page=AUTHORITY, asked=ASKED, index=2,
                share=g1(61), base=g1(62), value=g1(63), announcements=ANNOUNCED)  # fmt: skip
def unblinded_challenge(
    asked: dict[str, Any], index: int, share: bytes, base: bytes, value: bytes, announcements: list[bytes]
) -> Stated:
    points = (b"G1", share, base, value)
    return challenge("DTA-v1-proof-unblinded", *asked_parts(asked), u32(index), *points, *announcements)


@CEREMONIES.row("challenge of the self-test", "DTA-v1-selftest", page=AUTHORITY, first=b"a", second=b"")
def self_test_challenge(first: bytes, second: bytes) -> Stated:
    return challenge("DTA-v1-selftest", first, second)


# --- whole proofs, whose randomness is given ------------------------------------------------------------------

Equations = Sequence[Sequence[tuple[bytes, int]]]
"""Of each equation the bases, each with the number of its witness."""


def proof(tag: str, context: Sequence[bytes], equations: Equations, witnesses: Sequence[int], fresh: bytes) -> bytes:
    bound = (tag.encode("ascii"), *context)
    held = [scalar(witness) for witness in witnesses]
    nonces = [wide(tagged("DTA-v1-nonce", *bound, *held, u32(n), fresh)) for n in range(len(held))]
    announcements = []
    for terms in equations:
        products = [times(base, nonces[number]) for base, number in terms]
        announcements.append(products[0] if len(products) == 1 else plus(*products))
    c = wide(tagged(tag, *context, *announcements))
    responses = [scalar(nonce + c * witness) for nonce, witness in zip(nonces, witnesses, strict=True)]
    return b"".join(announcements) + b"".join(responses)


def number(held: bytes) -> int:
    return int.from_bytes(held, "big") % ORDER


@CEREMONIES.row("proof of accept", "DTA-v1-proof-accept", "DTA-v1-nonce", page=AUTHORITY, known=KNOWN, fiduciary=FIRST,
                x=HELD, fresh=FRESH)  # fmt: skip
def accept_proof(known: bytes, fiduciary: bytes, x: bytes, fresh: bytes) -> Stated:
    key = times(g1(), number(x))
    context = accept_context(known, fiduciary, key)
    made = proof("DTA-v1-proof-accept", context, [[(g1(), 0)]], [number(x)], fresh)
    return Stated(tagged("DTA-v1-proof-accept", *context), key + made, "the key, its proof")


@CEREMONIES.row("proof of an accusation", "DTA-v1-proof-accusation", "DTA-v1-nonce", page=AUTHORITY, record=RECORD,
                dealer=FIRST, dealer_index=4, accuser=SECOND, accuser_index=2, x=HELD, ephemeral=g1(32),
                fresh=FRESH)  # fmt: skip
def accusation_proof(
    record: bytes, dealer: bytes, dealer_index: int, accuser: bytes, accuser_index: int, x: bytes, ephemeral: bytes,
    fresh: bytes,
) -> Stated:  # fmt: skip
    key, opened = times(g1(), number(x)), times(ephemeral, number(x))
    context = (record, dealer, u32(dealer_index), accuser, u32(accuser_index), key, ephemeral, opened)
    made = proof("DTA-v1-proof-accusation", context, [[(g1(), 0)], [(ephemeral, 0)]], [number(x)], fresh)
    return Stated(tagged("DTA-v1-proof-accusation", *context), opened + made, "D, its proof")


@CEREMONIES.row("proof of confirm", "DTA-v1-proof-confirm", "DTA-v1-nonce", page=AUTHORITY, record=RECORD,
                fiduciary=FIRST, index=2, share=HELD, fresh=FRESH)  # fmt: skip
def confirm_proof(record: bytes, fiduciary: bytes, index: int, share: bytes, fresh: bytes) -> Stated:
    context = (record, fiduciary, u32(index), times(g1(), number(share)))
    made = proof("DTA-v1-proof-confirm", context, [[(g1(), 0)]], [number(share)], fresh)
    return Stated(tagged("DTA-v1-proof-confirm", *context), made, "a proof")


for _group in (g1, g2):

    @CEREMONIES.row(f"transport key in {_group.__name__.upper()}", "DTA-v1-proof-transport", "DTA-v1-nonce",
                    page=AUTHORITY, gid=GID, use=2, request=some("request"), subject=some("realm"),
                    item_subject=some("server"), x=HELD, generator=_group(), fresh=FRESH,
                    ignored=("generator",))  # fmt: skip
    def transport_key(generator: PointBytes, x: bytes, fresh: bytes, **of: Any) -> Stated:
        base = g1() if len(generator) == 48 else g2()
        point = times(base, number(x))
        context = transport_context(**of, transport=point)
        made = proof("DTA-v1-proof-transport", context, [[(base, 0)]], [number(x)], fresh)
        return Stated(tagged("DTA-v1-proof-transport", *context), point + made, "T, its proof")


for _group in (g1, g2):

    @CEREMONIES.row(f"blinded partial in {_group.__name__.upper()}", "DTA-v1-blinding", "DTA-v1-proof-blinded",
                    "DTA-v1-nonce", page=AUTHORITY, asked=ASKED, index=2, share=HELD, base=_group(62),
                    transport=_group(63), fresh=FRESH)  # fmt: skip
    def blinded_partial(
        asked: dict[str, Any], index: int, share: bytes, base: bytes, transport: bytes, fresh: bytes
    ) -> Stated:
        generator, s = (g1() if len(base) == 48 else g2()), number(share)
        public = times(g1(), s)
        bound = (*asked_parts(asked), u32(index), group_of(base), public, base, transport)
        r = wide(tagged("DTA-v1-blinding", *bound, scalar(s), u32(0), fresh))
        c1, c3 = times(generator, r), plus(times(base, s), times(transport, r))
        equations = [[(g1(), 0)], [(generator, 1)], [(base, 0), (transport, 1)]]
        made = proof("DTA-v1-proof-blinded", (*bound, c1, c3), equations, [s, r], fresh)
        return Stated(tagged("DTA-v1-proof-blinded", *bound, c1, c3), c1 + c3 + made, "c1, c3, their proof")


@CEREMONIES.row("partial in clear", "DTA-v1-proof-unblinded", "DTA-v1-nonce", page=AUTHORITY, asked=ASKED, index=2,
                share=HELD, base=g1(62), fresh=FRESH)  # fmt: skip
def partial_in_clear(asked: dict[str, Any], index: int, share: bytes, base: bytes, fresh: bytes) -> Stated:
    s = number(share)
    context = (*asked_parts(asked), u32(index), b"G1", times(g1(), s), base, times(base, s))
    made = proof("DTA-v1-proof-unblinded", context, [[(g1(), 0)], [(base, 0)]], [s], fresh)
    return Stated(tagged("DTA-v1-proof-unblinded", *context), times(base, s) + made, "the value, its proof")


# --- dealings -------------------------------------------------------------------------------------------------


def pad_parts(
    record: bytes, dealer: bytes, dealer_index: int, member: bytes, member_index: int, key: bytes, ephemeral: bytes,
    opened: bytes,
) -> tuple[bytes, ...]:  # fmt: skip
    return record, dealer, u32(dealer_index), member, u32(member_index), key, ephemeral, opened


@CEREMONIES.row("pad of a share", "DTA-v1-share-pad", page=AUTHORITY, record=RECORD, dealer=FIRST, dealer_index=4,
                member=SECOND, member_index=2, key=g1(71), ephemeral=g1(72), opened=g1(73))  # fmt: skip
def share_pad(**of: Any) -> Stated:
    return digest("DTA-v1-share-pad", *pad_parts(**of))


@CEREMONIES.row("whole dealing", "DTA-v1-share-pad", "DTA-v1-proof-dealing", "DTA-v1-nonce", page=AUTHORITY,
                record=RECORD, dealer=FIRST, dealer_index=4,
                members=[{"fiduciary": FIRST, "index": 1, "key": g1(81)},
                         {"fiduciary": SECOND, "index": 2, "key": g1(82)}],
                coefficients=[HELD, scalar(wide(some("a_1")) >> 8)], ephemeral=scalar(wide(some("e")) >> 8),
                publishes_g2=True, fresh=FRESH)  # fmt: skip
def whole_dealing(
    record: bytes, dealer: bytes, dealer_index: int, members: list[dict[str, Any]], coefficients: list[bytes],
    ephemeral: bytes, publishes_g2: bool, fresh: bytes,
) -> Stated:  # fmt: skip
    polynomial, e = [number(each) for each in coefficients], number(ephemeral)
    point, shares = times(g1(), e), []
    for member in members:
        share = sum(a * member["index"] ** power for power, a in enumerate(polynomial))
        parts = pad_parts(record, dealer, dealer_index, member["fiduciary"], member["index"], member["key"], point,
                          times(member["key"], e))  # fmt: skip
        shares.append(bytes(a ^ b for a, b in zip(scalar(share), h("DTA-v1-share-pad", *parts), strict=True)))
    commitments = [times(g1(), a) for a in polynomial]
    constant_g2 = times(g2(), polynomial[0]) if publishes_g2 and polynomial else b""
    context = dealing_context(record, dealer, dealer_index, commitments, point, shares, constant_g2)
    equations = [[(g1(), n)] for n in range(len(polynomial) + 1)]
    made = proof("DTA-v1-proof-dealing", context, equations, [*polynomial, e], fresh)
    result = b"".join([*commitments, point, *shares, constant_g2, made])
    return Stated(tagged("DTA-v1-proof-dealing", *context), result, "C_0.., E, shares, a_0 g2, the proof")
