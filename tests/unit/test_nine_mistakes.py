"""The nine mistakes of what this succeeds (Apache Milagro D-TA, 2019), each shown not to be made again.

The numbers are those of the project's notes on prior art.
"""

from __future__ import annotations

import pytest

from abci_app import canonical, envelope
from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import envelope_pb2, tx_pb2
from abci_app.state.records import ORDERS
from tests.support.actors import Actor, body_bytes, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.custody import SEALED, Custody, single
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import fresh_custody, nonce


@pytest.fixture
def custody() -> Custody:
    return fresh_custody()


# 1. Signatures covered almost nothing: hashing stopped at the first NUL, documents were unverified, the signer outside.


def test_1_a_signature_covers_every_byte_after_a_nul_too(custody: Custody) -> None:
    body = body_bytes(CHAIN_ID, tx_pb2.CloseVault(vault=custody.vault), custody.chain.height + 9, bytes(16))
    alice = custody.principal
    good = tx_pb2.SignedTx.FromString(signed_tx(custody.chain.gid, alice.identity, alice.tx_key, body))
    for position in range(len(body)):
        changed = body[:position] + bytes([body[position] ^ 0x20]) + body[position + 1 :]
        tx = tx_pb2.SignedTx(body=changed, signer=good.signer, signature=good.signature)
        result = custody.chain.check(canonical.encode(tx))
        assert result.code != Code.OK, position


def test_1_the_signer_is_inside_what_is_signed(custody: Custody) -> None:
    signer, other, body = custody.principal.identity, custody.beneficiary.identity, b"body"
    gid = custody.chain.gid
    assert signer in statements.signed_tx_bytes(gid, signer, body)
    assert statements.signed_tx_bytes(gid, signer, body) != statements.signed_tx_bytes(gid, other, body)
    assert statements.signed_tx_bytes(gid, signer, b"a\0b") != statements.signed_tx_bytes(gid, signer, b"a\0c")


def test_1_every_part_of_an_identity_document_is_proved(custody: Custody) -> None:
    eve = Actor("eve", fiduciary=True)
    block = eve.enrol(custody.chain.gid)
    decoded = envelope_pb2.Envelope.FromString(block)
    document = type(eve.document(None)).FromString(decoded.body)
    sponsor = custody.chain.founders[0]
    for name, expected in (
        ("tx_key_proof", Because(Code.DOCUMENT_PROOF, "tx-key")),
        ("node_key_proof", Because(Code.DOCUMENT_PROOF, "node-key")),
        ("bls_proof", Because(Code.DOCUMENT_PROOF, "bls")),
    ):
        changed = type(document)()
        changed.CopyFrom(document)
        proof = getattr(changed, name)
        setattr(changed, name, proof[:-1] + bytes([proof[-1] ^ 1]))
        forged = envelope_pb2.Envelope()
        forged.CopyFrom(decoded)
        forged.body = canonical.encode(changed)
        result = custody.chain.run(sponsor, tx_pb2.RegisterIdentity(envelope=canonical.encode(forged)))
        refused(result, *expected, why=name)
    renamed = type(document)()
    renamed.CopyFrom(document)
    renamed.name = "adam"
    decoded.body = canonical.encode(renamed)
    result = custody.chain.run(sponsor, tx_pb2.RegisterIdentity(envelope=canonical.encode(decoded)))
    refused(result, Code.DOCUMENT_PROOF, "tx-key")


# 2. Envelopes used SIKE, which is broken, and CBC without authentication.


def test_2_envelopes_seal_with_a_hybrid_kem_and_an_aead() -> None:
    assert hpke.ENCAPSULATION_BYTES == 1_088 + 32, "ML-KEM-768 and X25519"
    seed = nonce("seed")
    key = hpke.decode_key(hpke.public_key_of(seed + seed, seed))
    sealed = hpke.SUITE.encrypt(b"secret", key, b"info")
    assert hpke.open_sealed(seed + seed, seed, b"info", sealed) == b"secret"
    for position in (0, 600, 1_087, 1_088, 1_119, 1_120, len(sealed) - 1):
        changed = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(hpke.CannotOpen):
            hpke.open_sealed(seed + seed, seed, b"info", changed)
    with pytest.raises(hpke.CannotOpen):
        hpke.open_sealed(seed + seed, seed, b"another context", sealed)


# 3. Anyone who knew a reference could redeem another's secret.


def test_3_to_know_an_orders_reference_is_not_to_receive_its_secret(custody: Custody) -> None:
    order = custody.place()
    eve = Actor("eve")
    custody.chain.register(eve)
    for signer in (eve, custody.principal, *custody.chain.founders):
        refused(custody.chain.run(signer, custody.request_message(order, signer=signer)), Code.NOT_BENEFICIARY, "rule")
    in_bobs_name = custody.request_message(order)
    refused(custody.chain.run(eve, in_bobs_name), Code.NOT_BENEFICIARY, "signer")
    assert custody.chain.run(custody.beneficiary, in_bobs_name).code == Code.OK


def test_3_an_answer_is_sealed_for_one_request_one_fiduciary_and_one_share() -> None:
    infos = {
        statements.answer_seal_info(gid, request, fiduciary, index, commitment)
        for gid in (nonce(1), nonce(2)) for request in (nonce(3), nonce(4)) for fiduciary in (nonce(5), nonce(6))
        for index in (1, 2) for commitment in (nonce(7), nonce(8))
    }  # fmt: skip
    assert len(infos) == 32


# 4. Replaying an order made its seed again, and so destroyed it.


def test_4_placing_an_order_again_changes_nothing(custody: Custody) -> None:
    tx = custody.chain.tx(custody.principal, custody.order_message())
    order = custody.chain.block(tx).tx_results[0].data
    before = ORDERS.get(custody.chain.view, order)
    refused(custody.chain.block(tx).tx_results[0], Code.REPLAYED)
    refused(custody.chain.run(custody.principal, custody.order_message()), Code.DUPLICATE, "order")
    changed = custody.order_message(key_commitment=nonce("another"))
    refused(custody.chain.run(custody.principal, changed), Code.DUPLICATE, "order")
    assert ORDERS.get(custody.chain.view, order) == before


def test_4_a_published_vault_key_is_never_replaced(custody: Custody) -> None:
    founder, seed = custody.chain.founders[0], nonce("new key")
    message = tx_pb2.PublishVaultKey(vault=custody.vault, key=hpke.public_key_of(seed + seed, seed))
    refused(custody.chain.result(founder, message), Code.ALREADY_DONE, "vault-key")


# 5. A missing seed was silently taken as empty: a key that anyone could compute.


def test_5_a_missing_vault_key_is_an_error(custody: Custody) -> None:
    ids = [founder.identity for founder in custody.chain.founders]
    message = tx_pb2.OpenVault(nonce=nonce("second"), custodian="hsm-realm", fiduciaries=ids)
    vault = custody.chain.run(custody.principal, message).data
    result = custody.chain.run(custody.principal, custody.order_message(vault=vault))
    refused(result, Code.FIDUCIARY_WITHOUT_KEY, "order")


@pytest.mark.parametrize("missing", ["mlkem768", "x25519"])
def test_5_an_empty_key_is_no_key(custody: Custody, missing: str) -> None:
    ids = [custody.chain.founders[0].identity]
    message = tx_pb2.OpenVault(nonce=nonce("second"), custodian="hsm-realm", fiduciaries=ids)
    vault = custody.chain.run(custody.principal, message).data
    seed = nonce("key")
    key = hpke.public_key_of(seed + seed, seed)
    key.ClearField(missing)
    publish = tx_pb2.PublishVaultKey(vault=vault, key=key)
    refused(custody.chain.result(custody.chain.founders[0], publish), Code.BAD_HPKE_KEY)


# 6. The plaintext, or final private keys, went on the chain.


def test_6_what_goes_on_the_chain_for_a_secret_is_sealed_to_a_fixed_length(custody: Custody) -> None:
    request = custody.request(custody.place())
    for sealed in (b"the secret itself", SEALED[:-1], SEALED + b"\0", b""):
        result = custody.chain.result(custody.chain.founders[0], tx_pb2.FulfilSecret(request=request, sealed=sealed))
        refused(result, Code.FIELD_INVALID, "sealed")


def test_6_the_one_private_key_on_the_chain_opens_one_bad_answer_only(custody: Custody) -> None:
    """ReportShare reveals the request's key for one fiduciary: no other answer is sealed to it."""
    request = custody.request_message(custody.place())
    assert len(set(request.key_digests)) == len(custody.chain.founders)
    request.key_digests[1] = request.key_digests[0]
    refused(custody.chain.run(custody.beneficiary, request), Code.BAD_REQUEST_KEYS, "twice")


# 7. Work per transaction ran concurrently and unordered, and the cursor advanced past failures.


def test_7_results_come_in_order_and_a_failure_neither_moves_nor_stops_the_others(custody: Custody) -> None:
    chain = custody.chain
    place = chain.tx(custody.principal, custody.order_message())
    order = statements.order_id(chain.gid, custody.principal.identity, bytes(32))
    fulfilments = [chain.tx(f, tx_pb2.FulfilOrder(order=order), key=f.node_key) for f in chain.founders]
    txs = [fulfilments[0], place, b"rubbish", *fulfilments[1:], place]
    answers = [because(result) for result in chain.block(*txs).tx_results]
    assert answers == [
        Because(Code.UNKNOWN_ORDER), TAKEN, Because(Code.MALFORMED, "transaction"), TAKEN, TAKEN, TAKEN,
        Because(Code.REPLAYED),
    ]  # fmt: skip
    assert custody.order(order).status == pb.ORDER_STATUS_ACTIVE


def test_7_what_failed_stays_due_until_it_succeeds(custody: Custody) -> None:
    from abci_app.state import due
    from abci_app.state.due import DueKind

    chain, founder = custody.chain, custody.chain.founders[0]
    request = custody.request(custody.place())
    bad = tx_pb2.FulfilSecret(request=request, sealed=b"too short")
    refused(chain.result(founder, bad), Code.FIELD_INVALID, "sealed")
    assert due.is_due(chain.view, founder.identity, DueKind.FULFIL_SECRET, request, chain.time_s, chain.height)
    assert chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED)).code == Code.OK
    assert not due.is_due(chain.view, founder.identity, DueKind.FULFIL_SECRET, request, chain.time_s, chain.height)


# 8. Exactly one fiduciary, configured by hand; no rotation, no revocation.


def test_8_a_secret_is_held_by_several_and_some_of_them_suffice(custody: Custody) -> None:
    request = custody.request(custody.place(threshold=2))
    for founder in custody.chain.founders[2:]:
        custody.chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    assert custody.request_record(request).status == pb.REQUEST_STATUS_COMPLETED


def test_8_identities_rotate_and_are_revoked(custody: Custody) -> None:
    chain, alice = custody.chain, custody.principal
    rotate = tx_pb2.RotateIdentity(envelope=alice.next_document(chain.gid))
    assert chain.run(alice, rotate, key=alice.key(1)).code == Code.OK
    old, new = alice.key(0), alice.key(1)
    order = custody.order_message(policy=single(custody.beneficiary.identity))
    refused(chain.run(alice, order, key=old), Code.BAD_SIGNATURE)
    assert chain.run(alice, order, key=new).code == Code.OK
    revoke = tx_pb2.RevokeIdentity(next_key=bytes(alice.key(2).verify_key))
    assert chain.run(alice, revoke, key=alice.key(2)).code == Code.OK
    refused(chain.run(alice, tx_pb2.CloseVault(vault=custody.vault), key=new), Code.SIGNER_REVOKED)


# 9. M-Pin, PKCS#11, Tendermint and the issuing of Type-3 shares were promised and never shipped. PKCS#11 and CometBFT
# are here (tests/unit/test_hsm_pkcs11.py, tests/localnet); what is shown is that they are wired, not stubs.


def test_9_keys_live_behind_pkcs11_and_blocks_come_from_cometbft() -> None:
    from abci_app.server import application
    from abci_app.server.main import main as application_main
    from dta.hsm.keystore import Keystore
    from dta.hsm.pkcs11 import Pkcs11Keystore

    wanted = {name for name in vars(Keystore) if not name.startswith("_")}
    assert wanted <= {name for name in dir(Pkcs11Keystore) if not name.startswith("_")}
    assert callable(application_main)
    assert hasattr(application, "Application")


def test_the_envelope_form_is_checked_before_anything_is_believed() -> None:
    for block in (b"", b"\xff" * 20, canonical.encode(envelope_pb2.Envelope(body=b"x"))):
        with pytest.raises(envelope.EnvelopeRefused):
            envelope.decode(block)
