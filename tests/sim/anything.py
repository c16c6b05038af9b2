"""Messages of types that nobody wrote a move for: made at random, from their descriptors and what is in state.

So a new type is in every schedule from the first day. Where chance does not bring it to its rules it needs a move.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from abci_app.messages.registry import LEAVES, SPECS
from abci_app.state.view import StateView

ID_BYTES: Final = 32
_MOST: Final = 20  # ids of one kind that are looked at
# What moves make. A type that is not here is made at random; to write a move for it is to add it here.
WRITTEN: Final = (
    "register_identity", "rotate_identity", "suspend_identity", "revoke_identity", "rotate_validator_key",
    "open_vault", "publish_vault_key", "close_vault", "cancel_close_vault", "confirm_vault_erased", "place_order",
    "fulfil_order", "reject_order", "request_secret", "approve_request", "veto_request", "fulfil_secret",
    "report_share", "close_order", "propose", "vote", "withdraw_proposal", "consent_ceremony", "accept_ceremony",
    "deal_shares", "dispute_dealings", "confirm_share", "submit_partials", "submit_unblinded",
    "place_signing_order", "register_server", "remove_server", "enrol_clients", "reenrol_clients",
    "request_server_secret", "issue_permits", "revoke_client", "submit_results",
)  # fmt: skip
UNWRITTEN: Final = tuple(spec.message for name, spec in SPECS.items() if name not in WRITTEN)


def message(rng: Random, view: StateView) -> Message:
    """One of those types."""
    ids: dict[str, list[bytes]] = {}
    for places in LEAVES:
        if places.parts and places.parts[0].widths == (ID_BYTES,):
            known = ids.setdefault(places.parts[0].name, [])
            known += [places.split(key)[0] for key, _ in view.scan(places.prefix, limit=_MOST)]
    return _filled(rng, rng.choice(UNWRITTEN), ids)


def _filled(rng: Random, kind: type[Message], ids: dict[str, list[bytes]]) -> Message:
    made: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        if rng.random() < 0.05:
            continue
        values = [_value(rng, field, ids) for _ in range(rng.randrange(3) if field.is_repeated else 1)]
        if field.is_repeated:
            getattr(made, field.name).extend(values)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(values[0])
        else:
            setattr(made, field.name, values[0])
    return made


def _value(rng: Random, field: FieldDescriptor, ids: dict[str, list[bytes]]) -> Any:
    if field.message_type is not None:
        return _filled(rng, field.message_type._concrete_class, ids)
    if field.type == FieldDescriptor.TYPE_BYTES:
        known = ids.get(field.name) or [known for kind in sorted(ids) for known in ids[kind]]
        return rng.choice(known) if known and rng.random() < 0.8 else rng.randbytes(ID_BYTES)
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(["", "a", "words", "hsm-realm"])
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.randrange(4)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    return rng.choice([0, 1, 2, 2**31])
