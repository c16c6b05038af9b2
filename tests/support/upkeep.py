"""Faults planted in what a block does besides its transactions, and requests for it to do something with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from abci_app.block import BlockResult
from abci_app.errors import StateBroken, UpgradeNeeded
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state.overlay import Overlay
from abci_app.storage.kv import StorageFailure
from tests.sim.rebuild import differences
from tests.support.authority import MFA, Dealt, context_over, install_new, open_mfa
from tests.support.chain import Chain

RETRY = pb.Action(retry_set_aside=pb.RetrySetAside())
STRAY = b"chain/stray"  # a leaf that what fails has written by then
ENDS = [MemoryError, RecursionError, OSError, StorageFailure, StateBroken, partial(UpgradeNeeded, 9)]
IDS = ["MemoryError", "RecursionError", "OSError", "StorageFailure", "StateBroken", "UpgradeNeeded"]


def failing(work: Callable[..., object], fails: Callable[..., bool], error: Callable[[], Exception]) -> Any:
    """``work``, which raises after it was done where ``fails`` says so of its arguments."""

    def done(context: Context, *arguments: Any, **named: Any) -> object:
        result = work(context, *arguments, **named)
        if fails(*arguments):
            context.state.put(STRAY, b"written")
            context.emit("upkeep", bytes(32), "stray")
            raise error()
        return result

    return done


def actions_of(result: BlockResult, kind: str) -> list[str]:
    return [dict(event.attributes)["action"] for event in result.events if event.kind == kind]


def untouched(chain: Chain) -> bool:
    """Nothing of what failed is left, and every index follows from leaves."""
    return chain.view.get(STRAY) is None and differences(chain.view) == []


@dataclass
class Asked:
    """Requests of an mfa key's members."""

    chain: Chain
    dealt: Dealt
    made: list[bytes]


def asked(count: int) -> Asked:
    chain = Chain(4)
    dealt = install_new(chain, MFA)
    state = Overlay(chain.view)
    context = context_over(state, chain.gid, chain.height, chain.time_s)
    made = [
        open_mfa(context, dealt, extraction_pb2.USE_CLIENT, items=1, deadline_time_s=chain.time_s + 1_000, tag=n)[0]
        for n in range(count)
    ]
    chain.view.apply(state.changes())
    chain.block()
    return Asked(chain, dealt, sorted(made))
