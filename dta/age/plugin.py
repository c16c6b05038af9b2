"""What the plugin does in the two conversations that age has with it: wrapping file keys, and unwrapping them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from dta.age.protocol import BrokenOff, Conversation
from dta.age.recipient import (
    FILE_KEY_BYTES,
    STANZA_TYPE,
    BadStanza,
    Named,
    NotARecipient,
    Recipient,
    Stanza,
    decode_identity,
    decode_recipient,
    read_stanza,
    unwrap,
)
from dta.base.errors import DtaError
from dta.base.secret import SecretBytes
from dta.crypto.ibe import CannotDecrypt, Ciphertext
from dta.custodians.mpc_bls import IdentityKey


class Keys(Protocol):
    """Who gets the keys of orders: :class:`dta.age.unwrapping.Unwrapper`."""

    @property
    def gid(self) -> bytes:
        """The ledger that it asks."""

    def key(self, named: Named, *, is_meant: bool) -> IdentityKey:
        """The order's key, or an error of ours. ``is_meant``: a person named this very order, and not only any."""


OpenKeys = Callable[[Conversation], AbstractContextManager[Keys]]
"""Opens the home: asked for once, when there is a stanza that may be for it."""


def wrap(conversation: Conversation) -> None:
    """``recipient-v1``, offline: every file key to every recipient, or an error for each that is none."""
    recipients: list[Recipient] = []
    file_keys: list[SecretBytes] = []
    faults: list[tuple[str, tuple[str, ...]]] = []
    counts = {"recipient": 0, "identity": 0}
    for stanza in conversation.phase():
        if stanza.kind == "wrap-file-key":
            file_keys.append(SecretBytes(stanza.body))
        elif stanza.kind in ("add-recipient", "add-identity"):
            what = stanza.kind.removeprefix("add-")
            try:
                recipients.append(_to(what, stanza))
            except NotARecipient as error:
                faults.append((str(error), (what, str(counts[what]))))
            counts[what] += 1
    if not faults and any(len(file_key) != FILE_KEY_BYTES for file_key in file_keys):
        faults.append((f"a file key has {FILE_KEY_BYTES} bytes", ()))
    for message, about in faults:
        conversation.fail(message, *about)
    if not faults:
        for number, file_key in enumerate(file_keys):
            for recipient in recipients:
                conversation.give_stanza(number, recipient.wrap(file_key))
    conversation.done()


def _to(what: str, stanza: Stanza) -> Recipient:
    text = _only(stanza.arguments)
    if what == "recipient":
        return decode_recipient(text)
    found = decode_identity(text)
    if found is None:
        raise NotARecipient("length")  # the one without content says of no order that it is meant
    return found


def _only(arguments: Sequence[str]) -> str:
    if len(arguments) != 1:
        raise BrokenOff
    return arguments[0]


@dataclass
class _Unwrapping:
    """What age asked for: ``identities`` None is the one without content. By file: the stanzas that are for us."""

    identities: list[Recipient | None] = field(default_factory=list)
    faults: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    files: dict[int, list[tuple[int, Named, Ciphertext]]] = field(default_factory=dict)
    malformed: set[int] = field(default_factory=set)

    def is_for(self, named: Named, gid: bytes | None = None) -> bool:
        """Whether one of the identities is meant by it; ``gid``: the ledger of the home, once it is known."""
        return self.is_meant(named) or (None in self.identities and (gid is None or gid == named.gid))

    def is_meant(self, named: Named) -> bool:
        """Whether one of the identities is its order's own."""
        own = [one.names == named for one in self.identities if one is not None]
        return any(own)


def unwrap_files(conversation: Conversation, open_keys: OpenKeys) -> None:
    """``identity-v1``: the file key of every file that one of the identities opens.

    Others' stanzas are passed over. Nothing is unwrapped where an identity is malformed, and no file with a malformed
    stanza of ours.
    """
    asked = _read_unwrapping(conversation)
    for message, about in asked.faults:
        conversation.fail(message, *about)
    wanted = {
        file: [one for one in stanzas if asked.is_for(one[1])]
        for file, stanzas in asked.files.items()
        if file not in asked.malformed
    }
    if any(wanted.values()) and not any(about[0] == "identity" for _, about in asked.faults):
        try:
            with open_keys(conversation) as keys:
                for file, stanzas in wanted.items():
                    ours = [one for one in stanzas if asked.is_for(one[1], keys.gid)]
                    _unwrap_file(conversation, keys, asked, file, ours)
        except DtaError as error:
            conversation.fail(_said(error))
    conversation.done()


def _read_unwrapping(conversation: Conversation) -> _Unwrapping:
    asked = _Unwrapping()
    seen: dict[int, int] = {}
    for stanza in conversation.phase():
        if stanza.kind == "add-identity":
            try:
                asked.identities.append(decode_identity(_only(stanza.arguments)))
            except NotARecipient as error:
                asked.faults.append((str(error), ("identity", str(len(asked.identities)))))
                asked.identities.append(None)
        elif stanza.kind == "recipient-stanza":
            _take_stanza(asked, seen, stanza)
    return asked


def _take_stanza(asked: _Unwrapping, seen: dict[int, int], stanza: Stanza) -> None:
    if len(stanza.arguments) < 2 or not stanza.arguments[0].isdigit():
        raise BrokenOff
    file, kind, arguments = int(stanza.arguments[0]), stanza.arguments[1], stanza.arguments[2:]
    number = seen[file] = seen.get(file, -1) + 1
    if kind != STANZA_TYPE:
        return
    try:
        named, wrapped = read_stanza(Stanza(kind, arguments, stanza.body))
    except BadStanza as error:
        asked.faults.append((str(error), ("stanza", str(file), str(number))))
        asked.malformed.add(file)
        return
    asked.files.setdefault(file, []).append((number, named, wrapped))


def _unwrap_file(
    conversation: Conversation,
    keys: Keys,
    asked: _Unwrapping,
    file: int,
    stanzas: Sequence[tuple[int, Named, Ciphertext]],
) -> None:
    """The first of the file's stanzas that opens; else why each did not."""
    faults: list[tuple[str, tuple[str, ...]]] = []
    for number, named, wrapped in stanzas:
        try:
            found = keys.key(named, is_meant=asked.is_meant(named))
        except DtaError as error:
            faults.append((_said(error), ()))
            continue
        try:
            file_key = unwrap(found.to, found.key, named, wrapped)
        except CannotDecrypt as error:
            faults.append((_said(error), ("stanza", str(file), str(number))))
            continue
        conversation.give_file_key(file, file_key)
        return
    for message, about in faults:
        conversation.fail(message, *about)


def _said(error: DtaError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
