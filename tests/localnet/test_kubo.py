"""A real Kubo as the block store of one node, beside another with the embedded store: the same blocks in both."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from abci_app.cid import cid_of
from dta.localnet.network import Network
from dta.node.gateway.server import RAW_TYPE
from tests.localnet.conftest import People, make_plan
from tests.localnet.own_network import PORT_BASE, eventually, own_network
from tests.support.go_tools import built

pytestmark = pytest.mark.localnet
EMBEDDED, WITH_KUBO = 0, 1


@pytest.fixture(scope="module")
def stock() -> str:
    """The stock IPFS program."""
    return built("kubo-v*", "DTA_KUBO", "scripts/test.sh --kubo builds it")


@pytest.fixture(scope="module")
def mixed(stock: str) -> Iterator[People]:
    """Two nodes, the second with a Kubo; Alice has a vault with both, Bob receives."""
    plan = replace(make_plan(2, PORT_BASE), chain_id="dta-kubo", blocks="mixed", kubo_binary=stock)
    with own_network(plan) as net:
        people = People(net)
        for name in ("alice", "bob"):
            people.enrol(name)
        people.vault = people.by("alice", "vault", "open")["vault"]
        yield people


def envelope_of(people: People, order: str) -> str:
    cid: str = people.by("alice", "order", "show", order)["envelope_cid"]
    return cid


def by_gateway(net: Network, node: int, cid: str) -> httpx.Response:
    url = f"http://127.0.0.1:{net.gateway_port(node)}/ipfs/{cid}"
    return httpx.get(url, params={"format": "raw"}, trust_env=False, timeout=30)


def by_kubo(net: Network, cid: str, **parameters: str) -> httpx.Response:
    """From Kubo's own gateway, which any IPFS client can use."""
    url = f"http://127.0.0.1:{net.kubo_port(WITH_KUBO) + 1}/ipfs/{cid}"
    return httpx.get(url, params=parameters, trust_env=False, timeout=30)


def ipfs(stock: str, net: Network, *arguments: str, given: bytes = b"") -> bytes:
    """A stock client's command against the node's Kubo."""
    api = f"--api=/ip4/127.0.0.1/tcp/{net.kubo_port(WITH_KUBO)}"
    return subprocess.run([stock, api, *arguments], input=given, capture_output=True, check=True, timeout=60).stdout


def test_the_main_job_with_a_kubo_beside_an_embedded_store(mixed: People, stock: str) -> None:
    net, secret = mixed.net, secrets.token_bytes(500)
    order = mixed.place_file(secret)
    cid = envelope_of(mixed, order)
    request = mixed.by("bob", "order", "request", order)["request"]
    assert mixed.receive_file(request) == secret
    block = by_gateway(net, EMBEDDED, cid).content
    assert cid_of(block) == cid
    assert by_gateway(net, WITH_KUBO, cid).content == block
    assert ipfs(stock, net, "block", "get", cid) == block
    answer = by_kubo(net, cid, format="raw")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, block, RAW_TYPE)
    assert cid in ipfs(stock, net, "pin", "ls", "--names", cid).decode()


def test_a_stock_client_makes_the_same_cid_of_what_our_gateway_serves(mixed: People, stock: str) -> None:
    cid = envelope_of(mixed, mixed.place_file(b"the same name everywhere"))
    block = by_gateway(mixed.net, EMBEDDED, cid).content
    put = ["block", "put", "--cid-codec=raw", "--mhtype=sha2-256"]
    assert ipfs(stock, mixed.net, *put, given=block).decode().strip() == cid
    other = secrets.token_bytes(1000)
    assert ipfs(stock, mixed.net, *put, given=other).decode().strip() == cid_of(other)
    assert by_gateway(mixed.net, WITH_KUBO, cid_of(other)).status_code == 404, "others' blocks in Kubo are not ours"


def test_what_one_kind_of_store_lost_comes_back_from_the_other(mixed: People, stock: str) -> None:
    net = mixed.net
    cid = envelope_of(mixed, mixed.place_file(b"kept twice"))
    block = by_gateway(net, EMBEDDED, cid).content

    ipfs(stock, net, "pin", "rm", cid)
    ipfs(stock, net, "block", "rm", cid)
    restart(net, WITH_KUBO, "agent")
    eventually("Kubo has the block again", lambda: by_kubo(net, cid, format="raw").content == block)

    [path] = (net.home(EMBEDDED) / "blocks").rglob(f"blocks/**/{cid}")
    path.unlink()
    restart(net, EMBEDDED, "agent")
    eventually("the file is there again", lambda: path.exists() and path.read_bytes() == block)


def restart(net: Network, node: int, name: str) -> None:
    """Kill one of a node's processes and wait for the next one."""
    pid = net.child_pid(node, name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(f"a new {name}", lambda: net.child_pid(node, name) not in (None, pid))


def test_a_kubo_that_is_killed_is_started_again_and_the_node_goes_on(mixed: People) -> None:
    restart(mixed.net, WITH_KUBO, "kubo")
    order = mixed.place_file(b"after the fall")
    eventually(
        "both have fulfilled", lambda: mixed.by("alice", "order", "show", order)["fulfilled"] == 2
    )
    assert by_gateway(mixed.net, WITH_KUBO, envelope_of(mixed, order)).status_code == 200


def test_kubo_listens_on_the_loopback_only_and_talks_to_nobody(mixed: People, stock: str) -> None:
    net = mixed.net
    pid = net.child_pid(WITH_KUBO, "kubo")
    assert pid is not None
    ports = {net.kubo_port(WITH_KUBO), net.kubo_port(WITH_KUBO) + 1}
    seen = set()
    for protocol, local, _ in sockets_of(pid):
        assert local.startswith("0100007F:"), f"{protocol} on {local}"
        seen.add(int(local.partition(":")[2], 16))
    assert seen == ports
    assert all(remote.startswith(("0100007F:", "00000000:")) for _, _, remote in sockets_of(pid))


def test_kubo_syncs_its_writes_and_its_directory_is_the_operators_alone(mixed: People) -> None:
    repository = mixed.net.home(WITH_KUBO) / "kubo"
    config = json.loads((repository / "config").read_text())
    assert [mount["sync"] for mount in config["Datastore"]["Spec"]["mounts"] if mount["type"] == "flatfs"] == [True]
    assert (repository.stat().st_mode & 0o777, (repository / "config").stat().st_mode & 0o777) == (0o700, 0o600)
    shown = mixed.net.dta_json(["doctor"], home=mixed.net.home(WITH_KUBO))
    assert [check["status"] for check in shown["checks"] if check["name"] == "block store"] == ["ok"]


def sockets_of(pid: int) -> list[tuple[str, str, str]]:
    """(protocol, local, remote) of a process's internet sockets, addresses as /proc/net has them."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor)
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    found = []
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                found.append((protocol, fields[1], fields[2]))
    return found
