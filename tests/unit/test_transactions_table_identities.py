"""Every refusal of a registration or a rotation that is authentic: its own code, and nothing but its body consumed."""

from __future__ import annotations

import pytest

from abci_app.codes import Code
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from tests.support.actors import Actor
from tests.support.custody import Custody
from tests.support.table import Table, by_principal, check_consumed
from tests.support.world import DatedActor, set_params

TABLE = Table()
case = TABLE.case


def sponsored(custody: Custody, envelope: bytes) -> bytes:
    return custody.chain.tx(custody.chain.founders[0], tx_pb2.RegisterIdentity(envelope=envelope))


def rotation(custody: Custody, envelope: bytes) -> bytes:
    alice = custody.principal
    return custody.chain.tx(alice, tx_pb2.RotateIdentity(envelope=envelope), key=alice.key(1))


@case(Code.DOCUMENT_MALFORMED, "envelope")
def a_document_of_no_bytes(custody: Custody) -> bytes:
    return sponsored(custody, b"")


@case(Code.DOCUMENT_MALFORMED, "tx_key")
def a_document_with_a_key_of_small_order(custody: Custody) -> bytes:
    eve = Actor("eve")
    document = eve.document(custody.chain.gid)
    document.tx_key = (1).to_bytes(32, "little")
    return sponsored(custody, eve.sealed_document(custody.chain.gid, document))


@case(Code.DOCUMENT_MALFORMED, "tx_key")
def a_document_with_a_key_in_another_encoding(custody: Custody) -> bytes:
    eve = Actor("eve")
    document = eve.document(custody.chain.gid)
    document.tx_key = (2**255 - 19 + 3).to_bytes(32, "little")
    return sponsored(custody, eve.sealed_document(custody.chain.gid, document))


@case(Code.DOCUMENT_MALFORMED, "node_key-of-others")
def a_principal_with_a_node_key(custody: Custody) -> bytes:
    eve = Actor("eve")
    document = eve.document(custody.chain.gid)
    document.node_key = bytes(eve.node_key.verify_key)
    return sponsored(custody, eve.sealed_document(custody.chain.gid, document))


@case(Code.DOCUMENT_CHAIN, "first")
def a_second_document_as_the_first(custody: Custody) -> bytes:
    return sponsored(custody, custody.principal.next_document(custody.chain.gid))


@case(Code.DOCUMENT_CHAIN, "previous")
def a_rotation_with_a_first_document(custody: Custody) -> bytes:
    document = custody.principal.document(custody.chain.gid, 1)
    return rotation(custody, custody.principal.sealed_document(custody.chain.gid, document, 1))


@case(Code.DOCUMENT_CHAIN, "previous")
def a_rotation_that_follows_an_older_document(custody: Custody) -> bytes:
    custody.principal.previous_cid = custody.beneficiary.previous_cid
    return rotation(custody, custody.principal.next_document(custody.chain.gid))


@case(Code.DOCUMENT_CHAIN, "role")
def a_rotation_that_makes_a_fiduciary(custody: Custody) -> bytes:
    custody.principal.fiduciary = True
    return rotation(custody, custody.principal.next_document(custody.chain.gid))


@case(Code.SPONSOR_REQUIRED, "sponsor")
def a_sponsor_that_is_no_fiduciary(custody: Custody) -> bytes:
    message = tx_pb2.RegisterIdentity(envelope=Actor("eve").enrol(custody.chain.gid))
    return by_principal(custody, message)


@case(Code.IDENTITY_EXISTS)
def an_identity_that_exists(custody: Custody) -> bytes:
    return sponsored(custody, custody.principal.block)


@case(Code.REGISTRATIONS_FULL, "block")
def more_registrations_than_a_block_takes(custody: Custody) -> bytes:
    set_params(custody.chain, max_registrations=0, registration=params_pb2.REGISTRATION_OPEN)
    eve = Actor("eve")
    return custody.chain.tx(eve, tx_pb2.RegisterIdentity(envelope=eve.enrol(custody.chain.gid)))


@case(Code.DOCUMENT_NOT_VALID_NOW, "registered")
def a_document_that_ran_out(custody: Custody) -> bytes:
    dated = DatedActor("dated")
    dated.not_after_s = custody.chain.time_s
    return sponsored(custody, dated.enrol(custody.chain.gid))


@case(Code.DOCUMENT_NOT_VALID_NOW, "rotated")
def a_next_document_that_ran_out(custody: Custody) -> bytes:
    alice = custody.principal
    document = alice.document(custody.chain.gid, 1)
    document.identity, document.previous_cid = alice.identity, alice.previous_cid
    document.not_after_s = custody.chain.time_s
    return rotation(custody, alice.sealed_document(custody.chain.gid, document, 1))


@case(Code.DOCUMENT_PROOF, "tx-key")
def a_key_that_somebody_else_holds(custody: Custody) -> bytes:
    """Key takeover: the victim's key in the attacker's document, of which the attacker can't prove possession."""
    eve = Actor("eve")
    document = eve.document(custody.chain.gid)
    document.tx_key = bytes(custody.principal.key(1).verify_key)
    return sponsored(custody, eve.sealed_document(custody.chain.gid, document))


@case(Code.DOCUMENT_PROOF, "bls")
def a_bls_key_that_somebody_else_holds(custody: Custody) -> bytes:
    eve = Actor("eve")
    document = eve.document(custody.chain.gid)
    document.bls_key = custody.principal.bls_key.public_key
    return sponsored(custody, eve.sealed_document(custody.chain.gid, document))


@case(Code.DOCUMENT_PROOF, "tx-key")
def a_document_proved_on_another_chain(custody: Custody) -> bytes:
    return sponsored(custody, Actor("eve").enrol(bytes(32)))


@case(Code.KEY_TAKEN)
def a_key_that_belongs_to_an_identity(custody: Custody) -> bytes:
    twin = Actor("alice")
    document = twin.document(custody.chain.gid)
    document.endpoints.add(kind="gateway", url="http://twin")
    return sponsored(custody, twin.sealed_document(custody.chain.gid, document))


@case(Code.KEY_TAKEN)
def a_new_transaction_key_with_a_bls_key_that_belongs_to_an_identity(custody: Custody) -> bytes:
    """The first key was taken already when the second is refused: both must be given back."""
    twin = Actor("alice")
    document = twin.document(custody.chain.gid, 5)
    return sponsored(custody, twin.sealed_document(custody.chain.gid, document, 5))


@pytest.mark.parametrize("name", TABLE.make_of)
def test_a_refused_document_consumes_its_body_and_changes_nothing_else(name: str) -> None:
    check_consumed(TABLE, name)
