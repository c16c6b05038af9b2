"""A client that knows several doors: the next is asked where one is down, slow, wrong, or asked too much."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_client_reads import FIDUCIARY, RIGHT_KEY, VAULT, WRONG_KEY, chain_with_vault, change_response, encoded

from dta.base.errors import BadAnswer, NotVerified, RateLimited, TimedOut, Unreachable, UsageError
from dta.base.home import ClientConfig, Home
from dta.client.genesis import trusting
from dta.client.ledger import search
from dta.client.ledger.flow import Request
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.rpc import MAX_WAIT_S, AsyncRpc, Rpc, door_rpc
from tests.support.light_chain import Chain, ClockedRpc, Node, b64, members

ANY: Request[Any] = Request("any", {}, lambda value: value)


class Doors(ClockedRpc):
    """A client whose doors are nodes of a test's, by host."""

    def __init__(self, **nodes: Node) -> None:
        self.nodes = nodes
        first, *others = nodes
        super().__init__(nodes[first])  # whose clock it is
        Rpc.__init__(
            self, door_rpc(f"http://{first}.test"), others=[door_rpc(f"http://{other}.test") for other in others],
            transport=httpx.MockTransport(lambda request: nodes[request.url.host.partition(".")[0]].handle(request)),
        )  # fmt: skip


def liar(chain: Chain, **lies: Any) -> Node:
    return Node(chain, lies=lies)


def wrong(chain: Chain) -> Node:
    """Says that the vault's key is another."""
    return liar(chain, abci_query=change_response(value=b64(encoded(WRONG_KEY))))


def ledger_of(rpc: Doors) -> Ledger:
    return Ledger(rpc, next(iter(rpc.nodes.values())).chain.trust_file())


def test_a_door_that_lies_is_left_for_one_that_does_not() -> None:
    chain = chain_with_vault()
    honest = Node(chain)
    rpc = Doors(a=wrong(chain), b=wrong(chain), c=honest)
    assert ledger_of(rpc).vault_keys(VAULT).keys[FIDUCIARY] == RIGHT_KEY
    assert rpc.url == "http://c.test/rpc", "and it stays the one that is asked"
    assert honest.calls


def test_where_every_door_lies_the_first_one_s_lie_is_told() -> None:
    chain = chain_with_vault()
    rpc = Doors(a=wrong(chain), b=wrong(chain))
    with pytest.raises(NotVerified) as caught:
        ledger_of(rpc).vault_keys(VAULT)
    assert caught.value.step == "proof"
    assert all(node.calls.count("abci_query") >= 1 for node in rpc.nodes.values())


def test_a_door_of_another_chain_and_one_that_is_old_are_left_too() -> None:
    chain = chain_with_vault()
    other = Chain(members(4), "another-chain")
    for _ in range(5):
        other.add()
    old = chain_with_vault(blocks=3)
    for strange in (Node(other), Node(old)):
        rpc = Doors(right=Node(chain), strange=strange)
        rpc._turn()
        assert rpc.url == "http://strange.test/rpc"
        assert Ledger(rpc, chain.trust_file(), max_age_s=8.0).vault_keys(VAULT).height == 4


def test_a_door_that_is_behind_is_left_for_one_that_has_the_height() -> None:
    chain, behind = chain_with_vault(blocks=40), chain_with_vault(blocks=3)
    rpc = Doors(right=Node(chain), behind=Node(behind))
    rpc._turn()
    assert Ledger(rpc, chain.trust_file(), max_age_s=1e6).vault(VAULT, at_least=30).id == VAULT
    alone = Doors(behind=Node(behind))
    with pytest.raises(TimedOut):
        Ledger(alone, chain.trust_file(), max_age_s=1e6).vault(VAULT, at_least=30)


# --- doors that refuse ----------------------------------------------------------------------------------------
class Answers:
    """Doors that answer by host: a status and headers, or the call's result."""

    def __init__(self, **by_host: list[httpx.Response | Exception]) -> None:
        self.by_host = by_host
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host.partition(".")[0]
        self.asked.append(host)
        queue = self.by_host[host]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        if answer.status_code == 200 and request.method == "POST":
            return httpx.Response(200, json={"id": json.loads(request.content)["id"], "result": "good"})
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def limited(retry_after: str = "3") -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": retry_after}, json={"error": "too many", "hint": "wait"})


GOOD = httpx.Response(200, json={})
DOWN = httpx.Response(503, json={"error": "no place", "hint": "later"})


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


def called(answers: Answers) -> Any:
    """The call's answer from a client that blocks."""
    first, *others = (door_rpc(f"https://{host}.test") for host in answers.by_host)
    with Rpc(first, others=others, transport=httpx.MockTransport(answers)) as rpc:
        return rpc.call(ANY)


def called_async(answers: Answers) -> Any:
    first, *others = (door_rpc(f"https://{host}.test") for host in answers.by_host)

    async def run() -> Any:
        async with AsyncRpc(first, others=others, transport=httpx.MockTransport(answers)) as rpc:
            return await rpc.call(ANY)

    return asyncio.run(run())


both = pytest.mark.parametrize("call", [called, called_async])


@both
def test_a_door_that_is_asked_too_much_is_obeyed(call: Any, slept: list[float]) -> None:
    answers = Answers(a=[limited("3"), limited("7"), GOOD])
    assert call(answers) == "good"
    assert slept == [3, 7]


@both
def test_the_next_door_is_asked_before_anything_is_waited_for(call: Any, slept: list[float]) -> None:
    answers = Answers(a=[limited()], b=[DOWN], c=[httpx.ConnectError("no")], d=[GOOD])
    assert call(answers) == "good"
    assert (answers.asked, slept) == (["a", "b", "c", "d"], [])


@both
def test_where_all_say_so_the_first_that_will_answer_again_is_waited_for(call: Any, slept: list[float]) -> None:
    answers = Answers(a=[limited("9"), GOOD], b=[limited("4"), DOWN], c=[DOWN])
    assert call(answers) == "good"
    assert slept == [4]


@both
def test_nobody_is_waited_for_longer_than_a_minute_in_all(call: Any, slept: list[float]) -> None:
    with pytest.raises(RateLimited) as caught:
        call(Answers(a=[limited("25"), limited("25"), limited("25"), GOOD]))
    assert sum(slept) <= MAX_WAIT_S
    assert (caught.value.retry_after_s, caught.value.as_json()["kind"]) == (25, "rate-limited")
    slept.clear()
    with pytest.raises(RateLimited):
        call(Answers(a=[limited("100000")]))
    assert slept == []


@both
@pytest.mark.parametrize("header", ["", "-1", "soon", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 50])
def test_a_time_that_can_not_be_read_is_a_few_seconds(call: Any, header: str, slept: list[float]) -> None:
    assert call(Answers(a=[limited(header), GOOD])) == "good"
    assert slept == [5]


@both
def test_where_none_answers_the_last_one_s_reason_is_told(call: Any) -> None:
    with pytest.raises(Unreachable, match="no place"):
        call(Answers(a=[DOWN], b=[DOWN]))
    with pytest.raises(BadAnswer, match="no JSON"):
        call(Answers(a=[httpx.Response(502, content=b"<html>")]))


def test_what_doors_alone_answer_is_asked_of_doors_alone() -> None:
    with (
        Rpc("http://own.test:26657", transport=httpx.MockTransport(Answers(own=[GOOD]))) as rpc,
        pytest.raises(Unreachable, match="no fiduciary's door"),
    ):
        rpc.run(search.ids("order", {}))
    page = {"events": [], "next": None, "from_height": 1, "height": 3}
    answers = Answers(own=[GOOD], door=[httpx.Response(200, json=page)])
    with Rpc(
        "http://own.test", others=[door_rpc("http://door.test/")], transport=httpx.MockTransport(answers)
    ) as rpc:
        assert rpc.run(search.ids("order", {})) == search.Searched([], False)
    assert answers.asked == ["door"]


@pytest.mark.parametrize("change", [
    {"events": None, "height": "3"}, {"events": [{}]}, {"next": 5}, {"next": "x"}, {"from_height": -1},
    {"events": [{"at": "1.0", "height": 1, "kind": 3, "attributes": []}]},
    {"events": [{"at": "1.0", "height": 1, "kind": "order", "attributes": [{"name": "id"}] * 2_000}]},
])  # fmt: skip
def test_a_search_s_answer_of_another_form_is_refused(change: dict[str, Any]) -> None:
    page = {"events": [], "next": None, "from_height": 1, "height": 3, **change}
    answers = Answers(door=[httpx.Response(200, json=page)])
    with (
        Rpc(door_rpc("http://door.test"), transport=httpx.MockTransport(answers)) as rpc,
        pytest.raises(BadAnswer),
    ):
        rpc.run(search.ids("order", {}))


EVENT = {"at": "1.0", "height": 1, "kind": "order", "attributes": [{"name": "id", "value": "ab" * 32}]}


def searched_at(*doors: list[httpx.Response], newest: int = 0) -> tuple[search.Searched, list[str]]:
    """What a search finds through doors that answer so, and which were asked."""
    answers = Answers(**dict(zip("abc", map(list, doors), strict=False)))
    first, *others = (door_rpc(f"http://{host}.test") for host in answers.by_host)
    with Rpc(first, others=others, transport=httpx.MockTransport(answers)) as rpc:
        return rpc.run(search.ids("order", {}, newest=newest)), answers.asked


def events(count: int, following: str | None, height: int = 3) -> httpx.Response:
    return httpx.Response(200, json={"events": [EVENT] * count, "next": following, "from_height": 1, "height": height})


@pytest.mark.parametrize("pages", [
    [events(100, "1.0"), events(100, "1.0")], [events(100, "2.1"), events(100, "2.0")], [events(100, "0.0")],
    [events(99, "1.0")], [events(0, "1.0")],
])  # fmt: skip
def test_a_door_whose_pages_lead_nowhere_is_left_for_the_next(pages: list[httpx.Response]) -> None:
    found, asked = searched_at(pages, [events(1, None)])
    assert found == search.Searched([bytes.fromhex("ab" * 32)], False)
    assert asked == ["a"] * len(pages) + ["b"]
    with pytest.raises(BadAnswer):
        searched_at(pages)


@pytest.mark.parametrize(("height", "is_cut"), [(6, True), (7, False), (12, False)])
def test_an_index_that_is_behind_the_verified_head_is_said_to_be_cut(height: int, is_cut: bool) -> None:
    found, _ = searched_at([events(1, None, height)], newest=10)
    assert found.is_cut is is_cut


def test_a_door_that_never_ends_its_pages_is_not_followed_for_ever() -> None:
    pages = [events(100, f"{height}.0") for height in range(1, 200)]
    answers = Answers(door=pages)
    with Rpc(door_rpc("http://door.test"), transport=httpx.MockTransport(answers)) as rpc:
        assert rpc.run(search.ids("order", {})) == search.Searched([bytes.fromhex("ab" * 32)], True)
    assert len(answers.asked) == search.MAX_EVENTS // 100


# --- the home -------------------------------------------------------------------------------------------------
def test_a_home_keeps_its_doors_and_their_authority(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for config in (
        ClientConfig("chain", bytes(32), nodes=("https://a.test:8443", "https://b.test")),
        ClientConfig("chain", bytes(32), ("http://127.0.0.1:26657",), "me", ("https://a.test",), home.ca_file),
        ClientConfig("chain", bytes(32), nodes=("https://a.test",), ca_file=Path("/elsewhere/ca.pem")),
    ):
        home.save_client(config)
        assert home.load_client() == config
    with pytest.raises(UsageError):
        home.save_client(ClientConfig("chain", bytes(32)))


def test_a_client_s_home_without_a_door_or_with_one_that_is_no_url_is_not_made(tmp_path: Path) -> None:
    for nodes in ([], ["alpha.example:8443"], ["https://name:secret@alpha.example"]):
        with pytest.raises(UsageError) as caught:
            trusting.init_client(Home(tmp_path / "home"), None, nodes, 0)  # type: ignore[arg-type]
        assert "secret" not in caught.value.message
    assert not (tmp_path / "home").exists()


def test_requests_of_cometbft_s_own_go_to_doors_and_nodes_alike() -> None:
    answers = Answers(own=[GOOD])
    with Rpc("http://own.test", transport=httpx.MockTransport(answers)) as rpc:
        assert rpc.call(ANY) == "good"
