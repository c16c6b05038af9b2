"""The calls of real runs: a plain one, a restart, a kill -9 with its replay, and a node that catches up.

That each call may come where it came is asked after every test of the suite (``calls.check``); here is that these runs
were what they are called.
"""

from __future__ import annotations

import pytest

from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import kill, same_app_hash, wait_until
from tests.support.abci_grammar import Call

pytestmark = pytest.mark.localnet
RESTARTED, KILLED, BEHIND = 1, 2, 3
BLOCKS = 3


def answered(net: WiredNetwork, node: int) -> int:
    """The height that the newest life of the node began at: what the application said to the first Info."""
    life = net.calls.of(node).lives[-1]
    return next(call.height for call in life if call.kind == "info" and call.is_answer)


def decided(net: WiredNetwork, node: int) -> list[str]:
    """What was asked on the consensus connection in the node's newest life."""
    kinds = {"init_chain", "prepare_proposal", "process_proposal", "finalize_block", "commit"}
    return [call.kind for call in net.calls.of(node).lives[-1] if call.kind in kinds and not call.is_answer]


def lives(net: WiredNetwork, node: int) -> int:
    return len(net.calls.of(node).lives)


def goes_on(net: WiredNetwork, node: int) -> None:
    """Until the node has executed blocks that it was there for."""
    net.wait_for_height(max(net.height(other) for other in net.nodes()) + BLOCKS, [node])


def test_a_clean_start_has_a_genesis_and_every_validator_proposes_and_judges(net: WiredNetwork) -> None:
    net.wait_for_height(12)
    for node in net.nodes():
        first = net.calls.of(node).lives[0]
        assert [call.height for call in first if call.kind == "info"][:2] == [0, 0]
        asked = [call for call in first if not call.is_answer]
        [genesis] = [call for call in asked if call.kind == "init_chain"]
        assert genesis.height == 1
        mine, others = (
            {call.height for call in asked if call.kind == kind} for kind in ("prepare_proposal", "process_proposal")
        )
        assert mine
        assert others - mine, "what others propose is judged"
        assert not kinds(first) & {"extend_vote", "verify_vote_extension", "offer_snapshot"}
    net.calls.check()


def kinds(calls: list[Call]) -> set[str]:
    return {call.kind for call in calls}


def test_a_node_that_is_started_again_goes_on_without_a_genesis(net: WiredNetwork) -> None:
    before = lives(net, RESTARTED)
    net.restart(RESTARTED)
    wait_until("a new life", lambda: lives(net, RESTARTED) > before)
    goes_on(net, RESTARTED)
    assert answered(net, RESTARTED) > 0
    assert "init_chain" not in decided(net, RESTARTED)
    net.calls.check()


@pytest.mark.parametrize("victim", ["application", "cometbft", "node"])
def test_a_node_that_is_killed_recovers_at_what_it_had_committed(net: WiredNetwork, victim: str) -> None:
    before = lives(net, KILLED)
    kill(net, KILLED, victim)
    if victim == "node":
        wait_until("the node to have gone", lambda: net.pid(KILLED) is None)
        net.start(KILLED)
    wait_until("a new life", lambda: lives(net, KILLED) > before)
    goes_on(net, KILLED)
    # That it says no other height than what it was asked to commit last is the grammar's.
    assert answered(net, KILLED) > 0
    assert "init_chain" not in decided(net, KILLED)
    net.calls.check()


def test_a_node_that_was_away_is_given_decided_blocks_and_then_proposals(net: WiredNetwork, people: People) -> None:
    net.stop(BEHIND)
    others = [node for node in net.nodes() if node != BEHIND]
    people.place_file(b"while one is away", "--allow-missing", "1")
    net.wait_for_height(max(net.height(node) for node in others) + BLOCKS, others)
    before = lives(net, BEHIND)
    net.start(BEHIND)
    wait_until("a new life", lambda: lives(net, BEHIND) > before)
    goes_on(net, BEHIND)
    wait_until("a proposal to be judged", lambda: "process_proposal" in decided(net, BEHIND))
    calls = decided(net, BEHIND)
    assert calls[: 2 * BLOCKS] == ["finalize_block", "commit"] * BLOCKS, "it was shown what others had decided"
    net.calls.check()
    same_app_hash(net)
