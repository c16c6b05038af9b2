"""No message is larger than its meaning: whatever is grown in it, ``validate`` refuses it, or it costs more.

Derived from the protobuf descriptors: every field of bytes, of text and every repeated one, at any depth, also inside
the blocks that a message carries. A new field that nobody bounds fails here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from abci_app import canonical, signed
from abci_app.errors import Refusal
from abci_app.messages.registry import SPECS
from abci_app.params import default_params
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2, tx_pb2
from tests.support.checks import ROOT, all_checks
from tests.support.samples import samples

GROWTH_BYTES = 4_096
RNG = Random(10)
# Bytes that are a message of their own.
INSIDE: dict[str, type[Message]] = {
    "dta.v1.RegisterIdentity.envelope": envelope_pb2.Envelope,
    "dta.v1.RotateIdentity.envelope": envelope_pb2.Envelope,
    "dta.v1.Envelope.header": envelope_pb2.EnvelopeHeader,
    "dta.v1.Envelope.body": identity_pb2.IdentityDocument,
}
# Recipients are for envelopes that are sealed, an identity document is not.
NEVER_SET = {"dta.v1.EnvelopeHeader.recipients", "dta.v1.EnvelopeHeader.previous_cid", "dta.v1.EnvelopeHeader.context"}
GROWS = (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING)
SAMPLES = samples()


def spec_of(message: Message) -> Any:
    return next(spec for spec in SPECS.values() if isinstance(message, spec.message))


def growing_fields(descriptor: Descriptor) -> Iterator[str]:
    """The full names of the fields that can make a message large, at any depth."""
    for field in descriptor.fields:
        if field.is_repeated or field.type in GROWS:
            yield field.full_name
        inside = field.message_type or (INSIDE[field.full_name].DESCRIPTOR if field.full_name in INSIDE else None)
        if inside is not None:
            yield from growing_fields(inside)


def randomised(message: Message) -> Message:
    """A copy with other bytes of the same lengths: "each once" must not be what bounds a list."""
    made = type(message)()
    made.CopyFrom(message)
    for field, value in made.ListFields():
        if field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated:
            setattr(made, field.name, RNG.randbytes(len(value)))
    return made


def first_bytes(message: Message) -> bytes:
    return next((value for _, value in message.ListFields() if isinstance(value, bytes)), b"")


def more(field: FieldDescriptor, values: list[Any]) -> list[Any]:
    """A list with new items, some KiB longer, in the order in which lists that have one are sorted."""
    first = values[0]
    if field.type == FieldDescriptor.TYPE_BYTES:
        return sorted([*values, *(RNG.randbytes(len(first)) for _ in range(GROWTH_BYTES // len(first) + 1))])
    if field.message_type is not None:
        added = [randomised(first) for _ in range(GROWTH_BYTES // max(first.ByteSize(), 1) + 1)]
        return sorted([*values, *added], key=first_bytes)
    return [*values, *range(max(values) + 1, max(values) + 1 + GROWTH_BYTES)]


def variants(message: Message) -> Iterator[tuple[str, Message]]:
    """Each field that is set, grown: (full name, the whole message with that field grown)."""
    for field, value in message.ListFields():
        for name, grown in grown_values(field, value):
            yield name, changed(message, field, grown)


def grown_values(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Any]]:
    """The field's value, grown as a whole, then wherever something in it can be."""
    if field.is_repeated:
        yield field.full_name, more(field, list(value))
        for position, one in enumerate(value):
            for name, inner in variants(one) if isinstance(one, Message) else ():
                yield name, [*value[:position], inner, *value[position + 1 :]]
    elif isinstance(value, Message):
        yield from variants(value)
    elif field.type in GROWS:
        yield field.full_name, value + value[:1] * GROWTH_BYTES
    if field.full_name in INSIDE:
        for name, inner in variants(INSIDE[field.full_name].FromString(value)):
            yield name, canonical.encode(inner)


def changed(message: Message, field: FieldDescriptor, value: Any) -> Message:
    made = type(message)()
    made.CopyFrom(message)
    made.ClearField(field.name)
    if field.is_repeated:
        getattr(made, field.name).extend(value)
    elif field.message_type is not None:
        getattr(made, field.name).CopyFrom(value)
    else:
        setattr(made, field.name, value)
    return made


def is_taken(check: Callable[[], object]) -> bool:
    try:
        check()
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: message.DESCRIPTOR.name)
def test_what_is_grown_in_a_message_is_refused_or_charged(message: Message) -> None:
    spec = spec_of(message)
    spec.validate(message)
    free = [
        name
        for name, grown in variants(message)
        if is_taken(lambda grown=grown: spec.validate(grown)) and spec.cost(grown) <= spec.cost(message)
    ]
    assert free == []


def test_every_field_of_every_message_is_grown_in_some_sample() -> None:
    wanted = {name for spec in SPECS.values() for name in growing_fields(spec.message.DESCRIPTOR)} - NEVER_SET
    wanted = {name for name in wanted if not name.startswith("dta.v1.Recipient.")}
    grown = {name for message in SAMPLES for name, _ in variants(message)}
    assert wanted - grown == set()


def test_a_field_of_a_set_length_is_refused_by_its_name_one_byte_shorter_and_one_longer() -> None:
    """Every call of ``need_bytes``: the length is that of the sample, which is taken."""
    tried: set[tuple[str, int]] = set()
    for message in SAMPLES:
        for changed_by in (lambda value: value[:-1], lambda value: value + b"\0"):
            for name, variant in with_lengths(message, changed_by):
                where, reason = refused_length(partial(spec_of(message).validate, variant))
                assert reason.rpartition(".")[2] in ("", name), (message.DESCRIPTOR.name, name)
                tried.add(where)
    calls = {(check.file, check.line) for check in all_checks() if check.of_length}
    assert calls - tried == set()


def with_lengths(message: Message, change: Callable[[bytes], bytes]) -> Iterator[tuple[str, Message]]:
    """Each field of bytes at any depth, changed: (its name, the whole message)."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_BYTES:
            if not field.is_repeated:
                yield field.name, changed(message, field, change(value))
            for n, one in enumerate(value) if field.is_repeated else ():
                yield field.name, changed(message, field, [*value[:n], change(one), *value[n + 1 :]])
        elif field.message_type is not None and field.is_repeated:
            for n, one in enumerate(value):
                for name, inner in with_lengths(one, change):
                    yield name, changed(message, field, [*value[:n], inner, *value[n + 1 :]])
        elif field.message_type is not None:
            for name, inner in with_lengths(value, change):
                yield name, changed(message, field, inner)


def refused_length(check: Callable[[], object]) -> tuple[tuple[str, int], str]:
    """Which call of ``need_bytes`` refused, and the field that it named; nothing where another check did."""
    try:
        check()
    except Refusal as refusal:
        frames = traceback.extract_tb(refusal.__traceback__)
        if frames[-1].name == "need_bytes":
            caller = frames[-2]
            return (str(Path(caller.filename).relative_to(ROOT)), caller.lineno or 0), refusal.reason
    return ("", 0), ""


def test_what_is_grown_around_a_message_is_refused() -> None:
    params, fields = default_params(), ["chain_id", "salt", "signer", "signature"]
    body = tx_pb2.TxBody(
        chain_id="dta-test", expires_at_height=9, salt=bytes(16), suspend_identity=tx_pb2.SuspendIdentity()
    )
    tx = tx_pb2.SignedTx(body=canonical.encode(body), signer=bytes(32), signature=bytes(64))
    assert {field.name for field in (*body.DESCRIPTOR.fields, *tx.DESCRIPTOR.fields) if field.type in GROWS} == {
        *fields, "body",
    }  # fmt: skip

    def decode(one: tx_pb2.SignedTx) -> object:
        return signed.decode(canonical.encode(one), params, "dta-test", 1, signed.TxMemo())

    decode(tx)
    for name in fields[:2]:
        value = getattr(body, name)
        grown = changed(body, body.DESCRIPTOR.fields_by_name[name], value + type(value)(value)[:1])
        whole = changed(tx, tx.DESCRIPTOR.fields_by_name["body"], canonical.encode(grown))
        assert not is_taken(lambda whole=whole: decode(whole)), name
    for name in fields[2:]:
        whole = changed(tx, tx.DESCRIPTOR.fields_by_name[name], getattr(tx, name) + b"\0")
        assert not is_taken(lambda whole=whole: decode(whole)), name
