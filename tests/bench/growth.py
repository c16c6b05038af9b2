"""Part ``growth``: the job, and what a node costs by itself, with a thousand and with a hundred thousand orders there.

The orders that exist are made by the application itself (:mod:`tests.bench.existing`), out of one small transaction
each, which goes through CometBFT as any other. One node does it: for that time its vote is enough, the others are
stopped, and then they are given what it has, each with its own keys. So a million takes an hour on two cores, and not
four. The envelopes are laid into the nodes' block stores meanwhile; that node's agent waits, because the lock of its
store is held here.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from abci_app.block import ValidatorUpdate
from abci_app.cid import cid_of, digest_of
from dta.base.config import NodeConfig, load_node_config
from dta.base.errors import DtaError
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.light.types import Validator
from dta.localnet.network import Network
from dta.node import supervisor
from dta.node.running import is_running
from tests.bench import existing, job
from tests.bench.figures import ROOT
from tests.bench.job import Job
from tests.bench.live import Processes, acting, localnet, rpc_urls
from tests.bench.load import Client, commit_all, encode_batches
from tests.bench.principals import Principals

BATCH = 100
MARKERS_UNDER_WAY = 2_000
CONNECTIONS = 4
ENOUGH_ALONE = 1_000_000
"""A voting power beside which that of the others is nothing."""
SETTLE_S = 3_600.0
# A file has so many names at most (ext4 allows 65,000).
NAMES_OF_A_FILE = 60_000
Json = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``sizes``: how many orders there are, ascending, each as seen by the job at one ``level``."""

    sizes: tuple[int, ...] = (1_000, 100_000)
    level: int = 64
    idle_s: float = 60.0
    job: job.Plan = job.Plan()  # noqa: RUF009  frozen


QUICK = Plan(sizes=(20, 60), level=2, idle_s=0.3, job=replace(job.QUICK, first_burst=2, validators=2))


class GrowingNetwork(Network):
    """A localnet whose applications make existing orders too."""

    def start(self, node: int) -> None:
        home = self.home(node)
        if is_running(load_node_config(home)):
            return
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
        with (home / "logs" / "node.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.growth", str(home)], cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(), start_new_session=True,
            )  # fmt: skip


def run(comet_binary: str, port_base: int, say: Say, plan: Plan) -> Json:
    """One network that grows from size to size; at each all is measured."""
    with localnet(comet_binary, port_base, plan.job.validators, GrowingNetwork) as demo:
        demo.enrol("alice")
        figures: Json = {"validators": plan.job.validators, "hsm": demo.net.plan.hsm, "level": plan.level, "sizes": {}}
        with acting(demo.net.client_home("alice")) as session:
            principals = Principals(session, plan.job.principals, demo.net)
            growing = _Growing(demo.net, principals, plan, say)
            for size in plan.sizes:
                try:
                    figures["sizes"][str(size)] = growing.measure(size)
                except (DtaError, OSError, RuntimeError, subprocess.SubprocessError) as error:
                    if not figures["sizes"]:
                        raise
                    say(f"{size} orders: {error}; what was measured before is kept")
                    break
        figures["bare"] = growing.job.bare()
    for one in figures["sizes"].values():
        job.add_ratios(one["job"], figures["bare"])
    return figures


class _Growing:
    def __init__(self, network: Network, principals: Principals, plan: Plan, say: Say) -> None:
        self._network, self._principals, self._plan, self._say = network, principals, plan, say
        self._size = 0
        self.job = Job(network, principals, plan.job, say)
        self.job.warm_up()

    def measure(self, size: int) -> Json:
        """Grow to ``size``, then everything at that size."""
        grown_s = self._grow(size)
        self._say(f"{size} orders are there, {grown_s:.0f} s")
        processes = self.job.processes = Processes(self._network)
        idle = processes.idle(self._plan.idle_s)
        nodes = self._plan.job.validators
        figures: Json = {
            "grown_s": grown_s,
            "idle_share": {"agent": idle.agents / nodes, "application": idle.applications / nodes,
                           "cometbft": idle.cometbfts / nodes, "door": idle.doors / nodes},
            "job": self.job.level(self._plan.level),
            "rss_mb": processes.rss_mb(),
            "disk_mb": self._disk_mb(),
            "order_list": self._order_list(),
            "restart": self._restart(),
        }  # fmt: skip
        self.job.processes = Processes(self._network)
        self._say(
            f"an idle agent {figures['idle_share']['agent']:.3f} of a core; order list "
            f"{figures['order_list']['seconds']:.1f} s; restart {figures['restart']['agent_s']:.1f} s"
        )
        return figures

    # --- growing ------------------------------------------------------------------------------------------------
    def _grow(self, size: int) -> float:
        began_s = time.monotonic()
        numbers = range(self._size, size)
        self._size = size
        vaults = [view.record.id for view in self._principals.vaults]
        markers = [existing.marker(vaults[number % len(vaults)], number) for number in numbers]
        with _growing_alone(self._network):  # no agent runs that would unpin what state does not name yet
            self._lay_envelopes(numbers)
            asyncio.run(self._send(markers))
        for node in self._network.nodes():
            self._wait_for_agent(node)
        return time.monotonic() - began_s

    def _lay_envelopes(self, numbers: Sequence[int]) -> None:
        """Blocks and pins of the orders that stay open: one file, of which every node has a name."""
        first, *others = [_config(self._network, node).blocks_dir for node in self._network.nodes()]
        pin: Path | None = None
        for position, number in enumerate(filter(existing.is_open, numbers)):
            block = existing.envelope(number)
            cid = cid_of(block)
            shard = digest_of(cid)[:2].hex()
            place = Path("blocks", shard[:2], shard[2:], cid)
            (first / place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (first / place).write_bytes(block)
            for other in others:
                (other / place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.link(first / place, other / place)
            if pin is None or position % (NAMES_OF_A_FILE // (len(others) + 1)) == 0:
                pin = first / "pins" / cid
                pin.touch(0o600)
                names = [other / "pins" / cid for other in others]
            else:
                names = [directory / "pins" / cid for directory in (first, *others)]
            for name in names:
                os.link(pin, name)

    async def _send(self, markers: Sequence[bytes]) -> None:
        bodies = encode_batches(markers, BATCH)
        client = Client(rpc_urls(self._network)[:1], bodies, BATCH, len(markers), lambda: (0.0, 0.0))
        await client.saturate(max(BATCH, MARKERS_UNDER_WAY), 0.0, float("inf"), CONNECTIONS, SETTLE_S)

    # --- measuring ----------------------------------------------------------------------------------------------
    def _order_list(self) -> Json:
        """``dta order list`` of one principal, as a command: its own seconds and its processor time."""
        before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        found = self._network.dta_json(
            ["order", "list", "--all"], home=self._network.client_home("alice"), timeout_s=SETTLE_S
        )
        seconds, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"orders": len(found["orders"]), "seconds": seconds, "processor_s": processor_s}

    def _restart(self) -> Json:
        """The last node, stopped and started again: until its ledger is where the others' are, its agent acts, and has
        found all blocks that state names."""
        node = self._plan.job.validators - 1
        began_s = time.monotonic()
        self._network.stop(node)
        stopped_s = time.monotonic() - began_s
        began_s = time.monotonic()
        self._network.start(node)
        self._network.wait_for_height(max(map(self._network.height, self._network.nodes())), [node])
        ledger_s = time.monotonic() - began_s
        while not _acts(self._network, node):
            time.sleep(0.1)
        agent_s = time.monotonic() - began_s
        self._wait_for_agent(node)
        return {
            "stop_s": stopped_s, "ledger_s": ledger_s, "agent_s": agent_s, "blocks_s": time.monotonic() - began_s
        }  # fmt: skip

    def _disk_mb(self) -> Json:
        """Of one node, by what is on its disk. Block stores are left out: their existing envelopes are small."""
        home = self._network.home(0)
        return {
            "application": _disk_mb(home / "state"), "cometbft": _disk_mb(home / "cometbft" / "data"),
            "outbox": _disk_mb(home / "outbox"), "door": _disk_mb(home / "door"),
        }  # fmt: skip

    def _wait_for_agent(self, node: int) -> None:
        """Until one that was just started acts, and has seen that all of its blocks are there."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            status = _agent_status(self._network, node)
            hooks, blocks = status.get("hooks"), status.get("blocks")
            if hooks and blocks and not hooks["trouble"] and blocks["pinned"] and not blocks["missing"]:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the agent of node {node} does not act in time: {status}")
            time.sleep(0.2)


@contextmanager
def _growing_alone(network: Network) -> Iterator[None]:
    """While this lasts only the first node runs, without an agent; then all do, and have what it has."""
    first, *others = network.nodes()
    validators = [ValidatorUpdate(one.public_key, one.power) for one in _validators(network)]
    own = _config(network, first).comet_home / "config" / "priv_validator_key.json"
    key = b64decode(json.loads(own.read_text())["pub_key"]["value"])
    if others:
        _vote(network, [replace(one, power=ENOUGH_ALONE) for one in validators if one.public_key == key], others)
        for node in others:
            network.stop(node)
    with _store_held(network, first):
        yield
        if others:
            height = _vote(network, validators, [])
            network.stop(first)
    for node in others:
        _give(_config(network, first), _config(network, node))
        network.start(node)
    if others:
        network.start(first)
        network.wait_for_height(height + 2, timeout_s=SETTLE_S)
    else:
        _end_agent(network, first)


def _validators(network: Network) -> Sequence[Validator]:
    with Rpc(network.rpc_url(0)) as rpc:
        return rpc.run(requests.validators(network.height(0))).validators


def _vote(network: Network, updates: Sequence[ValidatorUpdate], others: Sequence[int]) -> int:
    """Give the validators these powers. With ``others`` until these have the first block that is signed so; without,
    until the last that is not. The height from which on they hold, less two."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            height = commit_all(network.rpc_url(0), [existing.powers(updates, time.time_ns())], SETTLE_S)
            break
        except DtaError:  # a node with blocks of thousands of orders to execute may not answer in time
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
    network.wait_for_height(height + (2 if others else 1), [0, *others], SETTLE_S)
    return height


def _give(first: NodeConfig, other: NodeConfig) -> None:
    """To a node that is stopped the first one's state, chain and index. What it voted for stays its own."""
    pairs = [(first.home / "state", other.home / "state"), (first.door_dir, other.door_dir)]
    data, others_data = first.comet_home / "data", other.comet_home / "data"
    pairs += [(found, others_data / found.name) for found in data.glob("*.db")]
    for source, target in pairs:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=_copy)
    shutil.rmtree(others_data / "cs.wal", ignore_errors=True)


def _copy(source: str, target: str) -> None:
    """A file; a table of LevelDB's, which nobody changes, by one more name, so that all nodes have it in one memory."""
    if source.endswith(".ldb"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@contextmanager
def _store_held(network: Network, node: int) -> Iterator[None]:
    """Its agent is ended, and the one that starts again has no block store."""
    _end_agent(network, node)
    descriptor = _take_lock(_config(network, node).blocks_dir / "lock")
    try:
        yield
    finally:
        os.close(descriptor)


def _end_agent(network: Network, node: int) -> None:
    """The supervisor starts it again."""
    deadline = time.monotonic() + SETTLE_S
    while (pid := network.child_pid(node, "agent")) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _take_lock(path: Path) -> int:
    """The block store's lock, as soon as the agent that had it is gone."""
    deadline = time.monotonic() + SETTLE_S
    descriptor = os.open(path, os.O_WRONLY)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _config(network: Network, node: int) -> NodeConfig:
    return load_node_config(network.home(node))


def _agent_status(network: Network, node: int) -> Json:
    """What the agent says of itself; one that has ended took it away, and what has just started says nothing yet."""
    try:
        found: Json = json.loads(_config(network, node).status_file.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _acts(network: Network, node: int) -> bool:
    """Whether the agent says at its gateway that it is at work."""
    try:
        return bool(httpx.get(f"http://127.0.0.1:{network.gateway_port(node)}/v1/status").json()["acting"])
    except httpx.HTTPError:
        return False


def _disk_mb(directory: Path) -> float:
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*") if path.is_file()) / 1e6


def _main(home: Path) -> None:
    """A node whose application is :mod:`tests.bench.existing`, supervised as every node is."""
    node = supervisor.Supervisor(load_node_config(home))
    node.application.command[2] = existing.__spec__.name
    asyncio.run(node.run())


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
