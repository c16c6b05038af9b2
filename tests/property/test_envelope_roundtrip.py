"""Properties of canonical decoding, CIDs, sharing and envelopes, over generated input."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app import canonical, envelope
from abci_app.cid import BadCid, cid_of, cid_of_digest, digest_of
from abci_app.pb.dta.v1 import envelope_pb2
from abci_app.pb.dta.v1.tx_pb2 import SignedTx, TxBody
from dta.base.secret import SecretBytes
from dta.crypto import shamir
from dta.crypto.bls import GROUP_ORDER
from dta.envelope import open_order_body, open_record, open_share, sign
from tests.support.envelopes import GID, KEYS, PEOPLE, SENDER, Order, record, record_draft

BLOCK = sign(record_draft(), GID, {SENDER.id: SENDER.bls})
SCALARS = st.integers(0, GROUP_ORDER - 1).map(lambda value: SecretBytes(value.to_bytes(32, "big")))


@given(body=st.binary(max_size=200), signer=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_what_is_encoded_decodes_to_the_same(body: bytes, signer: bytes, signature: bytes) -> None:
    message = SignedTx(body=body, signer=signer, signature=signature)
    assert canonical.decode(SignedTx, canonical.encode(message), 400) == message


@settings(max_examples=500)
@given(st.binary(max_size=120))
def test_bytes_are_taken_only_when_they_are_what_encoding_gives(data: bytes) -> None:
    for cls in (SignedTx, TxBody, envelope_pb2.EnvelopeHeader):
        try:
            message = canonical.decode(cls, data, 120)
        except canonical.NotCanonical:
            continue
        assert canonical.encode(message) == data


@settings(max_examples=500)
@given(at=st.integers(0, len(BLOCK) - 1), value=st.integers(0, 255), drop=st.integers(0, 3), more=st.binary(max_size=4))
def test_no_changed_block_passes_for_the_one_that_was_signed(at: int, value: int, drop: int, more: bytes) -> None:
    changed = BLOCK[:at] + bytes([value]) + more + BLOCK[at + 1 + drop :]
    try:
        decoded = envelope.decode(changed)
    except envelope.EnvelopeRefused:
        assert changed != BLOCK
        return
    assert envelope.verify(decoded, GID, KEYS) == (changed == BLOCK)


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused_with_a_reason(data: bytes) -> None:
    try:
        decoded = envelope.decode(data)
    except envelope.EnvelopeRefused:
        return
    assert decoded.cid == cid_of(data)


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_has_one_name(digest: bytes) -> None:
    assert digest_of(cid_of_digest(digest)) == digest


@given(st.one_of(st.text(max_size=70), st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=59, max_size=59)))
def test_text_is_a_cid_only_when_it_is_the_name_of_its_digest(text: str) -> None:
    try:
        digest = digest_of(text)
    except BadCid:
        return
    assert cid_of_digest(digest) == text


@settings(max_examples=50, deadline=None)
@given(secret=SCALARS, data=st.data())
def test_any_threshold_of_shares_combines(secret: SecretBytes, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    threshold = data.draw(st.integers(1, count))
    shares = data.draw(st.permutations(shamir.split(secret, threshold, count)))
    chosen = shares[: data.draw(st.integers(threshold, count))]
    assert shamir.combine(chosen, threshold, count) == secret


@settings(max_examples=30, deadline=None)
@given(plaintext=st.binary(max_size=5_000), recipients=st.integers(1, 5), reader=st.integers(0, 4))
def test_a_record_opens_to_what_was_sealed(plaintext: bytes, recipients: int, reader: int) -> None:
    decoded = record(plaintext, recipients)
    person = PEOPLE[reader % recipients]
    assert open_record(decoded, GID, person.id, person.hpke).reveal() == plaintext
    assert len(decoded.body) == len(plaintext) + envelope.BODY_OVERHEAD_BYTES


@settings(max_examples=30, deadline=None)
@given(secret=st.binary(max_size=2_000), count=st.integers(1, 6), data=st.data())
def test_an_order_opens_with_any_threshold_of_its_shares(secret: bytes, count: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, count))
    order = Order(secret, threshold, count)
    chosen = data.draw(st.permutations(range(count)))[:threshold]
    shares = [
        shamir.Share(at + 1, open_share(order.decoded, PEOPLE[at].id, PEOPLE[at].hpke, order.infos[at]))
        for at in chosen
    ]
    assert open_order_body(order.decoded, shamir.combine(shares, threshold, count)).reveal() == secret
    assert order.decoded.cid == cid_of(order.block)
