"""How many requests an order has in its life: a receipt of all that happened to it must fit its bounds.

An *act* is what may stand in a transaction of its own in that receipt. No key may use up what is left, so that one that
was stolen leaves something to the key that takes its place (docs/spec/custody.md, Requests).
"""

from __future__ import annotations

from typing import Final

from abci_app.authority import epochs
from abci_app.codes import Code
from abci_app.custody import policy
from abci_app.execution.context import Context
from abci_app.hashing import u32
from abci_app.limits import MAX_ANSWERED_EPOCHS, MAX_AUTHORITY_MEMBERS, MAX_ORDER_ACTS
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.indexes import ORDER_KEYS
from abci_app.state.records import IDENTITIES

MOST_KEY_ANSWERS: Final = MAX_ANSWERED_EPOCHS * MAX_AUTHORITY_MEMBERS - 1
"""Answers to one request under an authority key: one epoch's fewer than its threshold, the next one's all."""


def asking_acts(order: pb.OrderRecord) -> int:
    """A request itself, and a decision of each who may decide on it."""
    parties = policy.parties(order.policy)
    return 1 + len(dict.fromkeys([*parties, *policy.vetoers(order.policy, order.principal)]))


def answering_acts(order: pb.OrderRecord) -> int:
    """The most that a request's answers come to. A sealed share may be proved bad, in a transaction of its own."""
    return MOST_KEY_ANSWERS if order.authority else 2 * len(order.fiduciaries)


def acts_left(order: pb.OrderRecord) -> int:
    """What is left of ``MAX_ORDER_ACTS``, with all answers of the requests that are not settled yet taken away."""
    placing_and_ending = 2 + len(order.fiduciaries)
    answers = order.answers * (1 if order.authority else 2)
    open_ones = order.open_requests * answering_acts(order)
    return MAX_ORDER_ACTS - placing_and_ending - order.requests * asking_acts(order) - answers - open_ones


def requests_left(order: pb.OrderRecord, threshold: int) -> int:
    """How many requests are left at the order's usual size. ``threshold``: of its key's epoch in force."""
    usual = threshold if order.authority else answering_acts(order)
    return max(0, acts_left(order)) // (asking_acts(order) + usual)


def made_by(context: Context, order: bytes, key: bytes) -> int:
    """How many requests of the order this key has signed."""
    return int.from_bytes(ORDER_KEYS.find(context.state, order, key) or b"", "big")


def require_room(context: Context, order: pb.OrderRecord) -> None:
    """Refuse a further request where the receipt may not hold it, or where the signer's key has made its share."""
    room = acts_left(order) >= asking_acts(order) + answering_acts(order)
    context.require(room, Code.ORDER_REQUESTS_SPENT, f"{order.requests} requests, {order.answers} answers")
    found = epochs.current(context.state, order.authority) if order.authority else None
    left = requests_left(order, found[1].threshold if found else 0)
    made = made_by(context, order.id, IDENTITIES.get(context.state, context.signer).tx_key)
    most = max(1, (made + left) // 2)
    context.require(made < most, Code.KEY_REQUESTS_SPENT, f"{made} made, {left} left")


def count_request(context: Context, order: pb.OrderRecord, key: bytes) -> None:
    """One more was signed by this key."""
    ORDER_KEYS.put(context.state, order.id, key, value=u32(made_by(context, order.id, key) + 1))
