"""What the fault tests share: waiting, asking, killing, and a node made again from its tokens."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import ORDERS, REQUESTS
from dta.base.config import load_node_config
from dta.base.errors import Unreachable
from dta.cli import nodestatus
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import Network
from tests.localnet.conftest import WiredNetwork
from tests.localnet.runbook import Runbook


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 180.0) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.5)


def same_app_hash(net: Network) -> str:
    """Every node comes to one app hash at one height, which is returned."""
    at = max(net.height(node) for node in net.nodes())
    net.wait_for_height(at + 1)
    hashes = {net.app_hash(node, at) for node in net.nodes()}
    assert len(hashes) == 1, hashes
    return hashes.pop()


def leaf(net: Network, key: bytes, node: int | None = None) -> bytes:
    """A leaf of the newest state as the node has it, unproved; without ``node``: as the first that answers has it."""
    for one in net.nodes() if node is None else [node]:
        with contextlib.suppress(Unreachable), Rpc(net.rpc_url(one)) as rpc:
            return rpc.call(requests.abci_query("/store", key)).value
    raise AssertionError("no node answers")


def order_record(net: Network, order: str, node: int | None = None) -> custody_pb2.OrderRecord:
    return custody_pb2.OrderRecord.FromString(leaf(net, ORDERS.key(bytes.fromhex(order)), node))


def request_record(net: Network, request: str, node: int | None = None) -> custody_pb2.RequestRecord:
    return custody_pb2.RequestRecord.FromString(leaf(net, REQUESTS.key(bytes.fromhex(request)), node))


def wait_until_fulfilled(net: Network, order: str, count: int | None = None) -> None:
    """Until so many fiduciaries (all by default) have fulfilled the order, and commands see it.

    What was just committed can be proved once the next block is there: until then a command reads the state before it.
    """
    wanted = net.plan.validators if count is None else count
    wait_until(f"{wanted} fulfilments of {order}", lambda: order_record(net, order).fulfilled >= wanted)
    node = next(one for one in net.nodes() if net.height(one))
    net.wait_for_height(net.height(node) + 1, [node])


def status(net: Network, node: int) -> Any:
    """What ``dta status --json`` says of a node, healthy or not (test_node_states.py runs the command itself)."""
    return nodestatus.look(load_node_config(net.home(node)), time.time()).data


def kill(net: Network, node: int, victim: str) -> None:
    """kill -9 one process of a node, or all of it at once (``node``: the others go with their supervisor)."""

    def current() -> int | None:
        return net.pid(node) if victim == "node" else net.child_pid(node, victim)

    pid = wait_until(f"{victim} of node {node}", current)
    os.kill(pid, signal.SIGKILL)
    # Only now what the node says of itself is not what it said before.
    wait_until(f"the end of {victim} of node {node}", lambda: current() != pid)


def lose_disk(net: Network, node: int) -> None:
    """Stop the node and delete all that its disk has. Its tokens (or keystore files, which stand in) are elsewhere."""
    net.stop(node)
    home = net.home(node)
    kept = net.root / f"kept-keystores-{node}"
    if (home / "keystores").exists():
        (home / "keystores").rename(kept)
    shutil.rmtree(home)
    if kept.exists():
        home.mkdir(mode=0o700)
        kept.rename(home / "keystores")


def wait_until_it_says(net: Network, node: int, pattern: str) -> None:
    """Until ``pattern`` is in what the node calls trouble."""
    said: list[str] = []

    def looked() -> bool:
        said[:] = status(net, node)["trouble"]
        return re.search(pattern, " ".join(said)) is not None

    try:
        wait_until(pattern, looked)
    except AssertionError:
        raise AssertionError(f"node {node} does not say {pattern!r} but {said}") from None


def stands_still(net: Network, nodes: Sequence[int], for_s: float = 7.0) -> int:
    """The height at which none of ``nodes`` moves for so long: longer than an empty block is waited for (5 s)."""
    time.sleep(2.0)  # what was under way when the fault began
    at = max(net.height(node) for node in nodes)
    time.sleep(for_s)
    assert max(net.height(node) for node in nodes) == at, "the chain went on"
    return at


def wait_until_all_are_healthy(net: Network) -> None:
    for node in net.nodes():
        wait_until(f"node {node} to be healthy", lambda node=node: status(net, node)["healthy"])


def rejoin_page(net: WiredNetwork, node: int) -> Runbook:
    """docs/runbooks/lose-a-disk.md for this node of a localnet."""
    options = [
        "--gateway-bind", f"127.0.0.1:{net.gateway_port(node)}", "--rpc-port", str(net.rpc_port(node)),
        "--comet-binary", net.plan.comet_binary, "--localnet", "--hsm", net.plan.hsm,
    ]  # fmt: skip
    for role in ("node", "operator", "next"):
        label = f"{role}-{node}"
        options += [f"--{role}-token", label, f"--{role}-pin-file", str(net.root / "pins" / label)]
    another = next(other for other in net.nodes() if other != node)
    return Runbook(
        net, "lose-a-disk", DTA_HOME=str(net.home(node)), NAME=f"fiduciary-{node}", OPTIONS=" ".join(options),
        GENESIS=str(net.root / "genesis.json"), DRAFT=str(net.root / "draft.json"), NODE=net.door_url(another),
        P2P=f"127.0.0.1:{net.p2p_port(node)}",
    )  # fmt: skip


def token_directory(net: Network, label: str) -> Path:
    """Where SoftHSM2 keeps the token of this label: the one whose token object has it."""
    for path in (net.root / "tokens" / "tokens").glob("*/token.object"):
        if label.encode() in path.read_bytes():
            return path.parent
    raise AssertionError(f"the token {label} is nowhere")
