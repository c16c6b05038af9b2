"""The software keystore: keys in one encrypted file, for those who have no HSM at hand.

It says so at every opening. Whoever has the file and the passphrase has the keys, for ever; and a destroyed key may
live on in old disk blocks, snapshots and backups together with the passphrase (docs/howto/hsm.md).
"""

from __future__ import annotations

import hmac
import json
import os
import stat
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm import sealed_file, selftest
from dta.hsm.errors import (
    AbsenceUnproved,
    ConfigIncomplete,
    KeyAmbiguous,
    KeyMissing,
    KeystoreClosed,
    LabelInvalid,
    StoreCorrupt,
    StoreExists,
    StoreMissing,
)
from dta.hsm.keystore import PRF_BYTES, CheckStep, Notice, checked_label
from dta.hsm.pin import Prompt, read_pin

NOTICE = "software keystore: keys are in a file; anyone with the file and the passphrase has them"

Kind = Literal["signing", "prf"]
T = TypeVar("T")


class SoftwareKeystoreWarning(UserWarning):
    """Issued at every opening of a software keystore that was given no ``notice``."""


@dataclass(frozen=True)
class _Entry:
    kind: Kind
    secret: SecretBytes


@dataclass(frozen=True)
class _Stamp:
    """What tells one version of the file from the next: every change makes a new file."""

    inode: int
    changed_ns: int
    size_bytes: int


class SoftwareKeystore:
    """A :class:`dta.hsm.keystore.Keystore`. Several processes may have one file open; each sees the others' changes."""

    kind = "software"

    def __init__(self, path: Path, passphrase: SecretBytes) -> None:
        self._path = path
        self._lock = threading.RLock()
        content, stamp = _read(path)
        self._key: sealed_file.FileKey | None = sealed_file.file_key(content, passphrase, path)
        self._entries = _decoded(sealed_file.unseal(self._key, content, path), path)
        self._stamp = stamp
        self._relied_on = ""

    @classmethod
    def create(cls, path: Path, passphrase: SecretBytes, *, log2_n: int = sealed_file.DEFAULT_LOG2_N) -> None:
        """Makes an empty store, mode 0600. ``log2_n`` is scrypt's cost: 17 takes 128 MiB and about half a second.

        Raises PinUnusable for an empty passphrase, StoreExists.
        """
        content = sealed_file.seal(sealed_file.new_file_key(passphrase, log2_n), _encoded({}))
        try:
            sealed_file.write_new(path, content)
        except FileExistsError:
            raise StoreExists(f"{path} is there already", path=path) from None
        except FileNotFoundError:
            raise StoreMissing(f"the directory {path.parent} is not there", path=path) from None

    @classmethod
    def open(
        cls, config: KeystoreConfig, *, prompt: Prompt | None = None, notice: Notice | None = None
    ) -> SoftwareKeystore:
        """Opens ``config.path``. Raises StoreMissing, StoreCorrupt, PassphraseWrong and read_pin's errors."""
        if config.path is None:
            raise ConfigIncomplete("a software keystore needs the path of its file")
        if not config.path.exists():  # before anybody is asked for a passphrase
            raise _missing(config.path)
        store = cls(config.path, read_pin(config, prompt=prompt))
        if notice is not None:
            notice(NOTICE)
        else:
            warnings.warn(NOTICE, SoftwareKeystoreWarning, stacklevel=3)
        return store

    @staticmethod
    def check_form(path: Path) -> None:
        """What can be said without the passphrase: is it there, and whole? Raises StoreMissing, StoreCorrupt."""
        sealed_file.check_form(_read(path)[0], path)

    def rely_on(self, label: str) -> None:
        self._relied_on = checked_label(label)

    def close(self) -> None:
        with self._lock:
            self._key = None
            self._entries = {}

    def ensure_signing_key(self, label: str) -> bytes:
        checked_label(label)

        def ensure(entries: dict[str, _Entry]) -> tuple[bytes, bool]:
            entry = self._find(entries, label, "signing")
            if entry is not None:
                return _public(entry), False
            entries[label] = _Entry("signing", SecretBytes(os.urandom(32)))
            return _public(entries[label]), True

        return self._change(ensure)

    def signing_public_key(self, label: str) -> bytes | None:
        entry = self._lookup(label, "signing")
        return _public(entry) if entry else None

    def sign(self, label: str, message: bytes) -> bytes:
        entry = self._lookup(label, "signing")
        if entry is None:
            raise KeyMissing(f"there is no signing key {label!r} in {self._path}", label=label, path=self._path)
        return Ed25519PrivateKey.from_private_bytes(entry.secret.reveal()).sign(message)

    def ensure_prf_key(self, label: str) -> bool:
        checked_label(label)

        def ensure(entries: dict[str, _Entry]) -> tuple[bool, bool]:
            if self._find(entries, label, "prf") is not None:
                return False, False
            entries[label] = _Entry("prf", SecretBytes(os.urandom(PRF_BYTES)))
            return True, True

        return self._change(ensure)

    def has_prf_key(self, label: str) -> bool:
        return self._lookup(label, "prf") is not None

    def prf(self, label: str, data: bytes) -> SecretBytes:
        entry = self._lookup(label, "prf")
        if entry is None:
            raise KeyMissing(f"there is no PRF key {label!r} in {self._path}", label=label, path=self._path)
        return SecretBytes(hmac.digest(entry.secret.reveal(), data, sha256))

    def reveal(self, label: str) -> SecretBytes:
        """A key itself: a signing key's seed (RFC 8032) or a PRF key, 32 bytes; for who keeps it elsewhere.

        No other back end has this. Raises KeyMissing.
        """
        checked_label(label)
        with self._lock:
            self._refresh()
            entry = self._entries.get(label)
        if entry is None:
            raise KeyMissing(f"there is no key {label!r} in {self._path}", label=label, path=self._path)
        return entry.secret

    def destroy(self, label: str) -> bool:
        checked_label(label)

        def remove(entries: dict[str, _Entry]) -> tuple[bool, bool]:
            self._prove_absence(entries)
            there = entries.pop(label, None) is not None
            return there, there

        return self._change(remove)

    def labels(self) -> list[str]:
        with self._lock:
            self._refresh()
            self._prove_absence(self._entries)
            return sorted(self._entries)

    def check(self) -> list[CheckStep]:
        mode = stat.S_IMODE(self._path.stat().st_mode)
        private = not mode & 0o077
        return [
            CheckStep(
                "store file mode",
                "ok" if private else "warning",
                f"{self._path} has mode {mode:04o}",
                "" if private else f"chmod 600 {self._path}",
            ),
            CheckStep("keys in a file", "warning", NOTICE, "move to an HSM before you hold what matters"),
            selftest.check_keys(self),
            selftest.check_free_space(self._path.parent),
            selftest.check_limits(self),
            *selftest.check_answers(self),
        ]

    def _lookup(self, label: str, kind: Kind) -> _Entry | None:
        checked_label(label)
        with self._lock:
            self._refresh()
            return self._find(self._entries, label, kind)

    def _find(self, entries: dict[str, _Entry], label: str, kind: Kind) -> _Entry | None:
        entry = _of_kind(entries, label, kind)
        if entry is None:
            self._prove_absence(entries)
        return entry

    def _prove_absence(self, entries: dict[str, _Entry]) -> None:
        """Raises AbsenceUnproved where the key that must be there is not: this is another's file."""
        if self._relied_on and self._relied_on not in entries:
            raise AbsenceUnproved(
                f"{self._path} lacks {self._relied_on!r}, which must be there",
                label=self._relied_on, path=self._path, hint="put the right file back: this is not the node's",
            )  # fmt: skip

    def _change(self, operation: Callable[[dict[str, _Entry]], tuple[T, bool]]) -> T:
        """Runs ``operation`` on a copy of the entries; it says whether it changed them. Durable on return."""
        with self._lock, sealed_file.locked(self._path):
            self._refresh()
            entries = dict(self._entries)
            result, changed = operation(entries)
            if changed:
                sealed_file.replace(self._path, sealed_file.seal(self._opened(), _encoded(entries)))
                self._refresh()
            return result

    def _refresh(self) -> None:
        """Reads the file again when another process, or we, replaced it. The caller holds the lock."""
        key = self._opened()
        try:
            if _stamp(os.stat(self._path)) == self._stamp:
                return
        except FileNotFoundError:
            raise _missing(self._path) from None
        content, stamp = _read(self._path)
        self._entries = _decoded(sealed_file.unseal(key, content, self._path), self._path)
        self._stamp = stamp

    def _opened(self) -> sealed_file.FileKey:
        if self._key is None:
            raise KeystoreClosed(f"the keystore {self._path} was closed", path=self._path)
        return self._key


def _missing(path: Path) -> StoreMissing:
    return StoreMissing(f"there is no software keystore at {path}", path=path)


def _stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_ino, status.st_ctime_ns, status.st_size)


def _read(path: Path) -> tuple[bytes, _Stamp]:
    try:
        with path.open("rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            return file.read(), stamp
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise StoreMissing(f"cannot read {path}: {error.strerror}", path=path) from error


def _of_kind(entries: dict[str, _Entry], label: str, kind: Kind) -> _Entry | None:
    entry = entries.get(label)
    if entry is not None and entry.kind != kind:
        raise KeyAmbiguous(f"the key {label!r} is a {entry.kind} key, not a {kind} key", label=label)
    return entry


def _public(entry: _Entry) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(entry.secret.reveal()).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _encoded(entries: dict[str, _Entry]) -> bytes:
    keys = {label: [entry.kind, entry.secret.reveal().hex()] for label, entry in sorted(entries.items())}
    return json.dumps({"keys": keys}, separators=(",", ":")).encode("ascii")


def _decoded(body: bytes, path: Path) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    try:
        for label, (kind, secret) in json.loads(body)["keys"].items():
            raw = bytes.fromhex(secret)
            if kind not in ("signing", "prf") or len(raw) != 32:
                raise ValueError
            entries[checked_label(label)] = _Entry(kind, SecretBytes(raw))
    except (ValueError, KeyError, TypeError, AttributeError, LabelInvalid):
        # `from None`: the cause would carry key material.
        raise StoreCorrupt(f"{path} opens, but its content is not a list of keys", path=path) from None
    return entries
