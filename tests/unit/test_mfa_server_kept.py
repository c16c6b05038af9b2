"""What an authentication server refuses before it counts, and what it has written down when it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dta.login import server
from dta.login.expiring import Expiring, Full
from dta.mpin.refusals import LoginRefused, Refusal
from tests.support.mfa import NOW_S, World
from tests.unit.test_mfa_server import attempt, hello, one_pass, refused, two_pass


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_who_is_locked_out_does_not_even_begin(world: World) -> None:
    alice = world.credential()
    for _ in range(3):
        assert refused(lambda: two_pass(world, alice, "0000")) is Refusal.NOT_AUTHENTICATED
    login = attempt(alice)
    with pytest.raises(LoginRefused) as caught:
        world.server.pass1(hello(alice), alice.suite.write_g1(login.u), None)
    assert (caught.value.code, caught.value.retry_after_s) == (Refusal.LOCKED_OUT, 600)


def test_a_one_pass_login_that_was_used_is_refused_before_anything_is_computed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = one_pass(world, world.credential())
    send()
    monkeypatch.setattr(server, "accepts", lambda *_: pytest.fail("a pairing for what was heard before"))
    assert refused(send) is Refusal.REPLAYED


@pytest.mark.parametrize("age_s", [0, 200])
def test_a_used_one_pass_login_is_remembered_as_long_as_its_time_makes_it_fresh(world: World, age_s: int) -> None:
    one_pass(world, world.credential(), time_s=NOW_S - age_s)()
    kept = world.state._db.execute("SELECT until FROM used").fetchall()
    assert kept == [(NOW_S - age_s + 300,)]


def test_what_the_server_has_written_is_on_the_disk_before_it_answers(world: World) -> None:
    assert world.state._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: each commit waits for the disk"
    assert world.state._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_owner_with_one_more_than_another_would_have_keeps_its_oldest() -> None:
    """Else two owners with as many each would take places from each other for ever."""
    kept: Expiring[str] = Expiring(3, 60.0, lambda: 0.0)
    for number, owner in enumerate(("a", "a", "b")):
        kept.put(bytes([number]), owner, owner)
    with pytest.raises(Full):
        kept.put(b"next", "b", "b")
    kept.put(b"new", "c", "c")  # of whom there is none: a has two more than that
    assert [kept.take(bytes([number])) for number in range(3)] == [None, "a", "b"]
