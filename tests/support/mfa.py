"""A realm without a ledger: its master secret in the test's hand, clients, servers, and an HTTP server on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from abci_app.crypto.curve import G1, ORDER
from dta.base.secret import SecretBytes
from dta.client.mfa.credentials import Credential
from dta.client.mfa.login import Permit
from dta.login.http import HttpConfig, HttpServer
from dta.login.server import AuthenticationServer, Limits
from dta.login.store import ServerState
from dta.mpin.pin import Pin, token_of
from dta.mpin.realm import ClientStatus, FixedRealm, RealmFacts
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import RFC9380, Suite
from tests.support.actors import seeded
from tests.support.patience import PATIENCE_S

MASTER = int.from_bytes(seeded("mfa", "master"), "big") % ORDER
NOW_S = 1_800_000_000
DAY = NOW_S // 86_400
SERVER = seeded("server", "rps")
PIN = "2718"


def pin(digits: str = PIN) -> Pin:
    return Pin(SecretBytes(digits.encode()))


def facts(suite: Suite = RFC9380, **changes: object) -> RealmFacts:
    """A realm with lockout after three failures for ten minutes, one-pass logins of five minutes, no permits."""
    gid, realm, authority = (seeded("mfa", name) for name in ("gid", "realm", "key"))
    public_key = (G1.generator() * MASTER).encode()
    plain = RealmFacts(gid, realm, authority, suite, public_key, False, 3, 600, 300, "staff")
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class Clock:
    """Unix time and a monotonic clock, moved together by hand."""

    now_s: float = NOW_S
    monotonic_s: float = 1_000.0

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        self.monotonic_s += seconds


@dataclass
class World:
    """One realm and one server of it. ``restart`` gives a new server over the same file, as after kill -9."""

    directory: Path
    facts: RealmFacts = field(default_factory=facts)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.realm = FixedRealm(self.facts, {SERVER}, {}, {})
        self.permits: dict[tuple[bytes, int], bytes] = {}
        self.realm.permits = self.permits
        self.server = self._server()

    def _server(self) -> AuthenticationServer:
        # A new one is an hour old: one that was made just now takes no one-pass login of this minute.
        self.state = ServerState(self.directory / "state.sqlite", int(self.clock.now_s) - 3_600)
        q = self.facts.parties(bytes(32), SERVER).q
        return AuthenticationServer(
            self.realm, SERVER, SecretPoint(q * MASTER), self.state, self.limits,
            lambda: self.clock.now_s, lambda: self.clock.monotonic_s,
        )  # fmt: skip

    def restart(self) -> None:
        self.server = self._server()

    def credential(self, name: str = "alice@example.org", digits: str = PIN, enrolled: bool = True) -> Credential:
        """A client's credential; it is enrolled unless told otherwise."""
        known = self.facts
        made = Credential(
            known.gid, known.realm, known.authority, known.suite, known.permits_required, name,
            SecretBytes(seeded("salt", name)), SecretPoint(G1.generator()), SERVER,
        )  # fmt: skip
        a = made.parties(SERVER).a
        if enrolled:
            self.realm.clients[made.client] = ClientStatus.ENROLLED
        return made.with_token(token_of(SecretPoint(a * MASTER), a, pin(digits)))

    def issue_permit(self, credential: Credential, day: int = DAY) -> G1:
        """What the fiduciaries publish for a day."""
        permit = credential.parties(SERVER).permit_point(day) * MASTER
        self.permits[credential.client, day] = permit.encode()
        return permit

    def permit(self, credential: Credential, day: int = DAY) -> Permit:
        """The same, as a client takes it from the ledger."""
        return Permit(credential.client, day, self.issue_permit(credential, day))

    @contextmanager
    def listening(self, config: HttpConfig | None = None) -> Iterator[str]:
        """The server over HTTP on a free port of loopback: its URL."""
        http = HttpServer(self.server, config or HttpConfig(port=0), lambda: self.clock.monotonic_s)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        host, port = asyncio.run_coroutine_threadsafe(http.start(), loop).result(30)
        try:
            yield f"{'https' if config and config.tls else 'http'}://{host}:{port}"
        finally:
            asyncio.run_coroutine_threadsafe(http.stop(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE_S)
            loop.close()
