"""PKCS#11 modules as a process has them: loaded and initialised once, for several threads where the module bears them.

python-pkcs11 initialises a module without telling it that there are threads, and lets go of Python's lock during a
call. So a module is finalised again at once and initialised with CKF_OS_LOCKING_OK (docs/adr/0039). One that refuses
that gets one call at a time, under its ``lock``.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pkcs11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, TokenNotPresent, TokenNotRecognised

from dta.hsm import cryptoki, faults
from dta.hsm.errors import ModuleBroken, ModuleMissing, SlotMissing, TokenAmbiguous, TokenMissing

if TYPE_CHECKING:
    from dta.hsm.session import TokenSession

_log = logging.getLogger(__name__)

_MAX_WAIT_S = 5.0
_POLL_S = 0.003

_registry_lock = threading.Lock()
_registry: dict[Path, Module] = {}


@dataclass
class Module:
    """A loaded module.

    ``lock`` is held while it is initialised or finalised and while tokens are looked for, and during every call into it
    unless it ``bears_threads``.
    """

    path: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    change_lock: threading.Lock = field(default_factory=threading.Lock)
    library: Any = None
    bears_threads: bool = False
    users: int = 0
    sessions: dict[tuple[int, bytes], TokenSession] = field(default_factory=dict)

    def slots(self) -> list[Any]:
        """The slots with a token in them. Raises SlotMissing, ModuleBroken."""
        with self.lock:
            return self._slots()

    def _slots(self) -> list[Any]:
        try:
            slots: list[Any] = self.library.get_slots(token_present=True)
        except PKCS11Error as error:
            raise ModuleBroken(
                f"{self.path} does not list its slots ({faults.name(error)})",
                step="slots",
                module=self.path,
                hint=faults.load_hint(error, is_loaded=True),
            ) from error
        if not slots:
            raise SlotMissing(f"{self.path} shows no slot with a token in it", module=self.path)
        return slots

    def find_token(self, label: str | None) -> Any:
        """The initialised token with ``label``, or the only one where ``label`` is None.

        Raises SlotMissing, TokenMissing, TokenAmbiguous.
        """
        with self.lock:
            if not self.sessions and not _labelled(self.tokens(), label):
                # Another process may have initialised it after this one loaded the module.
                self._finalise()
                self.load()
            return self.present_token(label)

    def present_token(self, label: str | None) -> Any:
        """As :meth:`find_token`, of those that the module knows of; for who has a session, or holds ``lock``."""
        tokens = self.tokens()
        found = _labelled(tokens, label)
        there = ", ".join(repr(token.label) for token in tokens) or "none that is initialised"
        if not found:
            wanted = "no token" if label is None else f"no token {label!r}"
            raise TokenMissing(f"{wanted} in {self.path}; there: {there}", module=self.path, token=label)
        if len(found) > 1:
            wanted = "token_label is not set, and several tokens" if label is None else f"several tokens {label!r}"
            hint = "set token_label to the one that is this node's" if label is None else None
            raise TokenAmbiguous(f"{wanted} are in {self.path}: {there}", module=self.path, token=label, hint=hint)
        return found[0]

    def tokens(self) -> list[Any]:
        """All initialised tokens, for who has a session, or holds ``lock``. Raises SlotMissing, ModuleBroken,
        TokenFailure."""
        tokens = []
        for slot in self._slots():
            try:
                token = slot.get_token()
            except (TokenNotPresent, TokenNotRecognised):
                continue
            except PKCS11Error as error:
                raise faults.translated(error, self.path, None, step="token") from error
            if token.flags & TokenFlag.TOKEN_INITIALIZED:
                tokens.append(token)
        return tokens

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other threads and processes of this host from making or destroying keys, or logging in, meanwhile.

        A login counts too: SoftHSM writes the token's flags anew at each, and who reads them half written sees a
        token without a PIN, or none. Entered before ``lock``, never inside it.
        """
        with self.change_lock, _turn(self.path):
            yield

    def load(self) -> None:
        """Has ``library`` loaded and initialised. The caller holds ``lock``.

        A module that is initialised already is taken: where a finalisation failed it stays so, and refuses another
        initialisation for ever. Raises ModuleBroken.
        """
        try:
            self.library = pkcs11.lib(str(self.path))
            self._ask_for_threads()
        except PKCS11Error as error:
            if not cryptoki.is_initialised(self.path):
                raise self._broken(error) from error
            if cryptoki.finalise(self.path) == cryptoki.CKR_OK:
                try:
                    self.library = pkcs11.lib(str(self.path))
                    self._ask_for_threads()
                except PKCS11Error as again:
                    raise self._broken(again) from again
            elif self.library is None:
                raise self._broken(error) from error
            else:
                _log.warning("%s can't be finalised: it is used as it is, with its old configuration", self.path)

    def _ask_for_threads(self) -> None:
        """Has the module initialised anew, for several threads; as it was where it bears none. Raises ModuleBroken."""
        self.bears_threads = False
        if cryptoki.finalise(self.path) not in (cryptoki.CKR_OK, cryptoki.CKR_CRYPTOKI_NOT_INITIALIZED):
            _log.info("%s can't be initialised anew: one call at a time", self.path)
            return
        code = cryptoki.initialise(self.path, threads=True)
        if code == cryptoki.CKR_OK:
            self.bears_threads = True
            return
        _log.info("%s bears no threads (C_Initialize: 0x%x): one call at a time", self.path, code)
        code = cryptoki.initialise(self.path, threads=False)
        if not cryptoki.is_initialised(self.path):
            raise ModuleBroken(f"{self.path} does not initialise a second time (0x{code:x})", module=self.path)

    def _broken(self, error: PKCS11Error) -> ModuleBroken:
        return ModuleBroken(
            f"{self.path} does not load or initialise: {faults.describe(error)}",
            module=self.path,
            hint=faults.load_hint(error, is_loaded=self.library is not None),
        )

    def release(self) -> None:
        """Lets go of the module; the last one out finalises it, so that the next one in reads its configuration."""
        with _registry_lock, self.lock:
            self.users -= 1
            if self.users == 0 and self.library is not None:
                self._finalise()

    def _finalise(self) -> None:
        try:
            self.library.finalize()
        except PKCS11Error as error:
            _log.warning("%s: C_Finalize failed (%s)", self.path, faults.name(error))


def _labelled(tokens: list[Any], label: str | None) -> list[Any]:
    return [token for token in tokens if label is None or token.label == label]


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One process of this host at a time.

    By an advisory lock on the module's own file: it needs no place to write, and ends with the process. Who cannot
    get it in time goes on without, rather than let another user's lock stop this node.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:  # removed, though it is still loaded here
        raise ModuleMissing(f"can't open the PKCS#11 module {path}: {error.strerror}", module=path) from error
    try:
        _wait_for_turn(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for_turn(descriptor: int) -> None:
    deadline = time.monotonic() + _MAX_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)
        else:
            return


def acquire(path: Path) -> Module:
    """Loads and initialises the module at ``path``, once in a process. Pair with ``release``.

    Raises ModuleMissing, ModuleBroken.
    """
    if not path.is_file():
        raise ModuleMissing(f"there is no PKCS#11 module at {path}", module=path)
    real = path.resolve()
    with _registry_lock:
        module = _registry.setdefault(real, Module(real))
        with module.lock:
            if module.users == 0:
                with _turn(real):  # loading reads every token; without users, nobody here holds the turn
                    module.load()
            module.users += 1
    return module
