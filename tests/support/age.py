"""age's end of a conversation with a plugin, in one process: what it sends first, and how it answers."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

from dta.age.protocol import Conversation
from dta.age.recipient import Stanza


def encoded(kind: str, *arguments: str, body: bytes = b"") -> bytes:
    """A stanza as it goes over the pipe; written here again, from the specification of the age header."""
    text = b64encode(body).decode().rstrip("=")
    lines = [" ".join(("->", kind, *arguments))]
    while len(text) >= 64:
        lines.append(text[:64])
        text = text[64:]
    return ("\n".join([*lines, text]) + "\n").encode()


@dataclass
class Age:
    """``first``: what age sends, without its ``done``. ``answer``: its answer to each question, by default that of a
    person who says yes."""

    first: Sequence[bytes]
    answer: Callable[[Stanza], bytes] = lambda stanza: encoded("ok", *(("yes",) if stanza.kind == "confirm" else ()))
    heard: list[Stanza] = field(default_factory=list)
    is_over: bool = False

    def talk(self, plugin: Callable[[Conversation], None]) -> list[Stanza]:
        """Everything that the plugin said before its ``done``."""
        incoming = BytesIO(b"".join(self.first) + encoded("done"))
        plugin(Conversation(incoming, _Listener(self, incoming)))
        assert self.is_over, "the plugin ends with `done`"
        return self.heard

    def of_kind(self, kind: str) -> list[Stanza]:
        return [stanza for stanza in self.heard if stanza.kind == kind]


class _Listener(BytesIO):
    """The plugin's standard output: each stanza is read as age reads it, and answered at once."""

    def __init__(self, age: Age, incoming: BytesIO) -> None:
        super().__init__()
        self._age = age
        self._incoming = incoming

    def flush(self) -> None:
        said = self.getvalue()
        self.seek(0)
        self.truncate()
        if not said:
            return
        done = encoded("done")
        [stanza] = Conversation(BytesIO(said + done), BytesIO()).phase() if said != done else [None]
        if stanza is None:
            self._age.is_over = True
            return
        self._age.heard.append(stanza)
        position = self._incoming.tell()
        self._incoming.seek(0, 2)
        self._incoming.write(self._age.answer(stanza))
        self._incoming.seek(position)
