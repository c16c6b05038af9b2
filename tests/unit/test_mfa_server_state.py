"""What an authentication server does about a lost or emptied file, a day that ends, and logins it could not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_mfa_server import attempt, hello, one_pass, refused, two_pass

from dta.base.errors import UsageError
from dta.client.mfa.credentials import Credential
from dta.login import store
from dta.login.store import ServerState
from dta.mpin.pin import secret_of
from dta.mpin.protocol import ClientLogin
from dta.mpin.realm import FixedRealm
from dta.mpin.refusals import LoginRefused, Refusal
from tests.support.mfa import DAY, NOW_S, SERVER, World, facts, pin

MIDNIGHT_S = (DAY + 1) * 86_400


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def failures(world: World, credential: Credential) -> int:
    """How many attempts are held against the client."""
    row = world.state._db.execute("SELECT count FROM failures WHERE client = ?", (credential.client,)).fetchone()
    return row[0] if row else 0


# --- a day that ends --------------------------------------------------------------------------------------------------
@pytest.fixture
def evening(tmp_path: Path) -> World:
    """A realm that wants permits, five seconds before midnight."""
    world = World(tmp_path, facts(permits_required=True))
    world.clock.move(MIDNIGHT_S - 5 - world.clock.now_s)
    return world


def begun(world: World, credential: Credential, full: bool = False) -> tuple[Callable[[], bytes], Callable[[], None]]:
    """A login whose pass 1 was just now, with the permit of ``DAY``: its pass 2, and its confirmation."""
    parties = credential.parties(SERVER, DAY)
    secret = secret_of(credential.token, parties.a, pin())
    login = ClientLogin(parties, secret, world.issue_permit(credential), full)
    write = credential.suite.write_g1
    r = None if login.r is None else write(login.r)
    challenge = world.server.pass1(hello(credential, DAY), write(login.u), r)
    v = login.answer(challenge.y)

    def confirm() -> None:
        assert challenge.w is not None
        world.server.confirm(challenge.session, login.keys(challenge.y, v, challenge.w).client_confirmation())

    return lambda: world.server.pass2(challenge.session, write(v)).value, confirm


@pytest.mark.parametrize("full", [False, True], ids=["two-pass", "full"])
def test_yesterday_s_permit_ends_a_login_that_began_before_midnight(evening: World, full: bool) -> None:
    alice = evening.credential()
    finish, _ = begun(evening, alice, full)
    evening.clock.move(5 + evening.limits.day_grace_s)
    assert refused(finish) is Refusal.WRONG_DAY
    assert failures(evening, alice) == 0, "what the server does not look at is no failure"


@pytest.mark.parametrize("full", [False, True], ids=["two-pass", "full"])
def test_a_login_that_began_before_midnight_has_a_few_seconds_to_end(evening: World, full: bool) -> None:
    finish, confirm = begun(evening, evening.credential(), full)
    evening.clock.move(5 + evening.limits.day_grace_s - 1)
    assert finish()
    if full:
        confirm()


def test_a_full_login_is_not_confirmed_after_its_day(evening: World) -> None:
    finish, confirm = begun(evening, evening.credential(), full=True)
    assert finish()
    evening.clock.move(5 + evening.limits.day_grace_s)
    assert refused(confirm) is Refusal.WRONG_DAY


def test_a_login_whose_day_has_not_come_when_it_ends_is_refused(evening: World) -> None:
    finish, _ = begun(evening, evening.credential())
    evening.clock.move(-86_400)  # the clock was set back meanwhile
    evening.clock.monotonic_s += 86_400
    assert refused(finish) is Refusal.WRONG_DAY


def test_a_login_without_a_permit_knows_no_midnight(world: World) -> None:
    world.clock.move(MIDNIGHT_S - 5 - world.clock.now_s)
    alice = world.credential()
    login = attempt(alice)
    write = alice.suite.write_g1
    challenge = world.server.pass1(hello(alice), write(login.u), None)
    world.clock.move(30)
    assert world.server.pass2(challenge.session, write(login.answer(challenge.y))).value


def test_a_one_pass_login_of_yesterday_s_permit_is_refused_today(evening: World) -> None:
    alice = evening.credential()
    parties = alice.parties(SERVER, DAY)
    login = ClientLogin(parties, secret_of(alice.token, parties.a, pin()), evening.issue_permit(alice))
    time_s, write = int(evening.clock.now_s), alice.suite.write_g1
    _, v = login.one_pass(time_s)
    evening.clock.move(5)
    assert refused(evening.server.one_pass, hello(alice, DAY), time_s, write(login.u), write(v)) is Refusal.WRONG_DAY


# --- logins that the server could not take ----------------------------------------------------------------------------
def test_a_right_login_that_is_answered_busy_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = world.credential()
    monkeypatch.setattr(store, "MAX_USED_LOGINS", 0)
    for _ in range(4):  # one more than lock out
        assert refused(one_pass(world, alice)) is Refusal.BUSY
    assert failures(world, alice) == 0
    assert world.state.locked(NOW_S) == []
    assert two_pass(world, alice)


def test_a_right_login_that_is_answered_busy_forgives_no_failure_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = world.credential()
    for _ in range(2):
        assert refused(two_pass, world, alice, "0000") is Refusal.NOT_AUTHENTICATED
    monkeypatch.setattr(store, "MAX_USED_LOGINS", 0)
    overheard = one_pass(world, alice)
    for _ in range(3):
        assert refused(overheard) is Refusal.BUSY
    assert failures(world, alice) == 2
    assert refused(two_pass, world, alice, "0000") is Refusal.NOT_AUTHENTICATED
    assert refused(two_pass, world, alice, "0000") is Refusal.LOCKED_OUT


def test_a_replay_that_is_found_only_when_it_is_kept_is_no_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = world.credential()
    overheard = one_pass(world, alice)
    assert overheard()
    monkeypatch.setattr(world.state, "check_unused", lambda login: None)  # the other one was not kept yet
    for _ in range(4):
        assert refused(overheard) is Refusal.REPLAYED
    assert failures(world, alice) == 0


def test_a_wrong_login_while_the_server_is_busy_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = world.credential()
    monkeypatch.setattr(store, "MAX_USED_LOGINS", 0)
    for _ in range(3):
        assert refused(one_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    assert refused(one_pass(world, alice)) is Refusal.LOCKED_OUT


def test_a_ledger_that_cannot_be_read_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = world.credential()

    def fail(_: FixedRealm, client: bytes) -> None:
        raise LoginRefused(Refusal.LEDGER_UNREADABLE)

    monkeypatch.setattr(FixedRealm, "client_status", fail)
    for _ in range(4):
        assert refused(two_pass, world, alice, "0000") is Refusal.LEDGER_UNREADABLE
    assert failures(world, alice) == 0


# --- a file that is lost ----------------------------------------------------------------------------------------------
def lose(world: World) -> None:
    """The server's file goes, with what is beside it; a new server is started."""
    world.state.close()
    for path in world.directory.glob("state.sqlite*"):
        path.unlink()
    world.state = ServerState(world.directory / "state.sqlite", int(world.clock.now_s))
    world.server._state = world.state


def test_a_one_pass_login_from_before_the_file_is_not_taken_again(world: World) -> None:
    alice = world.credential()
    ahead_s = world.limits.ahead_s
    overheard = [one_pass(world, alice, time_s=NOW_S + late) for late in (0, ahead_s)]  # one by a clock that is ahead
    assert all(login() for login in overheard)
    world.clock.move(1)
    lose(world)
    for _ in range(2):
        assert [refused(login) for login in overheard] == [Refusal.STALE_TIME] * 2
        world.clock.move(ahead_s)
    fresh = one_pass(world, alice, time_s=NOW_S + 2 + ahead_s)
    assert fresh()
    assert refused(fresh) is Refusal.REPLAYED


def test_when_a_file_was_made_outlives_a_restart(tmp_path: Path) -> None:
    made = ServerState(tmp_path / "state", NOW_S)
    assert (made.is_new, made.made_s) == (True, NOW_S)
    made.close()
    again = ServerState(tmp_path / "state", NOW_S + 1_000)
    assert (again.is_new, again.made_s) == (False, NOW_S)
    assert sorted(path.name for path in tmp_path.glob("state*")) == ["state", "state-shm", "state-wal"]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_a_table(path: Path) -> None:
    state = ServerState(path, NOW_S)
    state._db.execute("PRAGMA user_version=0")
    state.close()


def without_its_beginning(path: Path) -> None:
    state = ServerState(path, NOW_S)
    state._db.execute("DELETE FROM made")
    state.close()


def lost_beside_its_log(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(path.read_bytes())
    path.unlink()


@pytest.mark.parametrize("how", [emptied, without_a_table, without_its_beginning, lost_beside_its_log])
def test_a_file_that_was_emptied_is_not_taken_for_a_new_one(tmp_path: Path, how: Callable[[Path], None]) -> None:
    path = tmp_path / "state"
    state = ServerState(path, NOW_S)
    state.attempt(bytes(32), store.Lockout(1, 0), NOW_S)
    state.close()
    how(path)
    with pytest.raises(UsageError) as caught:
        ServerState(path, NOW_S)
    assert caught.value.hint == "put back what was there; removing it forgets every failure, lockout and used login"


def test_the_log_beside_a_file_that_was_emptied_is_left_to_who_puts_the_file_back(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    log = tmp_path / "state-wal"
    log.write_bytes(b"failures that are not in the file yet")
    with pytest.raises(UsageError):
        ServerState(tmp_path / "state", NOW_S)
    assert log.read_bytes() == b"failures that are not in the file yet"


def test_a_state_of_another_version_or_no_state_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    ServerState(path, NOW_S).close()
    assert path.stat().st_mode & 0o777 == 0o600
    state = ServerState(path, NOW_S)
    state._db.execute("PRAGMA user_version=9")
    state.close()
    with pytest.raises(UsageError):
        ServerState(path, NOW_S)
    (tmp_path / "garbage").write_bytes(b"x" * 10_000)
    for wrong in (tmp_path / "garbage", tmp_path / "nowhere" / "state"):
        with pytest.raises(UsageError):
            ServerState(wrong, NOW_S)
