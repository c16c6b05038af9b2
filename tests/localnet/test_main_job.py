"""The main job on real processes: four validators, tokens, envelopes, hooks, the command line."""

from __future__ import annotations

import secrets

import pytest

from abci_app.state.records import ORDERS
from dta.client.ledger import requests, search
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.localnet.demo import traces
from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import kill, same_app_hash, wait_until_fulfilled
from tests.support.tree import ics23check

pytestmark = pytest.mark.localnet


def pem(size_bytes: int) -> bytes:
    body = secrets.token_hex(size_bytes // 2)
    return f"-----BEGIN SECRET-----\n{body}\n-----END SECRET-----\n".encode()


@pytest.mark.parametrize(
    "secret", [secrets.token_bytes(32), pem(4_096), secrets.token_bytes(900_000)], ids=["32 B", "4 KB PEM", "900 KB"]
)
def test_what_goes_in_comes_out_and_stands_nowhere_in_clear(net: Network, people: People, secret: bytes) -> None:
    order = people.place_file(secret)
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    assert traces(net, {"secret": secret[:64] if len(secret) > 4_000 else secret}) == []


def test_a_door_s_search_finds_the_order_and_the_go_library_accepts_its_proof(net: Network, people: People) -> None:
    order = people.place_file(b"found by its reference")
    rpc = Rpc(door_rpc(net.door_url(1)))
    assert bytes.fromhex(order) in rpc.run(search.ids("order", {"action": "placed"}, "id", bytes.fromhex(order))).ids
    key = ORDERS.key(bytes.fromhex(order))
    height = rpc.call(requests.status()).latest_height - 1
    answer = rpc.call(requests.abci_query("/store", key, height, prove=True))
    root = rpc.call(requests.commit(height + 1)).header.app_hash
    question = {"root": root, "key": key, "value": answer.value, "proof": answer.proof_ops[0].data}
    assert _verdict(**question) == "ok"
    for name in question:
        changed = {**question, name: _flipped(question[name])}
        assert _verdict(**changed) != "ok", f"a changed {name} was accepted"


def _verdict(root: bytes, key: bytes, value: bytes, proof: bytes) -> str:
    import json

    line = json.dumps({"root": root.hex(), "key": key.hex(), "value": value.hex(), "proof": proof.hex()})
    return ics23check([line])[0]


def _flipped(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


def test_nobody_else_may_ask_and_says_so_with_a_code(people: People) -> None:
    order = people.place_file(b"for bob alone")
    said = people.refused("mallory", "mallory asks", "order", "request", order)
    assert "NOT_BENEFICIARY" in said or "beneficiary" in said


@pytest.mark.parametrize("victim", ["application", "agent", "cometbft"])
def test_a_killed_process_costs_nothing_but_time(net: Network, people: People, victim: str) -> None:
    secret = secrets.token_bytes(64)
    path = net.client_home("alice") / f"{victim}.secret"
    path.write_bytes(secret)
    order = people.by(
        "alice", "order", "place", "--vault", people.vault, "--secret-file", str(path),
        "--beneficiary", people.identities["bob"], "--wait", "0",
    )["order"]  # fmt: skip
    kill(net, 2, victim)
    wait_until_fulfilled(net, order)
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    same_app_hash(net)


def test_one_of_four_down_and_back(net: Network, people: People) -> None:
    secret = secrets.token_bytes(64)
    order = people.place_file(secret)
    net.stop(3)
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    net.start(3)
    same_app_hash(net)
