"""The ledger of tests/unit/order_flow.py behind real HTTP, with homes: commands run as a person runs them.

A block is made whenever the node is asked for its status, at the time of this machine's clock.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from abci_app.genesis import parse_app_state
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.home import Home
from dta.client.custody import session as sdk_session
from dta.client.genesis import genesis_file, trusting
from dta.client.identity.create import KeystorePlan, create_profile
from dta.client.identity.document import Description
from dta.client.identity.keyring import Keyring
from dta.client.identity.keys import place
from tests.support import light_chain, order_flow
from tests.support.authority import CUSTODY
from tests.support.certificates import Authority
from tests.support.chain import GENESIS_TIME_S
from tests.support.order_flow import Gateways, LiveChain, LiveNode


class WallChain(LiveChain):
    """Its blocks bear this machine's time."""

    def make_block(self) -> tuple[Any, ...]:
        self._now_s = int(time.time())
        light_chain.START_S = self._now_s - 5 * (self.height + 1)
        return super().make_block()

    def seconds_passed(self) -> int:
        # What the agents do before the block they do at the time of the one before, as a node's do.
        return self._now_s - self.replica.time_s


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Served

    def do_POST(self) -> None:
        self._pass_on(self.server.world.rpc)

    def do_GET(self) -> None:
        searched = self.path.startswith("/v1/search")
        self._pass_on(self.server.world.rpc if searched else self.server.world.gateway)

    def do_PUT(self) -> None:
        self._pass_on(self.server.world.gateway)

    def _pass_on(self, answer: Any) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = httpx.Request(
            self.command, f"http://{self.headers['Host']}{self.path}", headers=dict(self.headers), content=body
        )
        response = answer(request)
        content = response.read()
        self.send_response(response.status_code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Served(ThreadingHTTPServer):
    request_queue_size = 128  # by default five wait, and one more is cut where the machine is busy
    daemon_threads = True
    world: ServedWorld


class ServedWorld:
    """A node and its fiduciaries' gateways, listening on loopback; and people's homes under ``directory``."""

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        """``authority``: it speaks TLS by a certificate of this authority's, and homes ask it as a door."""
        self.directory = directory
        self.authority = authority
        self.lock = threading.Lock()
        self.server = Served(("127.0.0.1", 0), _Handler)
        self.server.world = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        if authority is not None:
            self.url = self.url.replace("http:", "https:")
            self.server.socket = _tls(authority, directory).wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        order_flow.gateway_url = lambda number: f"{self.url}/gateway-{number}"
        self.chain = WallChain()
        self.node = LiveNode(self.chain)
        self.gateways: Gateways = self.chain.gateways
        self.people: dict[str, bytes] = {}
        state = parse_app_state(self.chain.replica.genesis.app_state)
        self.genesis = genesis_file.write(self.chain.chain_id, GENESIS_TIME_S, state)
        assert self.genesis.gid == self.chain.replica.gid
        for _ in range(2):
            self.chain.make_block()

    def rpc(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            if b'"status"' in request.content:
                self.chain.make_block()
            return self.node.handle(request)

    def gateway(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            return self.gateways.answer(request)

    def enrol(self, name: str) -> None:
        """A home with an identity on the ledger. Its passphrase is in a file."""
        home = Home(self.directory / name)
        ca = self.authority.file.read_bytes() if self.authority else None
        trusting.init_client(home, self.genesis, [self.url], int(time.time()), ca)
        pin = home.path / "pin"
        pin.write_text("a passphrase\n")
        pin.chmod(0o600)
        keystores = [
            place("software", path=home.path / f"{role}.keys", module=None, token_label="", pin_file=pin)
            for role in ("operator", "next")
        ]
        with Keyring() as ring:
            profile, block = create_profile(
                home, ring, name, KeystorePlan(*keystores), Description(name, ("principal", "beneficiary")),
                gid=self.genesis.gid, time_s=int(time.time()), scrypt_log2_n=15,
            )  # fmt: skip
        message = tx_pb2.RegisterIdentity(envelope=block)
        assert self.chain.run(self.chain.replica.founders[0], message).code == 0
        self.people[name] = profile.identity


def _tls(authority: Authority, directory: Path) -> ssl.SSLContext:
    certificate, key = directory / "door.pem", directory / "door.key"
    authority.write(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def served_world(directory: Path, authority: Authority | None = None) -> Iterator[ServedWorld]:
    """A world in which alice, bob and carol are enrolled and know each other."""
    start_s, poll_s, url = light_chain.START_S, sdk_session.POLL_S, order_flow.gateway_url
    sdk_session.POLL_S = 0.01
    world = ServedWorld(directory, authority)
    thread = threading.Thread(target=world.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        for name in ("alice", "bob", "carol"):
            world.enrol(name)
        contacts = "".join(f'{name} = "{id_.hex()}"\n' for name, id_ in world.people.items())
        for name in world.people:
            (directory / name / "contacts.toml").write_text(contacts)
        yield world
    finally:
        world.server.shutdown()
        world.server.server_close()
        thread.join()
        light_chain.START_S, sdk_session.POLL_S, order_flow.gateway_url = start_s, poll_s, url


@contextmanager
def world_with_key(directory: Path) -> Iterator[ServedWorld]:
    """The same, with a custody key called safe in force."""
    with served_world(directory) as made:
        with made.lock:
            made.chain.deal(CUSTODY, name="safe")
            for _ in range(2):
                made.chain.make_block()
        yield made
