"""A token that answers, and answers wrongly, under a node of a running network: nothing is attested that is not so,
nobody else notices, and whatever was owed is done once the token is well (tests/support/faulty_token.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import VAULT_KEYS
from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import (
    kill,
    leaf,
    same_app_hash,
    status,
    token_directory,
    wait_until,
    wait_until_fulfilled,
)
from tests.support import faulty_token
from tests.support.faulty_token import FaultyModule

pytestmark = pytest.mark.localnet
VICTIM = 2
FAULTS = {
    "a login that is lost": ("logged-out",),
    "a login that stays lost": ("logged-out", "C_Login 6"),
    "a token that shows nothing": ("blind",),
    "an operation that is stuck": ("stuck",),
    "finalising that fails": ("C_Finalize 6", "C_SignInit 6", "C_OpenSession 6"),
    "a vendor's own code": ("C_SignInit 80000384",),
    "a device that is away": tuple(f"{name} 32" for name in ("C_SignInit", "C_FindObjectsInit", "C_OpenSession")),
    "a limit on labels": ("max-label 40",),
    "a limit on messages": ("max-message 100",),
}


@pytest.fixture(scope="module")
def faulty(net: Network) -> Iterator[FaultyModule]:
    """The victim's token behind a module with faults."""
    if net.plan.hsm != "softhsm" or faulty_token.compiler() is None:
        pytest.skip("SoftHSM2 is not installed, or there is no C compiler")
    settings = net.home(VICTIM) / "node.toml"
    before = settings.read_text()
    real = re.search(r'^module = "(.*)"$', before, re.MULTILINE)
    assert real is not None
    built = faulty_token.build(net.root / "faulty", Path(real[1]))
    settings.write_text(before.replace(f'module = "{real[1]}"', f'module = "{built.path}"'))
    try:
        restart_agent(net)
        yield built
    finally:
        built.heal()
        settings.write_text(before)
        restart_agent(net)


def restart_agent(net: Network) -> None:
    kill(net, VICTIM, "agent")
    wait_until("the node to be healthy", lambda: status(net, VICTIM)["healthy"])


@pytest.fixture(scope="module")
def token(net: Network) -> Path:
    """Where the victim's token is. Found once: SoftHSM2 writes the file with its label anew at each login."""
    return token_directory(net, f"node-{VICTIM}")


def objects(token: Path) -> int:
    """How many objects the token holds, by its own files."""
    return len(list(token.glob("*.object")))


def attested(net: Network, vault: str) -> bool:
    identity = bytes.fromhex(status(net, VICTIM)["identity"])
    record = custody_pb2.VaultKeyRecord.FromString(leaf(net, VAULT_KEYS.key(bytes.fromhex(vault), identity)))
    return bool(record.erased_height)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_owed_while_a_token_fails_is_done_afterwards_and_nothing_else_is_said(
    net: Network, people: People, token: Path, faulty: FaultyModule, fault: str
) -> None:
    others = net.plan.validators - 1
    closing = people.by("alice", "vault", "open")["vault"]
    before = people.place_file(b"before", vault=closing)
    wait_until_fulfilled(net, before)
    people.by("alice", "order", "close", before)
    kept = objects(token)
    faulty.fail(*FAULTS[fault])
    order = people.place_file(b"while the token fails", "--allow-missing", "1")
    wait_until_fulfilled(net, order, others)
    people.by("alice", "vault", "close", closing, "--yes")

    def is_true() -> bool:
        """At each moment: what is attested is so."""
        said, held = attested(net, closing), objects(token)
        assert not said or held < kept, "the vault's key is there, and attested as erased"
        return said

    for _ in range(20):
        is_true()
    faulty.heal()
    wait_until("the erasure to be attested", is_true)
    wait_until_fulfilled(net, order)
    wait_until("the node to be healthy", lambda: status(net, VICTIM)["healthy"])
    assert not status(net, VICTIM)["agent"]["keys_found_late"]
    same_app_hash(net)
