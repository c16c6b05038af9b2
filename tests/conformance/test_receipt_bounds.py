"""Every bound of docs/spec/receipt.md, in both verifiers: at the bound it is no matter of form, beyond it is."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.verify import verify_receipt
from tests.support.receipt_verifier import verdicts

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, edited, story

Place = tuple[str | int, ...]
BLOCK: Place = ("blocks", 0)
HEADER: Place = (*BLOCK, "header")
COMMIT: Place = (*BLOCK, "commit")
TX: Place = (*BLOCK, "transactions", 0)
LEAF: Place = ("states", 0)
MAX_NUMBER, MAX_SMALL = 2**53 - 1, 2**31 - 1
MAX_BYTES = 32 << 20


def zeros(count: int) -> str:
    return b64encode(bytes(count)).decode()


def times(count: int) -> Callable[[Any], Any]:
    """A list of so many, all like its first."""
    return lambda held: [held[0]] * count


def put(new: Any) -> Callable[[Any], Any]:
    return lambda _: new


def number(place: Place, least: int, most: int) -> Iterator[tuple[Place, Any, bool]]:
    yield from ((place, put(one), True) for one in (least, most))
    yield from ((place, put(one), False) for one in (least - 1, most + 1, most + 1 + 2**32, 2**64, True, 1.0))


def length(place: Place, text: Callable[[int], Any], good: tuple[int, ...], bad: tuple[int, ...]) -> Any:
    yield from ((place, put(text(one)), True) for one in good)
    yield from ((place, put(text(one)), False) for one in bad)


def many(place: Place, most: int, least: int) -> Iterator[tuple[Place, Any, bool]]:
    yield (place, times(most), True)
    yield (place, times(most + 1), False)
    yield (place, put([]), not least)


def bounds() -> Iterator[tuple[Place, Callable[[Any], Any], bool]]:
    """Where, what is written there, and whether a receipt may have it."""
    yield from many(("blocks",), 4_096, 1)
    yield from many(("states",), 4_096, 0)
    yield from many((*BLOCK, "transactions"), 4_096, 0)
    yield from many((*COMMIT, "votes"), 1_000, 1)
    yield ((*BLOCK, "validators"), put([{"power": 1, "public_key": "00" * 32}] * 1_000), True)
    yield ((*BLOCK, "validators"), put([{"power": 1, "public_key": "00" * 32}] * 1_001), False)
    yield ((*BLOCK, "validators"), put([]), False)
    turn = {"result": "00" * 32, "side": "left", "tx": "00" * 32}
    yield from (((*TX, "path"), put([turn] * count), count <= 32) for count in (0, 32, 33))
    for name in ("tx", "data"):
        yield from length((*TX, name), zeros, (0, 65_536), (65_537,))
    yield from length((*LEAF, "key"), lambda count: "61" * count, (1, 1_024), (0, 1_025))
    yield from length((*LEAF, "value"), zeros, (1, 4_096), (0, 4_097))
    yield from length((*LEAF, "proof"), zeros, (0, 65_536), (65_537,))
    yield from length((*COMMIT, "votes", 0, "signature"), zeros, (64,), (0, 63, 65))
    yield from length(("chain_id",), lambda count: "a" * count, (1, 50), (0, 51))
    yield from length(("gid",), lambda count: "00" * count, (32,), (0, 31, 33))
    yield from length((*HEADER, "proposer_address"), lambda count: "00" * count, (20,), (0, 19, 21, 32))
    for name in ("app_hash", "data_hash", "evidence_hash", "validators_hash", "last_commit_hash"):
        yield from length((*HEADER, name), lambda count: "00" * count, (0, 32), (1, 31, 33))
    for place in ((*COMMIT, "parts", "hash"), (*HEADER, "last_block_id", "hash")):
        yield from length(place, lambda count: "00" * count, (0, 32), (31, 33))
    for place in ((*COMMIT, "round"), (*COMMIT, "parts", "total"), (*TX, "code")):
        yield from number(place, 0, MAX_SMALL)
    yield from number((*HEADER, "last_block_id", "parts", "total"), 0, MAX_SMALL)
    yield from number((*HEADER, "height"), 1, MAX_NUMBER)
    for place in ((*HEADER, "version", "app"), (*TX, "gas_wanted"), (*TX, "gas_used")):
        yield from number(place, 0, MAX_NUMBER)
    yield from times_of_headers_and_votes()


def times_of_headers_and_votes() -> Iterator[tuple[Place, Callable[[Any], Any], bool]]:
    header, vote = (*HEADER, "time"), (*COMMIT, "votes", 0, "time")
    yield (header, put("1970-01-01T00:00:00.000000000Z"), True)
    yield (header, put("1969-12-31T23:59:59.999999999Z"), False)
    for day in ("0001-01-01T00:00:00.000000000Z", "1969-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"):
        yield (vote, put(day), True)
    for moment in ("0000-12-31T23:59:59.999999999Z", "2026-01-02T03:04:05Z", "2026-02-29T00:00:00.000000000Z",
                   "2026-01-02T03:04:60.000000000Z", "2026-01-02T24:00:00.000000000Z"):  # fmt: skip
        yield from ((place, put(moment), False) for place in (header, vote))


def changed(content: bytes, place: Place, new: Callable[[Any], Any]) -> bytes:
    def change(value: Any) -> None:
        for name in place[:-1]:
            value = value[name]
        value[place[-1]] = new(value[place[-1]])

    return edited(content, change)


def own_step(content: bytes) -> str:
    try:
        verify_receipt(content, story().trust, NOW_S)
    except ReceiptRefused as refused:
        return refused.step
    return "ok"


def test_both_verifiers_have_every_bound_of_the_format() -> None:
    content = story().receipts["transaction"].content
    cases = [(place, good, changed(content, place, new)) for place, new, good in bounds()]
    assert len(cases) > 150
    said = verdicts(story().trust, [one for _, _, one in cases], NOW_S)
    for (place, good, one), theirs in zip(cases, said, strict=True):
        own, other = own_step(one), theirs.split(": ")[0 if theirs.startswith("ok") else 1]
        assert own == other, (place, own, theirs)
        assert (own != "format") == good, (place, own, len(one))


@pytest.mark.parametrize(("count", "good"), [(MAX_BYTES, True), (MAX_BYTES + 1, False), (MAX_BYTES + 9, False)])
def test_both_verifiers_have_the_bound_of_the_whole_file(count: int, good: bool) -> None:
    content = of_length(count)
    (theirs,) = verdicts(story().trust, [content], NOW_S)
    own = own_step(content)
    assert theirs.startswith(f"refused: {own}"), theirs
    assert (own != "format") == good


def of_length(count: int) -> bytes:
    """A receipt in the canonical form of so many bytes: many long proofs, and a chain id that fills the rest."""
    value = json.loads(story().receipts["transaction"].content)
    value["chain_id"] = "a"
    leaf: dict[str, Any] = {"key": "61", "proof": zeros(65_536), "value": None}
    each = len(json.dumps(leaf, separators=(",", ":"))) + 1

    def size() -> int:
        return len(json.dumps(value, sort_keys=True, separators=(",", ":"))) + 1

    value["states"] = []
    value["states"] = [leaf] * ((count - size()) // each - 1)
    overhead = each - len(leaf["proof"])
    half = (count - size() - 2 * overhead - 20) // 8 * 3  # the rest in two, that neither is too long
    value["states"] = [*value["states"], *[{**leaf, "proof": zeros(half)}] * 2]
    value["chain_id"] = "a" * (1 + count - size())
    content = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert len(content) == count
    return content
