"""Part ``secrets``: client secrets and time permits issued by whole nodes, and their cost beside bare cryptography."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from statistics import median
from typing import Any

from google.protobuf.message import Message

from abci_app.mfa import issuing, points
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import AUTHORITIES, EPOCHS, REALMS
from dta.client.custody import session as sdk
from dta.client.ledger import leaves
from dta.client.mfa import enrolling, permits, tickets
from dta.client.mfa.realms import view_flow
from dta.client.mfa.tickets import Ticket
from dta.localnet.actors import Demo
from tests.bench import bare_costs
from tests.bench.live import Processes, acting, localnet, rpc_urls, shares
from tests.bench.sustained import Flight, Load, Run, Words, steady, sustain

ANSWERED = Words("extraction", "opened", "completed")
EXPIRY_BLOCKS = 900
REALM_TIMEOUT_S = 180.0
Json = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``singles`` secrets, one a request, so many requests under way; then ``batches`` of ``batch``.

    ``opened``: secrets asked for and opened one by one, before. Time permits are for all clients of these: 10,000.
    """

    singles: int = 1_493
    singles_under_way: int = 128
    batches: int = 85
    batch: int = 100
    batches_under_way: int = 8
    opened: int = 7
    warm_up_s: float = 3.0
    bare_rounds: int = 300


SUITE = mfa_pb2.MFA_SUITE_RFC9380
QUICK = Plan(
    singles=8, singles_under_way=2, batches=4, batch=3, batches_under_way=1, opened=1, warm_up_s=0.0, bare_rounds=3
)  # fmt: skip


def run(comet_binary: str, port_base: int, say: Say, plan: Plan) -> Json:
    """A realm by vote, its key by ceremony; then secrets singly, in batches, and a day's permits."""
    with localnet(comet_binary, port_base) as demo:
        demo.enrol("alice")
        realm = _make_realm(demo)
        say("the realm has its key")
        figures: Json = {"validators": demo.net.plan.validators, "hsm": demo.net.plan.hsm, **asdict(plan)}
        with acting(demo.net.client_home("alice")) as session:
            issuer = _Issuer(demo, session, realm, plan.warm_up_s)
            figures["threshold"] = issuer.threshold
            figures["latency"] = issuer.one_by_one(plan.opened)
            costs = [bare_costs.measure("issuing", plan.bare_rounds)]
            figures["single"] = issuer.secrets([1] * plan.singles, plan.singles_under_way)
            say(f"{figures['single']['per_s']:.1f} secrets a second singly")
            figures["batched"] = issuer.secrets([plan.batch] * plan.batches, plan.batches_under_way)
            say(f"{figures['batched']['per_s']:.1f} secrets a second in batches of {plan.batch}")
            costs.append(bare_costs.measure("issuing", plan.bare_rounds))
            figures["permits"] = issuer.permits(plan.batch)
            say(f"permits for {figures['permits']['ended']} clients in {figures['permits']['all_s']:.1f} s")
            costs.append(bare_costs.measure("issuing", plan.bare_rounds))
        _add_bare(figures, bare_costs.medians(costs), plan.batch)
        return figures


def _add_bare(figures: Json, costs: bare_costs.Costs, batch: int) -> None:
    """The bare cost of an item of each kind, and how many times as much was spent."""
    of = (figures["validators"], figures["threshold"])
    figures["operations_ms"] = costs
    for name, bare_ms in (
        ("single", bare_costs.secret_ms(costs, *of, 1)),
        ("batched", bare_costs.secret_ms(costs, *of, batch)),
        ("permits", bare_costs.permit_ms(costs, *of, batch)),
    ):
        figures[name] |= {"bare_ms": bare_ms, "ratio": figures[name]["item_ms"] / bare_ms}


def _make_realm(demo: Demo) -> bytes:
    """Proposed by one fiduciary, decided by three, consented to by all. Its id, once the key is in force."""
    net = demo.net
    create = ["mfa", "realm", "create", "--name", "web", "--registrar", demo.identities["alice"], "--permits"]
    made = net.dta_json(create, home=net.home(0))
    for node in (1, 2):
        net.dta_json(["governance", "vote", made["proposal"]], home=net.home(node))
    for node in net.nodes():
        net.dta_json(["authority", "accept", made["authority"], "--yes"], home=net.home(node))
    deadline = time.monotonic() + REALM_TIMEOUT_S
    while True:
        shown = net.dta_json(["authority", "show", made["authority"]], home=net.home(0))
        if shown["status"] == "active" and not shown["ceremony"]:
            return bytes.fromhex(made["realm"])
        if time.monotonic() > deadline:
            raise RuntimeError(f"the realm's key is not made in time: {shown['status']}, {shown['last']}")
        time.sleep(1.0)


class _Issuer:
    """The registrar, and all the clients."""

    def __init__(self, demo: Demo, session: sdk.Session, realm: bytes, warm_up_s: float) -> None:
        self._session, self._realm, self._warm_up_s = session, realm, warm_up_s
        self._urls = rpc_urls(demo.net)
        self._processes = Processes(demo.net)
        self._clients, self._first = 0, b""
        authority = session.ledger.get(leaves.of(REALMS, realm)).authority
        epoch = session.ledger.get(leaves.of(AUTHORITIES, authority)).epoch
        self.threshold = session.ledger.get(leaves.of(EPOCHS, authority, epoch)).threshold

    def one_by_one(self, count: int) -> Json:
        """Medians from handing a request over to the opened secret, each alone on the chain."""
        seconds, blocks = [], []
        for _ in range(count):
            (ticket,) = self._tickets(1)
            (flight,) = self._fly([self._enrolling([ticket])], 1, 0.0).flights
            assert flight.begun is not None
            assert flight.done is not None
            blocks.append(flight.done.height - flight.begun.height)
            self._open(ticket, flight.done.height)
            seconds.append(time.monotonic() - flight.sent_s)
        return {"seconds": median(seconds), "max_s": max(seconds), "blocks_to_completed": median(blocks)}

    def secrets(self, sizes: Sequence[int], under_way: int) -> Json:
        """Requests of these sizes, so many under way. The last client's secret is opened, to see that it is one."""
        groups = [self._tickets(size) for size in sizes]
        run = self._fly([self._enrolling(group) for group in groups], under_way, self._warm_up_s)
        self._open(groups[-1][-1], run.blocks[-1].height)
        return self._figures(run)

    def permits(self, batch: int) -> Json:
        """A day's permits for every client, asked for at once. The first client's is put together at the end."""
        ledger, gid = self._session.ledger, self._session.gid
        day = points.day_of(int(time.time()))
        flights = []
        for first in range(0, self._clients, batch):
            count = min(batch, self._clients - first)
            tx = self._signed(self._asking(day, first, count))
            request = issuing.permit_request(gid, self._realm, day, sha256(tx).digest())
            flights.append(Flight(tx, request.hex(), count))
        run = self._fly(flights, len(flights), 0.0)
        facts = ledger.rpc.run(view_flow(ledger.flows, self._realm, run.blocks[-1].height)).facts(gid)
        ledger.rpc.run(permits.find(ledger.flows, facts, self._first, day))
        all_s = max(one.done.at_s for one in run.flights if one.done) - min(one.sent_s for one in run.flights)
        spent = shares(run.blocks[-1].spent.since(run.began), self._clients)
        return {
            "ended": self._clients, "all_s": all_s, "per_s": self._clients / all_s, "processor_ms": spent,
            "item_ms": sum(spent.values()),
        }  # fmt: skip

    # --- beneath ------------------------------------------------------------------------------------------------
    def _tickets(self, count: int) -> list[Ticket]:
        first, self._clients = self._clients, self._clients + count
        made = [
            tickets.make(self._session.gid, self._realm, f"client-{number}@example.org")
            for number in range(first, first + count)
        ]
        if not first:
            self._first = made[0].enrolment.client
        return made

    def _enrolling(self, group: Sequence[Ticket]) -> Flight:
        clients = [ticket.enrolment.message for ticket in group]
        gid = self._session.gid
        names = [issuing.ticket(gid, self._realm, client.client, client.nonce) for client in clients]
        tx = self._signed(mfa_pb2.EnrolClients(realm=self._realm, clients=clients, suite=SUITE))
        return Flight(tx, issuing.batch_request(gid, self._realm, names).hex(), len(group))

    def _asking(self, day: int, first: int, count: int) -> mfa_pb2.IssuePermits:
        return mfa_pb2.IssuePermits(realm=self._realm, day=day, first=first, count=count, suite=SUITE)

    def _signed(self, message: Message) -> bytes:
        return self._session.ledger.build(self._session.party.signer, message, EXPIRY_BLOCKS).tx

    def _fly(self, flights: Sequence[Flight], under_way: int, warm_up_s: float) -> Run:
        load = Load(under_way, measure_s=float("inf"), warm_up_s=warm_up_s)
        return asyncio.run(sustain(self._urls, flights, ANSWERED, load, self._processes.spent))

    def _figures(self, run: Run) -> Json:
        begin, end = run.window
        figures = steady(run)
        figures["processor_ms"] = shares(end.spent.since(begin.spent), figures["ended"])
        figures["item_ms"] = sum(figures["processor_ms"].values())
        return figures

    def _open(self, ticket: Ticket, height: int) -> None:
        """As a client does: read by proof, put together, opened."""
        ledger = self._session.ledger
        ledger.rpc.run(ledger.flows.reader.head(height))
        ledger.rpc.run(enrolling.open_secret(ledger.flows, ticket))
