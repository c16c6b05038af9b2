"""Where PINs and passphrases come from: a private file, a file descriptor or a prompt. Never an argument, never the
environment (which may name the file): both are visible to others and survive in histories and core dumps."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm.errors import PinFileMissing, PinFileUnsafe, PinUnusable

PIN_FILE_VARIABLE = "DTA_PIN_FILE"
MAX_PIN_BYTES = 1024

Prompt = Callable[[], SecretBytes]
"""Asks a person for the PIN or passphrase, without echo."""


def read_pin(config: KeystoreConfig, *, prompt: Prompt | None = None) -> SecretBytes:
    """The PIN or passphrase, UTF-8, without its line end: from ``pin_file``, else ``pin_fd``, else the file that
    ``DTA_PIN_FILE`` names, else the prompt.

    What an editor adds without a word (a byte order mark, a second line, white space at the end) is refused, not cut
    off: nobody knows what was meant, and most tokens lock after a few wrong tries. Raises PinFileMissing,
    PinFileUnsafe (group or others may read it), PinUnusable (the above; empty, too long, not UTF-8).
    """
    if config.pin_file is not None:
        return _from_file(config.pin_file)
    if config.pin_fd is not None:
        return _from_descriptor(config.pin_fd)
    named = os.environ.get(PIN_FILE_VARIABLE)
    if named:
        return _from_file(Path(named))
    if prompt is not None:
        return _checked(prompt().reveal(), "the prompt")
    raise PinFileMissing("no source for the PIN or passphrase is configured")


def source_name(config: KeystoreConfig) -> str:
    """Which source :func:`read_pin` will use, in words, for the doctor."""
    if config.pin_file is not None:
        return f"file {config.pin_file}"
    if config.pin_fd is not None:
        return f"file descriptor {config.pin_fd}"
    named = os.environ.get(PIN_FILE_VARIABLE)
    return f"file {named} (named by {PIN_FILE_VARIABLE})" if named else "prompt"


def _from_file(path: Path) -> SecretBytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PinFileMissing(f"cannot read the PIN file {path}: {error.strerror}", path=path) from error
    try:
        # On the descriptor, not the path: what was checked is what is read.
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise PinFileMissing(f"the PIN file {path} is a directory", path=path)
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise PinFileUnsafe(
                f"others may read the PIN file {path} (mode {mode:04o})", path=path, hint=f"chmod 600 {path}"
            )
        if status.st_uid not in (0, os.geteuid()):
            raise PinFileUnsafe(f"the PIN file {path} belongs to user {status.st_uid}", path=path)
        return _checked(_read_all(descriptor), str(path))
    finally:
        os.close(descriptor)


def _from_descriptor(descriptor: int) -> SecretBytes:
    try:
        return _checked(_read_all(descriptor), f"file descriptor {descriptor}")
    except OSError as error:
        raise PinFileMissing(
            f"cannot read the PIN from file descriptor {descriptor}: {error.strerror}",
            hint="the process that starts this one must leave the descriptor open: `3<pin-file`",
        ) from error


def _read_all(descriptor: int) -> bytes:
    content = b""
    while len(content) <= MAX_PIN_BYTES and (part := os.read(descriptor, MAX_PIN_BYTES + 1)):
        content += part
    return content


def _checked(content: bytes, source: str) -> SecretBytes:
    pin = content.removesuffix(b"\n").removesuffix(b"\r")
    if not pin:
        raise PinUnusable(f"the PIN or passphrase from {source} is empty")
    if len(pin) > MAX_PIN_BYTES:
        raise PinUnusable(f"the PIN or passphrase from {source} is longer than {MAX_PIN_BYTES} bytes")
    try:
        text = pin.decode("utf-8")
    except UnicodeDecodeError:
        # `from None`: the decoder's exception carries the bytes.
        raise PinUnusable(f"the PIN or passphrase from {source} is not UTF-8") from None
    for is_wrong, what, hint in (
        (text.startswith("\ufeff"), "begins with a byte order mark", "save the file as UTF-8 without one"),
        (text.splitlines() != [text], "has more than one line", "put the PIN on one line, nothing else in the file"),
        (text != text.strip(), "begins or ends with white space", "remove it; a PIN that has it must be changed first"),
        (any(ord(character) < 32 for character in text), "has a control character", "type it anew"),
    ):
        if is_wrong:
            raise PinUnusable(f"the PIN or passphrase from {source} {what}; it was not tried", hint=hint)
    return SecretBytes(pin)
