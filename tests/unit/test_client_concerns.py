"""What concerns an identity, as a client lists it: whole by proof, or refused; from honest nodes and from liars."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from abci_app.pb.dta.v1 import concern_pb2, custody_pb2
from abci_app.state.records import CONCERNS, COUNTERS
from dta.base.errors import NotVerified, UsageError
from dta.client.ledger import concerns
from dta.client.ledger.ledger import AsyncLedger, Ledger
from dta.client.ledger.rpc import AsyncRpc
from tests.support.light_chain import START_S, Chain, ClockedRpc, Node, b64, members

ME, OTHER = b"m" * 32, b"o" * 32
Change = Callable[[dict[str, Any], Any], Any]


def subject(number: int) -> bytes:
    return bytes([number]) * 32


def encoded(record: Any) -> bytes:
    value: bytes = record.SerializeToString(deterministic=True)
    return value


def count_leaf(identity: bytes, count: int) -> tuple[bytes, bytes]:
    return COUNTERS.key(identity), encoded(custody_pb2.CounterRecord(identity=identity, concerns=count))


def entry_leaf(identity: bytes, number: int, about: bytes = b"") -> tuple[bytes, bytes]:
    record = concern_pb2.ConcernRecord(
        roles=[concern_pb2.CONCERN_ROLE_PARTY, concern_pb2.CONCERN_ROLE_VETOER], kind=concern_pb2.CONCERN_KIND_ORDER,
        subject=about or subject(number), height=2,
    )  # fmt: skip
    return CONCERNS.key(identity, number), encoded(record)


def chain_with(*leaves: tuple[bytes, bytes], blocks: int = 5) -> Chain:
    chain = Chain(members(4))
    chain.add()
    chain.add(sorted(leaves))
    for _ in range(blocks - 2):
        chain.add()
    return chain


def chain_of(count: int) -> Chain:
    entries = [entry_leaf(ME, number) for number in range(1, count + 1)]
    return chain_with(count_leaf(ME, count), *entries, count_leaf(OTHER, 1), entry_leaf(OTHER, 1, subject(99)))


def ledger_of(node: Node) -> Ledger:
    return Ledger(ClockedRpc(node), node.chain.trust_file())


def numbers(entries: Sequence[concerns.Concern]) -> list[int]:
    return [entry.number for entry in entries]


def test_all_that_concerns_an_identity_is_listed_in_order_and_said_to_be_whole() -> None:
    found = ledger_of(Node(chain_of(3))).concerns(ME)
    assert numbers(found.entries) == [1, 2, 3]
    assert [entry.subject for entry in found.entries] == [subject(1), subject(2), subject(3)]
    assert list(found.entries[0].roles) == [concern_pb2.CONCERN_ROLE_PARTY, concern_pb2.CONCERN_ROLE_VETOER]
    assert (found.total, found.height, found.is_whole, found.last) == (3, 4, True, 3)


def test_that_nothing_concerns_an_identity_is_proved_too() -> None:
    found = ledger_of(Node(chain_of(3))).concerns(b"n" * 32)
    assert (found.entries, found.total, found.is_whole) == ((), 0, True)


def test_pages_join_without_a_gap_and_say_whether_more_follows() -> None:
    ledger = ledger_of(Node(chain_of(5)))
    first = ledger.concerns_page(ME, limit=2)
    assert (numbers(first.entries), first.total, first.is_whole) == ([1, 2], 5, False)
    second = ledger.concerns_page(ME, first.last, 2, first.height)
    third = ledger.concerns_page(ME, second.last, 2, second.height)
    assert (numbers(second.entries), numbers(third.entries)) == ([3, 4], [5])
    assert third.is_whole
    assert ledger.concerns_page(ME, third.last).entries == ()


def test_who_has_read_a_list_reads_only_what_is_new() -> None:
    chain = chain_of(2)
    node = Node(chain)
    read = ledger_of(node).concerns(ME)
    chain.add([count_leaf(ME, 3), entry_leaf(ME, 3)])
    chain.add()
    keys: list[str] = []
    node.lies["abci_query"] = lambda params, answer: keys.append(params["data"]) or answer
    new = ledger_of(node).concerns(ME, read.last, read.height)
    assert numbers(new.entries) == [3]
    assert new.is_whole
    assert not {CONCERNS.key(ME, 1).hex(), CONCERNS.key(ME, 2).hex()} & set(keys)


def test_a_list_that_grows_while_it_is_read_is_whole_at_the_height_of_its_last_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concerns, "PAGE_ENTRIES", 2)
    chain = chain_of(3)

    def grow(params: dict[str, Any], answer: Any) -> Any:
        if params["data"] == CONCERNS.key(ME, 2).hex():
            chain.add([count_leaf(ME, 4), entry_leaf(ME, 4)])
            chain.add()
        return answer

    found = ledger_of(Node(chain, lies={"abci_query": grow})).concerns(ME)
    assert (numbers(found.entries), found.total, found.is_whole) == ([1, 2, 3, 4], 4, True)
    assert found.height == 6


def test_the_count_and_the_entries_of_a_page_are_of_one_state() -> None:
    chain = chain_of(3)

    def grow_afterwards(params: dict[str, Any], answer: Any) -> Any:
        if chain.height == 5:
            chain.add([count_leaf(ME, 4), entry_leaf(ME, 4)])
            chain.add()
        return answer

    found = ledger_of(Node(chain, lies={"status": grow_afterwards})).concerns_page(ME)
    assert (numbers(found.entries), found.total, found.height) == ([1, 2, 3], 3, 4)


def test_a_page_begins_where_there_is_something_and_has_room_for_it() -> None:
    ledger = ledger_of(Node(chain_of(3)))
    for after, limit in ((4, 1), (-1, 1), (0, 0)):
        with pytest.raises(UsageError):
            ledger.concerns_page(ME, after, limit)


def answer_for(key: bytes, **changes: Any) -> Change:
    """The node says something else of what is at ``key``."""

    def lie(params: dict[str, Any], honest: Any) -> Any:
        if params["data"] == key.hex():
            honest["response"].update(changes)
        return honest

    return lie


def another_leaf(key: bytes, instead: bytes) -> Change:
    """Asked for ``key`` it answers with the leaf and the proof of ``instead``, under the name that was asked for."""

    def lie(params: dict[str, Any], honest: Any) -> Any:
        if params["data"] != key.hex():
            return honest
        other = Node(chain_of(3)).do_abci_query({**params, "data": instead.hex()})
        return {"response": {**other["response"], "key": b64(key)}}

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(answer_for(CONCERNS.key(ME, 2), value=None), id="an entry is left out"),
        pytest.param(answer_for(COUNTERS.key(ME), value=None), id="the count is left out"),
        pytest.param(answer_for(COUNTERS.key(ME), value=b64(count_leaf(ME, 2)[1])), id="one is cut off"),
        pytest.param(answer_for(COUNTERS.key(ME), value=b64(count_leaf(ME, 4)[1])), id="one more is counted"),
        pytest.param(another_leaf(CONCERNS.key(ME, 2), CONCERNS.key(ME, 1)), id="an entry is given twice"),
        pytest.param(another_leaf(CONCERNS.key(ME, 2), CONCERNS.key(OTHER, 1)), id="one of somebody else"),
        pytest.param(another_leaf(COUNTERS.key(ME), COUNTERS.key(OTHER)), id="the count of somebody else"),
        pytest.param(answer_for(CONCERNS.key(ME, 1), value=b64(entry_leaf(ME, 1, subject(7))[1])), id="changed"),
    ],
)
def test_a_node_that_shortens_lengthens_or_changes_the_list_is_refused(lie: Change) -> None:
    with pytest.raises(NotVerified) as caught:
        ledger_of(Node(chain_of(3), lies={"abci_query": lie})).concerns(ME)
    assert caught.value.step == "proof"
    assert caught.value.data["height"] == 4


def test_an_older_list_is_refused_once_a_newer_one_is_known() -> None:
    """A node that stands still can show what was, not hide what its reader knows to be later."""
    chain = chain_of(3)

    def old(params: dict[str, Any], honest: Any) -> Any:
        return {**honest, "response": {**honest["response"], "height": "3"}}

    with pytest.raises(NotVerified) as caught:
        ledger_of(Node(chain, lies={"abci_query": old})).concerns(ME, at_least=4)
    assert caught.value.step == "answer"


def test_a_state_that_lacks_what_it_counts_is_said_to_be_broken() -> None:
    """No node's lie: the validators vouch for a count without its entry. Nobody takes that list for whole."""
    chain = chain_with(count_leaf(ME, 2), entry_leaf(ME, 1))
    with pytest.raises(NotVerified) as caught:
        ledger_of(Node(chain)).concerns(ME)
    assert (caught.value.step, caught.value.data["number"]) == ("whole", 2)


def test_two_entries_for_one_record_are_refused() -> None:
    chain = chain_with(count_leaf(ME, 2), entry_leaf(ME, 1), entry_leaf(ME, 2, subject(1)))
    with pytest.raises(NotVerified) as caught:
        ledger_of(Node(chain)).concerns(ME)
    assert (caught.value.step, caught.value.data["number"], caught.value.data["first"]) == ("whole", 2, 1)


def test_the_awaited_client_lists_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(chain_of(3))
    monkeypatch.setattr("time.time", lambda: START_S + 5.0 * node.chain.height)

    async def read() -> concerns.Concerns:
        async with AsyncRpc("http://node.test", transport=httpx.MockTransport(node.handle)) as rpc:
            return await AsyncLedger(rpc, node.chain.trust_file()).concerns(ME)

    assert numbers(asyncio.run(read()).entries) == [1, 2, 3]
