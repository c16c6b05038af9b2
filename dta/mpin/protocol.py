"""M-Pin's steps, free of transport and storage: a client's login, and what a server computes (docs/spec/mfa.md).

A login's *base* B is A, the client's point, or with a time permit A + D. The client shows that it knows s*B, without
showing it: U = x*B, then V = -(x + y)*s*B for the server's y. The server accepts when e(V, Q) * e(U + y*B, s*Q) = 1.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from abci_app.crypto.curve import G1, G2, ORDER, BadPoint, pairing_check
from abci_app.hashing import tagged_hash, u32, u64
from abci_app.mfa import points
from dta.crypto.gt import pairing_bytes
from dta.crypto.scalar import SecretScalar
from dta.mpin.agreement import SessionKeys, agree, exponent
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import Suite


class StepReused(Exception):
    """A login's x serves one answer. A second y for the same x would give the client secret away."""


class BadStep(ValueError):
    """What the other side sent leads to a value that no honest one leads to."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who logs in where. ``gid``, ``authority`` (key), ``realm``, ``client`` (hash) and ``server``: 32 bytes each.

    ``day``: of the time permit that is used, in days since the Unix epoch; None without one.
    """

    suite: Suite
    gid: bytes
    authority: bytes
    realm: bytes
    client: bytes
    server: bytes
    day: int | None = None

    @property
    def identity(self) -> bytes:
        """The client's M-Pin identity: what is hashed to A."""
        return points.client_identity(self.suite.number, self.gid, self.authority, self.realm, self.client)

    @property
    def server_identity(self) -> bytes:
        """What is hashed to Q."""
        return points.server_identity(self.suite.number, self.gid, self.authority, self.realm, self.server)

    @property
    def a(self) -> G1:
        """The client's point."""
        return self.suite.client_point(self.identity)

    @property
    def q(self) -> G2:
        """The server's point."""
        return self.suite.server_point(self.server_identity)

    def permit_point(self, day: int) -> G1:
        """D: the point of the client's permit for ``day``."""
        number = self.suite.number
        identity = points.permit_identity(number, self.gid, self.authority, self.realm, self.client, day)
        return self.suite.permit_point(identity)

    @property
    def base(self) -> G1:
        """B: A, or with a permit A + D."""
        return self.a if self.day is None else self.a + self.permit_point(self.day)

    def transcript(self, *values: bytes) -> tuple[bytes, ...]:
        """The parts that every hash about this login starts with, then ``values``."""
        day = b"" if self.day is None else u32(self.day)
        return (self.gid, self.authority, self.realm, self.server_identity, self.identity, day, *values)


@dataclass(slots=True)
class ClientLogin:
    """One login, of which x (and r) serve once. ``secret``: s*A, rebuilt from token and PIN; ``permit``: s*D or None.

    ``full`` makes R as well: for the key agreement.
    """

    parties: Parties
    secret: SecretPoint[G1]
    permit: G1 | None = None
    full: bool = False
    u: G1 = field(init=False)
    r: G1 | None = field(init=False, default=None)
    _a: G1 = field(init=False, repr=False)
    _x: SecretScalar = field(init=False, repr=False)
    _r: SecretScalar | None = field(init=False, repr=False, default=None)
    _used: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if (self.permit is None) != (self.parties.day is None):
            raise ValueError("a permit and its day go together")
        self._a = self.parties.a
        base = self._a if self.parties.day is None else self._a + self.parties.permit_point(self.parties.day)
        self._x = SecretScalar.random()
        self.u = base * self._x.reveal()
        if self.full:
            self._r = SecretScalar.random()
            self.r = self._a * self._r.reveal()

    def answer(self, y: int) -> G1:
        """V for the server's ``y``. Raises StepReused the second time, BadStep for a y that no server sends."""
        if self._used:
            raise StepReused
        self._used = True
        total = (self._x.reveal() + y) % ORDER
        if not 0 < y < ORDER or total == 0:
            raise BadStep
        secret = self.secret.reveal()
        return -((secret if self.permit is None else secret + self.permit) * total)

    def one_pass(self, time_s: int) -> tuple[int, G1]:
        """y and V of a one-pass login at ``time_s`` (Unix time). Raises StepReused, BadStep."""
        y = one_pass_y(self.parties, time_s, self.u)
        return y, self.answer(y)

    def keys(self, y: int, v: G1, w: G1) -> SessionKeys:
        """The keys of the full protocol. ``y`` and ``w`` are the server's, ``v`` what was answered. Once a login."""
        if self.r is None or self._r is None:
            raise ValueError("this login makes no keys")
        h = exponent(self.parties.suite, self.parties.transcript(), self.u, v, y, self.r, w)
        point = self.secret.reveal() * (self._r.reveal() + h)
        shared = w * self._x.reveal()
        self._r = None
        return agree(pairing_bytes(point, self.parties.q), shared, h)


def one_pass_y(parties: Parties, time_s: int, u: G1) -> int:
    """y of a one-pass login: a hash of the login's time, U and all that it is about."""
    return parties.suite.one_pass_y(time_s, u, *parties.transcript())


def used_login(client: bytes, time_s: int, u: bytes, v: bytes) -> bytes:
    """What a server remembers of a one-pass login that it took: 32 bytes. ``u`` and ``v`` as they were sent."""
    return tagged_hash("DTA-v1-mpin-used", client, u64(time_s), u, v)


def fresh_y() -> int:
    """A server's y: random, never zero."""
    return 1 + secrets.randbelow(ORDER - 1)


def accepts(base: G1, q: G2, secret: G2, u: G1, y: int, v: G1) -> bool:
    """Whether V answers y for U on ``base``: e(V, Q) * e(U + y*B, s*Q) = 1. ``secret``: s*Q."""
    return pairing_check([(v, q), (u + base * y, secret)])


def is_permit(point: G1, base: G1, q: G2, secret: G2) -> bool:
    """Whether ``point`` is s*D, by e(P, Q) = e(D, s*Q). ``base``: D; ``secret``: s*Q, which no client has."""
    return pairing_check([(point, q), (-base, secret)])


def server_keys(parties: Parties, secret: G2, u: G1, v: G1, y: int, r: G1, w: SecretScalar, w_point: G1) -> SessionKeys:
    """The keys of the full protocol on the server's side. Raises BadStep where R was made to cancel out."""
    h = exponent(parties.suite, parties.transcript(), u, v, y, r, w_point)
    point = r + parties.a * h
    if point.is_identity:
        raise BadStep
    return agree(pairing_bytes(point, secret), u * w.reveal(), h)


def check_server_secret(public_key: G1, q: G2, secret: SecretPoint[G2]) -> None:
    """Whether the opened secret is s*Q, by e(PK, Q) = e(g1, s*Q). Raises BadPoint. It is checked in private."""
    if not pairing_check([(public_key, q), (-G1.generator(), secret.reveal())]):
        raise BadPoint
