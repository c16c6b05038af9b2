"""`dta serve` as it runs: killed at the worst moments, beside the command line, many at once, its secrets nowhere."""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import COUNTERS
from dta.cli.main import run
from tests.cli.agent_process import WAIT_S, AgentProcess, agent_of, said, token_of
from tests.cli.order_world import ServedWorld, served_world

SECRET = b"a secret that is in no file: 8f1c2e7b-correct-horse"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def orders_of(world: ServedWorld, name: str) -> int:
    """How many orders the ledger has counted for somebody."""
    found = COUNTERS.find(world.chain.replica.view, world.people[name])
    return (found or custody_pb2.CounterRecord()).orders


class Held:
    """Stops what the agent sends on its way: ``reached`` once it is there, passed on (or not) once ``go`` is set."""

    def __init__(self, passes_first: bool) -> None:
        self.passes_first = passes_first
        self.reached = threading.Event()
        self.go = threading.Event()
        self.is_armed = True

    def around(self, answer: Callable[[httpx.Request], httpx.Response], is_it: Callable[[httpx.Request], bool]) -> Any:
        """``answer``, which stops at the first request that ``is_it``."""

        def held(request: httpx.Request) -> httpx.Response:
            if not self.is_armed or not is_it(request):
                return answer(request)
            self.is_armed = False
            found = answer(request) if self.passes_first else httpx.Response(503, content=b"")
            self.reached.set()
            self.go.wait(WAIT_S)
            return found

        return held


@pytest.mark.parametrize("at", ["upload", "sending", "sent"])
def test_a_retry_after_kill_9_goes_on_with_the_one_order(world: ServedWorld, at: str) -> None:
    home = world.directory / "alice"
    token, key = token_of(home), {"Idempotency-Key": "one"}
    body = {"secret": b64encode(SECRET).decode()}
    with agent_of(home) as agent, agent.client(token) as client:
        said(client.post("/v1/vault", json={}))
    held = Held(passes_first=at == "sent")
    if at == "upload":
        world.gateway = held.around(world.gateway, lambda one: one.method == "PUT")  # type: ignore[method-assign]
    else:
        world.rpc = held.around(world.rpc, lambda one: b"broadcast_tx_sync" in one.content)  # type: ignore[method-assign]
    first = AgentProcess(home)
    try:
        with first.client(token) as client, ThreadPoolExecutor(1) as calling:
            lost = calling.submit(client.post, "/v1/order", json=body, headers=key)
            assert held.reached.wait(WAIT_S), "the agent sends"
            first.kill()
            held.go.set()
            with pytest.raises(httpx.HTTPError):
                lost.result(WAIT_S)
    finally:
        held.go.set()
        first.close()
    with agent_of(home) as agent, agent.client(token) as client:
        placed = said(client.post("/v1/order", json=body, headers=key))
        assert placed["status"] == "active"
        assert said(client.post("/v1/order", json=body, headers=key)) == placed
        assert orders_of(world, "alice") == 1
        asked = {"orderReference": placed["orderReference"]}
        received = said(client.post("/v1/order/secret", json=asked))
        assert b64decode(received["secret"]) == SECRET
        assert client.post("/v1/order", json={"secret": ""}, headers=key).status_code == 422
    assert nowhere(world, SECRET)


def nowhere(world: ServedWorld, secret: bytes) -> bool:
    """Whether a secret is in no file of any home and in no log: as it is, in base64, in hex."""
    for path in world.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for spelt in (secret, b64encode(secret), secret.hex().encode()):
                assert spelt not in content, path
    return True


def test_one_key_is_carried_out_once_however_often_it_comes_at_the_same_time(world: ServedWorld) -> None:
    home = world.directory / "alice"
    token = token_of(home)
    with agent_of(home) as agent, agent.client(token) as client:
        said(client.post("/v1/vault", json={}))

        def place(_: int) -> httpx.Response:
            return client.post("/v1/order", json={"title": "one"}, headers={"Idempotency-Key": "same"})

        with ThreadPoolExecutor(8) as calling:
            answers = list(calling.map(place, range(8)))
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len({answer.json()["orderReference"] for answer in answers if answer.status_code == 200}) == 1
        assert {answer.json()["kind"] for answer in answers if answer.status_code == 409} <= {"idempotency-key-at-work"}
        assert orders_of(world, "alice") == 1

        def another(number: int) -> httpx.Response:
            return client.post("/v1/order", json={"title": str(number)})

        with ThreadPoolExecutor(8) as calling:
            references = {said(answer)["orderReference"] for answer in calling.map(another, range(8))}
        assert len(references) == 8
        assert orders_of(world, "alice") == 9


def test_agent_and_command_line_share_a_home(world: ServedWorld, capsys: pytest.CaptureFixture[str]) -> None:
    home = world.directory / "alice"
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        placed = said(client.post("/v1/order", json={"beneficiary": "bob", "secret": b64encode(SECRET).decode()}))
        assert run(["--home", str(home), "--json", "order", "show", placed["orderReference"]]) == 0
        secret = world.directory / "secret"
        secret.write_bytes(b"another")
        words = ["order", "place", "--secret-file", str(secret), "--beneficiary", "bob", "--vault"]
        [vault] = said(client.get("/v1/vault"))["vaults"]
        assert run(["--home", str(home), "--json", *words, vault["vault"]]) == 0
        assert len(said(client.get("/v1/order", params={"role": "principal"}))["orders"]) == 2
        assert run(["--home", str(home), "--json", "contacts", "remove", "carol"]) == 0
        assert "carol" not in {one["name"] for one in said(client.get("/v1/contacts"))["contacts"]}
        second = run(["--home", str(home), "--json", "serve"])
        assert (second, "already" in capsys.readouterr().out) == (2, True)
    bob = world.directory / "bob"
    with agent_of(bob) as agent, agent.client(token_of(bob)) as client:
        raw = {"Accept": "application/octet-stream"}
        answer = client.post("/v1/order/secret", json={"orderReference": placed["orderReference"]}, headers=raw)
        assert answer.content == SECRET
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Content-Encoding" not in answer.headers
        request = answer.headers["DTA-Request"]
        # The command line goes on with what the agent asked for, and erases its keys.
        out = world.directory / "received"
        assert run(["--home", str(bob), "--json", "order", "receive", request, "--out", str(out)]) == 0
        assert out.read_bytes() == SECRET
        out.unlink()
        said(client.post(f"/v1/order/secret/{request}/receive"), 404)
        assert agent.stop() == 0
    assert nowhere(world, SECRET)


def test_a_keystore_that_is_gone_is_a_problem_of_its_own_and_is_opened_again(world: ServedWorld) -> None:
    home = world.directory / "alice"
    keys, away = home / "operator.keys", home / "operator.away"
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        said(client.post("/v1/vault", json={}))
        agent_opened = said(client.get("/v1/status"))
        assert agent_opened["identities"][0]["name"] == "alice"
    keys.rename(away)
    assert run(["--home", str(home), "--json", "serve"]) == 8  # said when it starts, and not to the first caller
    away.rename(keys)
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        said(client.post("/v1/order", json={"title": "one"}))
