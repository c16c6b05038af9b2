"""Random kills while orders flow, and a verdict: what ``scripts/chaos.sh`` runs, and the fault tests in small.

Each round kills -9 one process of one node, or the whole node, at a random moment, or halts its agent or application
for a while, so that it is behind what it follows; and waits until that node is healthy again. All the while somebody
places orders and somebody receives them, by the commands that people type. In the end the blocks themselves are
counted: nothing that was acknowledged is lost, nothing was done twice, all nodes agree.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import DtaError, TimedOut
from dta.base.hardening import harden
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.client.receipt.transactions import Outcome, outcomes, read_tx
from dta.hsm import softhsm
from dta.localnet.actors import Demo
from dta.localnet.network import DEFAULT_PORT_BASE, HEALTHY, Network, Plan

VICTIMS = ("application", "agent", "cometbft", "node")
HALTED = {"agent, halted": "agent", "application, halted": "application"}
"""Names of harms, and which process each halts."""
MOST_HALTED_S = 45.0
"""Longer than an agent waits for its application (30 s), and many more blocks than it is told of at once (32)."""
PLACERS = 3
RECEIVERS = 2
MOST_WAITING = 6
"""No more is placed while so many wait to be received: those are received one by one in the end."""
SECRET_BYTES = 64
RECOVERY_TIMEOUT_S = 180.0
SETTLING_TIMEOUT_S = 240.0

_TALK = Console(stderr=True, highlight=False)


@dataclass
class Verdict:
    """What came of it. ``attempts``: orders tried; ``acknowledged``: those that the command said are active.

    ``lost``: acknowledged orders whose secret nobody can receive; ``doubled``: (what, subject, fiduciary) that two
    committed transactions did; ``unfulfilled``: orders in blocks that a fiduciary has not fulfilled; ``rejected``
    likewise, said so. ``bundles``: committed transactions with several results. ``app_hashes``: of all nodes at one
    height.
    """

    seed: int
    rounds: int = 0
    harms: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    acknowledged: int = 0
    received: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unfulfilled: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    slowest_recovery_s: float = 0.0
    bundles: int = 0
    blocks: int = 0
    app_hashes: set[str] = field(default_factory=set)

    @property
    def is_clean(self) -> bool:
        """Whether all that was promised held, and something was asked of it."""
        bad = self.lost or self.doubled or self.unfulfilled or self.rejected
        return not bad and len(self.app_hashes) == 1 and self.acknowledged > 0

    def rows(self) -> list[tuple[str, str]]:
        """The same as lines of a table."""
        harms = ", ".join(f"{count} {victim}" for victim, count in sorted(self.harms.items()))
        return [
            ("seed", str(self.seed)),
            ("rounds", f"{self.rounds} ({harms})"),
            ("orders", f"{self.attempts} tried, {self.acknowledged} acknowledged, {self.received} received"),
            ("lost", str(len(self.lost))),
            ("doubled", str(len(self.doubled))),
            ("not fulfilled by all", str(len(self.unfulfilled))),
            ("rejected", str(len(self.rejected))),
            ("slowest recovery", f"{self.slowest_recovery_s:.1f} s"),
            ("results together", f"{self.bundles} times"),
            ("blocks", str(self.blocks)),
            ("app hashes", f"{len(self.app_hashes)} among all nodes"),
        ]


class Orders:
    """Alice places orders for Bob and Bob receives them, each in a few threads, one after the other, until stopped."""

    def __init__(self, demo: Demo, vault: str) -> None:
        self._demo, self._vault = demo, vault
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._place_all, daemon=True) for _ in range(PLACERS)]
        self._threads += [
            threading.Thread(target=self._receive_all, args=(number,), daemon=True) for number in range(RECEIVERS)
        ]
        self._attempts = itertools.count()
        self.waiting: dict[str, bytes] = {}
        self.received: dict[str, bytes] = {}

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the commands that run end, and no other begin."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def attempts(self) -> int:
        """How many were tried. Once, when it has stopped."""
        return next(self._attempts)

    def _place_all(self) -> None:
        while not self._stopping.is_set():
            if len(self.waiting) >= MOST_WAITING:
                self._stopping.wait(0.1)
                continue
            next(self._attempts)
            secret = secrets.token_bytes(SECRET_BYTES)
            order = self._place(secret)
            if order is not None:
                self.waiting[order] = secret

    def _receive_all(self, number: int) -> None:
        while not self._stopping.is_set():
            for order in list(self.waiting):
                if int(order, 16) % RECEIVERS == number and not self._stopping.is_set():
                    self.receive(order)
            self._stopping.wait(0.1)

    def _place(self, secret: bytes) -> str | None:
        """The order's reference once it is active; None where the command did not say so."""
        home = self._demo.net.client_home("alice")
        path = home / f"chaos-{secrets.token_hex(4)}.secret"
        path.write_bytes(secret)
        try:
            answer = self._demo.by(
                "alice", "order", "place", "--vault", self._vault, "--secret-file", str(path), "--beneficiary",
                self._demo.identities["bob"], "--allow-missing", "1",
            )  # fmt: skip
        except (DtaError, subprocess.TimeoutExpired, ValueError):
            return None
        finally:
            path.unlink()
        return str(answer["order"]) if answer["status"] == "active" else None

    def receive(self, order: str) -> bool:
        """Whether Bob has the order's secret now, byte for byte."""
        out = self._demo.net.client_home("bob") / f"chaos-{secrets.token_hex(4)}.out"
        try:
            request = self._demo.by("bob", "order", "request", order)["request"]
            self._demo.by("bob", "order", "receive", request, "--out", str(out))
            content = out.read_bytes()
            out.unlink()
        except (DtaError, OSError, subprocess.TimeoutExpired, ValueError):
            return False
        if content == self.waiting[order]:
            self.received[order] = self.waiting.pop(order)
        return order in self.received


class Trial:
    """Something is done to a running network while orders flow; then the blocks are counted. ``vault``: Alice's."""

    def __init__(self, demo: Demo, vault: str, seed: int) -> None:
        self._net, self._demo, self._vault = demo.net, demo, vault
        self.verdict = Verdict(seed)

    def run(self, harm: Callable[[Orders], None]) -> Verdict:
        """``harm`` is done, and mended, while the orders that it is given flow."""
        first_height = max(self._net.height(node) for node in self._net.nodes())
        orders = Orders(self._demo, self._vault)
        orders.start()
        try:
            harm(orders)
        finally:
            orders.stop()
            self.verdict.attempts = orders.attempts()
        self._settle(orders, first_height)
        return self.verdict

    def _settle(self, orders: Orders, first_height: int) -> None:
        """Let late work finish, then count what the blocks say."""
        verdict, net = self.verdict, self._net
        deadline = time.monotonic() + SETTLING_TIMEOUT_S
        for order in list(orders.waiting):
            while not orders.receive(order) and time.monotonic() < deadline:
                time.sleep(1.0)
        verdict.lost = sorted(orders.waiting)
        verdict.received = len(orders.received)
        verdict.acknowledged = len(orders.received) + len(orders.waiting)
        while True:
            at = max(net.height(node) for node in net.nodes())
            counted = _Counted(net, first_height, at)
            verdict.unfulfilled = counted.unfulfilled(net.plan.validators)
            if not verdict.unfulfilled or time.monotonic() > deadline:
                break
            time.sleep(1.0)
        verdict.doubled, verdict.rejected = counted.doubled(), sorted(counted.rejected)
        verdict.lost += sorted(set(orders.received) - counted.placed)
        verdict.blocks, verdict.bundles = at - first_height, counted.bundles
        net.wait_for_height(at + 1)
        verdict.app_hashes = {net.app_hash(node, at + 1) for node in net.nodes()}


class Chaos:
    """Kills and halts at random on a running network. ``vault``: Alice's; ``say`` gets a line a round."""

    def __init__(
        self, demo: Demo, vault: str, seed: int, say: Callable[[str], None] = lambda _: None,
        victims: tuple[str, ...] = (*VICTIMS, *HALTED),
    ) -> None:  # fmt: skip
        self._net, self._say = demo.net, say
        self._victims = victims
        # Which process, when: a seed repeats the plan, if not the machine's own timing.
        self._rng = random.Random(seed)  # noqa: S311
        self._trial = Trial(demo, vault, seed)
        self.verdict = self._trial.verdict

    def run(self, rounds: int) -> Verdict:
        """So many rounds, then the count. Raises TimedOut where a node does not recover."""

        def kill(_: Orders) -> None:
            for number in range(rounds):
                self._round(number)
                self.verdict.rounds += 1

        return self._trial.run(kill)

    def _round(self, number: int) -> None:
        rng, net = self._rng, self._net
        node, victim = rng.randrange(net.plan.validators), rng.choice(self._victims)
        time.sleep(rng.uniform(0.0, 3.0))
        if victim in HALTED:
            if not self._halt(node, HALTED[victim]):
                return
        elif not net.send_signal(node, victim, signal.SIGKILL):
            return
        killed_at_s = time.monotonic()
        self.verdict.harms[victim] += 1
        if victim == "node":
            time.sleep(rng.uniform(0.0, 2.0))
            self._start_again(node)
        self._wait_until_healthy(node)
        took_s = time.monotonic() - killed_at_s
        self.verdict.slowest_recovery_s = max(self.verdict.slowest_recovery_s, took_s)
        self._say(f"round {number + 1}: {victim} of node {node}, healthy again after {took_s:.1f} s")

    def _halt(self, node: int, process: str) -> bool:
        """For a while; False where there is none. It goes on where it was, if its supervisor has not replaced it."""
        if not self._net.send_signal(node, process, signal.SIGSTOP):
            return False
        try:
            time.sleep(self._rng.uniform(1.0, MOST_HALTED_S))
        finally:
            self._net.send_signal(node, process, signal.SIGCONT)
        return True

    def _start_again(self, node: int) -> None:
        """Its processes go with their supervisor; a start before they are gone would find the store in use."""
        deadline = time.monotonic() + RECOVERY_TIMEOUT_S
        while self._net.pid(node) is not None:
            if time.monotonic() > deadline:
                raise TimedOut(f"node {node} does not go", hint=f"see {self._net.home(node)}/logs")
            time.sleep(0.05)
        self._net.start(node)

    def _wait_until_healthy(self, node: int) -> None:
        deadline = time.monotonic() + RECOVERY_TIMEOUT_S
        # The file of the process that was killed says that all is well: only a newer one counts.
        since_s = time.time()
        while True:
            health, status = self._net.status(node)
            agent = status.get("agent") or {}
            if health == HEALTHY and agent.get("time_s", 0) > since_s:
                return
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"node {node} was not healthy within {RECOVERY_TIMEOUT_S:.0f} s: {status.get('trouble')}",
                    hint=f"see {self._net.home(node)}/logs",
                )
            time.sleep(0.2)


class _Counted:
    """What the transactions of the blocks after ``first_height``, up to ``last_height``, did, by the first node."""

    def __init__(self, net: Network, first_height: int, last_height: int) -> None:
        self.placed: set[str] = set()
        self.rejected: set[str] = set()
        self.bundles = 0
        self._done: Counter[tuple[str, str, str]] = Counter()
        with Rpc(net.rpc_url(0)) as rpc:
            for height in range(first_height + 1, last_height + 1):
                txs = rpc.call(requests.block(height)).txs
                results = rpc.call(requests.block_results(height)).tx_results if txs else ()
                for tx, result in zip(txs, results, strict=True):
                    read = read_tx(tx)
                    if read is not None:
                        parts = outcomes(read, result.code, result.data) or ()
                        self.bundles += len(parts) > 1
                        for part in parts:
                            self._count(read.signer, part)

    def _count(self, signer: bytes, part: Outcome) -> None:
        message = part.message
        if part.code != 0:
            return
        if isinstance(message, tx_pb2.PlaceOrder):
            self.placed.add(part.data.hex())
        elif isinstance(message, tx_pb2.FulfilOrder):
            self._done[part.kind, message.order.hex(), signer.hex()] += 1
        elif isinstance(message, tx_pb2.FulfilSecret):
            self._done[part.kind, message.request.hex(), signer.hex()] += 1
        elif isinstance(message, tx_pb2.RejectOrder):
            self.rejected.add(message.order.hex())

    def doubled(self) -> list[str]:
        return sorted(" ".join(what) for what, count in self._done.items() if count > 1)

    def unfulfilled(self, validators: int) -> list[str]:
        by = Counter(subject for kind, subject, _ in self._done if kind == "fulfil_order")
        return sorted(order for order in self.placed if by[order] < validators and order not in self.rejected)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/chaos.sh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="kills and halts (default 20)")
    parser.add_argument("--seed", type=int, default=None, metavar="S", help="which ones (default: a new one)")
    parser.add_argument("--validators", type=int, default=4, metavar="N", help="4 to 7 (default 4)")
    parser.add_argument("--hsm", choices=("softhsm", "software"), default="softhsm")
    parser.add_argument("--root", type=Path, default=Path(".localnet-chaos"), help="where it lives meanwhile")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT_BASE + 500, help="the first of its ports")
    parser.add_argument("--keep", action="store_true", help="leave the network's files when it is over")
    return parser


def _run(arguments: argparse.Namespace) -> Verdict:
    has_softhsm = bool(os.environ.get("DTA_SOFTHSM_MODULE")) or softhsm.find_module() is not None
    plan = Plan(
        validators=arguments.validators, hsm=arguments.hsm if has_softhsm else "software", chain_id="dta-chaos",
        port_base=arguments.port, comet_binary=os.environ.get("DTA_COMETBFT") or "cometbft",
    )  # fmt: skip
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    network = Network(arguments.root, lambda line: _TALK.print(f"  {line}"))
    network.remove()
    try:
        network.create(plan)
        network.up()
        demo = Demo(network)
        for name in ("alice", "bob"):
            demo.enrol(name)
        vault = str(demo.by("alice", "vault", "open")["vault"])
        _TALK.print(f"{arguments.rounds} rounds, seed {seed}")
        return Chaos(demo, vault, seed, lambda line: _TALK.print(f"  {line}")).run(arguments.rounds)
    finally:
        if arguments.keep:
            network.down()
        else:
            network.remove()


def main() -> int:
    """Run, show the verdict on stdout; 0 when it is clean."""
    harden()
    arguments = _parser().parse_args()
    try:
        verdict = _run(arguments)
    except DtaError as error:
        sys.stderr.write(f"error: {error.message}\nhint: {error.hint}\n")
        return error.exit_code or 1
    except KeyboardInterrupt:
        return 130
    table = Table("what", "figure", title="clean" if verdict.is_clean else "NOT CLEAN")
    for row in verdict.rows():
        table.add_row(*row)
    Console(highlight=False).print(table)
    if not verdict.is_clean:
        found = {"lost": verdict.lost, "doubled": verdict.doubled, "unfulfilled": verdict.unfulfilled,
                 "rejected": verdict.rejected, "app_hashes": sorted(verdict.app_hashes)}  # fmt: skip
        sys.stderr.write(json.dumps(found, indent=2) + "\n")
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
