"""A schedule: a few nodes, some blocks, everything that can go wrong between them; decided by one seed.

What must hold: all nodes make the same of every block (results, events, app hash), whatever they remember and
whenever they execute it; a proposal of one node is acceptable to all; a block that follows no rule changes nothing
but by the rules; and at its end indexes and counts are those that leaves say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from google.protobuf.message import DecodeError

from abci_app.block import Block, Event, Misbehaviour, Time, TxResult
from abci_app.codes import CODES, Code
from abci_app.events import SIGNED
from abci_app.messages.registry import EVENTS, SPECS
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state import due, records
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, RESTARTS, UNSIGNED
from dta.node.hooks.plan import Job
from tests.sim import ceremonies, governance, releases
from tests.sim.answering import answers_in
from tests.sim.moves import Moves
from tests.sim.prelude import VARIANTS, Prelude, prelude
from tests.sim.rebuild import differences, undeclared
from tests.sim.replica import Decided, Replica
from tests.sim.told import Told

# In these what is due is answered: bytes that the ledger refused are made anew, and there is room for all.
SETTLING_BLOCKS = 5


class Divergence(AssertionError):
    """Two nodes, or a node and the rules, disagree."""


@dataclass
class Run:
    """What a schedule did. ``codes`` counts results by code, ``actions`` events by kind and action.

    ``early``: results that a node admitted before they were due; ``partly``: bundles of which some results failed and
    some did not; ``spoilt``: bundles that were refused for their shape. ``told``: how an agent followed, as
    :class:`tests.sim.told.Told` counts it.
    """

    seed: int
    variant: int
    blocks: list[Block] = field(default_factory=list)
    app_hashes: list[bytes] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    early: int = 0
    partly: int = 0
    spoilt: int = 0
    told: Counter[str] = field(default_factory=Counter)


def bundle_in(tx: bytes) -> tx_pb2.SubmitResults | None:
    """The bundle that a transaction is; None where it is something else, or no transaction."""
    try:
        body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    except DecodeError:
        return None
    return body.submit_results if body.HasField("submit_results") else None


class Schedule:
    """One run of :class:`Replica` nodes under ``seed``."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.run_ = Run(seed, self.rng.randrange(VARIANTS))
        self.start: Prelude = prelude(self.run_.variant)
        self.moves = Moves(self.rng, self.start)
        self.nodes = [Replica(name, self.start) for name in range(self.rng.randint(2, 4))]
        self.time = self.start.blocks[-1].time
        self.height = self.start.blocks[-1].height
        self.decided: dict[int, Decided] = {}
        self.turns = releases.Turns()
        self.told = self._agent(Random(f"told {seed}"))
        self.answered: set[Job] = set()

    def _agent(self, rng: Random) -> Told:
        """An agent of one fiduciary at one node. ``rng`` is its own: what it does is no matter of the moves' chance."""
        fiduciary = rng.choice(self.moves.fiduciaries)
        self.moves.by_itself = fiduciary.identity
        return Told(
            rng, rng.sample(self.nodes, len(self.nodes)), self.start.gid, fiduciary,
            lambda view, job: self.moves.said(view, fiduciary, job.kind, job.subject),
        )  # fmt: skip

    def run(self) -> Run:
        """Run to the end. Raises :class:`Divergence`, or whatever a node raised."""
        with self.told:
            self._run()
        self.run_.early = sum(node.early for node in self.nodes)
        self.run_.app_hashes = [self.decided[block.height].app_hash for block in self.run_.blocks]
        self.run_.told = self.told.counts
        return self.run_

    def _run(self) -> None:
        length = self._length()
        for number in range(length):
            if self.told.unheard and number == length // 2:
                self._leave_behind()
            self._arrive()
            self._hand_out(self._decide())
            # One node at least keeps up; the others may lag and execute several blocks later in a row.
            for node in self.nodes:
                if node is self.nodes[0] or self.rng.random() < 0.8:
                    self._catch_up(node)
            self._require(not (wrong := self.told.look()), wrong)
            self._require(not differences(self.nodes[0].view), "; ".join(differences(self.nodes[0].view)))
            self._require(not undeclared(self.nodes[0].view), f"{undeclared(self.nodes[0].view)} are no declared keys")
        for node in self.nodes:
            self._catch_up(node)
        self._settle()

    def _settle(self) -> None:
        """Nobody does anything more but the agent: what it owes is answered, as far as anybody could answer it."""
        owed = self.told.answering.unanswered()
        for _ in range(SETTLING_BLOCKS):
            if not owed:
                return
            self._require(not (wrong := self.told.look_now(dies=False)), wrong)
            self.height += 1
            self._pass(1)
            txs = self.told.node.propose(Block(self.height, self.time), 1_000_000)
            self._hand_out(Block(self.height, self.time, tuple(txs)))
            for node in self.nodes:
                self._catch_up(node, crashes=0)
            owed &= self.told.answering.unanswered()
        left = [job for job in sorted(owed) if self.told.answering.would_count(job)]
        self._require(not left, f"an agent leaves unanswered what it could answer: {left}")

    def _leave_behind(self) -> None:
        """Many blocks of which the agent is told together at their end: most of them empty, in some things happen."""
        for node in self.nodes:
            self._catch_up(node)
        self._require(not (wrong := self.told.hears_nothing()), wrong)
        for _ in range(self.told.unheard):
            if self.told.happens(0.12):
                self._arrive()
                self._hand_out(self._decide())
            else:
                self.height += 1
                self._pass(self.rng.randrange(3))
                self._hand_out(Block(self.height, self.time))
            for node in self.nodes:
                self._catch_up(node, crashes=0.002)
        self._require(not (wrong := self.told.look_now()), wrong)

    def _hand_out(self, block: Block) -> None:
        self.run_.blocks.append(block)
        for node in self.nodes:
            node.behind.append(block)

    def _length(self) -> int:
        """How many blocks. One in twelve outlasts the least number of blocks that a proposal is open for."""
        least = self.rng.randint(4, 14)
        return least if self.rng.randrange(12) else least + 2 * len(self.start.fiduciaries) + 10

    def _arrive(self) -> None:
        """Transactions come in, each at some of the nodes."""
        leader = self.nodes[0]
        txs = [self.moves.random(leader.view, self.height, leader.time_s) for _ in range(self.rng.randrange(7))]
        if self.rng.random() < 0.85:
            txs += self.moves.results(self.rng.choice(self.nodes).view, self.height, leader.time_s)
        if self.rng.random() < 0.6:
            txs += self.moves.votes(leader.view, self.height)
        for tx in txs:
            if tx is not None:
                for node in self.nodes:
                    if self.rng.random() < 0.8:
                        node.check(tx)

    def _decide(self) -> Block:
        """The next block: proposed by a node that is up to date, or by nobody's rules at all."""
        self.height += 1
        self._pass(self.rng.choices([self.rng.randint(0, 5), self.rng.randint(10, 60), 100_000], [85, 14, 1])[0])
        empty = Block(self.height, self.time)
        kind = self.rng.random()
        if kind < 0.08:
            return empty
        if kind < 0.22:
            return Block(self.height, self.time, tuple(self._lawless()), misbehaviour=self._misbehaviour())
        proposer = self.rng.choice([node for node in self.nodes if not node.behind])
        txs = proposer.propose(empty, self.rng.choice([2_000, 20_000, 1_000_000]))
        early = proposer.not_due(txs, self.height, self.time.seconds)
        self._require(not early, f"node {proposer.name} proposes {len(early)} results that are not due")
        block = Block(self.height, self.time, tuple(txs), misbehaviour=self._misbehaviour())
        for node in self.nodes:
            if not node.behind:
                self._require(node.accepts(block), f"node {node.name} refuses the proposal of node {proposer.name}")
        return block

    def _pass(self, seconds: int) -> None:
        """Block time goes on: by a nanosecond at least."""
        now = self.time
        self.time = (
            Time(now.seconds + seconds, self.rng.randrange(10**9)) if seconds else Time(now.seconds, now.nanos + 1)
        )

    def _lawless(self) -> list[bytes]:
        """Transactions that nobody checked: some good, some seen before, some rubbish, some twice."""
        view = self.nodes[0].view
        txs = [self.moves.random(view, self.height, self.time.seconds) or b"" for _ in range(self.rng.randint(1, 8))]
        txs += self.moves.results(view, self.height, self.time.seconds)
        txs += self.rng.sample(self.moves.sent, min(3, len(self.moves.sent)))
        txs += txs[: self.rng.randrange(3)]
        self.rng.shuffle(txs)
        return txs

    def _misbehaviour(self) -> tuple[Misbehaviour, ...]:
        if self.rng.random() > 0.03:
            return ()
        return (Misbehaviour(1, self.rng.randbytes(20), self.height - 1),)

    def _catch_up(self, node: Replica, crashes: float = 0.12) -> None:
        while node.behind:
            block = node.behind.pop(0)
            quiet = not block.txs and not block.misbehaviour and not self._is_anything_due(node, block)
            made = node.finalize(block)
            if self.rng.random() < crashes:
                node.crash()
                self.run_.crashes += 1
                self._require(node.finalize(block) == made, f"node {node.name} made two things of block {block.height}")
            if self.rng.random() < 0.1:
                node.forget()
                records.PARAMS.forget_shared()
                records.CHAIN.forget_shared()
            self._compare(node, block, made, quiet)
            if node.commit(self.rng):
                kept = len(node.waits_in_vain())
                self._require(not kept, f"{kept} results that nobody waits for survive a recheck of node {node.name}")

    def _is_anything_due(self, node: Replica, block: Block) -> bool:
        """Whether a deadline has come that the sweep of this block will record."""
        for index, now in ((DEADLINE_TIME, block.time.seconds), (DEADLINE_HEIGHT, block.height)):
            for deadline, _, _ in index.entries(node.view, limit=1):
                if deadline <= now:
                    return True
        if RESTARTS.has_any(node.view) or UNSIGNED.has_any(node.view):
            return True
        if releases.may_act(node.view, block.time.seconds, block.height):
            return True
        return governance.may_act(node.view) or ceremonies.may_act(node.view, block.height)

    def _compare(self, node: Replica, block: Block, made: Decided, quiet: bool) -> None:
        before = self.decided.setdefault(block.height, made)
        self._require(before == made, f"node {node.name} differs at block {block.height}")
        if before is not made:
            return
        self._require(len(made.result.tx_results) == len(block.txs), "one result a transaction")
        unknown = [result.code for result in made.result.tx_results if result.code not in CODES]
        self._require(not unknown, f"codes {unknown} are in no table")
        self.in_block: set[Job] = set()
        for tx, result in zip(block.txs, made.result.tx_results, strict=True):
            self.run_.codes[int(result.code)] += 1
            self._count_bundle(tx, result)
            self._count_answers(node, block, answers_in(tx, result, self.told.fiduciary))
            self._count(result.events)
            if result.code == 0:
                self.moves.committed(tx)
        self._count(made.result.events)
        self._require(not (unfair := self.turns.unfair(node.view, made.result)), unfair)
        self._require(29 not in self.run_.codes, "a defect of ours became code FAILED")
        if quiet:
            kept = [key for key, value in made.result.changes.leaves if value is not None]
            self._require(not kept, "a block with nothing in it and nothing due changed a leaf")

    def _count_bundle(self, tx: bytes, result: TxResult) -> None:
        """What became of each result in a bundle: its codes are in the table too, and each was charged."""
        bundle = bundle_in(tx)
        if bundle is None:
            return
        if result.code:
            self._require(not result.events, "a bundle that was refused leaves no event")
            self.run_.spoilt += result.code == Code.MALFORMED
            return
        outcomes = tx_pb2.ResultOutcomes.FromString(result.data).outcomes
        self._require(len(outcomes) == len(bundle.results), "one outcome a result")
        self._require(result.gas_used == SPECS["submit_results"].cost(bundle), "what failed in a bundle is charged too")
        codes = [one.code for one in outcomes]
        self._require(all(code in CODES for code in codes), f"codes {codes} are in no table")
        self.run_.codes.update(codes)
        self.run_.partly += 0 in codes and any(codes)

    def _count_answers(self, node: Replica, block: Block, jobs: list[Job]) -> None:
        """What the agent's fiduciary answered in ``block``, by the state before it: nothing twice."""
        for job in jobs:
            is_new = job not in self.answered or due.is_due(
                node.view, self.told.fiduciary, job.kind, job.subject, block.time.seconds, block.height
            )
            self._require(is_new and job not in self.in_block, f"{job} is answered twice")
            self.answered.add(job)
            self.in_block.add(job)

    def _count(self, events: tuple[Event, ...]) -> None:
        for event in events:
            action = dict(event.attributes)["action"]
            self.run_.actions[f"{event.kind} {action}"] += 1
            signed = event.kind == SIGNED.kind and action.replace("-", "_") in SPECS
            self._require(signed or any(one.includes(event) for one in EVENTS), f"no such event is declared: {event}")

    def _require(self, condition: bool, what: str) -> None:
        if not condition:
            raise Divergence(f"seed {self.run_.seed}: {what}")


def run_schedule(seed: int) -> Run:
    """Run one schedule. What it raises names the seed: ``python -m tests.sim --seed SEED`` runs it again."""
    try:
        return Schedule(seed).run()
    except Divergence:
        raise
    except Exception as error:
        raise Divergence(f"seed {seed}: {type(error).__name__}: {error}") from error
