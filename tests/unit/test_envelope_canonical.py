"""Protobuf's many spellings of one message: only one is taken."""

from __future__ import annotations

import pytest

from abci_app import canonical
from abci_app.pb.dta.v1.custody_pb2 import Policy, PolicyNode
from abci_app.pb.dta.v1.envelope_pb2 import Envelope, EnvelopeHeader
from abci_app.pb.dta.v1.tx_pb2 import PlaceOrder, SignedTx, TxBody

TX = SignedTx(body=b"a", signer=b"b")
GOOD = bytes.fromhex("0a0161120162")


def test_the_canonical_encoding_is_taken() -> None:
    assert canonical.encode(TX) == GOOD
    assert canonical.decode(SignedTx, GOOD, len(GOOD)) == TX
    assert canonical.decode(SignedTx, b"", 0) == SignedTx()


@pytest.mark.parametrize(
    ("spelling", "data"),
    [
        ("fields reordered", "1201620a0161"),
        ("an overlong length", "0a810061120162"),
        ("an overlong tag", "8a000161120162"),
        ("a field twice", "0a01610a0161120162"),
        ("a default written out", "0a01611201621a00"),
        ("an unknown field", "0a0161120162a00601"),
        ("an unknown group", "0a0161120162a306a406"),
    ],
)
def test_other_spellings_of_the_same_message_are_refused(spelling: str, data: str) -> None:
    assert SignedTx.FromString(bytes.fromhex(data)).body == b"a"
    with pytest.raises(canonical.NotCanonical) as caught:
        canonical.decode(SignedTx, bytes.fromhex(data), 100)
    assert type(caught.value) is canonical.NotCanonical


def test_unknown_fields_are_found_at_every_depth() -> None:
    node = PolicyNode(identity=b"i").SerializeToString() + bytes.fromhex("a00601")
    policy = b"\x0a" + bytes([len(node)]) + node
    order = b"\x4a" + bytes([len(policy)]) + policy
    body = bytes([0x82, 0x02, len(order)]) + order
    assert TxBody.FromString(body).place_order.policy.nodes[0].identity == b"i"
    with pytest.raises(canonical.NotCanonical):
        canonical.decode(TxBody, body, 100)


def test_a_packed_list_written_unpacked_is_refused() -> None:
    packed = Policy(nodes=[PolicyNode(children=[1, 2])]).SerializeToString()
    node = bytes.fromhex("18011802")
    unpacked = b"\x0a" + bytes([len(node)]) + node
    assert Policy.FromString(unpacked) == Policy.FromString(packed)
    assert canonical.decode(Policy, packed, 100)
    with pytest.raises(canonical.NotCanonical):
        canonical.decode(Policy, unpacked, 100)


def test_two_members_of_one_oneof_are_refused() -> None:
    first = TxBody(place_order=PlaceOrder(threshold=1)).SerializeToString()
    second = TxBody(chain_id="")
    second.close_order.order = b"o"
    with pytest.raises(canonical.NotCanonical):
        canonical.decode(TxBody, first + second.SerializeToString(), 100)


@pytest.mark.parametrize(
    "data",
    ["0a", "0a05", "0a0561", "08", "ffffffffffffffffffff", "0f", "00", "0a01", "0affffffff0f61"],
)
def test_what_does_not_parse_is_malformed(data: str) -> None:
    with pytest.raises(canonical.Malformed) as caught:
        canonical.decode(SignedTx, bytes.fromhex(data), 100)
    assert not isinstance(caught.value, canonical.TooLong)


def test_text_that_is_not_utf_8_is_malformed() -> None:
    with pytest.raises(canonical.Malformed):
        canonical.decode(EnvelopeHeader, b"\x2a\x01\xff", 100)
    with pytest.raises(canonical.Malformed):
        canonical.decode(EnvelopeHeader, b"\x2a\x03\xed\xa0\x80", 100)


def test_groups_nested_without_end_are_malformed_and_exhaust_nothing() -> None:
    for depth in (90, 101, 1_000, 100_000):
        with pytest.raises(canonical.NotCanonical):
            canonical.decode(SignedTx, b"\xa3\x06" * depth + b"\xa4\x06" * depth, 10**6)


def test_too_many_bytes_are_refused_before_parsing() -> None:
    with pytest.raises(canonical.TooLong) as caught:
        canonical.decode(Envelope, bytes(101), 100)
    assert (caught.value.message, caught.value.length_bytes) == ("Envelope", 101)
    assert canonical.decode(SignedTx, GOOD, len(GOOD)) == TX
    with pytest.raises(canonical.TooLong):
        canonical.decode(SignedTx, GOOD, len(GOOD) - 1)
