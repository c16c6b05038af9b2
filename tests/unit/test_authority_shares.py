"""A node's own share: opened from the ledger each time, and only where it is the one that the ledger published."""

from __future__ import annotations

import pytest

from abci_app.authority import record
from abci_app.block import Changes
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.records import CEREMONY_PARTIES, DEALINGS
from dta.hsm import labels
from dta.node.ceremonies import shares
from dta.node.hooks.errors import CannotAnswer, Obstacle
from tests.support.ceremonies import Consortium, consortium
from tests.support.refusals import fault_of


@pytest.fixture
def world() -> Consortium:
    return consortium(3)


def rewrite(world: Consortium, ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> None:
    """Change a party's leaf, as a broken or lying application would."""
    leaf = (CEREMONY_PARTIES.key(ceremony.id, party.position), party.SerializeToString(deterministic=True))
    world.chain.view.apply(Changes(leaves=(leaf,)))


def last(world: Consortium, authority: bytes) -> pb.CeremonyRecord:
    return world.ceremony(world.authority(authority).last_ceremony)


def test_a_share_is_opened_and_never_printed(world: Consortium) -> None:
    authority = world.make()
    share = world.share(authority, world.chain.founders[0])
    assert repr(share) == "<redacted>"


def test_what_opens_and_is_not_the_published_share_is_not_used(world: Consortium) -> None:
    authority = world.make()
    actor, other = world.chain.founders[:2]
    ceremony = last(world, authority)
    party = world.party(ceremony, actor)
    party.public_share = world.party(ceremony, other).public_share
    rewrite(world, ceremony, party)
    with pytest.raises(shares.ShareUnusable, match="published"):
        world.share(authority, actor)


def test_a_dealing_that_does_not_open_is_named(world: Consortium) -> None:
    """Nothing of the sort is ever in an epoch: a dispute would have taken it out. The node says who, all the same."""
    authority = world.make()
    actor, dealer = world.chain.founders[:2]
    ceremony = last(world, authority)
    party = world.party(ceremony, dealer)
    key = DEALINGS.key(ceremony.id, party.position, 0)
    made = pb.Dealing.FromString(world.chain.view.get(key) or b"")
    index = world.party(ceremony, actor).index - 1
    made.shares[index] = bytes([made.shares[index][0] ^ 0x80]) + made.shares[index][1:]
    encoded = made.SerializeToString(deterministic=True)
    party.dealing_digest = record.dealing_digest(encoded)
    world.chain.view.apply(Changes(leaves=((key, encoded),)))
    rewrite(world, ceremony, party)
    with pytest.raises(shares.ShareUnusable, match=dealer.identity.hex()):
        world.share(authority, actor)


def test_without_a_seat_without_an_epoch_and_without_the_key_there_is_no_share(world: Consortium) -> None:
    authority = world.make()
    actor = world.chain.founders[0]
    store, view, gid = world.keystores[actor.identity], world.chain.view, world.chain.gid
    with pytest.raises(shares.ShareUnusable, match="no seat"):
        shares.share_of(store, view, gid, bytes(31) + b"\x01", authority, 1)
    with pytest.raises(shares.ShareUnusable, match="never came into force"):
        shares.share_of(store, view, gid, actor.identity, authority, 2)
    store.destroy(labels.receive(gid, last(world, authority).id))
    with pytest.raises(shares.ShareUnusable, match="receive key"):
        world.share(authority, actor)


def test_a_record_that_is_not_its_digest_is_not_worked_on(world: Consortium) -> None:
    authority = world.make()
    actor, other = world.chain.founders[:2]
    ceremony = last(world, authority)
    party = world.party(ceremony, other)
    party.receive_key = world.party(ceremony, actor).receive_key
    rewrite(world, ceremony, party)
    assert fault_of(lambda: world.share(authority, actor), CannotAnswer) is Obstacle.CEREMONY_RECORD
