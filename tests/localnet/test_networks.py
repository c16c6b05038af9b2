"""What is done to a network, by the rows of a table, while orders flow: nothing is lost, doubled or left undone."""

from __future__ import annotations

import pytest

from dta.localnet.chaos import Trial
from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.harms import impossible, play
from tests.localnet.networks import SCENARIOS, Scenario

pytestmark = pytest.mark.localnet


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_what_is_done_to_the_network_loses_nothing(net: WiredNetwork, people: People, scenario: Scenario) -> None:
    not_here = {step.harm for step in scenario.steps} & impossible(net)
    if not_here:
        pytest.skip(f"it can't be done here: {', '.join(sorted(not_here))}")
    verdict = Trial(people, people.vault, 0).run(lambda orders: play(net, scenario, orders))
    assert verdict.is_clean, (scenario, verdict)
