"""Keeps pins equal to what committed state names: open orders' envelopes, identity documents (docs/spec/blocks.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from abci_app.cid import BadCid
from dta.blocks.errors import BlockError, BlockMissing, BlockPending
from dta.blocks.peers import PeerFetcher
from dta.blocks.store import BlockStore
from dta.blocks.threads import in_store

_FETCHES_AT_ONCE = 64
_PINS_AT_ONCE = 64
_WAIT_S = 5.0

Failure = BlockError | BadCid | OSError


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation did. ``failed``: (cid, why) of wanted blocks that are still not held and pinned."""

    pinned: tuple[str, ...]
    refetched: tuple[str, ...]
    unpinned: tuple[str, ...]
    failed: tuple[tuple[str, Failure], ...]


def plan_pins(wanted: Iterable[str], pinned: Iterable[str]) -> tuple[list[str], list[str]]:
    """(what to pin, what to unpin), each ascending and without repeats. Pure."""
    wanted_now, pinned_now = frozenset(wanted), frozenset(pinned)
    return sorted(wanted_now - pinned_now), sorted(pinned_now - wanted_now)


async def reconcile(
    store: BlockStore, fetcher: PeerFetcher, wanted: Sequence[str], wait_s: float = _WAIT_S
) -> Reconciled:
    """Make ``store`` pin exactly ``wanted``, fetching what it lacks; one that fails or is slow holds up no other.

    One that takes longer than ``wait_s`` is fetched on without being waited for: BlockPending, until a later run.
    A pinned block that was lost or set aside as corrupt is fetched again. Nothing is deleted: what is unpinned waits
    out its grace period until ``store.delete_unpinned``, so a reconciliation with too short a list (a ledger that is
    still catching up) costs nothing that the next one does not put right.
    """
    held_pins = await in_store(lambda: list(store.pins()))
    to_pin, to_unpin = plan_pins(wanted, held_pins)
    kept = sorted(frozenset(held_pins) - frozenset(to_unpin))
    lost = await in_store(lambda: [cid for cid in kept if not store.has(cid)])
    missing = to_pin + lost
    failed = await _Obtaining(store, fetcher, wait_s).all_of(missing)
    for cid in to_unpin:
        await in_store(store.unpin, cid)
    return Reconciled(
        pinned=tuple(cid for cid in to_pin if cid not in failed),
        refetched=tuple(cid for cid in lost if cid not in failed),
        unpinned=tuple(to_unpin),
        failed=tuple(failed.items()),
    )


class _Obtaining:
    """Fetches and pins. What was fetched is pinned together: 64 at once, the rest when all were tried."""

    def __init__(self, store: BlockStore, fetcher: PeerFetcher, wait_s: float) -> None:
        self._store = store
        self._fetcher = fetcher
        self._wait_s = wait_s
        self._slots = asyncio.Semaphore(_FETCHES_AT_ONCE)
        self._fetched: list[str] = []
        self._failed: dict[str, Failure] = {}

    async def all_of(self, cids: Sequence[str]) -> dict[str, Failure]:
        """Why not, of those that are not held and pinned then, in their sequence."""
        await asyncio.gather(*(self._obtain(cid) for cid in cids))
        await self._pin_fetched()
        return {cid: self._failed[cid] for cid in cids if cid in self._failed}

    async def _obtain(self, cid: str) -> None:
        async with self._slots:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._fetcher.fetch(cid)
            except TimeoutError:
                self._failed[cid] = BlockPending(cid)
            except (BlockError, BadCid, OSError) as error:
                self._failed[cid] = error
            else:
                self._fetched.append(cid)
                if len(self._fetched) >= _PINS_AT_ONCE:
                    await self._pin_fetched()

    async def _pin_fetched(self) -> None:
        together, self._fetched = self._fetched, []
        if not together:
            return
        try:
            async with asyncio.timeout(self._wait_s):
                gone = await in_store(self._store.pin_many, together)
        except TimeoutError:
            self._failed.update({cid: BlockPending(cid) for cid in together})
        except (BlockError, OSError) as error:
            self._failed.update(dict.fromkeys(together, error))
        else:
            self._failed.update({cid: BlockMissing(cid) for cid in gone})
