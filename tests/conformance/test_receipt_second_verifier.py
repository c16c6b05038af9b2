"""Two verifiers, one in Python and one in Go over CometBFT's light client and ics23, say the same of every receipt."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.format import Receipt
from dta.client.receipt.verify import verify_receipt
from dta.light.trust import TrustFile
from tests.support.receipt_verifier import verdicts

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, changing, edited, story

VECTORS = Path(__file__).parents[1] / "vectors" / "receipts"


def ours(trust: TrustFile, content: bytes, now_s: int = NOW_S) -> str:
    """The first verifier's verdict in the second one's words."""
    try:
        verify_receipt(content, trust, now_s)
    except ReceiptRefused as refused:
        return f"refused: {refused.step}"
    return "ok"


def disagreements(
    trust: TrustFile, receipts: list[bytes], now_s: int = NOW_S
) -> Iterator[tuple[int, str, str]]:
    """Where they do not say the same: that it holds, or at which step it is refused."""
    for index, theirs in enumerate(verdicts(trust, receipts, now_s)):
        own = ours(trust, receipts[index], now_s)
        if own != ": ".join(theirs.split(": ")[: 1 if theirs.startswith("ok") else 2]):
            yield index, own, theirs


NAMES = ["transaction", "identity", "absence", "order", "changing"]


def given(name: str) -> tuple[TrustFile, bytes]:
    if name == "changing":
        _, trust, made = changing()
        return trust, made.content
    made_story = story()
    return made_story.trust, made_story.receipts[name].content


@pytest.mark.parametrize("name", NAMES)
def test_both_accept_what_is_good(name: str) -> None:
    trust, content = given(name)
    (theirs,) = verdicts(trust, [content], NOW_S)
    assert theirs.startswith("ok: "), theirs
    assert ours(trust, content) == "ok"


@pytest.mark.parametrize(("name", "step"), [("transaction", 7), ("identity", 11), ("absence", 11), ("order", 401)])
def test_both_refuse_any_byte_changed(name: str, step: int) -> None:
    trust, content = given(name)
    changed = [
        content[:position] + bytes([content[position] ^ bit]) + content[position + 1 :]
        for position in range(0, len(content), step)
        for bit in (1, 4, 0x20)
    ]
    assert [said for said in verdicts(trust, changed, NOW_S) if said.startswith("ok")] == []
    assert list(disagreements(trust, changed[:400])) == []


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        found += paths_of(item, (*path, name))
    return found


def parent_of(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path[:-1]:
        value = value[name]
    return value


def every_structural_change(content: bytes) -> list[bytes]:
    """Each value left out, replaced by every other kind, or by one like it; each item twice; neighbours swapped."""
    made = []
    for path in paths_of(json.loads(content)):

        def change(to: Any, path: tuple[Any, ...] = path) -> bytes:
            def apply(value: Any) -> None:
                parent_of(value, path)[path[-1]] = to(parent_of(value, path)[path[-1]])

            return edited(content, apply)

        def drop(value: Any, path: tuple[Any, ...] = path) -> None:
            del parent_of(value, path)[path[-1]]

        def double(value: Any, path: tuple[Any, ...] = path) -> None:
            parent_of(value, path).insert(path[-1], parent_of(value, path)[path[-1]])

        def swap(value: Any, path: tuple[Any, ...] = path) -> None:
            held, at = parent_of(value, path), path[-1]
            held[at - 1], held[at] = held[at], held[at - 1]

        made.append(edited(content, drop))
        made += [change(lambda _, new=new: new) for new in (None, 0, "", [], {}, True, 1.5, "00" * 32)]
        made.append(change(like))
        if isinstance(path[-1], int):
            made += [edited(content, double), edited(content, swap)]
    return [one for one in dict.fromkeys(made) if one != content]


def like(value: Any) -> Any:
    """A value of the same form and another meaning."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        opposite = {"left": "right", "right": "left", "block": "nil", "nil": "block", "transaction": "state"}
        return opposite.get(value, value[:-2] + ("AA" if value[-2:] != "AA" else "BB") if value else "x")
    return list(reversed(value)) if isinstance(value, list) else {**value, "more": 1}


@pytest.mark.parametrize("name", NAMES)
def test_both_say_the_same_of_every_structural_change(name: str) -> None:
    trust, content = given(name)
    seed = 20261125
    changed = every_structural_change(content)
    if len(changed) > 600:
        changed = random.Random(seed).sample(changed, 600)
    assert list(disagreements(trust, changed)) == [], f"seed {seed}"


def test_both_refuse_another_trust_and_for_the_same_reason() -> None:
    trust, content = given("transaction")
    other_set = changing()[1].validators
    for wrong, step in (
        (replace(trust, chain_id="dta-other"), "chain"),
        (replace(trust, gid=bytes(32)), "gid"),
        (replace(trust, validators=other_set), "validators"),
        (replace(trust, height=1_000, header_hash=bytes(32)), "trust"),
    ):
        assert ours(wrong, content) == f"refused: {step}"
        (theirs,) = verdicts(wrong, [content], NOW_S)
        assert theirs.startswith(f"refused: {step}"), theirs


def test_both_move_from_a_trust_file_at_any_height_of_the_path() -> None:
    _, trust, made = changing()
    receipt = made.verified.receipt
    for index, one in enumerate(made.verified.vouching):
        moved = replace(trust, height=one.header.height, header_hash=one.header_hash, validators=one.validators)
        for first in (index, index + 1, index + 2):
            rest = receipt.blocks[first:]
            if not rest:
                continue
            held = one.validators
            shown = made.verified.vouching[first].validators
            head = replace(rest[0], validators=None if held == shown else shown)
            content = replace(receipt, blocks=(head, *rest[1:])).encode()
            assert list(disagreements(moved, [content])) == [], (one.header.height, first)
            if first == index and any(block.txs for block in rest):
                assert ours(moved, content) == "ok"


def test_both_want_more_than_two_thirds_of_the_power() -> None:
    trust, content = given("transaction")

    def voted(*absent: int) -> bytes:
        def change(value: Any) -> None:
            for index in absent:
                value["blocks"][0]["commit"]["votes"][index] = None

        return edited(content, change)

    receipts = [voted(), voted(0), voted(1), voted(0, 1), voted(0, 1, 2, 3)]
    assert [said[:2] for said in verdicts(trust, receipts, NOW_S)] == ["ok", "ok", "ok", "re", "re"]
    assert list(disagreements(trust, receipts)) == []


def test_both_accept_the_committed_vectors_and_refuse_the_broken_ones() -> None:
    for directory in sorted(path for path in VECTORS.iterdir() if path.is_dir() and (path / "trust.json").exists()):
        trust = TrustFile.load(directory / "trust.json")
        now_s = json.loads((directory / "now.json").read_text())["now_s"]
        for path in sorted(directory.glob("*.receipt.json")):
            content = path.read_bytes()
            assert Receipt.decode(content).encode() == content
            (theirs,) = verdicts(trust, [content], now_s)
            assert (ours(trust, content, now_s), theirs[:2]) == ("ok", "ok"), (path, theirs)
        broken = json.loads((directory / "refused.json").read_text())
        for case in broken:
            content = case["receipt"].encode()
            (theirs,) = verdicts(trust, [content], now_s)
            assert ours(trust, content, now_s) == f"refused: {case['step']}", case["what"]
            assert theirs.startswith("refused: "), case["what"]
