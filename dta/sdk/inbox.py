"""``client.inbox``: what waits for this client's identity, in a list that no node can shorten."""

from __future__ import annotations

from collections.abc import Iterator

from dta.client.inbox import reading
from dta.client.inbox.home import HomeInbox
from dta.sdk.faces import Awaiting, Blocking, Pause, action, stream
from dta.sdk.opened import Opened
from dta.sdk.results import Inbox


class InboxActions:
    """What waits: decisions, secrets that can be received, whatever has a deadline."""

    opened: Opened

    @action
    def read(self) -> Inbox:
        """All that waits now. Raises NotVerified where a node leaves anything out."""
        return Inbox.of(_of(self.opened).read())

    @stream
    def watch(self) -> Iterator[Inbox | Pause]:
        """The inbox now, and again whenever something else waits. Without an end."""
        inbox = _of(self.opened)
        shown = inbox.read()
        yield Inbox.of(shown)
        while True:
            yield Pause(reading.POLL_S)
            now = inbox.changed(0)
            if not now.is_as(shown):
                shown = now
                yield Inbox.of(shown)


class InboxOf(InboxActions, Blocking):
    """``client.inbox``."""


class AsyncInboxOf(InboxActions, Awaiting):
    """The same under asyncio."""


def _of(opened: Opened) -> HomeInbox:
    """One that has read nothing yet: what was read before is in the client's directory."""
    session = opened.session
    return HomeInbox(session.ledger, session.party.identity, session.directory, opened.names.known)
