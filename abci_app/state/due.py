"""What each fiduciary's node owes the ledger: the index that the hooks' planner scans (docs/spec/state.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from abci_app.hashing import u64
from abci_app.state import requesters
from abci_app.state.indexes import DUE
from abci_app.state.overlay import Overlay
from abci_app.state.view import StateView


class DueKind(IntEnum):
    """Kinds of contribution. A number never changes its meaning: it is in the state's keys."""

    PUBLISH_VAULT_KEY = 1  # subject: vault
    FULFIL_ORDER = 2  # subject: order
    FULFIL_SECRET = 3  # subject: request
    ERASE_VAULT = 4  # subject: vault
    ACCEPT_CEREMONY = 10  # subject: ceremony
    DEAL_SHARES = 11  # subject: ceremony
    DISPUTE_DEALINGS = 12  # subject: ceremony
    CONFIRM_SHARE = 13  # subject: ceremony
    SUBMIT_PARTIALS = 20  # subject: extraction request
    SUBMIT_UNBLINDED = 21  # subject: extraction request


_REQUESTER: Final[Mapping[DueKind, Callable[[StateView, bytes], bytes]]] = {
    DueKind.FULFIL_SECRET: requesters.asked_by,
    DueKind.SUBMIT_PARTIALS: requesters.extraction_asked_by,
    DueKind.SUBMIT_UNBLINDED: requesters.extraction_asked_by,
}
"""Who asked for what is owed, for the kinds that somebody asked for."""


@dataclass(frozen=True, slots=True)
class Due:
    """A contribution that ``fiduciary`` owes, once block time and height have both reached what is said here."""

    fiduciary: bytes
    kind: DueKind
    subject: bytes
    from_time_s: int
    from_height: int


def key_of(fiduciary: bytes, kind: DueKind, subject: bytes) -> bytes:
    """The entry's key in the index."""
    return DUE.key(fiduciary, kind, subject)


def add(
    state: Overlay, fiduciary: bytes, kind: DueKind, subject: bytes, from_time_s: int = 0, from_height: int = 0
) -> None:
    """From then on ``fiduciary`` owes this."""
    DUE.put(state, fiduciary, kind, subject, value=u64(from_time_s) + u64(from_height))


def remove(state: Overlay, fiduciary: bytes, kind: DueKind, subject: bytes) -> None:
    """It is done, or not wanted any more."""
    if DUE.exists(state, fiduciary, kind, subject):
        DUE.delete(state, fiduciary, kind, subject)


def is_due(view: StateView, fiduciary: bytes, kind: DueKind, subject: bytes, time_s: int, height: int) -> bool:
    """Whether ``fiduciary`` owes this at block time ``time_s`` and ``height``.

    What an identity asked for that was revoked since is owed no more, though its entry is there until the sweep comes.
    """
    value = DUE.find(view, fiduciary, kind, subject)
    if value is None:
        return False
    if int.from_bytes(value[:8], "big") > time_s or int.from_bytes(value[8:], "big") > height:
        return False
    requester = _REQUESTER.get(kind)
    return requester is None or not requesters.is_revoked(view, requester(view, subject))


def parse(key: bytes, value: bytes) -> Due:
    """An index entry as a :class:`Due`."""
    fiduciary, kind, subject = DUE.split(key)
    return Due(
        fiduciary=fiduciary,
        kind=DueKind(kind),
        subject=subject,
        from_time_s=int.from_bytes(value[:8], "big"),
        from_height=int.from_bytes(value[8:], "big"),
    )
