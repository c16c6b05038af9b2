"""Building transactions: the body, its signature, and the names it is found by (docs/spec/transactions.md)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from google.protobuf.message import DecodeError, Message

from abci_app.crypto import ed25519
from abci_app.crypto.statements import replay_key, signed_tx_bytes
from abci_app.limits import ED25519_SIGNATURE_BYTES, ID_BYTES, MAX_TX_BYTES, SALT_BYTES
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import KeystoreFailure, UsageError


class Signer(Protocol):
    """Who signs: an identity and its Ed25519 key, wherever that is kept."""

    @property
    def identity(self) -> bytes:
        """The 32-byte identity id."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032) of ``message``."""


@dataclass(frozen=True, slots=True)
class SignedBytes:
    """A signed transaction, exactly as it goes out each time: ``tx`` is never encoded again.

    ``tx_hash``: 32 bytes, how CometBFT names it. ``replay_key``: 32 bytes, what the ledger counts once.
    ``made_at_height``: of a hook's result, the height that its maker had committed.
    """

    tx: bytes
    replay_key: bytes
    tx_hash: bytes
    expires_at_height: int
    made_at_height: int = 0

    def message(self) -> Message:
        """What it says: one of TxBody's messages."""
        body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(self.tx).body)
        message: Message = getattr(body, body.WhichOneof("message") or "")
        return message

    def is_signed_by(self, key: bytes, gid: bytes) -> bool:
        """Whether its signature is that of ``key`` (32 bytes, Ed25519)."""
        signed = tx_pb2.SignedTx.FromString(self.tx)
        return ed25519.verify(key, signed_tx_bytes(gid, signed.signer, signed.body), signed.signature)

    @staticmethod
    def parse(tx: bytes, gid: bytes) -> SignedBytes:
        """The same from bytes that were kept, in an outbox for instance. Raises UsageError when they are no tx."""
        try:
            signed = tx_pb2.SignedTx.FromString(tx)
            body = tx_pb2.TxBody.FromString(signed.body)
        except DecodeError as error:
            raise UsageError("these bytes are not a signed transaction") from error
        return SignedBytes(
            tx, replay_key(gid, signed.signer, signed.body), sha256(tx).digest(), body.expires_at_height,
            body.made_at_height,
        )  # fmt: skip


def _message_fields() -> dict[str, str]:
    """The field of TxBody's oneof by the full name of the message type that goes there."""
    fields: dict[str, str] = {}
    for field in tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields:
        if field.message_type is not None:
            fields[field.message_type.full_name] = field.name
    return fields


_FIELDS = _message_fields()


def build_tx(
    chain_id: str,
    gid: bytes,
    signer: Signer,
    message: Message,
    expires_at_height: int,
    salt: bytes,
    made_at_height: int = 0,
) -> SignedBytes:
    """Signs ``message`` (one of TxBody's) for this chain. ``salt``: 16 bytes, fresh for a new transaction only.

    ``made_at_height``: of a hook's result, the height by which it is due; a node that is a little behind takes it.
    The same arguments give the same bytes (Ed25519 is deterministic), so a retry is no second transaction. Raises
    UsageError for what can't be a transaction, KeystoreFailure when the signer gives no signature.
    """
    field = _FIELDS.get(message.DESCRIPTOR.full_name)
    if field is None:
        raise UsageError(f"{message.DESCRIPTOR.full_name} is not a message of a transaction")
    if len(salt) != SALT_BYTES or len(signer.identity) != ID_BYTES:
        raise UsageError(f"a transaction needs a salt of {SALT_BYTES} bytes and an identity of {ID_BYTES}")
    body = tx_pb2.TxBody(
        chain_id=chain_id, expires_at_height=expires_at_height, salt=salt, made_at_height=made_at_height
    )
    slot: Message = getattr(body, field)
    slot.SetInParent()
    slot.CopyFrom(message)
    body_bytes = body.SerializeToString(deterministic=True)
    signature = signer.sign(signed_tx_bytes(gid, signer.identity, body_bytes))
    if len(signature) != ED25519_SIGNATURE_BYTES:
        raise KeystoreFailure("the signer gave no Ed25519 signature")
    signed = tx_pb2.SignedTx(body=body_bytes, signer=signer.identity, signature=signature)
    tx = signed.SerializeToString(deterministic=True)
    if len(tx) > MAX_TX_BYTES:
        raise UsageError(
            f"the transaction has {len(tx)} bytes; at most {MAX_TX_BYTES} are allowed",
            hint="large data goes into an envelope, whose CID goes on the ledger",
        )
    return SignedBytes(
        tx, replay_key(gid, signer.identity, body_bytes), sha256(tx).digest(), expires_at_height, made_at_height
    )
