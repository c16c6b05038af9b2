"""Which Ed25519 signatures the ledger accepts, pinned: another set would fork the chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from abci_app.crypto import ed25519

CASES = json.loads((Path(__file__).parents[1] / "vectors/ed25519/edge_cases.json").read_text())
ACCEPTED = {
    "3 key and R of mixed order, both equations",
    "12 all in order",
    "14 key of mixed order, R in the subgroup, both equations",
}
P = 2**255 - 19
KEY = SigningKey(b"k" * 32)
PUBLIC = bytes(KEY.verify_key)

# RFC 8032, section 7.1, tests 1 to 3: key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def case_bytes(case: dict[str, str]) -> tuple[bytes, bytes, bytes]:
    return bytes.fromhex(case["key"]), bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_vectors_of_the_rfc_verify(key: str, message: str, signature: str) -> None:
    assert ed25519.verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
    assert ed25519.valid_public_key(bytes.fromhex(key))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_edge_case_is_decided_as_pinned(case: dict[str, str]) -> None:
    assert ed25519.verify(*case_bytes(case)) == (case["name"] in ACCEPTED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_accepted_follows_from_one_rule(case: dict[str, bool]) -> None:
    rule = (
        case["cofactorless"]
        and case["s_below_order"]
        and case["key_canonical"]
        and not case["key_small"]
        and not case["r_small"]
    )
    assert rule == (case["name"] in ACCEPTED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_only_canonical_keys_of_the_subgroup_are_registered(case: dict[str, bool]) -> None:
    key = bytes.fromhex(str(case["key"]))
    assert ed25519.valid_public_key(key) == (
        case["key_canonical"] and case["key_in_subgroup"] and not case["key_small"]
    )


@pytest.mark.parametrize(
    "y",
    [0, 1, 2, P - 1, P, P + 1, P + 3, P + 18, 2**255 - 1],
)
def test_keys_that_are_small_off_the_curve_or_not_reduced_are_not_valid(y: int) -> None:
    for sign in (0, 1 << 255):
        assert not ed25519.valid_public_key((y | sign).to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_not_valid_and_verifies_nothing(length: int) -> None:
    signature = KEY.sign(b"m").signature
    assert not ed25519.valid_public_key(bytes(length))
    assert not ed25519.verify((PUBLIC * 2)[:length], b"m", signature)
    assert not ed25519.SignatureMemo().verify((PUBLIC * 2)[:length], b"m", signature)


def test_bytes_do_not_move_between_signature_and_message() -> None:
    signature = KEY.sign(b"message").signature
    memo = ed25519.SignatureMemo()
    for verify in (ed25519.verify, memo.verify):
        assert verify(PUBLIC, b"message", signature)
        assert not verify(PUBLIC, b"essage", signature + b"m")
        assert not verify(PUBLIC, signature[-1:] + b"message", signature[:-1])


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    signature = KEY.sign(b"message").signature
    for bit in range(512):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not ed25519.verify(PUBLIC, b"message", bytes(changed)), bit


def test_the_memo_answers_the_same_on_a_hit_and_on_a_miss() -> None:
    memo = ed25519.SignatureMemo()
    for case in CASES:
        expected = ed25519.verify(*case_bytes(case))
        assert [memo.verify(*case_bytes(case)) for _ in range(3)] == [expected] * 3


def test_the_memo_forgets_the_oldest_first_and_never_grows_past_its_bound() -> None:
    memo = ed25519.SignatureMemo(max_entries=2)
    signed = [(PUBLIC, bytes([n]), KEY.sign(bytes([n])).signature) for n in range(4)]
    for triple in signed:
        assert memo.verify(*triple)
        assert len(memo) <= 2
    assert memo.verify(*signed[0])
    assert len(memo) == 2


def test_a_remembered_signature_says_nothing_about_another_key_or_message() -> None:
    memo = ed25519.SignatureMemo()
    signature = KEY.sign(b"message").signature
    other = bytes(SigningKey(b"o" * 32).verify_key)
    assert memo.verify(PUBLIC, b"message", signature)
    assert not memo.verify(other, b"message", signature)
    assert not memo.verify(PUBLIC, b"other", signature)
