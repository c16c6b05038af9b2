"""Which epoch of an authority is in force, and who holds a share of it."""

from __future__ import annotations

from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.records import AUTHORITIES, EPOCHS, MEMBERS
from abci_app.state.view import StateView


def current(view: StateView, authority_id: bytes) -> tuple[pb.AuthorityRecord, pb.EpochRecord] | None:
    """The authority and its epoch in force; None where there is no such authority, or no key of it yet."""
    authority = AUTHORITIES.find(view, authority_id)
    if authority is None or authority.status != pb.AUTHORITY_STATUS_ACTIVE:
        return None
    return authority, EPOCHS.get(view, authority_id, authority.epoch)


def members(view: StateView, authority_id: bytes, epoch: int) -> list[pb.MemberRecord]:
    """Who holds a share of that epoch, by index."""
    return list(MEMBERS.all(view, authority_id, epoch))


def member_of(view: StateView, authority_id: bytes, epoch: int, fiduciary: bytes) -> pb.MemberRecord | None:
    """The fiduciary's seat in that epoch, or None: a scan of at most 64 members."""
    for member in members(view, authority_id, epoch):
        if member.fiduciary == fiduciary:
            return member
    return None
