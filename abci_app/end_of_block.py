"""The end of a block: what follows from its transactions, in a fixed order of steps (docs/spec/state.md, A block).

A step sees the block's writes, and parameters as they were at its beginning; what it emits stands in the block's own
events. Votes (whose cost has the counting in it), decisions about parameters and validators, and an upgrade come first,
outside the budget; the queues after them share it with the sweep. Each item is guarded by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from abci_app.authority import phases, restarts
from abci_app.custody import turns
from abci_app.execution.context import Context
from abci_app.governance import proposals, upgrade
from abci_app.signing import signing_orders

STEPS: Final[tuple[Callable[[Context], None], ...]] = (
    proposals.decide,
    proposals.execute_urgent,
    upgrade.begin_if_due,
    proposals.execute_passed,
    phases.advance,
    restarts.start_again,
    signing_orders.sum_up,
    phases.begin_refreshes,
    turns.end_windows,
    turns.serve,
)


def run(context: Context) -> None:
    """Take every step."""
    for step in STEPS:
        step(context)
