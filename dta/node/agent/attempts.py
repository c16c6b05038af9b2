"""One attempt at one job: what was made before is sent again; else state is asked, blocks are had, the answer is made.

What several jobs ask for at about the same time, state or the token's work, is one call for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from google.protobuf.message import Message

from abci_app.codes import Code, info
from abci_app.state.due import DueKind
from abci_app.state.records import IDENTITIES
from dta.blocks.errors import BlockUnavailable
from dta.client.ledger.tx import SignedBytes
from dta.node.agent.jobs import owed_of, perform, perform_orders, perform_partials, reject_unavailable
from dta.node.agent.lookup import PARTIALS, Wanted, wanted_together
from dta.node.agent.ranks import Rank, rank_of
from dta.node.agent.submission import Submission
from dta.node.agent.together import Together
from dta.node.hooks.bundle import jobs_of, result_for
from dta.node.hooks.errors import NotDue, Retry
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Tools, require_due

P = ParamSpec("P")
T = TypeVar("T")

MOST_TOGETHER: Final = 32
"""Orders that one call in the token's threads is for: about a tenth of a second of work."""
MOST_PARTIALS: Final = 16
MOST_LOOKED_UP: Final = 256
# Answers that say no more than "not this, or not again": state decides what follows.
_HARMLESS = (Code.OK, Code.NOT_DUE, Code.ALREADY_DONE)


class Network(Protocol):
    """What the runner asks of others."""

    async def catching_up(self) -> bool:
        """Whether this node's CometBFT is still behind. Raises DtaError."""

    async def obtain(self, cid: str, pin: bool) -> bytes:
        """The block, fetched and stored where it is not here; pinned where asked. Raises BlockError."""

    async def broadcast(self, tx: bytes) -> tuple[int, str]:
        """CheckTx's code and log; code 0 too where the mempool has it already. Raises DtaError."""


@dataclass(slots=True)
class JobState:
    """What this process knows of one job. Times are of the monotonic clock."""

    job: Job
    since_s: float
    ready_s: float
    attempts: int = 0
    unavailable: int = 0
    error: str = ""
    sent: bool = False
    """A mempool took the bytes that wait."""
    made_at_height: int = 0
    """What the bytes that were sent last name."""
    given_up: bool = False
    is_alone: bool = False
    """Its result goes by itself: one that it was together with may be why it was refused."""
    by_itself: bool = False
    """It is performed by itself: it has failed, and others were with it."""
    stuck_since_s: float | None = None
    """Since when it is beyond its time in a thread that does not end."""
    task: asyncio.Task[None] | None = None
    thread: Future[Any] | None = None

    @property
    def is_running(self) -> bool:
        return self.task is not None

    @property
    def has_thread(self) -> bool:
        """Whether HSM work of it still runs, perhaps beyond its timeout."""
        return self.thread is not None and not self.thread.done()

    def hold(self, thread: Future[Any]) -> None:
        """``thread`` works on it now. It can't be stopped: the job is not tried again while it runs."""
        self.thread, self.stuck_since_s = thread, None


class Attempts:
    """``make`` an attempt. ``reading``, ``token``: threads for state, and for the HSM. One event loop."""

    def __init__(
        self,
        tools: Callable[[], Tools],
        network: Network,
        outbox: Outbox,
        submission: Submission,
        token: ThreadPoolExecutor,
        reading: ThreadPoolExecutor,
        *,
        token_threads: int,
        unhurried: asyncio.Semaphore,
        envelope_wait_s: int,
        envelope_attempts: int,
        renew_blocks: int,
    ) -> None:
        self._tools = tools
        self._network = network
        self._outbox = outbox
        self._submission = submission
        self._token = token
        self._reading = reading
        self._unhurried = unhurried
        self._envelope_wait_s = envelope_wait_s
        self._envelope_attempts = envelope_attempts
        self._renew_blocks = renew_blocks
        self._lookups = Together[Job, Wanted](self._look_up, most=MOST_LOOKED_UP, lanes=2)
        self._orders = Together[tuple[Job, dict[str, bytes]], Message](
            self._accept, most=MOST_TOGETHER, lanes=token_threads, place=lambda: unhurried
        )
        self._partials = Together[Job, Message](self._multiply, most=MOST_PARTIALS, lanes=token_threads)

    async def close(self) -> None:
        """Let go of what is done together."""
        await asyncio.gather(self._lookups.close(), self._orders.close(), self._partials.close())

    def is_overdue(self, state: JobState, height: int) -> bool:
        """Whether what was sent should be in a block by ``height``: it is signed anew when it is next attempted."""
        return state.sent and not state.error and height > state.made_at_height + self._renew_blocks

    async def make(self, state: JobState, height: int) -> None:
        """One attempt; at the end the result was sent. ``height``: of the plan. Raises what ends it otherwise."""
        job = state.job
        kept = await self._kept(state, height)
        if not isinstance(kept, SignedBytes):
            state.sent = False
            message = await self._message(state) if kept is None else kept
            kept = await self._submission.sign(job, message, state.hold, is_alone=state.is_alone)
        await self._send(state, kept)

    async def _kept(self, state: JobState, height: int) -> SignedBytes | Message | None:
        """What waits in the outbox: the bytes; or the result in them, which is to be signed anew.

        What this process did not send may never have left: state is asked once more.
        """
        tx = self._outbox.load(state.job, height)
        if tx is None:
            return None
        kept = await self._read(self._still_ours, state.job, tx, not state.sent)
        is_old = height > tx.made_at_height + self._renew_blocks
        return result_for(tx.message(), state.job) if is_old and kept is not None else kept

    def _still_ours(self, job: Job, tx: SignedBytes, must_be_owed: bool) -> SignedBytes | Message | None:
        """``tx``, where it is this node's word, and all in it still wanted if it must be. Raises NotDue.

        What another node key signed was made with the keys of another keystore: signed anew, it would give them for
        this one's. It is made anew. Where anything that went together is not wanted any more, ``job``'s result is left.
        """
        tools = self._tools()
        with tools.pin() as now:
            if not tx.is_signed_by(IDENTITIES.get(now.view, tools.identity).node_key, tools.gid):
                self._outbox.remove(job)
                return None
            if not must_be_owed:
                return tx
            jobs = jobs_of(tx.message())
            wrong = dict(zip(jobs, owed_of(jobs, tools, now), strict=True))
        if (error := wrong[job]) is not None:
            raise error
        return tx if not any(wrong.values()) else result_for(tx.message(), job)

    async def _message(self, state: JobState) -> Message:
        """The result, not signed yet."""
        job = state.job
        pin = job.kind is DueKind.FULFIL_ORDER
        try:
            wanted = await self._lookups.ask(job)
            blocks = {cid: await self._network.obtain(cid, pin) for cid in wanted.cids}
        except BlockUnavailable as error:
            if error.is_nowhere:  # where nobody answered, this node's own line may be why
                state.unavailable += 1
            if not pin or not error.is_nowhere or state.unavailable < self._envelope_attempts:
                raise
            message = await self._read(self._reject_unavailable, job)
            if message is None:
                raise
            return message
        with self._submission.making():  # not before: nobody's result waits for a block that may be nowhere
            return await self._make_of(state, wanted, blocks)

    async def _make_of(self, state: JobState, wanted: Wanted, blocks: dict[str, bytes]) -> Message:
        job = state.job
        if wanted.is_together and not state.by_itself:
            if job.kind in PARTIALS:
                return await self._partials.ask(job, state.hold)
            return await self._orders.ask((job, blocks), state.hold)
        if rank_of(job.kind) is Rank.RELEASE:
            return await self._perform(state, blocks)
        async with self._unhurried:
            return await self._perform(state, blocks)

    async def _perform(self, state: JobState, blocks: dict[str, bytes]) -> Message:
        thread = self._token.submit(perform, state.job, self._tools(), blocks)
        state.hold(thread)
        return await asyncio.wrap_future(thread)

    def _accept(self, asked: Sequence[tuple[Job, dict[str, bytes]]]) -> Future[Sequence[Message | Exception]]:
        blocks = {cid: block for _, blocks in asked for cid, block in blocks.items()}
        return self._token.submit(_orders_in_turn, [job for job, _ in asked], self._tools(), blocks)

    def _multiply(self, jobs: Sequence[Job]) -> Future[Sequence[Message | Exception]]:
        return self._token.submit(perform_partials, jobs, self._tools())

    def _look_up(self, jobs: Sequence[Job]) -> Future[Sequence[Wanted | Exception]]:
        return self._reading.submit(wanted_together, jobs, self._tools())

    def _reject_unavailable(self, job: Job) -> Message | None:
        tools = self._tools()
        with tools.pin() as now:
            require_due(job, tools, now)
            return reject_unavailable(job, now, self._envelope_wait_s)

    async def _send(self, state: JobState, tx: SignedBytes) -> None:
        code, log = await self._submission.send(tx)
        if code == Code.REPLAYED:
            # These bytes are in a block. Where it is still owed they were refused there: only new ones can help.
            if await self._read(self._is_due, state.job):
                self._outbox.remove(state.job)
                raise Retry("the ledger refused the result in a block; a new one is made")
        elif code not in _HARMLESS:
            row = info(code)
            if not row.retry:
                state.is_alone = True
                self._outbox.remove(state.job)
            raise Retry(f"the ledger refused the result: {row.name}: {log or row.meaning}")
        # Only a mempool that took the bytes may have given them on: else proved state is asked before they are sent.
        state.sent = state.sent or code == Code.OK
        state.attempts, state.error, state.made_at_height = 0, "", tx.made_at_height

    def _is_due(self, job: Job) -> bool:
        tools = self._tools()
        with tools.pin() as now:
            try:
                require_due(job, tools, now)
            except NotDue:
                return False
        return True

    async def _read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._reading.submit(call, *args, **kwargs))


def _orders_in_turn(jobs: Sequence[Job], tools: Tools, blocks: Mapping[str, bytes]) -> list[Message | Exception]:
    made = perform_orders(jobs, tools, blocks)
    return [made[job] for job in jobs]
