"""What the leaves of an identity say about a height: a recent proof answers an old question.

An identity's record is never deleted and its revocation is final, so the record of height H answers for every height
up to H whether the identity was revoked by then. Its history entries say more: what it was from which height on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from abci_app.pb.dta.v1 import identity_pb2 as pb
from abci_app.state import as_of
from abci_app.state.as_of import Moment
from abci_app.state.records import IDENTITIES, IDENTITY_HISTORY
from dta.client.receipt.errors import ReceiptRefused

M = TypeVar("M", bound=Message)

_STATUS_AFTER = {
    pb.IDENTITY_CHANGE_REGISTERED: "active",
    pb.IDENTITY_CHANGE_ROTATED: "active",
    pb.IDENTITY_CHANGE_SUSPENDED: "suspended",
    pb.IDENTITY_CHANGE_REVOKED: "revoked",
}


@dataclass(frozen=True, slots=True)
class IdentityAnswer:
    """What is proved of an identity at ``height``.

    ``revoked`` is certain. ``status`` is ``active``, ``suspended``, ``revoked`` or ``unregistered``, and empty where
    the receipt lacks the history entries that would tell the first two apart. ``since_height``: since when, or 0.
    """

    identity: bytes
    height: int
    proved_height: int
    revoked: bool
    status: str
    since_height: int


def status_name(record: pb.IdentityRecord) -> str:
    """The status in lower case."""
    return pb.IdentityStatus.Name(record.status).removeprefix("IDENTITY_STATUS_").lower().replace("_", " ")


def identities(states: Mapping[bytes, bytes | None]) -> list[bytes]:
    """The identities whose record, or its absence, is among these leaves."""
    return [key[len(IDENTITIES.prefix) :] for key in states if key.startswith(IDENTITIES.prefix)]


def answer(
    states: Mapping[bytes, bytes | None], proved_height: int, identity: bytes, height: int, at: Moment | None = None
) -> IdentityAnswer:
    """What these proved leaves of ``proved_height`` say of ``identity`` at the end of block ``height``.

    ``at``: the block that proves them. Of ``proved_height`` itself the status is as of it, ``out of date`` too; no time
    of an earlier height is proved, so that there a document's dates are left out of it.
    Raises ReceiptRefused (``claim``) where they do not say it.
    """
    if IDENTITIES.key(identity) not in states:
        raise ReceiptRefused("claim", f"it does not show identity {identity.hex()}")
    if height > proved_height:
        raise ReceiptRefused(
            "claim",
            f"it proves the state of height {proved_height}, which is before height {height}",
            hint="get a newer receipt: it answers for every height before its own",
        )
    value = states[IDENTITIES.key(identity)]
    if value is None:
        return IdentityAnswer(identity, height, proved_height, False, "unregistered", 0)
    record = _read(pb.IdentityRecord, value)
    if height < record.registered_height:
        return IdentityAnswer(identity, height, proved_height, False, "unregistered", 0)
    # A revocation is the last change that there is: what was updated later than `height` was not revoked by then.
    revoked = record.status == pb.IDENTITY_STATUS_REVOKED and record.updated_height <= height
    if height == proved_height and at is not None:
        status, since = status_name(as_of.seen(record, at)), record.updated_height
    elif height >= record.updated_height:
        status, since = status_name(record), record.updated_height
    else:
        status, since = _from_history(states, record, height)
    return IdentityAnswer(identity, height, proved_height, revoked, status, since)


def _from_history(states: Mapping[bytes, bytes | None], record: pb.IdentityRecord, height: int) -> tuple[str, int]:
    """The status by the last entry up to ``height``, where that and the entry after it are shown."""
    entries: dict[int, pb.IdentityHistory] = {}
    prefix = IDENTITY_HISTORY.under(record.id)
    for key, value in states.items():
        if key.startswith(prefix) and value is not None:
            entries[int.from_bytes(key[len(prefix) :], "big")] = _read(pb.IdentityHistory, value)
    for sequence, entry in entries.items():
        following = entries.get(sequence + 1)
        if entry.height <= height and following is not None and following.height > height:
            return _STATUS_AFTER.get(entry.change, ""), entry.height
    return "", 0




def _read(record: type[M], value: bytes) -> M:
    try:
        return record.FromString(value)
    except DecodeError:
        raise ReceiptRefused("claim", "the identity's leaves can't be read by this version") from None
