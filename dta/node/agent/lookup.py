"""What jobs want before they are performed, asked of one state for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.records import IDENTITIES, ORDERS, REQUESTS, VAULTS
from dta.custodians.plugin import AcceptsMany
from dta.node.agent.jobs import find_order, tried, wanted_blocks
from dta.node.agent.reads import read_ahead
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Pinned, Tools, require_due

PARTIALS: Final = frozenset({DueKind.SUBMIT_PARTIALS, DueKind.SUBMIT_UNBLINDED})
"""What is made with a share of an authority key and nothing else."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job wants before it is performed: blocks, by their CIDs.

    ``is_together``: it is performed with others of its kind at once: an order whose custodian checks many, a partial.
    """

    cids: list[str]
    is_together: bool = False


def wanted_together(jobs: Sequence[Job], tools: Tools) -> list[Wanted | Exception]:
    """What each job wants, all by one state, whose records are asked for together. For one that isn't due: NotDue."""
    with tools.pin() as now:
        tried(partial(_read_ahead, jobs, tools, now))  # where one is unreadable, each is asked for by itself
        return [tried(partial(_wanted, job, tools, now)) for job in jobs]


def _wanted(job: Job, tools: Tools, now: Pinned) -> Wanted:
    require_due(job, tools, now)
    if job.kind is DueKind.FULFIL_ORDER:
        order = find_order(job.subject, now)
        custodian = tools.custodians.custodians.get(order.custodian)
        return Wanted([order.envelope_cid], isinstance(custodian, AcceptsMany))
    return Wanted(wanted_blocks(job, now), job.kind in PARTIALS)


def _read_ahead(jobs: Sequence[Job], tools: Tools, now: Pinned) -> None:
    """Have all records at hand that the jobs on orders and requests will read."""
    requests = [job.subject for job in jobs if job.kind is DueKind.FULFIL_SECRET]
    orders = [job.subject for job in jobs if job.kind is DueKind.FULFIL_ORDER]
    read_ahead(
        now.view, [*map(REQUESTS.key, requests), *map(ORDERS.key, orders)],
        [due.key_of(tools.identity, job.kind, job.subject) for job in jobs],
    )  # fmt: skip
    asked = [request for id_ in requests if (request := REQUESTS.read(now.view, id_)) is not None]
    entrusted = [order for id_ in orders if (order := ORDERS.read(now.view, id_)) is not None]
    pairs = [(ORDERS.key(request.order), IDENTITIES.key(request.beneficiary)) for request in asked]
    pairs += [(VAULTS.key(order.vault), IDENTITIES.key(order.principal)) for order in entrusted]
    read_ahead(now.view, chain.from_iterable(pairs))
