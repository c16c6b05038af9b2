"""Transactions are built canonically, signed over what the ledger checks, and recognised again."""

from __future__ import annotations

from hashlib import sha256

import pytest
from nacl.signing import SigningKey, VerifyKey

from abci_app.crypto.statements import replay_key, signed_tx_bytes
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from dta.base.errors import KeystoreFailure, UsageError
from dta.client.ledger.tx import SignedBytes, build_tx

GID, SALT = b"g" * 32, b"s" * 16


class KeySigner:
    """An Ed25519 key in memory."""

    identity = b"i" * 32

    def __init__(self) -> None:
        self._key = SigningKey(b"k" * 32)
        self.verify_key: VerifyKey = self._key.verify_key

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


SIGNER = KeySigner()
MESSAGE_FIELDS = tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields


@pytest.mark.parametrize("field", [f.name for f in MESSAGE_FIELDS])
def test_every_message_goes_into_its_own_field_even_when_it_is_empty(field: str) -> None:
    message = next(f.message_type._concrete_class for f in MESSAGE_FIELDS if f.name == field)()
    built = build_tx("chain", GID, SIGNER, message, 50, SALT)
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(built.tx).body)
    assert body.WhichOneof("message") == field
    assert (body.chain_id, body.expires_at_height, body.salt) == ("chain", 50, SALT)


def test_the_signature_covers_genesis_signer_and_the_body_as_sent() -> None:
    built = build_tx("chain", GID, SIGNER, tx_pb2.FulfilOrder(order=b"o" * 32), 50, SALT)
    signed = tx_pb2.SignedTx.FromString(built.tx)
    SIGNER.verify_key.verify(signed_tx_bytes(GID, SIGNER.identity, signed.body), signed.signature)
    assert built.replay_key == replay_key(GID, SIGNER.identity, signed.body)
    assert built.tx_hash == sha256(built.tx).digest()
    assert signed.SerializeToString(deterministic=True) == built.tx


def test_the_same_arguments_give_the_same_bytes_and_another_salt_another_transaction() -> None:
    message = tx_pb2.FulfilOrder(order=b"o" * 32)
    first = build_tx("chain", GID, SIGNER, message, 50, SALT)
    assert build_tx("chain", GID, SIGNER, message, 50, SALT) == first
    assert build_tx("chain", GID, SIGNER, message, 50, b"t" * 16).replay_key != first.replay_key


def test_kept_bytes_are_recognised_again() -> None:
    built = build_tx("chain", GID, SIGNER, tx_pb2.FulfilOrder(order=b"o" * 32), 50, SALT)
    assert SignedBytes.parse(built.tx, GID) == built
    with pytest.raises(UsageError):
        SignedBytes.parse(b"\xff", GID)


def test_what_can_be_no_transaction_is_refused_before_anything_is_signed() -> None:
    with pytest.raises(UsageError, match="not a message of a transaction"):
        build_tx("chain", GID, SIGNER, params_pb2.Params(), 50, SALT)
    with pytest.raises(UsageError, match="salt"):
        build_tx("chain", GID, SIGNER, tx_pb2.SuspendIdentity(), 50, b"short")
    with pytest.raises(UsageError, match="bytes; at most"):
        build_tx("chain", GID, SIGNER, tx_pb2.RegisterIdentity(envelope=bytes(70_000)), 50, SALT)


def test_a_signer_that_gives_no_signature_is_a_keystore_failure() -> None:
    class Broken(KeySigner):
        def sign(self, message: bytes) -> bytes:
            return b""

    with pytest.raises(KeystoreFailure):
        build_tx("chain", GID, Broken(), tx_pb2.SuspendIdentity(), 50, SALT)
