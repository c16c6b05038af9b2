"""What a receipt must not survive: any byte changed, too few signatures, another set, another chain, parts left out."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from receipt_world import NOW_S, base64_text, changing, edited, story

from abci_app.block import TxResult
from abci_app.state.records import ANSWERS, CHAIN, DECISIONS, FULFILMENTS, ORDERS, PARAMS, REQUESTS
from dta.client.receipt.collect import collect_transaction_receipt
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.format import Receipt
from dta.client.receipt.verify import verify_receipt
from dta.light.hashes import tx_hash
from dta.light.trust import TrustFile
from dta.light.types import LightBlock, SignedHeader
from tests.support.light_chain import START_S, Chain, ClockedRpc, Node, members, set_of, sign_commit

Change = Callable[[dict[str, Any]], object]


def refused(content: bytes, trust: TrustFile, step: str = "") -> ReceiptRefused:
    with pytest.raises(ReceiptRefused) as caught:
        verify_receipt(content, trust, NOW_S)
    assert step in ("", caught.value.step), caught.value.message
    return caught.value


def holds(content: bytes, trust: TrustFile) -> bool:
    try:
        verify_receipt(content, trust, NOW_S)
    except ReceiptRefused:
        return False
    return True


def changed_at(content: bytes, position: int) -> bytes:
    """The content with another byte there: of the same class where that is possible, so that it may pass for good."""
    byte = content[position]
    text = chr(byte)
    for alphabet in ("0123456789", "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", '",:[]{}+/=._-'):
        if text in alphabet:
            byte = ord(alphabet[(alphabet.index(text) + 1 + position % (len(alphabet) - 1)) % len(alphabet)])
    if chr(byte) == text:
        byte ^= 1
    return content[:position] + bytes([byte]) + content[position + 1 :]


# Refusing takes some milliseconds where a signature fails: of a short receipt every byte, of long ones a sample.
@pytest.mark.parametrize(("name", "step"), [("transaction", 1), ("identity", 7), ("absence", 11), ("order", 97)])
def test_a_receipt_with_any_one_byte_changed_is_refused(name: str, step: int) -> None:
    made = story()
    content = made.receipts[name].content
    for position in range(0, len(content), step):
        assert not holds(changed_at(content, position), made.trust), f"byte {position} of {name}"


def test_a_receipt_across_changes_of_the_set_with_any_one_byte_changed_is_refused() -> None:
    _, trust, made = changing()
    for position in range(0, len(made.content), 61):
        assert not holds(changed_at(made.content, position), trust), f"byte {position}"


@pytest.mark.parametrize("seed", [20261124])
def test_a_receipt_with_any_byte_made_any_other_is_refused(seed: int) -> None:
    made = story()
    chance = random.Random(seed)
    for _ in range(1_500):
        content = made.receipts[chance.choice(["transaction", "identity", "absence"])].content
        position, byte = chance.randrange(len(content)), chance.randrange(256)
        changed = content[:position] + bytes([byte]) + content[position + 1 :]
        assert changed == content or not holds(changed, made.trust), f"byte {position} to {byte:#x} (seed {seed})"


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_a_receipt_that_is_cut_short_or_goes_on_is_refused(cut: int) -> None:
    made = story()
    content = made.receipts["transaction"].content
    refused(content[:-cut], made.trust, "format")
    refused(content + b"\n" * cut, made.trust, "format")
    refused(b" " * cut + content, made.trust, "format")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"[]\n", b"null\n", b"[" * 100_000, b'{"blocks":' + b"9" * 5_000 + b"}\n", b"\xff\xfe", b"\x00" * 9],
)
def test_what_is_no_receipt_is_refused_and_nothing_else_happens(content: bytes) -> None:
    refused(content, story().trust, "format")


def every_value(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON value, containers too."""
    found = [path] if path else []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        found += every_value(item, (*path, name))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for name in path[:-1]:
        value = value[name]
    value[path[-1]] = new


def drop(value: Any, path: tuple[Any, ...]) -> None:
    for name in path[:-1]:
        value = value[name]
    del value[path[-1]]


@pytest.mark.parametrize("name", ["transaction", "absence"])
@pytest.mark.parametrize("new", [None, 0, 1, -1, True, 1.5, "", "x", [], {}, [None], 2**53, "00" * 32])
def test_a_receipt_with_any_one_value_replaced_is_refused(name: str, new: Any) -> None:
    made = story()
    content = made.receipts[name].content
    whole = json.loads(content)
    for path in every_value(whole):
        if new is None and path[-2:-1] == ("votes",):
            continue  # a vote fewer, of enough
        changed = edited(content, lambda value, path=path: put(value, path, new))
        assert changed == content or not holds(changed, made.trust), f"{path} replaced by {new!r}"


@pytest.mark.parametrize("name", ["transaction", "identity", "order"])
def test_a_receipt_with_anything_left_out_or_put_in_twice_is_refused(name: str) -> None:
    made = story()
    content = made.receipts[name].content
    proof_enough = 0
    for path in every_value(json.loads(content)):
        if name == "order" and len(path) > 2 and hash_of(path) % 3:
            continue
        changed = edited(content, lambda value, path=path: drop(value, path))
        if holds(changed, made.trust):
            # Two things may go: leaves of history that nobody counts, and a header that only led on to others.
            assert may_go(name, path, content), f"{path} left out"
            proof_enough += 1
        if isinstance(path[-1], int):
            twice = edited(content, lambda value, path=path: double(value, path))
            assert not holds(twice, made.trust), f"{path} twice"
    assert proof_enough < 12


def hash_of(path: tuple[Any, ...]) -> int:
    return sum(map(ord, repr(path)))


def double(value: Any, path: tuple[Any, ...]) -> None:
    for name in path[:-1]:
        value = value[name]
    value.insert(path[-1], value[path[-1]])


def may_go(name: str, path: tuple[Any, ...], content: bytes) -> bool:
    """What proves less when it is gone, and nothing false: the receipt is another one, which holds as well."""
    value = json.loads(content)
    if name == "identity":
        return path[0] == "states" and len(path) == 2 and bytes.fromhex(value["states"][path[1]]["key"]) != CHAIN.key()
    if path[0] != "blocks" or len(path) not in (2, 4):
        return False
    if len(path) == 4:
        return superseded(value, path)
    return not value["blocks"][path[1]]["transactions"]


def superseded(value: Any, path: tuple[Any, ...]) -> bool:
    """A transaction that no final record names: the approval that a veto replaced."""
    assert path[2] == "transactions"
    made = story().receipts["order"].verified
    assert made.order is not None
    named = {one.tx_hash for one in made.order.named()}
    included = Receipt.decode(story().receipts["order"].content).blocks[path[1]].txs[path[3]]
    return tx_hash(included.tx) not in named


def test_a_result_can_not_be_taken_from_another_transaction_of_the_block() -> None:
    chain, trust, made = changing()
    block = next(index for index, one in enumerate(made.verified.receipt.blocks) if one.txs)
    height = made.verified.receipt.blocks[block].header.height
    others = [
        collect_transaction_receipt(ClockedRpc(Node(chain)), trust, tx_hash(tx)).verified.receipt.blocks[block].txs[0]
        for tx in chain.txs[height]
    ]
    own = made.verified.receipt.blocks[block].txs[0]
    for other in others:
        if other.tx == own.tx:
            continue
        swapped = replace(own, code=other.code, data=other.data, gas_wanted=other.gas_wanted, gas_used=other.gas_used)
        mixed = [
            replace(mine, result=theirs.result) for mine, theirs in zip(own.path, other.path, strict=False)
        ]  # the other's way to the results' root, under our own turns
        for forged in (swapped, replace(swapped, path=tuple(mixed)), replace(swapped, path=other.path)):
            refused(with_tx(made.verified.receipt, block, forged), trust)


def with_tx(receipt: Receipt, block: int, included: Any) -> bytes:
    blocks = list(receipt.blocks)
    blocks[block] = replace(blocks[block], txs=(included,))
    return replace(receipt, blocks=tuple(blocks)).encode()


# --- commits --------------------------------------------------------------------------------------------------
def blocks_of(value: dict[str, Any]) -> Any:
    return value["blocks"]


def absent(*validators: int) -> Change:
    def change(value: dict[str, Any]) -> None:
        for index in validators:
            value["blocks"][0]["commit"]["votes"][index] = None

    return change


def test_a_commit_of_more_than_two_thirds_is_enough_and_of_less_is_refused() -> None:
    made = story()
    content = made.receipts["transaction"].content
    assert holds(edited(content, absent(2)), made.trust)
    caught = refused(edited(content, absent(0, 2)), made.trust, "commit")
    assert caught.path == "blocks[0]"
    assert "20 of 40" in caught.reason


def test_a_vote_for_nil_counts_for_nothing_and_its_signature_is_checked_all_the_same() -> None:
    chain = Chain(members(4))
    for step in range(6):
        chain.add(txs=[b"tx"] if step == 2 else ())
    for voters, good in ((1, True), (2, False)):
        nil = [key for key, _ in chain.group[:voters]]
        block = chain.blocks[3]
        header = block.header
        chain.blocks[3] = LightBlock(SignedHeader(header, sign_commit(header, chain.group, nil=nil)), block.validators)
        if good:
            content = collect_transaction_receipt(ClockedRpc(Node(chain)), chain.trust_file(), tx_hash(b"tx")).content
            votes = json.loads(content)["blocks"][0]["commit"]["votes"]
            assert sorted(vote["for"] for vote in votes) == ["block", "block", "block", "nil"]
            index = next(index for index, vote in enumerate(votes) if vote["for"] == "nil")
            path = ("blocks", 0, "commit", "votes", index, "signature")
            forged = edited(content, lambda value, path=path: put(value, path, base64_text(bytes(64))))
            refused(forged, chain.trust_file(), "commit")
        else:
            with pytest.raises(Exception, match="20 of 40"):
                collect_transaction_receipt(ClockedRpc(Node(chain)), chain.trust_file(), tx_hash(b"tx"))


def test_a_commit_of_the_wrong_set_is_refused() -> None:
    made = story()
    strangers = set_of(members(4, first=50))
    trust = replace(made.trust, validators=strangers)
    refused(made.receipts["transaction"].content, trust, "validators")
    # The right set stands in the receipt itself: that convinces nobody who trusts another.
    shown = [{"power": 10, "public_key": one.public_key.hex()} for one in made.trust.validators.validators]
    content = edited(made.receipts["transaction"].content, lambda v: put(v, ("blocks", 0, "validators"), shown))
    caught = refused(content, trust, "trust")
    assert "0 of 40" in caught.reason
    assert caught.hint


def test_a_set_that_has_mostly_left_does_not_vouch_for_the_one_that_came() -> None:
    chain, trust, made = changing()
    far = [one for one in made.verified.receipt.blocks if one.header.height >= 18]
    first = replace(far[0], validators=chain.blocks[18].validators)
    content = replace(made.verified.receipt, blocks=(first, *far[1:])).encode()
    assert refused(content, trust, "trust").path == "blocks[0]"


def test_a_later_trust_file_needs_less_of_the_way_and_refuses_what_is_before_it() -> None:
    chain, trust, made = changing()
    rpc = ClockedRpc(Node(chain))
    receipt = made.verified.receipt
    state = None
    for one in made.verified.vouching:
        if one.header.height == 17:
            state = one
    assert state is not None
    moved = replace(trust, height=17, header_hash=state.header_hash, validators=state.validators)
    wanted = tx_hash(chain.txs[18][3])
    shorter = collect_transaction_receipt(rpc, moved, wanted)
    assert shorter.verified.vouching[0].header.height == 18
    assert len(shorter.verified.vouching) < len(receipt.blocks)
    caught = refused(made.content, moved, "trust")
    assert "genesis" in caught.hint
    anchor = next(one for one in receipt.blocks if one.header.height == 17)
    with_anchor = replace(shorter.verified.receipt, blocks=(replace(anchor, validators=None), *_from_18(receipt)))
    assert holds(with_anchor.encode(), moved)
    wrong = replace(moved, header_hash=bytes(32))
    refused(with_anchor.encode(), wrong, "trust")


def _from_18(receipt: Receipt) -> tuple[Any, ...]:
    return tuple(one for one in receipt.blocks if one.header.height >= 18)


# --- chains, genesis, time ------------------------------------------------------------------------------------
def test_a_receipt_of_another_chain_is_refused() -> None:
    made = story()
    content = made.receipts["transaction"].content
    refused(content, replace(made.trust, chain_id="dta-other"), "chain")
    refused(edited(content, lambda v: put(v, ("chain_id",), "dta-other")), made.trust, "chain")
    renamed = edited(content, lambda v: put(v, ("chain_id",), "dta-other"))
    refused(renamed, replace(made.trust, chain_id="dta-other"), "header")


def test_a_receipt_of_another_genesis_is_refused_though_chain_and_validators_are_the_same() -> None:
    made = story()
    content = made.receipts["transaction"].content
    other = replace(made.trust, gid=bytes(32))
    refused(content, other, "gid")
    caught = refused(edited(content, lambda v: put(v, ("gid",), "00" * 32)), other, "gid")
    assert "own record" in caught.reason


def test_past_its_trust_period_a_receipt_warns_and_before_it_is_silent() -> None:
    made = story()
    content = made.receipts["transaction"].content
    assert verify_receipt(content, made.trust, NOW_S).warnings == ()
    late = verify_receipt(content, made.trust, NOW_S + made.trust.trust_period_s)
    assert len(late.warnings) == 1
    assert "trust period" in late.warnings[0]
    old = replace(made.trust, trusted_at_s=START_S - 10, trust_period_s=5)
    assert len(verify_receipt(content, old, NOW_S).warnings) == 2


def test_a_header_from_the_future_is_refused() -> None:
    made = story()
    content = made.receipts["transaction"].content
    last = made.receipts["transaction"].verified.vouching[-1].header.time.seconds
    verify_receipt(content, made.trust, last - 60)
    with pytest.raises(ReceiptRefused) as caught:
        verify_receipt(content, made.trust, last - 61)
    assert caught.value.step == "time"


def test_headers_out_of_order_and_a_missing_next_header_are_refused() -> None:
    made = story()
    content = made.receipts["transaction"].content
    refused(edited(content, lambda v: v["blocks"].reverse()), made.trust, "trust")
    caught = refused(edited(content, lambda v: v["blocks"].pop(1)), made.trust, "result")
    assert "next header" in caught.reason


# --- orders ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "prefix", [leaves.prefix for leaves in (FULFILMENTS, REQUESTS, DECISIONS, ANSWERS, ORDERS, CHAIN)]
)
def test_an_order_s_receipt_without_one_of_its_leaves_is_refused(prefix: bytes) -> None:
    made = story()
    receipt = made.receipts["order"].verified.receipt
    among = [state for state in receipt.states if state.key.startswith(prefix)]
    assert among
    for state in among:
        rest = tuple(one for one in receipt.states if one != state)
        refused(replace(receipt, states=rest).encode(), made.trust, "gid" if prefix == CHAIN.prefix else "content")


def test_a_leaf_or_a_transaction_that_is_not_the_order_s_is_refused() -> None:
    made = story()
    receipt = made.receipts["order"].verified.receipt
    extra = next(one for one in made.receipts["absence"].verified.receipt.states if one.key == PARAMS.key())
    states = tuple(sorted((*receipt.states, extra), key=lambda one: one.key))
    caught = refused(replace(receipt, states=states).encode(), made.trust)
    assert caught.step in ("content", "state")


def test_transactions_that_fail_have_receipts_too_and_say_so() -> None:
    chain = Chain(members(1))
    chain.add()
    chain.add(txs=[b"a", b"b"], results=[TxResult(7, b"why", "", 5, 4), TxResult(0)])
    chain.add()
    chain.add()
    made = collect_transaction_receipt(ClockedRpc(Node(chain)), chain.trust_file(), tx_hash(b"a"))
    assert made.verified.txs[0].included.code == 7
    better = edited(made.content, lambda v: put(v, ("blocks", 0, "transactions", 0, "code"), 0))
    refused(better, chain.trust_file(), "result")
