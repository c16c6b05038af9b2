"""A planned upgrade: the version changes at the end of the block before it, and who lacks it goes no further."""

from __future__ import annotations

import pytest

from abci_app import transition
from abci_app.block import Block, Time
from abci_app.codes import Code
from abci_app.errors import UpgradeNeeded
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state import records
from abci_app.state.records import UPGRADES
from tests.support import governance
from tests.support.actors import seeded
from tests.support.chain import Chain
from tests.support.governance import pass_, record, upgrade
from tests.support.refusals import Because, recorded, refused
from tests.support.world import set_params


@pytest.fixture
def chain() -> Chain:
    return Chain(4)


def version(chain: Chain) -> int:
    return records.params(chain.view).protocol_version


def up_to(chain: Chain, height: int) -> None:
    """Blocks until the next one is at ``height``."""
    while chain.height < height - 1:
        chain.block()


def stops(chain: Chain) -> bool:
    """Whether the next block is neither proposed, nor accepted, nor executed."""
    height, time = chain.height + 1, Time(chain.time_s + 1)
    asked = (
        lambda: transition.require_version(chain.view),
        lambda: transition.prepare_proposal(chain.view, [], max_tx_bytes=1_000, height=height, time=time),
        lambda: transition.process_proposal(chain.view, [], height=height, time=time),
        lambda: transition.apply_block(chain.view, Block(height, time)),
    )
    said = []
    for ask in asked:
        try:
            ask()
        except UpgradeNeeded as needed:
            said.append(str(needed))
    assert len(said) in (0, len(asked)), said
    assert all("protocol version 2" in one for one in said)
    return bool(said)


def test_a_binary_without_the_version_stops_before_the_block_and_not_earlier(chain: Chain) -> None:
    at = chain.height + 12
    proposal = pass_(chain, upgrade(at, 2))
    assert record(chain, proposal).status == pb.PROPOSAL_STATUS_EXECUTED
    up_to(chain, at - 1)
    assert not stops(chain)
    assert version(chain) == 1
    result = chain.block()
    assert chain.height == at - 1
    assert version(chain) == 2
    assert [dict(e.attributes)["action"] for e in result.events if e.kind == "upgrade"] == ["begins"]
    assert stops(chain)
    refused(chain.check(b"anything"), Code.MALFORMED, "transaction")  # what waits in the mempool harms nobody


def test_a_binary_with_the_version_goes_on_from_the_same_state(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    at = chain.height + 8
    pass_(chain, upgrade(at, 2))
    up_to(chain, at)
    assert stops(chain)
    monkeypatch.setattr(transition, "PROTOCOL_VERSIONS", (1, 2))
    chain.block()
    assert chain.height == at
    assert UPGRADES.get(chain.view).settled


def test_an_upgrade_for_the_very_next_block_begins_there(chain: Chain) -> None:
    at = chain.height + 4  # proposed and voted on in three blocks
    pass_(chain, upgrade(at, 2))
    assert chain.height == at - 1
    assert version(chain) == 2


def test_a_height_that_passed_while_it_was_voted_on_fails(chain: Chain) -> None:
    proposal = pass_(chain, upgrade(chain.height + 3, 2))
    recorded(record(chain, proposal).failure_code, Code.BAD_UPGRADE)
    assert version(chain) == 1
    assert UPGRADES.find(chain.view) is None


@pytest.mark.parametrize(
    ("ahead", "number", "expected"),
    [
        (0, 2, Because(Code.BAD_UPGRADE, "height")), (-1, 2, Because(Code.BAD_UPGRADE, "height")),
        (50, 1, Because(Code.BAD_UPGRADE, "none-planned")), (50, 0, Because(Code.FIELD_INVALID, "upgrade")),
    ],
)  # fmt: skip
def test_an_upgrade_to_the_past_or_to_no_later_version_is_refused(
    chain: Chain, ahead: int, number: int, expected: Because
) -> None:
    chain.block()
    message = pb.Propose(nonce=seeded("n"), action=upgrade(chain.height + 1 + ahead, number))
    refused(chain.run(chain.founders[0], message), *expected)


def test_an_upgrade_to_a_version_before_the_one_in_force_is_refused(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transition, "PROTOCOL_VERSIONS", (1, 2))
    set_params(chain, protocol_version=2)
    message = pb.Propose(nonce=seeded("n"), action=upgrade(chain.height + 50, 1))
    refused(chain.run(chain.founders[0], message), Code.BAD_UPGRADE, "version")


def test_a_planned_upgrade_is_moved_or_called_off_by_another_decision(chain: Chain) -> None:
    at = chain.height + 30
    pass_(chain, upgrade(at, 2), "first")
    pass_(chain, upgrade(at + 10, 2), "moved")
    assert (UPGRADES.get(chain.view).height, UPGRADES.get(chain.view).settled) == (at + 10, False)
    pass_(chain, upgrade(at + 10, 1), "off")
    assert UPGRADES.get(chain.view).settled
    up_to(chain, at + 12)
    assert version(chain) == 1
    assert not stops(chain)


def test_parameters_voted_on_before_an_upgrade_do_not_take_it_back(chain: Chain) -> None:
    at = chain.height + 9
    pass_(chain, upgrade(at, 2), "upgrade")
    change = governance.propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7), "p")
    governance.vote(chain, chain.founders[1], change)
    up_to(chain, at - 1)
    governance.vote(chain, chain.founders[2], change)  # in the block that ends with the new version
    assert record(chain, change).status == pb.PROPOSAL_STATUS_EXECUTED
    assert (version(chain), records.params(chain.view).max_upkeep_cost) == (2, 7)
