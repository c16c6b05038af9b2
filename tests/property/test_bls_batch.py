"""Signatures checked together against each checked by itself, over mixtures of good, bad, malformed and identity."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.crypto import bls
from abci_app.crypto.curve import G1, G2
from dta.base.secret import SecretBytes
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.bls.batch import Claim, verify_batch

KEYS = [BlsPrivateKey.from_seed(SecretBytes(bytes([n]) * 48)) for n in range(1, 5)]
MESSAGES = [b"", b"one", b"two", bytes(300)]
SIGNED = {(key, message): KEYS[key].sign(MESSAGES[message]) for key in range(4) for message in range(4)}
OUTSIDE = bytes([0x80]) + bytes(94) + b"\x02"
SHIFT = G2.hash(b"shift", b"tag")

people, messages = st.integers(0, 3), st.integers(0, 3)
good = st.builds(lambda k, m: [(KEYS[k].public_key, MESSAGES[m], SIGNED[k, m])], people, messages)
anothers = st.builds(
    lambda k, m, by, over: [(KEYS[k].public_key, MESSAGES[m], SIGNED[by, over])], people, messages, people, messages
)
malformed_signature = st.builds(
    lambda k, m, data: [(KEYS[k].public_key, MESSAGES[m], data)],
    people, messages, st.sampled_from([b"", bytes(96), G2.identity().encode(), OUTSIDE, b"\xff" * 96, b"\x80" * 95]),
)  # fmt: skip
malformed_key = st.builds(
    lambda data, m: [(data, MESSAGES[m], SIGNED[0, m])],
    st.sampled_from([b"", bytes(48), G1.identity().encode(), b"\xff" * 48, bytes(96)]), messages,
)  # fmt: skip
changed = st.builds(
    lambda k, m, place, bit: [(KEYS[k].public_key, MESSAGES[m], _flip(SIGNED[k, m], place, bit))],
    people, messages, st.integers(0, 95), st.integers(0, 7),
)  # fmt: skip
cancelling = st.builds(
    lambda k, m, other, n: [
        (KEYS[k].public_key, MESSAGES[m], (G2.decode(SIGNED[k, m]) + SHIFT).encode()),
        (KEYS[other].public_key, MESSAGES[n], (G2.decode(SIGNED[other, n]) - SHIFT).encode()),
    ],
    people, messages, people, messages,
)  # fmt: skip


def _flip(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(good, good, good, anothers, malformed_signature, malformed_key, changed, cancelling), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_together_they_are_what_each_is_alone(groups: list[list[Claim]], order: object) -> None:
    claims = [claim for group in groups for claim in group]
    order.shuffle(claims)  # type: ignore[attr-defined]
    assert verify_batch(claims) == [bls.verify(*claim) for claim in claims]
