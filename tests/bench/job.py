"""Part ``job``: secrets entrusted and released on a whole network, and what that costs beside the bare cryptography."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dta.localnet.network import Network
from tests.bench import bare_costs
from tests.bench.live import Processes, acting, localnet, rpc_urls, shares
from tests.bench.principals import Order, Principals
from tests.bench.sustained import Flight, Load, Run, Words, cost_of_watching_s, steady, sustain

PLACED = Words("order", "placed", "active")
GRANTED = Words("request", "granted", "completed")
LEAST_S = 0.3
"""Nothing takes less than a block: so many under way can't end faster than that. Then what the level before took."""
LEAST_PREPARED = 12
Json = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``first_burst``: orders that warm everything up, and tell how many to prepare.

    ``bare_rounds``: how often each operation is measured. ``margin``: how much faster than told
    it may be, before what was prepared runs out and a measurement ends early.
    """

    validators: int = 4
    principals: int = 20
    levels: tuple[int, ...] = (1, 8, 64, 512)
    measure_s: float = 30.0
    warm_up_s: float = 3.0
    first_burst: int = 100
    idle_s: float = 20.0
    bare_rounds: int = 300
    margin: float = 1.3


QUICK = Plan(
    validators=1, principals=2, levels=(2,), measure_s=0.0, warm_up_s=0.0, first_burst=4, idle_s=0.3, bare_rounds=3
)  # fmt: skip


def run(comet_binary: str, port_base: int, say: Say, plan: Plan) -> Json:
    """Each level: orders placed until they are ACTIVE, then requests for them made until they are COMPLETED."""
    with localnet(comet_binary, port_base, plan.validators) as demo:
        demo.enrol("alice")
        figures: Json = {"validators": plan.validators, "hsm": demo.net.plan.hsm, "principals": plan.principals}
        with acting(demo.net.client_home("alice")) as session:
            job = Job(demo.net, Principals(session, plan.principals, demo.net), plan, say)
            figures["idle"] = asdict(job.processes.idle(plan.idle_s))
            job.warm_up()
            figures["levels"] = {str(level): job.level(level) for level in plan.levels}
            figures["bare"] = job.bare()
    for level in figures["levels"].values():
        add_ratios(level, figures["bare"])
    return figures


def add_ratios(level: Json, bare: Json) -> None:
    """To a level's figures: processor time over all processes as a multiple of the bare cryptography."""
    for name in ("entrust", "release"):
        level[name]["ratio"] = level[name]["order_ms"] / bare[f"{name}_ms"]


class Job:
    """A running network, its principals, and what was measured of it so far."""

    def __init__(self, network: Network, principals: Principals, plan: Plan, say: Say) -> None:
        self.processes = Processes(network)
        self._network, self._principals, self._plan, self._say = network, principals, plan, say
        self._urls = rpc_urls(network)
        self._active: list[Order] = []
        self._per_s = {PLACED: 0.0, GRANTED: 0.0}
        self._turn_s = {PLACED: LEAST_S, GRANTED: LEAST_S}
        self._costs: list[bare_costs.Costs] = []

    def warm_up(self) -> None:
        """A first burst, all at once. It also tells how fast this is."""
        count = self._plan.first_burst
        orders = self._principals.seal(count)
        self._per_s[PLACED] = self._burst(self._principals.placing(orders), PLACED)
        self._per_s[GRANTED] = self._burst(self._principals.ask(orders), GRANTED)
        self._active += orders

    def level(self, under_way: int) -> Json:
        """The figures of entrusting and of releasing with so many under way."""
        load = Load(under_way, self._plan.measure_s, self._plan.warm_up_s)
        began_s = time.monotonic()
        orders = self._principals.seal(self._wanted(load, PLACED))
        sealed_s = time.monotonic() - began_s
        entrusted = self._fly(self._principals.placing(orders), PLACED, load)
        self._active += [order for order, one in zip(orders, entrusted.flights, strict=True) if one.done]
        figures: Json = {"entrust": self._figures(entrusted, PLACED, sealed_s, len(orders))}
        wanted = self._wanted(load, GRANTED)
        asked = [self._active[-1 - number % len(self._active)] for number in range(wanted)]
        began_s = time.monotonic()
        requests = self._principals.ask(asked)
        asked_s = time.monotonic() - began_s
        released = self._fly(requests, GRANTED, load)
        figures["release"] = self._figures(released, GRANTED, asked_s, len(requests))
        self._check(asked, released)
        self._measure_bare()
        self._tell(under_way, figures)
        return figures

    def bare(self) -> Json:
        """Milliseconds of the bare cryptography of an order and of its release, and of each operation."""
        costs = bare_costs.medians(self._costs)
        nodes = self._plan.validators
        return {
            "entrust_ms": bare_costs.entrusting_ms(costs, nodes), "release_ms": bare_costs.releasing_ms(costs, nodes),
            "operations_ms": costs,
        }  # fmt: skip

    def _wanted(self, load: Load, words: Words) -> int:
        """How many to prepare: those that fly at first, a warm-up of one turn at least, and the same for measuring."""
        per_s = self._plan.margin * min(self._per_s[words], load.under_way / self._turn_s[words])
        parts = (max(load.under_way, int(per_s * seconds)) for seconds in (load.warm_up_s, load.measure_s))
        return max(load.under_way + sum(parts), LEAST_PREPARED)

    def _burst(self, flights: Sequence[Flight], words: Words) -> float:
        began_s = time.monotonic()
        self._fly(flights, words, Load(len(flights), 0.0))
        return len(flights) / (time.monotonic() - began_s)

    def _fly(self, flights: Sequence[Flight], words: Words, load: Load) -> Run:
        run = asyncio.run(sustain(self._urls, flights, words, load, self.processes.spent))
        self._principals.see(run.blocks[-1].height)
        return run

    def _figures(self, run: Run, words: Words, prepared_s: float, prepared: int) -> Json:
        begin, end = run.window
        figures = steady(run)
        self._per_s[words] = max(self._per_s[words], figures["per_s"])
        self._turn_s[words] = figures["sent_to_done_s"]["p50"]
        figures["prepared"], figures["prepared_s"] = prepared, prepared_s
        figures["refused_in_blocks"] = sum(count for code, count in run.codes.items() if code)
        figures["processor_ms"] = shares(end.spent.since(begin.spent), figures["ended"])
        watching = cost_of_watching_s(self._urls[0], run, self.processes.spent)
        figures["watching_ms"] = (watching.client + watching.cometbfts) / figures["ended"] * 1e3
        figures["order_ms"] = sum(figures["processor_ms"].values()) - figures["watching_ms"]
        return figures

    def _check(self, asked: Sequence[Order], released: Run) -> None:
        order, flight = next((order, one) for order, one in zip(asked, released.flights, strict=True) if one.done)
        self._principals.check_received(order, bytes.fromhex(flight.id_))

    def _measure_bare(self) -> None:
        self._costs.append(bare_costs.measure("order", self._plan.bare_rounds))

    def _tell(self, under_way: int, figures: Json) -> None:
        told = [
            f"{figures[name]['per_s']:.1f} a second {word}, {figures[name]['begun_to_done_s']['p50']:.2f} s, "
            f"{figures[name]['order_ms']:.1f} ms each"
            for name, word in (("entrust", "ACTIVE"), ("release", "COMPLETED"))
        ]
        self._say(f"{under_way} under way: {'; '.join(told)}")
