"""docs/howto/remote-signer.md, step by step: a validator whose consensus key is with a signer of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from dta.client.genesis.cometbft import address
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import Network
from dta.node.validator_key import KeyFiles, public_key
from tests.localnet.conftest import WiredNetwork
from tests.localnet.own_network import eventually
from tests.support.go_tools import built

pytestmark = pytest.mark.localnet
MOVED = 1


class Signer:
    """CometBFT's own example of a signer, and what keeps it: it dials a few times and then does nothing more."""

    def __init__(self, net: Network, directory: Path, socket: Path) -> None:
        program = built("priv-val-server-*", "DTA_EXAMPLE_SIGNER", "scripts/test.sh localnet builds it")
        self._command = [
            program, f"-addr=unix://{socket}", f"-chain-id={net.plan.chain_id}", "-priv-key=key.json",
            "-priv-state=state.json",
        ]  # fmt: skip
        self._directory, self._socket = directory, socket
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def _keep(self) -> None:
        seen = None
        with (self._directory / "log").open("ab") as log:
            while not self._stop.wait(0.2):
                socket = self._socket.stat().st_ino if self._socket.is_socket() else None
                if socket != seen:
                    self._end()
                    if socket is not None:
                        self._process = subprocess.Popen(self._command, cwd=self._directory, stdout=log, stderr=log)
                    seen = socket
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        self._stop.set()
        self._keeper.join()


def signs(net: Network, who: bytes) -> bool:
    """Whether the newest commit that node 0 has carries the signature of the validator at ``who``."""
    with Rpc(net.rpc_url(0)) as rpc:
        at = rpc.call(requests.status()).latest_height - 1
        found = rpc.call(requests.commit(at)).commit
    return any(vote.validator_address == who and vote.signature for vote in found.signatures)


def test_a_key_moves_to_a_signer_and_votes_from_there(net: WiredNetwork, tmp_path: Path) -> None:
    home = net.home(MOVED)
    files = KeyFiles(home / "cometbft")
    who = address(public_key(files.key))
    eventually("it votes by its file", lambda: signs(net, who))
    net.stop(MOVED)

    socket = home / "run/signer.sock"
    settings = home / "comet.toml"
    before = settings.read_text()
    settings.write_text(before.replace('priv_validator_laddr = ""', f'priv_validator_laddr = "unix://{socket}"'))
    install(net)
    shutil.move(files.key, tmp_path / "key.json")
    shutil.move(files.sign_state, tmp_path / "state.json")

    eventually("it does not vote", lambda: not signs(net, who))
    signer = Signer(net, tmp_path, socket)
    try:
        net.start(MOVED)
        eventually("it votes by its signer", lambda: signs(net, who))
        # A restart must not wait for its own old signatures to be 20 blocks back, nor stumble over the old socket.
        pid = net.child_pid(MOVED, "cometbft")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually("a new CometBFT", lambda: net.child_pid(MOVED, "cometbft") not in (None, pid))
        killed_at = net.height(0)
        eventually("it votes again", lambda: net.height(0) > killed_at + 3 and signs(net, who))
        done = net.dta(["validator", "rotate", "--yes"], home=home, accept=(2,))
        assert b"external signer" in done.stderr
    finally:
        net.stop(MOVED)
        signer.stop()
    # And back: the file's key votes again, from where the signer left off.
    settings.write_text(before)
    install(net)
    shutil.move(tmp_path / "key.json", files.key)
    shutil.move(tmp_path / "state.json", files.sign_state)
    net.start(MOVED)
    eventually("it votes by its file", lambda: signs(net, who))


def install(net: WiredNetwork) -> None:
    """CometBFT's configuration again, from the node's settings."""
    genesis, draft = str(net.root / "genesis.json"), str(net.root / "draft.json")
    net.dta(["genesis", "install", genesis, "--peers", draft], home=net.home(MOVED))
    net.wire(MOVED)
