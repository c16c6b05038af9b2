"""PKCS#11 modules as a process has them: loaded and initialised once, one lock each, one login a token.

python-pkcs11 initialises a module without telling it that there are threads, and lets go of Python's lock during a
call: so every call into a module happens under that module's own lock. A login belongs to the process, not to a
session, and closing a session logs out: so all who use one token share one session, and the last one closes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PinIncorrect, PKCS11Error, TokenNotPresent, TokenNotRecognised, UserAlreadyLoggedIn

from dta.base.secret import SecretBytes
from dta.hsm import cryptoki, faults
from dta.hsm.errors import (
    AbsenceUnproved,
    KeystoreError,
    ModuleBroken,
    ModuleMissing,
    PinFinalTry,
    PinLocked,
    PinWrong,
    SlotMissing,
    TokenAmbiguous,
    TokenFailure,
    TokenMissing,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

_MAX_WAIT_S = 5.0
_POLL_S = 0.003

_registry_lock = threading.Lock()
_registry: dict[Path, Module] = {}


@dataclass
class Module:
    """A loaded module. ``lock`` is held during every call into it."""

    path: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    change_lock: threading.Lock = field(default_factory=threading.Lock)
    library: Any = None
    users: int = 0
    sessions: dict[tuple[int, bytes], TokenSession] = field(default_factory=dict)

    def slots(self) -> list[Any]:
        """The slots with a token in them. Raises SlotMissing, ModuleBroken."""
        with self.lock:
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
            tokens = self.tokens()
            found = [token for token in tokens if label is None or token.label == label]
            if not found and not self.sessions:
                # Another process may have initialised it after this one loaded the module.
                self._finalise()
                self.load()
                tokens = self.tokens()
                found = [token for token in tokens if label is None or token.label == label]
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
        """All initialised tokens. Raises SlotMissing, ModuleBroken, TokenFailure."""
        tokens = []
        for slot in self.slots():
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
        except PKCS11Error as error:
            if not cryptoki.is_initialised(self.path):
                raise self._broken(error) from error
            if cryptoki.finalise(self.path) == cryptoki.CKR_OK:
                try:
                    self.library = pkcs11.lib(str(self.path))
                except PKCS11Error as again:
                    raise self._broken(again) from again
            elif self.library is None:
                raise self._broken(error) from error
            else:
                _log.warning("%s can't be finalised: it is used as it is, with its old configuration", self.path)

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


class TokenSession:
    """One logged-in read-write session on a token, shared by all who use the token in this process."""

    def __init__(self, module: Module, label: str, pin: SecretBytes, *, final_try: bool = False) -> None:
        self.module = module
        self.token_label = label
        self.users = 0
        self.cache: dict[str, Any] = {}
        self._pin = pin
        self._refused: KeystoreError | None = None
        self._session: Any = self._login(final_try=final_try)
        self.token: Any = self._session.token

    @property
    def slot_id(self) -> int:
        """The slot the token was in at the last login."""
        return int(self.token.slot.slot_id)

    def same_pin(self, pin: SecretBytes) -> bool:
        """Whether ``pin`` is the one this session logged in with: a second user has to know it too."""
        return self._pin == pin

    def run(self, operation: Callable[[Any], T]) -> T:
        """Runs ``operation`` on the session, under the module's lock. Raises KeystoreError subclasses.

        After any error the handles that were remembered are forgotten, and a session that may be the cause is given
        up: the operation is tried once more in a new one. ``operation`` must bear being started twice.
        """
        with self.module.lock:
            try:
                try:
                    return self._attempt(operation)
                except (PKCS11Error, AbsenceUnproved) as error:
                    if not faults.may_be_the_sessions(error):
                        raise
                    return self._attempt(operation)
            except PKCS11Error as error:
                raise faults.translated(error, self.module.path, self.token_label) from error

    def close(self) -> None:
        """Logs out and closes, as far as the token lets it. The caller holds the module's lock."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.close()
        except PKCS11Error as error:
            # python-pkcs11 goes no further than a logout that fails: the session, and what it is stuck in, would stay.
            code = cryptoki.close_session(self.module.path, session.handle)
            _log.info("%s: logging out failed (%s); C_CloseSession: 0x%x", self.module.path, faults.name(error), code)

    def _attempt(self, operation: Callable[[Any], T]) -> T:
        try:
            return operation(self._opened())
        except (PKCS11Error, AbsenceUnproved, TokenFailure) as error:
            self.cache.clear()
            if faults.may_be_the_sessions(error):
                self.close()
            raise
        except KeystoreError:
            self.cache.clear()
            raise

    def _opened(self) -> Any:
        if self._refused is not None:
            raise self._refused
        if self._session is None:
            try:
                self._session = self._login(final_try=False)
            except (PinWrong, PinLocked, PinFinalTry) as error:
                # Trying again at every call would lock the token.
                self._refused = error
                raise
            self.token = self._session.token
        return self._session

    def _login(self, *, final_try: bool) -> Any:
        token = self.module.find_token(self.token_label)
        check_pin_flags(token, final_try=final_try)
        return login(token, self._pin, self.module.path)


def check_pin_flags(token: Any, *, final_try: bool = False) -> str | None:
    """A warning where the token counts wrong PINs, None where all is well.

    Raises PinLocked, and PinFinalTry unless ``final_try`` allows to risk the last one.
    """
    flags, label, slot = token.flags, token.label, token.slot.slot_id
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise PinLocked(f"token {label!r} is locked after too many wrong PINs", slot=slot, token=label)
    if not flags & TokenFlag.USER_PIN_INITIALIZED:
        raise PinLocked(f"token {label!r} has no user PIN yet", slot=slot, token=label)
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        if not final_try:
            raise PinFinalTry(f"one more wrong PIN locks token {label!r}; none was tried", slot=slot, token=label)
        return "the next wrong PIN locks the token"
    if flags & TokenFlag.USER_PIN_COUNT_LOW:
        return "a wrong PIN was given since the last login"
    return None


def login(token: Any, pin: SecretBytes, module: Path) -> Any:
    """A read-write session on ``token``, logged in as the user. Raises PinWrong, PinLocked and others."""
    try:
        try:
            return token.open(rw=True, user_pin=pin.reveal().decode("utf-8"))
        except UserAlreadyLoggedIn:
            return token.open(rw=True)
    except PinIncorrect as error:
        raise PinWrong(
            f"token {token.label!r} refused the PIN", module=module, slot=token.slot.slot_id, token=token.label
        ) from error
    except PKCS11Error as error:
        raise faults.translated(error, module, token.label, step="login") from error


def open_session(module: Module, label: str | None, pin: SecretBytes, *, final_try: bool = False) -> TokenSession:
    """The process's session on the token, opened by the first who asks. Pair with :func:`close_session`."""
    with module.alone(), module.lock:
        token = module.find_token(label)
        key = (token.slot.slot_id, token.serial)
        session = module.sessions.get(key)
        if session is None:
            session = module.sessions[key] = TokenSession(module, token.label, pin, final_try=final_try)
        elif not session.same_pin(pin):
            raise PinWrong(f"that is not the PIN of token {token.label!r}", module=module.path, token=token.label)
        session.users += 1
        return session


def close_session(session: TokenSession) -> None:
    """Lets go of the session; the last one logs out."""
    module = session.module
    with module.lock:
        session.users -= 1
        if session.users == 0:
            module.sessions = {key: other for key, other in module.sessions.items() if other is not session}
            session.close()
