"""Blocks that are gone, damaged or served wrong: another node has them, and nothing wrong is ever believed."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from abci_app.cid import cid_of
from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import order_record, same_app_hash, status, wait_until, wait_until_fulfilled

pytestmark = pytest.mark.localnet
VICTIM = 1
LIAR = 0


def blocks_of(net: Network, node: int) -> dict[str, Path]:
    """CID -> file, of the node's block store."""
    return {path.name: path for path in (net.home(node) / "blocks" / "blocks").rglob("*") if path.is_file()}


def envelope_of(net: Network, order: str) -> str:
    return str(order_record(net, order).envelope_cid)


def order_of_all(net: Network, people: People, secret: bytes, *options: str) -> str:
    order = people.place_file(secret, *options)
    wait_until_fulfilled(net, order)
    return order


@pytest.mark.parametrize("damage", ["missing", "corrupted"])
def test_a_block_that_the_disk_lost_or_changed_comes_from_a_peer(net: Network, people: People, damage: str) -> None:
    secret = secrets.token_bytes(64)
    # Four of four: the one with the damaged block must answer, too.
    order = order_of_all(net, people, secret, "--threshold", str(net.plan.validators))
    cid = envelope_of(net, order)
    path = blocks_of(net, VICTIM)[cid]
    if damage == "missing":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    assert cid_of(path.read_bytes()) == cid
    same_app_hash(net)


def test_blocks_that_a_peer_serves_wrong_are_refused_and_the_peer_is_named(net: Network, people: People) -> None:
    secret = secrets.token_bytes(64)
    order = order_of_all(net, people, secret)
    net.stop(LIAR)
    try:
        with lying_gateway(net.gateway_port(LIAR)):

            def lose_and_look() -> Any:
                for path in blocks_of(net, VICTIM).values():
                    path.unlink()
                return status(net, VICTIM)["agent"]["peers_at_fault"]

            request = people.by("bob", "order", "request", order)["request"]
            faults = wait_until("the liar to be named", lose_and_look)
            assert people.receive_file(request) == secret
        assert [fault["gateway"] for fault in faults] == [f"http://127.0.0.1:{net.gateway_port(LIAR)}"]
        wait_until("the blocks to be back", lambda: envelope_of(net, order) in blocks_of(net, VICTIM), 60.0)
        for cid, path in blocks_of(net, VICTIM).items():
            assert cid_of(path.read_bytes()) == cid
    finally:
        net.start(LIAR)
        wait_until("the liar's node to be healthy", lambda: status(net, LIAR)["healthy"])
    same_app_hash(net)


class _Liar(BaseHTTPRequestHandler):
    """Answers every block with other bytes, and takes every upload."""

    def do_GET(self) -> None:
        self._answer(b"not what you asked for")

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.ipld.raw")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def lying_gateway(port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Liar)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
