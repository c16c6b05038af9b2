"""A receipt takes for done what its own code says was done: not what a transaction's code, or a record, says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from abci_app.codes import Code
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.order import Named
from dta.client.receipt.verify import _match

TX, HEIGHT = bytes(32), 5


def matched(named: list[int], code: int, outcomes: list[int]) -> None:
    """An order whose records name these items of one transaction, which ended with ``code`` and these outcomes."""
    order = SimpleNamespace(named=lambda: frozenset(Named(TX, HEIGHT, item) for item in named))
    tx = SimpleNamespace(
        tx_hash=TX, header=SimpleNamespace(height=HEIGHT), included=SimpleNamespace(code=code),
        outcomes=tuple(SimpleNamespace(code=one) for one in outcomes),
    )  # fmt: skip
    _match(cast(Any, order), (cast(Any, tx),))


def test_what_the_records_name_and_the_codes_say_was_done_is_taken() -> None:
    matched([0], Code.OK, [Code.OK])
    matched([1, 2], Code.OK, [Code.ALREADY_DONE, Code.OK, Code.OK])


@pytest.mark.parametrize(
    ("named", "code", "outcomes", "reason"),
    [
        ([0], Code.NOT_DUE, [Code.OK], "was refused: nothing happened by it"),
        ([0], Code.OK, [Code.ALREADY_DONE, Code.OK], "no record names the transaction"),
        ([0, 1], Code.OK, [Code.OK, Code.ALREADY_DONE], "part 1 of the transaction 00.* is missing, or failed"),
        ([0, 2], Code.OK, [Code.OK, Code.OK], "part 2 of the transaction 00.* is missing, or failed"),
        ([], Code.OK, [Code.OK], "no record names the transaction"),
    ],
    ids=["a refused one", "the failed item of a bundle", "one of two failed", "one is missing", "nothing is named"],
)
def test_what_was_refused_failed_or_is_not_named_is_not_taken(
    named: list[int], code: int, outcomes: list[int], reason: str
) -> None:
    with pytest.raises(ReceiptRefused, match=reason) as caught:
        matched(named, code, outcomes)
    assert caught.value.step == "content"
