"""`dta serve` and receivers of its webhooks, by TLS: one that hangs holds up nothing, another's name gets nothing."""

from __future__ import annotations

import hmac
import json
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.cli.agent_process import WAIT_S, agent_of, said, token_of
from tests.cli.order_world import ServedWorld, served_world
from tests.support.certificates import Authority

NAME = "localhost"
ADDRESSES = ("127.0.0.1", "::1")
SECRET = b"a" * 32


@dataclass(frozen=True)
class Posted:
    """What came to a receiver, and whether it took it."""

    path: str
    headers: Message
    body: bytes
    is_taken: bool

    @property
    def is_signed(self) -> bool:
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        made = b64encode(hmac.digest(SECRET, signed, "sha256")).decode()
        return bool(self.headers["webhook-signature"] == f"v1,{made}")


@dataclass
class Receiver:
    """Somebody's server. Until ``takes`` is set it answers nothing, and hangs up on whom it kept waiting then.

    ``shaken_off``: who began a TLS handshake and did not go on.
    """

    takes: threading.Event = field(default_factory=threading.Event)
    posted: list[Posted] = field(default_factory=list)
    shaken_off: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    @property
    def ids(self) -> list[str]:
        return [str(one.headers["webhook-id"]) for one in self.posted]

    def has(self, holds: Callable[[], bool]) -> bool:
        """Whether it comes to that."""
        with self.changed:
            return self.changed.wait_for(holds, WAIT_S)

    def note(self, posted: Posted | None) -> None:
        with self.changed:
            if posted is None:
                self.shaken_off += 1
            else:
                self.posted.append(posted)
            self.changed.notify_all()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        try:
            self.request.do_handshake()
        except OSError:
            self.server.receiver.note(None)
            raise

    def do_POST(self) -> None:
        receiver = self.server.receiver
        is_taken = receiver.takes.is_set()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.note(Posted(self.path, self.headers, body, is_taken))
        if is_taken:
            self.send_response(204)
            self.end_headers()
        else:
            receiver.takes.wait(WAIT_S)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def __init__(self, address: str, port: int, receiver: Receiver, tls: ssl.SSLContext) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.receiver = receiver
        super().__init__((address, port), _Handler)
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing."""


@contextmanager
def receiving(directory: Path, authority: Authority, *names: str) -> Iterator[Receiver]:
    """A receiver with a certificate of these names, at every address that the name of all may lead to here."""
    certificate, key = directory / f"{names[0]}.pem", directory / f"{names[0]}.key"
    authority.write(certificate, key, names)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    receiver = Receiver()
    with ExitStack() as running:
        found = socket.getaddrinfo(NAME, None, type=socket.SOCK_STREAM)
        for address in dict.fromkeys(str(one[4][0]) for one in found):
            server = running.enter_context(_Server(address, receiver.port, receiver, tls))
            receiver.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            running.callback(thread.join)
            running.callback(server.shutdown)
        running.callback(receiver.takes.set)
        yield receiver


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def configure(home: Path, authority: Authority, **receivers: Receiver) -> None:
    """A webhook for each, to the same name."""
    (home / "hook").write_text("whsec_" + b64encode(SECRET).decode())
    (home / "hook").chmod(0o600)
    tables = [
        f'[[webhooks]]\nname = "{called}"\nurl = "https://{NAME}:{receiver.port}/in?x=1"\nidentity = "alice"\n'
        f'secret_files = ["hook"]\nallow = {json.dumps(ADDRESSES)}\nca_file = "{authority.file}"\n'
        for called, receiver in receivers.items()
    ]
    (home / "serve.toml").write_text("\n".join(tables))


def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes to that."""
    ends_s = time.monotonic() + WAIT_S
    while not holds() and time.monotonic() < ends_s:
        time.sleep(0.02)
    return holds()


def place(client: httpx.Client) -> str:
    """An order of alice's for herself: its reference."""
    return str(said(client.post("/v1/order", json={}))["orderReference"])


def test_a_receiver_that_hangs_holds_up_no_call_and_is_told_again_later_and_after_a_restart(
    world: ServedWorld, tmp_path: Path
) -> None:
    home, authority = world.directory / "alice", Authority(tmp_path / "tls", "ours")
    token = token_of(home)
    with receiving(tmp_path / "tls", authority, NAME) as receiver:
        configure(home, authority, ci=receiver)
        with agent_of(home) as agent, agent.client(token) as client:
            assert until((home / "serve" / "webhooks" / "ci.json").exists)  # events count from the first look on
            vault = said(client.post("/v1/vault", json={}))["vault"]
            assert receiver.has(lambda: bool(receiver.posted))
            order = place(client)
            for path in ("/v1/status", "/v1/inbox", "/v1/order", f"/v1/order/{order}", "/v1/identity/bob"):
                said(client.get(path))
            assert len(set(receiver.ids)) == 1  # it was held up all the while, and with it what comes after it
            receiver.takes.set()
            assert receiver.has(lambda: len(set(receiver.ids)) > 1)
            receiver.takes.clear()
            place(client)
            assert receiver.has(lambda: not receiver.posted[-1].is_taken)
            assert agent.stop() == 0
        stopped = len(receiver.posted)
        receiver.takes.set()
        with agent_of(home):
            assert receiver.has(lambda: len(receiver.posted) > stopped)
    first = json.loads(receiver.posted[0].body)
    assert (first["type"], first["data"]["subject"]) == ("concern.vault", vault)
    assert receiver.ids[1] == receiver.ids[0]
    assert receiver.ids[stopped] == receiver.ids[stopped - 1]
    for number, one in enumerate(receiver.posted):
        assert one.headers["DTA-Repeat"] == ("true" if receiver.ids[number] in receiver.ids[:number] else None), number
        assert (one.is_signed, one.path, one.headers["Host"]) == (True, "/in?x=1", f"{NAME}:{receiver.port}")
    assert len(set(receiver.ids)) == len({one.body for one in receiver.posted})


def test_a_receiver_whose_certificate_is_of_another_name_is_sent_nothing(world: ServedWorld, tmp_path: Path) -> None:
    """The connection goes to an address, which stands in that certificate: what counts is the name that was meant."""
    home, authority = world.directory / "alice", Authority(tmp_path / "tls", "ours")
    with receiving(tmp_path / "tls", authority, NAME) as meant:  # noqa: SIM117
        with receiving(tmp_path / "tls", authority, "other.example", *ADDRESSES) as another:
            meant.takes.set()
            another.takes.set()
            configure(home, authority, meant=meant, another=another)
            with agent_of(home) as agent, agent.client(token_of(home)) as client:
                for called in ("meant", "another"):
                    assert until((home / "serve" / "webhooks" / f"{called}.json").exists)
                place(client)
                assert meant.has(lambda: bool(meant.posted))
                assert another.has(lambda: another.shaken_off > 0)
            assert (meant.shaken_off, another.posted) == (0, [])
            assert "the webhook another took no event: ConnectError" in agent.log.read_text()
