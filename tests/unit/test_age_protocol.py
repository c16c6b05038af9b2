"""What age and the plugin say to each other, byte by byte; and Bech32, in which recipients are written."""

from __future__ import annotations

from io import BytesIO

import pytest

from dta.age import bech32
from dta.age.bech32 import NotBech32
from dta.age.protocol import BrokenOff, Conversation
from dta.age.recipient import Stanza
from tests.support.age import encoded

# BIP 173's own examples: what is valid, with how many bytes of five bits it has; and what is not.
VALID = [
    "A12UEL5L", "a12uel5l",
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
]  # fmt: skip
INVALID = [
    ("pzry9x0s0muk", "separator"), ("1pzry9x0s0muk", "separator"), ("x1b4n0q5v", "alphabet"), ("li1dgmt3", "length"),
    ("A1G7SGD8", "checksum"), ("10a06t8", "separator"), ("1qzzfhee", "separator"), ("A12uEL5L", "case"),
]  # fmt: skip


@pytest.mark.parametrize("text", VALID)
def test_what_bip_173_says_is_valid_is_read_and_written_the_same(text: str) -> None:
    prefix, data = bech32.decode(text)
    assert bech32.encode(prefix, data) == text.lower()


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_what_bip_173_says_is_invalid_is_refused(text: str, reason: str) -> None:
    with pytest.raises(NotBech32) as caught:
        bech32.decode(text)
    assert caught.value.reason == reason


def test_bech32_reads_what_it_wrote_for_any_length_and_no_changed_character() -> None:
    for length in (0, 1, 31, 32, 225, 500):
        text = bech32.encode("age1dta", bytes(range(256))[:length] * (2 if length > 256 else 1))
        assert bech32.encode(*bech32.decode(text)) == text
    text = bech32.encode("age1dta", b"a message of some length")
    for place in range(len("age1dta1"), len(text)):
        other = "q" if text[place] != "q" else "p"
        with pytest.raises(NotBech32):
            bech32.decode(text[:place] + other + text[place + 1 :])
    with pytest.raises(NotBech32) as caught:
        bech32.decode(bech32.encode("a", bytes(5_000)))
    assert caught.value.reason == "length"


def test_bits_left_over_that_are_no_padding_are_refused() -> None:
    """The same bytes have one text: five zero bits more, or a bit that is set in what pads, is another."""
    with pytest.raises(NotBech32) as caught:
        bech32.decode(_with_values("a", [0, 1]))
    assert caught.value.reason == "padding"
    with pytest.raises(NotBech32) as caught:
        bech32.decode(_with_values("a", [0, 0, 0]))
    assert caught.value.reason == "padding"


def _with_values(prefix: str, values: list[int]) -> str:
    """A text with these five-bit values and a good checksum."""
    sum_ = bech32._polymod([*bech32._expanded(prefix), *values, *[0] * 6]) ^ 1
    return prefix + "1" + "".join(bech32._ALPHABET[v] for v in [*values, *(sum_ >> 5 * (5 - n) & 31 for n in range(6))])


@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 96, 192, 1_000])
def test_a_stanza_of_any_length_is_read_as_it_was_written(length: int) -> None:
    body = bytes(range(256)) * 4
    out = BytesIO()
    conversation = Conversation(BytesIO(encoded("ok")), out)
    conversation.give_stanza(3, Stanza("dta", ("1", "x"), body[:length]))
    assert out.getvalue() == encoded("recipient-stanza", "3", "dta", "1", "x", body=body[:length])
    [read] = Conversation(BytesIO(out.getvalue() + encoded("done")), BytesIO()).phase()
    assert read == Stanza("recipient-stanza", ("3", "dta", "1", "x"), body[:length])


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"->\n\n", b"-> a", b"-> a\n", b"-> a\n\n", b"- a\n\n", b"-> a  b\n\n", b"-> a\tb\n\n", b"-> \xc3\xa9\n\n",
        b"-> a\nnot base64!\n", b"-> a\nAB\n",
        b"-> a\n" + b"A" * 65 + b"\n\n", b"-> a\nAA==\n", b"-> " + b"a" * 70_000 + b"\n\n",
        b"-> a\n" + b"A" * 64 + b"\n", b"-> a\n" + (b"A" * 64 + b"\n") * 2_000 + b"\n",
    ],
)  # fmt: skip
def test_what_is_no_stanza_or_does_not_end_breaks_off(sent: bytes) -> None:
    with pytest.raises(BrokenOff):
        list(Conversation(BytesIO(sent), BytesIO()).phase())


def test_a_question_that_age_can_not_answer_has_no_answer() -> None:
    for said in ("fail", "unsupported"):
        assert Conversation(BytesIO(encoded(said)), BytesIO()).ask_secret("PIN?") is None
    answered = Conversation(BytesIO(encoded("ok", body=b"4711")), BytesIO()).ask_secret("PIN?")
    assert answered is not None
    assert answered.reveal() == b"4711"
