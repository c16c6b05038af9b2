"""Inboxes by a real door; and by one that leaves something out of them: refused as not whole, for every role."""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from abci_app.state.records import CONCERNS, COUNTERS, ORDERS, REQUESTS
from dta.base.errors import EXIT_NOT_VERIFIED
from dta.base.home import Home
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.rpc import Rpc
from dta.light.trust import TrustFile
from dta.localnet.network import Network
from tests.localnet.conftest import People

pytestmark = pytest.mark.localnet

HONEST = 1


@dataclass(frozen=True)
class Named:
    """An order of alice's for which bob has asked, another for which he has not; paula is a party, vera may veto."""

    asked: str
    unasked: str
    request: str


class _Liar(BaseHTTPRequestHandler):
    """Passes on what the door behind it says, but for one leaf: there is none, it says, with the proof of what is."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LyingDoor

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        said = self.server.behind.post(self.path, content=body, headers={"Content-Type": "application/json"})
        answer = said.json()
        call = json.loads(body)
        if call["method"] == "abci_query" and call["params"]["data"].lower() == self.server.hidden.hex():
            answer["result"]["response"]["value"] = None
            self.server.told += 1
        content = json.dumps(answer).encode()
        self.send_response(said.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


class LyingDoor(ThreadingHTTPServer):
    daemon_threads = True
    told = 0

    def __init__(self, behind: str, hidden: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Liar)
        # One for all calls: each new one would read the machine's certificates first.
        self.behind, self.hidden = httpx.Client(base_url=behind, timeout=60, trust_env=False), hidden

    def server_close(self) -> None:
        super().server_close()
        self.behind.close()


@contextmanager
def leaving_out(net: Network, hidden: bytes) -> Iterator[LyingDoor]:
    server = LyingDoor(net.door_url(HONEST), hidden)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def named(people: People) -> Named:
    for name in ("paula", "vera"):
        people.enrol(name)
    for name in ("bob", "paula", "vera"):
        people.by(name, "contacts", "add", "alice", people.identities["alice"])
    agree = f"2of:{people.identities['bob']},{people.identities['paula']}"
    terms = ("--policy", agree, "--veto-window", "300", "--vetoer", people.identities["vera"])
    asked, unasked = (people.place_file(secrets.token_bytes(32), *terms) for _ in range(2))
    return Named(asked, unasked, people.by("bob", "order", "request", asked)["request"])


def entry_of(net: Network, people: People, who: str, order: str) -> bytes:
    """The leaf by which this order concerns them."""
    with Rpc(net.rpc_url(HONEST)) as rpc:
        ledger = Ledger(rpc, TrustFile.load(Home(net.client_home(who)).trust_file))
        identity = bytes.fromhex(people.identities[who])
        [number] = [
            entry.number for entry in ledger.concerns(identity).entries if entry.subject == bytes.fromhex(order)
        ]
    return CONCERNS.key(identity, number)


def test_each_finds_in_the_inbox_what_waits_and_no_door_can_leave_any_of_it_out(
    net: Network, people: People, named: Named
) -> None:
    """A home that asks one door alone, through which each leaf of what waits is hidden in its turn."""
    request = REQUESTS.key(bytes.fromhex(named.request))
    for who, action, order, subject, leaf in (
        ("bob", "request", named.unasked, named.unasked, ORDERS.key(bytes.fromhex(named.unasked))),
        ("paula", "approve", named.asked, named.request, request),
        ("vera", "veto", named.asked, named.request, request),
    ):
        assert people.waiting(who, action, order) == subject
        count = COUNTERS.key(bytes.fromhex(people.identities[who]))
        for hidden in (count, entry_of(net, people, who, order), leaf):
            with leaving_out(net, hidden) as liar:
                said = inbox_by(net, who, liar)
            assert (said["kind"], said["data"]["step"], said["data"]["key"]) == ("not-verified", "proof", hidden.hex())
            assert liar.told, "it was never asked"


def inbox_by(net: Network, who: str, door: LyingDoor) -> Any:
    """What ``dta inbox`` says in a copy of their home that has not read any of it yet, and asks this door alone."""
    home = Home(net.root / "clients" / f"{who}-{secrets.token_hex(4)}")
    shutil.copytree(net.client_home(who), home.path, ignore=shutil.ignore_patterns("inbox"))
    try:
        home.save_client(replace(home.load_client(), nodes=(f"http://127.0.0.1:{door.server_port}",), rpc_urls=()))
        done = net.dta(["--json", "inbox"], home=home.path, accept=(EXIT_NOT_VERIFIED,))
        return json.loads(done.stdout)["error"]
    finally:
        shutil.rmtree(home.path)


def test_a_veto_happens_because_the_inbox_shows_the_request(people: People, named: Named) -> None:
    people.by("paula", "order", "approve", people.waiting("paula", "approve", named.asked))
    vetoed = people.by("vera", "order", "veto", people.waiting("vera", "veto", named.asked))
    assert (vetoed["request"], vetoed["status"]) == (named.request, "vetoed")
    for who in ("paula", "vera"):
        assert named.request not in [item["subject"] for item in people.by(who, "inbox")["items"]]
