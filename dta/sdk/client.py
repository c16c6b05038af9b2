"""``dta.Client`` and ``dta.AsyncClient``: one identity of one ledger, from a home, or from keys in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from dta.base.home import Home
from dta.client.custody.session import Progress, Session, silent
from dta.client.names import NameBook
from dta.light.trust import TrustFile
from dta.sdk.authorities import AsyncAuthorities, Authorities
from dta.sdk.faces import Worker
from dta.sdk.identities import AsyncIdentities, Identities
from dta.sdk.inbox import AsyncInboxOf, InboxOf
from dta.sdk.keys import Keys, Pins
from dta.sdk.opened import Opened, Place
from dta.sdk.orders import AsyncOrders, Orders
from dta.sdk.realms import AsyncRealms, Realms
from dta.sdk.receipts import AsyncReceipts, Receipts
from dta.sdk.signing import AsyncSign, Sign
from dta.sdk.vaults import AsyncVaults, Vaults

NOUNS: Final = {
    "orders": Orders,
    "inbox": InboxOf,
    "vaults": Vaults,
    "identities": Identities,
    "authorities": Authorities,
    "sign": Sign,
    "realms": Realms,
    "receipts": Receipts,
}
"""What a client has, by name."""


class _Opening:
    """How a client is opened, blocking or under asyncio."""

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        identity: str = "",
        pins: Pins | None = None,
        keys: Keys | None = None,
        trust: TrustFile | bytes | None = None,
        nodes: Sequence[str] = (),
        ca: Path | str | None = None,
        directory: Path | str | None = None,
        contacts: Mapping[str, str] | None = None,
        progress: Progress = silent,
    ) -> None:
        place = Place(home, identity, pins, keys, trust, tuple(nodes), ca, directory, dict(contacts or {}))
        self._take(place.open(progress))

    def _take(self, opened: Opened) -> None:
        raise NotImplementedError


class Client(_Opening):
    """The blocking client. Use it as a context manager, or call :meth:`close`. It may be used by several threads: one
    waits for the other.

    From a home (``dta init client`` made it; without one ``$DTA_HOME``, else ``~/.dta``), as ``identity``::

        dta.Client("homes/alice", identity="alice")

    or from keys and what is trusted, in memory; without keys it only reads::

        dta.Client(trust=genesis_bytes, nodes=["https://alpha.example:8443"], keys=dta.Keys(...))

    ``trust``: a trust file, its bytes, or a genesis file's; ``nodes``: fiduciaries' doors, which are believed in
    nothing that is not proved from there; ``ca``: a PEM file of who vouches for them, where the machine's own do not.
    ``directory``: where a client of keys in memory keeps the requests that it made, sealed; without one they go with
    the client. ``contacts``: whom names mean, name to id, beside the founders. ``progress`` is called with each step of
    what takes a while. Every method raises errors of :mod:`dta.base.errors`, that have a ``kind`` and ``data``.
    """

    def _take(self, opened: Opened) -> None:
        self._opened = opened
        self.orders = Orders(opened)
        self.inbox = InboxOf(opened)
        self.vaults = Vaults(opened)
        self.identities = Identities(opened)
        self.authorities = Authorities(opened)
        self.sign = Sign(opened)
        self.realms = Realms(opened)
        self.receipts = Receipts(opened)

    @classmethod
    def of_session(cls, session: Session, names: NameBook | None = None, home: Home | None = None) -> Client:
        """A client over a session that somebody else opened, and closes: the agent's, or a test's."""
        made = cls.__new__(cls)
        made._take(Opened(session, names or NameBook(), home))
        return made

    @property
    def identity(self) -> str:
        """The id of the identity that it acts as. Raises UsageError where it only reads."""
        return self._opened.session.party.identity.hex()

    @property
    def gid(self) -> str:
        """The ledger's genesis id."""
        return self._opened.session.gid.hex()

    def close(self) -> None:
        """Lets connections and keystores go. Closing twice is harmless."""
        self._opened.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Opening):
    """The same under asyncio: each method of :class:`Client` is awaited, and what it iterates over is followed by
    ``async for``. Actions take turns; one whose await is cancelled is stopped before that returns. What is watched has
    its turn only while it looks, and not while it waits.
    """

    def _take(self, opened: Opened) -> None:
        self._opened = opened
        self._worker = worker = Worker()
        self.orders = AsyncOrders(opened, worker)
        self.inbox = AsyncInboxOf(opened, worker)
        self.vaults = AsyncVaults(opened, worker)
        self.identities = AsyncIdentities(opened, worker)
        self.authorities = AsyncAuthorities(opened, worker)
        self.sign = AsyncSign(opened, worker)
        self.realms = AsyncRealms(opened, worker)
        self.receipts = AsyncReceipts(opened, worker)

    @classmethod
    def of_session(cls, session: Session, names: NameBook | None = None, home: Home | None = None) -> AsyncClient:
        """A client over a session that somebody else opened, and closes."""
        made = cls.__new__(cls)
        made._take(Opened(session, names or NameBook(), home))
        return made

    @property
    def identity(self) -> str:
        """The id of the identity that it acts as. Raises UsageError where it only reads."""
        return self._opened.session.party.identity.hex()

    @property
    def gid(self) -> str:
        """The ledger's genesis id."""
        return self._opened.session.gid.hex()

    async def close(self) -> None:
        """Lets connections, keystores and the thread go, after what is under way."""
        await asyncio.to_thread(self._opened.close)
        self._worker.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
