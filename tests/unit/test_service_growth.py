"""What a call costs does not grow with all that its identity has: files opened and leaves read, counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.state.records import CONCERNS
from dta.base.home import Home
from dta.client.custody import keyfile, records
from dta.client.identity.profile import load_profile
from dta.client.inbox import followed
from dta.client.ledger.flow import Request as RpcRequest
from tests.support.served import Served, said

MANY = 3
"""So many others of the same identity: what is read of each of them would be seen."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files of orders, vaults and requests' keys that were opened, by directory."""
    names: list[str] = []

    def note(module: Any) -> None:
        honest = module.read_file

        def read(path: Path, *rest: Any) -> bytes:
            names.append(f"{path.parent.name}/{path.stem}")
            content: bytes = honest(path, *rest)
            return content

        monkeypatch.setattr(module, "read_file", read)

    note(records)
    note(keyfile)
    return names


def leaves_read(served: Served) -> list[bytes]:
    """The keys that nodes are asked for from now on, in their order."""
    keys: list[bytes] = []

    def note(effect: Any) -> None:
        if isinstance(effect, RpcRequest) and effect.method == "abci_query":
            keys.append(bytes.fromhex(str(dict(effect.params)["data"]).removeprefix("0x")))

    served.before = note
    return keys


def alice_of(home: Home) -> bytes:
    return load_profile(home, "alice").identity


def those(keys: list[bytes], prefix: bytes) -> list[bytes]:
    return [key for key in keys if key.startswith(prefix)]


async def asked_for(client: httpx.AsyncClient) -> tuple[list[str], list[str]]:
    """Orders to oneself, each with the keys of a request that has not ended: their ids."""
    orders, requests = [], []
    for _ in range(MANY):
        orders.append(said(await client.post("/v1/order", json={"title": "mine"}))["orderReference"])
        got = said(await client.post("/v1/order/secret", json={"orderReference": orders[-1]}))
        requests.append(got["request"])
    return orders, requests


def restarted(served: Served, home: Home) -> httpx.AsyncClient:
    """A client of another agent of the home, which has opened none of its files."""
    keyfile._kept.cache_clear()
    return served.client(served.agent(home), served.token(home))


def test_a_call_on_one_order_opens_the_record_of_no_other(served: Served, opened: list[str]) -> None:
    home = served.home("alice")
    client = served.client_of(home)

    async def main() -> None:
        orders, _ = await asked_for(client)
        for path in (f"order/{orders[0]}", f"order/{orders[0][:12]}", f"fulfill/order/{orders[0][:12]}"):
            opened.clear()
            said(await client.get(f"/v1/{path}"))
            assert set(opened) <= {f"orders/{orders[0]}"}, path
        opened.clear()
        page = said(await client.get("/v1/order", params={"limit": 2}))  # the first entry is of the vault
        assert [row["title"] for row in page["orders"]] == ["mine"]
        assert opened == [f"orders/{page['orderReference'][0]}"]
        opened.clear()
        said(await client.post(f"/v1/order/{orders[0]}/close"))
        assert opened == []

    asyncio.run(main())


def test_a_call_on_one_request_opens_the_keys_of_no_other(served: Served, opened: list[str]) -> None:
    home = served.home("alice")
    client = served.client_of(home)

    async def main() -> None:
        orders, requests = await asked_for(client)
        another = restarted(served, home)
        for request in (requests[0], requests[0][:12]):
            opened.clear()
            assert said(await another.get(f"/v1/request/{request}"))["keysHere"]
            assert opened == [f"requests/{requests[0]}"]
            keyfile._kept.cache_clear()
        for call in ("receive", "done"):
            opened.clear()
            keyfile._kept.cache_clear()
            said(await another.post(f"/v1/order/secret/{requests[0]}/{call}"))
            assert set(opened) == {f"requests/{requests[0]}"}, call
        # Which request is of an order its file alone says: each is opened once, and not again while it is as it was.
        opened.clear()
        for position in (1, 2):
            again = said(await another.post("/v1/order/secret", json={"orderReference": orders[position]}))
            assert again["request"] == requests[position]
        assert opened.count(f"requests/{requests[1]}") <= 3
        opened.clear()
        said(await another.post("/v1/order/secret", json={"orderReference": orders[2]}))
        assert set(opened) == {f"requests/{requests[2]}"}

    asyncio.run(main())


def test_a_call_on_one_vault_opens_the_record_of_no_other(served: Served, opened: list[str]) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        vaults = [said(await client.post("/v1/vault", json={}))["vault"] for _ in range(MANY)]
        for path in (vaults[0], vaults[0][:12]):
            opened.clear()
            said(await client.get(f"/v1/vault/{path}"))
            assert set(opened) <= {f"vaults/{vaults[0]}"}
        opened.clear()
        said(await client.post("/v1/order", json={"vault": vaults[1][:12]}))
        assert {one for one in opened if one.startswith("vaults/")} <= {f"vaults/{vaults[1]}"}

    asyncio.run(main())


def test_an_order_without_a_vault_reads_only_the_entries_since_the_one_before_also_after_a_restart(
    served: Served,
) -> None:
    home = served.home("alice")
    client = served.client_of(home)

    async def main() -> None:
        gone = said(await client.post("/v1/vault", json={}))["vault"]
        said(await client.post(f"/v1/vault/{gone}/close"))
        orders = [said(await client.post("/v1/order", json={}))["orderReference"] for _ in range(MANY)]
        vault = said(await client.get(f"/v1/order/{orders[0]}"))["order"]["vault"]
        assert vault != gone
        read = leaves_read(served)
        for again in (client, restarted(served, home)):
            read.clear()
            orders.append(said(await again.post("/v1/order", json={}))["orderReference"])
            assert those(read, b"concern/") == [CONCERNS.key(alice_of(home), len(orders) + 1)]  # of the order before
            shown = said(await client.get(f"/v1/order/{orders[-1]}"))
            assert shown["order"]["vault"] == vault
        # A second one, whoever opened it, is seen all the same.
        said(await client.post("/v1/vault", json={}))
        problem = said(await client.post("/v1/order", json={}), 400)
        assert "GET /v1/vault" in problem["hint"]

    asyncio.run(main())


def test_vaults_are_listed_without_reading_an_entry_again(served: Served) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        vaults = [said(await client.post("/v1/vault", json={}))["vault"] for _ in range(MANY)]
        said(await client.get("/v1/vault"))
        read, listed, after = leaves_read(served), list[str](), dict[str, str]()
        for _ in vaults:
            read.clear()
            page = said(await client.get("/v1/vault", params={"limit": 1, **after}))
            listed += [one["vault"] for one in page["vaults"]]
            after = {"after": page["next"]}
            assert (len(those(read, b"concern/")), len(set(those(read, b"vault/")))) == (0, 1)
        assert (listed, page["next"]) == (vaults, None)

    asyncio.run(main())


@pytest.mark.parametrize("path", ["request", "fulfill/order/secret"])
def test_a_page_of_requests_reads_no_more_orders_and_numbers_than_it_has_places(served: Served, path: str) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        orders, requests = await asked_for(client)
        said(await client.post(f"/v1/order/secret/{requests[1]}/done"))
        asked = said(await client.post("/v1/order/secret", json={"orderReference": orders[1]}))["request"]
        assert asked not in requests
        read, listed, after = leaves_read(served), list[str](), dict[str, str]()
        while True:
            read.clear()
            page = said(await client.get(f"/v1/{path}", params={"limit": 1, **after}))
            assert len(those(read, b"concern/")) == 1
            assert len(those(read, b"request-number/")) <= 1
            listed += [one["request"] for one in page["requests"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert listed == [requests[0], requests[1], asked, requests[2]]
        every = said(await client.get(f"/v1/{path}"))
        assert ([one["request"] for one in every["requests"]], every["next"]) == (listed, None)
        for wrong in ("1.", ".1", "1.2.3", "x"):
            said(await client.get(f"/v1/{path}", params={"after": wrong}), 422)

    asyncio.run(main())


def test_a_page_of_an_order_s_requests_reads_the_numbers_of_that_page(served: Served) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        orders, [first, *_] = await asked_for(client)
        said(await client.post(f"/v1/order/secret/{first}/done"))
        second = said(await client.post("/v1/order/secret", json={"orderReference": orders[0]}))["request"]
        read, of_it = leaves_read(served), {"order": orders[0], "limit": "1"}
        page = said(await client.get("/v1/request", params=of_it))
        assert ([one["request"] for one in page["requests"]], page["next"]) == ([first], "1")
        assert len(set(those(read, b"request-number/"))) == 1
        page = said(await client.get("/v1/request", params={**of_it, "after": "1"}))
        assert ([one["request"] for one in page["requests"]], page["next"]) == ([second], None)

    asyncio.run(main())


def test_an_inbox_is_gone_on_with_and_proves_nothing_of_orders_to_oneself(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, loaded = served.client_of(served.home("alice")), list[Path]()
    honest = followed.load

    def load(directory: Path, *rest: bytes) -> followed.Followed:
        loaded.append(directory)
        return honest(directory, *rest)

    monkeypatch.setattr(followed, "load", load)

    async def main() -> None:
        _, requests = await asked_for(client)
        served.blocks(2)
        items = said(await client.get("/v1/inbox"))["items"]
        assert {(one["kind"], one["subject"]) for one in items} == {("receipt", one) for one in requests}
        placed = said(await client.post("/v1/order", json={}))["orderReference"]
        served.blocks(2)
        read = leaves_read(served)
        loaded.clear()
        again = said(await client.get("/v1/inbox"))
        assert again["items"] == items
        assert (len(those(read, b"concern/")), len(those(read, b"vault/"))) == (1, 1)
        assert those(read, b"order/") + those(read, b"request/") == []
        assert loaded == []
        assert placed in said(await client.get("/v1/order"))["orderReference"]

    asyncio.run(main())
