"""From results to transactions: what is ready at the same time is signed together, kept, and sent once for all of it.

A result waits while others are being made, a moment at most, and each is asked for once more when it is to be signed:
a share that was sealed and stays here is not out (docs/spec/custody.md, The agent).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from google.protobuf.message import Message

from abci_app.limits import SALT_BYTES
from abci_app.state.records import params
from dta.client.ledger.tx import SignedBytes, build_tx
from dta.hsm import labels
from dta.node.agent.jobs import owed_of
from dta.node.agent.seen import seen
from dta.node.hooks.bundle import bundles, parts_of
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Tools

Signed: TypeAlias = dict[Job, SignedBytes | Exception]
Broadcast: TypeAlias = Callable[[bytes], Awaitable[tuple[int, str]]]


@dataclass(slots=True)
class _Signer:
    """A :class:`dta.client.ledger.tx.Signer` with the node key."""

    tools: Tools

    @property
    def identity(self) -> bytes:
        return self.tools.identity

    def sign(self, message: bytes) -> bytes:
        return self.tools.keystore().sign(labels.node_key(), message)


@dataclass(slots=True)
class _Waiting:
    """A result that is to be signed. ``hold`` is told of the thread in which that happens."""

    job: Job
    message: Message
    is_alone: bool
    hold: Callable[[Future[Signed]], None]
    signed: asyncio.Future[SignedBytes] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Submission:
    """Signs and sends this fiduciary's results. One event loop.

    ``expiry_blocks``: how long the bytes are good for; ``gather_s``: how long a result waits for others at most;
    ``repeat_s``: so long an answer stands for all whose bytes they are. Times are of the clock ``monotonic_s``.
    ``salt``: 16 bytes, others each time.
    """

    def __init__(
        self,
        tools: Tools,
        outbox: Outbox,
        threads: ThreadPoolExecutor,
        broadcast: Broadcast,
        chain_id: str,
        *,
        expiry_blocks: int,
        gather_s: float,
        repeat_s: float,
        monotonic_s: Callable[[], float],
        salt: Callable[[], bytes] = lambda: secrets.token_bytes(SALT_BYTES),
    ) -> None:
        self._tools = tools
        self._outbox = outbox
        self._threads = threads
        self._broadcast = broadcast
        self._chain_id = chain_id
        self._expiry_blocks = expiry_blocks
        self._gather_s = gather_s
        self._repeat_s = repeat_s
        self._monotonic_s = monotonic_s
        self._salt = salt
        self._making = 0
        self._nobody_makes = asyncio.Event()
        self._nobody_makes.set()
        self._waiting: list[_Waiting] = []
        self._gathering: asyncio.Task[None] | None = None
        self._sendings: dict[bytes, tuple[float, asyncio.Future[tuple[int, str]]]] = {}

    async def close(self) -> None:
        """Let go of what waits."""
        if self._gathering is not None:
            self._gathering.cancel()
            await asyncio.gather(self._gathering, return_exceptions=True)

    @contextmanager
    def making(self) -> Iterator[None]:
        """While a result is made, those that are ready wait for it."""
        self._making += 1
        self._nobody_makes.clear()
        try:
            yield
        finally:
            self._making -= 1
            if not self._making:
                self._nobody_makes.set()

    async def sign(
        self, job: Job, message: Message, hold: Callable[[Future[Signed]], None], *, is_alone: bool
    ) -> SignedBytes:
        """The transaction that says ``message``, perhaps with others, in the outbox by then.

        Raises NotDue where it is not owed any more, Retry, KeystoreError, UsageError.
        """
        one = _Waiting(job, message, is_alone, hold)
        self._waiting.append(one)
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._gather())
        return await one.signed

    async def send(self, tx: SignedBytes) -> tuple[int, str]:
        """CheckTx's code and log. Jobs whose bytes are the same share one sending, and its answer. Raises DtaError."""
        now_s = self._monotonic_s()
        self._sendings = {
            tx_hash: (since_s, sending)
            for tx_hash, (since_s, sending) in self._sendings.items()
            if not sending.done() or (now_s - since_s < self._repeat_s and _went_well(sending))
        }
        if tx.tx_hash not in self._sendings:
            started = asyncio.ensure_future(self._broadcast(tx.tx))
            started.add_done_callback(seen)
            self._sendings[tx.tx_hash] = now_s, started
        return await asyncio.shield(self._sendings[tx.tx_hash][1])

    async def _gather(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nobody_makes.wait(), self._gather_s)
        waiting, self._waiting, self._gathering = self._waiting, [], None
        for group in [[one] for one in waiting if one.is_alone] + [[one for one in waiting if not one.is_alone]]:
            if group:
                self._sign_group(group)

    def _sign_group(self, group: list[_Waiting]) -> None:
        thread = self._threads.submit(self._sign, [(one.job, one.message) for one in group])
        for one in group:
            one.hold(thread)
        asyncio.wrap_future(thread).add_done_callback(lambda done: _tell(group, done))

    def _sign(self, results: list[tuple[Job, Message]]) -> Signed:
        """In a thread: the bytes for each job that is still owed; what state raised for one that is not."""
        made: Signed = {}
        with self._tools.pin() as now:
            wrong = owed_of([job for job, _ in results], self._tools, now)
            rules = params(now.view)
        made.update({job: error for (job, _), error in zip(results, wrong, strict=True) if error is not None})
        owed = [result for result, error in zip(results, wrong, strict=True) if error is None]
        jobs = iter([job for job, _ in owed])
        for message in bundles([message for _, message in owed], rules):
            its_jobs = list(islice(jobs, len(parts_of(message))))
            expires_at = now.height + min(rules.max_expiry_blocks, self._expiry_blocks)
            try:
                tx = build_tx(
                    self._chain_id, self._tools.gid, _Signer(self._tools), message, expires_at,
                    self._salt(), made_at_height=now.height,
                )  # fmt: skip
                self._outbox.save(its_jobs, tx)
            except Exception as error:  # of this bundle alone
                made.update(dict.fromkeys(its_jobs, error))
            else:
                made.update(dict.fromkeys(its_jobs, tx))
        return made


def _went_well(done: asyncio.Future[tuple[int, str]]) -> bool:
    return not done.cancelled() and done.exception() is None



def _tell(group: list[_Waiting], done: asyncio.Future[Signed]) -> None:
    """Each result's own bytes, or its own error; what went wrong with all, to all."""
    error = None if done.cancelled() else done.exception()
    for one in group:
        if one.signed.done():
            continue
        made = error if done.cancelled() or error is not None else done.result()[one.job]
        if made is None:
            one.signed.cancel()
        elif isinstance(made, SignedBytes):
            one.signed.set_result(made)
        else:
            one.signed.set_exception(made)
