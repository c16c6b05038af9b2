"""Policies as people write them; whom names mean; what events say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from abci_app.codes import Code
from abci_app.custody import policy as rules
from abci_app.messages.registry import EVENTS, SPECS
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.due import DueKind
from dta.base.errors import NotFound, UsageError
from dta.base.home import Home
from dta.base.ids import IdTooShort
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, policies, receiving, vaults
from dta.client.custody.errors import WouldBeRefused
from dta.client.custody.orders import NewOrder
from dta.client.custody.policies import Terms
from dta.client.names import NameBook, add_contact, load_contacts, remove_contact
from tests.support.custody import single
from tests.support.order_flow import REALM, World, make_world
from tests.support.refusals import Because, refused

PEOPLE = {name: name[0].encode() * 32 for name in ("alice", "bob", "carol", "dave")}


def resolve(name: str) -> bytes:
    try:
        return PEOPLE[name]
    except KeyError:
        raise NotFound(f"nobody is called {name!r}") from None


def built(text: str = "", **fields: Any) -> pb.Policy:
    policy, _ = policies.build(Terms(text, **fields), PEOPLE["bob"], resolve)
    return policy


def agrees(policy: pb.Policy, *names: str) -> bool:
    return rules.satisfied(policy, [PEOPLE[name] for name in names])


@pytest.mark.parametrize(
    ("text", "enough", "too_few"),
    [
        ("", ["bob"], ["alice"]),
        ("single:alice", ["alice"], ["bob", "carol"]),
        ("all:alice,bob", ["alice", "bob"], ["alice"]),
        ("any:alice, bob", ["bob"], ["carol"]),
        ("2of:alice,bob,carol", ["alice", "carol"], ["carol"]),
        ("3of:alice,bob,carol", ["alice", "bob", "carol"], ["alice", "bob"]),
    ],
)
def test_a_policy_in_one_line_means_what_it_says(text: str, enough: list[str], too_few: list[str]) -> None:
    policy = built(text)
    assert agrees(policy, *enough)
    assert not agrees(policy, *too_few)


@pytest.mark.parametrize(
    ("tree", "enough", "too_few"),
    [
        (
            {"all": ["alice", {"of": ["bob", "carol", "dave"], "threshold": 2}]},
            ["alice", "bob", "dave"],
            ["bob", "dave"],
        ),
        ({"any": [{"all": ["alice", "bob"]}, {"all": ["carol", "dave"]}]}, ["carol", "dave"], ["alice", "carol"]),
        (
            {"all": [{"any": ["alice"]}, {"any": ["bob"]}, {"any": ["carol"], "group": "third"}]},
            ["alice", "bob", "carol"],
            ["alice", "bob"],
        ),
    ],
)
def test_a_nested_policy_becomes_one_flat_list_that_the_ledger_takes(
    tree: Any, enough: list[str], too_few: list[str]
) -> None:
    policy = built(tree=tree)
    rules.check_form(policy, pb.BeneficiaryRule())
    assert agrees(policy, *enough)
    assert not agrees(policy, *too_few)


@pytest.mark.parametrize(
    "text",
    ["alice", "both:alice,bob", "single:alice,bob", "0of:alice", "2of:alice", "all:", "all:alice,,bob", "-1of:a"],
)
def test_a_text_that_is_no_policy_is_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(UsageError):
        built(text)


def nested(depth: int) -> Any:
    tree: Any = "alice"
    for _ in range(depth):
        tree = {"any": [tree]}
    return tree


@pytest.mark.parametrize(
    "tree",
    [
        7, None, [], {}, {"all": []}, {"all": "alice"}, {"of": ["alice"]}, {"all": ["alice"], "threshold": 1},
        {"all": ["alice"], "any": ["bob"]}, {"all": ["alice"], "weight": 2}, {"of": ["alice"], "threshold": True},
        {"of": ["alice"], "threshold": 0}, {"of": ["alice", "bob"], "threshold": 3}, {"all": ["alice"], "group": 1},
        nested(100),
    ],
)  # fmt: skip
def test_a_tree_that_is_no_policy_is_refused_before_anything_is_sent(tree: Any) -> None:
    with pytest.raises(UsageError):
        policies.build(Terms(tree=tree), b"", resolve)


def test_what_only_the_ledger_s_rules_know_is_refused_with_the_ledger_s_code() -> None:
    for terms, expected in (
        (Terms("all:bob,bob"), Because(Code.BAD_POLICY, "identity-twice")),
        (Terms("any:bob", not_before_s=20, not_after_s=10), Because(Code.BAD_POLICY, "never-in-force")),
        (Terms("any:bob", vetoers=["alice"]), Because(Code.BAD_POLICY, "no-veto-window")),
        (Terms("any:bob", veto_window_s=5, vetoers=["alice", "alice"]), Because(Code.BAD_POLICY, "vetoers")),
        (Terms(tree={"all": ["bob"], "group": "x" * 100}), Because(Code.BAD_POLICY, "gate-name")),
    ):
        with pytest.raises(WouldBeRefused) as caught:
            policies.build(terms, b"", resolve)
        refused(caught.value, *expected)
        assert caught.value.exit_code == 3


def test_two_policies_or_none_and_times_out_of_range_are_refused() -> None:
    for terms in (
        Terms("any:bob", tree="bob"),
        Terms(),
        Terms("any:bob", not_before_s=-1),
        Terms("any:bob", veto_window_s=2**60),
    ):
        with pytest.raises(UsageError):
            policies.build(terms, b"", resolve)
    with pytest.raises(NotFound):
        built("any:erin")
    with pytest.raises(UsageError):
        policies.load_json(b"{")
    with pytest.raises(UsageError):
        policies.load_json(b"[" * 100_000)


def test_a_policy_is_told_to_people_in_one_line() -> None:
    names = {id_: name for name, id_ in PEOPLE.items()}
    tree = {"all": ["alice", {"of": ["bob", "carol", "dave"], "threshold": 2, "group": "board"}]}
    assert (
        policies.describe(built(tree=tree), lambda id_: names[id_]) == "all of (alice, board: 2 of (bob, carol, dave))"
    )
    assert policies.describe(built("any:alice,bob"), lambda id_: names[id_]) == "any of (alice, bob)"
    assert policies.describe(built("single:alice"), lambda id_: names[id_]) == "alice"


def test_names_are_this_home_s_own_and_its_contacts_and_beginnings_must_be_clear(tmp_path: Path) -> None:
    home = Home(tmp_path)
    one, other = bytes.fromhex("aabb" + "01" * 30), bytes.fromhex("aabb" + "02" * 30)
    add_contact(home, "one", one)
    add_contact(home, "other", other)
    add_contact(home, "one", one)
    with pytest.raises(UsageError):
        add_contact(home, "one", other)
    assert load_contacts(home) == {"one": one, "other": other}
    book = NameBook.of_home(home)
    assert book.resolve("one") == one
    assert book.resolve(other.hex()) == other
    assert book.resolve("aabb02") == other
    assert book.resolve("ff" * 32) == b"\xff" * 32
    for unclear, error in (("aabb", UsageError), ("aab", IdTooShort), ("nobody", NotFound), ("ffff", NotFound)):
        with pytest.raises(error):
            book.resolve(unclear)
    assert book.name_of(one) == "one (aabb01010101)"
    assert book.name_of(b"\x07" * 32) == "070707070707"
    assert book.known() == {one, other}
    with pytest.raises(UsageError):
        add_contact(home, other.hex()[:12], one)  # a name that reads as the beginning of somebody's id
    assert remove_contact(home, "one") == one
    assert load_contacts(home) == {"other": other}
    with pytest.raises(NotFound):
        remove_contact(home, "one")


def test_a_damaged_address_book_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "contacts.toml").write_text('bob = "12"\n')
    with pytest.raises(UsageError) as caught:
        NameBook.of_home(Home(tmp_path))
    assert "bob" in caught.value.message


def lived(world: World) -> None:
    """A vault and orders to their ends, so that the ledger says most of what it can say."""
    alice, bob = world.session(world.alice), world.session(world.bob)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    policy = single(world.bob.identity)
    first = orders.place(alice, REALM, NewOrder(vault, SecretBytes(b"1"), policy, rule)).record.id
    opened = asking.prepare(bob, first)
    asking.submit(bob, opened)
    receiving.receive(bob, REALM, opened.request)
    policy.veto_window_s = 600
    second = orders.place(alice, REALM, NewOrder(vault, SecretBytes(b"2"), policy, rule)).record.id
    opened = asking.prepare(bob, second)
    asking.submit(bob, opened)
    asking.veto(alice, asking.content(alice, opened.request))
    for order in (first, second):
        orders.close(alice, order)
    vaults.close_vault(alice, vault)
    vaults.cancel_close(alice, vault)
    world.chain.agents[0].silent.add(DueKind.ERASE_VAULT)
    vaults.close_vault(alice, vault)


def test_every_event_that_happens_is_declared_with_its_attributes(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    lived(world)
    seen = set()
    for results in world.chain.results.values():
        for result in results:
            for event in result.events:
                said = dict(event.attributes)
                assert re.fullmatch(r"[0-9a-f]{64}", said["id"])
                seen.add((event.kind, said["action"]))
                if said["action"].replace("-", "_") in SPECS:
                    continue  # every transaction's own, of its signer
                declared = [one for one in EVENTS if one.includes(event)]
                assert len(declared) == 1, event
                assert all(f"`{name}`" in declared[0].attributes for name in list(said)[2:]), event
    assert {("order", "fulfilled"), ("request", "vetoed"), ("vault", "close-cancelled")} <= seen
