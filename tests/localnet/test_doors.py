"""Nodes behind their doors: TLS by a private authority, CometBFT's RPC on loopback, and nobody asks anything else."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dta.base.home import Home
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.http.tls import vouched_by
from dta.light.hashes import header_hash
from dta.node.door.config import DoorConfig
from tests.localnet.conftest import People, comet_binary, make_plan
from tests.localnet.doors import HOST, DoorNetwork, held_streams, network_namespace
from tests.localnet.faults import kill, same_app_hash, wait_until, wait_until_fulfilled
from tests.localnet.own_network import own_network_of
from tests.localnet.test_faults_blocks import blocks_of, envelope_of
from tests.support.comet_methods import COMETBFT_S_OWN, LISTED

pytestmark = pytest.mark.localnet
PORT_BASE = 32_200
NODES = 2
FIRST, SECOND = range(NODES)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with network_namespace() as made:
        yield made


@pytest.fixture(scope="module")
def net(namespace: str) -> Iterator[DoorNetwork]:
    """Where a namespace can be made its side of the cable is the doors' address, as the founding documents have it."""

    class Net(DoorNetwork):
        host = HOST if namespace else DoorNetwork.host

    with own_network_of(Net, make_plan(NODES, PORT_BASE)) as running:
        yield running


@pytest.fixture(scope="module")
def people(net: DoorNetwork) -> People:
    """Alice with a vault, and Bob, beside the nodes."""
    people = People(net)
    for name in ("alice", "bob"):
        people.enrol(name)
    people.vault = people.by("alice", "vault", "open")["vault"]
    return people


def everything(people: People, principal: str, beneficiary: str) -> None:
    """What a principal and a beneficiary do, from their registration to a receipt that a stranger verifies."""
    net = people.net
    for name in (principal, beneficiary):
        people.enrol(name)
        config = Home(net.client_home(name)).load_client()
        assert config.nodes == (net.door_url(FIRST), net.door_url(SECOND))
        assert config.rpc_urls == ()

    vault = people.by(principal, "vault", "open")["vault"]
    assert [one["vault"] for one in people.by(principal, "vault", "list")["vaults"]] == [vault]
    secret = secrets.token_bytes(1_000)
    path = net.client_home(principal) / "secret"
    path.write_bytes(secret)
    policy = f"2of:{people.identities[principal]},{people.identities[beneficiary]}"
    order = people.by(
        principal, "order", "place", "--vault", vault, "--secret-file", str(path), "--beneficiary",
        people.identities[beneficiary], "--policy", policy,
    )["order"]  # fmt: skip
    assert [one["order"] for one in people.by(principal, "order", "list")["orders"]] == [order]
    request = people.by(beneficiary, "order", "request", order)["request"]
    people.by(principal, "order", "approve", request)
    assert people.receive_file(request, beneficiary) == secret

    receipt = net.client_home(principal) / "order.receipt"
    people.by(principal, "receipt", "get", "order", order, "--out", str(receipt))
    stranger = ["receipt", "verify", str(receipt), "--trust", str(net.root / "genesis.json")]
    assert net.dta_json(stranger, home=net.root / "nobody's")["kind"] == "order"
    people.by(principal, "order", "close", order)
    people.by(principal, "identity", "rotate")
    assert people.by(principal, "identity", "show")["identity"] == people.identities[principal]
    people.by(principal, "identity", "publish")


def test_who_knows_the_genesis_file_and_two_https_addresses_does_everything(net: DoorNetwork) -> None:
    everything(People(net), "erin", "frank")
    same_app_hash(net)


def test_so_does_a_principal_in_a_network_namespace_of_its_own(net: DoorNetwork, namespace: str) -> None:
    if not namespace:
        pytest.skip("this user, or this machine, can make no network namespace (root and `ip netns`)")
    rpc = ["ip", "netns", "exec", namespace, "python3", "-c", _TRIES, HOST, str(net.rpc_port(FIRST))]
    assert subprocess.run(rpc, check=False).returncode == 7, "CometBFT's RPC is reached by nobody out there"
    net.namespace = namespace
    try:
        everything(People(net), "grace", "heidi")
    finally:
        net.namespace = ""
    same_app_hash(net)


_TRIES = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
except ConnectionRefusedError:
    sys.exit(7)
"""


def asked(net: DoorNetwork, node: int, method: str, path: str, **options: Any) -> httpx.Response:
    url = f"https://127.0.0.1:{net.gateway_port(node)}{path}"
    with httpx.Client(verify=vouched_by(net.ca_file), trust_env=False, timeout=60) as client:
        return client.request(method, url, **options)


@pytest.mark.parametrize("method", COMETBFT_S_OWN)
def test_of_cometbft_s_methods_those_that_are_listed_are_answered_and_no_other(net: DoorNetwork, method: str) -> None:
    params = {**LISTED.get(method, {}), **({"height": "2"} if "height" in LISTED.get(method, {}) else {})}
    if method == "abci_query":
        params["height"] = "0"
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = asked(net, FIRST, "POST", "/rpc", json=call)
    if method in LISTED:
        assert answer.json()["id"] == 1
        assert "result" in answer.json() or method == "tx", answer.text  # of that hash there is none
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32601)
    # As CometBFT's own port answers too: by the method's name in the path, and by a websocket.
    assert asked(net, FIRST, "GET", f"/{method}").status_code == 404
    assert asked(net, FIRST, "GET", f"/rpc/{method}").status_code == 404


def test_a_websocket_is_not_opened(net: DoorNetwork) -> None:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    assert asked(net, FIRST, "GET", "/websocket", headers=upgrade).status_code == 404
    assert asked(net, FIRST, "GET", "/rpc", headers=upgrade).status_code == 405


def light_client_says(net: DoorNetwork, directory: Path, trusted: str) -> str:
    """What CometBFT's light client says that is made of a header's hash at height 2, a door and another as witness.

    It asks by the light provider that state sync has. Then it would be a proxy, which wants a websocket, and ends.
    """
    command = [
        comet_binary(), "light", net.plan.chain_id, "--primary", f"{net.door_url(FIRST)}/rpc", "--witnesses",
        f"{net.door_url(SECOND)}/rpc", "--height", "2", "--hash", trusted, "--home-dir", str(directory), "--laddr",
        f"tcp://127.0.0.1:{net.gateway_port(SECOND) + 6}",
    ]  # fmt: skip
    environment = {**net.environment(), "SSL_CERT_FILE": str(net.ca_file)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=180)
    return done.stdout + done.stderr


def test_cometbft_s_own_light_provider_asks_doors_and_believes_what_they_show(net: DoorNetwork, tmp_path: Path) -> None:
    with Rpc(net.rpc_url(FIRST)) as rpc:
        trusted = header_hash(rpc.call(requests.commit(2)).header)
    assert "Starting proxy" in light_client_says(net, tmp_path / "right", trusted.hex())
    assert "Starting proxy" not in light_client_says(net, tmp_path / "wrong", bytes(32).hex())


def test_a_fiduciary_gets_an_envelope_by_a_door_whose_event_streams_strangers_hold(
    net: DoorNetwork, people: People
) -> None:
    secret = secrets.token_bytes(64)
    order = people.place_file(secret, "--threshold", str(NODES))
    wait_until_fulfilled(net, order)
    cid = envelope_of(net, order)
    bounds = DoorConfig("", Path(), "", b"")

    async def scenario() -> None:
        async with held_streams(net, FIRST, bounds.max_streams, bounds.max_streams_per_address) as given:
            assert given == bounds.max_streams
            # The second node's is lost, and the only other that has it is behind the door that is held.
            path = blocks_of(net, SECOND)[cid]
            path.unlink()
            request = (await asyncio.to_thread(people.by, "bob", "order", "request", order))["request"]
            assert await asyncio.to_thread(people.receive_file, request) == secret
            assert path.exists()

    asyncio.run(scenario())


def test_a_door_that_swallows_what_it_is_asked_is_left_for_the_next(net: DoorNetwork, people: People) -> None:
    assert Home(net.client_home("alice")).load_client().nodes[0] == net.door_url(FIRST)
    assert net.send_signal(FIRST, "door", signal.SIGSTOP)
    try:
        assert people.vault in {one["vault"] for one in people.by("alice", "vault", "list")["vaults"]}
    finally:
        assert net.send_signal(FIRST, "door", signal.SIGCONT)


def test_a_door_that_is_killed_is_started_again_and_has_lost_nothing(net: DoorNetwork, people: People) -> None:
    order = people.place_file(b"found again")
    kill(net, FIRST, "door")
    assert order in {one["order"] for one in people.by("alice", "order", "list")["orders"]}, "by the other door"
    wait_until("the door to be back", lambda: net.door_is_ready(FIRST))
    found = asked(net, FIRST, "GET", "/v1/search", params={"kind": "order", "id": order}).json()
    assert {"name": "action", "value": "placed"} in found["events"][0]["attributes"]
    assert found["from_height"] == 1
    same_app_hash(net)


def test_where_all_doors_are_down_each_is_told_why(net: DoorNetwork, people: People) -> None:
    home = net.client_home("nobody")
    home.mkdir(mode=0o700, parents=True)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    urls = [f"https://127.0.0.1:{port}", f"https://127.0.0.1:{net.rpc_port(FIRST)}"]
    arguments = [word for url in urls for word in ("--node", url)]
    net.dta(["init", "client", "--genesis", str(net.root / "genesis.json"), *arguments], home=home)
    done = net.dta(["--json", "identity", "list", "--fiduciaries"], home=home, accept=(4,))
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "unreachable"
    assert [any(url in reason for reason in error["data"]["reasons"]) for url in urls] == [True, True]
