"""Both verifiers say the same status of each record, as of the block that proves it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dta.client.receipt.collect import Collected, collect_order_receipt, collect_state_receipt
from dta.client.receipt.statuses import statuses
from tests.support.overtaken import overtaken
from tests.support.receipt_verifier import verdicts
from tests.support.world import without_sweep

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, rpc_of, story


def said_by_ours(made: Collected) -> list[str]:
    found = statuses(made.verified.states, made.verified.moment)
    named = [(*key.partition(b"/"), status) for key, status in found.items()]
    return [f"{prefix.decode()}/{id_.hex()} {status}" for prefix, _, id_, status in named]


def test_of_what_deadlines_overtook_and_of_what_ended_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        without_sweep(patch)
        late = overtaken(tmp_path)
        trust, rpc = late.world.chain.trust_file(late.world.chain.replica.gid), rpc_of(late.world)
        each = collect_state_receipt(rpc, trust, list(late.statuses))
        receipts = [each, collect_order_receipt(rpc, trust, late.order)]
    theirs = [line.split("; ")[1:] for line in verdicts(trust, [one.content for one in receipts], NOW_S)]
    assert theirs == [said_by_ours(one) for one in receipts]
    assert len(theirs[0]) == len(late.statuses)
    ended = story()
    content = [one.content for one in ended.receipts.values()]
    theirs = [line.split("; ")[1:] for line in verdicts(ended.trust, content, NOW_S)]
    assert theirs == [said_by_ours(one) for one in ended.receipts.values()]
    assert any("closed" in one for line in theirs for one in line)
