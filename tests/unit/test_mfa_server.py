"""The authentication server lets in who knows the PIN, and refuses everything that was tried instead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from abci_app.crypto.curve import G1, BadPoint
from dta.base.errors import Unreachable
from dta.client.mfa.credentials import Credential
from dta.crypto.scalar import SecretScalar
from dta.login.server import AuthenticationServer, Challenge, Hello, Limits
from dta.login.store import CLOCK_MARGIN_S, Lockout
from dta.mpin.logins import Mode
from dta.mpin.pin import secret_of
from dta.mpin.protocol import ClientLogin
from dta.mpin.realm import ClientStatus, FixedRealm
from dta.mpin.refusals import MEANINGS, LoginRefused, Refusal
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import AMCL, RFC9380, Suite
from tests.support.actors import seeded
from tests.support.mfa import DAY, MASTER, NOW_S, SERVER, World, facts, pin

both_suites = pytest.mark.parametrize("suite", [RFC9380, AMCL], ids=lambda suite: suite.name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def hello(credential: Credential, day: int | None = None) -> Hello:
    return Hello(credential.realm, SERVER, credential.client, day)


def attempt(credential: Credential, digits: str = "2718", permit: G1 | None = None, full: bool = False) -> ClientLogin:
    parties = credential.parties(SERVER, None if permit is None else DAY)
    return ClientLogin(parties, secret_of(credential.token, parties.a, pin(digits)), permit, full)


def two_pass(world: World, credential: Credential, digits: str = "2718", permit: G1 | None = None) -> bytes:
    """A ticket, or LoginRefused."""
    login = attempt(credential, digits, permit)
    suite = credential.suite
    challenge = world.server.pass1(hello(credential, login.parties.day), suite.write_g1(login.u), None)
    return world.server.pass2(challenge.session, suite.write_g1(login.answer(challenge.y))).value


def one_pass(world: World, credential: Credential, digits: str = "2718", time_s: int = NOW_S) -> Callable[[], bytes]:
    """A one-pass login that can be sent again."""
    login = attempt(credential, digits)
    _, v = login.one_pass(time_s)
    write = credential.suite.write_g1
    return lambda: world.server.one_pass(hello(credential), time_s, write(login.u), write(v))


def refused(do: Callable[..., object], *arguments: object) -> Refusal:
    with pytest.raises(LoginRefused) as caught:
        do(*arguments)
    return caught.value.code


@both_suites
def test_two_passes_with_the_right_pin_give_a_ticket_that_is_redeemed_once(suite: object, tmp_path: Path) -> None:
    world = World(tmp_path, facts(suite))  # type: ignore[arg-type]
    alice = world.credential()
    ticket = two_pass(world, alice)
    who = world.server.redeem(ticket)
    assert (who.client, who.mode, who.day, who.time_s) == (alice.client, Mode.TWO_PASS, None, NOW_S)
    assert who.session_key is None
    assert refused(lambda: world.server.redeem(ticket)) is Refusal.UNKNOWN_TICKET


@both_suites
def test_the_full_protocol_ends_with_both_confirmed_and_one_key(suite: object, tmp_path: Path) -> None:
    world = World(tmp_path, facts(suite))  # type: ignore[arg-type]
    alice = world.credential()
    login = attempt(alice, full=True)
    write = alice.suite.write_g1
    assert login.r is not None
    challenge = world.server.pass1(hello(alice), write(login.u), write(login.r))
    assert challenge.w is not None
    v = login.answer(challenge.y)
    answer = world.server.pass2(challenge.session, write(v))
    assert answer.kind == "confirmation"
    keys = login.keys(challenge.y, v, challenge.w)
    assert keys.server_confirmed(answer.value)
    ticket = keys.ticket.reveal()
    assert refused(lambda: world.server.redeem(ticket)) is Refusal.UNKNOWN_TICKET  # not before it is confirmed
    world.server.confirm(challenge.session, keys.client_confirmation())
    who = world.server.redeem(ticket)
    assert who.mode is Mode.FULL
    assert who.session_key == keys.session
    assert "redacted" in repr(who)


def test_a_wrong_confirmation_ends_a_full_login(world: World) -> None:
    alice = world.credential()
    login = attempt(alice, full=True)
    write = alice.suite.write_g1
    assert login.r is not None
    challenge = world.server.pass1(hello(alice), write(login.u), write(login.r))
    assert challenge.w is not None
    v = login.answer(challenge.y)
    confirmation = world.server.pass2(challenge.session, write(v)).value
    keys = login.keys(challenge.y, v, challenge.w)
    # The server's own confirmation, sent back to it, is none of the client's.
    assert refused(lambda: world.server.confirm(challenge.session, confirmation)) is Refusal.NOT_CONFIRMED
    right = keys.client_confirmation()
    assert refused(lambda: world.server.confirm(challenge.session, right)) is Refusal.UNKNOWN_SESSION
    assert refused(lambda: world.server.redeem(keys.ticket.reveal())) is Refusal.UNKNOWN_TICKET


@both_suites
def test_each_of_twenty_wrong_pins_is_refused_with_the_lockout_set_aside(suite: object, tmp_path: Path) -> None:
    world = World(tmp_path, facts(suite, max_attempts=0))  # type: ignore[arg-type]
    alice = world.credential()
    for number in range(20):
        assert refused(two_pass, world, alice, f"{2719 + 37 * number}") is Refusal.NOT_AUTHENTICATED
    assert two_pass(world, alice)


def test_failures_in_a_row_lock_a_client_out_the_right_pin_too(world: World) -> None:
    alice, bob = world.credential(), world.credential("bob")
    for _ in range(3):
        assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    for again in (lambda: two_pass(world, alice), one_pass(world, alice)):
        with pytest.raises(LoginRefused) as caught:
            again()
        assert caught.value.code is Refusal.LOCKED_OUT
        assert caught.value.retry_after_s == 600
    assert two_pass(world, bob)
    world.clock.move(599)
    assert refused(lambda: two_pass(world, alice)) is Refusal.LOCKED_OUT
    world.clock.move(1)
    assert two_pass(world, alice)


def test_a_success_forgets_the_failures_before_it(world: World) -> None:
    alice = world.credential()
    for _ in range(3):
        for _ in range(2):
            assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
        assert two_pass(world, alice)


def test_after_a_lockout_the_count_starts_again(world: World) -> None:
    alice = world.credential()
    for _ in range(2):
        for _ in range(3):
            assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
        assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.LOCKED_OUT
        world.clock.move(600)


def test_one_pass_failures_count_as_well(world: World) -> None:
    alice = world.credential()
    for _ in range(3):
        assert refused(one_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    assert refused(lambda: two_pass(world, alice)) is Refusal.LOCKED_OUT


def test_logins_begun_before_the_lockout_are_not_checked_after_it(world: World) -> None:
    """Many passes 1 at once, then many passes 2: still no more than three PINs are tried."""
    alice = world.credential()
    write = alice.suite.write_g1
    begun = []
    for _ in range(12):
        login = attempt(alice, "0000")
        challenge = world.server.pass1(hello(alice), write(login.u), None)
        begun.append((challenge.session, write(login.answer(challenge.y))))
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda one: refused(lambda: world.server.pass2(*one)), begun))
    assert sorted(codes) == sorted([Refusal.LOCKED_OUT] * 9 + [Refusal.NOT_AUTHENTICATED] * 3)


def test_a_lockout_outlives_a_restart_and_so_do_the_failures_before_it(world: World) -> None:
    alice = world.credential()
    for _ in range(2):
        assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    world.restart()
    assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    world.restart()
    assert refused(lambda: two_pass(world, alice)) is Refusal.LOCKED_OUT


def test_a_lockout_without_an_end_is_lifted_by_the_operator_alone(tmp_path: Path) -> None:
    world = World(tmp_path, facts(lockout_s=0))
    alice = world.credential()
    for _ in range(3):
        assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    world.clock.move(10 * 365 * 86_400)
    with pytest.raises(LoginRefused) as caught:
        two_pass(world, alice)
    assert caught.value.retry_after_s is None
    assert world.state.locked(world.server.now_s) == [(alice.client, None)]
    assert world.state.unlock(alice.client)
    assert not world.state.unlock(alice.client)
    assert two_pass(world, alice)


def test_an_attempt_is_counted_before_it_is_checked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies while it checks has counted: dying gives no free attempts."""
    alice = world.credential()

    def dies(*_: object) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("dta.login.server.accepts", dies)
        for _ in range(3):
            with pytest.raises(MemoryError):
                two_pass(world, alice)
    world.restart()
    assert refused(lambda: two_pass(world, alice)) is Refusal.LOCKED_OUT


def test_an_unknown_client_is_refused_as_a_wrong_pin_is(world: World) -> None:
    stranger = world.credential("mallory", enrolled=False)
    for _ in range(5):
        assert refused(lambda: two_pass(world, stranger)) is Refusal.NOT_AUTHENTICATED
        assert refused(one_pass(world, stranger)) is Refusal.NOT_AUTHENTICATED
    assert world.state.locked(world.server.now_s) == []


def test_a_revoked_client_is_told_so_only_with_its_right_pin(world: World) -> None:
    alice = world.credential()
    world.realm.clients[alice.client] = ClientStatus.REVOKED
    assert refused(lambda: two_pass(world, alice)) is Refusal.REVOKED
    assert refused(one_pass(world, alice)) is Refusal.REVOKED
    assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED


def test_a_session_serves_one_answer(world: World) -> None:
    alice = world.credential()
    write = alice.suite.write_g1
    login = attempt(alice)
    challenge = world.server.pass1(hello(alice), write(login.u), None)
    v = write(login.answer(challenge.y))
    assert world.server.pass2(challenge.session, v).kind == "ticket"
    assert refused(lambda: world.server.pass2(challenge.session, v)) is Refusal.UNKNOWN_SESSION
    assert refused(lambda: world.server.pass2(bytes(32), v)) is Refusal.UNKNOWN_SESSION


def test_a_session_is_used_up_by_a_wrong_answer_too(world: World) -> None:
    alice = world.credential()
    write = alice.suite.write_g1
    login = attempt(alice)
    challenge = world.server.pass1(hello(alice), write(login.u), None)
    v = login.answer(challenge.y)
    assert refused(lambda: world.server.pass2(challenge.session, write(-v))) is Refusal.NOT_AUTHENTICATED
    assert refused(lambda: world.server.pass2(challenge.session, write(v))) is Refusal.UNKNOWN_SESSION


def test_an_answer_recorded_from_another_login_is_worth_nothing(world: World) -> None:
    alice = world.credential()
    write = alice.suite.write_g1
    login = attempt(alice)
    first = world.server.pass1(hello(alice), write(login.u), None)
    recorded = write(login.answer(first.y))
    second = world.server.pass1(hello(alice), write(login.u), None)
    assert refused(lambda: world.server.pass2(second.session, recorded)) is Refusal.NOT_AUTHENTICATED


def test_sessions_and_tickets_end_by_themselves(world: World) -> None:
    alice = world.credential()
    write = alice.suite.write_g1
    login = attempt(alice)
    challenge = world.server.pass1(hello(alice), write(login.u), None)
    ticket = two_pass(world, alice)
    world.clock.move(60)
    v = write(login.answer(challenge.y))
    assert refused(lambda: world.server.pass2(challenge.session, v)) is Refusal.UNKNOWN_SESSION
    assert refused(lambda: world.server.redeem(ticket)) is Refusal.UNKNOWN_TICKET


def test_no_more_logins_are_begun_than_there_is_room_for_and_none_is_lost_to_others(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(max_sessions=3))
    alice = world.credential()
    write = alice.suite.write_g1
    login = attempt(alice)
    mine = world.server.pass1(hello(alice), write(login.u), None)
    for _ in range(2):
        world.server.pass1(hello(alice), write(attempt(alice).u), None)
    for _ in range(5):
        assert refused(lambda: world.server.pass1(hello(alice), write(attempt(alice).u), None)) is Refusal.BUSY
    assert world.server.pass2(mine.session, write(login.answer(mine.y))).kind == "ticket"
    assert two_pass(world, alice)
    world.clock.move(60)
    assert two_pass(world, alice)
    assert world.server.in_progress()["logins"] <= 3


def test_addresses_that_begin_all_the_logins_there_may_be_shut_nobody_out(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(max_sessions=6))
    alice = world.credential()
    write = alice.suite.write_g1

    def begin(address: str) -> Challenge:
        return world.server.pass1(hello(alice), write(attempt(alice).u), None, address)

    flood = [begin(f"flood-{number % 2}") for number in range(6)]
    login = attempt(alice)
    mine = world.server.pass1(hello(alice), write(login.u), None, "alice")
    assert refused(lambda: begin("flood-1")) is Refusal.BUSY, "who has most already takes nobody's place"
    assert world.server.pass2(mine.session, write(login.answer(mine.y))).kind == "ticket"
    gone = refused(lambda: world.server.pass2(flood[0].session, write(login.u)))
    assert gone is Refusal.UNKNOWN_SESSION, "the oldest of whoever began most"
    assert world.server.in_progress()["logins"] == 5


@both_suites
def test_identity_points_and_points_outside_the_group_are_refused(suite: object, tmp_path: Path) -> None:
    world = World(tmp_path, facts(suite))  # type: ignore[arg-type]
    alice = world.credential()
    write = alice.suite.write_g1
    good = write(attempt(alice).u)
    if suite is AMCL:
        bad = [b"\x04" + bytes(96), b"\x04" + bytes(48) + (2).to_bytes(48, "big"), good[:-1]]
    else:
        bad = [b"\xc0" + bytes(47), b"\x80" + bytes(47), good[:-1]]  # the identity; (0, 2), of order 3
    for point in bad:
        assert refused(world.server.pass1, hello(alice), point, None) is Refusal.BAD_POINT
        assert refused(world.server.pass1, hello(alice), good, point) is Refusal.BAD_POINT
        session = world.server.pass1(hello(alice), good, None).session
        assert refused(world.server.pass2, session, point) is Refusal.BAD_POINT
        assert refused(world.server.one_pass, hello(alice), NOW_S, point, good) is Refusal.BAD_POINT
        assert refused(world.server.one_pass, hello(alice), NOW_S, good, point) is Refusal.BAD_POINT


def test_every_challenge_is_another(world: World) -> None:
    alice = world.credential()
    u = alice.suite.write_g1(attempt(alice).u)
    seen = {world.server.pass1(hello(alice), u, None).y for _ in range(50)}
    assert len(seen) == 50
    assert 0 not in seen


@both_suites
def test_a_one_pass_login_serves_once_even_after_a_restart(suite: object, tmp_path: Path) -> None:
    world = World(tmp_path, facts(suite))  # type: ignore[arg-type]
    alice = world.credential()
    send = one_pass(world, alice)
    assert world.server.redeem(send()).mode is Mode.ONE_PASS
    assert refused(send) is Refusal.REPLAYED
    world.restart()
    assert refused(send) is Refusal.REPLAYED
    world.clock.move(300)
    assert refused(send) is Refusal.REPLAYED
    world.clock.move(1)
    assert refused(send) is Refusal.STALE_TIME


def test_a_clock_that_was_set_back_makes_no_used_login_fresh_again(world: World) -> None:
    alice = world.credential()
    send = one_pass(world, alice)
    send()
    world.clock.move(900)
    for number in range(130):
        world.state.use(number.to_bytes(32, "big"), world.server.now_s + 300, world.server.now_s)
    world.clock.move(-900)
    assert refused(send) is Refusal.REPLAYED


def test_replays_lock_nobody_out(world: World) -> None:
    alice = world.credential()
    send = one_pass(world, alice)
    send()
    for _ in range(10):
        assert refused(send) is Refusal.REPLAYED
    assert two_pass(world, alice)


def test_one_replay_of_many_at_once_gets_in(world: World) -> None:
    alice = world.credential()
    send = one_pass(world, alice)

    def outcome(_: int) -> str:
        try:
            send()
        except LoginRefused as error:
            return error.code
        return "in"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outcome, range(4))).count("in") == 1


def test_a_one_pass_login_is_neither_too_old_nor_from_the_future(world: World) -> None:
    alice = world.credential()
    assert refused(one_pass(world, alice, time_s=NOW_S - 301)) is Refusal.STALE_TIME
    assert refused(one_pass(world, alice, time_s=NOW_S + 31)) is Refusal.FUTURE_TIME
    assert one_pass(world, alice, time_s=NOW_S - 300)()
    assert one_pass(world, alice, time_s=NOW_S + 30)()


def test_a_one_pass_login_s_time_cannot_be_changed(world: World) -> None:
    alice = world.credential()
    login = attempt(alice)
    _, v = login.one_pass(NOW_S - 400)
    write = alice.suite.write_g1
    changed = lambda: world.server.one_pass(hello(alice), NOW_S, write(login.u), write(v))  # noqa: E731
    assert refused(changed) is Refusal.NOT_AUTHENTICATED


def test_a_realm_without_one_pass_refuses_it(tmp_path: Path) -> None:
    world = World(tmp_path, facts(one_pass_max_age_s=0))
    assert refused(one_pass(world, world.credential())) is Refusal.ONE_PASS_OFF


def test_used_one_pass_logins_are_forgotten_only_when_they_are_too_old(world: World) -> None:
    for number in range(200):
        world.state.use(number.to_bytes(32, "big"), NOW_S + 10, NOW_S)
    with pytest.raises(LoginRefused):
        world.state.use(bytes(32), NOW_S + 10, NOW_S + 10)
    later_s = NOW_S + 11 + CLOCK_MARGIN_S
    for number in range(200, 330):
        world.state.use(number.to_bytes(32, "big"), later_s + 100, later_s)
    kept = world.state._db.execute("SELECT count(*) FROM used").fetchone()[0]
    assert kept == 130


def test_a_realm_that_wants_permits_lets_nobody_in_without_today_s(tmp_path: Path) -> None:
    world = World(tmp_path, facts(permits_required=True))
    alice = world.credential()
    permit = world.issue_permit(alice)
    assert two_pass(world, alice, permit=permit)
    assert refused(lambda: two_pass(world, alice, "0000", permit)) is Refusal.NOT_AUTHENTICATED
    assert refused(lambda: two_pass(world, alice)) is Refusal.PERMIT_REQUIRED
    yesterday = alice.parties(SERVER).permit_point(DAY - 1) * MASTER
    assert refused(lambda: two_pass(world, alice, permit=yesterday)) is Refusal.NOT_AUTHENTICATED
    world.clock.move(86_400)
    login = attempt(alice, "2718", permit)
    u = alice.suite.write_g1(login.u)
    assert refused(world.server.pass1, hello(alice, login.parties.day), u, None) is Refusal.WRONG_DAY


def test_another_client_s_permit_is_no_permit(tmp_path: Path) -> None:
    world = World(tmp_path, facts(permits_required=True))
    alice, bob = world.credential(), world.credential("bob")
    assert refused(lambda: two_pass(world, alice, permit=world.issue_permit(bob))) is Refusal.NOT_AUTHENTICATED


def test_a_permit_is_handed_out_where_the_ledger_has_it(world: World) -> None:
    alice = world.credential()
    assert refused(lambda: world.server.permit(alice.client, DAY)) is Refusal.NO_PERMIT
    assert world.server.permit(alice.client, DAY) if world.issue_permit(alice) else None
    assert refused(lambda: world.server.permit(alice.client, DAY + 1)) is Refusal.NO_PERMIT


@pytest.mark.parametrize("suite", [RFC9380, AMCL], ids=lambda suite: suite.name)
def test_a_false_permit_is_handed_to_nobody_whoever_says_it(suite: Suite, tmp_path: Path) -> None:
    """One that somebody with the token made up tells a guess of the PIN: tests/unit/test_mfa_protocol.py."""
    world = World(tmp_path, facts(suite, permits_required=True))
    alice, bob = world.credential(), world.credential("bob")
    right = world.issue_permit(alice)
    assert world.server.permit(alice.client, DAY) == suite.write_g1(right)
    others = [world.issue_permit(bob), world.issue_permit(alice, DAY + 1), right + G1.generator(), -right]
    for false in [point.encode() for point in others] + [G1.identity().encode(), bytes(48)]:
        world.permits[alice.client, DAY] = false
        assert refused(lambda: world.server.permit(alice.client, DAY)) is Refusal.LEDGER_UNREADABLE


def test_another_realm_another_server_and_a_server_not_registered_are_refused(world: World) -> None:
    alice = world.credential()
    u = alice.suite.write_g1(attempt(alice).u)
    for strange in (
        Hello(seeded("realm"), SERVER, alice.client, None), Hello(alice.realm, seeded("server"), alice.client, None)
    ):  # fmt: skip
        assert refused(world.server.pass1, strange, u, None) is Refusal.WRONG_REALM
    world.realm.servers.clear()
    assert refused(lambda: world.server.pass1(hello(alice), u, None)) is Refusal.SERVER_NOT_REGISTERED


def test_when_the_ledger_cannot_be_read_nobody_gets_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = world.credential()

    def away(*_: object) -> None:
        raise Unreachable("no node answers")

    monkeypatch.setattr(FixedRealm, "client_status", away)
    assert refused(lambda: two_pass(world, alice)) is Refusal.LEDGER_UNREADABLE
    assert refused(one_pass(world, alice)) is Refusal.LEDGER_UNREADABLE


def test_a_server_starts_with_its_own_realm_s_secret_only(tmp_path: Path) -> None:
    world = World(tmp_path)
    q = world.facts.parties(bytes(32), SERVER).q
    for wrong in (q * (MASTER + 1), world.facts.parties(bytes(32), seeded("other")).q * MASTER):
        with pytest.raises(BadPoint):
            AuthenticationServer(world.realm, SERVER, SecretPoint(wrong), world.state)


def test_what_an_outsider_can_compute_is_no_answer(tmp_path: Path) -> None:
    world = World(tmp_path, facts(max_attempts=0))
    alice = world.credential()
    write = alice.suite.write_g1
    u = alice.parties(SERVER).a * SecretScalar.random().reveal()
    for forged in (-(G1.generator() * MASTER), u, -u, G1.generator()):
        session = world.server.pass1(hello(alice), write(u), None).session
        assert refused(world.server.pass2, session, write(forged)) is Refusal.NOT_AUTHENTICATED


def test_the_attempt_that_reaches_the_limit_is_still_made(world: World) -> None:
    alice = world.credential()
    for _ in range(2):
        world.state.attempt(alice.client, Lockout(3, 600), NOW_S)
    assert two_pass(world, alice)


def test_every_refusal_has_a_status_a_sentence_and_a_hint() -> None:
    assert set(MEANINGS) == set(Refusal)
    for code, meaning in MEANINGS.items():
        assert meaning.status >= 400, code
        assert meaning.message, code
        assert meaning.hint, code
