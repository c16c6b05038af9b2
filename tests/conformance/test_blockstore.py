"""One suite for every block store: the embedded one and that of tests always, Kubo where there is one
(scripts/test.sh --kubo)."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from abci_app.cid import BadCid, cid_of
from dta.blocks.daemon import daemon_of
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockMissing, BlockTooLarge
from dta.blocks.kubo import KuboStore
from dta.blocks.store import MAX_BLOCK_BYTES, BlockStore
from tests.support.memory_blocks import MemoryBlockStore, nobody

HOUR_S = 3600.0
START_S = 1_800_000_000.0
NOT_CIDS = ["", "bafkrei", "../../etc/passwd", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "a" * 59]


class Harness:
    """A store that can be closed and opened again, and its clock."""

    def __init__(self, make: Callable[[Callable[[], float]], BlockStore]) -> None:
        self.now_s = START_S
        self._make = make
        self.store = make(self._clock)

    def _clock(self) -> float:
        return self.now_s

    def reopen(self) -> BlockStore:
        self.close()
        self.store = self._make(self._clock)
        return self.store

    def close(self) -> None:
        if isinstance(self.store, EmbeddedStore):
            self.store.close()


def embedded(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    return Harness(lambda clock: EmbeddedStore(tmp_path / "blocks", clock))


def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    """Opened again, it is the same one: what the agents of tests/support/agents.py keep blocks in."""
    made: list[MemoryBlockStore] = []

    def make(clock: Callable[[], float]) -> BlockStore:
        made.append(made[0] if made else MemoryBlockStore(now_s=clock))
        return made[0]

    return Harness(make)


@pytest.fixture(scope="session")
def kubo_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The RPC API of a Kubo that runs already, or of one that is started here as a node starts its own."""
    named, program = os.environ.get("DTA_TEST_KUBO_API"), os.environ.get("DTA_KUBO")
    if named:
        yield named
        return
    if not program:
        pytest.skip("no Kubo: scripts/test.sh --kubo brings one; or set DTA_KUBO, or DTA_TEST_KUBO_API")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{free.getsockname()[1]}"
    daemon = daemon_of(program, tmp_path_factory.mktemp("kubo") / "repository", api, "")
    daemon.prepare()
    process = subprocess.Popen(daemon.command(), env=daemon.environment(), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not answers(api):
            assert process.poll() is None, f"Kubo ended with {process.returncode}"
            assert time.monotonic() < deadline, "Kubo does not answer"
            time.sleep(0.1)
        yield api
    finally:
        process.terminate()
        process.wait(30)


def answers(api: str) -> bool:
    try:
        return httpx.post(f"{api}/api/v0/version", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def kubo(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    api = request.getfixturevalue("kubo_api")

    def make(clock: Callable[[], float]) -> KuboStore:
        store = KuboStore(httpx.Client(base_url=api, timeout=30, trust_env=False), clock)
        store.open()
        return store

    harness = Harness(make)
    store = harness.store
    for cid in store.pins():
        store.unpin(cid)
    store.delete_unpinned(0, float(1 << 50), nobody)
    return harness


def check_a_block_comes_back_under_the_hash_it_was_put(harness: Harness) -> None:
    for block in (b"", b"x", b"an envelope" * 1000, bytes(MAX_BLOCK_BYTES)):
        cid = harness.store.put(block)
        assert cid == cid_of(block)
        assert harness.store.has(cid)
        assert harness.store.get(cid) == block


def check_what_was_put_is_there_after_reopening(harness: Harness) -> None:
    cids = sorted(harness.store.put(b"kept %d" % number) for number in range(5))
    store = harness.reopen()
    assert list(store.cids()) == cids
    assert store.get(cids[0])


def check_a_missing_block_is_an_error_of_its_own(harness: Harness) -> None:
    cid = cid_of(b"never put")
    assert not harness.store.has(cid)
    with pytest.raises(BlockMissing) as caught:
        harness.store.get(cid)
    assert caught.value.cid == cid


def check_a_malformed_cid_is_refused_everywhere(harness: Harness) -> None:
    store = harness.store
    for call in (store.get, store.has, store.pin, store.unpin, store.is_pinned, store.is_let_go):
        for text in NOT_CIDS:
            with pytest.raises(BadCid):
                call(text)
    held = store.put(b"held")
    for text in NOT_CIDS:
        with pytest.raises(BadCid):
            store.pin_many([held, text])
    assert not store.is_pinned(held)


def check_a_block_over_the_limit_is_refused(harness: Harness) -> None:
    with pytest.raises(BlockTooLarge) as caught:
        harness.store.put(bytes(MAX_BLOCK_BYTES + 1))
    assert caught.value.size_bytes == MAX_BLOCK_BYTES + 1
    assert list(harness.store.cids()) == []


def check_putting_twice_stores_once(harness: Harness) -> None:
    assert harness.store.put(b"twice") == harness.store.put(b"twice")
    assert list(harness.store.cids()) == [cid_of(b"twice")]
    assert harness.store.size_bytes() == 5


def check_a_pin_needs_its_block(harness: Harness) -> None:
    with pytest.raises(BlockMissing):
        harness.store.pin(cid_of(b"absent"))
    assert list(harness.store.pins()) == []


def check_pins_survive_reopening(harness: Harness) -> None:
    first, second = (harness.store.put(block) for block in (b"first", b"second"))
    harness.store.pin(first)
    harness.store.pin(first)
    harness.store.pin(second)
    harness.store.unpin(second)
    store = harness.reopen()
    assert list(store.pins()) == [first]
    assert store.is_pinned(first)
    assert not store.is_pinned(second)


def check_many_pins_at_once_survive_reopening_and_those_without_a_block_are_told(harness: Harness) -> None:
    store = harness.store
    first, second, third = (store.put(block) for block in (b"first", b"second", b"third"))
    absent, gone = cid_of(b"absent"), cid_of(b"gone")
    store.pin(second)
    assert store.pin_many([gone, first, absent, second, first, absent]) == [gone, absent]
    assert store.pin_many([]) == []
    assert store.pin_many([second]) == []
    assert store.unpinned_bytes() == len(b"third")
    assert store.delete_unpinned(0, harness.now_s, nobody) == [third]
    store = harness.reopen()
    assert sorted(store.pins()) == sorted([first, second])
    assert not store.is_pinned(absent)
    assert store.unpinned_bytes() == 0


def check_only_what_is_unpinned_for_long_enough_is_deleted(harness: Harness) -> None:
    store = harness.store
    old, pinned = store.put(b"old"), store.put(b"pinned")
    store.pin(pinned)
    harness.now_s += HOUR_S
    young = store.put(b"young")
    store = harness.reopen()
    assert store.delete_unpinned(HOUR_S, harness.now_s, nobody) == [old]
    assert list(store.cids()) == sorted([pinned, young])
    with pytest.raises(BlockMissing):
        store.get(old)
    assert store.get(pinned) == b"pinned"


def check_what_was_let_go_is_no_upload_and_has_a_grace_period_of_its_own(harness: Harness) -> None:
    store = harness.store
    pinned, uploaded, other = (store.put(block) for block in (b"pinned", b"uploaded", b"other"))
    store.pin(pinned)
    harness.now_s += 10 * HOUR_S
    for cid in (pinned, uploaded, uploaded, cid_of(b"never held")):
        store.unpin(cid)
    assert [store.is_let_go(cid) for cid in (pinned, uploaded, other)] == [True, True, False]
    assert (store.unpinned_bytes(), list(store.pins())) == (len(b"other"), [])
    harness.now_s += 1
    store.unpin(pinned)  # again: its grace period goes on
    store = harness.reopen()
    assert [store.is_let_go(cid) for cid in (pinned, uploaded, other)] == [True, True, False]
    assert store.unpinned_bytes() == len(b"other")
    assert store.delete_let_go(HOUR_S, harness.now_s + HOUR_S - 2, nobody) == []
    assert store.get(uploaded) == b"uploaded"
    assert store.delete_let_go(0, harness.now_s, [pinned, uploaded].__contains__) == []
    assert store.delete_unpinned(0, harness.now_s, nobody) == [other]
    assert store.delete_let_go(HOUR_S, harness.now_s + HOUR_S - 1, nobody) == sorted([pinned, uploaded])
    assert (list(store.cids()), store.is_let_go(pinned)) == ([], False)
    assert store.put(b"pinned") == pinned
    assert harness.reopen().unpinned_bytes() == len(b"pinned")


def check_what_was_let_go_is_an_upload_again_once_it_is_uploaded_and_not_when_it_is_fetched(harness: Harness) -> None:
    store = harness.store
    cid = store.put(b"again")
    store.unpin(cid)
    harness.now_s += HOUR_S
    store.put(b"again", uploaded=False)
    assert store.is_let_go(cid)
    assert store.delete_let_go(HOUR_S, harness.now_s + HOUR_S - 1, nobody) == []
    store.put(b"again")
    assert not store.is_let_go(cid)
    store = harness.reopen()
    assert not store.is_let_go(cid)
    assert (store.unpinned_bytes(), store.delete_let_go(0, harness.now_s, nobody)) == (len(b"again"), [])


def check_an_upload_that_was_put_after_state_was_done_with_it_stays_one(harness: Harness) -> None:
    store = harness.store
    done_s = harness.now_s
    cids = {when: store.put(when) for when in (b"before", b"pinned", b"let go")}
    store.unpin(cids[b"let go"])
    harness.now_s += 1
    cids[b"after"] = store.put(b"after")
    store.put(b"pinned")
    store.pin(cids[b"pinned"])
    for cid in cids.values():
        store.unpin(cid, done_s)
    assert [when for when, cid in cids.items() if not store.is_let_go(cid)] == [b"after"]
    store = harness.reopen()
    store.unpin(cids[b"after"], done_s)
    assert (store.is_let_go(cids[b"after"]), store.unpinned_bytes()) == (False, len(b"after"))
    store.unpin(cids[b"after"], harness.now_s)
    assert (store.is_let_go(cids[b"after"]), store.unpinned_bytes()) == (True, 0)


def check_what_is_fetched_is_no_upload_unless_it_is_one(harness: Harness) -> None:
    store = harness.store
    uploaded, pinned = store.put(b"uploaded"), store.put(b"pinned", uploaded=False)
    assert store.is_let_go(pinned)
    store.pin(pinned)
    assert not store.is_let_go(pinned)
    for block in (b"uploaded", b"fetched", b"pinned"):
        store.put(block, uploaded=False)
    store = harness.reopen()
    assert store.unpinned_bytes() == len(b"uploaded")
    assert list(store.pins()) == [pinned]
    assert store.delete_let_go(0, harness.now_s, nobody) == [cid_of(b"fetched")]
    assert store.delete_unpinned(0, harness.now_s, nobody) == [uploaded]


def check_putting_again_restarts_the_grace_period(harness: Harness) -> None:
    cid = harness.store.put(b"retried")
    harness.now_s += HOUR_S
    harness.store.put(b"retried")
    assert harness.store.delete_unpinned(HOUR_S, harness.now_s + HOUR_S - 1, nobody) == []
    assert harness.store.delete_unpinned(HOUR_S, harness.now_s + HOUR_S, nobody) == [cid]


def check_putting_a_pinned_block_again_leaves_it_pinned(harness: Harness) -> None:
    cid = harness.store.put(b"pinned")
    harness.store.pin(cid)
    harness.store.put(b"pinned")
    assert harness.reopen().is_pinned(cid)


def check_what_is_discarded_is_gone_at_once_unless_it_is_pinned(harness: Harness) -> None:
    store = harness.store
    kept, gone = store.put(b"kept"), store.put(b"gone")
    store.pin(kept)
    for cid in (kept, gone, gone, cid_of(b"never held")):
        store.discard(cid, nobody)
    assert store.get(kept) == b"kept"
    with pytest.raises(BlockMissing):
        store.get(gone)
    assert list(harness.reopen().cids()) == [kept]
    with pytest.raises(BadCid):
        store.discard("no CID", nobody)


def check_what_is_wanted_by_the_time_that_it_would_go_stays(harness: Harness) -> None:
    """State named it a moment ago, and it is not pinned yet."""
    store = harness.store
    uploaded, let_go, other = (store.put(block) for block in (b"uploaded", b"let go", b"other"))
    store.unpin(let_go)
    wanted = [uploaded, let_go].__contains__
    assert store.delete_unpinned(0, harness.now_s, wanted) == [other]
    assert store.delete_let_go(0, harness.now_s, wanted) == []
    for cid in (uploaded, let_go):
        store.discard(cid, wanted)
        assert store.has(cid)
    assert store.unpinned_bytes() == len(b"uploaded")
    assert list(harness.reopen().cids()) == sorted([uploaded, let_go])


def check_sizes_count_what_is_held(harness: Harness) -> None:
    store = harness.store
    cid = store.put(bytes(100))
    store.put(bytes(30))
    store.pin(cid)
    assert (store.size_bytes(), store.unpinned_bytes()) == (130, 30)
    store = harness.reopen()
    assert (store.size_bytes(), store.unpinned_bytes()) == (130, 30)
    store.unpin(cid)
    assert (store.size_bytes(), store.unpinned_bytes()) == (130, 30)
    store.put(bytes(100))
    store.put(bytes(30))
    assert store.unpinned_bytes() == 130
    store.discard(cid_of(bytes(30)), nobody)
    assert (store.size_bytes(), store.unpinned_bytes()) == (100, 100)
    store.delete_unpinned(0, harness.now_s, nobody)
    assert (store.size_bytes(), store.unpinned_bytes()) == (0, 0)
    store.discard(cid, nobody)
    assert store.unpinned_bytes() == 0


def check_threads_may_share_it(harness: Harness) -> None:
    store = harness.store
    blocks = [b"block %d" % (number % 20) for number in range(100)]

    def use(block: bytes) -> bytes:
        cid = store.put(block)
        store.pin(cid)
        return store.get(cid)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, blocks)) == blocks
    assert sorted(store.pins()) == list(store.cids()) == sorted({cid_of(block) for block in blocks})


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


@pytest.fixture(params=[embedded, memory, kubo], ids=["embedded", "memory", "kubo"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    made: Harness = request.param(request, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_store_conforms(check: Callable[[Harness], None], harness: Harness) -> None:
    check(harness)
