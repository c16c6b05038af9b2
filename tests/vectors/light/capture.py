"""Captures test vectors of the light client from a real CometBFT chain of its built-in key-value store, on loopback.

Four validators with power 1, then one of them stopped (absent signatures), then the power of one changed (another
validator set). Run by hand, when the vectors should cover another version; only chain data is kept::

    .venv/bin/python tests/vectors/light/capture.py PATH/TO/cometbft OUT.json
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

NODES = 4
BASE_PORT = 36600


def rpc(node: int, method: str, **params: Any) -> Any:
    url = f"http://127.0.0.1:{BASE_PORT + 10 * node + 1}"
    answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, timeout=10).json()
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def start(binary: str, root: Path, node: int, peers: str) -> subprocess.Popen[bytes]:
    arguments = [
        binary, "start", "--home", str(root / f"node{node}"), "--proxy_app", "kvstore",
        "--rpc.laddr", f"tcp://127.0.0.1:{BASE_PORT + 10 * node + 1}",
        "--p2p.laddr", f"tcp://127.0.0.1:{BASE_PORT + 10 * node}", "--p2p.persistent_peers", peers,
    ]  # fmt: skip
    log = (root / f"node{node}.log").open("wb")
    return subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)


def height_of(node: int) -> int:
    try:
        return int(rpc(node, "status")["sync_info"]["latest_block_height"])
    except (httpx.HTTPError, RuntimeError):
        return 0


def wait_for(node: int, height: int) -> None:
    for _ in range(600):
        if height_of(node) >= height:
            return
        time.sleep(0.2)
    raise RuntimeError(f"node {node} did not reach height {height}")


def drive(binary: str, root: Path) -> None:
    """Runs the chain's story and collects it while node 0 still answers."""
    ids = [
        subprocess.run([binary, "show-node-id", "--home", str(root / f"node{node}")], capture_output=True, check=True)
        .stdout.decode()
        .strip()
        for node in range(NODES)
    ]
    peers = ",".join(f"{id_}@127.0.0.1:{BASE_PORT + 10 * node}" for node, id_ in enumerate(ids))
    processes = [start(binary, root, node, peers) for node in range(NODES)]
    try:
        wait_for(0, 3)
        for text in ("a=1", "b=2", "c=3"):
            rpc(0, "broadcast_tx_sync", tx=to_base64(text))
        wait_for(0, height_of(0) + 2)
        processes[3].terminate()
        processes[3].wait()
        wait_for(0, height_of(0) + 3)
        changed = rpc(0, "validators")["validators"][0]["pub_key"]["value"]
        result = rpc(0, "broadcast_tx_sync", tx=to_base64(f"val=ed25519!{changed}!3"))
        if result["code"] != 0:
            raise RuntimeError(result)
        last = height_of(0) + 6
        wait_for(0, last + 1)
        collect(last)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def to_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


captured: dict[str, Any] = {}


def collect(last: int) -> None:
    captured["genesis"] = rpc(0, "genesis")["genesis"]
    captured["status"] = rpc(0, "status")
    captured["status"].pop("node_info")
    for height in range(1, last + 1):
        at = str(height)
        block = rpc(0, "block", height=at)
        captured.setdefault("heights", {})[at] = {
            "commit": rpc(0, "commit", height=at),
            "validators": rpc(0, "validators", height=at, per_page="100"),
            "block": block,
            "block_results": rpc(0, "block_results", height=at),
            "txs": [rpc(0, "tx", hash=tx_hash_base64(tx), prove=True) for tx in block["block"]["data"]["txs"]],
        }


def tx_hash_base64(tx: str) -> str:
    return base64.b64encode(sha256(base64.b64decode(tx)).digest()).decode()


def main() -> None:
    binary, out = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        subprocess.run([binary, "testnet", "--v", str(NODES), "--o", directory], check=True, capture_output=True)
        drive(binary, root)
    out.write_text(json.dumps(captured, indent=1, sort_keys=True) + "\n")


main()
