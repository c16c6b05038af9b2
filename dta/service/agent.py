"""The agent: what every path works with, and how a call that changes something is carried out.

A call that changes something is noted in the audit file, alone with its Idempotency-Key, and goes on in a thread of its
own where its caller stops waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from dta.base.errors import DtaError, JsonValue, TimedOut
from dta.base.secret import SecretBytes
from dta.client.custody.session import Session
from dta.hsm.errors import KeystoreError
from dta.http.guard import address_key
from dta.http.quota import OverRate, RateLimit
from dta.service import problems
from dta.service.access import Caller, Credential, Doorkeeper, calling
from dta.service.audit import AuditFile
from dta.service.errors import BadCall, NothingPlaced, RateLimited, Unauthenticated
from dta.service.idempotency import MAX_KEY_CHARS, TERMS_HEADER, Before, Call, IdempotencyStore, Said, key_mac
from dta.service.jobs import BUSY_RETRY_S, Jobs
from dta.service.looks import LOOK_S, Looks
from dta.service.models.base import MAX_WAIT_S
from dta.service.news import Waiting
from dta.service.once import SentOnce
from dta.service.settings import ServeFile
from dta.service.turns import Turns
from dta.service.workplace import Workplace

T = TypeVar("T")

MAX_TROUBLES: Final = 1_000
MAX_RECENT: Final = 1_000
POLL_S: Final = 2.0
WORK_S: Final = 600.0
"""What changes something asks nodes for so long. Its transactions are on the ledger by then, or past their expiry."""

CALLS_OF_ONE: Final = 128
"""So many calls of one credential are answered at once: half of the connections that there are."""

STRANGERS_PER_MINUTE: Final = 30
"""So many calls without a good credential are looked at from one address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to. ``is_secret``: never kept. ``is_final``: the same key gives this again for a day."""

    body: BaseModel
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    is_secret: bool = False
    is_final: bool = True
    raw: bytes | None = None

    def response(self) -> Response:
        """Over HTTP; ``raw`` in place of the body."""
        if self.raw is not None:
            return Response(self.raw, self.status, headers=self.headers, media_type="application/octet-stream")
        return JSONResponse(self.body.model_dump(mode="json", by_alias=True), self.status, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The answer that an earlier call with the same key got."""

    before: Before

    def response(self) -> Response:
        return JSONResponse(self.before.answer, self.before.status, headers={"Idempotency-Replayed": "true"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call. ``lasts``: the same key gives the same answer for as long as it is known."""

    route: str
    key: str | None
    said: Said
    lasts: bool


class Answering:
    """Whether a caller still waits to be told what its call makes. Asked in two threads: one of them is first.

    ``tell``: the caller, what is made.
    """

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self.tell = tell
        self._lock = threading.Lock()
        self._is_made = self._is_over = False

    def give_up(self) -> bool:
        """The caller is told that nothing was done; False where something was made meanwhile."""
        with self._lock:
            self._is_over = not self._is_made
            return self._is_over

    def check(self) -> None:
        """Raises NothingPlaced where the caller was told that nothing is made."""
        with self._lock:
            if self._is_over:
                raise _too_slow()

    def make(self) -> None:
        """Something is made now. Raises NothingPlaced where the caller was told that nothing is."""
        with self._lock:
            if self._is_over:
                raise _too_slow()
            self._is_made = True


def _too_slow() -> NothingPlaced:
    return NothingPlaced(
        "what the call needs to know could not be found out in time; nothing was placed or asked for",
        hint="send it again; its nodes are slow",
    )


class Work:
    """A call at work, in its thread."""

    def __init__(
        self, agent: Agent, caller: Caller, call: Call | None, answering: Answering, made: Callable[[bytes], None]
    ) -> None:
        self.agent = agent
        self.caller = caller
        self._call = call
        self._answering = answering
        self._made = made

    @property
    def subject(self) -> bytes:
        """What an earlier call with the same key made: its id; empty for none."""
        return self._call.before.subject if self._call is not None else b""

    def bind(self, subject: bytes, made: bytes = b"") -> None:
        """What this call makes, once it is durable in the home and before anybody else learns of it.

        ``made``: its id, where ``subject`` is the nonce out of which that comes. Raises NothingPlaced where the
        caller did not wait for it: then nobody shall.
        """
        self._answering.make()
        if self._call is not None and self._call.before.subject != subject:
            self._call.bind(subject)
        self._made(made or subject)

    def still_wanted(self) -> None:
        """Before anything is sent that is not bound. Raises NothingPlaced where the caller was told so already."""
        self._answering.check()

    def alone(self, *thing: bytes) -> AbstractContextManager[None]:
        """No other call for this identity is at this thing meanwhile."""
        return self.agent.turns.of(self.caller.name.encode("utf-8"), *thing)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """What the client's flows take, for the caller's identity. What they send is kept with the call's key.

        Nodes are asked for :data:`WORK_S`.
        """
        with self.agent.workplace.at_work(self.caller.name, within_s=WORK_S) as session:
            yield session if self._call is None else replace(session, ledger=SentOnce(session.ledger, self._call))


class Recent(Generic[T]):
    """What was found out lately of a request, by its id; bounded. Several threads may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, T] = OrderedDict()

    def keep(self, id_: bytes, found: T) -> None:
        with self._lock:
            self._kept[id_] = found
            self._kept.move_to_end(id_)
            if len(self._kept) > MAX_RECENT:
                self._kept.popitem(last=False)

    def find(self, id_: bytes) -> T | None:
        with self._lock:
            return self._kept.get(id_)


async def _said(request: Request) -> Said:
    terms = request.headers.get(TERMS_HEADER, "").encode("latin-1")
    return Said(request.scope["query_string"], terms, await request.body())


async def _wait_until(future: asyncio.Future[Any], wait_s: float) -> None:
    await asyncio.wait([future], timeout=wait_s)


@dataclass
class Agent:
    """One home's agent. ``now_s``: Unix seconds. ``wait_until``: returns when a future is done, or so long after.

    ``pause``: between two looks of one call.
    """

    workplace: Workplace
    doorkeeper: Doorkeeper
    store: IdempotencyStore
    audit: AuditFile
    settings: ServeFile
    now_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic
    wait_until: Callable[[asyncio.Future[Any], float], Awaitable[None]] = _wait_until
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.settings.max_at_work)
        self.looks = Looks()
        per_minute = self.settings.calls_per_minute
        self._rates = RateLimit(per_minute, per_minute, self.monotonic_s)
        self._strangers = RateLimit(STRANGERS_PER_MINUTE, STRANGERS_PER_MINUTE, self.monotonic_s)
        self._troubles: OrderedDict[tuple[str, bytes], DtaError] = OrderedDict()
        self._at_work: set[tuple[str, bytes]] = set()
        self._lock = threading.Lock()
        self.turns = Turns()
        self.received: Recent[tuple[bytes, ...]] = Recent()
        self.waiting = Waiting(lambda: self.workplace.names(), self.monotonic_s)
        self._answered: Counter[str] = Counter()
        self.streams = 0
        self.streams_of: Counter[str] = Counter()

    # --- who calls --------------------------------------------------------------------------------------------
    async def admit(self, request: Request, shown: str | None) -> Credential:
        """Whose call it is, within its rate and its share. Raises Unauthenticated, RateLimited."""
        peer = request.client.host if request.client else ""
        headers = request.headers
        try:
            credential = await self.doorkeeper.credential(shown, headers, peer, int(self.now_s()))
        except Unauthenticated:
            self._take(self._strangers, address_key(peer))
            raise
        left = self._take(self._rates, credential.id)
        self._begin(request, credential.id)
        per_minute = self.settings.calls_per_minute
        request.state.rate = {
            "RateLimit-Policy": f'"calls";q={per_minute};w=60', "RateLimit": f'"calls";r={left};t=60',
        }  # fmt: skip
        return credential

    def _begin(self, request: Request, who: str) -> None:
        """A call of this credential is answered, until the guard says that it has ended."""
        if self._answered[who] >= CALLS_OF_ONE:
            raise RateLimited(f"{CALLS_OF_ONE} calls of this credential are being answered", BUSY_RETRY_S)
        self._answered[who] += 1

        def ended() -> None:
            self._answered[who] -= 1
            if not self._answered[who]:
                del self._answered[who]

        request.state.ended = ended

    @staticmethod
    def _take(rates: RateLimit, key: str) -> int:
        try:
            return rates.take(key)
        except OverRate as error:
            raise RateLimited("too many calls", error.retry_after_s) from None

    # --- looks ------------------------------------------------------------------------------------------------
    async def look(self, caller: Caller, read: Callable[[Session], T], *, follows: bool = False) -> T:
        """What ``read`` finds, as the caller's identity. ``follows``: for somebody who looks again and again."""

        def work() -> T:
            with self.workplace.at_work(caller.name, within_s=LOOK_S) as session:
                return read(session)

        return await self.looks.at_nodes(work, caller.credential.id, follows=follows)

    async def poll(
        self, caller: Caller, read: Callable[[Session], T], is_there: Callable[[T], bool], wait_s: float
    ) -> T:
        """What ``read`` finds once ``is_there`` says so of it, or after ``wait_s`` seconds. No thread waits for it."""
        ends_s = self.monotonic_s() + wait_s
        while True:
            found = await self.look(caller, read)
            left_s = ends_s - self.monotonic_s()
            if left_s <= 0 or is_there(found):
                return found
            await self.pause(min(POLL_S, left_s))

    # --- what changes something -------------------------------------------------------------------------------
    async def write(
        self,
        request: Request,
        caller: Caller,
        work: Callable[[Work], Outcome],
        *,
        wait_s: float | None = None,
        later: Callable[[bytes], Outcome] | None = None,
        decides: bool = False,
        lasts: bool = False,
    ) -> Response:
        """Carries out a call, once for its Idempotency-Key. ``decides``: it ends or stops something, or says yes or no.

        ``lasts``, and what decides: the answer says what was done, and stays so; without, what is made, as it is then.

        With ``wait_s`` the caller is answered by ``later`` (given what :meth:`Work.bind` was) where it takes longer, or
        waits for fiduciaries at the end of it: the work goes on. Where it is not known after 25 s what is made, nothing
        is: TimedOut.
        """
        began_s = self.monotonic_s()
        said = await _said(request)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (1 <= len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
            raise BadCall(400, f"an Idempotency-Key has 1 to {MAX_KEY_CHARS} printable characters of ASCII")
        loop = asyncio.get_running_loop()
        made: asyncio.Future[bytes] = loop.create_future()

        def set_made(subject: bytes) -> None:
            if not made.done():
                made.set_result(subject)

        def tell(subject: bytes) -> None:
            with suppress(RuntimeError):  # the loop is closed: the agent stops, nobody waits, and the work goes on
                loop.call_soon_threadsafe(set_made, subject)

        answering = Answering(tell)

        route = f"{request.method} {request.scope['path']}"
        future = self.jobs.start(
            lambda: self._carry_out(caller, _Asked(route, key, said, lasts or decides), work, answering),
            caller.credential.id, decides=decides,
        )
        if wait_s is None or later is None:
            return (await asyncio.shield(future)).response()
        either: list[asyncio.Future[Any]] = [future, made]
        if not await self._is_known(either) and answering.give_up():
            raise _too_slow()
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        await self.wait_until(future, max(0.0, wait_s - (self.monotonic_s() - began_s)))
        if future.done():
            error = future.exception()
            if not (isinstance(error, TimedOut) and made.done()):
                return future.result().response()
        return later(made.result()).response()

    async def _is_known(self, either: Sequence[asyncio.Future[Any]]) -> bool:
        """Whether it is known within 25 s what a call makes, or what came of it."""
        first = asyncio.ensure_future(asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED))
        try:
            await self.wait_until(first, MAX_WAIT_S)
        finally:
            first.cancel()
        return any(one.done() for one in either)

    async def act(
        self, request: Request, credential: Credential, name: str, work: Callable[[], Outcome]
    ) -> Response:
        """Carries out a call that makes this home's identity of that name, or goes on with it.

        Its lines have a MAC and an id once the identity is in the home: the MAC's key is that identity's own.
        """
        said = await _said(request)
        facts: dict[str, JsonValue] = {
            "call": f"{request.method} {request.scope['path']}", "credential": credential.id, "identity": name,
        }  # fmt: skip

        def noted() -> Outcome:
            self.audit.note("begun", int(self.now_s()), **facts, **self._known(name, said))
            try:
                outcome = work()
            except Exception as error:
                ours = problems.as_ours(error)
                status = problems.row_of(ours).status
                self.audit.note(
                    "ended", int(self.now_s()), **facts, **self._known(name, said), status=status, kind=ours.kind
                )
                raise
            self.audit.note("ended", int(self.now_s()), **facts, **self._known(name, said), status=outcome.status)
            return outcome

        return (await asyncio.shield(self.jobs.start(noted, credential.id))).response()

    def _known(self, name: str, said: Said) -> dict[str, JsonValue]:
        """The MAC of what a call says, and the identity of that name, where this home has it and its keys open."""
        found: dict[str, JsonValue] = {}
        with suppress(DtaError, KeystoreError):
            found["subject"] = self.workplace.profile(name).identity.hex()
            found["body"] = said.mac(self.workplace.mac_key(name)).hex()
        return found

    def _carry_out(
        self,
        caller: Caller,
        asked: _Asked,
        work: Callable[[Work], Outcome],
        answering: Answering,
    ) -> Outcome | Replayed:
        """In a thread: notes, does, notes what came of it."""
        secret = self.workplace.mac_key(caller.name)
        facts: dict[str, JsonValue] = {
            "call": asked.route, "credential": caller.credential.id, "identity": caller.name,
            "body": asked.said.mac(secret).hex(),
        }  # fmt: skip
        subject = b""

        def made(found: bytes) -> None:
            nonlocal subject
            subject = found
            with self._lock:
                self._at_work.add((caller.name, found))
            answering.tell(found)

        self.audit.note("begun", int(self.now_s()), **facts)
        try:
            with self._alone(secret, caller, asked) as call:
                if call is not None and call.before.status:
                    self.audit.note("ended", int(self.now_s()), **facts, status=call.before.status, replayed=True)
                    return Replayed(call.before)
                outcome = work(Work(self, caller, call, answering, made))
                if call is not None and outcome.is_final and not outcome.is_secret:
                    shown = outcome.body.model_dump(mode="json", by_alias=True)
                    call.answered(outcome.status, shown, int(self.now_s()), lasts=asked.lasts)
        except Exception as error:
            ours = problems.as_ours(error)
            self._remember(caller, subject, ours)
            self.audit.note(
                "ended", int(self.now_s()), **facts, status=problems.row_of(ours).status, kind=ours.kind,
                subject=subject.hex(),
            )  # fmt: skip
            raise
        finally:
            self.waiting.forget()
            with self._lock:
                self._at_work.discard((caller.name, subject))
        self._remember(caller, subject, None)
        self.audit.note("ended", int(self.now_s()), **facts, status=outcome.status, subject=subject.hex())
        return outcome

    @contextmanager
    def _alone(self, secret: SecretBytes, caller: Caller, asked: _Asked) -> Iterator[Call | None]:
        if asked.key is None:
            yield None
            return
        scope = key_mac(secret, caller.credential.id, asked.route, asked.key)
        with self.store.call(scope, asked.said.mac(secret), int(self.now_s())) as call:
            yield call

    # --- what became of what nobody waited for ----------------------------------------------------------------
    def _remember(self, caller: Caller, subject: bytes, trouble: DtaError | None) -> None:
        key = (caller.name, subject)
        with self._lock:
            self._troubles.pop(key, None)
            if trouble is not None and subject:
                self._troubles[key] = trouble
            if len(self._troubles) > MAX_TROUBLES:
                self._troubles.popitem(last=False)

    def is_at_work(self, subject: bytes) -> bool:
        """Whether a call about it, for the identity whose call is answered here, is at work."""
        caller = calling()
        with self._lock:
            return caller is not None and (caller.name, subject) in self._at_work

    def trouble(self, subject: bytes) -> DtaError | None:
        """Why the last such call failed, since this agent was started."""
        caller = calling()
        with self._lock:
            return self._troubles.get((caller.name, subject)) if caller is not None else None

    def close(self) -> None:
        """Waits for what is at work, and lets go of everything."""
        self.jobs.close()
        self.looks.close()
        if self.doorkeeper.bearers is not None:
            self.doorkeeper.bearers.close()
        self.store.close()
        self.audit.close()
        self.workplace.close()
