"""A chain as a node has it, replayed elsewhere: what the state machine makes of the blocks that were decided.

Nothing of the node's own state is used: genesis from its file, blocks over RPC, and the app hashes to compare with from
the headers (the one of height H stands in the header of H + 1).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from abci_app.block import Block
from dta.client.genesis import genesis_file
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import Network
from tests.sim.replay import block_to_json, genesis_to_json

ROOT = Path(__file__).resolve().parents[2]


def record(net: Network, node: int, up_to: int, path: Path) -> list[str]:
    """Write the blocks up to height ``up_to`` for :func:`replayed`; the app hashes of the headers, first to last."""
    genesis = genesis_file.read((net.root / "genesis.json").read_bytes()).genesis
    blocks, app_hashes = [], []
    with Rpc(net.rpc_url(node)) as rpc:
        for height in range(1, up_to + 1):
            found = rpc.call(requests.block(height))
            blocks.append(block_to_json(Block(height, found.header.time, found.txs)))
            app_hashes.append(rpc.call(requests.commit(height + 1)).header.app_hash.hex())
    start = {"dealt": False, "genesis": genesis_to_json(genesis), "blocks": []}
    run = {"seed": 0, "variant": 0, "blocks": blocks}
    path.write_text(json.dumps({"starts": {"0": start}, "runs": [run]}))
    return app_hashes


def replayed(path: Path, python: str, hash_seed: int) -> list[str]:
    """The app hashes that a process of its own comes to, by height."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    command = [python, "-m", "tests.sim.replay", "--blocks", str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split()[1] for line in done.stdout.splitlines()[1:]]
