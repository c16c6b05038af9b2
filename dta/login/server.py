"""An authentication server's decisions, without the transport: logins, lockouts, tickets (docs/spec/mfa.md).

Every method may block (the ledger, the disk, some milliseconds of curve) and may be called from several threads. A
refusal is a LoginRefused; whatever else is raised lets nobody in.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from abci_app.crypto.curve import G1, G2, BadPoint
from abci_app.mfa.points import SECONDS_PER_DAY
from dta.base.errors import DtaError
from dta.base.secret import SecretBytes
from dta.crypto.scalar import SecretScalar
from dta.login.expiring import Expiring, Full
from dta.login.store import Lockout, ServerState
from dta.mpin.agreement import SessionKeys
from dta.mpin.logins import ID_BYTES, Mode
from dta.mpin.protocol import (
    BadStep,
    Parties,
    accepts,
    check_server_secret,
    fresh_y,
    is_permit,
    one_pass_y,
    server_keys,
    used_login,
)
from dta.mpin.realm import ClientStatus, RealmSource
from dta.mpin.refusals import LoginRefused, Refusal
from dta.mpin.secret_point import SecretPoint

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long logins and tickets live and how many at once; how far ahead a one-pass client's clock may be.

    ``day_grace_s``: so long after its day's end a login that began within the day may still be finished.
    """

    session_s: float = 60.0
    max_sessions: int = 10_000
    ticket_s: float = 60.0
    max_tickets: int = 10_000
    ahead_s: int = 30
    day_grace_s: int = 10


@dataclass(frozen=True, slots=True)
class Hello:
    """Who says to be logging in where: 32 bytes each; ``day``: of the time permit used, None without one."""

    realm: bytes
    server: bytes
    client: bytes
    day: int | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """Pass 1's answer: the login's session (32 bytes), y, and W in the full protocol."""

    session: bytes
    y: int
    w: G1 | None


@dataclass(frozen=True, slots=True)
class Pass2:
    """Pass 2's answer: the ticket of a two-pass login, or the server's confirmation of a full one; 32 bytes."""

    kind: Literal["ticket", "confirmation"]
    value: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who logged in. ``time_s``: when; ``session_key``: of the full protocol, shared with the client alone."""

    client: bytes
    mode: Mode
    day: int | None
    time_s: int
    session_key: SecretBytes | None = None


@dataclass(frozen=True, slots=True)
class _Login:
    """A login after pass 1: what pass 2 is checked against, and cannot replace."""

    parties: Parties
    base: G1
    u: G1
    y: int
    r: G1 | None
    w: SecretScalar
    w_point: G1 | None


class AuthenticationServer:
    """One server of one realm."""

    def __init__(
        self,
        source: RealmSource,
        server: bytes,
        secret: SecretPoint[G2],
        state: ServerState,
        limits: Limits | None = None,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``server``: its identity; ``secret``: s*Q, checked here against the realm's public key (else BadPoint)."""
        limits = limits or Limits()
        self.facts = source.facts()
        self.server = server
        self._source = source
        self._state = state
        self._ahead_s = limits.ahead_s
        self._day_grace_s = limits.day_grace_s
        self._now_s = now_s
        self._q = self.facts.parties(bytes(ID_BYTES), server).q
        self._secret = secret
        self._rule = Lockout(self.facts.max_attempts, self.facts.lockout_s)
        self._sessions: Expiring[_Login] = Expiring(limits.max_sessions, limits.session_s, monotonic_s)
        self._confirming: Expiring[tuple[Parties, SessionKeys]] = Expiring(
            limits.max_sessions, limits.session_s, monotonic_s
        )
        self._tickets: Expiring[Authenticated] = Expiring(limits.max_tickets, limits.ticket_s, monotonic_s)
        check_server_secret(G1.decode(self.facts.public_key), self._q, secret)

    @property
    def now_s(self) -> int:
        """Unix time."""
        return int(self._now_s())

    @property
    def today(self) -> int:
        """The day of the time permits that count now: days since the Unix epoch, by UTC."""
        return self.now_s // SECONDS_PER_DAY

    def pass1(self, hello: Hello, u: bytes, r: bytes | None, address: str = "") -> Challenge:
        """Begins a two-pass login, or with R the full protocol. Points are in the suite's encoding.

        Anybody may begin one, so where there is no room whoever began most (``address``) loses its oldest.
        """
        parties = self._parties(hello)
        u_point = self._point(u)
        r_point = None if r is None else self._point(r)
        base = parties.base
        w = SecretScalar.random()
        w_point = None if r is None else base * w.reveal()
        login = _Login(parties, base, u_point, fresh_y(), r_point, w, w_point)
        session = secrets.token_bytes(ID_BYTES)
        _keep(self._sessions, session, login, address)
        return Challenge(session, login.y, w_point)

    def pass2(self, session: bytes, v: bytes) -> Pass2:
        """Ends a two-pass login; in the full protocol the client's confirmation is still to come.

        Whatever the answer, the session is used up; of a full login it serves once more, for :meth:`confirm`.
        """
        login = self._sessions.take(session)
        if login is None:
            raise LoginRefused(Refusal.UNKNOWN_SESSION)
        self._require_its_day(login.parties.day)
        v_point = self._point(v)
        self._authenticate(login.parties, login.base, login.u, login.y, v_point)
        if login.r is None or login.w_point is None:
            return Pass2("ticket", self._ticket(login.parties, Mode.TWO_PASS))
        secret = self._secret.reveal()
        try:
            keys = server_keys(
                login.parties, secret, login.u, v_point, login.y, login.r, login.w, login.w_point
            )  # fmt: skip
        except BadStep:
            raise LoginRefused(Refusal.BAD_POINT) from None
        _keep(self._confirming, session, (login.parties, keys))
        return Pass2("confirmation", keys.server_confirmation())

    def confirm(self, session: bytes, confirmation: bytes) -> None:
        """The full protocol's end: from here on the ticket, which both sides derived, can be redeemed."""
        found = self._confirming.take(session)
        if found is None:
            raise LoginRefused(Refusal.UNKNOWN_SESSION)
        parties, keys = found
        self._require_its_day(parties.day)
        if not keys.client_confirmed(confirmation):
            raise LoginRefused(Refusal.NOT_CONFIRMED)
        who = Authenticated(parties.client, Mode.FULL, parties.day, self.now_s, keys.session)
        _keep(self._tickets, keys.ticket.reveal(), who)

    def one_pass(self, hello: Hello, time_s: int, u: bytes, v: bytes) -> bytes:
        """A one-pass login of ``time_s`` (Unix time): the ticket."""
        max_age_s = self.facts.one_pass_max_age_s
        if not max_age_s:
            raise LoginRefused(Refusal.ONE_PASS_OFF)
        parties = self._parties(hello)
        now_s = self.now_s
        if time_s > now_s + self._ahead_s:
            raise LoginRefused(Refusal.FUTURE_TIME)
        if time_s < now_s - max_age_s:
            raise LoginRefused(Refusal.STALE_TIME)
        if time_s <= self._state.made_s + self._ahead_s:
            raise LoginRefused(Refusal.STALE_TIME, "it may have been made before this server remembers any")
        u_point, v_point = self._point(u), self._point(v)
        login = used_login(parties.client, time_s, u, v)
        self._state.check_unused(login)
        y = one_pass_y(parties, time_s, u_point)
        if y == 0:
            raise LoginRefused(Refusal.NOT_AUTHENTICATED)
        self._authenticate(parties, parties.base, u_point, y, v_point, login, time_s + max_age_s)
        return self._ticket(parties, Mode.ONE_PASS)

    def redeem(self, ticket: bytes) -> Authenticated:
        """Who logged in with this ticket; once."""
        found = self._tickets.take(ticket)
        if found is None:
            raise LoginRefused(Refusal.UNKNOWN_TICKET)
        return found

    def permit(self, client: bytes, day: int) -> bytes:
        """The client's time permit for ``day`` in the suite's encoding. Permits are public.

        It is checked with the server's secret, wherever it comes from: a false one would test a guess of the PIN.
        """
        found = _read(lambda: self._source.permit(client, day))
        if found is None:
            raise LoginRefused(Refusal.NO_PERMIT)
        base = self.facts.parties(client, self.server, day).permit_point(day)
        try:
            point = G1.decode(found)
            if not is_permit(point, base, self._q, self._secret.reveal()):
                raise BadPoint
        except BadPoint as error:
            raise LoginRefused(Refusal.LEDGER_UNREADABLE, "a time permit is false") from error
        return self.facts.suite.write_g1(point)

    def in_progress(self) -> dict[str, int]:
        """How many logins are under way and tickets unredeemed; some may have ended already."""
        return {"logins": len(self._sessions) + len(self._confirming), "tickets": len(self._tickets)}

    def _parties(self, hello: Hello) -> Parties:
        """Whom ``hello`` is about, where it is about this server and may go on."""
        if hello.realm != self.facts.realm or hello.server != self.server:
            raise LoginRefused(Refusal.WRONG_REALM)
        if hello.day is None and self.facts.permits_required:
            raise LoginRefused(Refusal.PERMIT_REQUIRED)
        if hello.day is not None and hello.day != self.today:
            raise LoginRefused(Refusal.WRONG_DAY)
        if not _read(lambda: self._source.server_registered(self.server)):
            raise LoginRefused(Refusal.SERVER_NOT_REGISTERED)
        self._state.check(hello.client, self.now_s)
        return self.facts.parties(hello.client, self.server, hello.day)

    def _authenticate(
        self, parties: Parties, base: G1, u: G1, y: int, v: G1, login: bytes | None = None, until_s: int = 0
    ) -> None:
        """Returns when V is right and the client may log in. ``login``: a one-pass one, remembered ``until_s``.

        An unknown client is refused as a wrong PIN is, after the same work.
        """
        status = _read(lambda: self._source.client_status(parties.client))
        if status is not ClientStatus.UNKNOWN:
            self._state.attempt(parties.client, self._rule, self.now_s)
        right = accepts(base, self._q, self._secret.reveal(), u, y, v)
        if not right or status is ClientStatus.UNKNOWN:
            raise LoginRefused(Refusal.NOT_AUTHENTICATED)
        if login is not None:
            self._use(parties.client, login, until_s)
        self._state.succeeded(parties.client)
        if status is not ClientStatus.ENROLLED:
            raise LoginRefused(Refusal.REVOKED)

    def _use(self, client: bytes, login: bytes, until_s: int) -> None:
        """Remembers a one-pass login. Where that is refused, its V was right all the same: no failure is counted.

        No success either: whoever repeats what it overheard must not wipe out the failures of its own guesses.
        """
        try:
            self._state.use(login, until_s, self.now_s)
        except LoginRefused:
            self._state.withdraw(client, self._rule)
            raise

    def _require_its_day(self, day: int | None) -> None:
        """A login with a permit is of the day that its pass 1 named, and ends with it."""
        if day is None:
            return
        into_s = self.now_s - day * SECONDS_PER_DAY
        if not 0 <= into_s < SECONDS_PER_DAY + self._day_grace_s:
            raise LoginRefused(Refusal.WRONG_DAY)

    def _ticket(self, parties: Parties, mode: Mode) -> bytes:
        ticket = secrets.token_bytes(ID_BYTES)
        _keep(self._tickets, ticket, Authenticated(parties.client, mode, parties.day, self.now_s))
        return ticket

    def _point(self, data: bytes) -> G1:
        try:
            return self.facts.suite.read_g1(data)
        except BadPoint:
            raise LoginRefused(Refusal.BAD_POINT) from None


def _keep(store: Expiring[T], key: bytes, value: T, owner: str = "") -> None:
    try:
        store.put(key, value, owner)
    except Full:
        raise LoginRefused(Refusal.BUSY) from None


def _read(ask: Callable[[], T]) -> T:
    """What the ledger says. Where it says nothing that can be relied upon, nobody gets in."""
    try:
        return ask()
    except DtaError as error:
        raise LoginRefused(Refusal.LEDGER_UNREADABLE) from error
