"""Logins in any order: the server lets in exactly whom a simple model lets in, whatever is tried and restarted."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from dta.client.mfa.credentials import Credential
from dta.login.http import HttpServer
from dta.login.server import Hello
from dta.mpin.pin import changed, secret_of, token_of
from dta.mpin.protocol import ClientLogin, accepts, fresh_y
from dta.mpin.refusals import LoginRefused, Refusal
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import AMCL, RFC9380
from tests.support.mfa import DAY, MASTER, SERVER, World, facts, pin

PINS = st.integers(0, 10**12 - 1).map(lambda number: f"{number:04d}")
MAX_ATTEMPTS, LOCKOUT_S, MAX_AGE_S, SESSION_S = 3, 600, 300, 60


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([RFC9380, AMCL]), st.booleans(), PINS, PINS, st.binary(min_size=32, max_size=32))
def test_a_pin_logs_in_when_and_only_when_it_is_the_one(
    suite: object, with_permit: bool, chosen: str, tried: str, client: bytes
) -> None:
    who = facts(suite).parties(client, SERVER, DAY if with_permit else None)  # type: ignore[arg-type]
    token = token_of(SecretPoint(who.a * MASTER), who.a, pin(chosen))
    permit = who.permit_point(DAY) * MASTER if with_permit else None
    login = ClientLogin(who, secret_of(token, who.a, pin(tried)), permit)
    y = fresh_y()
    right = accepts(who.base, who.q, who.q * MASTER, login.u, y, login.answer(y))
    assert right == (int(chosen) == int(tried))


@settings(max_examples=25, deadline=None)
@given(PINS, st.lists(PINS, min_size=1, max_size=4))
def test_any_number_of_changes_leads_to_the_last_pin(first: str, later: list[str]) -> None:
    who = facts().parties(bytes(32), SERVER)
    token = token_of(SecretPoint(who.a * MASTER), who.a, pin(first))
    for old, new in zip([first, *later], later, strict=False):
        token = changed(token, who.a, pin(old), pin(new))
    assert token == token_of(SecretPoint(who.a * MASTER), who.a, pin(later[-1]))


class Logins(RuleBasedStateMachine):
    """Two clients at one server with lockout; the model counts failures and knows which sessions are open."""

    sessions = Bundle("sessions")
    sent = Bundle("sent")

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.world = World(Path(self.directory.name), facts(max_attempts=MAX_ATTEMPTS, lockout_s=LOCKOUT_S))
        self.clients = [self.world.credential("alice"), self.world.credential("bob")]
        self.failures = [0, 0]
        self.locked_until: list[float] = [0, 0]
        self.open: dict[bytes, float] = {}
        self.used: set[bytes] = set()

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.directory.cleanup()

    @rule(target=sessions, who=st.integers(0, 1), right=st.booleans())
    def pass_1(self, who: int, right: bool) -> tuple[int, bool, bytes, bytes]:
        login, hello = self._login(who, right)
        write = self.clients[who].suite.write_g1
        if self._is_locked(who):
            refusal = self._outcome(lambda: self.world.server.pass1(hello, write(login.u), None))
            assert refusal is Refusal.LOCKED_OUT
            return who, right, b"", b""
        challenge = self.world.server.pass1(hello, write(login.u), None)
        self.open[challenge.session] = self.world.clock.monotonic_s + SESSION_S
        return who, right, challenge.session, write(login.answer(challenge.y))

    @rule(session=sessions)
    def pass_2(self, session: tuple[int, bool, bytes, bytes]) -> None:
        who, right, id_, v = session
        if not id_:
            return
        is_open = self.open.pop(id_, 0) > self.world.clock.monotonic_s
        expected = self._attempt(who, right) if is_open else Refusal.UNKNOWN_SESSION
        assert self._outcome(lambda: self.world.server.pass2(id_, v)) == expected

    @rule(target=sent, who=st.integers(0, 1), right=st.booleans(), age_s=st.sampled_from([-31, 0, 300, 301]))
    def one_pass(self, who: int, right: bool, age_s: int) -> tuple[int, bool, int, bytes, bytes]:
        login, _ = self._login(who, right)
        time_s = self.world.server.now_s - age_s
        write = self.clients[who].suite.write_g1
        return who, right, time_s, write(login.u), write(login.one_pass(time_s)[1])

    @rule(message=sent)
    def send(self, message: tuple[int, bool, int, bytes, bytes]) -> None:
        who, right, time_s, u, v = message
        now_s = self.world.server.now_s
        expected: Refusal | None
        if self._is_locked(who):
            expected = Refusal.LOCKED_OUT
        elif time_s > now_s + 30:
            expected = Refusal.FUTURE_TIME
        elif time_s < now_s - MAX_AGE_S:
            expected = Refusal.STALE_TIME
        elif v in self.used:
            expected = Refusal.REPLAYED
        else:
            expected = self._attempt(who, right)
            if expected is None:
                self.used.add(v)
        hello = self._hello(self.clients[who])
        assert self._outcome(lambda: self.world.server.one_pass(hello, time_s, u, v)) == expected

    @rule(seconds=st.sampled_from([1, 30, 60, 299, 600]))
    def wait(self, seconds: int) -> None:
        self.world.clock.move(seconds)

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self.open.clear()

    def _login(self, who: int, right: bool) -> tuple[ClientLogin, Hello]:
        credential = self.clients[who]
        parties = credential.parties(SERVER)
        secret = secret_of(credential.token, parties.a, pin("2718" if right else "8281"))
        return ClientLogin(parties, secret), self._hello(credential)

    @staticmethod
    def _hello(credential: Credential) -> Hello:
        return Hello(credential.realm, SERVER, credential.client, None)

    @staticmethod
    def _outcome(do: object) -> Refusal | None:
        try:
            do()  # type: ignore[operator]
        except LoginRefused as error:
            return error.code
        return None

    def _is_locked(self, who: int) -> bool:
        return self.locked_until[who] > self.world.clock.now_s

    def _attempt(self, who: int, right: bool) -> Refusal | None:
        if self._is_locked(who):
            return Refusal.LOCKED_OUT
        if self.locked_until[who]:
            self.failures[who], self.locked_until[who] = 0, 0
        if right:
            self.failures[who] = 0
            return None
        self.failures[who] += 1
        if self.failures[who] >= MAX_ATTEMPTS:
            self.locked_until[who] = self.world.clock.now_s + LOCKOUT_S
        return Refusal.NOT_AUTHENTICATED


Logins.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLogins = Logins.TestCase


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
)
FIELDS = st.sampled_from(["realm", "server", "name", "salt", "u", "v", "r", "day", "time", "session", "ticket"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/rps/pass1", "/rps/pass2", "/rps/confirm", "/rps/onepass", "/rps/authenticate"]),
    body=st.dictionaries(FIELDS, JSON, max_size=8).map(lambda t: json.dumps(t).encode()) | st.binary(max_size=200),
)
def test_no_body_is_anything_but_refused_as_malformed_or_unknown(path: str, body: bytes, one_world: World) -> None:
    http = HttpServer(one_world.server)
    with pytest.raises(LoginRefused) as caught:
        http._posts[path](body, "192.0.2.1")
    assert caught.value.code in (Refusal.MALFORMED, Refusal.UNKNOWN_SESSION, Refusal.UNKNOWN_TICKET)


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("mfa"))
