"""Vaults over HTTP: opened once, listed by the ledger's numbers, closed, and kept after all."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.codes import Code
from abci_app.state.due import DueKind
from dta.base.errors import TimedOut
from dta.base.home import Home
from dta.client.custody import records
from dta.client.ledger import fiduciaries
from dta.client.ledger.flow import Request as RpcRequest
from dta.client.ledger.flow import Sleep
from dta.client.ledger.ledger import Ledger
from dta.service.idempotency import ANSWERS_FOR_S
from dta.service.models.base import MAX_WAIT_S
from dta.service.placing import ALL_KEYS_S, ENOUGH_KEYS_S
from tests.support.order_flow import LiveChain
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
        assert served.noted(alice)[-1]["subject"] == made["vault"]
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


# --- the vault that an order opens where there is none -----------------------------------------------------------
HELD_S = 60.0


def is_sending(effect: Any) -> bool:
    return isinstance(effect, RpcRequest) and effect.method == "broadcast_tx_sync"


def test_first_orders_at_the_same_time_go_into_one_vault(served: Served) -> None:
    """All have found none before any opens one."""
    client = served.client_of(served.home("alice"))
    all_there = threading.Barrier(4)

    def held(effect: Any) -> None:
        if is_sending(effect) and not all_there.broken:
            with suppress(threading.BrokenBarrierError):
                all_there.wait(HELD_S)
            all_there.abort()

    async def main() -> None:
        served.before = held
        answers = await asyncio.gather(*(client.post("/v1/order", json={}) for _ in range(4)))
        [vault] = said(await client.get("/v1/vault"))["vaults"]
        references = [said(one)["orderReference"] for one in (*answers, await client.post("/v1/order", json={}))]
        for reference in references:
            said(await client.post(f"/v1/order/{reference}/close"))
        said(await client.post(f"/v1/vault/{vault['vault']}/close"))
        assert len(set(references)) == 5
        placed = said(await client.post("/v1/order", json={}))  # closed for good: the next has another
        shown = said(await client.get(f"/v1/order/{placed['orderReference']}"))
        assert shown["order"]["vault"] != vault["vault"]

    asyncio.run(main())


class Killed(BaseException):
    """The agent ends here, as kill -9 ends it: nothing of it runs on."""


def test_a_first_order_after_a_kill_goes_into_the_vault_that_was_on_its_way(served: Served) -> None:
    alice = served.home("alice")

    def killed(effect: Any) -> None:
        if is_sending(effect):
            body = {"jsonrpc": "2.0", "id": 1, "method": effect.method, "params": dict(effect.params)}
            served.node.handle(httpx.Request("POST", "http://node.test", json=body))
            raise Killed

    served.before = killed
    with pytest.raises(Killed):
        asyncio.run(served.client_of(alice).post("/v1/order", json={}))
    served.before = lambda _: None

    async def main() -> None:
        client = served.client_of(alice)
        said(await client.post("/v1/order", json={}))
        assert len(said(await client.get("/v1/vault"))["vaults"]) == 1

    asyncio.run(main())


def test_a_vault_whose_keys_are_not_all_there_is_shown_as_it_is_and_where_to_look(tmp_path: Path) -> None:
    served = Served(tmp_path, LiveChain(fiduciaries=2))
    client = served.client_of(served.home("alice"))
    late = served.chain.agents[0]
    late.silent.add(DueKind.PUBLISH_VAULT_KEY)

    async def main() -> None:
        key = {"Idempotency-Key": "one vault"}
        answer = await client.post("/v1/vault", json={}, headers={**key, "Prefer": "wait=1"})
        vault = said(answer, 202)["vault"]
        assert (answer.headers["Location"], answer.headers["Retry-After"]) == (f"/v1/vault/{vault}", "2")
        late.silent.clear()
        served.blocks(3)
        assert said(await client.post("/v1/vault", json={}, headers=key))["vault"] == vault

    asyncio.run(main())
    served.close()


@pytest.mark.parametrize("silent", [1, 2])
def test_a_first_order_waits_shortly_for_keys_and_goes_on_with_so_many_as_an_order_needs(
    tmp_path: Path, silent: int
) -> None:
    served = Served(tmp_path, LiveChain(fiduciaries=4))
    alice = served.home("alice")
    client = served.client_of(alice)
    for agent in served.chain.agents[:silent]:
        agent.silent.add(DueKind.PUBLISH_VAULT_KEY)
    slept: list[float] = []
    served.before = lambda effect: slept.append(effect.seconds) if isinstance(effect, Sleep) else None

    async def main() -> None:
        answer = await client.post("/v1/order", json={})
        least = ALL_KEYS_S if silent == 1 else ALL_KEYS_S + ENOUGH_KEYS_S
        assert least <= sum(slept) < least + ENOUGH_KEYS_S <= MAX_WAIT_S
        [vault] = said(await client.get("/v1/vault"))["vaults"]
        if silent == 1:
            shown = said(await client.get(f"/v1/order/{said(answer)['orderReference']}"))
            assert (len(shown["order"]["fiduciaries"]), shown["order"]["threshold"]) == (3, 3)
            return
        problem = said(answer, 504)
        assert (problem["type"], problem["data"]["vault"]) == ("urn:dta:problem:timeout", vault["vault"])
        assert records.load_all(alice.path) == []
        # Who names it says that it is enough.
        named = said(await client.post("/v1/order", json={"vault": vault["vault"]}))
        assert len(said(await client.get(f"/v1/order/{named['orderReference']}"))["order"]["fiduciaries"]) == 2
        for agent in served.chain.agents:
            agent.silent.clear()
        placed = said(await client.post("/v1/order", json={}))
        assert len(said(await client.get(f"/v1/order/{placed['orderReference']}"))["order"]["fiduciaries"]) == 4

    asyncio.run(main())
    served.close()


def ended(home: Home) -> int:
    """How many calls are over, also those whose callers waited no longer."""
    lines = (home.path / "serve" / "audit.jsonl").read_text().splitlines()
    return sum(json.loads(line)["event"] == "ended" for line in lines)


def test_a_caller_is_told_in_time_that_nothing_is_placed_and_then_nothing_is(served: Served) -> None:
    """The node answers after the caller's 25 s are over: what it was told holds."""
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))
    may_go, patient = threading.Event(), agent.wait_until
    sent: list[str] = []

    def held(effect: Any) -> None:
        may_go.wait(HELD_S)
        if is_sending(effect):
            sent.append(effect.method)

    async def over(*_: Any) -> None:
        """The time is over."""

    async def main() -> None:
        vault = said(await client.post("/v1/vault", json={}))["vault"]
        served.before, agent.wait_until = held, over
        problem = said(await client.post("/v1/order", json={"vault": vault}), 504)
        assert "nothing was placed" in problem["detail"]
        may_go.set()
        agent.wait_until = patient
        while ended(alice) < 2:
            await asyncio.sleep(0.01)
        assert (said(await client.get("/v1/order"))["orders"], sent) == ([], [])
        said(await client.post("/v1/order", json={"vault": vault}))
        assert len(sent) == 1

    asyncio.run(main())


def test_who_was_told_that_nothing_is_placed_has_no_vault_opened_after_it(served: Served) -> None:
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))
    may_go, patient = threading.Event(), agent.wait_until
    sent: list[str] = []

    def held(effect: Any) -> None:
        may_go.wait(HELD_S)
        if is_sending(effect):
            sent.append(effect.method)

    async def over(*_: Any) -> None:
        """The time is over."""

    async def main() -> None:
        served.before, agent.wait_until = held, over
        problem = said(await client.post("/v1/order", json={}), 504)
        assert (problem["kind"], "may still" in problem["title"]) == ("nothing-placed", False)
        may_go.set()
        agent.wait_until = patient
        while ended(alice) < 1:
            await asyncio.sleep(0.01)
        assert (said(await client.get("/v1/vault"))["vaults"], sent) == ([], [])

    asyncio.run(main())


def test_a_vault_whose_transaction_is_in_no_block_in_time_is_a_timeout(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served.client_of(served.home("alice"))

    def slow(*_: Any, **__: Any) -> Any:
        raise TimedOut("the transaction is not committed yet")

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "send", slow)
            problem = said(await client.post("/v1/vault", json={}), 504)
        assert problem["type"] == "urn:dta:problem:timeout"
        assert said(await client.get("/v1/vault"))["vaults"] == []

    asyncio.run(main())


def test_a_vault_s_key_says_what_became_of_it_whoever_is_active_then(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day later the key shows what it made: that cannot be opened a second time, and need not."""
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))
    now_s, key = agent.now_s, {"Idempotency-Key": "one"}

    async def main() -> None:
        made = said(await client.post("/v1/vault", json={}, headers=key))
        agent.now_s = lambda: now_s() + 2 * ANSWERS_FOR_S
        monkeypatch.setattr(fiduciaries, "current", lambda *_: {})  # nobody is active any more
        assert said(await client.post("/v1/vault", json={}, headers=key))["vault"] == made["vault"]

    asyncio.run(main())
