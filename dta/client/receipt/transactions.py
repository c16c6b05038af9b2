"""Reading the transactions of a receipt: who signed what, as far as the bytes say, and what came of each part."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import Message

from abci_app import canonical
from abci_app.limits import ID_BYTES, MAX_TX_BYTES
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import JsonValue


@dataclass(frozen=True, slots=True)
class ReadTx:
    """A signed transaction of this ledger. ``kind``: its message's field in TxBody. ``message`` is read only.

    That it is in a block proves it was there; that its code is 0 proves that the ledger found its signature good.
    """

    signer: bytes
    kind: str
    message: Message

    def parts(self) -> list[tuple[str, Message]]:
        """What it says: the results of a bundle, each with its field in TxBody; otherwise its one message."""
        if not isinstance(self.message, tx_pb2.SubmitResults):
            return [(self.kind, self.message)]
        chosen = [(one, one.WhichOneof("message") or "") for one in self.message.results]
        return [(kind, getattr(one, kind)) for one, kind in chosen if kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part of a transaction: of its message, or of one result of a bundle (its *item*, from 0)."""

    kind: str
    message: Message
    code: int
    data: bytes


def tx_hash(tx: bytes) -> bytes:
    """The 32-byte name of a transaction: SHA-256 of its bytes."""
    return sha256(tx).digest()


def read_tx(tx: bytes) -> ReadTx | None:
    """The transaction, or None where the bytes are none of this ledger's: a block may hold any bytes."""
    try:
        signed = canonical.decode(tx_pb2.SignedTx, tx, MAX_TX_BYTES)
        body = canonical.decode(tx_pb2.TxBody, signed.body, MAX_TX_BYTES)
    except canonical.NotCanonical:
        return None
    kind = body.WhichOneof("message")
    if kind is None or len(signed.signer) != ID_BYTES:
        return None
    return ReadTx(signed.signer, kind, getattr(body, kind))


def outcomes(read: ReadTx, code: int, data: bytes) -> tuple[Outcome, ...] | None:
    """What became of each part of a transaction that ended with ``code`` and ``data``.

    A bundle's code is 0 whatever became of its results: ``data`` says that, one by one. A bundle that was refused did
    nothing, and each part of it has its code. None where ``data`` does not say it of each.
    """
    parts = read.parts()
    if code or not isinstance(read.message, tx_pb2.SubmitResults):
        return tuple(Outcome(kind, message, code, data) for kind, message in parts)
    try:
        listed = canonical.decode(tx_pb2.ResultOutcomes, data, MAX_TX_BYTES).outcomes
    except canonical.NotCanonical:
        return None
    if not len(listed) == len(parts) == len(read.message.results):
        return None
    return tuple(
        Outcome(kind, message, one.code, one.data) for (kind, message), one in zip(parts, listed, strict=True)
    )


def message_json(message: Message) -> dict[str, JsonValue]:
    """A message's fields that are set, bytes in hex, enumerations by name."""
    shown: dict[str, JsonValue] = {}
    for field, value in message.ListFields():
        items = list(value) if field.is_repeated else [value]
        plain: list[JsonValue] = []
        for item in items:
            if isinstance(item, bytes):
                plain.append(item.hex())
            elif isinstance(item, Message):
                plain.append(message_json(item))
            elif field.enum_type is not None:
                named = field.enum_type.values_by_number.get(item)
                plain.append(named.name if named else int(item))
            else:
                plain.append(item)
        shown[field.name] = plain if field.is_repeated else plain[0]
    return shown
