"""Keeps pins equal to what committed state names: open orders' envelopes, identity documents (docs/spec/blocks.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from abci_app.cid import BadCid
from dta.blocks.errors import BlockError, BlockPending
from dta.blocks.peers import PeerFetcher
from dta.blocks.store import BlockStore
from dta.blocks.threads import in_store

_FETCHES_AT_ONCE = 64
_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation did. ``failed``: (cid, why) of wanted blocks that are still not held and pinned."""

    pinned: tuple[str, ...]
    refetched: tuple[str, ...]
    unpinned: tuple[str, ...]
    failed: tuple[tuple[str, BlockError | BadCid | OSError], ...]


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
    slots = asyncio.Semaphore(_FETCHES_AT_ONCE)

    async def obtain(cid: str) -> BlockError | BadCid | OSError | None:
        async with slots:
            try:
                async with asyncio.timeout(wait_s):
                    await fetcher.fetch(cid)
                    await in_store(store.pin, cid)
            except TimeoutError:
                return BlockPending(cid)
            except (BlockError, BadCid, OSError) as error:
                return error
        return None

    missing = to_pin + lost
    outcomes = await asyncio.gather(*(obtain(cid) for cid in missing))
    for cid in to_unpin:
        await in_store(store.unpin, cid)
    failed = {cid: error for cid, error in zip(missing, outcomes, strict=True) if error is not None}
    return Reconciled(
        pinned=tuple(cid for cid in to_pin if cid not in failed),
        refetched=tuple(cid for cid in lost if cid not in failed),
        unpinned=tuple(to_unpin),
        failed=tuple(failed.items()),
    )
