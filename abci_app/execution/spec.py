"""What a message type declares of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.events import Emitted
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.collection import AnyCollection
from abci_app.state.due import DueKind
from abci_app.state.view import StateView

M = TypeVar("M", bound=Message)


class MessageClass(Enum):
    """``USER``: what a person decides, signed by the transaction (operator) key. ``RESULT``: what a hook answers."""

    USER = "user"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class MessageSpec(Generic[M]):
    """One transaction type.

    ``validate`` sees the message alone, ``execute`` sees state and returns the result's data. ``cost(message)`` is
    about the microseconds that a node spends on it. ``writes`` is what it may touch of state, ``codes`` those
    it may be refused with once authenticated, ``events`` what it emits; tests hold it to all three.
    ``due`` says what a result answers, so that results are admitted only when they are owed. ``signing_key``
    overrides whose key must have signed (registration, rotation, revocation); ``by_next_key``: it is the one that the
    signer's document commits to, which lifts a suspension. ``decides(view, signer, message)`` says of a decision what
    it decides, by an id or nothing, where state names the signer for it, else None: no flood holds it up.

    Of a bundle: ``parts`` are the types and messages in it; it refuses a bundle whose shape, number or size is wrong.
    """

    field: str
    message: type[M]
    message_class: MessageClass
    cost: Callable[[M], int]
    validate: Callable[[M], None]
    execute: Callable[[Context, M], bytes]
    writes: tuple[AnyCollection, ...]
    codes: tuple[Code, ...]
    events: tuple[Emitted, ...]
    due: Callable[[M], tuple[DueKind, bytes]] | None = None
    signing_key: Callable[[bytes, identity_pb2.IdentityRecord | None, M], bytes] | None = None
    by_next_key: bool = False
    decides: Callable[[StateView, bytes, M], bytes | None] | None = None
    parts: Callable[[M], list[tuple[MessageSpec[Any], Message]]] | None = None


def need_bytes(value: bytes, length: int, name: str) -> None:
    """Refuse a field that has not exactly ``length`` bytes."""
    if len(value) != length:
        raise Refusal(Code.FIELD_INVALID, f"{name} must be {length} bytes, not {len(value)}", reason=name)
