"""The application dies at each point around Commit, in a block with a transaction: replay gives the same app hash."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import VAULTS
from dta.base.errors import EXIT_UNREACHABLE
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import CommandFailed, Network
from tests.localnet.conftest import make_plan
from tests.localnet.dying_application import POINTS
from tests.localnet.faults import leaf
from tests.localnet.own_network import eventually, own_network

pytestmark = pytest.mark.localnet
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def single() -> Iterator[Network]:
    """One validator: its block store is the only one, so nobody else can tell it what a block came to."""
    with own_network(make_plan(1, port_base=32_000)) as running:
        yield running


@contextmanager
def dying_node(net: Network, point: str) -> Iterator[subprocess.Popen[bytes]]:
    """CometBFT with the application that ends itself, and nothing to start either again."""
    home = net.home(0)
    socket = home / "run" / "abci.sock"
    application = [
        sys.executable, "-m", "tests.localnet.dying_application", point, "--home", str(home),
        "--abci", f"unix://{socket}", "--state-socket", str(home / "run" / "state.sock"),
    ]  # fmt: skip
    comet = [net.plan.comet_binary, "start", "--home", str(home / "cometbft")]
    with (home / "logs" / "dying.log").open("ab") as log:
        dying = subprocess.Popen(application, cwd=ROOT, stdout=log, stderr=log)
        eventually("the application to listen", socket.exists)
        with_comet = subprocess.Popen(comet, stdout=log, stderr=log)
        try:
            yield dying
        finally:
            for process in (with_comet, dying):
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                process.wait()


def heights(net: Network) -> tuple[int, str]:
    """(the newest height, the app hash that its header has of the block before)."""
    height = net.height(0)
    return height, net.app_hash(0, height)


@pytest.mark.parametrize("point", POINTS)
def test_a_block_in_which_the_application_died_is_replayed_to_the_same_hash(single: Network, point: str) -> None:
    home = single.home(0)
    single.stop(0)
    opened: list[str] = []

    def open_vault() -> None:
        while not opened:
            try:
                opened.append(single.dta_json(["vault", "open", "--wait", "120"], home=home)["vault"])
            except CommandFailed as failed:
                # It had sent nothing yet: the death came in a block of an earlier transaction.
                if failed.data["exit_code"] != EXIT_UNREACHABLE:
                    raise

    with dying_node(single, point) as dying:
        eventually("CometBFT to answer", lambda: single.height(0) > 0)
        client = threading.Thread(target=open_vault)
        client.start()
        assert dying.wait(60) == 9
    single.start(0)
    client.join(180)
    assert len(opened) == 1
    # The client, which sent the same bytes all the time, sees its vault; the hook's key makes the chain quiet again.
    assert single.dta_json(["vault", "show", opened[0]], home=home)["status"] == "open"
    vault = VAULTS.key(bytes.fromhex(opened[0]))
    eventually("its key", lambda: custody_pb2.VaultRecord.FromString(leaf(single, vault)).published == 1)
    single.wait_for_height(single.height(0) + 1)


def test_an_application_that_lost_its_state_comes_to_every_hash_again(single: Network) -> None:
    """After all the deaths: every block from genesis, executed anew, has the hash that the chain agreed on."""
    height, app_hash = heights(single)
    single.stop(0)
    (single.home(0) / "state").rename(single.home(0) / "state.lost")
    single.start(0)
    # CometBFT holds each replayed block against the header after it, and would stop at the first that differs.
    eventually("the chain to go on", lambda: single.height(0) > height)
    with Rpc(single.rpc_url(0)) as rpc:
        assert rpc.call(requests.commit(height)).header.app_hash.hex() == app_hash
