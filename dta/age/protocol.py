"""The conversation between age and a plugin: stanzas over two pipes (C2SP age-plugin, v1).

A phase is a sequence of stanzas that ``done`` ends. In the first age speaks; in the second the plugin asks, and age
answers each.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from dta.age.recipient import Stanza
from dta.base.secret import SecretBytes

COLUMNS: Final = 64
MAX_LINE_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 65_536
MAX_STANZAS: Final = 10_000


class BrokenOff(Exception):
    """What age sends is no stanza, or it is gone: nobody is left to tell."""


class Conversation:
    """The plugin's end of it. ``incoming`` and ``outgoing``: the two pipes."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    # --- as age speaks ------------------------------------------------------------------------------------------
    def phase(self) -> Iterator[Stanza]:
        """What age sends, up to its ``done``. Raises :class:`BrokenOff`."""
        for _ in range(MAX_STANZAS):
            stanza = self._read()
            if stanza.kind == "done":
                return
            yield stanza
        raise BrokenOff

    def _read(self) -> Stanza:
        words = self._line().split(b" ")
        if words[0] != b"->" or len(words) < 2 or not all(map(_is_word, words)):
            raise BrokenOff
        body = bytearray()
        while True:
            line = self._line()
            if len(line) > COLUMNS:
                raise BrokenOff
            body += line
            if len(body) > MAX_BODY_BYTES:
                raise BrokenOff
            if len(line) < COLUMNS:
                break
        kind, *arguments = (word.decode("ascii") for word in words[1:])
        return Stanza(kind, tuple(arguments), _decoded(bytes(body)))

    def _line(self) -> bytes:
        line = self._incoming.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise BrokenOff
        return line[:-1]

    # --- as the plugin speaks -----------------------------------------------------------------------------------
    def _write(self, kind: str, arguments: Sequence[str], body: bytes) -> None:
        text = _encoded(body).encode("ascii")
        # A body ends with a line shorter than the others, which is empty where they are all full.
        lines = [text[start : start + COLUMNS] for start in range(0, len(text) + 1, COLUMNS)]
        try:
            self._outgoing.write(b"\n".join([" ".join(("->", kind, *arguments)).encode("ascii"), *lines, b""]))
            self._outgoing.flush()
        except OSError:
            raise BrokenOff from None

    def _ask(self, kind: str, arguments: Sequence[str] = (), body: bytes = b"") -> Stanza | None:
        """What age answers; None where it can't, or does not know the question."""
        self._write(kind, arguments, body)
        answer = self._read()
        return answer if answer.kind == "ok" else None

    def say(self, message: str) -> None:
        """Show a person something, where there is one."""
        self._ask("msg", body=message.encode())

    def ask_secret(self, message: str) -> SecretBytes | None:
        """A PIN or passphrase; None where nobody answers."""
        answer = self._ask("request-secret", body=message.encode())
        return None if answer is None else SecretBytes(answer.body)

    def confirm(self, message: str, yes: str, no: str) -> bool | None:
        """Which of the two a person chose; None where nobody can be asked."""
        answer = self._ask("confirm", (_encoded(yes.encode()), _encoded(no.encode())), message.encode())
        return None if answer is None else answer.arguments == ("yes",)

    def give_stanza(self, file: int, stanza: Stanza) -> None:
        """A wrapped file key."""
        self._ask("recipient-stanza", (str(file), stanza.kind, *stanza.arguments), stanza.body)

    def give_file_key(self, file: int, file_key: SecretBytes) -> None:
        """An unwrapped file key."""
        self._ask("file-key", (str(file),), file_key.reveal())

    def fail(self, message: str, *about: str) -> None:
        """What went wrong. ``about``: ``recipient N``, ``identity N``, ``stanza FILE N``; without: something else."""
        self._ask("error", about or ("internal",), message.encode())

    def done(self) -> None:
        """The plugin has said all."""
        self._write("done", (), b"")


def _is_word(word: bytes) -> bool:
    return bool(word) and all(0x21 <= byte <= 0x7E for byte in word)


def _encoded(data: bytes) -> str:
    return b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: bytes) -> bytes:
    try:
        data = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except NotBase64:
        raise BrokenOff from None
    if _encoded(data).encode("ascii") != text:
        raise BrokenOff
    return data
