"""Framing: whatever the split of the stream, the same messages come out, and garbage never costs more than itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.server.framing import (
    BadVarint,
    FrameBuffer,
    FrameError,
    FrameTooLarge,
    encode_varint,
    frame,
)

CAP_BYTES = 4096
MESSAGES = st.lists(st.one_of(st.binary(max_size=12), st.binary(min_size=120, max_size=300)), max_size=20)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """``stream`` cut at each of ``cuts`` (taken modulo its length)."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(places)]


@given(MESSAGES, st.lists(st.integers(0, 10_000), max_size=30), st.integers(1, 7))
def test_any_split_of_the_stream_gives_the_same_messages(messages: list[bytes], cuts: list[int], limit: int) -> None:
    buffer = FrameBuffer(CAP_BYTES)
    taken: list[bytes] = []
    for piece in pieces(b"".join(frame(message) for message in messages), cuts):
        buffer.feed(piece)
        while batch := buffer.take(limit):
            assert len(batch) <= limit
            taken += batch
    assert taken == messages
    assert buffer.pending_bytes == 0


@given(MESSAGES)
def test_a_stream_that_arrives_byte_by_byte_gives_the_same_messages(messages: list[bytes]) -> None:
    buffer = FrameBuffer(CAP_BYTES)
    taken: list[bytes] = []
    for byte in b"".join(frame(message) for message in messages):
        buffer.feed(bytes([byte]))
        taken += buffer.take(64)
    assert taken == messages


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_garbage_ends_in_messages_or_a_frame_error_at_any_split(garbage: bytes, cuts: list[int]) -> None:
    outcomes = []
    for split in ([], cuts):
        buffer = FrameBuffer(64)
        taken: list[bytes] = []
        failed = False
        try:
            for piece in pieces(garbage, split):
                buffer.feed(piece)
                while batch := buffer.take(3):
                    taken += batch
        except FrameError:
            failed = True
        outcomes.append((taken, failed))
    assert outcomes[0] == outcomes[1]


@given(MESSAGES, st.integers(CAP_BYTES + 1, 2**64 - 1))
def test_what_came_before_a_huge_length_is_given_out_first(messages: list[bytes], length_bytes: int) -> None:
    buffer = FrameBuffer(CAP_BYTES)
    buffer.feed(b"".join(frame(message) for message in messages) + encode_varint(length_bytes))
    if messages:
        assert buffer.take(64) == messages
    with pytest.raises(FrameTooLarge) as caught:
        buffer.take(64)
    assert caught.value.length_bytes == length_bytes


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_read_back(value: int) -> None:
    buffer = FrameBuffer(0)
    buffer.feed(encode_varint(value))
    if value == 0:
        assert buffer.take(1) == [b""]
    else:
        with pytest.raises(FrameTooLarge) as caught:
            buffer.take(1)
        assert caught.value.length_bytes == value


@pytest.mark.parametrize("stream", [b"\xff" * 10, b"\x80" * 11, b"\xff" * 9 + b"\x02", b"\x80" * 9 + b"\x7f"])
def test_a_length_that_is_no_varint_of_64_bits_is_refused(stream: bytes) -> None:
    buffer = FrameBuffer(CAP_BYTES)
    buffer.feed(stream)
    with pytest.raises(BadVarint):
        buffer.take(1)


def test_an_overlong_length_within_ten_bytes_is_read_as_go_reads_it() -> None:
    buffer = FrameBuffer(CAP_BYTES)
    buffer.feed(b"\x83\x80\x80\x00abc")
    assert buffer.take(1) == [b"abc"]


def test_a_huge_length_reserves_no_memory_before_its_bytes_arrive() -> None:
    buffer = FrameBuffer(1 << 40)
    buffer.feed(encode_varint(1 << 40) + b"only this")
    assert buffer.take(1) == []
    assert buffer.pending_bytes < 64


def test_a_message_of_twenty_megabytes_in_small_pieces_is_put_together_once() -> None:
    message = bytes(20 << 20)
    stream = memoryview(frame(message) + frame(b"next"))
    buffer = FrameBuffer()
    taken: list[bytes] = []
    for start in range(0, len(stream), 4096):
        buffer.feed(bytes(stream[start : start + 4096]))
        taken += buffer.take(64)
    assert taken == [message, b"next"]
