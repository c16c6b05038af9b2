"""Seeded changes of the ledger's records and transactions: a field at any depth, or the encoding itself."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from abci_app import canonical
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, params_pb2, tx_pb2

RECORDS: Mapping[bytes, type[Message]] = {
    b"chain": params_pb2.ChainRecord,
    b"order": custody_pb2.OrderRecord,
    b"fulfilment": custody_pb2.FulfilmentRecord,
    b"request": custody_pb2.RequestRecord,
    b"decision": custody_pb2.DecisionRecord,
    b"answer": custody_pb2.AnswerRecord,
    b"extraction": extraction_pb2.ExtractionRecord,
    b"partial": extraction_pb2.PartialRecord,
    b"signing": extraction_pb2.SigningRecord,
}


def changed_tx(chance: Random, tx: bytes) -> bytes:
    """A transaction with a field changed: of the envelope, the body or the message."""
    try:
        signed = tx_pb2.SignedTx.FromString(tx)
        body = tx_pb2.TxBody.FromString(signed.body)
    except DecodeError:
        return chance.randbytes(20)
    if chance.random() < 0.2:
        changed_message(chance, signed)
    else:
        changed_message(chance, body)
        signed.body = changed_encoding(chance, canonical.encode(body))
    return changed_encoding(chance, canonical.encode(signed))


def changed_message(chance: Random, message: Message) -> None:
    """One field, at any depth, set to something near or far. A message that has no fields stays."""
    if not message.DESCRIPTOR.fields:
        return
    field = chance.choice(message.DESCRIPTOR.fields)
    value = getattr(message, field.name)
    if field.is_repeated:
        how = chance.randrange(3)
        if how == 0 and len(value):
            del value[chance.randrange(len(value))]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            changed_message(chance, chance.choice(value) if len(value) else value.add())
        else:
            value.append(_scalar(chance, field, value[0] if len(value) else None))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if field.containing_oneof and not message.HasField(field.name) and chance.random() < 0.8:
            chosen = message.WhichOneof(field.containing_oneof.name)
            value = getattr(message, chosen) if chosen else value
        changed_message(chance, value)
    else:
        setattr(message, field.name, _scalar(chance, field, value))


def _scalar(chance: Random, field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        near = [value[:-1], value + b"\x00"] if value else [b"\x01"]
        return chance.choice((*near, b"", chance.randbytes(32), bytes(32)))
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(("", "x", "dta-other"))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return not value
    most = 2**31 - 1 if field.type in (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT32) else 2**32 - 1
    return chance.choice((0, 1, 2, (value or 0) + 1, max((value or 0) - 1, 0), most)) % (most + 1)


def changed_encoding(chance: Random, encoded: bytes) -> bytes:
    """Mostly the same; now and then another encoding of the same, or rubbish."""
    how = chance.randrange(20)
    if how == 0:
        return encoded + b"\xa0\x3f\x01"  # a field that nobody declares
    if how == 1:
        return encoded + encoded[:40]
    if how == 2 and encoded:
        at = chance.randrange(len(encoded))
        return encoded[:at] + bytes([encoded[at] ^ 1 << chance.randrange(8)]) + encoded[at + 1 :]
    if how == 3:
        more = (b"\x0d\x00\x00\x00\x00", b"\x0b\x0c", b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x80\x00")
        return encoded + chance.choice(more)
    return encoded
