"""The software keystore's file: its format, and how it is replaced without ever being half-written.

``magic(8) | version u8 | log2(n) u8 | salt(16) | nonce(12) | ciphertext and tag | SHA-256 of all before``

The file key is scrypt(passphrase, salt, n, r=8, p=1) (RFC 7914), 32 bytes; the body is sealed by ChaCha20-Poly1305
(RFC 8439) with everything before the ciphertext as associated data. The checksum is no protection: it tells a damaged
file from a wrong passphrase. Each write takes a new random nonce; the salt and so the file key stay.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dta.base.home import sync_directory
from dta.base.secret import SecretBytes
from dta.hsm.errors import PassphraseWrong, PinUnusable, StoreCorrupt

MAGIC = b"DTAKEYS\n"
VERSION = 1
DEFAULT_LOG2_N = 17
MIN_LOG2_N = 15
MAX_LOG2_N = 20
"""2^20 takes 1 GiB: a file that asks for more is not one of ours."""

_SCRYPT_R = 8
_SCRYPT_P = 1
_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_CHECKSUM_BYTES = 32
_PREFIX_BYTES = len(MAGIC) + 2 + _SALT_BYTES
_MIN_FILE_BYTES = _PREFIX_BYTES + _NONCE_BYTES + _TAG_BYTES + _CHECKSUM_BYTES


@dataclass(frozen=True)
class FileKey:
    """The key that opens a file, and the prefix (magic, version, scrypt cost, salt) it was derived under."""

    prefix: bytes
    key: SecretBytes


def new_file_key(passphrase: SecretBytes, log2_n: int = DEFAULT_LOG2_N) -> FileKey:
    """A key under a fresh salt. Raises PinUnusable for an empty passphrase, ValueError for the cost."""
    if not MIN_LOG2_N <= log2_n <= MAX_LOG2_N:
        raise ValueError(f"log2(n) of scrypt is {MIN_LOG2_N} to {MAX_LOG2_N}")
    return _derived(passphrase, MAGIC + bytes([VERSION, log2_n]) + secrets.token_bytes(_SALT_BYTES))


def file_key(content: bytes, passphrase: SecretBytes, path: Path) -> FileKey:
    """The key for an existing file's ``content``. Raises StoreCorrupt, PinUnusable."""
    check_form(content, path)
    return _derived(passphrase, content[:_PREFIX_BYTES])


def seal(key: FileKey, body: bytes) -> bytes:
    """A whole file around ``body``."""
    header = key.prefix + secrets.token_bytes(_NONCE_BYTES)
    sealed = header + ChaCha20Poly1305(key.key.reveal()).encrypt(header[_PREFIX_BYTES:], body, header)
    return sealed + sha256(sealed).digest()


def unseal(key: FileKey, content: bytes, path: Path) -> bytes:
    """The body of a file. Raises StoreCorrupt (damaged, unknown version) or PassphraseWrong (whole, other key)."""
    check_form(content, path)
    header = content[: _PREFIX_BYTES + _NONCE_BYTES]
    sealed = content[len(header) : -_CHECKSUM_BYTES]
    if content[:_PREFIX_BYTES] != key.prefix:
        raise PassphraseWrong(
            f"{path} was made anew under another passphrase",
            path=path,
            hint="restart the node with the new passphrase",
        )
    try:
        return ChaCha20Poly1305(key.key.reveal()).decrypt(header[_PREFIX_BYTES:], sealed, header)
    except InvalidTag:
        raise PassphraseWrong(f"the passphrase does not open {path}", path=path) from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Excludes other processes from changing the file. The lock is on a file beside it, as the file is replaced."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_new(path: Path, content: bytes) -> None:
    """Puts a file there, durably, mode 0600. Raises FileExistsError when something is there already."""
    temporary = _written(path, content)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_directory(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Replaces the file, durably: after a crash there is the old file or the new one, whole."""
    temporary = _written(path, content)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _written(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def check_form(content: bytes, path: Path) -> None:
    """Whether this can be a whole file of ours. Raises StoreCorrupt."""
    if len(content) < _MIN_FILE_BYTES or not content.startswith(MAGIC):
        raise StoreCorrupt(f"{path} is not a software keystore, or was cut short", path=path)
    if sha256(content[:-_CHECKSUM_BYTES]).digest() != content[-_CHECKSUM_BYTES:]:
        raise StoreCorrupt(f"{path} is damaged: its checksum does not match", path=path)
    version, log2_n = content[len(MAGIC)], content[len(MAGIC) + 1]
    if version != VERSION:
        raise StoreCorrupt(
            f"{path} has format version {version}, this program knows {VERSION}",
            path=path,
            hint="use the version of dta that wrote the file, or a newer one",
        )
    if not MIN_LOG2_N <= log2_n <= MAX_LOG2_N:
        raise StoreCorrupt(f"{path} asks for scrypt with n = 2^{log2_n}, outside what this program writes", path=path)


def _derived(passphrase: SecretBytes, prefix: bytes) -> FileKey:
    if not len(passphrase):
        raise PinUnusable("an empty passphrase protects nothing")
    n = 1 << prefix[len(MAGIC) + 1]
    scrypt = Scrypt(salt=prefix[-_SALT_BYTES:], length=32, n=n, r=_SCRYPT_R, p=_SCRYPT_P)
    return FileKey(prefix, SecretBytes(scrypt.derive(passphrase.reveal())))
