"""An inbox whose reading is cut before its end, as often as it may be: it gets further each time, and says nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from abci_app.state.records import CONCERNS, ORDERS, REQUESTS
from dta.base.errors import NotVerified, TimedOut
from dta.client.custody import asking, keyfile, orders
from dta.client.inbox import followed, progress, reading
from dta.client.inbox.followed import Followed
from dta.client.inbox.home import HomeInbox
from dta.client.inbox.items import Inbox, ItemKind
from dta.client.ledger import concerns
from tests.support.custody import k_of, single
from tests.support.inboxes import ask, left_out, lying, open_vault, place
from tests.support.order_flow import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(concerns, "PAGE_ENTRIES", 2)
    return make_world(tmp_path)


class Slow:
    """A node of which a reading has time for so many proofs; ``asked``: of what, how often."""

    def __init__(self, world: World) -> None:
        self.left = 1 << 30
        self.asked: Counter[bytes] = Counter()
        self.node = lying(world, {})
        self.node.lies["abci_query"] = self._answer

    def _answer(self, params: dict[str, Any], honest: Any) -> Any:
        if self.left <= 0:
            raise TimedOut("the nodes took too long in all")
        self.left -= 1
        self.asked[bytes.fromhex(params["data"])] += 1
        return honest


def box_of(world: World, node: Any, *contacts: bytes) -> HomeInbox:
    session = world.session(world.carol, node)
    return HomeInbox(session.ledger, world.carol.identity, session.directory, lambda: list(contacts))


def flood(world: World, count: int) -> list[bytes]:
    """So many orders of a stranger's that name carol."""
    vault = open_vault(world, world.bob)
    return [place(world, world.bob, vault, single(world.carol.identity), world.carol.identity) for _ in range(count)]


def read_in_pieces(box: HomeInbox, slow: Slow, proofs: int) -> Inbox:
    """The inbox, by readings that have time for so many proofs each."""
    for _ in range(20):
        slow.left = proofs
        with suppress(TimedOut):
            return box.read()
    raise AssertionError("no reading got to its end")


@pytest.mark.parametrize("memory", [True, False], ids=["an agent", "a command each time"])
def test_a_flood_is_read_however_little_time_each_reading_has(
    world: World, memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(!) All of it was read from its beginning again, and none of it kept: an agent saw nothing ever again."""
    monkeypatch.setattr(reading, "MAX_OUTSIDE", 2)
    strange = flood(world, 7)
    slow = Slow(world)
    box, cuts, before = box_of(world, slow.node), 0, Followed(b"", b"")
    while True:
        slow.left = 5  # the count, a page of two entries, and two records
        try:
            found = box.read()
            break
        except TimedOut:
            cuts += 1
            kept = followed.load(box.directory, world.chain.replica.gid, world.carol.identity)
            assert kept.is_further_than(before)
            before = kept
        if memory:
            followed.path_of(box.directory, world.carol.identity).unlink()
        else:
            box = box_of(world, slow.node)
    assert cuts > 2
    assert {slow.asked[CONCERNS.key(world.carol.identity, number)] for number in range(1, 8)} == {1}
    assert {slow.asked[ORDERS.key(order)] for order in strange[:-2]} == {1}
    assert (found.total, len(found.outside), found.outside_left) == (7, 2, 5)
    slow.left = 1 << 30
    assert [item.subject for item in box.read().outside] == strange[-2:]


def test_a_flood_delays_what_a_contact_sends_and_hides_it_no_longer_than_it_takes_to_read(world: World) -> None:
    vault = open_vault(world, world.alice)
    first = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    strange = flood(world, 4)
    last = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    slow = Slow(world)
    box = box_of(world, slow.node, world.alice.identity)
    found = read_in_pieces(box, slow, 8)
    assert [item.subject for item in found.items] == [first, last]
    assert [item.subject for item in found.outside] == strange


def test_what_was_verified_before_a_lie_is_kept_and_the_lie_is_refused_each_time(world: World) -> None:
    strange = flood(world, 5)
    node = lying(world, {ORDERS.key(strange[0]): left_out})
    box = box_of(world, node)
    for _ in range(2):
        with pytest.raises(NotVerified):
            box.read()
    kept = followed.load(box.directory, world.chain.replica.gid, world.carol.identity)
    assert (kept.last, [bool(one.origin) for one in kept.open]) == (5, [False, True, True, True, True])


def test_an_agent_goes_on_from_where_another_process_got_further(world: World) -> None:
    strange = flood(world, 3)
    slow = Slow(world)
    agent = box_of(world, slow.node)
    slow.left = 3
    with pytest.raises(TimedOut):
        agent.read()
    assert len(box_of(world, None).read().outside) == 3
    slow.left = 1 << 30
    slow.asked.clear()
    assert [item.subject for item in agent.read().outside] == strange
    assert not [key for key in slow.asked if key.startswith(CONCERNS.key(world.carol.identity, 1)[:-4])]


def test_who_got_less_far_takes_nothing_from_who_got_further(world: World) -> None:
    flood(world, 3)
    slow, honest = Slow(world), box_of(world, None)
    cut = box_of(world, slow.node)
    slow.left = 4

    def meanwhile(*_: object) -> list[bytes]:
        honest.read()
        return []

    cut.contacts = meanwhile
    with pytest.raises(TimedOut):
        cut.read()
    kept = followed.load(honest.directory, world.chain.replica.gid, world.carol.identity)
    assert (kept.last, all(one.origin for one in kept.open)) == (3, True)


def test_a_reading_that_is_killed_has_kept_what_it_read_up_to_a_while_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "KEEP_EVERY", 3)
    flood(world, 3)
    slow = Slow(world)
    saves: list[Followed] = []
    monkeypatch.setattr(followed, "save", lambda _, read: saves.append(read))
    box_of(world, slow.node).read()
    assert [(one.last, [bool(entry.origin) for entry in one.open]) for one in saves] == [
        (3, [False, False, False]), (3, [True, True, True])
    ]  # fmt: skip


def test_of_all_that_strangers_ask_of_one_so_much_is_looked_at_and_the_rest_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each order with as many requests as are looked at, a hundred orders: no reading came to its end in its time."""
    monkeypatch.setattr(reading, "MAX_OUTSIDE_NUMBERS", 3)
    vault = open_vault(world, world.alice)
    policy = k_of(2, world.bob.identity, world.carol.identity)
    asked = []
    for _ in range(2):
        order = place(world, world.alice, vault, policy, world.bob.identity)
        asked += [ask(world, world.bob, order) for _ in range(2)]
    for contacts, expected, left in (([], {*asked[1:]}, 1), ([world.alice.identity], set(asked), 0)):
        slow = Slow(world)
        found = box_of(world, slow.node, *contacts).read()
        assert {item.subject for item in (*found.items, *found.outside)} == expected
        assert found.outside_left == left
        assert {request for request in asked if REQUESTS.key(request) in slow.asked} == expected


# --- requests whose keys are here


def test_what_was_found_of_keys_is_kept_of_a_reading_that_was_cut(world: World) -> None:
    vault = open_vault(world, world.alice)
    placed = [place(world, world.alice, vault, single(world.carol.identity), world.carol.identity) for _ in range(3)]
    requests = sorted(ask(world, world.carol, order) for order in placed)
    for _ in range(4):
        world.chain.make_block()
    slow = Slow(world)
    box = box_of(world, slow.node, world.alice.identity)
    found = read_in_pieces(box, slow, 8)
    assert {one.kind for one in found.items} == {ItemKind.RECEIPT}
    assert sorted(one.subject for one in found.items) == requests
    assert {slow.asked[REQUESTS.key(one)] for one in requests} == {1}


def test_of_what_was_prepared_and_not_sent_so_much_is_looked_at_in_turn_and_none_is_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(!) Whoever may ask prepared as much as the disk held, and every reading looked at all of it."""
    monkeypatch.setattr(reading, "MAX_UNSENT", 2)
    vault = open_vault(world, world.alice)
    carol = world.session(world.carol)
    order = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    prepared = [asking.prepare(carol, order) for _ in range(5)]
    slow = Slow(world)
    box = box_of(world, slow.node, world.alice.identity)
    for expected in (5, 2, 2, 2):
        slow.asked.clear()
        assert [item.kind for item in box.read().items] == [ItemKind.ORDER]
        assert sum(REQUESTS.key(one.request) in slow.asked for one in prepared) == expected
    asking.submit(carol, prepared[0])
    for _ in range(4):
        world.chain.make_block()
    assert any(ItemKind.RECEIPT in [item.kind for item in box.read().items] for _ in range(3))


def test_keys_of_what_was_never_sent_go_once_their_order_has_ended_and_no_others(world: World) -> None:
    vault = open_vault(world, world.alice)
    carol, me = world.session(world.carol), world.carol.identity
    lasting, ending = (place(world, world.alice, vault, single(me), me) for _ in range(2))
    sent = ask(world, world.carol, ending)
    kept = asking.prepare(carol, lasting).request
    over = asking.prepare(carol, ending).request
    for _ in range(4):
        world.chain.make_block()
    box = box_of(world, None, world.alice.identity)
    box.read()
    assert set(keyfile.held(carol.directory, me)) == {sent, kept, over}
    orders.close(world.session(world.alice), ending)
    world.chain.make_block()
    box.read()
    assert set(keyfile.held(carol.directory, me)) == {sent, kept}
