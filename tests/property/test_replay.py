"""Replay protection against a plain set: included once, from any order of signers, heights and attempts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.codes import Code
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.indexes import SEEN
from tests.support.actors import body_bytes, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.refusals import refused
from tests.support.world import fresh_custody

ATTEMPTS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=14)


@given(st.lists(ATTEMPTS, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_signers_body_is_included_once_and_forgotten_when_it_can_come_no_more(
    blocks: list[list[tuple[int, int, int]]],
) -> None:
    custody = fresh_custody()
    chain = custody.chain
    start = chain.height
    included: set[tuple[int, int, int]] = set()
    for attempts in blocks:
        txs = []
        for who, salt, expires_in in attempts:
            actor = (custody.principal, custody.beneficiary)[who]
            message = tx_pb2.CloseOrder(order=bytes(32))
            body = body_bytes(CHAIN_ID, message, start + expires_in, bytes([salt]) * 16)
            txs.append(signed_tx(chain.gid, actor.identity, actor.tx_key, body))
        results = chain.block(*txs).tx_results
        for attempt, result in zip(attempts, results, strict=True):
            if chain.height > start + attempt[2]:
                refused(result, Code.EXPIRED)
            elif attempt in included:
                refused(result, Code.REPLAYED)
            else:
                refused(result, Code.UNKNOWN_ORDER)
                included.add(attempt)
        in_date = {attempt for attempt in included if start + attempt[2] > chain.height}
        mine = [key for key in chain.view.index if key.startswith(SEEN.prefix)]
        expiring = [SEEN.split(key)[0] for key in mine]
        assert sorted(height for height in expiring if height <= start + 6) == sorted(start + a[2] for a in in_date)
        assert all(height > chain.height for height in expiring)
