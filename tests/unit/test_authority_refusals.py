"""What the ledger refuses of proposals about authorities and of a ceremony's messages, each with its code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2, tx_pb2
from abci_app.state.due import DueKind
from dta.node.hooks.errors import NotDue
from dta.node.hooks.plan import Job
from tests.support.ceremonies import Consortium, consortium, ids
from tests.support.misdealing import accusation, dealt
from tests.support.refusals import Because, refused

NONCE = bytes([9]) * 32


@cache
def world() -> Consortium:
    """Three fiduciaries: one key in force, one that waits for consent. Nothing here changes it but what is refused."""
    made = consortium(3, max_open_ceremonies=2)
    made.make()
    made.create()
    return made


def key() -> bytes:
    return _by_status(pb.AUTHORITY_STATUS_ACTIVE)


def waiting() -> bytes:
    return _by_status(pb.AUTHORITY_STATUS_PENDING)


def _by_status(status: pb.AuthorityStatus) -> bytes:
    records = [pb.AuthorityRecord.FromString(value) for _, value in world().chain.view.scan(b"authority/")]
    return next(record.id for record in records if record.status == status)


def create(**changes: object) -> governance_pb2.Action:
    given = {
        "purpose": pb.PURPOSE_SIGNING, "name": "another", "members": ids(world().chain.founders), "nonce": NONCE,
    } | changes  # fmt: skip
    return governance_pb2.Action(create_authority=pb.CreateAuthority(**given))  # type: ignore[arg-type]


def reshare(authority: bytes, **changes: object) -> governance_pb2.Action:
    given = {"authority": authority, "members": ids(world().chain.founders)} | changes
    return governance_pb2.Action(reshare_authority=pb.ReshareAuthority(**given))  # type: ignore[arg-type]


PROPOSALS: dict[str, tuple[Callable[[], governance_pb2.Action], Code]] = {
    "an mfa key without a realm": (lambda: create(purpose=pb.PURPOSE_MFA), Because(Code.BAD_AUTHORITY, "purpose")),
    "no purpose": (lambda: create(purpose=0), Because(Code.BAD_AUTHORITY, "purpose")),
    "no name": (lambda: create(name=""), Because(Code.BAD_AUTHORITY, "name")),
    "an interval too short": (
        lambda: create(refresh_interval_blocks=19), Because(Code.BAD_AUTHORITY, "refresh-interval"),
    ),
    "a nonce too short": (lambda: create(nonce=b"short"), Because(Code.FIELD_INVALID, "nonce")),
    "no members": (lambda: create(members=[]), Because(Code.BAD_MEMBERS, "list")),
    "members out of order": (
        lambda: create(members=ids(world().chain.founders)[::-1]), Because(Code.BAD_MEMBERS, "list"),
    ),
    "a member twice": (lambda: create(members=ids(world().chain.founders[:1]) * 2), Because(Code.BAD_MEMBERS, "list")),
    "a member that is no fiduciary": (lambda: create(members=[bytes(32)]), Because(Code.BAD_MEMBERS, "not-active")),
    "a member's id cut": (lambda: create(members=[bytes(31)]), Because(Code.BAD_MEMBERS, "id")),
    "a threshold above the members": (lambda: create(threshold=4), Because(Code.BAD_THRESHOLD, "authority")),
    "a threshold of one among several": (lambda: create(threshold=1), Because(Code.BAD_THRESHOLD, "authority")),
    "an authority that is not there": (lambda: reshare(bytes(32)), Because(Code.UNKNOWN_AUTHORITY, "reshared")),
    "one that has no key": (lambda: reshare(waiting()), Because(Code.AUTHORITY_NOT_ACTIVE, "reshared")),
    "a reshare to nobody": (lambda: reshare(key(), members=[]), Because(Code.BAD_MEMBERS, "list")),
    "a reshare to a stranger": (lambda: reshare(key(), members=[bytes(32)]), Because(Code.BAD_MEMBERS, "not-active")),
}  # fmt: skip


@pytest.mark.parametrize("name", PROPOSALS)
def test_a_proposal_that_can_not_be_is_refused_when_it_is_made(name: str) -> None:
    make, code = PROPOSALS[name]
    chain = world().chain
    result = chain.run(chain.founders[0], governance_pb2.Propose(nonce=NONCE, action=make()))
    refused(result, *code)


def test_no_more_ceremonies_than_may_be_and_none_beside_one_under_way() -> None:
    here = consortium(3, max_open_ceremonies=2)
    chain, proposer = here.chain, here.chain.founders[0]
    authority = here.make()
    here.create()
    here.reshare(authority)
    propose = governance_pb2.Propose(nonce=NONCE, action=create())
    refused(chain.run(proposer, propose), Code.TOO_MANY_CEREMONIES)
    again = governance_pb2.Propose(nonce=NONCE, action=reshare(authority, members=ids(chain.founders)))
    refused(chain.run(proposer, again), Code.CEREMONY_UNDER_WAY)


def test_the_same_nonce_makes_no_second_authority() -> None:
    here = consortium(3)
    proposer = here.chain.founders[0]
    here.decide(create(members=ids(here.chain.founders)))
    propose = governance_pb2.Propose(nonce=bytes(32), action=create(members=ids(here.chain.founders)))
    refused(here.chain.run(proposer, propose), Code.DUPLICATE, "authority")


def test_what_comes_from_whom_it_should_not_or_when_it_should_not_is_refused() -> None:
    here = consortium(4)
    chain = here.chain
    outsider, insiders = chain.founders[3], chain.founders[:3]
    authority = here.create(*insiders)
    ceremony = here.authority(authority).ceremony
    asked = here.ceremony(ceremony)
    consent = pb.ConsentCeremony(first=asked.first, terms=asked.terms)
    refused(chain.run(outsider, consent), Code.NOT_IN_CEREMONY, "party")
    refused(chain.run(insiders[0], pb.ConsentCeremony(first=bytes(32), terms=asked.terms)), Code.UNKNOWN_CEREMONY)
    other = pb.ConsentCeremony(first=asked.first, terms=bytes(32))
    refused(chain.run(insiders[0], other), Code.WRONG_TERMS)
    refused(chain.run(insiders[0], consent, key=insiders[0].node_key), Code.NOT_ALLOWED, "node-key")
    assert chain.run(insiders[0], consent).code == Code.OK
    refused(chain.run(insiders[0], consent), Code.ALREADY_DONE, "consented")
    here.consent(authority, *insiders[1:])
    refused(chain.run(insiders[1], consent), Code.WRONG_PHASE, "phase")
    accepted = here.answer(insiders[0], here.jobs(insiders[0])[0])
    refused(chain.result(outsider, accepted), Code.NOT_IN_CEREMONY, "party")
    refused(chain.result(insiders[1], accepted), Code.ACCEPT_PROOF)
    assert chain.result(insiders[0], accepted).code == Code.OK
    refused(chain.result(insiders[0], accepted), Code.ALREADY_DONE, "accepted")
    refused(chain.result(insiders[0], pb.DealShares(ceremony=ceremony)), Code.DEALING_MALFORMED, "count")
    refused(chain.result(insiders[0], pb.ConfirmShare(ceremony=ceremony)), Code.FIELD_INVALID, "proof")
    record = here.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    made = dealt(here, insiders[0], record.id)
    refused(chain.result(outsider, made), Code.NOT_IN_CEREMONY, "party")
    refused(chain.result(insiders[1], made), Code.DEALING_PROOF, "proof")
    here.down = [insiders[2]]
    _to_dispute(here, authority)
    accused = accusation(here, insiders[0], insiders[1], record.id)
    ghost = pb.Accusation(dealer=insiders[2].identity, opened=accused.opened, proof=accused.proof)
    nobody = pb.DisputeDealings(ceremony=record.id, accusations=[ghost])
    refused(chain.result(insiders[0], nobody), Code.NO_DEALING)
    twice = pb.DisputeDealings(ceremony=record.id, accusations=[accused, accused])
    refused(chain.result(insiders[0], twice), Code.FIELD_INVALID, "accusations")
    point = pb.Accusation(dealer=insiders[1].identity, opened=bytes(48), proof=accused.proof)
    bad = pb.DisputeDealings(ceremony=record.id, accusations=[point])
    refused(chain.result(insiders[0], bad), Code.BAD_CURVE_POINT, "opened")
    mine = here.answer(insiders[0], Job(DueKind.DISPUTE_DEALINGS, record.id))
    refused(chain.result(outsider, mine), Code.NOT_IN_CEREMONY, "party")


def _to_dispute(here: Consortium, authority: bytes) -> None:
    """Everybody but those who are down has dealt, and the window is over."""
    while here.ceremony(here.authority(authority).ceremony).phase == pb.CEREMONY_PHASE_DEAL:
        here.step()


def test_who_changed_its_identity_since_the_record_was_frozen_is_told_so() -> None:
    here = consortium(3)
    authority = here.create()
    here.consent(authority)
    record = here.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    actor = here.chain.founders[0]
    made = dealt(here, actor, record.id)
    actor.previous_cid = cid_of(actor.block)
    rotation = tx_pb2.RotateIdentity(envelope=actor.next_document(here.chain.gid))
    assert here.chain.run(actor, rotation, key=actor.key(1)).code == Code.OK
    actor.generation = 1
    refused(here.chain.result(actor, made), Code.PARTY_EXCLUDED, "dealing")
    with pytest.raises(NotDue):  # and its hook does not even try
        here.answer(actor, Job(DueKind.DEAL_SHARES, record.id))
