"""A node's hook deals and confirms on a record that is its own hash, and on no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_app.block import Changes
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from abci_app.state.records import CEREMONIES
from dta.hsm import labels
from dta.node.ceremonies import attempt
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import _no_shares
from tests.support.ceremonies import Consortium, consortium
from tests.support.refusals import fault_of


@pytest.fixture
def world() -> Consortium:
    return consortium(3)


def dealing(world: Consortium) -> pb.CeremonyRecord:
    authority = world.create()
    world.consent(authority)
    return world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)


def put(world: Consortium, record: pb.CeremonyRecord, ceremony: bytes) -> None:
    """State says this of the ceremony, as a defect or a damaged disk would have it."""
    leaf = (CEREMONIES.key(ceremony), record.SerializeToString(deterministic=True))
    world.chain.view.apply(Changes(leaves=(leaf,)))


@pytest.mark.parametrize("field", ["id", "epoch", "attempt", "authority"])
def test_a_record_whose_id_is_not_what_its_fields_give_is_not_acted_on(world: Consortium, field: str) -> None:
    """The digest of the record is right: it is over parties and what they knew, and would not tell."""
    record = dealing(world)
    ceremony, me = record.id, world.chain.founders[0].identity
    attempt.load(world.chain.view, world.chain.gid, ceremony, me)
    value = getattr(record, field)
    setattr(record, field, bytes(32) if isinstance(value, bytes) else value + 1)
    put(world, record, ceremony)
    found = fault_of(lambda: attempt.load(world.chain.view, world.chain.gid, ceremony, me), CannotAnswer)
    assert found is Obstacle.CEREMONY_ID


def test_a_record_that_is_not_what_its_digest_names_is_not_acted_on(world: Consortium) -> None:
    record = dealing(world)
    record.record_digest = bytes(32)
    put(world, record, record.id)
    me = world.chain.founders[0].identity
    found = fault_of(lambda: attempt.load(world.chain.view, world.chain.gid, record.id, me), CannotAnswer)
    assert found is Obstacle.CEREMONY_RECORD


def test_who_has_no_part_in_it_owes_nothing(world: Consortium) -> None:
    record = dealing(world)
    with pytest.raises(NotDue):
        attempt.load(world.chain.view, world.chain.gid, record.id, bytes(32))
    with pytest.raises(NotDue):
        attempt.load(world.chain.view, world.chain.gid, bytes(32), world.chain.founders[0].identity)


def test_a_share_that_does_not_open_is_neither_confirmed_nor_passed_on(world: Consortium) -> None:
    authority = world.create()
    world.consent(authority)
    record = world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    actor = world.chain.founders[0]
    world.keystores[actor.identity].destroy(labels.receive(world.chain.gid, record.id))
    confirm = Job(DueKind.CONFIRM_SHARE, record.id)
    assert fault_of(lambda: world.answer(actor, confirm), CannotAnswer) is Obstacle.NEW_SHARE
    world.run(authority)
    world.reshare(authority)
    refresh = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    deal = Job(DueKind.DEAL_SHARES, refresh.id)
    assert fault_of(lambda: world.answer(actor, deal), CannotAnswer) is Obstacle.OLD_SHARE


def test_a_program_that_opens_no_shares_answers_nothing_with_one(world: Consortium) -> None:
    tools = replace(world.tools(world.chain.founders[0]), share_of=_no_shares)
    assert fault_of(lambda: tools.share_of(world.chain.view, bytes(32), 1), CannotAnswer) is Obstacle.NO_SHARES
