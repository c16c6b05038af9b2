"""The recogniser of ABCI's calls: right sequences pass, each wrong one is refused at the call that is wrong."""

from __future__ import annotations

import pytest

from tests.support.abci_grammar import CONSENSUS, EXTENSIONS, ROLES, Call, Life, Node, Refused

QUERY, SNAPSHOT, MEMPOOL, CONNECTION = range(4)
_CONNECTION_OF = {"query": QUERY, "snapshot": SNAPSHOT, "mempool": MEMPOOL, "consensus": CONNECTION}
Step = tuple[str, int]


def asked(kind: str, height: int = 0, *, is_recheck: bool = False) -> Call:
    """On the connection that CometBFT asks it on."""
    connection = next((_CONNECTION_OF[role] for role, kinds in ROLES.items() if kind in kinds), SNAPSHOT)
    return Call(connection, kind, height=height, is_recheck=is_recheck)


def answer(call: Call, height: int = 0) -> Call:
    return Call(call.connection, call.kind, is_answer=True, height=height)


def both(kind: str, height: int = 0, answered: int = 0) -> list[Call]:
    """A request and its answer."""
    call = asked(kind, height)
    return [call, answer(call, answered)]


def calls(*steps: Step) -> list[Call]:
    return [call for kind, height in steps for call in both(kind, height)]


def clean_start(initial_height: int = 1) -> list[Call]:
    return [*both("info"), *both("init_chain", initial_height)]


def recovery(height: int) -> list[Call]:
    return both("info", answered=height)


def block(height: int) -> list[Call]:
    return calls(("finalize_block", height), ("commit", 0))


def life(*parts: list[Call], has_extensions: bool = False) -> Life:
    made = Life(has_extensions)
    for part in parts:
        for call in part:
            made.take(call)
    return made


def refused(made: Life, *rest: Call) -> str:
    """Why the last of ``rest`` is refused; those before it are taken."""
    *before, last = rest
    for call in before:
        made.take(call)
    with pytest.raises(Refused) as caught:
        made.take(last)
    assert caught.value.call == last
    return caught.value.reason


# --- right sequences ------------------------------------------------------------------------------------------------
def test_a_clean_start_rounds_and_blocks_are_right() -> None:
    proposing = calls(("prepare_proposal", 1), ("process_proposal", 1))
    voting = calls(("process_proposal", 2), ("process_proposal", 2), ("prepare_proposal", 2))
    made = life(clean_start(), proposing, block(1), voting, block(2), block(3))
    assert (made.committed, made.asked, made.next_height) == (3, 3, 4)


def test_a_chain_may_begin_at_another_height() -> None:
    assert life(clean_start(50), block(50)).committed == 50


def test_a_recovery_goes_on_after_the_height_that_info_says() -> None:
    assert life(recovery(7), block(8), calls(("process_proposal", 9)), block(9)).committed == 9


def test_a_node_that_catches_up_is_shown_decided_blocks_and_no_proposal() -> None:
    assert life(recovery(7), *(block(height) for height in range(8, 30))).committed == 29


def test_flushes_echoes_queries_and_transactions_come_in_between() -> None:
    check = asked("check_tx")
    made = life(
        [asked("flush"), answer(asked("flush"))], clean_start(), both("echo"), both("query"), both("list_snapshots"),
        calls(("process_proposal", 1), ("check_tx", 0)), [check, check, asked("flush")],
        calls(("finalize_block", 1)), both("query"),
    )  # fmt: skip
    for answered in (check, check):
        made.take(answer(answered))
    for call in [*calls(("commit", 0)), asked("check_tx", is_recheck=True), *both("info", answered=1)]:
        made.take(call)
    assert made.next_height == 2


def test_with_vote_extensions_they_come_in_each_round() -> None:
    others = calls(("verify_vote_extension", 1))
    votes = [*others, *calls(("process_proposal", 1), ("extend_vote", 1)), *others]
    assert life(clean_start(), votes, votes, block(1), has_extensions=True).committed == 1


@pytest.mark.parametrize("cut", range(14))
def test_a_node_may_be_killed_anywhere_and_recovers(cut: int) -> None:
    proposing = calls(("prepare_proposal", 1), ("process_proposal", 1))
    whole = [*clean_start(), *proposing, *block(1), *calls(("check_tx", 0))]
    node = Node()
    for call in whole[:cut]:
        node.take(0, call)
    made = node.lives[0] if cut else Life()
    for height in {made.committed, min(made.asked, made.next_height)}:
        again = Node()
        for call in whole[:cut]:
            again.take(0, call)
        for call in recovery(height) if height else clean_start():
            again.take(1, call)
        for call in block(height + 1):
            again.take(1, call)


# --- wrong ones -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["init_chain", "prepare_proposal", "process_proposal", "finalize_block", "commit"])
def test_nothing_is_decided_before_info_is_answered(kind: str) -> None:
    assert "Info" in refused(life(), asked(kind, 1))
    assert "Info" in refused(life(), asked("info"), asked(kind, 1))


@pytest.mark.parametrize("kind", ["check_tx", "query", "list_snapshots"])
def test_nobody_else_asks_before_info_is_answered(kind: str) -> None:
    assert "Info" in refused(life(), asked(kind))


def test_a_genesis_comes_first_and_once() -> None:
    for kind in ("prepare_proposal", "process_proposal", "finalize_block", "commit"):
        assert "init_chain" in refused(life(both("info")), asked(kind, 1))
    assert "InitChain" in refused(life(both("info")), asked("check_tx"))
    assert "'height'" in refused(life(clean_start()), asked("init_chain", 1))
    assert "'height'" in refused(life(recovery(3)), asked("init_chain", 1))


def test_a_decided_block_is_committed_and_nothing_comes_between() -> None:
    for kind in CONSENSUS["height"]:
        reason = refused(life(clean_start(), calls(("finalize_block", 1)), has_extensions=True), asked(kind, 2))
        assert "only commit" in reason


def test_nothing_is_committed_that_was_not_decided() -> None:
    assert "'height'" in refused(life(clean_start()), asked("commit"))
    assert "'height'" in refused(life(clean_start(), block(1)), asked("commit"))


@pytest.mark.parametrize("kind", ["prepare_proposal", "process_proposal", "finalize_block"])
@pytest.mark.parametrize("height", [7, 9, 0])
def test_heights_follow_each_other(kind: str, height: int) -> None:
    assert "next height is 8" in refused(life(recovery(7)), asked(kind, height))


def test_after_a_commit_the_next_height_is_asked_for() -> None:
    assert "next height is 2" in refused(life(clean_start(), block(1)), asked("finalize_block", 1))
    assert "next height is 50" in refused(life(clean_start(50)), asked("finalize_block", 1))


@pytest.mark.parametrize("kind", sorted(EXTENSIONS))
def test_a_chain_without_vote_extensions_is_asked_for_none(kind: str) -> None:
    assert "not enabled" in refused(life(clean_start()), asked(kind, 1))


def test_an_extension_is_of_the_height_that_is_voted_on() -> None:
    assert "next height is 1" in refused(life(clean_start(), has_extensions=True), asked("extend_vote", 2))


def test_one_call_of_consensus_at_a_time() -> None:
    made = life(clean_start(), [asked("process_proposal", 1), asked("flush")])
    assert "not answered" in refused(made, asked("finalize_block", 1))


@pytest.mark.parametrize("kind", ["offer_snapshot", "apply_snapshot_chunk", "insert_tx", "reap_txs", "begin_block"])
def test_what_this_application_does_not_offer_is_not_asked(kind: str) -> None:
    assert "offers nothing" in refused(life(clean_start()), asked(kind))


def test_a_connection_has_one_use_and_a_use_one_connection() -> None:
    made = life(clean_start())
    assert "the query connection" in refused(made, Call(QUERY, "check_tx"))
    assert "another query" in refused(made, Call(7, "query"))


def test_the_mempool_is_flushed_before_a_commit_and_locked_while_it_lasts() -> None:
    made = life(clean_start(), [asked("check_tx")], calls(("finalize_block", 1)))
    assert "flushed" in refused(made, asked("commit"))
    made = life(clean_start(), calls(("finalize_block", 1)), [asked("commit")])
    assert "locked" in refused(made, asked("check_tx"))


def test_nothing_is_looked_at_again_before_a_block_is_committed() -> None:
    again = asked("check_tx", is_recheck=True)
    assert "again" in refused(life(clean_start()), again)
    assert "again" in refused(life(recovery(7)), again)


def test_answers_come_in_the_order_of_the_requests_and_are_theirs() -> None:
    made = life(clean_start())
    assert "nothing was asked" in refused(made, answer(asked("query")))
    assert "query was asked" in refused(made, asked("query"), asked("info"), answer(asked("info")))


def test_after_an_exception_nothing_is_asked_on_that_connection() -> None:
    made = life(recovery(3), [asked("process_proposal", 4), Call(CONNECTION, "exception", is_answer=True)])
    assert "exception" in refused(made, asked("process_proposal", 4))
    made.take(asked("query"))


@pytest.mark.parametrize("height", [1, 4])
def test_a_node_that_starts_again_has_forgotten_nothing_and_invents_nothing(height: int) -> None:
    node = Node()
    for call in [*clean_start(), *block(1), *block(2), *calls(("finalize_block", 3)), asked("commit")]:
        node.take(0, call)
    node.take(1, asked("info"))
    with pytest.raises(Refused, match="has committed 2, and was asked to commit 3"):
        node.take(1, answer(asked("info"), height))


def test_a_node_that_was_out_of_sight_may_be_anywhere_once() -> None:
    node = Node()
    for call in [*clean_start(), *block(1)]:
        node.take(0, call)
    node.lose_sight()
    for call in recovery(30):
        node.take(1, call)
    node.take(2, asked("info"))
    with pytest.raises(Refused, match="has committed 30"):
        node.take(2, answer(asked("info"), 31))


def test_a_node_that_lost_its_state_is_told_everything_again() -> None:
    node = Node()
    for call in [*clean_start(), *block(1)]:
        node.take(0, call)
    for call in [*clean_start(), *block(1), *block(2)]:
        node.take(1, call)
    assert node.lives[1].committed == 2
