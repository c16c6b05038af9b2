"""How far an inbox was read: each entry once, from one command to the next, and nothing lost with the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.state.records import CONCERNS, COUNTERS, ORDERS, REQUESTS
from dta.base.errors import DtaError, NotVerified, RpcError, UsageError
from dta.base.home import MAX_FILE_BYTES
from dta.client.custody import asking
from dta.client.inbox import followed, home
from dta.client.inbox.followed import Followed, OpenEntry
from dta.client.inbox.home import HomeInbox
from dta.client.inbox.items import ItemKind
from dta.client.ledger.concerns import Concern
from tests.support.custody import k_of, single
from tests.support.inboxes import ask, decide, left_out, lying, open_vault, place
from tests.support.light_chain import RpcFailure
from tests.support.order_flow import World, make_world

GID, ME, ORIGIN = b"g" * 32, b"m" * 32, b"o" * 32
ENTRY = Concern(
    3, pb.CONCERN_KIND_ORDER, b"s" * 32, (pb.CONCERN_ROLE_BENEFICIARY, pb.CONCERN_ROLE_PARTY), 17
)
WHOLE = Followed(GID, ME, 4, 20, (OpenEntry(ENTRY, ORIGIN), OpenEntry(ENTRY)))


def test_what_was_read_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    followed.save(tmp_path, WHOLE)
    assert followed.load(tmp_path, GID, ME) == WHOLE
    assert followed.path_of(tmp_path, ME).stat().st_mode & 0o777 == 0o600


def test_a_file_of_another_ledger_or_that_is_damaged_is_as_none(tmp_path: Path) -> None:
    assert followed.load(tmp_path, GID, ME) == Followed(GID, ME)
    followed.save(tmp_path, WHOLE)
    assert followed.load(tmp_path, b"h" * 32, ME) == Followed(b"h" * 32, ME)
    path = followed.path_of(tmp_path, ME)
    good = path.read_text()
    for broken in (good[:-20], good.replace('"last": 4', '"last": -1'), good.replace('"number": 3', '"number": 0'),
                   good.replace('"record": "', '"record": "AAAA'), "[]"):  # fmt: skip
        path.write_text(broken)
        assert followed.load(tmp_path, GID, ME) == Followed(GID, ME)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def box_of(world: World, node: Any = None) -> HomeInbox:
    session = world.session(world.carol, node)
    return HomeInbox(session.ledger, world.carol.identity, session.directory, lambda: [world.alice.identity])


def test_the_next_command_reads_only_entries_that_are_new(world: World) -> None:
    vault = open_vault(world, world.alice)
    policy = k_of(2, world.bob.identity, world.carol.identity)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    assert box_of(world).read().items == ()
    request = ask(world, world.bob, order)
    second = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    asked: list[bytes] = []
    node = lying(world, {})
    node.lies["abci_query"] = lambda params, answer: asked.append(bytes.fromhex(params["data"])) or answer
    found = box_of(world, node).read()
    assert [(item.kind, item.subject) for item in found.items] == [
        (ItemKind.REQUEST, request), (ItemKind.ORDER, second)
    ]  # fmt: skip
    assert CONCERNS.key(world.carol.identity, 2) in asked
    assert CONCERNS.key(world.carol.identity, 1) not in asked


def noting(world: World) -> tuple[Any, list[bytes]]:
    """An honest node, and the keys that it is asked for."""
    asked: list[bytes] = []
    node = lying(world, {})
    node.lies["abci_query"] = lambda params, answer: asked.append(bytes.fromhex(params["data"])) or answer
    return node, asked


def test_an_order_to_oneself_is_never_read_nor_one_that_was_asked_for_again(world: World) -> None:
    """Also where an older program kept their entries."""
    vault, carol = open_vault(world, world.carol), world.carol.identity
    mine = place(world, world.carol, vault, single(carol), carol)
    theirs = place(world, world.alice, open_vault(world, world.alice), single(carol), carol)
    asking_both, told = box_of(world), box_of(world).read()
    assert [item.subject for item in told.items] == [theirs]
    ask(world, world.carol, theirs)
    assert ItemKind.ORDER not in [item.kind for item in asking_both.read().items]
    kept = followed.load(asking_both.directory, world.chain.replica.gid, carol)
    assert [one.entry.subject for one in kept.open] == [vault]
    every = world.session(world.carol).ledger.concerns(carol).entries
    followed.save(asking_both.directory, replace(kept, open=tuple(OpenEntry(one) for one in every)))
    for expected in ({theirs}, set()):
        node, asked = noting(world)
        box_of(world, node).read()
        assert {order for order in (mine, theirs) if ORDERS.key(order) in asked} == expected


def test_answers_that_are_there_are_proved_once_and_a_request_that_is_open_each_time(world: World) -> None:
    alice, carol = world.alice, world.carol.identity
    vault = open_vault(world, alice)
    waits_for_bob = place(world, alice, vault, k_of(2, carol, world.bob.identity), carol)
    answered = place(world, alice, vault, single(carol), carol)
    requests = [ask(world, world.carol, order) for order in (waits_for_bob, answered)]
    for _ in range(4):
        world.chain.make_block()
    node, asked = noting(world)
    box = box_of(world, node)
    for expected in (set(requests), {requests[0]}):
        asked.clear()
        assert [(one.kind, one.subject) for one in box.read().items] == [(ItemKind.RECEIPT, requests[1])]
        assert {one for one in requests if REQUESTS.key(one) in asked} == expected
    decide(world, world.bob, requests[0], asking.approve)
    for _ in range(4):
        world.chain.make_block()
    assert {one.subject for one in box.read().items} == set(requests)


def test_a_long_file_is_read_as_a_short_one_is(tmp_path: Path) -> None:
    """Longer than files of a home mostly may be: refused, all of the list would be read again, each time."""
    named = replace(ENTRY, roles=ENTRY.roles * 100)
    long = replace(WHOLE, open=(OpenEntry(named, ORIGIN),) * 100_001)
    followed.save(tmp_path, long)
    assert followed.path_of(tmp_path, ME).stat().st_size > MAX_FILE_BYTES
    assert followed.load(tmp_path, GID, ME) == long


def test_a_home_that_lost_its_file_reads_all_of_it_again(world: World) -> None:
    vault = open_vault(world, world.alice)
    order = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    for _ in range(2):
        box = box_of(world)
        assert [item.subject for item in box.read().items] == [order]
        followed.path_of(box.directory, world.carol.identity).unlink()


def test_watching_shows_each_change_once(world: World) -> None:
    vault = open_vault(world, world.alice)
    watched = box_of(world).watch()
    assert next(watched).items == ()
    order = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    assert [item.subject for item in next(watched).items] == [order]
    ask(world, world.carol, order)
    kinds = [item.kind for item in next(watched).items] or [item.kind for item in next(watched).items]
    assert kinds == [ItemKind.RECEIPT]
    watched.close()


def test_a_watch_outlives_a_node_that_is_down_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "RETRY_S", 0)
    node, missed = lying(world, {}), list[DtaError]()
    vault = open_vault(world, world.alice)

    def back(error: DtaError) -> None:
        missed.append(error)
        node.lies.pop("status", None)

    watched = box_of(world, node).watch(missed=back)
    assert next(watched).items == ()
    order = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    node.lies["status"] = down
    assert [item.subject for item in next(watched).items] == [order]
    assert [type(error) for error in missed] == [RpcError]
    node.lies["status"] = down
    without = box_of(world, node).watch()
    with pytest.raises(RpcError):
        next(without)


def down(params: dict[str, Any], honest: Any) -> Any:
    raise RpcFailure(-32603, "the node is going down")


def test_no_watch_goes_on_through_a_lie(world: World) -> None:
    def missed(error: DtaError) -> None:
        raise AssertionError(error)

    vault = open_vault(world, world.alice)
    node = lying(world, {COUNTERS.key(world.carol.identity): left_out})
    honest, node.lies = node.lies, {}
    watched = box_of(world, node).watch(missed=missed)
    assert next(watched).items == ()
    place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    node.lies = honest
    with pytest.raises(NotVerified) as caught:
        next(watched)
    assert caught.value.step == "proof"


def test_a_home_that_can_not_be_written_shows_its_inbox_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UsageError("read-only")

    vault = open_vault(world, world.alice)
    order = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    monkeypatch.setattr(followed, "save", refuse)
    assert [item.subject for item in box_of(world).read().items] == [order]
