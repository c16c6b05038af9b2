"""The record of an attempt: what everything after it is hashed with (docs/spec/authority.md, Ceremony)."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.hashing import tagged_hash, u32
from abci_app.pb.dta.v1 import authority_pb2 as pb


def authority_id(gid: bytes, proposer: bytes, nonce: bytes) -> bytes:
    """The id of the authority that a proposal creates: known to the proposer beforehand. 32 bytes."""
    return tagged_hash("DTA-v1-authority", gid, proposer, nonce)


def ceremony_id(gid: bytes, authority: bytes, epoch: int, attempt: int) -> bytes:
    """The id of an attempt. 32 bytes."""
    return tagged_hash("DTA-v1-ceremony", gid, authority, u32(epoch), u32(attempt))


def known_digest(gid: bytes, ceremony: pb.CeremonyRecord, parties: Sequence[pb.CeremonyParty]) -> bytes:
    """The record's known part: what stands before Accept. 32 bytes.

    ``parties``: those who may act, by identity id: candidates, and the previous epoch's members with their public
    shares.
    """
    candidates = [party.fiduciary for party in parties if party.candidate]
    previous = [party.fiduciary + u32(party.old_index) + party.old_share for party in parties if party.old_index]
    return tagged_hash(
        "DTA-v1-ceremony-known",
        gid,
        ceremony.id,
        ceremony.authority,
        u32(ceremony.purpose),
        u32(ceremony.kind),
        u32(ceremony.epoch),
        u32(ceremony.attempt),
        u32(ceremony.threshold),
        u32(ceremony.previous_epoch),
        u32(ceremony.previous_threshold),
        b"".join(candidates),
        b"".join(previous),
    )


def terms_digest(
    first: bytes, kind: pb.CeremonyKind, threshold: int, candidates: Sequence[bytes], old_members: Sequence[bytes]
) -> bytes:
    """What is consented to. 32 bytes.

    ``first``: the id of the first attempt. ``candidates`` and ``old_members`` (all members of the epoch in force, none
    for a first key): identity ids, in their order.
    """
    return tagged_hash(
        "DTA-v1-ceremony-terms", first, u32(kind), u32(threshold), b"".join(candidates), b"".join(old_members)
    )


def record_digest(known: bytes, parties: Sequence[pb.CeremonyParty]) -> bytes:
    """The frozen record: its known part, the members with their keys, the dealers. 32 bytes. ``parties`` by id."""
    members = [u32(party.index) + party.fiduciary + party.receive_key for party in parties if party.index]
    dealers = [
        u32(party.dealer_index) + party.fiduciary + party.old_share for party in parties if party.dealer_index
    ]
    return tagged_hash("DTA-v1-ceremony-record", known, b"".join(members), b"".join(dealers))


def dealing_digest(dealing: bytes) -> bytes:
    """Names a dealing by its encoding. 32 bytes."""
    return tagged_hash("DTA-v1-dealing", dealing)
