"""Vaults over HTTP: opened once, listed by the ledger's numbers, closed, and kept after all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.codes import Code
from tests.support.refusals import refused
from tests.support.served import Served, refusal_of, said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def test_a_vault_is_opened_once_for_its_key_shown_listed_closed_and_kept(served: Served) -> None:
    alice = served.home("alice")
    client = served.client_of(alice)

    async def main() -> None:
        key = {"Idempotency-Key": "one"}
        made = said(await client.post("/v1/vault", json={"title": "mine"}, headers=key))
        assert (made["status"], made["published"]) == ("open", 1)
        assert made["fiduciaries"] == [
            {"fiduciary": served.chain.replica.founders[0].identity.hex(), "key": "published",
             "height": made["fiduciaries"][0]["height"]},
        ]  # fmt: skip
        again = await client.post("/v1/vault", json={"title": "mine"}, headers=key)
        assert (said(again), again.headers["Idempotency-Replayed"]) == (made, "true")
        other = said(await client.post("/v1/vault", json={}))
        first = said(await client.get("/v1/vault", params={"limit": 1}))
        second = said(await client.get("/v1/vault", params={"limit": 1, "after": first["next"]}))
        assert [one["vault"] for one in (*first["vaults"], *second["vaults"])] == [made["vault"], other["vault"]]
        assert second["next"] is None
        path = f"/v1/vault/{made['vault'][:12]}"
        assert said(await client.get(path))["vault"] == made["vault"]
        said(await client.post(f"{path}/close"), 422)  # what is changed has its whole id
        path = f"/v1/vault/{made['vault']}"
        closing = said(await client.post(f"{path}/close"))
        assert closing["status"] == "closing"
        assert closing["closesAt"] > 0
        again = await client.post(f"{path}/close", json={})
        assert said(again, 409)["type"] == "urn:dta:problem:refused"
        refused(refusal_of(again), Code.VAULT_NOT_OPEN, "close-vault")
        inbox = said(await client.get("/v1/inbox"))
        [item] = inbox["items"]
        assert (item["kind"], item["subject"]) == ("vault", made["vault"])
        assert item["calls"] == [f"POST /v1/vault/{made['vault']}/cancel-close"]
        assert said(await client.post(item["calls"][0].split()[1]))["status"] == "open"
        assert said(await client.get("/v1/inbox"))["items"] == []

    asyncio.run(main())


def test_a_vault_of_somebody_else_s_is_not_closed_and_one_that_is_nobody_s_not_found(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)

    async def main() -> None:
        made = said(await for_alice.post("/v1/vault", json={}))["vault"]
        refused(refusal_of(await for_bob.post(f"/v1/vault/{made}/close")), Code.NOT_PRINCIPAL, "close-vault")
        assert said(await for_bob.get("/v1/vault"))["vaults"] == []
        said(await for_bob.get(f"/v1/vault/{'ab' * 32}"), 404)
        said(await for_bob.get("/v1/vault/abcd"), 404)

    asyncio.run(main())
