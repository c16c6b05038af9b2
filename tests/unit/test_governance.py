"""Proposals and votes: what passes, what does not, and what follows at the end of the block."""

from __future__ import annotations

import pytest

from abci_app.block import ValidatorUpdate
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state import records
from abci_app.state.records import FIDUCIARIES
from tests.support import governance
from tests.support.actors import Actor
from tests.support.chain import Chain


@pytest.fixture
def chain() -> Chain:
    return Chain(4)


def test_three_of_four_admit_a_fifth_in_the_block_of_the_third_vote(chain: Chain) -> None:
    fifth = Actor("fifth", fiduciary=True)
    chain.register(fifth)
    one, two, three = chain.founders[:3]
    proposal = governance.propose(chain, one, governance.admit(chain, fifth))
    governance.vote(chain, two, proposal)
    assert governance.record(chain, proposal).status == pb.PROPOSAL_STATUS_OPEN
    result = governance.vote(chain, three, proposal)
    key = bytes(governance.validator_key(0).verify_key)
    assert result.validator_updates == (ValidatorUpdate(key, 10),)
    assert governance.record(chain, proposal).status == pb.PROPOSAL_STATUS_EXECUTED
    record = FIDUCIARIES.get(chain.view, fifth.identity)
    assert record.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE
    assert (record.validator_key, record.power, record.admitted_height) == (key, 10, chain.height)


def test_changed_parameters_are_in_force_from_the_next_block_on(chain: Chain) -> None:
    proposal = governance.pass_(chain, governance.change_params(chain, max_sweep=7))
    assert governance.record(chain, proposal).status == pb.PROPOSAL_STATUS_EXECUTED
    assert records.params(chain.view).max_sweep == 7
