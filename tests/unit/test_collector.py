"""What a block and a refusal make is freed by its counts: the collector, which looks seldom, has nothing to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from abci_app.codes import Code
from tests.support.actors import seeded
from tests.support.chain import Chain
from tests.support.refusals import refused
from tests.support.world import fresh_custody, nonce


@contextmanager
def no_cycles() -> Iterator[None]:
    gc.collect()
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        assert gc.collect() == 0
    finally:
        if was:
            gc.enable()


def test_blocks_with_orders_their_answers_and_requests_make_no_cycles() -> None:
    custody = fresh_custody()
    custody.request(custody.place(nonce("warm")))
    with no_cycles():
        order = custody.place(nonce("order"))
        custody.request(order)
        custody.chain.block()


def test_neither_does_what_is_refused() -> None:
    chain: Chain = fresh_custody().chain
    txs = [seeded("no transaction", number) for number in range(50)]
    chain.block(*txs)
    with no_cycles():
        for result in chain.block(*txs).tx_results:
            refused(result, Code.MALFORMED, "transaction")
