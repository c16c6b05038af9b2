"""Bare networks for the ratio: CometBFT with our application, or with its own in-process ``kvstore``. No agents.

Both get the same configuration file, made from the template that every node of ours has. So what differs between two
runs is the application alone, and what it costs to reach it over a socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from dta.base.errors import DtaError
from dta.client.genesis.cometbft import (
    GenesisValidator,
    address,
    genesis_json,
)
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.node.tendermint_config import (
    Settings,
    load_template,
    new_node_key,
    new_sign_state,
    render,
)
from tests.bench.figures import process_seconds
from tests.support.actors import Actor, seeded
from tests.support.chain import GENESIS_TIME_S, make_genesis

GENESIS_TIME = "2023-11-14T22:13:20Z"  # GENESIS_TIME_S
KVSTORE = "kvstore"
DTA = "dta"


@dataclass(frozen=True, slots=True)
class BarePlan:
    """``application``: ``kvstore`` or ``dta``. Ports are ``port_base + 10 * node``, RPC's, ABCI's (``abci`` "tcp")."""

    application: str
    validators: int
    port_base: int
    comet_binary: str
    timeout_commit_ms: int
    chain_id: str = "dta-bench"
    abci: str = "unix"


class BareNetwork:
    """Validators under ``root``, a short path: sockets are below it. A context manager: started, then stopped."""

    def __init__(self, root: Path, plan: BarePlan) -> None:
        self.root = root
        self.plan = plan
        self.founders = [Actor(f"fiduciary-{n}", fiduciary=True) for n in range(plan.validators)]
        self.gid = bytes(32)
        self.application_pids: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def rpc_url(self, node: int) -> str:
        return f"http://127.0.0.1:{self.plan.port_base + 10 * node + 1}"

    @property
    def rpc_urls(self) -> list[str]:
        return [self.rpc_url(node) for node in range(self.plan.validators)]

    def __enter__(self) -> BareNetwork:
        self._create()
        try:
            for node in range(self.plan.validators):
                self._start(node)
            self._wait_for_height(2)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- making -------------------------------------------------------------------------------------------------
    def _create(self) -> None:
        homes = [self.root / f"n{node}" for node in range(self.plan.validators)]
        for home in homes:
            (home / "config").mkdir(parents=True, mode=0o700)
            (home / "data").mkdir(mode=0o700)
        node_ids = [new_node_key(home / "config" / "node_key.json") for home in homes]
        peers = [f"{node_id}@127.0.0.1:{self.plan.port_base + 10 * node}" for node, node_id in enumerate(node_ids)]
        genesis = self._genesis()
        for node, home in enumerate(homes):
            _write_validator_key(home / "config" / "priv_validator_key.json", _validator_key(self.founders[node]))
            new_sign_state(home / "data" / "priv_validator_state.json")
            (home / "config" / "genesis.json").write_bytes(genesis)
            settings = Settings(
                moniker=f"bench-{node}",
                proxy_app=KVSTORE if self.plan.application == KVSTORE else self._abci(node),
                rpc_laddr=self.rpc_url(node).replace("http", "tcp"),
                p2p_laddr=f"tcp://127.0.0.1:{self.plan.port_base + 10 * node}",
                persistent_peers=",".join(peer for other, peer in enumerate(peers) if other != node),
                addr_book_strict=False, allow_duplicate_ip=True, log_level="error",
                timeout_commit_ms=self.plan.timeout_commit_ms,
            )  # fmt: skip
            (home / "config" / "config.toml").write_text(render(load_template(), settings.values()))

    def _abci(self, node: int) -> str:
        if self.plan.abci == "tcp":
            return f"tcp://127.0.0.1:{self.plan.port_base + 10 * node + 2}"
        return f"unix://{self.root}/n{node}/abci.sock"

    def _genesis(self) -> bytes:
        """The same document for both, but for the state that ours begins with: a new chain's parameters."""
        genesis, self.gid = make_genesis(self.founders, chain_id=self.plan.chain_id)
        app_state: dict[str, Any] = json.loads(genesis.app_state) if self.plan.application == DTA else {}
        validators = [GenesisValidator(one.public_key, one.power, "") for one in genesis.validators]
        assert genesis.time.seconds == GENESIS_TIME_S
        return genesis_json(
            chain_id=self.plan.chain_id, genesis_time=GENESIS_TIME, validators=validators, app_state=app_state
        )

    # --- processes ----------------------------------------------------------------------------------------------
    def _start(self, node: int) -> None:
        home = self.root / f"n{node}"
        if self.plan.application == DTA:
            command = [
                sys.executable, "-m", "abci_app.server", "--home", str(home), "--abci", self._abci(node),
                "--state-socket", f"{home}/state.sock",
            ]  # fmt: skip
            self.application_pids.append(self._spawn(home / "application.log", command).pid)
            _wait_until(lambda: (home / "state.sock").exists(), "the application's socket", self._processes[-1])
        self._spawn(home / "cometbft.log", [self.plan.comet_binary, "start", "--home", str(home)])

    def _spawn(self, log: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with log.open("ab") as sink:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self._processes.append(process)
        return process

    def _wait_for_height(self, height: int) -> None:
        for node in range(self.plan.validators):
            _wait_until(lambda node=node: self.height(node) >= height, f"block {height}", self._processes[-1])

    def height(self, node: int = 0) -> int:
        """The node's last committed height, 0 when it does not answer."""
        with contextlib.suppress(DtaError), Rpc(self.rpc_url(node)) as rpc:
            return rpc.call(requests.status()).latest_height
        return 0

    def processor_s(self) -> tuple[float, float]:
        """Processor seconds so far of all applications in processes of their own, and of all CometBFTs."""
        seconds = [0.0, 0.0]
        for process in self._processes:
            seconds[process.pid not in self.application_pids] += process_seconds(process.pid)
        return seconds[0], seconds[1]

    def stop(self) -> None:
        """Ends its own processes, CometBFT first."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def _validator_key(founder: Actor) -> SigningKey:
    """As :func:`tests.support.chain.make_genesis` derives it."""
    return SigningKey(seeded("validator", founder.name))


def _write_validator_key(path: Path, key: SigningKey) -> None:
    public = bytes(key.verify_key)
    document = {
        "address": address(public).hex().upper(),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": b64encode(public).decode()},
        "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": b64encode(bytes(key) + public).decode()},
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)


def _wait_until(is_so: Any, what: str, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if process.poll() is not None:
            raise RuntimeError(f"a process ended with {process.returncode} while waiting for {what}: see its log")
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {what} after {timeout_s:.0f} s")
        time.sleep(0.05)
