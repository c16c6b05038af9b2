"""An HSM that is gone, refuses its PIN or hangs: the node says so, tries again, catches up; the chain never notices."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import (
    kill,
    same_app_hash,
    status,
    token_directory,
    wait_until,
    wait_until_fulfilled,
    wait_until_it_says,
)

pytestmark = pytest.mark.localnet
VICTIM = 1


@pytest.fixture(autouse=True)
def _needs_a_token(net: Network) -> None:
    if net.plan.hsm != "softhsm":
        pytest.skip("SoftHSM2 is not installed")


def check(net: Network, people: People, said: str, recover: Callable[[], None]) -> None:
    """The others take an order meanwhile, the node says what is wrong, and catches up once it is well again."""
    try:
        restarts = {name: child["restarts"] for name, child in status(net, VICTIM)["processes"].items()}
        order = people.place_file(b"while the HSM is away", "--allow-missing", "1")
        wait_until_fulfilled(net, order, net.plan.validators - 1)
        wait_until_it_says(net, VICTIM, said)
        assert status(net, VICTIM)["ledger"]["age_s"] < 30
    finally:
        recover()
    wait_until_fulfilled(net, order)
    wait_until("the node to be healthy", lambda: status(net, VICTIM)["healthy"])
    after = {name: child["restarts"] for name, child in status(net, VICTIM)["processes"].items()}
    assert {**after, "agent": 0} == {**restarts, "agent": 0}
    same_app_hash(net)


@contextmanager
def configured(net: Network, name: str, value: Path) -> Iterator[None]:
    """The victim's ``[keystore]`` setting, and as it was afterwards. The agent reads it when it starts."""
    path = net.home(VICTIM) / "node.toml"
    before = path.read_text()
    path.write_text(re.sub(rf'^{name} = .*$', f'{name} = "{value}"', before, flags=re.MULTILINE))
    try:
        yield
    finally:
        path.write_text(before)


def test_a_module_that_is_gone_is_looked_for_until_it_is_back(net: Network, people: People) -> None:
    real = re.search(r'^module = "(.*)"$', (net.home(VICTIM) / "node.toml").read_text(), re.MULTILINE)
    assert real is not None
    module = net.root / "module.so"
    module.unlink(missing_ok=True)
    with configured(net, "module", module):
        kill(net, VICTIM, "agent")
        check(net, people, "module.so", lambda: module.symlink_to(real[1]))
    kill(net, VICTIM, "agent")  # reads its own settings again
    wait_until("the node to be healthy", lambda: status(net, VICTIM)["healthy"])


def test_a_wrong_pin_is_tried_once_and_again_when_its_file_changes(net: Network, people: People) -> None:
    pin_file = net.root / "pins" / f"node-{VICTIM}"
    pin = pin_file.read_bytes()
    pin_file.write_bytes(b"00000000\n")
    kill(net, VICTIM, "agent")
    check(net, people, "PIN", lambda: pin_file.write_bytes(pin) and None)
    said = (net.home(VICTIM) / "logs/agent.log").read_text()
    assert pin.decode().strip() not in said


def test_a_token_that_goes_away_while_it_is_used_is_missed_and_found_again(net: Network, people: People) -> None:
    there = token_directory(net, f"node-{VICTIM}")
    away = net.root / "unplugged"
    there.rename(away)
    check(net, people, "keystore|hooks|late|token", lambda: away.rename(there) and None)


def test_a_token_that_hangs_holds_up_the_hooks_alone(net: Network, people: People) -> None:
    token = token_directory(net, f"node-{VICTIM}")
    generation, kept = token / "generation", token / "generation.kept"
    # SoftHSM2 reads this file at every call: a FIFO that nobody writes to makes it wait, inside the module.
    generation.rename(kept)
    os.mkfifo(generation)
    kill(net, VICTIM, "agent")

    def plug_in() -> None:
        kept.rename(generation)
        kill(net, VICTIM, "agent")

    check(net, people, "does not answer", plug_in)
