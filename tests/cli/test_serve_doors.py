"""`dta serve` and the doors it asks: by TLS of an authority that the home names, and whatever one of them does."""

from __future__ import annotations

import asyncio
import copy
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dta.base.home import Home
from dta.client.identity.keyring import Keyring
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.service import build
from dta.service.app import application
from dta.service.guard import Listener
from dta.service.settings import ServeFile
from tests.cli.agent_process import WAIT_S, agent_of, said, token_of
from tests.cli.order_world import ServedWorld, served_world
from tests.support import governance
from tests.support.certificates import Authority
from tests.support.dripping import dripping, http_answer
from tests.support.light_chain import Lie
from tests.support.order_flow import LiveChain, LiveNode


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path, Authority(tmp_path / "authority", "ours")) as made:
        yield made


def test_what_is_asked_and_what_is_uploaded_goes_by_the_home_s_authority(world: ServedWorld) -> None:
    """Reads and transactions, an order's envelope, a request's keys, an identity's documents."""
    home = world.directory / "alice"
    (home / "serve.toml").write_text('[new_identities]\npin_file = "pin"\n')
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        as_alice = {"DTA-Identity": "alice", "Prefer": "wait=25"}
        placed = client.post("/v1/order", json={"extension": {"plainText": "by TLS"}}, headers=as_alice).json()
        assert world.gateways.find(placed["orderPart1CID"]), placed
        asked, answer = {"orderReference": placed["orderReference"]}, {}
        while "secret" not in answer:
            found = client.post("/v1/order/secret", json=asked, headers=as_alice)
            assert found.status_code in (200, 202), found.text
            answer = found.json()
        assert b64decode(answer["secret"]) == b"by TLS"
        made = said(client.post("/v1/identity", json={"name": "robot"}))
        assert world.gateways.find(made["idDocumentCID"])
        rotated = said(client.post("/v1/identity/alice/rotate", headers=as_alice))
        assert world.gateways.find(rotated["idDocumentCID"])


@pytest.mark.parametrize("instead", ["the system's", "another"])
def test_a_door_that_the_authority_does_not_vouch_for_is_asked_nothing(world: ServedWorld, instead: str) -> None:
    home = world.directory / "alice"
    if instead == "another":
        (home / "ca.pem").write_bytes(Authority(world.directory / "authority", "theirs").file.read_bytes())
    else:
        lines = (home / "client.toml").read_text().splitlines(keepends=True)
        (home / "client.toml").write_text("".join(line for line in lines if not line.startswith("ca_file")))
    served: list[str] = []
    answered = world.rpc
    world.rpc = lambda request: (served.append(str(request.url)), answered(request))[1]  # type: ignore[method-assign]
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        problem = said(client.get("/v1/identity/bob"), 503)
    assert problem["type"] == "urn:dta:problem:unreachable"
    assert served == []


# --- one door that is not as it should be, and an honest one after it ---------------------------------------------
HONEST, FIRST = "honest.test", "first.test"


@dataclass
class Door:
    """What is asked before the honest door. ``told``: of which calls it was not as it should be, each time.

    ``asked``: all of its calls.
    """

    answer: Callable[[httpx.Request], httpx.Response]
    told: list[str]
    asked: list[str]


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def lying(world: ServedWorld, **lies: Lie) -> Door:
    node, told = LiveNode(world.chain), list[str]()

    def counted(method: str, lie: Lie) -> Lie:
        def lied(params: Any, honest: Any) -> Any:
            said = lie(params, copy.deepcopy(honest))
            if said != honest:
                told.append(method)
            return said

        return lied

    node.lies.update({method: counted(method, lie) for method, lie in lies.items()})

    def answer(request: httpx.Request) -> httpx.Response:
        with world.lock:
            return node.handle(request)

    return Door(answer, told, node.calls)


def first_door(world: ServedWorld, kind: str) -> Door:
    """What is asked before the honest door."""
    if kind == "that lies":
        return lying(world, abci_query=_changed_value)
    if kind == "that catches up":
        return lying(world, status=_behind)
    other, told = LiveChain(fiduciaries=2), list[str]()
    for _ in range(3):
        other.make_block()

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(request.url.path)
        if kind == "down":
            raise httpx.ConnectError("refused")
        assert kind == "of another chain"
        return LiveNode(other).handle(request)

    return Door(answer, told, told)


def _changed_value(_: Any, answer: Any) -> Any:
    value = answer["response"].get("value")
    return {"response": {**answer["response"], "value": "AAAA" if value else value}}


def _behind(_: Any, answer: Any) -> Any:
    return {**answer, "sync_info": {**answer["sync_info"], "catching_up": True, "latest_block_height": "2"}}


@contextmanager
def asking(world: ServedWorld, name: str, connect: Callable[[], Rpc]) -> Iterator[httpx.AsyncClient]:
    """An agent in this process that reaches the ledger so."""
    home = world.directory / name
    agent = build.agent(Home(home), Keyring(), connect, ServeFile())
    transport = httpx.ASGITransport(application(agent, Listener.on_tcp([], [])), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token_of(home)}"}
    try:
        yield httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, timeout=WAIT_S)
    finally:
        agent.close()


def by_two_doors(world: ServedWorld, first: Door) -> Callable[[], Rpc]:
    def answer(request: httpx.Request) -> httpx.Response:
        return first.answer(request) if request.url.host == FIRST else world.rpc(request)

    urls = [door_rpc(f"http://{host}") for host in (FIRST, HONEST)]
    return lambda: Rpc(urls[0], others=urls[1:], transport=httpx.MockTransport(answer))


async def placed_and_received(client: httpx.AsyncClient) -> None:
    """All of an order's life, and that no list was shortened."""
    placed = []
    for number in range(2):
        body = {"extension": {"plainText": f"secret {number}"}}
        answer = await client.post("/v1/order", json=body)
        assert answer.status_code in (200, 202), answer.text
        placed.append(answer.json()["orderReference"])
    for number, reference in enumerate(placed):
        assert said(await client.get(f"/v1/order/{reference}", params={"wait": 30}))["status"] == "active"
        answer = await client.post("/v1/order/secret", json={"orderReference": reference})
        while answer.status_code == 202:
            answer = await client.post("/v1/order/secret", json={"orderReference": reference})
        assert said(answer)["extension"] == {"plainText": f"secret {number}"}
    assert said(await client.get("/v1/order"))["orderReference"] == placed
    assert len(said(await client.get("/v1/request"))["requests"]) == 2
    assert said(await client.get("/v1/inbox"))["state"]


@pytest.mark.parametrize("kind", ["down", "of another chain", "that lies", "that catches up"])
def test_one_door_that_is_not_as_it_should_be_stops_nothing(plain: ServedWorld, kind: str) -> None:
    door = first_door(plain, kind)
    with asking(plain, "alice", by_two_doors(plain, door)) as client:
        asyncio.run(placed_and_received(client))
    assert door.told


# --- a door that hides half of what a search finds ----------------------------------------------------------------
def test_orders_requests_and_the_inbox_are_whole_without_any_search(plain: ServedWorld) -> None:
    door = lying(plain, search=_half)
    with asking(plain, "alice", by_two_doors(plain, door)) as client:
        asyncio.run(placed_and_received(client))
    assert "abci_query" in door.asked
    assert "search" not in [*door.asked, *plain.node.calls]


def _half(_: Any, found: Any) -> Any:
    """Nothing of every second thing."""

    def about(event: Any) -> str:
        return next(one["value"] for one in event["attributes"] if one["name"] == "id")

    shown = list(dict.fromkeys(map(about, found["events"])))[::2]
    return {**found, "events": [event for event in found["events"] if about(event) in shown]}


def _half_of_more(_: Any, found: Any) -> Any:
    """As if there were another page, whose first events the hidden ones may be."""
    return {**_half(_, found), "next": found["events"][-1]["at"]}


def _half_of_blocks(_: Any, found: Any) -> Any:
    return {**_half(_, found), "from_height": 2}


def proposed(world: ServedWorld, count: int) -> list[str]:
    """Proposals that wait for votes, the newest first."""
    founder, action = world.chain.replica.founders[0], governance.change_params(world.chain.replica, max_upkeep_cost=7)
    made = [governance.propose(world.chain, founder, action, number).hex() for number in range(count)]  # type: ignore[arg-type]
    for _ in range(2):
        world.chain.make_block()
    return made[::-1]


def test_a_search_whose_pages_do_not_add_up_is_refused_and_the_next_door_is_asked(plain: ServedWorld) -> None:
    made, door = proposed(plain, 4), lying(plain, search=_half_of_more)
    with asking(plain, "alice", by_two_doors(plain, door)) as client:
        found = said(asyncio.run(client.get("/v1/governance")))
    assert door.told == ["search"]
    assert plain.node.calls.count("search") == 1
    assert ([one["proposal"] for one in found["proposals"]], found["isCut"]) == (made, False)


@pytest.mark.parametrize(("lie", "is_cut"), [(_half_of_blocks, True), (_half, False)])
def test_what_a_search_hides_is_said_to_be_cut_where_the_door_says_so_and_is_read_by_its_id_however(
    plain: ServedWorld, lie: Lie, is_cut: bool
) -> None:
    """The ledger counts no proposals: nothing tells of a door that says that this is all (threats.md, Doors)."""
    made, door = proposed(plain, 4), lying(plain, search=lie)
    with asking(plain, "alice", by_two_doors(plain, door)) as client:

        async def main() -> None:
            found = said(await client.get("/v1/governance"))
            assert door.told == ["search"]
            assert ([one["proposal"] for one in found["proposals"]], found["isCut"]) == (made[1::2], is_cut)
            for hidden in made[::2]:
                shown = said(await client.get(f"/v1/governance/{hidden}"))
                assert (shown["proposal"], shown["status"]) == (hidden, "open")
                said(await client.get(f"/v1/governance/{hidden[:8]}"), 404)

        asyncio.run(main())


def test_what_a_search_makes_up_is_not_shown(plain: ServedWorld) -> None:
    def more(_: Any, found: Any) -> Any:
        event = copy.deepcopy(found["events"][0])
        for attribute in event["attributes"]:
            attribute["value"] = "ab" * 32 if attribute["name"] == "id" else attribute["value"]
        return {**found, "events": [event, *found["events"]]}

    made, door = proposed(plain, 2), lying(plain, search=more)
    with asking(plain, "alice", by_two_doors(plain, door)) as client:
        found = said(asyncio.run(client.get("/v1/governance")))
    assert door.told == ["search"]
    assert [one["proposal"] for one in found["proposals"]] == made


@pytest.mark.parametrize("kind", ["of another chain", "that lies"])
def test_the_only_door_is_believed_in_nothing_that_is_not_so(plain: ServedWorld, kind: str) -> None:
    door = first_door(plain, kind)
    url = door_rpc(f"http://{FIRST}")
    with asking(plain, "alice", lambda: Rpc(url, transport=httpx.MockTransport(door.answer))) as client:

        async def main() -> None:
            for path in ("/v1/order", "/v1/vault", "/v1/inbox", "/v1/identity/bob"):
                assert said(await client.get(path), 502)["type"] == "urn:dta:problem:not-verified", path
            assert (await client.post("/v1/order", json={})).status_code == 502
            said(await client.get("/v1/status"))

        height = plain.chain.height
        asyncio.run(main())
        assert plain.chain.height == height


@pytest.mark.parametrize("where", ["in its headers", "in its body"])
def test_a_door_that_drips_is_left_for_the_next_at_the_call_s_deadline(plain: ServedWorld, where: str) -> None:
    """A byte at a time: no wait of it is long, and it would go on for twenty seconds a call."""
    answer, head_bytes = http_answer(b'{"id": 1, "result": "' + b" " * 400 + b'"}')
    with dripping(answer, 20 if where == "in its headers" else head_bytes) as url:
        urls = [door_rpc(url), door_rpc(plain.url)]
        with asking(plain, "alice", lambda: Rpc(urls[0], others=urls[1:], deadline_s=2.0)) as client:
            asyncio.run(placed_and_received(client))


def test_with_nothing_but_doors_that_drip_a_caller_is_told_so(plain: ServedWorld) -> None:
    answer, head_bytes = http_answer(b'{"id": 1, "result": "' + b" " * 400 + b'"}')
    with dripping(answer, head_bytes) as url:  # noqa: SIM117
        with asking(plain, "alice", lambda: Rpc(door_rpc(url), deadline_s=2.0)) as client:

            async def main() -> None:
                for call in (client.get("/v1/order"), client.post("/v1/order", json={})):
                    problem = said(await call, 503)
                    assert problem["type"] == "urn:dta:problem:unreachable"
                    assert "no answer in time" in problem["detail"]

            asyncio.run(main())
