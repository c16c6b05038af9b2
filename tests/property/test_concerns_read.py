"""Whatever a node answers about what concerns an identity: the true list comes out, or none."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_app.state.records import CONCERNS, COUNTERS
from dta.base.errors import BadAnswer, NotVerified
from dta.client.ledger.concerns import Concerns
from dta.client.ledger.ledger import Ledger
from tests.support.light_chain import Chain, ClockedRpc, Node, b64
from tests.unit.test_client_concerns import ME, OTHER, chain_of, count_leaf, entry_leaf

COUNT = 3
KEYS = [COUNTERS.key(ME), *(CONCERNS.key(ME, number) for number in range(1, COUNT + 2)), COUNTERS.key(OTHER),
        CONCERNS.key(OTHER, 1)]  # fmt: skip
VALUES = [None, *(b64(leaf[1]) for number in range(5) for leaf in (count_leaf(ME, number), entry_leaf(ME, number + 1)))]
INSTEAD = st.one_of(
    st.tuples(st.just("leaf"), st.sampled_from(KEYS), st.sampled_from(["3", "4", "5"])),
    st.tuples(st.just("value"), st.sampled_from(VALUES)),
    st.tuples(st.just("key"), st.sampled_from(KEYS)),
    st.tuples(st.just("height"), st.sampled_from(["0", "3", "5", "6"])),
    st.tuples(st.just("proof"), st.sampled_from(KEYS)),
)


@cache
def chain() -> Chain:
    return chain_of(COUNT)


@cache
def truth() -> Concerns:
    return ledger_of({}).concerns(ME)


def ledger_of(lies: dict[bytes, Any]) -> Ledger:
    """The client of a node that answers about each of these keys as it is told."""

    def lie(params: dict[str, Any], honest: Any) -> Any:
        what = lies.get(bytes.fromhex(params["data"]))
        if what is None:
            return honest
        kind, said, *more = what
        response = dict(honest["response"])
        if kind == "leaf":  # another leaf, or this one at another height, under the name that was asked for
            other = Node(chain()).do_abci_query({**params, "data": said.hex(), "height": more[0]})["response"]
            response = {**other, "key": response["key"], "height": response["height"]}
        elif kind == "proof":
            other = Node(chain()).do_abci_query({**params, "data": said.hex()})["response"]
            response["proofOps"] = other["proofOps"]
        else:
            response[kind] = b64(said) if kind == "key" else said
        return {"response": response}

    node = Node(chain(), lies={"abci_query": lie})
    return Ledger(ClockedRpc(node), chain().trust_file())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS[: COUNT + 1]), INSTEAD, min_size=1, max_size=3))
def test_a_node_that_lies_about_any_of_it_is_refused_or_changes_nothing(lies: dict[bytes, Any]) -> None:
    try:
        found = ledger_of(lies).concerns(ME)
    except (NotVerified, BadAnswer):
        return
    assert found == truth()
