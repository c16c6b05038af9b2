"""A node as ``dta status`` sees one that is healthy: its home's files, its process, CometBFT's answer about itself.

:func:`pretended` runs it as a process of its own, whose command line names dta as a supervisor's does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from dta.base.config import NodeConfig, write_node_config
from dta.base.keystore_config import KeystoreConfig

AGENT_PID = 1
AGENT = {
    "keystore": {"open": True, "trouble": ""}, "hooks": {"trouble": "", "late": 0, "hung": False}, "trouble": {},
    "gateway": "127.0.0.1:1", "pid": AGENT_PID,
}  # fmt: skip


def stopped(home: Path, rpc_url: str = "http://127.0.0.1:1") -> NodeConfig:
    """The home of a node that is on a ledger and does not run."""
    keystore = KeystoreConfig("software", path=home / "keys")
    config = NodeConfig(home, "chain", bytes(32), keystore, rpc_url, ("127.0.0.1", 1))
    write_node_config(config)
    return config


@contextmanager
def pretended(home: Path) -> Iterator[NodeConfig]:
    """The same, while it runs."""
    command = [sys.executable, "-m", "tests.support.pretended_dta_node"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        config = stopped(home, f"http://127.0.0.1:{int(process.stdout.readline())}")
        config.run_dir.mkdir()
        (config.run_dir / "node.pid").write_text(str(process.pid))
        children = {"agent": {"pid": AGENT_PID}, "cometbft": {"pid": AGENT_PID}}
        (config.run_dir / "supervisor.json").write_text(json.dumps(children))
        config.status_file.write_text(json.dumps(AGENT))
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
        "node_info": {"id": "ab" * 20, "network": "chain", "version": "0.38.0", "moniker": "alpha"},
        "sync_info": {
            "latest_block_hash": "AA" * 32, "latest_app_hash": "AA" * 32, "latest_block_height": "7",
            "latest_block_time": now, "earliest_block_height": "1", "catching_up": False,
        },
        "validator_info": {"address": "AA" * 20, "pub_key": key, "voting_power": "1"},
    }  # fmt: skip


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), _Rpc)
    print(server.server_port, flush=True)
    server.serve_forever()
