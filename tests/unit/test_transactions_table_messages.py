"""Every refusal of an authentic transaction: its own code, its body consumed, and nothing else changed."""

from __future__ import annotations

import pytest

from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.hashing import u32
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from abci_app.state.indexes import ORDER_KEYS
from abci_app.state.records import IDENTITIES, ORDERS, PARAMS, params
from tests.support.custody import Custody, k_of, request_key, single
from tests.support.table import Table, by_node, by_principal, check_consumed, ok
from tests.support.world import nonce, set_params

TABLE = Table()
case = TABLE.case


@case(Code.UNKNOWN_VAULT, "order")
def an_order_in_no_vault(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(vault=bytes(32)))


@case(Code.DUPLICATE, "vault")
def a_vault_opened_twice(custody: Custody) -> bytes:
    return by_principal(custody, open_vault(custody, nonce_=bytes(32)))


@case(Code.DUPLICATE, "order")
def an_order_placed_twice(custody: Custody) -> bytes:
    custody.place(fulfil=False)
    return by_principal(custody, custody.order_message())


@case(Code.DUPLICATE, "request")
def a_request_made_twice(custody: Custody) -> bytes:
    order = custody.place()
    custody.request(order)
    return custody.chain.tx(custody.beneficiary, custody.request_message(order))


def open_vault(custody: Custody, nonce_: bytes | None = None, **changes: object) -> tx_pb2.OpenVault:
    fields: dict[str, object] = {
        "nonce": nonce("second") if nonce_ is None else nonce_, "custodian": "hsm-realm",
        "fiduciaries": [founder.identity for founder in custody.chain.founders], **changes,
    }  # fmt: skip
    return tx_pb2.OpenVault(**fields)  # type: ignore[arg-type]


@case(Code.UNKNOWN_CUSTODIAN, "vault")
def a_vault_at_an_unknown_custodian(custody: Custody) -> bytes:
    return by_principal(custody, open_vault(custody, custodian="nobody"))


@case(Code.UNKNOWN_CUSTODIAN, "vault-name")
def a_custodian_with_a_name_that_is_not_ascii(custody: Custody) -> bytes:
    return by_principal(custody, open_vault(custody, custodian="hsm\u2010realm"))


@case(Code.FIELD_INVALID, "vault-fiduciaries")
def a_vault_that_names_a_fiduciary_twice(custody: Custody) -> bytes:
    return by_principal(custody, open_vault(custody, fiduciaries=[custody.chain.founders[0].identity] * 2))


@case(Code.FIELD_INVALID, "vault-fiduciaries")
def a_vault_of_nobody(custody: Custody) -> bytes:
    return by_principal(custody, open_vault(custody, fiduciaries=[]))


@case(Code.UNKNOWN_FIDUCIARY, "vault")
def a_vault_at_a_principal(custody: Custody) -> bytes:
    return by_principal(custody, open_vault(custody, fiduciaries=[custody.beneficiary.identity]))


@case(Code.FIDUCIARY_NOT_ACTIVE, "vault")
def a_vault_at_a_suspended_fiduciary(custody: Custody) -> bytes:
    assert custody.chain.run(custody.chain.founders[1], tx_pb2.SuspendIdentity()).code == Code.OK
    return by_principal(custody, open_vault(custody))


@case(Code.FIDUCIARY_NOT_ACTIVE, "order")
def an_order_at_a_suspended_fiduciary(custody: Custody) -> bytes:
    assert custody.chain.run(custody.chain.founders[1], tx_pb2.SuspendIdentity()).code == Code.OK
    return by_principal(custody, custody.order_message())


@case(Code.TOO_MANY, "open-vaults")
def one_vault_too_many(custody: Custody) -> bytes:
    set_params(custody.chain, max_open_vaults_per_identity=1)
    return by_principal(custody, open_vault(custody))


@case(Code.TOO_MANY, "open-orders")
def one_order_too_many(custody: Custody) -> bytes:
    custody.place(fulfil=False)
    set_params(custody.chain, max_open_orders_per_identity=1)
    return by_principal(custody, custody.order_message(nonce("second")))


@case(Code.TOO_MANY, "open-requests")
def one_request_too_many(custody: Custody) -> bytes:
    order = custody.place()
    custody.request(order)
    set_params(custody.chain, max_open_requests_per_order=1)
    return custody.chain.tx(custody.beneficiary, custody.request_message(order, nonce("second")))


@case(Code.ORDER_REQUESTS_SPENT)
def a_request_that_the_order_s_receipt_might_not_hold(custody: Custody) -> bytes:
    order = custody.place()
    record = custody.order(order)
    record.requests = record.expired_requests = (448 - 2 - 4 - 10) // 2 + 1  # so many fit beside one more of 10 acts
    leaf = (ORDERS.key(order), record.SerializeToString(deterministic=True))
    custody.chain.view.apply(Changes(leaves=(leaf,)))
    return custody.chain.tx(custody.beneficiary, custody.request_message(order))


@case(Code.KEY_REQUESTS_SPENT)
def more_requests_of_one_key_than_half(custody: Custody) -> bytes:
    order = custody.place()
    entry = (ORDER_KEYS.key(order, bytes(custody.beneficiary.tx_key.verify_key)), u32(50))
    custody.chain.view.apply(Changes(index=(entry,)))
    return custody.chain.tx(custody.beneficiary, custody.request_message(order))


@case(Code.NOT_NAMED, "vault-key")
def a_vault_key_of_a_fiduciary_that_is_not_named(custody: Custody) -> bytes:
    vault = ok(custody, by_principal(custody, open_vault(custody, fiduciaries=[custody.chain.founders[0].identity])))
    return by_node(custody, publish(custody, vault, 1), 1)


def publish(custody: Custody, vault: bytes, number: int) -> tx_pb2.PublishVaultKey:
    key = hpke.public_key_of(*request_key(custody.chain, custody.chain.founders[number]))
    return tx_pb2.PublishVaultKey(vault=vault, key=key)


@case(Code.NOT_NAMED, "vault")
def an_order_at_a_fiduciary_outside_the_vault(custody: Custody) -> bytes:
    first, second = (founder.identity for founder in custody.chain.founders[:2])
    vault = ok(custody, by_principal(custody, open_vault(custody, fiduciaries=[first])))
    message = custody.order_message(vault=vault, fiduciaries=[second], threshold=1, share_commitments=[bytes(32)])
    return by_principal(custody, message)


@case(Code.FIDUCIARY_WITHOUT_KEY, "order")
def an_order_before_the_vaults_keys_are_published(custody: Custody) -> bytes:
    vault = ok(custody, by_principal(custody, open_vault(custody)))
    return by_principal(custody, custody.order_message(vault=vault))


@case(Code.ALREADY_DONE, "vault-key")
def a_second_vault_key(custody: Custody) -> bytes:
    return by_node(custody, publish(custody, custody.vault, 1), 0)


@case(Code.BAD_HPKE_KEY)
def a_vault_key_of_low_order(custody: Custody) -> bytes:
    message = publish(custody, custody.vault, 0)
    message.key.x25519 = bytes(32)
    return by_node(custody, message)


@case(Code.VAULT_NOT_OPEN, "vault-key")
def a_vault_key_for_a_vault_that_closes(custody: Custody) -> bytes:
    vault = ok(custody, by_principal(custody, open_vault(custody)))
    ok(custody, by_principal(custody, tx_pb2.CloseVault(vault=vault)))
    return by_node(custody, publish(custody, vault, 0))


@case(Code.VAULT_HAS_OPEN_ORDERS)
def closing_a_vault_with_an_open_order(custody: Custody) -> bytes:
    custody.place(fulfil=False)
    return by_principal(custody, tx_pb2.CloseVault(vault=custody.vault))


@case(Code.VAULT_NOT_OPEN, "close-vault")
def closing_a_vault_that_closes(custody: Custody) -> bytes:
    ok(custody, by_principal(custody, tx_pb2.CloseVault(vault=custody.vault)))
    return by_principal(custody, tx_pb2.CloseVault(vault=custody.vault))


@case(Code.NOT_PRINCIPAL, "close-vault")
def closing_somebody_elses_vault(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, tx_pb2.CloseVault(vault=custody.vault))


@case(Code.NOT_PRINCIPAL, "place-order")
def an_order_in_somebody_elses_vault(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, custody.order_message())


@case(Code.NOT_PRINCIPAL, "cancel-closing")
def cancelling_the_closing_of_somebody_elses_vault(custody: Custody) -> bytes:
    ok(custody, by_principal(custody, tx_pb2.CloseVault(vault=custody.vault)))
    return custody.chain.tx(custody.beneficiary, tx_pb2.CancelCloseVault(vault=custody.vault))


@case(Code.VAULT_NOT_CLOSING)
def cancelling_what_is_not_closing(custody: Custody) -> bytes:
    return by_principal(custody, tx_pb2.CancelCloseVault(vault=custody.vault))


@case(Code.VAULT_NOT_CLOSED)
def erasing_before_the_delay_is_over(custody: Custody) -> bytes:
    ok(custody, by_principal(custody, tx_pb2.CloseVault(vault=custody.vault)))
    return by_node(custody, tx_pb2.ConfirmVaultErased(vault=custody.vault))


@case(Code.UNKNOWN_ORDER)
def closing_no_order(custody: Custody) -> bytes:
    return by_principal(custody, tx_pb2.CloseOrder(order=bytes(32)))


@case(Code.UNKNOWN_ORDER)
def an_orders_id_that_is_a_vaults(custody: Custody) -> bytes:
    return by_principal(custody, tx_pb2.CloseOrder(order=custody.vault))


@case(Code.NOT_PRINCIPAL, "close-order")
def closing_somebody_elses_order(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, tx_pb2.CloseOrder(order=custody.place(fulfil=False)))


@case(Code.UNKNOWN_CUSTODIAN, "other-than-vault")
def an_order_at_another_custodian_than_the_vaults(custody: Custody) -> bytes:
    changed = params(custody.chain.view)
    changed.custodians.add(name="shares", contribution_bytes=32, verifier=params_pb2.VERIFIER_NONE)
    leaf = (PARAMS.key(), changed.SerializeToString(deterministic=True))
    custody.chain.view.apply(Changes(leaves=(leaf,)))
    return by_principal(custody, custody.order_message(custodian="shares"))


@case(Code.FIELD_INVALID, "too-many-fiduciaries")
def an_order_at_more_fiduciaries_than_the_parameter_allows(custody: Custody) -> bytes:
    set_params(custody.chain, max_order_fiduciaries=3)
    return by_principal(custody, custody.order_message())


@case(Code.BAD_THRESHOLD, "order")
def a_threshold_of_nobody(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(threshold=0))


@case(Code.BAD_COMMITMENTS, "of-shares")
def an_order_without_a_commitment_to_its_key(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(key_commitment=b""))


@case(Code.BAD_POLICY, "node-count")
def a_policy_of_nothing(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(policy=pb.Policy()))


@case(Code.BAD_POLICY, "size")
def a_policy_larger_than_may_be(custody: Custody) -> bytes:
    many = k_of(1, *[nonce(n) for n in range(32)])
    return by_principal(custody, custody.order_message(policy=many))


@case(Code.BAD_RULE)
def a_rule_that_names_half_an_identity(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(rule=pb.BeneficiaryRule(identity=bytes(16))))


@case(Code.BAD_CID, "metadata")
def an_envelope_without_a_cid(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(envelope_cid=""))


@case(Code.BAD_EXPIRY, "over")
def an_order_that_is_over_when_it_is_placed(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(expires_at_time_s=custody.chain.time_s))


@case(Code.BAD_EXPIRY, "too-far")
def an_order_that_ends_after_all_time(custody: Custody) -> bytes:
    return by_principal(custody, custody.order_message(expires_at_height=2**64 - 1))


@case(Code.BAD_REJECTION)
def a_rejection_without_a_reason(custody: Custody) -> bytes:
    return by_node(custody, tx_pb2.RejectOrder(order=custody.place(fulfil=False)))


@case(Code.ORDER_NOT_OPEN, "order")
def a_fulfilment_of_a_closed_order(custody: Custody) -> bytes:
    order = custody.place(fulfil=False)
    ok(custody, by_principal(custody, tx_pb2.CloseOrder(order=order)))
    return by_node(custody, tx_pb2.FulfilOrder(order=order))


@case(Code.ORDER_NOT_ACTIVE, "request")
def a_request_before_the_order_is_active(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, custody.request_message(custody.place(fulfil=False)))


@case(Code.BAD_REQUEST_KEYS, "twice")
def a_request_with_one_key_for_two(custody: Custody) -> bytes:
    message = custody.request_message(custody.place())
    message.key_digests[1] = message.key_digests[0]
    return custody.chain.tx(custody.beneficiary, message)


@case(Code.BAD_REQUEST_KEYS, "count")
def a_request_with_a_key_too_few(custody: Custody) -> bytes:
    message = custody.request_message(custody.place())
    del message.key_digests[-1]
    return custody.chain.tx(custody.beneficiary, message)


@case(Code.NOT_BENEFICIARY, "rule")
def a_request_of_the_principal_itself(custody: Custody) -> bytes:
    return by_principal(custody, custody.request_message(custody.place(), signer=custody.principal))


@case(Code.AUTHORISATION_INVALID, "signature")
def a_request_that_nobody_authorised(custody: Custody) -> bytes:
    order = custody.place(rule=pb.BeneficiaryRule())
    return custody.chain.tx(custody.beneficiary, custody.request_message(order))


@case(Code.AUTHORISATION_INVALID, "signature")
def an_authorisation_of_a_principal_that_is_suspended(custody: Custody) -> bytes:
    order = custody.place(rule=pb.BeneficiaryRule())
    message = custody.request_message(order)
    asked = statements.request_id(custody.chain.gid, order, message.beneficiary, message.nonce)
    statement = statements.authorisation_statement(custody.chain.gid, asked, message)
    message.authorisation = custody.principal.tx_key.sign(statement).signature
    ok(custody, by_principal(custody, tx_pb2.SuspendIdentity()))
    return custody.chain.tx(custody.beneficiary, message)


@case(Code.AUTHORISATION_INVALID, "signature")
def an_authorisation_of_a_principal_whose_document_ran_out(custody: Custody) -> bytes:
    order = custody.place(rule=pb.BeneficiaryRule())
    message = custody.request_message(order)
    asked = statements.request_id(custody.chain.gid, order, message.beneficiary, message.nonce)
    statement = statements.authorisation_statement(custody.chain.gid, asked, message)
    message.authorisation = custody.principal.tx_key.sign(statement).signature
    record = IDENTITIES.get(custody.chain.view, custody.principal.identity)
    record.not_after_s = custody.chain.time_s
    encoded = record.SerializeToString(deterministic=True)
    custody.chain.view.apply(Changes(leaves=((IDENTITIES.key(record.id), encoded),)))
    return custody.chain.tx(custody.beneficiary, message)


@case(Code.POLICY_NOT_IN_FORCE, "release")
def a_request_before_its_time(custody: Custody) -> bytes:
    policy = single(custody.beneficiary.identity)
    policy.not_before_s = custody.chain.time_s + 1_000
    return custody.chain.tx(custody.beneficiary, custody.request_message(custody.place(policy=policy)))


@pytest.mark.parametrize("name", TABLE.make_of)
def test_a_refused_message_consumes_its_body_and_changes_nothing_else(name: str) -> None:
    check_consumed(TABLE, name)
