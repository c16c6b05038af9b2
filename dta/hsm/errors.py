"""What can go wrong with a keystore: one class a cause, the facts as attributes, and a hint that says what to do.

No message ever holds a PIN, a passphrase or key material. Callers tell causes apart by class, never by text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dta.base import place
from dta.base.errors import DtaError, KeystoreFailure


class KeystoreError(Exception):
    """Base of all. ``step`` is the doctor's step that failed; ``module``, ``slot``, ``token``, ``label``, ``path`` say
    which of each, where known; ``hint`` says what the operator does about it."""

    default_step = "keystore"
    default_hint = "run `dta hsm doctor`: it walks every step and says which one failed"

    def __init__(
        self,
        message: str,
        *,
        step: str | None = None,
        module: Path | None = None,
        slot: int | None = None,
        token: str | None = None,
        label: str | None = None,
        path: Path | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.step = step or self.default_step
        self.module = module
        self.slot = slot
        self.token = token
        self.label = label
        self.path = path
        self.hint = hint or self.default_hint


def failure(error: KeystoreError) -> KeystoreFailure:
    """``error`` as those see it who do not tell keystores' causes apart: a person, a program that uses the SDK."""
    return KeystoreFailure(str(error), hint=error.hint, data={"step": error.step, "what": type(error).__name__})


def expected(error: Exception) -> DtaError | None:
    """What ours, a keystore, the place or a database says, as one of ours. None: a fault of this program."""
    if isinstance(error, DtaError):
        return error
    if isinstance(error, KeystoreError):
        return failure(error)
    return place.failure(error) if isinstance(error, OSError) else place.database_failure(error)


@contextmanager
def told_as_ours() -> Iterator[None]:
    """What is raised inside is raised as :func:`expected` has it; a fault of this program as it is."""
    try:
        yield
    except Exception as error:
        known = expected(error)
        if known is None or known is error:
            raise
        raise known from error


class ConfigIncomplete(KeystoreError):
    """The configuration lacks a value that this kind of keystore needs."""

    default_step = "configuration"
    default_hint = "set it in the node's configuration, section [keystore]"


class BackendMissing(KeystoreError):
    """No installed package offers this kind of keystore (entry point group ``dta.keystores``)."""

    default_step = "configuration"
    default_hint = "kinds that ship: pkcs11, software; others come with the package that implements them"


class BackendAmbiguous(KeystoreError):
    """Several installed packages offer this kind of keystore: which one would get the keys is an accident."""

    default_step = "configuration"
    default_hint = "uninstall all but one of the packages that offer it (entry point group dta.keystores)"


class ModuleMissing(KeystoreError):
    """There is no file at the module's path."""

    default_step = "module file"
    default_hint = "install the token's PKCS#11 module (Debian's SoftHSM: package softhsm2) and set its path"


class ModuleBroken(KeystoreError):
    """The file is there, but does not load or does not initialise as a PKCS#11 module."""

    default_step = "module loads"
    default_hint = "check that the file is a PKCS#11 module for this machine and that its own configuration is readable"


class SlotMissing(KeystoreError):
    """The module shows no slot with a token in it."""

    default_step = "slots"
    default_hint = "plug the token in, or check the module's own configuration (SoftHSM: the file SOFTHSM2_CONF names)"


class TokenMissing(KeystoreError):
    """No token has the configured label."""

    default_step = "token"
    default_hint = (
        "is the right token in? If it is, set token_label to its label; `dta hsm init` makes a blank one ready"
    )


class TokenGone(TokenMissing):
    """The token was there, and is not any more: pulled out, switched off, or out of reach."""

    default_hint = "put the token back, or bring its network and service back: it is used again once it is there"


class TokenAmbiguous(KeystoreError):
    """Several tokens are there and no label says which, or several carry the configured label."""

    default_step = "token"
    default_hint = "leave only this node's token in, or give each a label of its own with its vendor's tool"


class TokenExists(KeystoreError):
    """A token of this label is there already: initialising would erase nothing, but confuse everything."""

    default_step = "token"
    default_hint = "choose another label, or use the token that is there"


class TokenFailure(KeystoreError):
    """The token answered with an error that is no other class's."""

    default_step = "token"
    default_hint = "run `dta hsm doctor`; if it passes, look into the token vendor's own log"


class PinFileMissing(KeystoreError):
    """There is no source for the PIN or passphrase, or it cannot be read."""

    default_step = "PIN source"
    default_hint = "write the PIN to a file, chmod 600 it, and set pin_file (or name the file in DTA_PIN_FILE)"


class PinFileUnsafe(KeystoreError):
    """Others than the owner can read the PIN file, or somebody else owns it."""

    default_step = "PIN source"
    default_hint = "chmod 600 the file, and chown it to the user the node runs as"


class PinUnusable(KeystoreError):
    """The source gave an empty, oversized or undecodable PIN, or one that the token's rules refuse."""

    default_step = "PIN source"
    default_hint = "put the PIN on one line, in UTF-8, nothing else in the file"


class PinWrong(KeystoreError):
    """The token refused the PIN."""

    default_step = "login"
    default_hint = "check the PIN by hand before you try again: most tokens lock after a few wrong ones"


class PinFinalTry(KeystoreError):
    """One more wrong PIN would lock the token, so nothing was tried."""

    default_step = "login"
    default_hint = "check the PIN, then log in once with `dta hsm doctor --final-try`: success resets the count"


class PinLocked(KeystoreError):
    """The token is locked after too many wrong PINs, or its user PIN was never set."""

    default_step = "login"
    default_hint = "have the security officer set a new user PIN; the keys on the token are not lost by that"


class MechanismMissing(KeystoreError):
    """The token lacks a mechanism that we need."""

    default_step = "mechanisms"
    default_hint = "update the token's firmware or choose another: Ed25519 (EDDSA) and HMAC-SHA256 are needed"


class KeyMissing(KeystoreError):
    """There is no key of that kind under the label."""

    default_step = "keys"
    default_hint = "is this the right token? If the key was destroyed, it is gone for good"


class AbsenceUnproved(KeystoreError):
    """The keystore does not show a key, and nothing follows from that: it could not use one that must be there."""

    default_step = "keys"
    default_hint = "change nothing on the token: has it lost its login, or is it another one? The keys may all be there"


class KeyIncomplete(KeyMissing):
    """Half of a signing key pair is there: the private or the public object alone."""

    default_hint = "an interrupted creation or destruction left it: destroy the label if its key was never published"


class KeyAmbiguous(KeystoreError):
    """Two keys carry one label, or the label's key is of another kind than asked for: neither is used."""

    default_step = "keys"
    default_hint = "find out which one the ledger knows, and remove or rename the other with the vendor's tool"


class LabelInvalid(KeystoreError):
    """A label is 1 to 64 characters of ``[a-z0-9.-]``."""

    default_step = "keys"
    default_hint = "labels come from dta/hsm/labels.py"


class CapacityExhausted(KeystoreError):
    """The token has no room for another key or session."""

    default_step = "capacity"
    default_hint = "close vaults that are no longer needed, or move to a token with more memory"


class StoreMissing(KeystoreError):
    """There is no software keystore at the path."""

    default_step = "store file"
    default_hint = "make one with `dta hsm init`, or correct the path: an existing node must find its old file"


class StoreExists(KeystoreError):
    """There is a file already where a software keystore was to be made: it is never overwritten."""

    default_step = "store file"
    default_hint = "use the file that is there, or choose another path"


class StoreCorrupt(KeystoreError):
    """The file is no software keystore of a known version, or its bytes were changed."""

    default_step = "store file"
    default_hint = "restore the file from its backup; a truncated or edited file cannot be repaired"


class PassphraseWrong(KeystoreError):
    """The file is whole, but the passphrase does not open it."""

    default_step = "login"
    default_hint = "check the passphrase, and that the file is this node's"


class KeystoreClosed(KeystoreError):
    """It was closed before this call."""

    default_hint = "open it again"
