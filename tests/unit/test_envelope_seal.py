"""Building and opening envelopes: who can read what, and that nothing can be moved from one envelope to another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abci_app import canonical, envelope
from abci_app.cid import cid_of
from abci_app.envelope import DecodedEnvelope
from abci_app.pb.dta.v1 import envelope_pb2, identity_pb2
from dta.base.secret import SecretBytes
from dta.crypto import shamir
from dta.crypto.hpke import HpkePrivateKey, seal
from dta.envelope import (
    CannotOpenEnvelope,
    CannotSeal,
    OpenFault,
    RecordRecipient,
    assemble,
    clear_envelope,
    index_of,
    open_order_body,
    open_record,
    open_share,
    receive,
    seal_order,
    seal_record,
    sign,
)
from dta.envelope.body import open_body, seal_body
from tests.support.envelopes import (
    CONTEXT,
    GID,
    KEYS,
    PEOPLE,
    SENDER,
    TIME_S,
    Order,
    Person,
    header_of,
    record,
    record_draft,
    signed_anew,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/envelope/envelopes.json").read_text())


def record_fault(decoded: DecodedEnvelope, person: Person, gid: bytes = GID) -> OpenFault:
    with pytest.raises(CannotOpenEnvelope) as caught:
        open_record(decoded, gid, person.id, person.hpke)
    return caught.value.reason


def share_fault(decoded: DecodedEnvelope, person: Person, info: bytes) -> OpenFault:
    with pytest.raises(CannotOpenEnvelope) as caught:
        open_share(decoded, person.id, person.hpke, info)
    return caught.value.reason


def test_every_recipient_of_a_record_reads_it_and_nobody_else() -> None:
    decoded = record(b"a record")
    for person in PEOPLE[:3]:
        assert open_record(decoded, GID, person.id, person.hpke).reveal() == b"a record"
    assert record_fault(decoded, PEOPLE[3]) is OpenFault.NOT_A_RECIPIENT
    assert index_of(decoded, PEOPLE[2].id) == 3


def test_a_recipient_whose_key_was_changed_is_told_so() -> None:
    with pytest.raises(CannotOpenEnvelope) as caught:
        open_record(record(), GID, PEOPLE[0].id, HpkePrivateKey.generate())
    assert caught.value.reason is OpenFault.OTHER_KEY
    assert caught.value.data["reason"] == "other-key"


def test_a_record_sealed_for_one_chain_does_not_open_on_another() -> None:
    assert record_fault(record(), PEOPLE[0], gid=bytes(32)) is OpenFault.SEAL


def test_no_part_of_the_header_can_be_swapped_even_by_its_sender() -> None:
    decoded = record()
    changes = {
        "time_s": TIME_S + 1,
        "previous_cid": cid_of(b"another"),
        "context": bytes(32),
    }
    for field, value in changes.items():
        header = header_of(decoded)
        setattr(header, field, value)
        assert record_fault(signed_anew(header, decoded.body), PEOPLE[0]) is OpenFault.SEAL


def test_a_recipient_can_not_be_added_dropped_or_moved() -> None:
    decoded = record()
    dropped, moved, added = header_of(decoded), header_of(decoded), header_of(decoded)
    del dropped.recipients[2]
    entries = list(moved.recipients)
    moved.ClearField("recipients")
    moved.recipients.extend([entries[1], entries[0], entries[2]])
    added.recipients.add(identity=PEOPLE[3].id, key_digest=bytes(32), sealed=bytes(1168))
    for header in (dropped, moved, added):
        assert record_fault(signed_anew(header, decoded.body), PEOPLE[0]) is OpenFault.SEAL


def test_a_seal_copied_to_another_recipient_does_not_open() -> None:
    decoded = record()
    header = header_of(decoded)
    header.recipients[1].sealed = header.recipients[0].sealed
    assert record_fault(signed_anew(header, decoded.body), PEOPLE[1]) is OpenFault.SEAL


def test_a_body_does_not_open_under_other_seals() -> None:
    """The other recipient's seal stays good: the body's own key covers all encapsulations."""
    decoded, other = record(), record()
    header = header_of(decoded)
    header.recipients[1].sealed = other.header.recipients[1].sealed
    assert record_fault(signed_anew(header, decoded.body), PEOPLE[0]) is OpenFault.BODY
    assert record_fault(signed_anew(header_of(decoded), other.body), PEOPLE[0]) is OpenFault.BODY


def test_every_byte_of_a_body_counts() -> None:
    decoded = record(b"x")
    for at in range(len(decoded.body)):
        body = decoded.body[:at] + bytes([decoded.body[at] ^ 1]) + decoded.body[at + 1 :]
        assert record_fault(signed_anew(header_of(decoded), body), PEOPLE[0]) is OpenFault.BODY


def test_a_seal_that_holds_no_key_is_refused() -> None:
    decoded = record(recipients=1)
    header = header_of(decoded)
    info = envelope.record_seal_info(GID, header, 1)
    header.recipients[0].sealed = seal(PEOPLE[0].hpke.public, info, SecretBytes(b"short"))
    assert record_fault(signed_anew(header, decoded.body), PEOPLE[0]) is OpenFault.SEAL


def test_one_key_never_gives_the_same_bytes_under_two_headers() -> None:
    """The nonce is zero, so the AEAD key must differ wherever the header does, even for the same key material."""
    key, text = SecretBytes(b"k" * 32), SecretBytes(bytes(64))
    one, two = seal_body(key, b"header one", text), seal_body(key, b"header two", text)
    assert one[:32] != two[:32]
    assert one[32:96] != two[32:96]
    assert open_body(key, b"header one", one) == text
    assert open_body(key, b"header two", one) is None
    assert open_body(SecretBytes(b"o" * 32), b"header one", one) is None


def test_sealing_the_same_order_twice_shares_no_key_stream() -> None:
    order = Order(bytes(64))
    again = seal_order(
        sender=SENDER.id, time_s=TIME_S, context=CONTEXT, recipients=order.recipients, key=order.key,
        secret=SecretBytes(bytes(64)),
    )  # fmt: skip
    assert again.body[32:96] != order.draft.body[32:96]


def test_any_threshold_of_fiduciaries_opens_an_order() -> None:
    order = Order(b"the secret", threshold=2, count=3)
    for chosen in ((0, 1), (0, 2), (2, 1), (0, 1, 2)):
        shares = [
            shamir.Share(at + 1, open_share(order.decoded, PEOPLE[at].id, PEOPLE[at].hpke, order.infos[at]))
            for at in chosen
        ]
        assert open_order_body(order.decoded, shamir.combine(shares, 2, 3)).reveal() == b"the secret"


def test_a_share_is_bound_to_its_index_commitment_and_header() -> None:
    order = Order()
    assert share_fault(order.decoded, PEOPLE[0], order.infos[1]) is OpenFault.SEAL
    assert share_fault(order.decoded, PEOPLE[4], order.infos[0]) is OpenFault.NOT_A_RECIPIENT
    header = header_of(order.decoded)
    header.context = bytes(32)
    assert share_fault(signed_anew(header, order.decoded.body), PEOPLE[0], order.infos[0]) is OpenFault.SEAL


def test_a_wrong_key_does_not_open_an_order() -> None:
    with pytest.raises(CannotOpenEnvelope) as caught:
        open_order_body(Order().decoded, shamir.random_scalar())
    assert caught.value.reason is OpenFault.BODY


def test_a_record_is_no_order_and_an_order_no_record() -> None:
    order = Order()
    assert record_fault(order.decoded, PEOPLE[0]) is OpenFault.TYPE
    assert share_fault(record(), PEOPLE[0], b"") is OpenFault.TYPE
    with pytest.raises(CannotOpenEnvelope) as caught:
        open_order_body(record(), order.key)
    assert caught.value.reason is OpenFault.TYPE


def test_a_secret_of_900_kilobytes_fits_beside_24_fiduciaries_and_64_recipients_take_a_record() -> None:
    order = Order(bytes(900_000), threshold=16, count=24)
    assert len(order.block) < 1 << 20
    assert len(open_order_body(order.decoded, order.key)) == 900_000
    people = [Person(f"reader {number}") for number in range(64)]
    draft = seal_record(
        gid=GID, sender=SENDER.id, time_s=TIME_S, plaintext=SecretBytes(bytes(900_000)),
        recipients=[RecordRecipient(person.id, person.hpke.public) for person in people],
    )  # fmt: skip
    decoded = envelope.decode(sign(draft, GID, {SENDER.id: SENDER.bls}))
    assert len(open_record(decoded, GID, people[63].id, people[63].hpke)) == 900_000


def test_a_secret_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(CannotSeal) as caught:
        record_draft(bytes(1 << 20))
    assert caught.value.reason == "too-large"
    assert caught.value.data["secret_bytes"] == 1 << 20
    assert caught.value.hint


def test_the_bound_counts_the_whole_block() -> None:
    draft = record_draft(bytes(1000))
    block = sign(draft, GID, {SENDER.id: SENDER.bls})
    assert sign(draft, GID, {SENDER.id: SENDER.bls}, max_bytes=len(block)) == block
    with pytest.raises(CannotSeal) as caught:
        sign(draft, GID, {SENDER.id: SENDER.bls}, max_bytes=len(block) - 1)
    assert caught.value.reason == "too-large"


def test_building_is_held_to_the_rules_of_decoding() -> None:
    person = PEOPLE[0]
    recipient = RecordRecipient(person.id, person.hpke.public)
    weak = RecordRecipient(person.id, identity_pb2.HpkeKey(mlkem768=person.hpke.public.mlkem768, x25519=bytes(32)))
    for recipients in ([], [recipient, recipient], [RecordRecipient(b"short", person.hpke.public)], [weak]):
        with pytest.raises(CannotSeal) as caught:
            seal_record(gid=GID, sender=SENDER.id, time_s=1, recipients=recipients, plaintext=SecretBytes(b"x"))
        assert caught.value.reason == "recipients"
    with pytest.raises(CannotSeal) as caught:
        seal_record(gid=GID, sender=b"", time_s=1, recipients=[recipient], plaintext=SecretBytes(b"x"))
    assert caught.value.reason == "sender"


def test_a_clear_envelope_carries_its_body_as_it_is() -> None:
    for envelope_type in (envelope_pb2.ENVELOPE_TYPE_IDENTITY_DOCUMENT, envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS):
        draft = clear_envelope(envelope_type, sender=SENDER.id, time_s=TIME_S, body=b"document")
        block = sign(draft, GID, {SENDER.id: SENDER.bls})
        decoded = receive(block, cid=cid_of(block), gid=GID, keys=KEYS)
        assert decoded.body == b"document"
        assert decoded.header.type == envelope_type
    with pytest.raises(CannotSeal):
        clear_envelope(envelope_pb2.ENVELOPE_TYPE_ORDER, sender=SENDER.id, time_s=TIME_S, body=b"secret")


def test_what_is_received_is_checked_against_its_cid_its_form_and_its_signers() -> None:
    block = Order().block
    assert receive(block, cid=cid_of(block), gid=GID, keys=KEYS).cid == cid_of(block)

    def fault(data: bytes, cid: str, keys: dict[bytes, bytes]) -> tuple[OpenFault, str]:
        with pytest.raises(CannotOpenEnvelope) as caught:
            receive(data, cid=cid, gid=GID, keys=keys)
        return caught.value.reason, caught.value.detail

    assert fault(block + b"\0", cid_of(block), KEYS) == (OpenFault.OTHER_BLOCK, "")
    assert fault(b"\xff", cid_of(b"\xff"), KEYS) == (OpenFault.REFUSED, "malformed")
    assert fault(block, cid_of(block), {}) == (OpenFault.SIGNATURE, "")


def test_an_envelope_without_signatures_or_with_a_broken_one_is_not_assembled() -> None:
    for signatures in ({}, {SENDER.id: b""}, {SENDER.id: bytes(96)}):
        with pytest.raises(CannotSeal) as caught:
            assemble(record_draft(), signatures)
        assert caught.value.reason == "signature"
    with pytest.raises(CannotSeal) as caught:
        sign(record_draft(), GID, {PEOPLE[0].id: PEOPLE[0].bls})
    assert caught.value.reason == "signers"


def test_no_error_shows_a_secret() -> None:
    order = Order(b"the secret")
    with pytest.raises(CannotOpenEnvelope) as caught:
        open_order_body(order.decoded, SecretBytes(b"wrong key, as long as a scalar..."[:32]))
    assert b"wrong" not in repr(caught.value).encode() + json.dumps(caught.value.as_json()).encode()
    assert "<redacted>" in repr(order.recipients[0])
    assert b"the secret" not in order.block


def test_envelopes_made_by_an_earlier_version_still_open() -> None:
    """Committed once: whatever is stored must open for ever."""
    for name, case in VECTORS.items():
        block = bytes.fromhex(case["block"])
        keys = {bytes.fromhex(identity): bytes.fromhex(key) for identity, key in case["bls_keys"].items()}
        gid = bytes.fromhex(case["gid"])
        decoded = receive(block, cid=case["cid"], gid=gid, keys=keys)
        assert canonical.encode(decoded.header) == decoded.header_bytes
        holders = [
            (bytes.fromhex(identity), HpkePrivateKey.from_seed(SecretBytes(bytes.fromhex(seed))))
            for identity, seed in case["hpke_seeds"]
        ]
        if name == "record":
            for identity, key in holders:
                assert open_record(decoded, gid, identity, key).reveal() == case["plaintext"].encode()
            continue
        shares = [
            shamir.Share(at, open_share(decoded, identity, key, bytes.fromhex(info)))
            for at, ((identity, key), info) in enumerate(zip(holders, case["share_infos"], strict=True), start=1)
        ]
        key = shamir.combine(shares, case["threshold"], len(shares))
        assert open_order_body(decoded, key).reveal() == case["plaintext"].encode()
