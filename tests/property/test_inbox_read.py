"""Whatever a node answers about anything that an inbox is made of: the true inbox comes out, or none."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_app.state.records import CONCERNS, COUNTERS, DECISIONS, ORDERS, REQUEST_NUMBERS, REQUESTS
from dta.base.errors import BadAnswer, NotVerified
from dta.client.inbox.items import Inbox
from tests.support.custody import k_of
from tests.support.inboxes import ask, inbox, lying, open_vault, place
from tests.support.light_chain import b64
from tests.support.order_flow import World, make_world

Change = Callable[[dict[str, Any]], dict[str, Any]]


@cache
def world() -> World:
    """Two orders of alice's of which carol is a party and may veto; bob has asked for each."""
    directory = tempfile.mkdtemp(prefix="dta-inbox-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    made = make_world(Path(directory))
    vault = open_vault(made, made.alice)
    policy = k_of(2, made.bob.identity, made.carol.identity, veto_window_s=600)
    for _ in range(2):
        ask(made, made.bob, place(made, made.alice, vault, policy, made.bob.identity))
    return made


@cache
def truth() -> Inbox:
    found = inbox(world(), world().carol)
    assert len(found.items) == 2
    return found


@cache
def keys() -> list[bytes]:
    """All that is read, and what is beside it."""
    me, other = world().carol.identity, world().alice.identity
    found = [COUNTERS.key(me), COUNTERS.key(other), *(CONCERNS.key(me, number) for number in (1, 2, 3)),
             CONCERNS.key(other, 2)]  # fmt: skip
    for item in truth().items:
        order, request = item.parent, item.subject
        found += [ORDERS.key(order), REQUESTS.key(request), *(REQUEST_NUMBERS.key(order, one) for one in (1, 2)),
                  *(DECISIONS.key(request, who) for who in (me, world().bob.identity))]  # fmt: skip
    return found


def change(kind: str, other: bytes) -> Change:
    """An answer in which one thing is that of another key."""

    def changed(response: dict[str, Any]) -> dict[str, Any]:
        params = {"path": "/store", "data": other.hex(), "height": response["height"], "prove": True}
        instead = world().node.do_abci_query(params)["response"]
        if kind == "nothing":
            return {**response, "value": None}
        if kind == "key":
            return {**response, "key": b64(other)}
        if kind == "all":
            return {**instead, "key": response["key"]}
        return {**response, kind: instead[kind]}

    return changed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_node_that_lies_about_any_of_it_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    kinds = st.sampled_from(["nothing", "key", "all", "value", "proofOps"])
    lie = st.builds(change, kinds, st.sampled_from(keys()))
    lies = data.draw(st.dictionaries(st.sampled_from(keys()), lie, min_size=1, max_size=3))
    try:
        found = inbox(world(), world().carol, node=lying(world(), lies))
    except (NotVerified, BadAnswer):
        return
    assert found.is_as(truth())
