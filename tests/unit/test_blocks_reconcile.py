"""Pins are kept equal to what is wanted: at once where it changes, in turn where the store loses something."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gateway_harness import BLOCK, CID
from test_gateway_peers import fetcher, honest, path_of

from abci_app.cid import cid_of
from dta.base.errors import Unreachable
from dta.blocks import reconcile
from dta.blocks.errors import StoreFull
from dta.blocks.reconcile import PinKeeper


class Names:
    """What is wanted, by CID."""

    def __init__(self, *cids: str) -> None:
        self.now = set(cids)

    def wants(self, cid: str) -> bool:
        return cid in self.now

    def cids(self) -> list[str]:
        return sorted(self.now)


@asynccontextmanager
async def working(keeper: PinKeeper) -> AsyncIterator[PinKeeper]:
    task = asyncio.create_task(keeper.work())
    try:
        yield keeper
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def settled(keeper: PinKeeper) -> None:
    """Once nothing is looked at any more."""
    while keeper._looking:
        await asyncio.sleep(0.005)


async def whole(keeper: PinKeeper) -> None:
    """Once all was looked at."""
    keeper.look_at_all()
    await keeper.check()
    assert keeper.is_whole
    await settled(keeper)


def run(scenario: Callable[[], object]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()  # type: ignore[misc]

    asyncio.run(bounded())


def test_what_is_wanted_is_fetched_and_pinned_and_one_failure_holds_up_no_other(tmp_path: Path) -> None:
    names = {name: cid_of(name.encode()) for name in ("held", "remote", "gone", "closed", "damaged")}

    async def scenario() -> None:
        async with (
            honest(tmp_path / "peer", b"remote", b"damaged") as url,
            fetcher(tmp_path / "own", [url]) as (store, fetch),
        ):
            for name in ("held", "closed", "damaged"):
                store.put(name.encode())
            store.pin(names["closed"])
            store.pin(names["damaged"])
            path_of(tmp_path / "own", names["damaged"]).unlink()
            wanted = Names(*(names[name] for name in ("gone", "held", "remote", "damaged")))
            async with working(PinKeeper(store, fetch, wanted)) as keeper:
                await whole(keeper)
                right = sorted([names["held"], names["remote"], names["damaged"]])
                assert sorted(store.pins()) == right
                assert [cid for cid, _ in keeper.missing()] == [names["gone"]]
                assert keeper.missing_count == 1
                assert store.has(names["closed"])  # until its grace period is over
                assert store.has(names["damaged"])
                store.put(b"gone")
                keeper.look([names["gone"]])
                await settled(keeper)
                assert (keeper.missing_count, keeper.missing(), len(store.pins())) == (0, [], 4)

    run(scenario)


def test_what_changes_is_pinned_and_unpinned_without_a_look_at_anything_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            wanted = Names()
            async with working(PinKeeper(store, fetch, wanted)) as keeper:
                cid, other = store.put(BLOCK), store.put(b"other")
                wanted.now |= {cid, other}
                keeper.look([cid])
                await settled(keeper)
                assert store.pins() == [cid]
                wanted.now.clear()
                keeper.look([cid, other])
                await settled(keeper)
                assert store.pins() == []

    run(scenario)


def test_what_a_hook_did_meanwhile_is_not_done_again_and_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            done, left = store.put(BLOCK), store.put(b"other")
            looked: list[str] = []
            keeper = PinKeeper(store, fetch, Names(done, left), later_s=0.05)
            look = keeper.look

            def seen(cids: Iterable[str], done_s: float) -> None:
                found = list(cids)
                looked.extend(found)
                look(found, done_s)

            monkeypatch.setattr(keeper, "look", seen)
            async with working(keeper):
                keeper.look_later([done, left])
                store.pin(done)
                assert looked == [], "not yet"
                while not looked:
                    await asyncio.sleep(0.01)
                await settled(keeper)
                assert looked == [left]
                assert sorted(store.pins()) == sorted([done, left])

    run(scenario)


@pytest.mark.parametrize("at_first", [True, False])
def test_what_changes_while_it_is_looked_at_is_as_it_is_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_first: bool
) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            cid = store.put(BLOCK)
            if not at_first:
                store.pin(cid)
            wanted = Names(*[cid] * at_first)
            keeper = PinKeeper(store, fetch, wanted)
            name = "pin" if at_first else "unpin"
            done = getattr(store, name)

            def changes_meanwhile(cid: str, *done_s: float) -> None:
                wanted.now ^= {cid}
                keeper.look([cid])
                done(cid, *done_s)
                monkeypatch.setattr(store, name, done)

            monkeypatch.setattr(store, name, changes_meanwhile)
            async with working(keeper):
                keeper.look([cid])
                await settled(keeper)
                assert store.is_pinned(cid) is not at_first

    run(scenario)


@pytest.mark.parametrize("how", ["at the change", "before its look", "before it is looked at", "once that failed"])
def test_what_is_uploaded_again_after_state_was_done_with_it_is_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its uploader was told that it is kept for a day, and is charged for that."""

    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            cid, other = store.put(BLOCK), store.put(b"other")
            keeper = PinKeeper(store, fetch, Names(), every_s=0.01, later_s=0.05)
            if how == "once that failed":
                with monkeypatch.context() as failing:
                    failing.setattr(store, "unpin", _fails)
                    keeper.look([cid, other])
                    async with working(keeper):
                        await settled(keeper)
                assert keeper.missing_count == 2
                store.put(BLOCK)
                await keeper.check()
            elif how == "before it is looked at":
                keeper.look([cid, other])
                store.put(BLOCK)
            else:
                keeper.look_later([cid, other])
                if how == "before its look":
                    store.put(BLOCK)
                else:
                    await asyncio.sleep(0)
                while keeper._later:
                    await asyncio.sleep(0.01)
            async with working(keeper):
                await settled(keeper)
            assert store.is_let_go(other)
            assert store.is_let_go(cid) is (how == "at the change")
            assert store.unpinned_bytes() == (0 if how == "at the change" else len(BLOCK))

    run(scenario)


def _fails(cid: str, done_s: float) -> None:
    raise StoreFull("here", 1)


@pytest.mark.parametrize("changed", [True, False])
def test_what_is_done_with_once_more_while_it_is_looked_at_is_let_go_by_the_later_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            cid = store.put(BLOCK)
            keeper = PinKeeper(store, fetch, Names())
            unpin = store.unpin

            def meanwhile(cid: str, done_s: float) -> None:
                monkeypatch.setattr(store, "unpin", unpin)
                store.put(BLOCK)
                if changed:
                    keeper.look([cid])
                unpin(cid, done_s)

            monkeypatch.setattr(store, "unpin", meanwhile)
            keeper.look([cid])
            async with working(keeper):
                await settled(keeper)
            assert store.is_let_go(cid) is changed

    run(scenario)


def test_what_failed_is_tried_again_and_what_the_store_lost_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In turn, a bounded number at a time: nothing goes through all of it again and again."""
    monkeypatch.setattr(reconcile, "_PAGE_BLOCKS", 2)
    blocks = [b"block %d" % n for n in range(5)]
    cids = sorted(cid_of(block) for block in blocks)

    async def scenario() -> None:
        async with (
            honest(tmp_path / "peer", *blocks) as url,
            fetcher(tmp_path / "own", gateways := [url]) as (store, fetch),
        ):
            looked: list[int] = []
            is_right = PinKeeper._is_right

            def counted(keeper: PinKeeper, cid: str) -> bool:
                looked.append(1)
                return is_right(keeper, cid)

            async with working(PinKeeper(store, fetch, Names(*cids), every_s=0.0)) as keeper:
                await whole(keeper)
                assert sorted(store.pins()) == cids
                for cid in cids:
                    path_of(tmp_path / "own", cid).unlink()
                gateways.clear()
                monkeypatch.setattr(PinKeeper, "_is_right", counted)
                lost = []
                for _ in range(3):
                    looked.clear()
                    await keeper.check()
                    await settled(keeper)
                    assert len(looked) <= 2 + 2 + 2  # of the round; those of them, and of what failed, once more
                    lost.append(keeper.missing_count)
                assert lost == [2, 4, 5]
                gateways.append(url)
                while keeper.missing_count:
                    await keeper.check()
                    await settled(keeper)
                assert all(store.has(cid) for cid in cids)

    run(scenario)


def test_a_pin_that_nobody_wants_goes_in_its_turn(tmp_path: Path) -> None:
    """A job pins what it answers for, perhaps when its order has just closed."""

    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            store.pin(store.put(BLOCK))
            async with working(PinKeeper(store, fetch, Names(), every_s=0.0)) as keeper:
                await keeper.check()
                await settled(keeper)
                assert store.pins() == []

    run(scenario)


@pytest.mark.parametrize("trouble", [StoreFull("disk", len(BLOCK)), OSError(errno.EIO, "i/o")], ids=repr)
def test_a_disk_that_fails_is_reported_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def full(block: bytes, uploaded: bool) -> str:
        raise trouble

    async def scenario() -> None:
        async with (
            honest(tmp_path / "peer", BLOCK) as url,
            fetcher(tmp_path / "own", [url]) as (store, fetch),
        ):
            monkeypatch.setattr(store, "put", full)
            async with working(PinKeeper(store, fetch, Names(CID))) as keeper:
                await whole(keeper)
                assert keeper.missing() == [(CID, str(trouble))]

    run(scenario)


def test_a_store_that_can_t_be_asked_is_asked_for_all_of_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            store.put(BLOCK)
            async with working(PinKeeper(store, fetch, Names(CID))) as keeper:
                keeper.look_at_all()
                for name in ("pins", "is_pinned"):
                    with monkeypatch.context() as broken:
                        broken.setattr(store, name, lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "i/o")))
                        with pytest.raises(OSError, match="i/o"):
                            await keeper.check()
                    assert not keeper.is_whole
                await keeper.check()
                await settled(keeper)
                assert keeper.is_whole
                assert store.pins() == [CID]

    run(scenario)


def test_what_failed_does_not_wait_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: PinKeeper) -> list[str]:
        return []

    async def scenario() -> None:
        monkeypatch.setattr(PinKeeper, "_everything", nothing)
        async with (
            fetcher(tmp_path / "own", []) as (store, fetch),
            working(PinKeeper(store, fetch, Names(CID), every_s=0.0)) as keeper,
        ):
            keeper.look([CID])
            await settled(keeper)
            assert keeper.missing_count == 1
            store.put(BLOCK)
            await keeper.check()
            await settled(keeper)
            assert (store.pins(), keeper.missing_count) == ([CID], 0)

    run(scenario)


def test_a_block_that_is_elsewhere_is_taken_from_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            answers: list[bytes | Exception | None] = [Unreachable("the node is away"), None, BLOCK]

            async def elsewhere(cid: str) -> bytes | None:
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            async with working(PinKeeper(store, fetch, Names(CID), find_elsewhere=elsewhere)) as keeper:
                for reason in ("the node is away", "no gateway"):
                    keeper.look([CID])
                    await settled(keeper)
                    assert reason in keeper.missing()[0][1]
                keeper.look([CID])
                await settled(keeper)
                assert (store.get(CID), store.pins(), keeper.missing_count) == (BLOCK, [CID], 0)

    run(scenario)


def test_of_many_that_fail_few_reasons_are_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fetcher(tmp_path / "own", []) as (store, fetch):
            cids = [cid_of(b"%d" % n) for n in range(100)]
            async with working(PinKeeper(store, fetch, Names(*cids))) as keeper:
                await whole(keeper)
                assert (keeper.missing_count, len(keeper.missing()), keeper.pending_count) == (100, 20, 0)

    run(scenario)


