"""Keys in a PKCS#11 token, by any module: Ed25519 for signing, a generic secret under HMAC-SHA256 for the PRF.

Private and secret keys are made in the token, sensitive and not extractable. A key is found by its label. The handle
of a key in use is remembered until anything goes wrong; "none" never is, as another process may have made one.

Keys are used and looked for in several sessions at once. Making and destroying them, in the token or for the session,
happens alone: tokens that bear threads were seen to lose objects there (SoftHSM 2.6.1), and a handle that a session
remembers must not come to stand for another key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm import cryptoki, module, objects, selftest, softhsm
from dta.hsm.errors import (
    ConfigIncomplete,
    KeyAmbiguous,
    KeyIncomplete,
    KeystoreClosed,
    KeystoreError,
    TokenFailure,
)
from dta.hsm.keystore import CheckStep, Notice, checked_label
from dta.hsm.pin import Prompt, read_pin
from dta.hsm.session import Keys, TokenSession, check_pin_flags, close_session, open_session

T = TypeVar("T")


class Pkcs11Keystore:
    """A :class:`dta.hsm.keystore.Keystore`. Several of them, in one process or many, may use one token."""

    kind = "pkcs11"

    def __init__(self, session: TokenSession) -> None:
        self._session: TokenSession | None = session
        self._relied_on = ""
        is_softhsm = session.token.manufacturer_id.startswith(softhsm.MANUFACTURER)
        self._files = softhsm.TokenFiles(softhsm.token_directory() if is_softhsm else None)

    @classmethod
    def open(
        cls, config: KeystoreConfig, *, prompt: Prompt | None = None, notice: Notice | None = None
    ) -> Pkcs11Keystore:
        """Loads the module, finds the token and logs in. Raises every error up to the doctor's step "login"."""
        if config.module is None:
            raise ConfigIncomplete("a PKCS#11 keystore needs the path of the token's module")
        loaded = module.acquire(config.module)
        try:
            with loaded.alone():
                token = loaded.find_token(config.token_label)
                warning = check_pin_flags(token)
            if warning and notice is not None:
                notice(f"token {token.label!r}: {warning}")
            pin = read_pin(config, prompt=prompt)
            return cls(open_session(loaded, config.token_label, pin, most=config.sessions))
        except BaseException:
            loaded.release()
            raise

    def rely_on(self, label: str) -> None:
        self._relied_on = checked_label(label)

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            close_session(session)
            session.module.release()

    def ensure_signing_key(self, label: str) -> bytes:
        return self._ensure(label, "signing")[0].public_key

    def signing_public_key(self, label: str) -> bytes | None:
        found = self._search(label)
        return None if found is None else objects.of_kind(found, label, "signing").public_key

    def sign(self, label: str, message: bytes) -> bytes:
        return self._use(label, "signing", message)

    def ensure_prf_key(self, label: str) -> bool:
        return self._ensure(label, "prf")[1]

    def has_prf_key(self, label: str) -> bool:
        found = self._search(label)
        return found is not None and objects.of_kind(found, label, "prf") is found

    def prf(self, label: str, data: bytes) -> SecretBytes:
        return SecretBytes(self._use(label, "prf", data))

    def destroy(self, label: str) -> bool:
        """See the interface. Twins and halves under the label are destroyed too: afterwards there is none."""
        checked_label(label)
        session, was_there = self._opened(), False

        def operation(handle: Any) -> None:
            nonlocal was_there
            session.forget(label)
            was_there = objects.destroy(handle, label) or was_there
            if objects.search(handle, label, self._relied_on) is not None:
                raise TokenFailure(f"the token still shows the key {label!r} after destroying it", label=label)

        with session.module.alone():
            session.run(operation, alone=True)
        # Where nothing was there too: a call before this one may have destroyed it, and failed after that.
        self._files.flush()
        return was_there

    def labels(self) -> list[str]:
        return self._read(lambda handle: objects.labels(handle, self._relied_on))

    def check(self) -> list[CheckStep]:
        session = self._opened()
        return [
            _check_mechanisms(session),
            selftest.check_keys(self),
            self._check_extractable(),
            _check_capacity(session),
            selftest.check_limits(self),
            *selftest.check_answers(self),
        ]

    def _check_extractable(self) -> CheckStep:
        try:
            open_keys = self._read(lambda handle: objects.extractable(handle, self._relied_on))
        except KeystoreError as error:
            return selftest.failed("key attributes", error)
        if open_keys:
            return CheckStep(
                "key attributes",
                "failure",
                f"the token would hand these out: {', '.join(open_keys)}",
                "these were not made by dta: replace them, they may have been copied",
            )
        return CheckStep("key attributes", "ok", "all keys are sensitive and not extractable")

    def _opened(self) -> TokenSession:
        if self._session is None:
            raise KeystoreClosed("the keystore was closed")
        return self._session

    def _search(self, label: str) -> objects.Found | None:
        checked_label(label)
        return self._read(lambda handle: objects.search(handle, label, self._relied_on))

    def _read(self, operation: Callable[[Any], T]) -> T:
        """What says that something is absent. Without a key to rely on that makes one, for the session."""
        return self._opened().run(operation, alone=not self._relied_on)

    def _use(self, label: str, kind: objects.Kind, data: bytes) -> bytes:
        checked_label(label)
        session = self._opened()

        def remembered(_handle: Any, keys: Keys) -> bytes | None:
            found = keys.get(label)
            return objects.answer(found, data) if found is not None and found.kind == kind else None

        def sought(handle: Any, keys: Keys) -> bytes:
            found = objects.required(objects.search(handle, label, self._relied_on), label, kind)
            output = objects.answer(found, data)
            keys[label] = found
            return output

        output = session.run_remembering(remembered)
        return output if output is not None else session.run_remembering(sought, alone=not self._relied_on)

    def _ensure(self, label: str, kind: objects.Kind) -> tuple[objects.Found, bool]:
        """The key, and whether it was made now.

        A token cannot make a key only if there is none. Processes of one host take turns (``Module.alone``); against
        one on another host we look again, and a maker that sees a twin destroys its own, which nobody has used yet.
        """
        checked_label(label)
        session, made_now = self._opened(), False

        def operation(handle: Any) -> objects.Found:
            nonlocal made_now
            found = objects.search(handle, label, self._relied_on)
            if found is not None:
                return objects.of_kind(found, label, kind)
            made = objects.make(handle, label, kind)
            made_now = True
            try:
                return objects.required(objects.search(handle, label, self._relied_on), label, kind)
            except (KeyAmbiguous, KeyIncomplete):
                for item in made:
                    item.destroy()
                raise

        with session.module.alone():
            found = session.run(operation, alone=True)
        if made_now:
            self._files.flush()
        return found, made_now


def _check_mechanisms(session: TokenSession) -> CheckStep:
    try:
        offered = session.run(lambda handle: handle.token.slot.get_mechanisms())
    except KeystoreError as error:
        return selftest.failed("mechanisms", error)
    absent = [mechanism.name for mechanism in objects.REQUIRED_MECHANISMS if mechanism not in offered]
    if absent:
        return CheckStep(
            "mechanisms",
            "failure",
            f"the token lacks {', '.join(absent)}",
            "update the token's firmware, or use one that offers Ed25519 and HMAC-SHA256",
        )
    return CheckStep("mechanisms", "ok", "Ed25519 and HMAC-SHA256, making keys and using them")


def _check_capacity(session: TokenSession) -> CheckStep:
    try:
        figures = session.run(lambda _: cryptoki.token_figures(session.module.path, session.slot_id))
    except KeystoreError as error:
        return selftest.failed("capacity", error)
    if figures.free_private_bytes is None:
        return CheckStep("capacity", "ok", "it does not say how much room is left")
    return CheckStep("capacity", "ok", f"{figures.free_private_bytes} bytes of private memory left")
