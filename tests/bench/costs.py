"""Part ``costs``: what each message declares that it costs, beside what a node spends on it, at its least and greatest.

A node's part: decoding, the signature, execution, and writing what changed to the tree. Of a message whose work depends
on its size or on state, the cases of :mod:`tests.bench.cost_cases` are the least and the greatest there can be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from abci_app import transition
from abci_app.block import Block, BlockResult, Changes, Time
from abci_app.crypto.ed25519 import SignatureMemo
from abci_app.hashing import u64
from abci_app.messages.registry import SPECS
from abci_app.mfa import amcl
from abci_app.signed import TxMemo
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.bench.cost_cases import CASES, Case

MOST = 3.0
"""How many times dearer or cheaper than declared it may be measured."""


QUICK = CASES[:1]


def run(
    say: Callable[[str], None], *, rounds: int = 15, cases: Sequence[Callable[[], Iterator[Case]]] = CASES
) -> dict[str, Any]:
    """The rows: declared and measured microseconds, and whether they are within the factor."""
    leaf_us = _leaf_us()
    rows = []
    for make in cases:
        for case in make():
            row = _measured(case, rounds, leaf_us)
            rows.append(row)
            mark = "" if row["within"] else ": OUTSIDE"
            say(f"{row['message']}, {row['case']}: {row['measured_us']:.0f} us, {row['declared']} declared{mark}")
    return {"factor": MOST, "leaf_us": leaf_us, "rows": rows}


def _measured(case: Case, rounds: int, leaf_us: float) -> dict[str, Any]:
    chain = case.chain
    tx = chain.tx(case.signer, case.content, key=case.key)
    execution_us, result = _block_us(case, tx, rounds)
    if result.tx_results[0].code:
        raise AssertionError(f"{case.message}, {case.name}: refused: {result.tx_results[0].log}")
    measured_us = execution_us + leaf_us * len(result.changes.leaves)
    declared = SPECS[case.message].cost(case.content)
    ratio = declared / measured_us
    within = 1 / MOST <= ratio <= MOST
    return {"message": case.message, "case": case.name, "declared": declared, "measured_us": measured_us,
            "ratio": ratio, "within": within}  # fmt: skip


def _block_us(case: Case, tx: bytes, rounds: int) -> tuple[float, BlockResult]:
    """The least time of a block with it, less that of one without anything: the machine has other things to do."""
    chain = case.chain
    empty = Block(chain.height + 1, Time(chain.time_s + 1))
    block = Block(chain.height + 1, Time(chain.time_s + 1), (tx,))
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(rounds):
        for number, one in enumerate((empty, block)):
            _forget()
            begun_s = time.thread_time()
            result = transition.apply_block(chain.view, one)
            times[number].append(time.thread_time() - begun_s)
    return (min(times[1]) - min(times[0])) * 1e6, result


def _forget() -> None:
    """What a process remembers of signatures, messages and points: a node sees a transaction the first time."""
    transition._MEMO, transition._DECODED = SignatureMemo(), TxMemo()
    amcl.hash_to_g1.cache_clear()


def _leaf_us(leaves: int = 20_000, batch: int = 1_000) -> float:
    """What it takes to write a leaf to the tree, of a batch among so many."""
    database = StateDB(MemoryStore())

    def write(height: int, numbers: range) -> float:
        found = sorted((u64(number * 0x9E3779B97F4A7C15 % 2**64), bytes(120)) for number in numbers)
        changes = Changes(leaves=tuple((b"order/" + key * 4, value + u64(height)) for key, value in found))
        begun_s = time.thread_time()
        database.commit(database.stage(height, changes))
        return (time.thread_time() - begun_s) / len(numbers) * 1e6

    write(1, range(leaves))
    return median(write(height, range(height * batch, (height + 1) * batch)) for height in range(2, 7))
