"""What the fault tests share: waiting, asking, killing, and a node made again from its tokens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

from dta.localnet.network import Network
from tests.localnet.conftest import People


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
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


def wait_until_fulfilled(net: Network, people: People, order: str, count: int | None = None) -> None:
    """Until so many fiduciaries (all by default) have fulfilled the order."""
    wanted = net.plan.validators if count is None else count
    wait_until(
        f"{wanted} fulfilments of {order}", lambda: people.by("alice", "order", "show", order)["fulfilled"] >= wanted
    )


def status(net: Network, node: int) -> Any:
    """What ``dta status`` says of a node, healthy or not."""
    done = net.dta(["--json", "status"], home=net.home(node), accept=(0, 1, 2))
    assert done.stdout, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


def kill(net: Network, node: int, victim: str) -> None:
    """kill -9 one process of a node, or all of it at once (``node``: the others go with their supervisor)."""
    pid = wait_until(
        f"{victim} of node {node}", lambda: net.pid(node) if victim == "node" else net.child_pid(node, victim)
    )
    os.kill(pid, signal.SIGKILL)


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


def rejoin(net: Network, node: int) -> Any:
    """docs/runbooks/lose-a-disk.md, step 2: the command that makes the home again."""
    plan, pins = net.plan, net.root / "pins"
    others = [other for other in net.nodes() if other != node]
    arguments = [
        "init", "rejoin", "--name", f"fiduciary-{node}", "--genesis", str(net.root / "genesis.json"),
        "--peers", str(net.root / "draft.json"),
        *[word for other in others for word in ("--rpc", net.rpc_url(other))],
        "--gateway-bind", f"127.0.0.1:{net.gateway_port(node)}", "--p2p", f"127.0.0.1:{net.p2p_port(node)}",
        "--rpc-port", str(net.rpc_port(node)), "--comet-binary", plan.comet_binary, "--localnet", "--hsm", plan.hsm,
    ]  # fmt: skip
    for role in ("node", "operator", "next"):
        arguments += [f"--{role}-token", f"{role}-{node}", f"--{role}-pin-file", str(pins / f"{role}-{node}")]
    return net.dta_json(arguments, home=net.home(node))
