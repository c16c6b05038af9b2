"""One fiduciary's results, made of what its agent was told is due: kept, sent and renewed by the agent's own code.

The agent's outbox, its bundles, its attempts and its submission are the real ones. Only what a result says is made
here: no token is asked. Its process is killed between saving and sending, and between sending and the block; its files
are what stays.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.message import Message

from abci_app.block import TxResult
from abci_app.messages.registry import SPECS
from abci_app.messages.submit_results import RESULTS
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.view import StateView
from dta.base.errors import DtaError
from dta.client.ledger.tx import SignedBytes
from dta.custodians.registry import Loaded
from dta.node.agent.attempts import Attempts, JobState
from dta.node.agent.due import Reads
from dta.node.agent.submission import Submission
from dta.node.hooks.bundle import jobs_of
from dta.node.hooks.errors import NotDue, Retry
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.owed import Planned
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Tools, require_due
from tests.sim.moves import is_of_a_ceremony
from tests.sim.replica import Replica
from tests.support.actors import Actor, body_bytes, signed_tx
from tests.support.chain import CHAIN_ID

RENEW_BLOCKS = 2
EXPIRY_BLOCKS = 12
_RESULTS = {spec.message.DESCRIPTOR.full_name for spec in (SPECS["submit_results"], *RESULTS.values())}
Says = Callable[[StateView, Job], Message]


def answers_in(tx: bytes, result: TxResult, fiduciary: bytes) -> list[Job]:
    """What of ``fiduciary``'s (32 bytes) a transaction answered that is in a block with this result."""
    if result.code:
        return []
    signed = tx_pb2.SignedTx.FromString(tx)
    body = tx_pb2.TxBody.FromString(signed.body)
    message = getattr(body, body.WhichOneof("message") or "")
    if signed.signer != fiduciary or (message.DESCRIPTOR.full_name not in _RESULTS):
        return []
    jobs = jobs_of(message)
    if not isinstance(message, tx_pb2.SubmitResults):
        return jobs
    outcomes = tx_pb2.ResultOutcomes.FromString(result.data).outcomes
    return [job for job, outcome in zip(jobs, outcomes, strict=True) if not outcome.code]


class Killed(BaseException):
    """The process is gone, with all that it had not written."""


class Answering:
    """The part of ``fiduciary``'s agent that sends results, at the first of ``nodes``. ``says``: what a result says.

    ``counts``: what was made, sent, some of it ``together``, sent again, renewed, and how often the process was killed
    before and after it was sent.
    """

    def __init__(
        self, rng: Random, nodes: list[Replica], gid: bytes, fiduciary: Actor, state: Reads, says: Says,
        counts: Counter[str],
    ) -> None:  # fmt: skip
        self.rng = rng
        self.nodes = nodes
        self.says = says
        self.counts = counts
        self._fiduciary = fiduciary
        self._gid = gid
        self._files = TemporaryDirectory(prefix="outbox-")
        self._tools = Tools(fiduciary.identity, gid, Loaded({}, {}), lambda: _Key(fiduciary), state.pin)  # type: ignore[arg-type,return-value]
        self.start()

    def start(self) -> None:
        """A new process: it has its files and nothing else."""
        self._is_dead = False
        self._states: dict[Job, JobState] = {}
        self._outbox = Outbox(Path(self._files.name), self._fiduciary.identity, CHAIN_ID, self._gid)

    def close(self) -> None:
        """Let its files go."""
        self._files.cleanup()

    async def act(self, planned: Planned, *, dies: bool = True) -> bool:
        """One attempt at each job that is due. False where the process was killed: it has to be started again."""
        jobs = frozenset(job for job in planned.jobs if not is_of_a_ceremony(job.kind))
        self._outbox.keep_only(jobs)
        self._states = {job: self._states.get(job) or JobState(job, 0.0, 0.0) for job in sorted(jobs)}
        threads = _AtOnce()
        submission = Submission(
            self._tools, self._outbox, threads, self._broadcast, CHAIN_ID, expiry_blocks=EXPIRY_BLOCKS,
            gather_s=600.0, repeat_s=1.0, monotonic_s=lambda: 0.0, salt=lambda: self.rng.randbytes(16),
        )  # fmt: skip
        attempts = _Attempts(
            lambda: self._tools, self, self._outbox, submission, threads, threads, token_threads=1,  # type: ignore[arg-type]
            unhurried=asyncio.Semaphore(1), envelope_wait_s=0, envelope_attempts=1, renew_blocks=RENEW_BLOCKS,
        )  # fmt: skip
        attempts.agent, self._dies = self, dies
        tasks = [asyncio.create_task(self._attempt(attempts, state, planned.height)) for state in self._states.values()]
        found = await asyncio.gather(*tasks)
        await submission.close()
        await attempts.close()
        if not all(found):
            return False
        if dies and tasks and self.rng.random() < 0.15:
            self.counts["killed after sending"] += 1
            return False
        return True

    async def _attempt(self, attempts: _Attempts, state: JobState, height: int) -> bool:
        try:
            with suppress(NotDue, Retry, DtaError):
                await attempts.make(state, height)
        except Killed:
            return False
        return True

    def dies_here(self) -> bool:
        """Whether the process is gone before this is sent: with it, all that was to be sent after it."""
        if self._dies and not self._is_dead and self.rng.random() < 0.1:
            self.counts["killed before sending"] += 1
            self._is_dead = True
        return self._is_dead

    def unanswered(self) -> frozenset[Job]:
        """What is due by a scan of state, and the agent here answers."""
        node = self.nodes[0]
        found = plan(node.view, self._fiduciary.identity, node.time_s, node.height + 1)
        return frozenset(job for job in found if not is_of_a_ceremony(job.kind))

    def would_count(self, job: Job) -> bool:
        """Whether an answer that is made now, of state alone, is taken by the next block."""
        node = self.nodes[0]
        message = self.says(node.view, job)
        body = body_bytes(CHAIN_ID, message, node.height + 2, self.rng.randbytes(16), node.height)
        tx = signed_tx(self._gid, self._fiduciary.identity, self._fiduciary.node_key, body)
        return node.result_of(tx).code == 0

    async def _broadcast(self, tx: bytes) -> tuple[int, str]:
        node, *others = self.nodes
        if tx in node.pool:
            self.counts["sent again"] += 1
            return 0, ""
        result = node.check(tx)
        if not result.code:
            self.counts["sent"] += 1
            self.counts["together"] += len(jobs_of(SignedBytes.parse(tx, self._gid).message())) > 1
            for other in others:
                if self.rng.random() < 0.8:
                    other.check(tx)
        return int(result.code), ""


class _Attempts(Attempts):
    """The agent's, but for what asks a token: that is ``says``. It dies of what is saved and not sent, now and then."""

    agent: Answering

    async def _message(self, state: JobState) -> Message:
        self.agent.counts["made"] += 1
        with self._tools().pin() as now:
            require_due(state.job, self._tools(), now)
            return self.agent.says(now.view, state.job)

    async def _kept(self, state: JobState, height: int) -> SignedBytes | Message | None:
        kept = await super()._kept(state, height)
        self.agent.counts["renewed"] += isinstance(kept, Message)
        return kept

    async def _send(self, state: JobState, tx: SignedBytes) -> None:
        if self.agent.dies_here():
            raise Killed
        await super()._send(state, tx)


class _AtOnce(ThreadPoolExecutor):
    """No thread: what is submitted is done by then, so that a seed is one schedule."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


@dataclass
class _Key:
    """A keystore that has the node key alone."""

    fiduciary: Actor

    def sign(self, label: object, message: bytes) -> bytes:
        del label
        return self.fiduciary.node_key.sign(message).signature
