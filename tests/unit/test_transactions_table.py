"""Every bad transaction has a code of its own, and leaves state as it was: what is wrong with it as a transaction.

What messages refuse once a transaction is authentic stands in test_transactions_table_messages.py.
"""

from __future__ import annotations

import pytest
from nacl.signing import SigningKey

from abci_app import canonical
from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from tests.support.actors import Actor, body_bytes, seeded, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.custody import Custody
from tests.support.refusals import refused
from tests.support.table import Table
from tests.support.world import (
    DatedActor,
    body_of,
    field,
    fresh_custody,
    set_params,
    signed,
    snapshot,
    varint,
    with_s_plus_l,
    without_notes,
)

TABLE = Table()
case = TABLE.case
"""CheckTx and execution both answer the code, and the body is not consumed."""


def close(custody: Custody) -> tx_pb2.CloseVault:
    """A message that the principal may send and that the ledger accepts."""
    return tx_pb2.CloseVault(vault=custody.vault)


def parts(custody: Custody) -> tuple[bytes, bytes, bytes]:
    """(body, signer, signature) of an acceptable transaction."""
    tx = tx_pb2.SignedTx.FromString(signed(custody.chain, custody.principal, body_of(custody.chain, close(custody))))
    return tx.body, tx.signer, tx.signature


def signed_body(custody: Custody, body: bytes) -> bytes:
    return signed(custody.chain, custody.principal, body)


@case(Code.MALFORMED, "signer")
def nothing_at_all(_: Custody) -> bytes:
    return b""


@case(Code.MALFORMED, "transaction")
def bytes_that_do_not_parse(_: Custody) -> bytes:
    return b"\xff" * 40


@case(Code.MALFORMED, "transaction")
def a_group_that_does_not_end(_: Custody) -> bytes:
    return b"\x0b" * 200


@case(Code.MALFORMED, "signer")
def a_signer_of_31_bytes(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=signer[:31], signature=signature))


@case(Code.MALFORMED, "signer")
def a_signature_of_65_bytes(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=signer, signature=signature + b"\0"))


@case(Code.MALFORMED, "body")
def a_body_that_does_not_parse(custody: Custody) -> bytes:
    return signed_body(custody, b"\x0a\xff")


@case(Code.MALFORMED, "body")
def a_chain_id_that_is_not_utf8(custody: Custody) -> bytes:
    return signed_body(custody, field(1, b"\xc3\x28") + parts(custody)[0])


@case(Code.MALFORMED, "salt")
def a_salt_of_15_bytes(custody: Custody) -> bytes:
    return signed_body(custody, body_bytes(CHAIN_ID, close(custody), custody.chain.height + 5, bytes(15)))


@case(Code.MALFORMED, "message")
def no_message(custody: Custody) -> bytes:
    body = tx_pb2.TxBody(chain_id=CHAIN_ID, expires_at_height=custody.chain.height + 5, salt=bytes(16))
    return signed_body(custody, canonical.encode(body))


@case(Code.NOT_CANONICAL, "transaction")
def fields_in_another_order(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return field(2, signer) + field(1, body) + field(3, signature)


@case(Code.NOT_CANONICAL, "transaction")
def an_overlong_length(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return field(1, body, pad_bytes=2) + field(2, signer) + field(3, signature)


@case(Code.NOT_CANONICAL, "transaction")
def an_overlong_tag(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return varint(0x0A, 3) + varint(len(body)) + body + field(2, signer) + field(3, signature)


@case(Code.NOT_CANONICAL, "transaction")
def a_scalar_that_stands_twice(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return field(1, body) + field(2, bytes(32)) + field(2, signer) + field(3, signature)


@case(Code.NOT_CANONICAL, "transaction")
def an_unknown_field_outside(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return field(1, body) + field(2, signer) + field(3, signature) + field(99, b"more")


@case(Code.NOT_CANONICAL, "body")
def an_unknown_field_in_the_body(custody: Custody) -> bytes:
    return signed_body(custody, parts(custody)[0] + field(2000, b"more"))


@case(Code.NOT_CANONICAL, "body")
def an_unknown_field_deep_in_a_policy(custody: Custody) -> bytes:
    message = canonical.encode(custody.order_message())
    node = canonical.encode(custody.order_message().policy.nodes[0])
    policy = field(9, field(1, node))
    assert policy in message
    message = message.replace(policy, field(9, field(1, node + field(77, b"x"))))
    head = field(1, CHAIN_ID.encode()) + b"\x10" + varint(custody.chain.height + 5) + field(3, bytes(16))
    return signed_body(custody, head + field(32, message))


@case(Code.NOT_CANONICAL, "body")
def an_overlong_expiry(custody: Custody) -> bytes:
    message = canonical.encode(close(custody))
    head = field(1, CHAIN_ID.encode()) + b"\x10" + varint(custody.chain.height + 5, 4) + field(3, bytes(16))
    return signed_body(custody, head + field(26, message))


@case(Code.NOT_CANONICAL, "body")
def two_messages_in_one_body(custody: Custody) -> bytes:
    return signed_body(custody, parts(custody)[0] + field(27, canonical.encode(close(custody))))


@case(Code.NOT_CANONICAL, "body")
def a_default_that_is_written_out(custody: Custody) -> bytes:
    head = field(1, CHAIN_ID.encode()) + b"\x10" + varint(custody.chain.height + 5) + field(3, bytes(16))
    return signed_body(custody, head + field(33, field(1, b"")))


@case(Code.NOT_CANONICAL, "body")
def an_enum_wider_than_32_bits(custody: Custody) -> bytes:
    head = field(1, CHAIN_ID.encode()) + b"\x10" + varint(custody.chain.height + 5) + field(3, bytes(16))
    return signed_body(custody, head + field(34, field(1, bytes(32)) + b"\x10" + varint(2**33 + 1)))


@case(Code.TOO_LARGE)
def more_bytes_than_a_transaction_may_have(_: Custody) -> bytes:
    return bytes(65_537)


@case(Code.TOO_LARGE)
def an_acceptable_envelope_in_too_large_a_transaction(custody: Custody) -> bytes:
    set_params(custody.chain, max_tx_bytes=100)
    return signed_body(custody, parts(custody)[0])


@case(Code.TOO_COSTLY, "tx")
def more_cost_than_a_block_may_have(custody: Custody) -> bytes:
    set_params(custody.chain, max_block_cost=100)
    return signed_body(custody, parts(custody)[0])


@case(Code.WRONG_CHAIN)
def another_chain(custody: Custody) -> bytes:
    return signed_body(custody, body_of(custody.chain, close(custody), chain_id="dta-other"))


@case(Code.EXPIRED)
def expired(custody: Custody) -> bytes:
    return signed_body(custody, body_of(custody.chain, close(custody), expires_in=0))


@case(Code.EXPIRED)
def without_an_expiry(custody: Custody) -> bytes:
    return signed_body(custody, body_bytes(CHAIN_ID, close(custody), 0, bytes(16)))


@case(Code.EXPIRY_TOO_FAR)
def an_expiry_too_far_ahead(custody: Custody) -> bytes:
    return signed_body(custody, body_of(custody.chain, close(custody), expires_in=1_002))


@case(Code.EXPIRY_TOO_FAR)
def the_last_expiry_that_64_bits_hold(custody: Custody) -> bytes:
    return signed_body(custody, body_bytes(CHAIN_ID, close(custody), 2**64 - 1, bytes(16)))


@case(Code.REPLAYED)
def replayed(custody: Custody) -> bytes:
    tx = signed_body(custody, parts(custody)[0])
    assert custody.chain.block(tx).tx_results[0].code == Code.OK
    return tx


@case(Code.REPLAYED)
def replayed_after_it_failed(custody: Custody) -> bytes:
    tx = signed_body(custody, body_of(custody.chain, tx_pb2.CloseVault(vault=bytes(32))))
    refused(custody.chain.block(tx).tx_results[0], Code.UNKNOWN_VAULT, "named")
    return tx


@case(Code.REPLAYED)
def a_body_that_was_included_with_another_signature(custody: Custody) -> bytes:
    body, signer, _ = parts(custody)
    assert custody.chain.block(signed_body(custody, body)).tx_results[0].code == Code.OK
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=signer, signature=bytes(64)))


@case(Code.UNKNOWN_SIGNER, "newcomer")
def an_unknown_signer(custody: Custody) -> bytes:
    stranger = Actor("nobody", identity=seeded("nobody"))
    return signed(custody.chain, stranger, body_of(custody.chain, close(custody)))


@case(Code.UNKNOWN_SIGNER, "newcomer")
def a_rotation_of_nobody(custody: Custody) -> bytes:
    stranger = Actor("nobody", identity=seeded("nobody"))
    message = tx_pb2.RotateIdentity(envelope=custody.principal.next_document(custody.chain.gid))
    return signed(custody.chain, stranger, body_of(custody.chain, message))


@case(Code.UNKNOWN_SIGNER, "newcomer")
def a_revocation_of_nobody(custody: Custody) -> bytes:
    stranger = Actor("nobody", identity=seeded("nobody"))
    return signed(custody.chain, stranger, body_of(custody.chain, tx_pb2.RevokeIdentity(next_key=bytes(32))))


@case(Code.SIGNER_SUSPENDED)
def a_suspended_signer(custody: Custody) -> bytes:
    assert custody.chain.run(custody.principal, tx_pb2.SuspendIdentity()).code == Code.OK
    return signed_body(custody, parts(custody)[0])


@case(Code.SIGNER_SUSPENDED)
def a_suspended_fiduciary_by_its_node_key(custody: Custody) -> bytes:
    founder = custody.chain.founders[0]
    assert custody.chain.run(founder, tx_pb2.SuspendIdentity()).code == Code.OK
    message = tx_pb2.ConfirmVaultErased(vault=custody.vault)
    return signed(custody.chain, founder, body_of(custody.chain, message), founder.node_key)


@case(Code.SIGNER_REVOKED)
def a_revoked_signer(custody: Custody) -> bytes:
    revoke(custody, custody.principal)
    return signed_body(custody, parts(custody)[0])


@case(Code.SIGNER_REVOKED)
def a_rotation_of_a_revoked_identity(custody: Custody) -> bytes:
    revoke(custody, custody.principal)
    message = tx_pb2.RotateIdentity(envelope=custody.principal.next_document(custody.chain.gid))
    return signed(custody.chain, custody.principal, body_of(custody.chain, message), custody.principal.key(1))


def revoke(custody: Custody, actor: Actor) -> None:
    message = tx_pb2.RevokeIdentity(next_key=bytes(actor.key(1).verify_key))
    assert custody.chain.run(actor, message, key=actor.key(1)).code == Code.OK


@case(Code.SIGNER_NOT_VALID_NOW)
def a_signer_whose_document_ran_out(custody: Custody) -> bytes:
    dated = DatedActor("dated")
    dated.not_after_s = custody.chain.time_s + 100
    custody.chain.register(dated)
    custody.chain.block(seconds=100)
    return signed(custody.chain, dated, body_of(custody.chain, close(custody)))


@case(Code.BAD_SIGNATURE)
def signed_by_another(custody: Custody) -> bytes:
    return signed(custody.chain, custody.principal, parts(custody)[0], custody.beneficiary.tx_key)


@case(Code.BAD_SIGNATURE)
def re_attributed_to_another(custody: Custody) -> bytes:
    body, _, signature = parts(custody)
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=custody.beneficiary.identity, signature=signature))


@case(Code.BAD_SIGNATURE)
def signed_for_another_genesis(custody: Custody) -> bytes:
    return signed_tx(bytes(32), custody.principal.identity, custody.principal.tx_key, parts(custody)[0])


@case(Code.BAD_SIGNATURE)
def signed_by_the_next_key(custody: Custody) -> bytes:
    return signed(custody.chain, custody.principal, parts(custody)[0], custody.principal.key(1))


@case(Code.BAD_SIGNATURE)
def signed_by_the_key_before_the_rotation(custody: Custody) -> bytes:
    alice = custody.principal
    message = tx_pb2.RotateIdentity(envelope=alice.next_document(custody.chain.gid))
    assert custody.chain.run(alice, message, key=alice.key(1)).code == Code.OK
    return signed(custody.chain, alice, parts(custody)[0], alice.key(0))


@case(Code.BAD_SIGNATURE)
def a_rotation_signed_by_the_current_key(custody: Custody) -> bytes:
    message = tx_pb2.RotateIdentity(envelope=custody.principal.next_document(custody.chain.gid))
    return signed_body(custody, body_of(custody.chain, message))


@case(Code.BAD_SIGNATURE)
def with_one_bit_flipped(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    flipped = signature[:10] + bytes([signature[10] ^ 1]) + signature[11:]
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=signer, signature=flipped))


@case(Code.BAD_SIGNATURE)
def with_the_group_order_added_to_s(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=signer, signature=with_s_plus_l(signature)))


@case(Code.BAD_SIGNATURE)
def with_an_r_that_is_not_canonical(custody: Custody) -> bytes:
    body, signer, signature = parts(custody)
    r = (2**255 - 19 + 1).to_bytes(32, "little")
    return canonical.encode(tx_pb2.SignedTx(body=body, signer=signer, signature=r + signature[32:]))


@case(Code.BAD_SIGNATURE)
def a_body_that_differs_after_a_nul_byte(custody: Custody) -> bytes:
    salts = bytes(16), bytes(15) + b"\x01"
    first, second = (body_bytes(CHAIN_ID, close(custody), custody.chain.height + 5, salt) for salt in salts)
    tx = tx_pb2.SignedTx.FromString(signed_body(custody, first))
    return canonical.encode(tx_pb2.SignedTx(body=second, signer=tx.signer, signature=tx.signature))


@case(Code.BAD_SIGNATURE)
def a_registration_that_its_own_key_did_not_sign(custody: Custody) -> bytes:
    set_params(custody.chain, registration=params_pb2.REGISTRATION_OPEN)
    eve = Actor("eve")
    message = tx_pb2.RegisterIdentity(envelope=eve.enrol(custody.chain.gid))
    return signed(custody.chain, eve, body_of(custody.chain, message), SigningKey(bytes(32)))


@case(Code.NOT_ALLOWED, "node-key")
def a_node_key_under_a_decision(custody: Custody) -> bytes:
    founder = custody.chain.founders[0]
    return signed(custody.chain, founder, body_of(custody.chain, tx_pb2.SuspendIdentity()), founder.node_key)


@case(Code.NOT_ALLOWED, "node-key")
def a_node_key_under_a_sponsorship(custody: Custody) -> bytes:
    founder = custody.chain.founders[0]
    message = tx_pb2.RegisterIdentity(envelope=Actor("eve").enrol(custody.chain.gid))
    return signed(custody.chain, founder, body_of(custody.chain, message), founder.node_key)


@case(Code.NEXT_KEY_MISMATCH, "rotation")
def a_rotation_to_a_key_that_was_not_committed_to(custody: Custody) -> bytes:
    alice = custody.principal
    alice.generation = 1
    message = tx_pb2.RotateIdentity(envelope=alice.next_document(custody.chain.gid))
    return signed(custody.chain, alice, body_of(custody.chain, message), alice.key(2))


@case(Code.NEXT_KEY_MISMATCH, "revocation")
def a_revocation_by_the_current_key(custody: Custody) -> bytes:
    message = tx_pb2.RevokeIdentity(next_key=bytes(custody.principal.tx_key.verify_key))
    return signed_body(custody, body_of(custody.chain, message))


@case(Code.DOCUMENT_MALFORMED, "envelope")
def a_rotation_without_a_document(custody: Custody) -> bytes:
    return signed_body(custody, body_of(custody.chain, tx_pb2.RotateIdentity(envelope=b"\x01")))


@case(Code.SPONSOR_REQUIRED, "registration")
def a_registration_without_a_sponsor(custody: Custody) -> bytes:
    eve = Actor("eve")
    message = tx_pb2.RegisterIdentity(envelope=eve.enrol(custody.chain.gid))
    return signed(custody.chain, eve, body_of(custody.chain, message))


@case(Code.UNKNOWN_SIGNER, "document")
def a_registration_under_an_id_that_is_not_the_documents(custody: Custody) -> bytes:
    set_params(custody.chain, registration=params_pb2.REGISTRATION_OPEN)
    eve = Actor("eve")
    message = tx_pb2.RegisterIdentity(envelope=eve.enrol(custody.chain.gid))
    eve.identity = seeded("made up")
    return signed(custody.chain, eve, body_of(custody.chain, message))


@pytest.mark.parametrize("name", TABLE.make_of)
def test_a_transaction_that_is_not_authentic_or_not_in_date_changes_nothing_at_all(name: str) -> None:
    expected = TABLE.because_of[name]
    custody = fresh_custody()
    tx = TABLE.make_of[name](custody)
    before = snapshot(custody.chain)
    refused(custody.chain.check(tx), *expected)
    refused(custody.chain.check(tx, recheck=True), *expected)
    result = custody.chain.block(tx)
    refused(result.tx_results[0], *expected)
    assert result.tx_results[0].data == b""
    assert result.tx_results[0].events == ()
    assert without_notes(result.changes) == Changes()
    assert snapshot(custody.chain) == before


def test_the_transaction_that_the_table_breaks_is_accepted_whole() -> None:
    custody = fresh_custody()
    body, signer, signature = parts(custody)
    tx = field(1, body) + field(2, signer) + field(3, signature)
    assert custody.chain.check(tx).code == Code.OK
    assert custody.chain.block(tx).tx_results[0].code == Code.OK


def test_the_last_block_of_a_transaction_is_the_one_it_names() -> None:
    custody = fresh_custody()
    for _ in range(2):
        tx = signed_body(custody, body_of(custody.chain, close(custody), expires_in=1))
        assert custody.chain.check(tx).code == Code.OK
        custody.chain.block(seconds=1)
        refused(custody.chain.block(tx).tx_results[0], Code.EXPIRED)
    tx = signed_body(custody, body_of(custody.chain, close(custody), expires_in=1_001))
    assert custody.chain.block(tx).tx_results[0].code == Code.OK
