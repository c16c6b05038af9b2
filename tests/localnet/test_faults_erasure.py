"""A closed vault is closed for ever: with every disk, the chain, every copy of the envelope and every token."""

from __future__ import annotations

import secrets

import pytest

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import VAULTS
from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import leaf, order_record, same_app_hash, wait_until, wait_until_fulfilled
from tests.localnet.forensics import files_with, helped_by_all

pytestmark = pytest.mark.localnet


def keys_destroyed(net: Network, vault: str) -> int:
    """How many fiduciaries have said so."""
    return custody_pb2.VaultRecord.FromString(leaf(net, VAULTS.key(bytes.fromhex(vault)))).erased


def test_after_a_vault_is_closed_nothing_that_is_left_opens_its_orders(net: Network, people: People) -> None:
    secret = secrets.token_bytes(48)
    vault = people.by("alice", "vault", "open")["vault"]
    order = people.place_file(secret, vault=vault)
    wait_until_fulfilled(net, order)
    record = order_record(net, order)
    # A copy that IPFS carried away before anybody could take it back.
    [copy] = [path for path in (net.home(0) / "blocks" / "blocks").rglob(record.envelope_cid) if path.is_file()]
    kept = net.root / "carried-away"
    kept.write_bytes(copy.read_bytes())

    before = helped_by_all(net, record, kept)
    assert bytes.fromhex(before["secret"]) == secret, "the attack works as long as the keys are there"
    assert len(before["shares"]) == net.plan.validators

    people.by("alice", "order", "close", order)
    people.by("alice", "vault", "close", vault, "--yes")
    wait_until("the keys' destruction", lambda: keys_destroyed(net, vault) == net.plan.validators)

    after = helped_by_all(net, record, kept)
    assert (after["shares"], after["seeds"], after["secret"]) == ([], [], None)
    assert after["tried"] > 0
    gone = sorted(set(before["labels"]) - set(after["labels"]))
    assert len(gone) == 1, "one key of each token, under one label"
    assert gone[0].startswith("vault-")
    needles = {f"share {number}": bytes.fromhex(share) for number, share in enumerate(before["shares"])}
    needles |= {f"seed {number}": bytes.fromhex(seed) for number, seed in enumerate(before["seeds"])}
    assert files_with([net.root], {**needles, "secret": secret}) == []
    same_app_hash(net)
