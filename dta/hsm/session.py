"""A token as this process uses it: logged in once, by as many sessions at once as are asked for and the module bears.

A login belongs to the process, not to a session, and ends with the last session: so all who use one token share its
sessions, and the last one closes them. It is made only while no session is in use: what a session is not shown before a
login and what it may use after it must never be taken together for a proof of absence.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PinIncorrect, PKCS11Error, UserAlreadyLoggedIn

from dta.base.secret import SecretBytes
from dta.hsm import cryptoki, faults
from dta.hsm.errors import (
    AbsenceUnproved,
    KeystoreClosed,
    KeystoreError,
    PinFinalTry,
    PinLocked,
    PinWrong,
    TokenFailure,
)
from dta.hsm.module import Module
from dta.hsm.pool import Pool, Pooled

T = TypeVar("T")
Keys = dict[str, Any]
"""The keys that a session remembers, by their labels."""

_log = logging.getLogger(__name__)


class TokenSession:
    """Logged-in read-write sessions on a token, shared by all who use the token in this process.

    One at first, and another whenever all are in use, up to ``most``; one where the module bears no threads.
    """

    def __init__(
        self, module: Module, label: str, pin: SecretBytes, *, most: int = 1, final_try: bool = False
    ) -> None:
        self.module = module
        self.token_label = label
        self.users = 0
        self.most = most if module.bears_threads else 1
        self._pool = Pool(self.most)
        self._pin = pin
        self._refused: KeystoreError | None = None
        self._is_closed = False
        self.token: Any = None
        with self._pool.alone():
            self._log_in(final_try=final_try)

    @property
    def slot_id(self) -> int:
        """The slot the token was in at the last login."""
        return int(self.token.slot.slot_id)

    @property
    def open_sessions(self) -> list[Any]:
        """python-pkcs11's, as they are now."""
        return [session.handle for session in self._pool.sessions]

    def same_pin(self, pin: SecretBytes) -> bool:
        """Whether ``pin`` is the one this session logged in with: a second user has to know it too."""
        return self._pin == pin

    def forget(self, label: str) -> None:
        """No session remembers the key under ``label``. For an operation that is alone."""
        for session in self._pool.sessions:
            session.keys.pop(label, None)

    def run(self, operation: Callable[[Any], T], *, alone: bool = False) -> T:
        """Runs ``operation`` on a session. Raises KeystoreError subclasses.

        ``alone``: while no other session is in use, as what makes or destroys keys has to be. After any error the keys
        that were remembered are forgotten, and a session that may be the cause is given up: the operation is tried once
        more in another one, alone, and where that fails too in a new one after a new login. ``operation`` must bear
        being started again.
        """
        return self.run_remembering(lambda handle, _: operation(handle), alone=alone)

    def run_remembering(self, operation: Callable[[Any, Keys], T], *, alone: bool = False) -> T:
        """As :meth:`run`, for an operation that remembers keys in its session."""
        with contextlib.nullcontext() if self.module.bears_threads else self.module.lock:
            try:
                if not alone:
                    try:
                        with self._pool.one(self._another) as session:
                            if session is not None:
                                return self._attempt(operation, session)
                    except (PKCS11Error, KeystoreError) as error:
                        if not _is_worth_another(error):
                            self._tidy()
                            raise
                with self._pool.alone():
                    self._close(self._pool.retired)
                    return self._alone(operation)
            except PKCS11Error as error:
                raise faults.translated(error, self.module.path, self.token_label) from error

    def close(self) -> None:
        """Closes all sessions and logs out, as far as the token lets it, once they are out of use."""
        with self._pool.alone():
            self._is_closed = True
            self._close(self._pool.retired)
            self._close(self._pool.sessions)

    def _alone(self, operation: Callable[[Any, Keys], T]) -> T:
        """On a session that is open; where that fails, or none is, on a new one after a new login."""
        while True:
            is_new = not self._pool.sessions
            if is_new:
                self._log_in(final_try=False)
            session = self._pool.recalled(self._pool.sessions[-1])
            try:
                return self._attempt(operation, session)
            except (PKCS11Error, KeystoreError) as error:
                if session.is_broken:
                    self._close(self._pool.sessions)
                if is_new or not _is_worth_another(error):
                    raise

    def _attempt(self, operation: Callable[[Any, Keys], T], session: Pooled) -> T:
        try:
            return operation(session.handle, session.keys)
        except (PKCS11Error, AbsenceUnproved, TokenFailure) as error:
            self._pool.forget()
            session.is_broken = faults.may_be_the_sessions(error)
            raise
        except KeystoreError:
            self._pool.forget()
            raise

    def _tidy(self) -> None:
        if self._pool.retired:
            with self._pool.alone():
                self._close(self._pool.retired)

    def _another(self) -> Any | None:
        """One more session, under the login that there is. None where the token has no room for it."""
        try:
            return self.token.open(rw=True)
        except PKCS11Error as error:
            _log.info("token %r opens no more sessions: %s", self.token_label, faults.describe(error))
            return None

    def _log_in(self, *, final_try: bool) -> None:
        """The first session. The caller is alone."""
        if self._is_closed:
            raise KeystoreClosed("the keystore was closed")
        if self._refused is not None:
            raise self._refused
        token = self.module.present_token(self.token_label)
        try:
            check_pin_flags(token, final_try=final_try)
            handle = login(token, self._pin, self.module.path)
        except (PinWrong, PinLocked, PinFinalTry) as error:
            # Trying again at every call would lock the token.
            self._refused = error
            raise
        self.token = handle.token
        self._pool.most = self.most
        self._pool.sessions.append(Pooled(handle))

    def _close(self, sessions: list[Pooled]) -> None:
        """Empties ``sessions``, the pool's open or retired ones; the last session logs out. The caller is alone."""
        while sessions:
            handle = sessions.pop().handle.handle
            if not self._pool.sessions and not self._pool.retired:
                # A client of a network's token may keep its login beyond its sessions.
                self._say("C_Logout", cryptoki.logout(self.module.path, handle))
            self._say("C_CloseSession", cryptoki.close_session(self.module.path, handle))

    def _say(self, function: str, code: int) -> None:
        if code != cryptoki.CKR_OK:
            _log.info("%s: %s failed (0x%x)", self.module.path, function, code)


def _is_worth_another(error: Exception) -> bool:
    """Whether what failed is tried once more: it may be the session's, and a session was not all that was wrong."""
    return isinstance(error, (PKCS11Error, AbsenceUnproved)) and faults.may_be_the_sessions(error)


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


def open_session(
    module: Module, label: str | None, pin: SecretBytes, *, most: int = 1, final_try: bool = False
) -> TokenSession:
    """The process's sessions on the token, up to ``most`` of the first who asks. Pair with :func:`close_session`."""
    with module.alone(), module.lock:
        token = module.find_token(label)
        key = (token.slot.slot_id, token.serial)
        session = module.sessions.get(key)
        if session is None:
            session = TokenSession(module, token.label, pin, most=most, final_try=final_try)
            module.sessions[key] = session
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
