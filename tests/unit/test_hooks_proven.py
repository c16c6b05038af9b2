"""Before a node releases or destroys something it has its leaves proved against the root that it pinned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import pytest
from hooks_harness import World, make_world
from test_hooks_state_socket import application, commit

from abci_app.hashing import u64
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.nodes import EMPTY_HASH
from abci_app.state.overlay import Overlay
from abci_app.state.records import REQUESTS, VAULTS, params
from abci_app.state.view import StateView
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.base.errors import NotVerified
from dta.crypto.scalar import SecretScalar
from dta.custodians.registry import Loaded
from dta.hsm import labels
from dta.node.agent.jobs import perform
from dta.node.agent.proving import ProvenView, StateNotProved
from dta.node.agent.state import StateClient
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Pinned, Tools
from tests.support import realms
from tests.support.actors import Actor
from tests.support.ceremonies import consortium
from tests.support.keystore import MemoryKeystore
from tests.support.refusals import fault_of

# What these two send opens nothing and destroys nothing: a public key, and a word that an envelope is well.
FREE = {DueKind.PUBLISH_VAULT_KEY, DueKind.FULFIL_ORDER}
# Leaves that one job of the others has proved, three members in a ceremony: docs/adr/0021-a-hole-in-the-history.md says
# what each costs.
MOST_PROOFS = 16


# --- the view -------------------------------------------------------------------------------------------------------
@pytest.fixture
def database() -> StateDB:
    return StateDB(MemoryStore())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sock"


def test_a_proven_view_reads_what_the_root_says_present_and_absent(database: StateDB, path: Path) -> None:
    commit(database, 1, {b"a/%d" % n: b"%d" % n for n in range(300)}, {b"due/x": b"1"})
    with application(path, database), StateClient(path).pin() as now:
        assert [now.proven.get(b"a/%d" % n) for n in (0, 7, 299, 300)] == [b"0", b"7", b"299", None]
        assert dict(now.proven.scan(b"a/1", limit=5)) == dict(now.view.scan(b"a/1", limit=5))
        assert now.proven.index_get(b"due/x") == b"1"
        assert list(now.proven.index_scan(b"due/")) == [(b"due/x", b"1")]
        commit(database, 2, {b"a/7": b"later"})
        assert now.proven.get(b"a/8") == b"8"  # of the height that is pinned


@dataclass
class Liar:
    """Says what it is told to say."""

    value: bytes | None
    proof: bytes
    scanned: list[tuple[bytes, bytes]] = field(default_factory=list)

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        del key
        return self.value, self.proof

    def scan(self, *_: object) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.scanned)

    def get(self, key: bytes) -> NoReturn:
        raise AssertionError(key)

    index_get = get

    def index_scan(self, *_: object) -> NoReturn:
        raise AssertionError


def test_what_is_not_proved_is_not_believed(database: StateDB) -> None:
    commit(database, 1, {b"a": b"old", b"b": b"1", b"c": b"2"})
    old, old_root = database.prove(b"a", 1), database.app_hash
    commit(database, 2, {b"a": b"new", b"d": b"3"})
    here, there = database.prove(b"a", 2), database.prove(b"b", 2)
    absent, root = database.prove(b"e", 2), database.app_hash
    assert ProvenView(Liar(b"new", here.proof), root, 2).get(b"a") == b"new"
    assert ProvenView(Liar(b"old", old.proof), old_root, 1).get(b"a") == b"old"
    assert ProvenView(Liar(None, absent.proof), root, 2).get(b"e") is None
    lies = [
        (b"a", b"old", here.proof), (b"a", b"old", old.proof), (b"a", b"1", there.proof), (b"a", None, here.proof),
        (b"a", None, absent.proof), (b"e", b"", absent.proof), (b"a", b"new", b""), (b"a", None, b""),
        (b"a", b"new", here.proof[:-1]),
    ]  # fmt: skip
    for key, value, proof in lies:
        with pytest.raises(StateNotProved) as caught:
            ProvenView(Liar(value, proof), root, 2).get(key)
        assert isinstance(caught.value, NotVerified)
        assert (caught.value.key, caught.value.height, caught.value.step) == (key, 2, "proof")
        assert caught.value.hint
    with pytest.raises(StateNotProved):
        ProvenView(Liar(None, b""), EMPTY_HASH, 1).get(b"a")
    with pytest.raises(StateNotProved):
        list(ProvenView(Liar(b"new", here.proof, [(b"a", b"old")]), root, 2).scan(b"a"))


class LiarOfMany(Liar):
    """The same of each of several, and counts how often it is asked."""

    asked: tuple[int, ...] = ()

    def prove_all(self, keys: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
        self.asked += (len(keys),)
        return [self.prove(key) for key in keys]


def test_several_leaves_are_asked_for_at_once_and_each_is_proved(database: StateDB) -> None:
    commit(database, 1, {b"a": b"1", b"b": b"1"})
    here, root = database.prove(b"a", 1), database.app_hash
    prover = LiarOfMany(b"1", here.proof)
    view = ProvenView(prover, root, 1)
    view.prove_ahead([b"a", b"a"])
    view.prove_ahead([b"a"])
    assert view.get(b"a") == b"1"
    assert prover.asked == (1,)
    view.prove_ahead([b"b"])
    with pytest.raises(StateNotProved):  # what was not proved is not kept
        view.get(b"b")
    alone = ProvenView(Liar(b"1", here.proof), root, 1)
    alone.prove_ahead([b"b"])  # it answers one question at a time: none is asked before it must be
    assert alone.get(b"a") == b"1"


def test_a_socket_proves_many_leaves_of_the_state_that_is_pinned(database: StateDB, path: Path) -> None:
    commit(database, 1, {b"a/%d" % n: b"%d" % n for n in range(300)})
    keys = [b"a/%d" % n for n in range(100)] + [b"none"]
    with application(path, database), StateClient(path).pin() as now:
        assert isinstance(now.proven, ProvenView)
        now.proven.prove_ahead(keys)
        commit(database, 2, {b"a/7": b"later"})
        assert [now.proven.get(key) for key in keys] == [b"%d" % n for n in range(100)] + [None]


# --- the jobs -------------------------------------------------------------------------------------------------------
class Unproved:
    """A view whose leaves nothing proves; its index, which no proof is of, is the state's."""

    def __init__(self, state: StateView) -> None:
        self.index_get = state.index_get
        self.index_scan = state.index_scan

    def get(self, key: bytes) -> NoReturn:
        raise StateNotProved(key, 1, "nothing is")

    def scan(self, *_: object) -> NoReturn:
        raise StateNotProved(b"", 1, "nothing is")


class Counting:
    """The state, which keeps the keys of the leaves that were read."""

    def __init__(self, state: StateView) -> None:
        self.leaves: set[bytes] = set()
        self._state = state
        self.index_get = state.index_get
        self.index_scan = state.index_scan

    def get(self, key: bytes) -> bytes | None:
        self.leaves.add(key)
        return self._state.get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._state.scan(prefix, after, limit):
            self.leaves.add(key)
            yield key, value


def with_proven(tools: Tools, proven: StateView) -> Tools:
    """The same tools; what is proved is what ``proven`` says."""

    @contextmanager
    def pin() -> Iterator[Pinned]:
        with tools.pin() as now:
            yield replace(now, proven=proven)

    return replace(tools, pin=pin)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    made.open_vault()
    return made


def placed(world: World) -> bytes:
    """An order that everybody has answered."""
    order = world.place()
    world.settle()
    return order


def release_job(world: World, founder: Actor) -> Job:
    (job,) = [job for job in world.jobs(founder) if job.kind is DueKind.FULFIL_SECRET]
    return job


def blocks_of(world: World, request: bytes) -> dict[str, bytes]:
    record = REQUESTS.get(world.chain.view, request)
    return {cid: world.blocks[cid] for cid in (record.keys_cid, world.order(record.order).envelope_cid)}


def closed_vault(world: World, founder: Actor) -> Job:
    limits = params(world.chain.view)
    assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=world.vault)).code == 0
    for _ in range(limits.close_vault_delay_blocks):
        world.chain.block(seconds=limits.close_vault_delay_s)
    (job,) = world.jobs(founder)
    assert job.kind is DueKind.ERASE_VAULT
    return job


def test_every_kind_of_job_that_releases_or_destroys_something_wants_its_leaves_proved(world: World) -> None:
    """Whoever adds a kind decides which it is: FREE, or here."""
    most_proofs: dict[DueKind, int] = {}

    def want_proof(job: Job, tools: Tools, blocks: dict[str, bytes], state: StateView) -> None:
        if job.kind in FREE:
            return
        with pytest.raises(StateNotProved):
            perform(job, with_proven(tools, Unproved(state)), blocks)
        counting = Counting(state)
        assert job.kind is not DueKind.ERASE_VAULT or holds_vault_key()
        perform(job, with_proven(tools, counting), blocks)
        most_proofs[job.kind] = max(most_proofs.get(job.kind, 0), len(counting.leaves))

    def holds_vault_key() -> bool:
        return world.keystores[founder.identity].has_prf_key(labels.vault(world.chain.gid, world.vault))

    founder, view = world.chain.founders[0], world.chain.view
    request = world.request(placed(world))
    want_proof(release_job(world, founder), world.tools[founder.identity], blocks_of(world, request), view)
    world.settle()
    assert world.chain.run(world.principal, tx_pb2.CloseOrder(order=REQUESTS.get(view, request).order)).code == 0

    together = consortium(3)
    together.behave = lambda actor, job, message: (
        want_proof(job, together.tools(actor), {}, together.chain.view), message
    )[1]  # fmt: skip
    authority = together.make()
    together.reshare(authority)
    together.run(authority)
    signing = extraction_pb2.PlaceSigningOrder(
        nonce=bytes(32), authority=authority, kind="note", message=b"hello", names=4
    )
    result = together.chain.run(together.chain.founders[0], signing)
    for actor in together.chain.founders[1:]:
        asked = REQUESTS.get(together.chain.view, result.data)
        if asked.status == custody_pb2.REQUEST_STATUS_PENDING:
            decision = tx_pb2.ApproveRequest(request=asked.id, content_digest=asked.content_digest)
            assert together.chain.run(actor, decision).code == 0
    together.step()

    realm = realms.fresh_world()
    realm.do(realm.registrar, realm.enrol_message(realms.client(1)))
    member, chain = realm.chain.founders[0], realm.chain
    share = SecretScalar(realm.dealt.shares[member.identity][1])
    store = MemoryKeystore(member)

    @contextmanager
    def pin() -> Iterator[Pinned]:
        yield Pinned(chain.view, chain.height, chain.time_s, chain.view)

    tools = Tools(member.identity, chain.gid, Loaded({}, {}), lambda: store, pin, lambda *_: share)
    for job in plan(chain.view, member.identity, chain.time_s, chain.height + 1):
        want_proof(job, tools, {}, chain.view)

    want_proof(closed_vault(world, founder), world.tools[founder.identity], {}, world.chain.view)
    assert not holds_vault_key()
    assert set(most_proofs) == {*DueKind} - FREE
    assert all(1 <= proofs <= MOST_PROOFS for proofs in most_proofs.values()), most_proofs


def test_a_veto_that_the_store_lost_still_stops_a_release(world: World) -> None:
    request = world.request(placed(world))
    founder = world.chain.founders[0]
    job, blocks = release_job(world, founder), blocks_of(world, request)
    vetoed = Overlay(world.chain.view)
    record = REQUESTS.get(vetoed, request)
    record.status = custody_pb2.REQUEST_STATUS_VETOED
    REQUESTS.put(vetoed, record, request)
    tools = world.tools[founder.identity]
    with pytest.raises(NotDue):
        perform(job, with_proven(tools, vetoed), blocks)
    assert isinstance(perform(job, tools, blocks), tx_pb2.FulfilSecret)


def test_a_vault_that_was_opened_again_is_not_erased_whatever_the_index_says(world: World) -> None:
    """Cancelled and closed again: the entry of the first time says that it is due, the record that it is not yet."""
    founder = world.chain.founders[0]
    assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=world.vault)).code == 0
    stale = Overlay(world.chain.view)
    due.add(stale, founder.identity, DueKind.ERASE_VAULT, world.vault)
    assert DUE.find(stale, founder.identity, DueKind.ERASE_VAULT, world.vault) == u64(0) + u64(0)
    assert VAULTS.get(stale, world.vault).status == custody_pb2.VAULT_STATUS_CLOSING

    @contextmanager
    def pin() -> Iterator[Pinned]:
        yield Pinned(stale, world.chain.height, world.chain.time_s, stale)

    tools, erase = replace(world.tools[founder.identity], pin=pin), Job(DueKind.ERASE_VAULT, world.vault)
    assert fault_of(lambda: perform(erase, tools, {}), CannotAnswer) is Obstacle.VAULT_IN_USE
    assert world.keystores[founder.identity].has_prf_key(labels.vault(world.chain.gid, world.vault))


def test_no_key_of_a_ceremony_is_destroyed_unless_it_is_proved_to_be_over() -> None:
    together = consortium(3)
    actor = together.chain.founders[0]
    reap, together.reap = together.reap, lambda: None  # type: ignore[method-assign]
    authority = together.make()
    store = together.keystores[actor.identity]
    held = store.labels()
    assert labels.deal(together.chain.gid, together.authority(authority).last_ceremony) in held

    reaper = together.reaper(actor)
    whole = reaper.pin

    @contextmanager
    def pin() -> Iterator[Pinned]:
        with whole() as now:
            yield replace(now, proven=Unproved(now.view))

    reaper.pin = pin
    with pytest.raises(StateNotProved):
        reaper.reap(store)
    assert store.labels() == held
    reap()
    assert len(store.labels()) < len(held)
