"""The RPC client: what it makes of answers, good and bad, blocking and under asyncio."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from dta.base.errors import EXIT_CODES, BadAnswer, DtaError, RpcError, Unreachable, UsageError
from dta.client.ledger import requests
from dta.client.ledger.flow import Flow, Request, call, elapsed_s, sleep, wall_time_s
from dta.client.ledger.rpc import AsyncRpc, Rpc
from tests.support.light_chain import Chain, Node, members

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/light/cometbft-0.39.4.json").read_text())


def answering(*, body: bytes | None = None, result: Any = None, status: int = 200, **headers: str) -> Rpc:
    def handle(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        content = body if body is not None else json.dumps({"id": asked["id"], "result": result}).encode()
        return httpx.Response(status, content=content, headers=headers)

    return Rpc("http://node.test", transport=httpx.MockTransport(handle))


def real(height: int, method: str) -> Any:
    return VECTORS["heights"][str(height)][method]


def test_real_answers_of_cometbft_are_read() -> None:
    rpc_status = {**VECTORS["status"], "node_info": {"network": "c", "id": "00", "moniker": "m", "version": "0.39.4"}}
    status = answering(result=rpc_status).call(requests.status())
    assert status.latest_height >= 14
    assert not status.catching_up
    block = answering(result=real(4, "block")).call(requests.block(4))
    assert block.txs == (b"a=1", b"b=2", b"c=3")
    assert block.last_commit is not None
    results = answering(result=real(4, "block_results")).call(requests.block_results(4))
    assert [r.code for r in results.tx_results] == [0, 0, 0]
    assert results.tx_results[0].events[0].kind == "app"
    tx = answering(result=real(4, "txs")[1]).call(requests.tx(b"", prove=True))
    assert (tx.height, tx.index, tx.tx) == (4, 1, b"b=2")
    assert tx.proof is not None
    assert answering(result=real(4, "commit")).call(requests.commit(4)).header.height == 4
    assert len(answering(result=real(4, "validators")).run(requests.validators(4)).validators) == 4


def test_peers_and_queries_are_read() -> None:
    peer = {"node_info": {"id": "ab", "moniker": "m"}, "remote_ip": "127.0.0.1", "is_outbound": True}
    found = answering(result={"listening": True, "n_peers": "1", "peers": [peer]}).call(requests.net_info())
    assert found.peers[0].remote_ip == "127.0.0.1"
    info = {"data": "dta", "version": "0.1", "app_version": "1", "last_block_height": "7"}
    for said, height in ((info, 7), ({"data": "dta", "version": "0.1"}, 0)):
        found_info = answering(result={"response": said}).call(requests.abci_info())
        assert found_info == requests.AbciInfo("dta", "0.1", height)
    response = {"code": 0, "log": "", "key": "a2V5", "value": None, "height": "3", "proofOps": None}
    answer = answering(result={"response": response}).call(requests.abci_query("/store", b"key"))
    assert (answer.key, answer.value, answer.height, answer.proof_ops) == (b"key", b"", 3, ())


def test_validators_are_collected_over_all_pages() -> None:
    chain = Chain(members(250, power=1))
    chain.add()
    node = Node(chain)
    rpc = Rpc("http://node.test", transport=httpx.MockTransport(node.handle))
    assert rpc.run(requests.validators(1)) == chain.genesis_validators
    assert node.calls == ["validators"] * 3


def test_a_node_that_never_ends_its_pages_is_not_followed_for_ever() -> None:
    page = {**real(4, "validators"), "total": "1000000"}
    asked = answering(result=page)
    assert len(asked.run(requests.validators(4)).validators) == 4 * 10


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>bad gateway</html>", b"[]", b"null", b'{"id": 99, "result": {}}', b'{"id": 1}', b"[" * 100_000,
        b'{"id": 1, "error": "text"}', b'{"id": 1, "result": {"sync_info": {"latest_block_height": 5}}}',
        b'{"id": 1, "result": []}', b'{"id": 1, "result": null}', b"\xff\xfe", b'{"id": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_answer_of_cometbft_s_is_a_bad_answer(body: bytes) -> None:
    for status in (200, 502):
        with pytest.raises(BadAnswer) as caught:
            answering(body=body, status=status).call(requests.status())
        assert caught.value.hint


def test_an_answer_that_is_too_long_is_cut_off_while_it_comes() -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 65_536

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=endless()))
    short: Request[Any] = Request("status", {}, lambda value: value, max_answer_bytes=200_000)
    with pytest.raises(BadAnswer, match="more than 200000 bytes"):
        Rpc("http://node.test", transport=transport).call(short)
    assert sent < 10


def test_a_compressed_answer_is_not_unpacked() -> None:
    rpc = answering(body=b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    with pytest.raises(BadAnswer, match="compressed"):
        rpc.call(requests.status())


def test_an_error_of_the_node_carries_what_it_said() -> None:
    body = b'{"id": 1, "error": {"code": -32603, "message": "Internal error", "data": "tx (AB) not found"}}'
    with pytest.raises(RpcError) as caught:
        answering(body=body, status=500).call(requests.tx(b"\xab"))
    assert (caught.value.rpc_code, caught.value.rpc_data) == (-32603, "tx (AB) not found")


def test_no_connection_is_unreachable_with_a_hint() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(Unreachable) as caught:
        Rpc("http://node.test", transport=httpx.MockTransport(refuse)).call(requests.status())
    assert caught.value.hint
    assert caught.value.exit_code == 4


def test_a_silent_node_is_given_up_on() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    with pytest.raises(Unreachable, match="no answer in time"):
        Rpc("http://node.test", transport=httpx.MockTransport(silent)).call(requests.status())


@pytest.mark.parametrize(
    "url", ["", "node:26657", "tcp://127.0.0.1:26657", "file:///etc/passwd", "http://", "http://h:port"]
)
def test_an_address_that_is_no_http_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Rpc(url)


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Rpc("http://name:hunter2@node.test")
    assert "hunter2" not in str(caught.value) + repr(caught.value.as_json())


def story() -> Flow[tuple[int, str, bool]]:
    """Uses every effect, and catches an error that an effect raised."""
    start_s = yield from elapsed_s()
    wall_s = yield from wall_time_s()
    yield from sleep(0.0)
    status = yield from call(requests.status())
    try:
        yield from call(requests.block(99))
    except RpcError as error:
        caught = error.method
    later_s = yield from elapsed_s()
    return status.latest_height, caught, later_s >= start_s and wall_s > 0


def test_one_flow_gives_the_same_blocking_and_under_asyncio() -> None:
    chain = Chain(members(1))
    chain.add()
    transport = httpx.MockTransport(Node(chain).handle)
    with Rpc("http://node.test", transport=transport) as rpc:
        blocking = rpc.run(story())

    async def run() -> tuple[int, str, bool]:
        async with AsyncRpc("http://node.test", transport=transport) as rpc:
            return await rpc.run(story())

    assert asyncio.run(run()) == blocking == (1, "block", True)


def test_an_error_that_a_flow_lets_pass_comes_out_of_both_runners() -> None:
    chain = Chain(members(1))
    chain.add()
    transport = httpx.MockTransport(Node(chain).handle)
    with pytest.raises(RpcError):
        Rpc("http://node.test", transport=transport).run(call(requests.block(99)))

    async def run() -> None:
        async with AsyncRpc("http://node.test", transport=transport) as rpc:
            await rpc.run(call(requests.block(99)))

    with pytest.raises(RpcError):
        asyncio.run(run())


def subclasses(kind: type[DtaError]) -> list[type[DtaError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in subclasses(sub))]


def test_every_error_has_a_documented_exit_code_and_a_kind_of_its_own() -> None:
    ours = [kind for kind in subclasses(DtaError) if kind.__module__ == "dta.base.errors"]
    assert {kind.exit_code for kind in ours} <= set(EXIT_CODES)
    assert len({kind.kind for kind in ours}) == len(ours)


def test_an_error_is_json_for_programs() -> None:
    error = BadAnswer("message", hint="hint", data={"a": 1})
    assert json.loads(json.dumps(error.as_json())) == {
        "kind": "bad-answer", "message": "message", "hint": "hint", "data": {"a": 1}, "exit_code": 4,
    }  # fmt: skip
