"""Keeps pins equal to what is wanted: what changes is looked at at once, the rest in turn (docs/spec/blocks.md)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Protocol

from abci_app.cid import BadCid
from dta.base.errors import DtaError
from dta.blocks.errors import BlockError, BlockPending
from dta.blocks.peers import PeerFetcher
from dta.blocks.store import BlockStore
from dta.blocks.threads import in_store

_log = logging.getLogger(__name__)
_FETCHES_AT_ONCE = 64
_WAIT_S = 5.0
_EVERY_S = 10.0
_LATER_S = 2.0
# Looked at in one call of the store: so long it holds one of its threads, and the event loop not at all.
_PAGE_BLOCKS = 1_000
_MAX_SHOWN = 20


class Wanted(Protocol):
    """Which blocks are to be pinned. ``wants`` is asked from several threads."""

    def wants(self, cid: str) -> bool:
        """Whether it is to be pinned now."""

    def cids(self) -> list[str]:
        """All that are."""


async def _nowhere_else(cid: str) -> bytes | None:
    del cid
    return None


class PinKeeper:
    """Makes a store pin what is wanted and nothing else, block by block. One event loop; run :meth:`work` once.

    ``look`` at what changed: it is fetched and pinned, or unpinned, as soon as one of 64 places is free. What fails is
    looked at again every 10 s, as ``check`` does; so are, in turn, 1,000 of all blocks, wanted or pinned: one that the
    store lost is fetched again. Nothing else is done again and again, however many blocks there are, but for the list
    of all that each such round begins with: it is made of what is in memory.

    ``find_elsewhere`` gives a block that no gateway need have, or None. One that takes longer than ``wait_s`` is
    fetched on without being waited for: BlockPending, until it is looked at again. Nothing is deleted: what is unpinned
    waits until ``store.delete_let_go``, which is called where the list is known to be whole, so one that was too short
    (a ledger that is still catching up) costs nothing that is not put right.
    """

    def __init__(
        self,
        store: BlockStore,
        fetcher: PeerFetcher,
        wanted: Wanted,
        *,
        find_elsewhere: Callable[[str], Awaitable[bytes | None]] = _nowhere_else,
        wait_s: float = _WAIT_S,
        every_s: float = _EVERY_S,
        later_s: float = _LATER_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._wanted = wanted
        self._find_elsewhere = find_elsewhere
        self._wait_s = wait_s
        self._every_s = every_s
        self._later_s = later_s
        self._now_s = now_s
        self._later: set[asyncio.Task[None]] = set()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        # Each with the time by which state was done with it, if it was: what is uploaded after that is an upload.
        self._looking: dict[str, float] = {}
        self._failed: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._round: list[str] = []
        self._round_s = 0.0
        self._all = asyncio.Event()
        self._is_whole = False

    @property
    def missing_count(self) -> int:
        """How many blocks are known not to be as they should."""
        return len(self._failed)

    @property
    def pending_count(self) -> int:
        """How many others are looked at, or wait for it."""
        return sum(1 for cid in self._looking if cid not in self._failed)

    @property
    def is_whole(self) -> bool:
        """Whether all was looked at since it was last asked for."""
        return self._is_whole

    def missing(self) -> list[tuple[str, str]]:
        """(cid, why) of some that are not as they should be: at most 20."""
        return sorted(self._reasons.items())

    def look(self, cids: Iterable[str], done_s: float | None = None) -> None:
        """These may have to be pinned or unpinned, by what state said at ``done_s`` (now)."""
        done_s = self._now_s() if done_s is None else done_s
        for cid in cids:
            if cid not in self._looking:
                self._queue.put_nowait(cid)
            self._looking[cid] = max(done_s, self._looking.get(cid, done_s))

    def look_later(self, cids: Iterable[str]) -> None:
        """As :meth:`look`, two seconds from now, at those that are not right by then: a hook mostly was faster."""
        waiting = asyncio.create_task(self._look_later(list(cids), self._now_s()))
        self._later.add(waiting)
        waiting.add_done_callback(self._later.discard)

    def look_at_all(self) -> None:
        """Anything may: the next :meth:`check` goes through all of it."""
        self._is_whole = False
        self._all.set()

    async def check(self) -> None:
        """Look at what failed, and at the next 1,000 blocks; or at all, where that was asked for. Takes 10 s or so.

        Raises BlockError, OSError where the store fails.
        """
        try:
            async with asyncio.timeout(self._every_s):
                await self._all.wait()
        except TimeoutError:
            for cid, done_s in list(islice(self._failed.items(), _PAGE_BLOCKS)):
                self.look([cid], done_s)
            if not self._round:
                self._round = await self._everything()
            await self._check_page()
            return
        self._round = await self._everything()
        self._all.clear()
        while self._round and not self._all.is_set():
            try:
                await self._check_page()
            except BaseException:
                self._all.set()
                raise
        self._is_whole = not self._all.is_set()

    async def work(self) -> None:
        """Look at what there is to look at. Never ends."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_FETCHES_AT_ONCE):
                    group.create_task(self._work())
        finally:
            for waiting in self._later:
                waiting.cancel()

    async def _everything(self) -> list[str]:
        """What is wanted, and what is pinned though it is not."""
        self._round_s = self._now_s()
        return await in_store(
            lambda: [*self._wanted.cids(), *(cid for cid in self._store.pins() if not self._wanted.wants(cid))]
        )

    async def _look_later(self, cids: list[str], done_s: float) -> None:
        await asyncio.sleep(self._later_s)
        try:
            self.look(await self._wrong_of(cids), done_s)
        except Exception:  # the store's trouble, mostly: each is looked at by itself, and says it
            self.look(cids, done_s)

    async def _wrong_of(self, cids: list[str]) -> list[str]:
        return await in_store(lambda: [cid for cid in cids if not self._is_right(cid)])

    async def _check_page(self) -> None:
        page = self._round[-_PAGE_BLOCKS:]
        found = await self._wrong_of(page)
        del self._round[-_PAGE_BLOCKS:]
        while self._queue.qsize() > _PAGE_BLOCKS:  # what changes meanwhile does not wait behind all of it
            await asyncio.sleep(0.05)
        self.look(found, self._round_s)

    def _is_right(self, cid: str) -> bool:
        if not self._wanted.wants(cid):
            # An upload is let go too: state named it and was done with it before it was pinned.
            return not self._store.is_pinned(cid) and (not self._store.has(cid) or self._store.is_let_go(cid))
        return self._store.is_pinned(cid) and self._store.has(cid)

    async def _work(self) -> None:
        while True:
            await self._settle(await self._queue.get())

    async def _settle(self, cid: str) -> None:
        """Until it is as it should be, which may change meanwhile, or until that fails."""
        while True:
            is_wanted, done_s = self._wanted.wants(cid), self._looking[cid]
            error = await self._make(cid, is_wanted, done_s)
            if (self._wanted.wants(cid), self._looking[cid]) == (is_wanted, done_s):
                break
        del self._looking[cid]
        self._failed.pop(cid, None)
        if error is None:
            self._reasons.pop(cid, None)
            return
        self._failed[cid] = done_s  # behind the others
        if cid in self._reasons or len(self._reasons) < _MAX_SHOWN:
            self._reasons[cid] = error

    async def _make(self, cid: str, is_wanted: bool, done_s: float) -> str | None:
        """None, or why not."""
        try:
            if not is_wanted:
                await in_store(self._store.unpin, cid, done_s)
            elif not await in_store(self._is_right, cid):
                await self._obtain(cid)
        except TimeoutError:
            return str(BlockPending(cid))
        except (BlockError, BadCid, OSError, DtaError) as error:
            return str(error)
        except Exception as error:
            _log.exception("block %s", cid)
            return f"a fault of this program: {type(error).__name__}"
        return None

    async def _obtain(self, cid: str) -> None:
        async with asyncio.timeout(self._wait_s):
            if not await in_store(self._store.has, cid):
                block = await self._find_elsewhere(cid)
                if block is not None:
                    await in_store(self._store.put, block, uploaded=False)
            await self._fetcher.fetch(cid)
            await in_store(self._store.pin, cid)
