"""What an approver of a signature is shown: text as text, bytes as hex, with length and digest."""

from __future__ import annotations

from hashlib import sha256

import pytest

from dta.cli import signed_text


@pytest.mark.parametrize(("message", "kind", "lines"), [
    (b"release 4.2", "text", ["| release 4.2"]),
    (b"one\ntwo\n", "text", ["| one", "| two", "| "]),
    ("\u00e4 \u2192 \u4e16".encode(), "text", ["| \u00e4 \u2192 \u4e16"]),
    (b"C:\\new", "text", ["| C:\\new"]),
    (b"one\r\ntwo", "text, with escapes for what does not show", ["| one\\r", "| two"]),
    (b"a\tb\\t", "text, with escapes for what does not show", ["| a\\tb\\\\t"]),
    ("pay \u202e001".encode(), "text, with escapes for what does not show", ["| pay \\u202e001"]),
    ("pay\u200b".encode(), "text, with escapes for what does not show", ["| pay\\u200b"]),
    ("a\ufe0f".encode(), "text, with escapes for what does not show", ["| a\\ufe0f"]),
    ("\u3164\u2800".encode(), "text, with escapes for what does not show", ["| \\u3164\\u2800"]),
    ("a\U000e0101".encode(), "text, with escapes for what does not show", ["| a\\U000e0101"]),
    ("n\u0336o\u0336".encode(), "text, with escapes for what does not show", ["| n\\u0336o\\u0336"]),
    ("e\u0301".encode(), "text", ["| e\u0301"]),
    (b"x" * 65, "text", ["| " + "x" * 64, ": x"]),
    (("\u4e16" * 33).encode(), "text", ["| " + "\u4e16" * 32, ": \u4e16"]),
    ("a\u2028b".encode(), "text, with escapes for what does not show", ["| a\\u2028b"]),
    (b"\x1b[2Jdone", "bytes, in hex", ["| 1b5b324a646f6e65"]),
    (b"\xff\xfe", "bytes, in hex", ["| fffe"]),
    (b"a\x00", "bytes, in hex", ["| 6100"]),
    ("\u0085".encode(), "bytes, in hex", ["| c285"]),
    (bytes(33), "bytes, in hex", ["| " + "00" * 32, "| 00"]),
    (b"", "nothing", []),
])  # fmt: skip
def test_a_message_is_shown_whole_with_length_and_digest(message: bytes, kind: str, lines: list[str]) -> None:
    first, *rest = signed_text.lines_of(message)
    assert first == f"{kind}, {len(message)} bytes, SHA-256 {sha256(message).hexdigest()}"
    assert rest == lines


def test_no_message_can_pass_for_what_the_command_says() -> None:
    wide = b"x" + b" " * 66 + b"signature    abcd"  # a terminal breaks the line where the command's own lines begin
    passing = (b"x\nsignature    abcd", b"x\r\nsignature    abcd", b"x\x0bsignature", "x\u2029signature".encode())
    for message in (*passing, wide):
        for line in signed_text.lines_of(message)[1:]:
            assert line.startswith(("| ", ": "))
            assert len(line.splitlines()) == 1
            assert len(line) <= 66
