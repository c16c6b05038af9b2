"""An identity's keys in memory, for who keeps them elsewhere than in a home: a secret manager, an environment.

Two secrets make an identity here as in a home (docs/spec/identities.md): the transaction key, and the root, from which
the BLS key and what seals a request's keys are derived. The next key, which rotates and revokes, is not among them:
keep it where no application runs: in the home that made the identity, from which :meth:`Keys.of_home` takes the two.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from abci_app.limits import ID_BYTES
from dta.base.errors import UsageError
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.client.acting import profile_of
from dta.client.custody.session import Party
from dta.client.identity import derived
from dta.client.identity.keyring import Keyring, PromptFor
from dta.hsm import labels
from dta.hsm.errors import KeyMissing, KeystoreError, failure
from dta.hsm.keystore import CheckStep
from dta.hsm.software import SoftwareKeystore

SEED_BYTES: Final = 32

Pins = Callable[[KeystoreConfig], SecretBytes]
"""The PIN or passphrase of a home's keystore, where the profile names no file with it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """``identity``: its id, 64 hex digits. ``transaction``: the Ed25519 seed of its current transaction key (RFC 8032),
    32 bytes. ``root``: the 32-byte key of its PRF. ``derived``: which BLS key of the root the ledger has; 0 until a
    rotation asked for new ones.
    """

    identity: str
    transaction: SecretBytes
    root: SecretBytes
    derived: int = 0

    def __post_init__(self) -> None:
        if len(self.transaction) != SEED_BYTES or len(self.root) != SEED_BYTES:
            raise UsageError(f"the transaction key's seed and the root have {SEED_BYTES} bytes each")
        _id_of(self.identity)

    @staticmethod
    def of_home(home: Path | str, identity: str = "", *, pins: Pins | None = None) -> Keys:
        """The keys of a home's identity, to be kept elsewhere: in a secret manager, say. They are the same keys.

        ``identity``, ``pins``: as of :class:`dta.Client`. The next key stays: rotate there, and take them again.
        Raises UsageError (a token's keys never leave it), NotFound, KeystoreFailure.
        """
        profile = profile_of(Home(Path(home)), identity)
        if profile is None:
            raise UsageError("which identity of this home?", hint="give its name")
        try:
            with Keyring(prompt_for=prompts_of(pins)) as ring:
                transaction = _revealed(ring, profile.keys, profile.key_label)
                root = _revealed(ring, profile.root, labels.root())
        except KeystoreError as error:
            raise failure(error) from error
        return Keys(profile.identity.hex(), transaction, root, profile.derived)


def party_of_keys(keys: Keys) -> Party:
    """Who acts with these keys."""
    root = RootInMemory(keys.root)
    signer = MemorySigner(_id_of(keys.identity), keys.transaction)
    return Party(signer, derived.bls_key(root, keys.derived), lambda: root)


def prompts_of(pins: Pins | None) -> PromptFor:
    """What a keyring asks by, of what an application gave."""
    if pins is None:
        return lambda _: None
    return lambda config: lambda: pins(config)


def _revealed(ring: Keyring, config: KeystoreConfig, label: str) -> SecretBytes:
    keystore = ring.keystore(config)
    if not isinstance(keystore, SoftwareKeystore):
        raise UsageError(f"the keys of a {config.kind} keystore never leave it", hint="open the client from the home")
    return keystore.reveal(label)


def _id_of(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != ID_BYTES:
        raise UsageError(f"an identity's id has {2 * ID_BYTES} hex digits")
    return found


class MemorySigner:
    """A :class:`dta.client.ledger.tx.Signer`."""

    def __init__(self, identity: bytes, seed: SecretBytes) -> None:
        self.identity = identity
        self._key = SigningKey(seed.reveal())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of ``message``."""
        return bytes(self._key.sign(message).signature)


class RootInMemory:
    """A :class:`dta.hsm.keystore.Keystore` that holds one PRF key, the root, and signs nothing."""

    kind = "memory"

    def __init__(self, root: SecretBytes) -> None:
        self._root = root

    def rely_on(self, label: str) -> None:
        """Memory loses no login: what is not there is not there."""

    def close(self) -> None:
        """Nothing is to be let go of."""

    def ensure_signing_key(self, label: str) -> bytes:
        raise KeyMissing("keys in memory are made elsewhere", label=label)

    def signing_public_key(self, label: str) -> bytes | None:
        del label
        return None

    def sign(self, label: str, message: bytes) -> bytes:
        del message
        raise KeyMissing("there is no such key", label=label)

    def ensure_prf_key(self, label: str) -> bool:
        if label != labels.root():
            raise KeyMissing("keys in memory are made elsewhere", label=label)
        return False

    def has_prf_key(self, label: str) -> bool:
        return label == labels.root()

    def prf(self, label: str, data: bytes) -> SecretBytes:
        if label != labels.root():
            raise KeyMissing("there is no such key", label=label)
        return SecretBytes(hmac.digest(self._root.reveal(), data, sha256))

    def destroy(self, label: str) -> bool:
        del label
        return False

    def labels(self) -> list[str]:
        return [labels.root()]

    def check(self) -> list[CheckStep]:
        return []
