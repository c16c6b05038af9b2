"""An application whose store lost something says old things: the agent acts on none of them, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hooks_harness import SECRET, World, make_world
from test_hooks_runner import Node

from abci_app.authority.ceremonies import DUE_OF
from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.hashing import u64
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.overlay import Overlay
from abci_app.state.records import CHAIN, EXTRACTIONS, IDENTITIES, REQUESTS
from abci_app.state.view import StateView
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.base.errors import Unreachable
from dta.hsm import labels
from dta.node.agent.jobs import owed_of, perform
from dta.node.agent.ledger import AgentLedger
from dta.node.agent.proving import ProvenView, StateNotProved
from dta.node.hooks.errors import NotDue
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Pinned, Tools
from tests.support.ceremonies import Consortium, consortium
from tests.support.chain import Chain
from tests.support.refusals import TAKEN
from tests.support.tree import changes


@dataclass
class Application:
    """Says of leaves and indexes what ``says`` has, and proves what it can: by ``tree``, under ``root``."""

    says: StateView
    tree: StateDB
    root: bytes
    questions: list[int] = field(default_factory=list)
    """How many leaves each asked for."""

    @classmethod
    def of(cls, says: StateView, decided: StateView) -> Application:
        """``decided`` is what the ledger decided: what its root says."""
        tree = StateDB(MemoryStore())
        tree.commit(tree.stage(1, changes(dict(decided.scan(b"")))))
        return cls(says, tree, tree.app_hash)

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        self.questions.append(1)
        return self._proof(key)

    def prove_all(self, keys: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
        self.questions.append(len(keys))
        return [self._proof(key) for key in keys]

    def _proof(self, key: bytes) -> tuple[bytes | None, bytes]:
        return self.says.get(key), self.tree.prove(key, self.tree.height).proof

    def get(self, key: bytes) -> bytes | None:
        return self.says.get(key)

    def index_get(self, key: bytes) -> bytes | None:
        return self.says.index_get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self.says.scan(prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self.says.index_scan(prefix, after, limit)


Lie = Callable[[StateView, bytes], Application]


def reading(tools: Tools, pinned: Callable[[Pinned], Pinned]) -> Tools:
    """The same tools; what they pin goes through ``pinned``."""

    @contextmanager
    def pin() -> Iterator[Pinned]:
        with tools.pin() as now:
            yield pinned(now)

    return replace(tools, pin=pin)


def of_application(found: Application) -> Callable[[Pinned], Pinned]:
    return lambda now: replace(now, view=found.says, proven=ProvenView(found, found.root, now.height))


def vetoed(view: StateView, request: bytes) -> Overlay:
    """The state of ``view``, but that the request was vetoed."""
    overlay = Overlay(view)
    record = REQUESTS.get(overlay, request)
    record.status = custody_pb2.REQUEST_STATUS_VETOED
    REQUESTS.put(overlay, record, request)
    return overlay


# --- a leaf, a missing leaf, a root ---------------------------------------------------------------------------------
def a_wrong_leaf(view: StateView, request: bytes) -> Application:
    """The veto is what the store lost."""
    return Application.of(view, vetoed(view, request))


def a_leaf_that_the_ledger_does_not_have(view: StateView, request: bytes) -> Application:
    """The request was never made: its leaf is left of a block that is another one now."""
    decided = Overlay(view)
    decided.delete(REQUESTS.key(request))
    return Application.of(view, decided)


def a_stale_root(view: StateView, request: bytes) -> Application:
    """What it proves follows from a root that is not the one of the height that was pinned."""
    old = Application.of(view, view)
    now = StateDB(MemoryStore())
    now.commit(now.stage(1, changes(dict(vetoed(view, request).scan(b"")))))
    return replace(old, root=now.app_hash)


@pytest.mark.parametrize("lie", [a_wrong_leaf, a_leaf_that_the_ledger_does_not_have, a_stale_root])
def test_an_agent_releases_nothing_on_what_is_not_proved_and_says_so(tmp_path: Path, lie: Lie) -> None:
    async def scenario() -> None:
        world = make_world(tmp_path, fiduciaries=1)
        world.open_vault()
        order = world.place(world.prepare(threshold=1))
        world.settle()
        request = world.request(order)
        node = Node(world, 0, tmp_path / "outbox")
        node.tools = reading(node.tools, of_application(lie(world.chain.view, request)))
        node.start()
        await node.tick()
        assert node.sent == []
        assert list((tmp_path / "outbox").iterdir()) == []
        (error,) = node.runner.status()["errors"]  # type: ignore[misc]
        assert error["kind"] == "fulfil_secret"  # type: ignore[index]
        assert "does not prove the leaf" in error["error"]  # type: ignore[index]
        assert not error["given_up"]  # type: ignore[index]
        # Whole again, it is answered.
        whole = world.tools[node.founder.identity]
        node.tools = reading(whole, of_application(Application.of(world.chain.view, world.chain.view)))
        node.start()
        await node.tick()
        assert node.mine() == [TAKEN]
        assert world.recover(request).secret == SECRET

    asyncio.run(scenario())


def released(world: World) -> tuple[bytes, Job, dict[str, bytes]]:
    """A request that the one fiduciary owes an answer; its job, and the blocks that it takes."""
    world.open_vault()
    order = world.place(world.prepare(threshold=1))
    world.settle()
    request = world.request(order)
    (job,) = world.jobs(world.chain.founders[0])
    record = REQUESTS.get(world.chain.view, request)
    return request, job, {cid: world.blocks[cid] for cid in (record.keys_cid, world.order(order).envelope_cid)}


def test_a_leaf_that_is_missing_stops_a_release(tmp_path: Path) -> None:
    world = make_world(tmp_path, fiduciaries=1)
    founder = world.chain.founders[0]
    _, job, blocks = released(world)
    says = Overlay(world.chain.view)
    says.delete(IDENTITIES.key(world.principal.identity))
    tools = world.tools[founder.identity]
    lying = reading(tools, of_application(Application.of(says, world.chain.view)))
    with pytest.raises(StateNotProved):
        perform(job, lying, blocks)
    assert isinstance(perform(job, tools, blocks), tx_pb2.FulfilSecret)


def test_what_a_release_rests_on_is_one_question_and_what_is_signed_together_another(tmp_path: Path) -> None:
    world = make_world(tmp_path, fiduciaries=1)
    _, job, blocks = released(world)
    found = Application.of(world.chain.view, world.chain.view)
    tools = reading(world.tools[world.chain.founders[0].identity], of_application(found))
    assert isinstance(perform(job, tools, blocks), tx_pb2.FulfilSecret)
    assert found.questions == [5], "request, order, beneficiary, vault and principal"
    found.questions.clear()
    with tools.pin() as now:
        assert owed_of([job, job], tools, now) == [None, None]
    assert found.questions == [3]


def test_a_leaf_that_is_not_proved_takes_nothing_from_the_others_of_its_question(tmp_path: Path) -> None:
    world = make_world(tmp_path, fiduciaries=1)
    request, job, _ = released(world)
    tools = world.tools[world.chain.founders[0].identity]
    gone = Job(job.kind, bytes(32))
    found = a_wrong_leaf(world.chain.view, request)
    with reading(tools, of_application(found)).pin() as now:
        wrong, missing = owed_of([job, gone], tools, now)
    assert isinstance(wrong, StateNotProved)
    assert isinstance(missing, NotDue)
    assert found.questions == [4, 1], "the one that was not proved is asked for again"


def test_a_share_is_sealed_to_the_keys_that_the_proved_request_names(tmp_path: Path) -> None:
    """The digest of the receiver's key is of proved state too, and so is the block that has the key."""
    world = make_world(tmp_path, fiduciaries=1)
    founder = world.chain.founders[0]
    request, job, blocks = released(world)

    def with_record(**fields: object) -> StateView:
        overlay = Overlay(world.chain.view)
        changed = REQUESTS.get(overlay, request)
        changed.MergeFrom(custody_pb2.RequestRecord(**{"keys_cid": changed.keys_cid} | fields))  # type: ignore[arg-type]
        if "key_digests" in fields:
            del changed.key_digests[:]
            changed.key_digests.extend(fields["key_digests"])  # type: ignore[arg-type]
        REQUESTS.put(overlay, changed, request)
        return overlay

    tools = world.tools[founder.identity]
    others = with_record(key_digests=[bytes(32)])
    made = perform(job, reading(tools, lambda now: replace(now, view=others)), blocks)
    assert world.recover(request, {founder.identity: made.sealed}).secret == SECRET  # type: ignore[attr-defined]
    elsewhere = with_record(keys_cid="another")
    with pytest.raises(NotDue):
        perform(job, reading(tools, lambda now: replace(now, proven=elsewhere)), blocks)


# --- what waits in the outbox ---------------------------------------------------------------------------------------
def _unreachable(tx: bytes) -> None:
    raise Unreachable("no answer")


@pytest.mark.parametrize(
    "refuse", [_unreachable, lambda _: TxResult(Code.NOT_DUE), lambda _: TxResult(Code.ALREADY_DONE)],
    ids=["unreachable", "not-due", "already-done"],
)  # fmt: skip
@pytest.mark.parametrize("restarted", [True, False])
def test_what_was_made_and_taken_by_nobody_stays_here_once_proved_state_does_not_want_it(
    tmp_path: Path, refuse: Callable[[bytes], TxResult | None], restarted: bool
) -> None:
    async def scenario() -> None:
        world = make_world(tmp_path, fiduciaries=1)
        world.open_vault()
        order = world.place(world.prepare(threshold=1))
        world.settle()
        request = world.request(order)
        node = Node(world, 0, tmp_path / "outbox")
        node.refuse = refuse
        await node.tick()
        (waiting,) = node.sent  # made, kept, and taken by nobody
        node.refuse = lambda _: None
        veto = vetoed(world.chain.view, request)
        honest = world.tools[node.founder.identity]

        async def look(tools: Tools) -> None:
            node.tools = node.runner._tools = tools
            if restarted:
                node.start()
            await node.tick(60.0)

        for unsure in (lambda now: replace(now, proven=veto), of_application(a_wrong_leaf(world.chain.view, request))):
            await look(reading(honest, unsure))
            assert node.sent == [waiting]
        await look(honest)
        assert node.sent == [waiting, waiting]

    asyncio.run(scenario())


# --- an index is in no tree -----------------------------------------------------------------------------------------
def falsely_due(view: StateView, fiduciary: bytes, job: Job) -> Overlay:
    overlay = Overlay(view)
    due.add(overlay, fiduciary, job.kind, job.subject)
    assert DUE.find(overlay, fiduciary, job.kind, job.subject) == u64(0) + u64(0)
    return overlay


def lying_tools(world: Consortium, number: int, job: Job) -> Tools:
    actor = world.chain.founders[number]
    lie = falsely_due(world.chain.view, actor.identity, job)
    return reading(world.tools(actor), lambda now: replace(now, view=lie, proven=lie))


def test_an_index_that_says_too_early_that_a_partial_is_due_releases_none() -> None:
    world = consortium(3)
    authority = world.make()
    signing = extraction_pb2.PlaceSigningOrder(
        nonce=bytes(32), authority=authority, kind="note", message=b"hello", names=4
    )
    request = world.chain.run(world.chain.founders[0], signing).data
    for actor in world.chain.founders[1:]:
        asked = REQUESTS.get(world.chain.view, request)
        if asked.status == custody_pb2.REQUEST_STATUS_PENDING:
            approval = tx_pb2.ApproveRequest(request=asked.id, content_digest=asked.content_digest)
            assert world.chain.run(actor, approval).code == 0
    job = Job(DueKind.SUBMIT_UNBLINDED, request)
    assert perform(job, world.tools(world.chain.founders[0]), {}).request == request  # type: ignore[attr-defined]
    for late in ({"from_time_s": world.chain.time_s + 1}, {"from_height": world.chain.height + 2}):
        later = Overlay(world.chain.view)
        record = EXTRACTIONS.get(later, request)
        for name, value in late.items():
            setattr(record, name, value)
        EXTRACTIONS.put(later, record, request)
        tools = reading(
            world.tools(world.chain.founders[0]), lambda now, later=later: replace(now, view=later, proven=later)
        )
        with pytest.raises(NotDue):
            perform(job, tools, {})


def test_an_index_that_names_another_phase_of_a_ceremony_makes_no_node_do_anything() -> None:
    world = consortium(3)
    authority = world.make()
    ceremony = world.authority(authority).last_ceremony
    store = world.keystores[world.chain.founders[0].identity]
    held = store.labels()
    for kind in {*DUE_OF.values()} - {None}:
        job = Job(kind, ceremony)  # type: ignore[arg-type]
        with pytest.raises(NotDue):
            perform(job, lying_tools(world, 0, job), {})
    assert store.labels() == held
    assert labels.deal(world.chain.gid, ceremony) not in held


def test_who_has_dealt_makes_no_second_deal_key_whatever_the_index_says() -> None:
    world = consortium(3)
    authority = world.create(*world.chain.founders)
    world.consent(authority)
    phase = authority_pb2.CEREMONY_PHASE_DEAL
    ceremony = world.to_phase(authority, phase)
    world.down.append(world.chain.founders[2])
    world.step()
    assert world.ceremony(ceremony.id).phase == phase
    actor = world.chain.founders[0]
    assert labels.deal(world.chain.gid, ceremony.id) not in world.keystores[actor.identity].labels()
    job = Job(DueKind.DEAL_SHARES, ceremony.id)
    with pytest.raises(NotDue):
        perform(job, lying_tools(world, 0, job), {})
    assert labels.deal(world.chain.gid, ceremony.id) not in world.keystores[actor.identity].labels()


def test_the_genesis_id_that_is_in_every_label_and_proof_is_read_proved(tmp_path: Path) -> None:
    chain = Chain(1)
    says = Overlay(chain.view)
    record = CHAIN.get(says)
    record.gid = bytes(32)
    CHAIN.put(says, record)
    lying = Application.of(says, chain.view)

    @contextmanager
    def pin() -> Iterator[Pinned]:
        yield of_application(lying)(Pinned(chain.view, chain.height, chain.time_s, chain.view))

    home = SimpleNamespace(chain_id=record.chain_id, state_socket=tmp_path / "none", max_state_age_s=60)
    ledger = AgentLedger(home)  # type: ignore[arg-type]
    ledger.client.pin = pin  # type: ignore[method-assign]
    with pytest.raises(StateNotProved):
        ledger._read_gid()
    lying = Application.of(chain.view, chain.view)
    assert ledger._read_gid() == chain.gid
