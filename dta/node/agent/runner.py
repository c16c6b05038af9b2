"""Runs what is due, outside the consensus path (docs/spec/custody.md, The agent).

It is told of each new state and what is due by it. Jobs run beside each other, each with a timeout and a pause of its
own that grows, so that none holds up another; HSM work runs in a few threads. A result is a transaction: its bytes are
kept in the outbox and sent again until state says that nothing is owed. There is no queue to lose: after a crash, it
plans again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from dta.base.errors import BadAnswer, DtaError, JsonValue, Unreachable
from dta.blocks.errors import BlockError
from dta.hsm.errors import KeystoreError
from dta.node.agent.attempts import Attempts, JobState, Network
from dta.node.agent.ranks import rank_of
from dta.node.agent.submission import Submission
from dta.node.hooks.errors import CannotAnswer, NotAtHead, NotDue, Retry
from dta.node.hooks.head import Head
from dta.node.hooks.hung import HungJobs
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.owed import Owed, Planned
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Tools

_log = logging.getLogger(__name__)
_MAX_ERRORS_SHOWN = 20
READING_THREADS: Final = 4
LOOKS_PART: Final = 5
LONGEST_BETWEEN_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """``hsm_threads``: how much HSM work runs at once; ``max_running``: how many jobs of one rank, fetching included.

    An order whose envelope nobody has is rejected after ``envelope_wait_s`` of block time since it was placed and
    ``envelope_attempts`` tries of this process that others answered. A job that was first due ``late_s`` ago is shown
    as late.

    A result that is in no block ``renew_blocks`` after the one that it was made by is signed anew with another salt: a
    mempool gossips the same bytes once. One that is ready waits at most ``gather_s`` for others that are being made.

    State that can't be read is asked for again after ``poll_s``. CometBFT is asked each ``head_poll_s`` whether it is
    at the head. While something is due, it is looked at again after ``longest_wait_s`` at most.
    """

    hsm_threads: int = 4
    max_running: int = 128
    job_timeout_s: float = 60.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0
    resend_s: float = 5.0
    poll_s: float = 0.25
    head_poll_s: float = 2.0
    longest_wait_s: float = 1.0
    hung_alone_s: float = 600.0
    late_s: float = 60.0
    envelope_wait_s: int = 3_600
    envelope_attempts: int = 5
    expiry_blocks: int = 200
    renew_blocks: int = 5
    gather_s: float = 0.2


@dataclass(slots=True)
class _Seen:
    """What the last plan was made from."""

    height: int = 0
    time_s: int = 0
    trouble: str = "not started"
    jobs: frozenset[Job] = frozenset()


class Runner:
    """Runs this fiduciary's jobs until told to stop. One event loop, one instance.

    ``owed`` says what is due, ``hung`` with which jobs an earlier process hung.
    """

    def __init__(
        self,
        tools: Tools,
        network: Network,
        head: Head,
        outbox: Outbox,
        hung: HungJobs,
        owed: Owed,
        chain_id: str,
        config: RunnerConfig | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: secrets.SystemRandom().uniform(0.5, 1.5),
    ) -> None:
        self._tools = tools
        self._network = network
        self._head = head
        self._outbox = outbox
        self._hung = hung
        self._owed = owed
        self._config = config or RunnerConfig()
        self._monotonic_s = monotonic_s
        self._jitter = jitter
        self._states: dict[Job, JobState] = {}
        self._seen = _Seen()
        self._planned: Planned | None = None
        self._woken = asyncio.Event()
        self._look_s = 0.0
        self._head_trouble = False
        # Reading state never waits behind an HSM that hangs.
        self._threads = ThreadPoolExecutor(self._config.hsm_threads, thread_name_prefix="hsm")
        self._reading = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="state")
        self._submission = Submission(
            tools, outbox, self._threads, lambda tx: self._network.broadcast(tx), chain_id,
            expiry_blocks=self._config.expiry_blocks, gather_s=self._config.gather_s,
            repeat_s=self._config.resend_s / 2, monotonic_s=self._monotonic_s,
        )  # fmt: skip
        self._attempts = Attempts(
            lambda: self._tools, network, outbox, self._submission, self._threads, self._reading,
            # All but releases leave one thread free, where there is more than one: a release waits behind none of them.
            token_threads=self._config.hsm_threads, unhurried=asyncio.Semaphore(max(1, self._config.hsm_threads - 1)),
            envelope_wait_s=self._config.envelope_wait_s, envelope_attempts=self._config.envelope_attempts,
            renew_blocks=self._config.renew_blocks,
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then lets go of what runs. Threads in the HSM end by themselves."""
        followers = [
            asyncio.create_task(self._follow_state()),
            asyncio.create_task(self._follow_head()),
            asyncio.create_task(self._wake_at(stop)),
        ]
        try:
            while not stop.is_set():
                self._woken.clear()
                if self._planned is not None:
                    await self._guarded(self._act(self._planned))
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: of Python 3.11 it loses a cancellation that comes together with what is waited for.
                    async with asyncio.timeout(self._pause_s()):
                        await self._woken.wait()
                # With very many jobs a look at all of them takes a while: most of the time is for the jobs.
                await asyncio.sleep(min(LOOKS_PART * self._look_s, LONGEST_BETWEEN_S))
        finally:
            running = [state.task for state in self._states.values() if state.task is not None]
            for task in [*followers, *running]:
                task.cancel()
            await asyncio.gather(*followers, *running, return_exceptions=True)
            await self._owed.close()
            await self._submission.close()
            await self._attempts.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._reading.shutdown(wait=False, cancel_futures=True)

    # --- what it is told ----------------------------------------------------------------------------------------
    async def _follow_state(self) -> None:
        """Take each new plan. Where state can't be read, nothing is started until it can."""
        while True:
            if await self._guarded(self._take_plan()):
                self._woken.set()
            else:
                self._planned = None
                await asyncio.sleep(self._config.poll_s)

    async def _take_plan(self) -> None:
        known = self._planned
        self._planned = await (self._owed.now() if known is None else self._owed.newer(known.height))

    async def _follow_head(self) -> None:
        while True:
            await self._guarded(self._ask_head())
            if self._seen.trouble:
                self._woken.set()
            await asyncio.sleep(self._config.head_poll_s)

    async def _ask_head(self) -> None:
        """What it said last counts for a while where it is silent; what another chain's says ends that at once."""
        self._head_trouble = True
        try:
            self._head.note(await self._network.catching_up())
        except BadAnswer:
            self._head.lose()
            raise
        self._head_trouble = False

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    async def _guarded(self, step: Coroutine[Any, Any, None]) -> bool:
        """Whether ``step`` went well. Why not is shown, and ends nothing."""
        try:
            await step
        except (Retry, DtaError) as error:
            self._note_trouble(str(error))
        except Exception as error:
            _log.exception("planning failed")
            self._note_trouble(f"planning failed: {type(error).__name__}")
        else:
            return True
        return False

    def _pause_s(self) -> float | None:
        """How long nothing is to be done unless something happens: until a job may be tried again. None: for ever."""
        if not self._states:
            return None
        now_s = self._monotonic_s()
        waiting = (state.ready_s - now_s for state in self._states.values() if not state.is_running)
        # What is ready and not started waits for a place, or for a thread: it is looked at when one ends, or later.
        return min([self._config.longest_wait_s, *(left_s for left_s in waiting if left_s > 0)])

    async def _act(self, planned: Planned) -> None:
        """Start what is ready. Raises NotAtHead."""
        self._head.require(planned.time_s)
        now_s = self._monotonic_s()
        if planned.height != self._seen.height:
            self._seen = _Seen(planned.height, planned.time_s, "", planned.jobs)
            self._take(planned.jobs, now_s)
            self._hasten(planned.height, now_s)
            await asyncio.wrap_future(self._reading.submit(self._forget_but, planned.jobs))
        if not self._head_trouble:
            self._seen.trouble = ""
        began_s = time.monotonic()
        self._start_ready(now_s)
        self._look_s = time.monotonic() - began_s

    @property
    def is_hung(self) -> bool:
        """Whether only a new process helps: every HSM thread is held by work that is past its timeout, or one is for
        ``hung_alone_s`` (the jobs that are done together in it are tried by nobody else)."""
        past = [state for state in self._states.values() if state.has_thread and not state.is_running]
        stuck = {state.thread for state in past if state.thread is not None and state.thread.running()}
        if len(stuck) >= self._config.hsm_threads:
            return True
        long_ago_s = self._monotonic_s() - self._config.hung_alone_s
        return any(state.stuck_since_s is not None and state.stuck_since_s <= long_ago_s for state in past)

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
    def _take(self, jobs: frozenset[Job], now_s: float) -> None:
        """Remember new jobs, in order, and forget those that are no longer due and no longer at work."""
        for job, state in list(self._states.items()):
            if job not in jobs and not state.is_running and not state.has_thread:
                del self._states[job]
        for job in sorted(jobs - self._states.keys()):
            hung = self._hung.times(job)
            ready_s = now_s + (self._pause_after_s(hung) if hung else 0.0)
            # One that a thread hung with in an earlier process, perhaps because of another: by itself, and behind those
            # that hung less often.
            self._states[job] = JobState(job, since_s=now_s, ready_s=ready_s, attempts=hung, by_itself=hung > 0)

    def _hasten(self, height: int, now_s: float) -> None:
        """What is in no block after a few waits no longer: it counts blocks, which may be quick, and not seconds."""
        for state in self._states.values():
            if not state.is_running and self._attempts.is_overdue(state, height):
                state.ready_s = min(state.ready_s, now_s)

    def _forget_but(self, jobs: frozenset[Job]) -> None:
        self._outbox.keep_only(jobs)
        self._hung.keep_only(jobs)

    def _start_ready(self, now_s: float) -> None:
        """Start what may start: releases first, and of one rank what never failed first.

        A crowd of failing jobs must not hold up a fresh one, nor a crowd of one rank any of another.
        """
        running = Counter(rank_of(state.job.kind) for state in self._states.values() if state.is_running)
        ready = [
            state
            for state in self._states.values()
            if state.job in self._seen.jobs
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
    async def _attempt(self, state: JobState) -> None:
        try:
            async with asyncio.timeout(self._config.job_timeout_s):
                await self._attempts.make(state, self._seen.height)
                state.ready_s = self._monotonic_s() + self._config.resend_s
        except NotDue:
            state.error = ""
            state.ready_s = self._monotonic_s() + self._config.first_pause_s
        except CannotAnswer as error:
            state.given_up = True
            self._failed(state, str(error))
        except TimeoutError:
            state.stuck_since_s = self._monotonic_s()
            self._failed(state, f"took longer than {self._config.job_timeout_s:.0f} s")
            if state.thread is not None and state.thread.running():
                await asyncio.wrap_future(self._reading.submit(self._hung.note, state.job))
        except (NotAtHead, Unreachable) as error:  # no fault of the job's
            self._failed(state, str(error), by_itself=state.by_itself)
        except (Retry, DtaError, KeystoreError, BlockError, OSError) as error:  # OSError: the disk under the store
            self._failed(state, str(error))
        except Exception as error:  # its text may hold anything, so it stays out of the status
            _log_of(state.job).error("%s failed: %s at %s", state.job, type(error).__name__, _place(error))
            self._failed(state, f"a fault of this program: {type(error).__name__}")
        finally:
            state.task = None
            if not state.has_thread:
                state.thread = None  # with what it returned
            self._woken.set()

    def _failed(self, state: JobState, reason: str, *, by_itself: bool = True) -> None:
        state.attempts += 1
        state.by_itself = by_itself
        state.ready_s = self._monotonic_s() + self._pause_after_s(state.attempts)
        if reason != state.error:
            _log_of(state.job).warning("%s: %s", state.job, reason)
        state.error = reason

    def _pause_after_s(self, attempts: int) -> float:
        pause_s: float = min(self._config.first_pause_s * 2 ** min(attempts - 1, 16), self._config.longest_pause_s)
        return pause_s * self._jitter()


def _log_of(job: Job) -> logging.Logger:
    """A logger for each kind of job: jobs come of what others sent, so their lines are counted (dta/http/logs.py)."""
    return _log.getChild(job.kind.name.lower())


def _place(error: BaseException) -> str:
    """File and line where ``error`` was raised, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
