"""The door's /rpc: what is listed is answered, with exactly its parameters, at its cost; no more reaches CometBFT."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from door_harness import Comet, Open, play

from dta.node.door.methods import MAX_CALL_BYTES, METHODS, MOST_UNITS, BadCall, read_call
from tests.support.comet_methods import COMETBFT_S_OWN, LISTED
from tests.support.patience import PATIENCE_S


def made(method: str, params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()


def refused(content: bytes) -> BadCall:
    with pytest.raises(BadCall) as caught:
        read_call(content)
    return caught.value


def test_the_listed_methods_are_those_of_this_test() -> None:
    assert set(METHODS) == set(LISTED)
    assert set(METHODS) < set(COMETBFT_S_OWN)


@pytest.mark.parametrize("method", COMETBFT_S_OWN)
def test_every_method_of_cometbft_s_is_answered_where_it_is_listed_and_else_refused(method: str) -> None:
    if method in LISTED:
        assert json.loads(read_call(made(method, LISTED[method])).content) == {
            "jsonrpc": "2.0", "id": 7, "method": method, "params": LISTED[method],
        }  # fmt: skip
    else:
        assert (refused(made(method, {})).code, refused(made(method, {})).id) == (-32601, 7)


@pytest.mark.parametrize("method", LISTED)
def test_a_parameter_that_a_method_has_not_is_refused(method: str) -> None:
    assert refused(made(method, {**LISTED[method], "more": "1"})).code == -32602
    assert refused(made(method, list(LISTED[method].values()))).code == -32602


@pytest.mark.parametrize(("method", "wrong"), [
    ("commit", {"height": 5}), ("commit", {"height": "-1"}), ("commit", {"height": "05"}), ("commit", {"height": None}),
    ("commit", {"height": "9" * 20}), ("commit", {"height": "5\n"}), ("commit", {"height": "٥"}),
    ("validators", {"page": "0"}), ("validators", {"per_page": "-1"}), ("validators", {"page": "1" * 7}),
    ("tx", {"hash": "YWJj", "prove": True}), ("tx", {"hash": "YWJ"}), ("tx", {"hash": "YWJj" * 12}), ("tx", {}),
    ("abci_query", {"path": "/p2p/filter/addr/1", "data": ""}), ("abci_query", {"path": "/store", "data": "0"}),
    ("abci_query", {"data": "00"}), ("abci_query", {"path": "/store", "data": "00" * 1025}),
    ("abci_query", {"path": ["/store"]}), ("abci_query", {"path": "/store", "prove": "true"}),
    ("broadcast_tx_sync", {}), ("broadcast_tx_sync", {"tx": "!"}), ("broadcast_tx_sync", {"tx": "abc"}),
    ("genesis_chunked", {}), ("genesis_chunked", {"chunk": "-1"}),
])  # fmt: skip
def test_a_parameter_of_another_form_is_refused(method: str, wrong: dict[str, Any]) -> None:
    assert refused(made(method, wrong)).code == -32602


@pytest.mark.parametrize(("content", "number"), [
    (b"[" + made("status", {}) + b"]", -32600),
    (b"[]", -32600), (b"null", -32600), (b"", -32700), (b"\xff", -32700), (b"[" * 100_000, -32700), (b"NaN", -32700),
    (b'{"jsonrpc": "2.0", "method": "status", "params": {}}', -32600),  # a notification
    (b'{"jsonrpc": "2.0", "id": null, "method": "status"}', -32600),
    (b'{"jsonrpc": "2.0", "id": -1, "method": "status"}', -32600),
    (b'{"jsonrpc": "2.0", "id": true, "method": "status"}', -32600),
    (b'{"jsonrpc": "2.0", "id": 1.5, "method": "status"}', -32600),
    (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', -32600),
    (b'{"jsonrpc": "2.0", "id": 1, "method": ["status"]}', -32601),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "STATUS"}', -32601),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "genesis", "method": "status"}', -32700),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "auth": 1}', -32600),
])  # fmt: skip
def test_what_is_not_one_plain_call_is_refused(content: bytes, number: int) -> None:
    assert refused(content).code == number


def test_what_is_sent_on_is_written_anew() -> None:
    call = read_call(b'{"method":"c\\u006fmmit", "params":{"height":"5"},\n "id":"x", "jsonrpc":"2.0"}')
    assert call.content == b'{"jsonrpc": "2.0", "id": "x", "method": "commit", "params": {"height": "5"}}'


def test_a_call_goes_to_cometbft_and_its_answer_comes_back(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        for method, params in LISTED.items():
            answer = await door.call(method, **params)
            assert answer.status_code == 200, answer.text
            assert answer.json()["id"] == 1
            assert answer.headers["content-type"].startswith("application/json")
        assert [call["method"] for call in door.comet.calls].count("abci_query") == 1

    play(tmp_path, scenario, Comet(blocks=[()]))


def test_a_refused_call_says_why_as_json_rpc_and_never_reaches_cometbft(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        answer = await door.call("tx_search", query="tx.height>0")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == -32601
        assert (await door.post([{}])).status_code == 400
        assert (await door.post({}, **{"Content-Type": "text/plain"})).status_code == 415
        assert (await door.client.get("/rpc")).status_code == 405
        assert (await door.post(b" " * (MAX_CALL_BYTES + 1))).status_code == 413
        assert not [call for call in door.comet.calls if call["method"] != "status"]

    play(tmp_path, scenario)


def test_one_connection_serves_many_calls(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        async with httpx.AsyncClient(
            base_url=str(door.client.base_url), trust_env=False, limits=httpx.Limits(max_connections=1)
        ) as one:
            door.client = one
            for _ in range(20):
                assert (await door.call("commit", height="1")).status_code == 200
        assert len(door.door.budgets.rpc) == 0

    play(tmp_path, scenario, connection_s=60.0)


def test_who_calls_too_much_is_told_when_to_come_back(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        for _ in range(12):
            assert (await door.call("abci_query", path="/store", data="00")).status_code == 200
        late = await door.call("abci_query", path="/store", data="00")
        assert late.status_code == 429
        assert int(late.headers["retry-after"]) == MOST_UNITS  # at 60 a minute: it was not read, and may be the dearest
        door.clock[0] += 5
        assert (await door.call("abci_query", path="/store", data="00")).status_code == 200
        assert (await door.call("commit")).status_code == 429

    play(tmp_path, scenario, rpc_units_per_minute=60)


def test_calls_that_are_none_are_paid_for_too(tmp_path: Path) -> None:
    """(!) Else who sends 88 kB of nonsense has it parsed as often as the line bears."""

    async def scenario(door: Open) -> None:
        answers = [(await door.post(made("broadcast_tx_sync", {"tx": "!"}))).status_code for _ in range(4)]
        assert answers == [400, 400, 400, 429]
        door.clock[0] += 20
        assert (await door.post(b"nonsense")).status_code == 400
        assert (await door.call("status")).status_code == 429

    play(tmp_path, scenario, rpc_units_per_minute=3)


def test_an_answer_that_costs_by_its_bytes_is_paid_for_afterwards(tmp_path: Path) -> None:
    block = b'{"jsonrpc": "2.0", "id": 1, "result": "' + b"x" * (4 << 20) + b'"}'

    async def scenario(door: Open) -> None:
        answer = await door.call("block", height="1")
        assert answer.content == block
        assert (await door.call("commit")).status_code == 429
        door.clock[0] += 7  # one and 64 units and some, with 60 there at the beginning
        assert (await door.call("commit")).status_code == 200

    play(tmp_path, scenario, Comet(answers={"block": block}), rpc_units_per_minute=60)


def test_who_hangs_up_before_the_last_byte_has_paid_for_what_it_got(tmp_path: Path) -> None:
    """(!) Else all of an answer but its end is for nothing, again and again."""
    block = b'{"jsonrpc": "2.0", "id": 1, "result": "' + b"x" * (15 << 20) + b'"}'

    async def scenario(door: Open) -> None:
        body = made("block", {"height": "1"})
        reader, writer = await asyncio.open_connection(*door.address)
        head = f"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readexactly(1 << 20)  # what is on its way in buffers is not the end
        writer.transport.abort()
        await door.until(lambda: len(door.door.budgets.rpc) == 0, "the place")
        # 100 at the beginning; one for the call and at least 16 for 1 MiB: 18 calls at 5 units are too many.
        answers = [(await door.call("abci_query", path="/store")).status_code for _ in range(18)]
        assert answers[-1] == 429

    play(tmp_path, scenario, Comet(answers={"block": block}), rpc_units_per_minute=100)


def test_clients_behind_a_proxy_have_a_rate_each_and_others_can_not_say_who_they_are(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        async def from_(address: str) -> int:
            call = {"jsonrpc": "2.0", "id": 1, "method": "abci_query", "params": {"path": "/store"}}
            return (await door.post(call, **{"X-Forwarded-For": address})).status_code

        for _ in range(12):
            assert await from_("192.0.2.1") == 200
        assert await from_("192.0.2.1") == 429
        assert await from_("192.0.2.2") == trusted

    for trusted, proxies in ((200, frozenset({"127.0.0.1"})), (429, frozenset[str]())):
        play(tmp_path / str(trusted), scenario, rpc_units_per_minute=60, trusted_proxies=proxies)


def test_an_answer_past_the_method_s_cap_is_cut_and_not_ended_in_order(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        with pytest.raises(httpx.HTTPError):
            await door.call("commit")
        assert (await door.call("abci_query", path="/store")).status_code == 503
        assert (await door.call("status")).status_code == 200

    huge = b" " * (METHODS["commit"].max_answer_bytes + 1)
    play(tmp_path, scenario, Comet(answers={"commit": huge, "abci_query": huge}))


def test_two_queries_are_in_flight_at_a_time_and_the_others_wait_or_are_told_to_come_back(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        door.comet.held = asyncio.Event()
        asked = [asyncio.create_task(door.call("abci_query", path="/store")) for _ in range(5)]
        done, _ = await asyncio.wait(asked, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        answer = done.pop().result()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert (await door.call("commit")).status_code == 200, "light calls are not held up"
        door.comet.held.set()
        codes = sorted([(await one).status_code for one in asked])
        assert codes == [200, 200, 503, 503, 503]
        assert door.comet.most_inside == 2

    play(tmp_path, scenario, query_s=0.3)


def test_where_cometbft_is_down_that_is_said(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        answer = await door.call("commit")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert set(answer.json()) == {"error", "hint"}

    play(tmp_path, scenario, rpc_url="http://127.0.0.1:1")
