"""A node as ``dta status`` sees one that is healthy: its home's files, its process, CometBFT's answer about itself.

:func:`pretended` runs it as a process of its own, whose command line names dta as a supervisor's does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from dta.base.config import NodeConfig, load_node_config, write_node_config
from dta.base.keystore_config import KeystoreConfig
from dta.node.running import locked

NODE_KEY = bytes(range(64))
NODE_ID = sha256(NODE_KEY[32:]).digest()[:20].hex()
AGENT = {
    "keystore": {"open": True, "trouble": ""}, "hooks": {"trouble": "", "late": 0, "hung": False}, "trouble": {},
    "gateway": "127.0.0.1:1",
}  # fmt: skip


def stopped(home: Path, rpc_url: str = "http://127.0.0.1:1") -> NodeConfig:
    """The home of a node that is on a ledger and does not run."""
    keystore = KeystoreConfig("software", path=home / "keys")
    config = NodeConfig(home, "chain", bytes(32), keystore, rpc_url, ("127.0.0.1", 1))
    write_node_config(config)
    return config


def write_node_key(config: NodeConfig) -> None:
    """The key of CometBFT's whose node id is NODE_ID."""
    path = config.comet_home / "config/node_key.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"priv_key": {"value": b64encode(NODE_KEY).decode()}}))


@contextmanager
def pretended(home: Path) -> Iterator[NodeConfig]:
    """The same, while it runs."""
    command = [sys.executable, "-m", "tests.support.pretended_dta_node"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        config = stopped(home, f"http://127.0.0.1:{int(process.stdout.readline())}")
        config.run_dir.mkdir()
        write_node_key(config)
        assert process.stdin is not None
        process.stdin.write(f"{home}\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        children = {"agent": {"pid": child}, "cometbft": {"pid": child}}
        (config.run_dir / "supervisor.json").write_text(json.dumps(children))
        config.status_file.write_text(json.dumps(AGENT | {"pid": child}))
        later_s = time.time() + 86_400  # the agent would write it every few seconds: it must not grow old
        os.utime(config.status_file, (later_s, later_s))
        try:
            yield config
        finally:
            process.terminate()


class _Rpc(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": _status()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _status() -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    key = {"type": "tendermint/PubKeyEd25519", "value": "AA=="}
    return {
        "node_info": {"id": NODE_ID, "network": "chain", "version": "0.38.0", "moniker": "alpha"},
        "sync_info": {
            "latest_block_hash": "AA" * 32, "latest_app_hash": "AA" * 32, "latest_block_height": "7",
            "latest_block_time": now, "earliest_block_height": "1", "catching_up": False,
        },
        "validator_info": {"address": "AA" * 20, "pub_key": key, "voting_power": "1"},
    }  # fmt: skip


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # its child goes with it
    server = HTTPServer(("127.0.0.1", 0), _Rpc)
    print(server.server_port, flush=True)
    home = Path(sys.stdin.readline().strip())
    with locked(load_node_config(home)), subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        print(child.pid, flush=True)
        try:
            server.serve_forever()
        finally:
            child.kill()
