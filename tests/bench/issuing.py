"""Part ``issue``: client secrets issued end to end by four real nodes, one a transaction and a hundred."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from abci_app.pb.dta.v1 import mfa_pb2
from dta.client.custody import session as sdk
from dta.client.mfa import enrolling, tickets
from dta.client.mfa.issued import NotIssued
from dta.client.mfa.tickets import Ticket
from dta.localnet.demo import Demo
from tests.bench.live import POLL_S, BlockWatch, acting, localnet, send_all

COMPLETED = ("extraction", "completed")


def run(
    comet_binary: str, port_base: int, say: Callable[[str], None], *, singles: int = 40, batches: int = 3,
    batch: int = 100, opened: int = 7,
) -> dict[str, Any]:  # fmt: skip
    """A realm by vote, its key by ceremony; then some requests by turns, ``singles`` of one, ``batches`` of many."""
    with localnet(comet_binary, port_base) as demo:
        demo.enrol("alice")
        realm = _make_realm(demo)
        say("the realm has its key")
        figures: dict[str, Any] = {"validators": 4, "hsm": demo.net.plan.hsm, "singles": singles, "batch": batch}
        with acting(demo.net.client_home("alice")) as session, BlockWatch(demo.net.rpc_url(0)) as watch:
            issuer = _Issuer(session, watch, demo.net.rpc_url(0), realm)
            figures["latency"] = issuer.one_by_one(opened)
            figures["single_per_s"] = issuer.rate([1] * singles)
            figures["batch_per_s"] = issuer.rate([batch] * batches)
        say(
            f"{figures['single_per_s']:.1f} secrets a second singly, {figures['batch_per_s']:.1f} in batches; "
            f"{figures['latency']['seconds']:.2f} s from the request to the opened secret"
        )
        return figures


def _make_realm(demo: Demo) -> bytes:
    """Proposed by one fiduciary, decided by three, consented to by all. Its id, once the key is in force."""
    net = demo.net
    create = ["mfa", "realm", "create", "--name", "web", "--registrar", demo.identities["alice"], "--no-permits"]
    made = net.dta_json(create, home=net.home(0))
    for node in (1, 2):
        net.dta_json(["governance", "vote", made["proposal"]], home=net.home(node))
    for node in net.nodes():
        net.dta_json(["authority", "accept", made["authority"], "--yes"], home=net.home(node))
    deadline = time.monotonic() + 180
    while True:
        shown = net.dta_json(["authority", "show", made["authority"]], home=net.home(0))
        if shown["status"] == "active" and not shown["ceremony"]:
            return bytes.fromhex(made["realm"])
        if time.monotonic() > deadline:
            raise RuntimeError(f"the realm's key is not made after 180 s: {shown['status']}, {shown['last']}")
        time.sleep(1.0)


class _Issuer:
    """The registrar, and all the clients."""

    def __init__(self, session: sdk.Session, watch: BlockWatch, url: str, realm: bytes) -> None:
        self._session, self._watch, self._url, self._realm = session, watch, url, realm
        self._names = iter(range(1 << 30))

    def one_by_one(self, count: int) -> dict[str, float]:
        """Medians from handing the request over to the opened secret, each alone on the chain."""
        seconds, blocks = [], []
        for _ in range(count):
            known = self._completed()
            (ticket,) = self._tickets(1)
            sent_s = send_all(self._url, [self._tx([ticket])])
            (request,) = self._wait_for_more(known, 1)
            self._open(ticket)
            seconds.append(time.monotonic() - sent_s)
            heights = [mark.height for (_, id_, _), mark in list(self._watch.marks.items()) if id_ == request]
            blocks.append(max(heights) - min(heights))
        return {"seconds": median(seconds), "blocks_to_completed": median(blocks), "max_s": max(seconds)}

    def rate(self, sizes: Sequence[int]) -> float:
        """Secrets a second: requests of these sizes sent at once, until the ledger has enough answers to all of them.

        The last client's secret is opened then, to see that it is one.
        """
        groups = [self._tickets(size) for size in sizes]
        txs = [self._tx(group) for group in groups]
        known = self._completed()
        sent_s = send_all(self._url, txs)
        self._wait_for_more(known, len(sizes))
        elapsed_s = time.monotonic() - sent_s
        self._open(groups[-1][-1])
        return sum(sizes) / elapsed_s

    def _tickets(self, count: int) -> list[Ticket]:
        gid = self._session.gid
        return [tickets.make(gid, self._realm, f"client-{next(self._names)}@example.org") for _ in range(count)]

    def _tx(self, group: Sequence[Ticket]) -> bytes:
        clients = [ticket.enrolment.message for ticket in group]
        message = mfa_pb2.EnrolClients(realm=self._realm, clients=clients)
        return self._session.ledger.build(self._session.party.signer, message).tx

    def _completed(self) -> list[str]:
        found = list(self._watch.marks)
        return [id_ for kind, id_, action in found if (kind, action) == COMPLETED]

    def _wait_for_more(self, known: list[str], count: int) -> list[str]:
        self._watch.wait(
            f"{count} requests answered", lambda: len(self._completed()) >= len(known) + count, timeout_s=300.0
        )
        return [id_ for id_ in self._completed() if id_ not in known]

    def _open(self, ticket: Ticket, timeout_s: float = 60.0) -> None:
        """As a client does: read by proof, which is a block behind, put together, opened."""
        ledger = self._session.ledger
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                ledger.rpc.run(enrolling.open_secret(ledger.flows, ticket))
                return
            except NotIssued:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
