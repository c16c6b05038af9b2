"""How many registrations and rotations a block takes: what fails uses up nothing, and nobody uses up another's part."""

from __future__ import annotations

from collections import Counter

import pytest

from abci_app import canonical, cid
from abci_app.block import BlockResult
from abci_app.codes import Code
from abci_app.params import default_params
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2, params_pb2, tx_pb2
from tests.support.actors import Actor
from tests.support.chain import Chain
from tests.support.refusals import TAKEN, Because, because, refused

MOST = 8


def open_chain(**changes: int) -> Chain:
    """A chain where anybody registers itself, so many in a block."""
    params = default_params()
    params.registration, params.max_registrations = params_pb2.REGISTRATION_OPEN, MOST
    for name, value in changes.items():
        setattr(params, name, value)
    return Chain(4, params)


def itself(chain: Chain, name: str) -> bytes:
    newcomer = Actor(name)
    return chain.tx(newcomer, tx_pb2.RegisterIdentity(envelope=newcomer.enrol(chain.gid)))


def sponsored(chain: Chain, name: str, sponsor: Actor) -> bytes:
    return chain.tx(sponsor, tx_pb2.RegisterIdentity(envelope=Actor(name).enrol(chain.gid)))


def junk(chain: Chain, name: str) -> bytes:
    """A registration that costs the ledger all its checks and fails at the last: anybody makes it for nothing."""
    newcomer = Actor(name)
    envelope = envelope_pb2.Envelope.FromString(newcomer.enrol(chain.gid))
    document = identity_pb2.IdentityDocument.FromString(envelope.body)
    document.bls_proof = bytes(96)
    envelope.body = canonical.encode(document)
    return chain.tx(newcomer, tx_pb2.RegisterIdentity(envelope=canonical.encode(envelope)))


def rotation(chain: Chain, actor: Actor, generation: int = 1) -> bytes:
    message = tx_pb2.RotateIdentity(envelope=actor.next_document(chain.gid))
    return chain.tx(actor, message, key=actor.key(generation))


def names(result: BlockResult) -> Counter[str]:
    return Counter(Code(one.code).name for one in result.tx_results)


def test_registrations_that_fail_use_up_no_place_and_keep_no_rotation_out() -> None:
    chain = open_chain()
    alice = Actor("alice")
    chain.register(alice)
    failing = [junk(chain, f"junk-{number}") for number in range(MOST + 4)]
    good = [itself(chain, f"good-{number}") for number in range(MOST + 1)]
    result = chain.block(*failing, *good, rotation(chain, alice))
    assert names(result) == {"DOCUMENT_PROOF": MOST + 4, "OK": MOST + 1, "REGISTRATIONS_FULL": 1}
    assert [because(one) for one in result.tx_results[-2:]] == [Because(Code.REGISTRATIONS_FULL, "block"), TAKEN]


def test_each_sponsor_has_its_part_and_none_takes_anothers() -> None:
    chain = open_chain()
    one, other = chain.founders[:2]
    greedy = [sponsored(chain, f"greedy-{number}", one) for number in range(4)]
    modest = [sponsored(chain, f"modest-{number}", other) for number in range(2)]
    result = chain.block(*greedy, *modest)
    full = Because(Code.REGISTRATIONS_FULL, "sponsor")
    assert [because(each) for each in result.tx_results] == [TAKEN, TAKEN, full, full, TAKEN, TAKEN]


def test_who_registers_itself_keeps_no_sponsor_out() -> None:
    chain = open_chain()
    strangers = [itself(chain, f"stranger-{number}") for number in range(MOST)]
    mine = [sponsored(chain, f"mine-{number}", founder) for number, founder in enumerate(chain.founders)]
    result = chain.block(*strangers, *mine, itself(chain, "late"))
    assert names(result) == {"OK": MOST + 4, "REGISTRATIONS_FULL": 1}
    refused(result.tx_results[-1], Code.REGISTRATIONS_FULL, "block")


def test_sponsored_registrations_count_for_those_who_register_themselves() -> None:
    chain = open_chain()
    mine = [sponsored(chain, f"{n}-{founder.name}", founder) for founder in chain.founders for n in range(2)]
    result = chain.block(*mine, itself(chain, "stranger"))
    assert names(result) == {"OK": MOST, "REGISTRATIONS_FULL": 1}


@pytest.mark.parametrize("most", [1, 3])
def test_a_sponsor_has_one_at_least(most: int) -> None:
    chain = open_chain(max_registrations=most)
    first = [sponsored(chain, f"first-{founder.name}", founder) for founder in chain.founders]
    second = sponsored(chain, "second", chain.founders[0])
    assert names(chain.block(*first, second)) == {"OK": 4, "REGISTRATIONS_FULL": 1}


def test_rotations_count_with_no_registration_and_each_identity_has_one_a_block() -> None:
    chain = open_chain(max_registrations=1)
    actors = [Actor(name) for name in ("alice", "bob", "carol")]
    for actor in actors:
        chain.register(actor)
    first = [rotation(chain, actor) for actor in actors]
    alice = actors[0]
    again = Actor(alice.name, identity=alice.identity, generation=1)
    again.previous_cid = tx_previous(first[0])
    second = rotation(chain, again, generation=2)
    result = chain.block(*first, second)
    assert [because(one) for one in result.tx_results] == [TAKEN, TAKEN, TAKEN, Because(Code.TOO_MANY, "rotation")]
    assert chain.block(rotation(chain, again, generation=2)).tx_results[0].code == Code.OK


def tx_previous(tx: bytes) -> str:
    """The CID of the document that a rotation brings."""
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    return cid.cid_of(body.rotate_identity.envelope)
