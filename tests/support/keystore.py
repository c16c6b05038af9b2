"""Keystores of actors: one in memory, and the software keystore with an actor's node key in it."""

from __future__ import annotations

import hmac
import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

from dta.base.secret import SecretBytes
from dta.hsm import labels, sealed_file
from dta.hsm.errors import KeyMissing
from dta.hsm.keystore import CheckStep
from dta.hsm.software import SoftwareKeystore
from tests.support.actors import Actor, seeded

PASSPHRASE = SecretBytes(b"agents")


@cache
def _file_key() -> sealed_file.FileKey:
    return sealed_file.new_file_key(PASSPHRASE, sealed_file.MIN_LOG2_N)


def software_keystore(path: Path, actor: Actor) -> SoftwareKeystore:
    """The software keystore at ``path``, made where it is not there. Its node key is the one that genesis names.

    All that one process makes have one file key: scrypt takes a tenth of a second each time.
    """
    if not path.exists():
        keys = {labels.node_key(): ["signing", bytes(actor.node_key).hex()]}
        sealed_file.write_new(path, sealed_file.seal(_file_key(), json.dumps({"keys": keys}).encode()))
    with patch.object(sealed_file, "file_key", lambda *_: _file_key()):
        return SoftwareKeystore(path, PASSPHRASE)


class MemoryKeystore:
    """A :class:`dta.hsm.keystore.Keystore` whose node key is an actor's. A key made again is another one.

    ``made`` and ``destroyed`` list what was ever made and destroyed, in order; ``copies`` what a thief who had the
    token's secrets at every moment would hold.
    """

    kind = "memory"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._keys: dict[str, bytes] = {}
        self.made: list[str] = []
        self.destroyed: list[str] = []
        self.copies: dict[str, bytes] = {}

    def rely_on(self, label: str) -> None:
        """Memory loses no login: what is not there is not there."""

    def close(self) -> None:
        pass

    def ensure_signing_key(self, label: str) -> bytes:
        return bytes(self._actor.node_key.verify_key)

    def signing_public_key(self, label: str) -> bytes | None:
        return bytes(self._actor.node_key.verify_key) if label == labels.node_key() else None

    def sign(self, label: str, message: bytes) -> bytes:
        assert label == labels.node_key()
        return self._actor.node_key.sign(message).signature

    def ensure_prf_key(self, label: str) -> bool:
        if label in self._keys:
            return False
        self._keys[label] = seeded("prf", self._actor.name, self._actor.seed, label, self.made.count(label))
        self.copies[label] = self._keys[label]
        self.made.append(label)
        return True

    def has_prf_key(self, label: str) -> bool:
        return label in self._keys

    def prf(self, label: str, data: bytes) -> SecretBytes:
        if label not in self._keys:
            raise KeyMissing("there is no such key", label=label)
        return SecretBytes(hmac.digest(self._keys[label], data, sha256))

    def destroy(self, label: str) -> bool:
        if self._keys.pop(label, None) is None:
            return False
        self.destroyed.append(label)
        return True

    def labels(self) -> list[str]:
        return sorted(self._keys)

    def check(self) -> list[CheckStep]:
        return []
