"""Runs what is due, outside the consensus path (docs/spec/custody.md, The agent).

Each tick reads committed state and plans; jobs run beside each other, each with a timeout and a pause of its own that
grows, so that none holds up another. HSM work runs in a few threads. A result is a transaction: its bytes are kept in
the outbox and sent again until state says that nothing is owed. There is no queue to lose: after a crash, plan again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from google.protobuf.message import Message

from abci_app.codes import Code, info
from abci_app.state.due import DueKind
from abci_app.state.records import IDENTITIES
from dta.base.errors import DtaError, JsonValue
from dta.blocks.errors import BlockError, BlockUnavailable
from dta.client.ledger.tx import SignedBytes
from dta.hsm.errors import KeystoreError
from dta.node.agent.jobs import perform, reject_unavailable, require_owed, wanted_blocks
from dta.node.agent.submission import Submission
from dta.node.hooks.bundle import result_for
from dta.node.hooks.errors import CannotAnswer, NotDue, Retry
from dta.node.hooks.head import Head
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Tools, require_due

_log = logging.getLogger(__name__)
_MAX_ERRORS_SHOWN = 20
# Answers that say no more than "not this, or not again": state decides what follows.
_HARMLESS = (Code.OK, Code.NOT_DUE, Code.ALREADY_DONE)


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """``hsm_threads``: how much HSM work runs at once; ``max_running``: how many jobs of one rank, fetching included.

    An order whose envelope nobody has is rejected after ``envelope_wait_s`` of block time since it was placed and
    ``envelope_attempts`` tries of this process that others answered. A job that was first due ``late_s`` ago is shown
    as late.

    A result that is in no block ``renew_blocks`` after the one that it was made by is signed anew with another salt: a
    mempool gossips the same bytes once. One that is ready waits at most ``gather_s`` for others that are being made.
    """

    hsm_threads: int = 4
    max_running: int = 64
    job_timeout_s: float = 60.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0
    resend_s: float = 5.0
    poll_s: float = 0.25
    head_poll_s: float = 1.0
    late_s: float = 60.0
    envelope_wait_s: int = 3_600
    envelope_attempts: int = 5
    expiry_blocks: int = 200
    renew_blocks: int = 5
    gather_s: float = 0.2


class Rank(IntEnum):
    """What goes first. Each rank has places of its own: however many jobs of one wait, they take none of another's."""

    RELEASE = 0
    """What somebody waits for and a deadline ends."""
    KEY = 1
    """Vaults' keys and ceremonies: few, and by governance or by a principal's vaults."""
    ORDER = 2
    """What anybody who may place orders makes as many of as they are let."""


_RANK = {
    DueKind.FULFIL_SECRET: Rank.RELEASE,
    DueKind.SUBMIT_PARTIALS: Rank.RELEASE,
    DueKind.SUBMIT_UNBLINDED: Rank.RELEASE,
    DueKind.FULFIL_ORDER: Rank.ORDER,
}


def rank_of(kind: DueKind) -> Rank:
    """The rank of a kind of job."""
    return _RANK.get(kind, Rank.KEY)


class Network(Protocol):
    """What the runner asks of others."""

    async def catching_up(self) -> bool:
        """Whether this node's CometBFT is still behind. Raises DtaError."""

    async def obtain(self, cid: str, pin: bool) -> bytes:
        """The block, fetched and stored where it is not here; pinned where asked. Raises BlockError."""

    async def broadcast(self, tx: bytes) -> tuple[int, str]:
        """CheckTx's code and log; code 0 too where the mempool has it already. Raises DtaError."""


@dataclass(slots=True)
class _State:
    """What this process knows of one job. Times are of the monotonic clock."""

    job: Job
    since_s: float
    ready_s: float
    attempts: int = 0
    unavailable: int = 0
    error: str = ""
    sent: bool = False
    given_up: bool = False
    is_alone: bool = False
    """Its result goes by itself: one that it was together with may be why it was refused."""
    task: asyncio.Task[None] | None = None
    thread: Future[Any] | None = None

    @property
    def is_running(self) -> bool:
        return self.task is not None

    @property
    def has_thread(self) -> bool:
        """Whether HSM work of it still runs, perhaps beyond its timeout."""
        return self.thread is not None and not self.thread.done()


@dataclass(slots=True)
class _Seen:
    """What the last plan was made from."""

    height: int = 0
    time_s: int = 0
    trouble: str = "not started"
    jobs: list[Job] = field(default_factory=list)


class Runner:
    """Plans and runs this fiduciary's jobs until told to stop. One event loop, one instance."""

    def __init__(
        self,
        tools: Tools,
        network: Network,
        head: Head,
        outbox: Outbox,
        chain_id: str,
        config: RunnerConfig | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: secrets.SystemRandom().uniform(0.5, 1.5),
    ) -> None:
        self._tools = tools
        self._network = network
        self._head = head
        self._outbox = outbox
        self._chain_id = chain_id
        self._config = config or RunnerConfig()
        self._monotonic_s = monotonic_s
        self._jitter = jitter
        self._states: dict[Job, _State] = {}
        self._seen = _Seen()
        self._head_asked_s = float("-inf")
        # Reading state never waits behind an HSM that hangs.
        self._threads = ThreadPoolExecutor(self._config.hsm_threads, thread_name_prefix="hsm")
        # All but releases leave one thread free, where there is more than one: a release waits behind none of them.
        self._unhurried = asyncio.Semaphore(max(1, self._config.hsm_threads - 1))
        self._submission = Submission(
            tools, outbox, self._threads, lambda tx: self._network.broadcast(tx), chain_id,
            expiry_blocks=self._config.expiry_blocks, gather_s=self._config.gather_s,
            repeat_s=self._config.resend_s / 2, monotonic_s=self._monotonic_s,
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then lets go of what runs. Threads in the HSM end by themselves."""
        try:
            while not stop.is_set():
                try:
                    await self.tick()
                except (Retry, DtaError) as error:
                    self._note_trouble(str(error))
                except Exception as error:
                    _log.exception("planning failed")
                    self._note_trouble(f"planning failed: {type(error).__name__}")
                # Not wait_for: of Python 3.11 it loses a cancellation that comes together with what was waited for.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._config.poll_s):
                        await stop.wait()
        finally:
            running = [state.task for state in self._states.values() if state.task is not None]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._submission.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def tick(self) -> None:
        """Plan, if this node is at the head, and start what is ready. Raises Retry (not at the head), DtaError."""
        now_s = self._monotonic_s()
        if now_s - self._head_asked_s >= self._config.head_poll_s:
            self._head_asked_s = now_s
            self._head.note(await self._network.catching_up())
        height, time_s, jobs = await asyncio.to_thread(self._plan)
        if jobs is not None:
            self._seen = _Seen(height, time_s, "", jobs)
            self._take(jobs, now_s)
            await asyncio.to_thread(self._outbox.keep_only, frozenset(jobs))
        self._seen.trouble = ""
        self._start_ready(now_s)

    @property
    def is_hung(self) -> bool:
        """Whether every HSM thread is held by work that is past its timeout: only a new process helps."""
        stuck = {state.thread for state in self._states.values() if state.has_thread and not state.is_running}
        return len(stuck) >= self._config.hsm_threads

    def status(self) -> dict[str, JsonValue]:
        """What is due, running, sent, late or failing, for ``dta status``. Holds no secret."""
        now_s = self._monotonic_s()
        states = list(self._states.values())
        failing = sorted((state for state in states if state.error), key=lambda state: (-state.attempts, state.job))
        errors: list[JsonValue] = [
            {
                "kind": state.job.kind.name.lower(), "subject": state.job.subject.hex(), "attempts": state.attempts,
                "error": state.error, "given_up": state.given_up, "due_for_s": int(now_s - state.since_s),
            }
            for state in failing[:_MAX_ERRORS_SHOWN]
        ]  # fmt: skip
        return {
            "height": self._seen.height,
            "block_time_s": self._seen.time_s,
            "trouble": self._seen.trouble,
            "due": len(self._seen.jobs),
            "running": sum(1 for state in states if state.is_running),
            "sent": sum(1 for state in states if state.sent),
            "late": sum(1 for state in states if now_s - state.since_s >= self._config.late_s),
            "given_up": sum(1 for state in states if state.given_up),
            "hung": self.is_hung,
            "failing": len(failing),
            "errors": errors,
        }

    # --- planning -----------------------------------------------------------------------------------------------
    def _plan(self) -> tuple[int, int, list[Job] | None]:
        """(height, block time, jobs); None for the jobs where there is no new block, and so no other plan."""
        with self._tools.pin() as now:
            if now.height == self._seen.height:
                return now.height, now.time_s, None
            return now.height, now.time_s, plan(now.view, self._tools.identity, now.time_s, now.height + 1)

    def _take(self, jobs: list[Job], now_s: float) -> None:
        """Remember new jobs, and forget those that are no longer due and no longer at work."""
        planned = frozenset(jobs)
        for job, state in list(self._states.items()):
            if job not in planned and not state.is_running and not state.has_thread:
                del self._states[job]
        for job in jobs:
            if job not in self._states:
                self._states[job] = _State(job, since_s=now_s, ready_s=now_s)

    def _start_ready(self, now_s: float) -> None:
        """Start what may start: releases first, and of one rank what never failed first.

        A crowd of failing jobs must not hold up a fresh one, nor a crowd of one rank any of another.
        """
        running = Counter(rank_of(state.job.kind) for state in self._states.values() if state.is_running)
        planned = frozenset(self._seen.jobs)
        ready = [
            state
            for state in self._states.values()
            if state.job in planned
            and not (state.is_running or state.has_thread or state.given_up)
            and state.ready_s <= now_s
        ]
        ready.sort(key=lambda state: (rank_of(state.job.kind), state.attempts, state.ready_s))
        for state in ready:
            rank = rank_of(state.job.kind)
            if running[rank] < self._config.max_running:
                running[rank] += 1
                state.task = asyncio.create_task(self._attempt(state))

    def _note_trouble(self, text: str) -> None:
        if text != self._seen.trouble:
            _log.warning("not acting: %s", text)
        self._seen.trouble = text

    # --- one job ------------------------------------------------------------------------------------------------
    async def _attempt(self, state: _State) -> None:
        try:
            async with asyncio.timeout(self._config.job_timeout_s):
                await self._do(state)
        except NotDue:
            state.error = ""
            state.ready_s = self._monotonic_s() + self._config.first_pause_s
        except CannotAnswer as error:
            state.given_up = True
            self._failed(state, str(error))
        except TimeoutError:
            self._failed(state, f"took longer than {self._config.job_timeout_s:.0f} s")
        except (Retry, DtaError, KeystoreError, BlockError, OSError) as error:  # OSError: the disk under the store
            self._failed(state, str(error))
        except Exception as error:  # its text may hold anything, so it stays out of the status
            _log_of(state.job).error("%s failed: %s at %s", state.job, type(error).__name__, _place(error))
            self._failed(state, f"a fault of this program: {type(error).__name__}")
        finally:
            state.task = None

    def _failed(self, state: _State, reason: str) -> None:
        state.attempts += 1
        pause_s = min(self._config.first_pause_s * 2 ** min(state.attempts - 1, 16), self._config.longest_pause_s)
        state.ready_s = self._monotonic_s() + pause_s * self._jitter()
        if reason != state.error:
            _log_of(state.job).warning("%s: %s", state.job, reason)
        state.error = reason

    async def _do(self, state: _State) -> None:
        job, height = state.job, self._seen.height
        tx = await asyncio.to_thread(self._kept, state)
        if tx is not None and height <= tx.made_at_height + self._config.renew_blocks:
            await self._send(state, tx)
            return
        message = None if tx is None else result_for(tx.message(), job.kind, job.subject)
        if message is None:
            state.sent = False
            with self._submission.making():
                message = await self._make(state)

        def hold(thread: Future[Any]) -> None:
            state.thread = thread

        await self._send(state, await self._submission.sign(job, message, hold, is_alone=state.is_alone))

    def _kept(self, state: _State) -> SignedBytes | None:
        """What waits in the outbox. What this process did not send may never have left: state is asked once more.

        What another node key signed was made with the keys of another keystore: signed anew, it would give them for
        this one's. It is made anew.
        """
        tx = self._outbox.load(state.job, self._seen.height)
        if tx is not None and not tx.is_signed_by(self._node_key(), self._tools.gid):
            self._outbox.remove(state.job)
            return None
        if tx is not None and not state.sent:
            require_owed(state.job, self._tools)
        return tx

    def _node_key(self) -> bytes:
        with self._tools.pin() as now:
            return IDENTITIES.get(now.view, self._tools.identity).node_key

    async def _make(self, state: _State) -> Message:
        """The result, not signed yet."""
        job = state.job
        pin = job.kind is DueKind.FULFIL_ORDER
        try:
            blocks = {cid: await self._network.obtain(cid, pin) for cid in await asyncio.to_thread(self._wanted, job)}
        except BlockUnavailable as error:
            if error.is_nowhere:  # where nobody answered, this node's own line may be why
                state.unavailable += 1
            if not pin or not error.is_nowhere or state.unavailable < self._config.envelope_attempts:
                raise
            message = await asyncio.to_thread(self._reject_unavailable, job)
            if message is None:
                raise
            return message
        if rank_of(job.kind) is Rank.RELEASE:
            return await self._perform(state, blocks)
        async with self._unhurried:
            return await self._perform(state, blocks)

    async def _perform(self, state: _State, blocks: dict[str, bytes]) -> Message:
        # In an HSM thread, which can't be stopped: the job is not tried again while it runs.
        thread = self._threads.submit(perform, state.job, self._tools, blocks)
        state.thread = thread
        return await asyncio.wrap_future(thread)

    def _wanted(self, job: Job) -> list[str]:
        with self._tools.pin() as now:
            require_due(job, self._tools, now)
            return wanted_blocks(job, now)

    def _reject_unavailable(self, job: Job) -> Message | None:
        with self._tools.pin() as now:
            require_due(job, self._tools, now)
            return reject_unavailable(job, now, self._config.envelope_wait_s)

    async def _send(self, state: _State, tx: SignedBytes) -> None:
        code, log = await self._submission.send(tx)
        if code == Code.REPLAYED:
            # These bytes are in a block. Where it is still owed they were refused there: only new ones can help.
            still_due = await asyncio.to_thread(self._is_due, state.job)
            if still_due:
                await asyncio.to_thread(self._outbox.remove, state.job)
                raise Retry("the ledger refused the result in a block; a new one is made")
        elif code not in _HARMLESS:
            row = info(code)
            if not row.retry:
                state.is_alone = True
                await asyncio.to_thread(self._outbox.remove, state.job)
            raise Retry(f"the ledger refused the result: {row.name}: {log or row.meaning}")
        state.sent, state.attempts, state.error = True, 0, ""
        state.ready_s = self._monotonic_s() + self._config.resend_s

    def _is_due(self, job: Job) -> bool:
        with self._tools.pin() as now:
            try:
                require_due(job, self._tools, now)
            except NotDue:
                return False
        return True


def _log_of(job: Job) -> logging.Logger:
    """A logger for each kind of job: jobs come of what others sent, so their lines are counted (dta/http/logs.py)."""
    return _log.getChild(job.kind.name.lower())


def _place(error: BaseException) -> str:
    """File and line where ``error`` was raised, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
