"""The interface behind which a node's keys live, and how a back end is found (docs/howto/hsm.md, ADR 0007).

A keystore holds two kinds of keys, each under a label: Ed25519 signing keys and 32-byte PRF keys. Nothing takes a
private key or a PRF key out. All methods may be called from several threads at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, cast

from abci_app.limits import MAX_TX_BYTES
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm.errors import BackendAmbiguous, BackendMissing, KeystoreError, LabelInvalid
from dta.hsm.pin import Prompt, read_pin

__all__ = [
    "CheckStep",
    "Keystore",
    "KeystoreConfig",
    "KeystoreError",
    "Notice",
    "Prompt",
    "checked_label",
    "let_go",
    "open_keystore",
    "read_pin",
]

_log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "dta.keystores"
SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32
PRF_BYTES = 32
LONGEST_MESSAGE_BYTES = MAX_TX_BYTES
"""What a transaction's signature covers is never longer than the transaction (abci_app/crypto/statements.py)."""
LONGEST_PRF_INPUT_BYTES = 1024
"""A key is derived for a purpose and a few ids and digests (dta/hsm/derive.py)."""

Notice = Callable[[str], None]
"""Shows one line of plain text to the operator."""

Status = Literal["ok", "warning", "failure"]

_LABEL = re.compile(r"[a-z0-9.-]{1,64}")


@dataclass(frozen=True)
class CheckStep:
    """One step of the doctor's walk: what was looked at, how it went, what was seen, what to do about it."""

    name: str
    status: Status
    detail: str
    advice: str = ""


class Keystore(Protocol):
    """Where keys live. Every method raises a subclass of :class:`KeystoreError` when it cannot do what it says.

    That a key is not there (None, False, KeyMissing, a label that is not listed) is said only beside the use of one
    that is: a token that lost its login finds nothing, without an error. Else AbsenceUnproved is raised.
    """

    kind: str

    def rely_on(self, label: str) -> None:
        """From now on the key under ``label`` must be there, and absence counts where it has just been used.

        Before that call nothing need be there: it counts where the keystore shows in another way that it is open.
        """

    def close(self) -> None:
        """Log out and let go. Closing twice is harmless; any other call afterwards raises KeystoreClosed."""

    def ensure_signing_key(self, label: str) -> bytes:
        """The 32-byte Ed25519 public key under ``label``, made when there is none; durable on return; never twice."""

    def signing_public_key(self, label: str) -> bytes | None:
        """The 32-byte Ed25519 public key under ``label``, or None."""

    def sign(self, label: str, message: bytes) -> bytes:
        """The 64-byte pure Ed25519 signature (RFC 8032, section 5.1.6). Raises KeyMissing."""

    def ensure_prf_key(self, label: str) -> bool:
        """Makes a random 32-byte key under ``label`` when there is none. True when it was made now."""

    def has_prf_key(self, label: str) -> bool:
        """Whether :meth:`prf` would find a key under ``label``."""

    def prf(self, label: str, data: bytes) -> SecretBytes:
        """HMAC-SHA256 (RFC 2104) of ``data`` under the key: 32 bytes. Raises KeyMissing."""

    def destroy(self, label: str) -> bool:
        """Destroys the key under ``label``, durably on return. False when there was none."""

    def labels(self) -> list[str]:
        """The labels of all keys, sorted."""

    def check(self) -> list[CheckStep]:
        """The doctor's walk over an open store: mechanisms, keys, capacity, self-test."""


def checked_label(label: str) -> str:
    """``label``, when it is 1 to 64 characters of ``[a-z0-9.-]``. Raises LabelInvalid."""
    if not _LABEL.fullmatch(label):
        raise LabelInvalid(f"a key's label is 1 to 64 characters of a-z, 0-9, dot and hyphen, not {label!r}")
    return label


def let_go(keystore: Keystore) -> None:
    """Closes ``keystore``, whatever becomes of that: what it could not let go of is logged, and harms nobody else."""
    try:
        keystore.close()
    except Exception as error:  # a back end of others may raise anything, and say anything in it
        _log.warning("closing the %s keystore failed: %s", keystore.kind, type(error).__name__)


def open_keystore(config: KeystoreConfig, *, prompt: Prompt | None = None, notice: Notice | None = None) -> Keystore:
    """Opens the keystore that ``config`` names, by the entry point group ``dta.keystores``.

    A back end is a class with ``open(config, *, prompt, notice) -> Keystore``. ``prompt`` is asked when no file or
    descriptor gives the PIN; ``notice`` receives warnings, which otherwise go through :mod:`warnings`.
    """
    return cast(Keystore, backend(config.kind).open(config, prompt=prompt, notice=notice))


def backend(kind: str) -> Any:
    """The class behind ``kind``. Raises BackendMissing, or BackendAmbiguous where two packages claim the name."""
    # One package may be seen twice (a checkout beside its installation): the same place is no second claim.
    offered = {entry.value: entry for entry in entry_points(group=ENTRY_POINT_GROUP) if entry.name == kind}
    if not offered:
        raise BackendMissing(f"there is no keystore of kind {kind!r}")
    if len(offered) > 1:
        raise BackendAmbiguous(f"several packages offer keystores of kind {kind!r}: {', '.join(sorted(offered))}")
    return offered.popitem()[1].load()


def kinds() -> list[str]:
    """The kinds of keystore that installed packages offer, sorted."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)})
