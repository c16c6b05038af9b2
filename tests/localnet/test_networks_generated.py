"""Networks that a seed makes, and what is done to them: ``scripts/test.sh --networks --seed S --count N``.

The verdict is chaos's (nothing is lost, doubled or left undone, one app hash), and at the end of each network the ABCI
grammar's. The seed of each is in its test's name, and the scenario in what a failure prints.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

import pytest

from dta.localnet.chaos import Trial
from dta.localnet.network import Plan
from tests.localnet.conftest import People, WiredNetwork, comet_binary, make_plan
from tests.localnet.harms import can_mount, play
from tests.localnet.networks import TOKENS, Scenario, generated
from tests.localnet.own_network import own_network_of

pytestmark = pytest.mark.localnet
PORT_BASE = 30_800
COUNT = int(os.environ.get("DTA_NETWORKS_COUNT", "0"))
FIRST_SEED = int(os.environ.get("DTA_NETWORKS_SEED") or secrets.randbelow(2**32) if COUNT else 0)


def scenario_of(seed: int) -> Scenario:
    """What this machine can do of it."""
    has_softhsm = make_plan().hsm == "softhsm"
    with tempfile.TemporaryDirectory() as directory:
        without = set() if can_mount(Path(directory)) else {"disk-full"}
    return generated(seed, without if has_softhsm else without | set(TOKENS))


def plan_of(scenario: Scenario) -> Plan:
    shape = scenario.shape
    assert shape is not None
    hsm = "softhsm" if shape.has_tokens else "software"
    return Plan(shape.validators, hsm, "dta-generated", PORT_BASE, comet_binary(), shape.timeout_commit_ms)


@pytest.mark.skipif(not COUNT, reason="on demand: scripts/test.sh --networks")
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + max(1, COUNT)))
def test_a_network_of_this_seed_loses_nothing(seed: int) -> None:
    scenario = scenario_of(seed)
    assert scenario.shape is not None
    print(f"--seed {seed} --count 1: {scenario}")
    with own_network_of(WiredNetwork, plan_of(scenario), scenario.shape.parameters) as net:
        people = People(net)
        for name in ("alice", "bob"):
            people.enrol(name)
        people.vault = people.by("alice", "vault", "open")["vault"]
        verdict = Trial(people, people.vault, seed).run(lambda orders: play(net, scenario, orders))
        print(verdict.rows())
        assert verdict.is_clean, (scenario, verdict)
