"""Receipts over HTTP: made of this home's genesis, so that they serve everybody, and verified without a node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import Served, said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def test_a_receipt_is_verified_by_another_home_and_refused_where_a_bit_of_it_changed(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)

    async def main() -> None:
        placed = said(await for_alice.post("/v1/order", json={"beneficiary": "bob", "extension": {"plainText": "x"}}))
        made = await for_alice.get(f"/v1/receipt/order/{placed['orderReference']}")
        assert made.status_code == 200
        served.before = nobody_is_asked
        found = said(await for_bob.post("/v1/receipt/verify", content=made.content))
        assert found["subject"] == "order"
        assert found["transactions"]
        forged = made.content.replace(placed["orderReference"].encode(), b"ab" * 32)
        for content in (forged, made.content[:-40], b"{}", b"", b"[" * 100_000):
            problem = said(await for_bob.post("/v1/receipt/verify", content=content), 422)
            assert (problem["type"], problem["kind"]) == ("urn:dta:problem:usage", "receipt-refused")
        served.before = lambda _: None
        identity = await for_bob.get("/v1/receipt/identity/alice")
        assert said(await for_alice.post("/v1/receipt/verify", content=identity.content))["subject"] == "state"
        said(await for_bob.get(f"/v1/receipt/order/{'ab' * 32}"), 404)

    asyncio.run(main())


def nobody_is_asked(_: object) -> None:
    raise AssertionError("a receipt is verified without a node")
