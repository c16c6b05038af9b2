"""The orders that the benchmark's applications make are such as the state machine keeps: part ``growth``."""

from __future__ import annotations

from abci_app.block import Block, BlockResult, Time
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.indexes import DUE, PRINCIPAL_ORDERS
from abci_app.state.records import ANSWERS, COUNTERS, FULFILMENTS, ORDERS
from tests.bench import existing
from tests.sim.rebuild import differences
from tests.support.custody import Custody, make_custody

COUNT = 20


def grow(custody: Custody, count: int) -> BlockResult:
    """A block of markers, executed and applied."""
    chain = custody.chain
    chain.height, chain.time_s = chain.height + 1, chain.time_s + 1
    markers = tuple(existing.marker(custody.vault, number) for number in range(count))
    result = existing.GrowingMachine().apply_block(chain.view, Block(chain.height, Time(chain.time_s), markers))
    chain.view.apply(result.changes)
    return result


def test_existing_orders_have_the_records_counters_and_indexes_of_real_ones() -> None:
    custody = make_custody()
    result = grow(custody, COUNT)
    view = custody.chain.view
    assert [one.code for one in result.tx_results] == [0] * COUNT
    assert differences(view) == []
    statuses = [ORDERS.get(view, order).status for _, order in PRINCIPAL_ORDERS.entries(view)]
    opened = sum(map(existing.is_open, range(COUNT)))
    assert statuses.count(custody_pb2.ORDER_STATUS_ACTIVE) == opened == 14
    assert statuses.count(custody_pb2.ORDER_STATUS_CLOSED) == COUNT - opened
    assert COUNTERS.get(view, custody.principal.identity).open_orders == opened
    assert sum(1 for _ in FULFILMENTS.all(view)) == 4 * COUNT
    assert sum(1 for _ in ANSWERS.all(view)) == 4 * 4
    assert not DUE.has_any(view)


def test_a_block_without_markers_is_the_state_machines_own() -> None:
    custody = make_custody()
    grow(custody, COUNT)
    assert custody.chain.run(custody.principal, custody.order_message()).code == 0
    assert differences(custody.chain.view) == []
