"""Opening keystores for as long as a command needs them, and signing with one of an identity's keys."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import RLock
from types import TracebackType

from dta.base.keystore_config import KeystoreConfig
from dta.client.identity import derived
from dta.client.identity.profile import Profile
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.hpke import HpkePrivateKey
from dta.hsm.errors import KeyMissing
from dta.hsm.keystore import Keystore, Notice, let_go, open_keystore
from dta.hsm.pin import Prompt

PromptFor = Callable[[KeystoreConfig], Prompt | None]
"""Who asks for the PIN of this keystore, or None where nobody can be asked."""


@dataclass
class Keyring(AbstractContextManager["Keyring"]):
    """Opens each keystore once, when it is first needed, and closes all at the end. Several threads may ask.

    ``prompt_for`` is asked for a way to ask a person, where no file or descriptor gives the PIN; ``notice`` receives
    warnings. Everything here raises :class:`dta.hsm.errors.KeystoreError`.
    """

    prompt_for: PromptFor = field(default=lambda _: None)
    notice: Notice | None = None
    _open: dict[KeystoreConfig, Keystore] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _lock: RLock = field(default_factory=RLock)

    def keystore(self, config: KeystoreConfig) -> Keystore:
        """The open keystore of ``config``."""
        with self._lock:
            found = self._open.get(config)
            if found is None:
                found = open_keystore(config, prompt=self.prompt_for(config), notice=self._say_once)
                self._open[config] = found
            return found

    def _say_once(self, text: str) -> None:
        if self.notice is not None and text not in self._said:
            self._said.add(text)
            self.notice(text)

    def close(self) -> None:
        """Closes what was opened; the keyring can be used again."""
        with self._lock:
            while self._open:
                let_go(self._open.popitem()[1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def signer(self, profile: Profile) -> ProfileSigner:
        """Signs with the identity's current transaction key (a fiduciary's operator key)."""
        return ProfileSigner(profile.identity, self, profile.keys, profile.key_label)

    def next_signer(self, profile: Profile) -> ProfileSigner:
        """Signs with the next transaction key: rotations and the final revocation only."""
        return ProfileSigner(profile.identity, self, profile.next_keys, profile.next_key_label)

    def bls(self, profile: Profile) -> BlsPrivateKey:
        """The identity's BLS key."""
        return derived.bls_key(self.keystore(profile.root), profile.derived)

    def hpke(self, profile: Profile, number: int | None = None) -> HpkePrivateKey:
        """The identity's HPKE key: the current one, or an earlier ``number`` for an old envelope."""
        return derived.hpke_key(self.keystore(profile.root), profile.derived if number is None else number)


class ProfileSigner:
    """A :class:`dta.client.ledger.tx.Signer` (and :class:`dta.blocks.auth.PutSigner`) by a key in a keystore."""

    def __init__(self, identity: bytes, keyring: Keyring, config: KeystoreConfig, label: str) -> None:
        self._identity = identity
        self._keyring = keyring
        self._config = config
        self._label = label

    @property
    def identity(self) -> bytes:
        """The 32-byte identity id."""
        return self._identity

    @property
    def public_key(self) -> bytes:
        """The 32-byte Ed25519 key that signs. Raises KeyMissing."""
        return existing_key(self._keyring.keystore(self._config), self._label)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of ``message``."""
        return self._keyring.keystore(self._config).sign(self._label, message)


def existing_key(keystore: Keystore, label: str) -> bytes:
    """The 32-byte public key under ``label``. Raises KeyMissing where there is none: never makes one."""
    key = keystore.signing_public_key(label)
    if key is None:
        raise KeyMissing(f"there is no key {label!r} in this keystore", label=label)
    return key
