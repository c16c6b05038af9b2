"""Decoding envelopes: each rule of docs/spec/envelope.md, broken alone, is refused with its own reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_app import canonical, envelope
from abci_app.cid import cid_of
from abci_app.envelope import EnvelopeFault, EnvelopeRefused
from abci_app.pb.dta.v1 import envelope_pb2
from dta.envelope import assemble, clear_envelope, sign, sign_part
from tests.support.envelopes import GID, KEYS, PEOPLE, SENDER, TIME_S, Order, record, record_draft

Header = envelope_pb2.EnvelopeHeader
Envelope = envelope_pb2.Envelope
BLOCK = sign(record_draft(), GID, {SENDER.id: SENDER.bls})
ORDER = Order()


def fault_of(block: bytes, max_bytes: int = 1 << 20) -> EnvelopeFault:
    with pytest.raises(EnvelopeRefused) as caught:
        envelope.decode(block, max_bytes)
    assert str(caught.value) == caught.value.reason.value
    return caught.value.reason


def with_header(change: Callable[[Header], object], block: bytes = BLOCK) -> bytes:
    message = Envelope.FromString(block)
    header = Header.FromString(message.header)
    change(header)
    message.header = canonical.encode(header)
    return canonical.encode(message)


def with_envelope(**fields: object) -> bytes:
    message = Envelope.FromString(BLOCK)
    for name, value in fields.items():
        message.ClearField(name)
        if name == "signers":
            message.signers.extend(value)
        else:
            setattr(message, name, value)
    return canonical.encode(message)


def test_a_block_decodes_to_what_was_built() -> None:
    decoded = envelope.decode(BLOCK)
    assert decoded.cid == cid_of(BLOCK)
    assert decoded.signers == (SENDER.id,)
    assert decoded.header.sender == SENDER.id
    assert decoded.header.time_s == TIME_S
    assert canonical.encode(decoded.header) == decoded.header_bytes
    assert [recipient.identity for recipient in decoded.header.recipients] == [person.id for person in PEOPLE[:3]]
    assert envelope.verify(decoded, GID, KEYS)


HEADER_FAULTS: list[tuple[str, EnvelopeFault, Callable[[Header], object]]] = [
    ("version 0", EnvelopeFault.VERSION, lambda h: h.ClearField("version")),
    ("version 2", EnvelopeFault.VERSION, lambda h: setattr(h, "version", 2)),
    ("no type", EnvelopeFault.TYPE, lambda h: h.ClearField("type")),
    ("unknown type", EnvelopeFault.TYPE, lambda h: setattr(h, "type", 99)),
    ("negative type", EnvelopeFault.TYPE, lambda h: setattr(h, "type", -1)),
    ("no sender", EnvelopeFault.SENDER, lambda h: h.ClearField("sender")),
    ("sender of 31 bytes", EnvelopeFault.SENDER, lambda h: setattr(h, "sender", bytes(31))),
    ("time past any clock", EnvelopeFault.TIME, lambda h: setattr(h, "time_s", 2**53)),
    ("previous CID in upper case", EnvelopeFault.PREVIOUS_CID, lambda h: setattr(h, "previous_cid", "B" * 59)),
    ("context of 31 bytes", EnvelopeFault.CONTEXT, lambda h: setattr(h, "context", bytes(31))),
    ("no recipients", EnvelopeFault.RECIPIENTS, lambda h: h.ClearField("recipients")),
    ("a recipient twice", EnvelopeFault.RECIPIENTS, lambda h: h.recipients.add().CopyFrom(h.recipients[0])),
    ("recipient id short", EnvelopeFault.RECIPIENTS, lambda h: setattr(h.recipients[0], "identity", b"i" * 31)),
    ("key digest short", EnvelopeFault.RECIPIENTS, lambda h: setattr(h.recipients[1], "key_digest", b"i" * 31)),
    ("nothing sealed", EnvelopeFault.RECIPIENTS, lambda h: h.recipients[2].ClearField("sealed")),
    ("sealed nothing", EnvelopeFault.RECIPIENTS, lambda h: setattr(h.recipients[2], "sealed", bytes(1136))),
    ("sealed too much", EnvelopeFault.RECIPIENTS, lambda h: setattr(h.recipients[2], "sealed", bytes(2049))),
    ("recipients in clear", EnvelopeFault.RECIPIENTS, lambda h: setattr(h, "type", 1)),
    ("order without context", EnvelopeFault.CONTEXT, lambda h: setattr(h, "type", 3)),
]


@pytest.mark.parametrize(("name", "fault", "change"), HEADER_FAULTS, ids=[name for name, _, _ in HEADER_FAULTS])
def test_each_rule_of_the_header_has_its_reason(
    name: str, fault: EnvelopeFault, change: Callable[[Header], object]
) -> None:
    assert fault_of(with_header(change)) is fault


def test_sixty_four_recipients_are_the_most() -> None:
    def fill(count: int) -> Callable[[Header], object]:
        def change(header: Header) -> None:
            sealed = header.recipients[0].sealed
            del header.recipients[:]
            for number in range(count):
                header.recipients.add(identity=bytes([number]) * 32, key_digest=bytes(32), sealed=sealed)

        return change

    assert len(envelope.decode(with_header(fill(64))).header.recipients) == 64
    assert fault_of(with_header(fill(65))) is EnvelopeFault.RECIPIENTS


OTHERS = sorted(person.id for person in PEOPLE)


@pytest.mark.parametrize(
    "signers",
    [
        [],
        OTHERS[:1],
        [SENDER.id, SENDER.id],
        sorted([SENDER.id, OTHERS[0]], reverse=True),
        sorted([SENDER.id, OTHERS[0], OTHERS[0]]),
        sorted([SENDER.id, bytes(31)]),
        sorted([SENDER.id, bytes(33)]),
        sorted([SENDER.id, b""]),
        sorted([SENDER.id] + [bytes([number]) * 32 for number in range(16)]),
    ],
)
def test_signers_are_distinct_ascending_and_hold_the_sender(signers: list[bytes]) -> None:
    assert fault_of(with_envelope(signers=signers)) is EnvelopeFault.SIGNERS


def test_sixteen_signers_are_taken() -> None:
    signers = sorted([SENDER.id] + [bytes([number]) * 32 for number in range(15)])
    assert envelope.decode(with_envelope(signers=signers)).signers == tuple(signers)


@pytest.mark.parametrize("length", [0, 48, 95, 97])
def test_a_signature_has_96_bytes(length: int) -> None:
    assert fault_of(with_envelope(signature=bytes(length))) is EnvelopeFault.SIGNATURE


def test_a_sealed_body_has_at_least_its_overhead_and_a_clear_one_a_byte() -> None:
    assert fault_of(with_envelope(body=bytes(47))) is EnvelopeFault.BODY
    assert envelope.decode(with_envelope(body=bytes(48)))
    clear = clear_envelope(envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS, sender=SENDER.id, time_s=1, body=b"")
    message = Envelope(header=clear.header, signers=[SENDER.id], signature=bytes(96))
    assert fault_of(canonical.encode(message)) is EnvelopeFault.BODY


def test_size_form_and_canonical_encoding_have_their_reasons() -> None:
    assert fault_of(BLOCK, len(BLOCK) - 1) is EnvelopeFault.TOO_LARGE
    assert envelope.decode(BLOCK, len(BLOCK))
    assert fault_of(BLOCK[:-1]) is EnvelopeFault.MALFORMED
    assert fault_of(b"\xff" * 50) is EnvelopeFault.MALFORMED
    assert fault_of(BLOCK + bytes.fromhex("a00601")) is EnvelopeFault.NOT_CANONICAL
    assert fault_of(with_envelope(header=b"\xff")) is EnvelopeFault.HEADER_MALFORMED
    header = Envelope.FromString(BLOCK).header
    assert fault_of(with_envelope(header=header + bytes.fromhex("a00601"))) is EnvelopeFault.HEADER_NOT_CANONICAL
    assert fault_of(b"") is EnvelopeFault.VERSION


def test_a_signer_without_a_key_or_with_another_does_not_verify() -> None:
    decoded = envelope.decode(BLOCK)
    assert not envelope.verify(decoded, GID, {})
    assert not envelope.verify(decoded, GID, {SENDER.id: PEOPLE[0].bls.public_key})
    assert not envelope.verify(decoded, GID, {SENDER.id: b""})


def test_a_signature_is_worth_nothing_on_another_chain() -> None:
    assert not envelope.verify(envelope.decode(BLOCK), bytes(32), KEYS)


def test_the_signature_covers_body_header_and_signers() -> None:
    message = Envelope.FromString(BLOCK)
    changed_body = message.body[:-1] + bytes([message.body[-1] ^ 1])
    two = sorted([SENDER.id, PEOPLE[0].id])
    changed_seal = with_header(lambda header: setattr(header.recipients[0], "sealed", bytes(1168)))
    changed_time = with_header(lambda header: setattr(header, "time_s", TIME_S + 1))
    for block in (with_envelope(body=changed_body), with_envelope(signers=two), changed_seal, changed_time):
        assert not envelope.verify(envelope.decode(block), GID, KEYS)


def test_a_missing_signature_of_several_does_not_verify() -> None:
    draft = record_draft()
    signers = [SENDER.id, PEOPLE[0].id, PEOPLE[1].id]
    parts = {
        SENDER.id: sign_part(draft, GID, signers, SENDER.bls),
        PEOPLE[0].id: sign_part(draft, GID, signers, PEOPLE[0].bls),
        PEOPLE[1].id: sign_part(draft, GID, signers, PEOPLE[1].bls),
    }
    assert envelope.verify(envelope.decode(assemble(draft, parts)), GID, KEYS)
    del parts[PEOPLE[1].id]
    assert not envelope.verify(envelope.decode(assemble(draft, parts)), GID, KEYS)


def test_what_seals_bind_leaves_out_the_seals_and_nothing_else() -> None:
    decoded = record()
    before = envelope.header_without_seals(decoded.header)
    again = record()
    assert again.header_bytes != decoded.header_bytes
    assert envelope.header_without_seals(again.header) == before
    assert all(recipient.sealed for recipient in decoded.header.recipients)
    for change in (
        lambda header: setattr(header, "time_s", 1),
        lambda header: setattr(header, "sender", bytes(32)),
        lambda header: setattr(header, "context", bytes(32)),
        lambda header: header.recipients.pop(),
        lambda header: setattr(header.recipients[0], "key_digest", bytes(32)),
    ):
        header = Header.FromString(decoded.header_bytes)
        change(header)
        assert envelope.header_without_seals(header) != before


def test_an_orders_envelope_decodes_and_verifies() -> None:
    assert ORDER.decoded.header.type == envelope_pb2.ENVELOPE_TYPE_ORDER
    assert envelope.verify(ORDER.decoded, GID, KEYS)
