"""Bodies of /v1/inbox, /v1/events and /v1/receipt."""

from __future__ import annotations

from pydantic import Field

from dta.service.models.base import Id, Shown


class Item(Shown):
    """One thing that waits for this identity, proved. ``calls``: what decides it here, one for each of ``actions``.

    ``deadlineIsBoth``: it is too late only once both the time and the height have come; else the first that comes.
    ``label`` is what its makers call it, and proves nothing.
    """

    kind: str = Field(description="order, request, signing, receipt, ceremony, proposal, vault, server")
    subject: Id
    parent: str = Field(description="the order of a request, the authority of a ceremony; empty where there is none")
    status: str
    actions: list[str]
    calls: list[str]
    deadline: int = Field(serialization_alias="deadlineAt")
    deadline_height: int
    deadline_is_both: bool
    since_height: int
    origin: str = Field(description="who brought it about; empty: the fiduciaries, by vote")
    asker: str
    roles: list[str]
    content_digest: str
    label: str
    entry: int = Field(description="its number in this identity's list; 0 for what this home asked for itself")
    proved_at_height: int


class Inbox(Shown):
    """What waits for this identity, the nearest deadline first: its list was proved whole, so none was left out.

    ``outside``: of others than contacts, with a bound; ``outsideLeft``: how many are not in it. ``state``: the same as
    long as the same waits.
    """

    identity: Id
    items: list[Item]
    outside: list[Item]
    outside_left: int
    entries: int
    whole_at_height: int
    state: str


class Concern(Shown):
    """An entry of this identity's list on the ledger: a record that names it (docs/spec/concerns.md)."""

    number: int
    kind: str
    subject: Id
    roles: list[str]
    height: int


class Waits(Shown):
    """Something began to wait for this identity: what GET /v1/inbox says more of."""

    kind: str
    subject: Id
    parent: str
    status: str
    content_digest: str
    is_outside: bool


class ReceiptVerified(Shown):
    """What a receipt proves, by this home's genesis."""

    chain_id: str
    subject: str
    state_height: int
    transactions: list[str]
    warnings: list[str]
