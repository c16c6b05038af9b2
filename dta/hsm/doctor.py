"""``dta hsm doctor``: walks everything a keystore needs, in order, and says which step failed and what to do.

The walk stops at the first failure that makes the later steps impossible, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm import module
from dta.hsm.errors import ConfigIncomplete, KeystoreError
from dta.hsm.keystore import CheckStep, Keystore, Prompt, backend, let_go, open_keystore
from dta.hsm.pace import check_pace
from dta.hsm.pin import read_pin, source_name
from dta.hsm.pkcs11 import Pkcs11Keystore
from dta.hsm.selftest import failed
from dta.hsm.session import TokenSession, check_pin_flags, close_session, open_session
from dta.hsm.software import SoftwareKeystore

NOT_REACHED = "later steps"

Walk = Callable[[KeystoreConfig, Prompt | None, bool, bool], Iterator[CheckStep]]


def diagnose(
    config: KeystoreConfig, *, prompt: Prompt | None = None, final_try: bool = False, measured: bool = False
) -> list[CheckStep]:
    """The whole walk. Never raises KeystoreError: a failure is a step, the last but one when it ended the walk.

    ``final_try`` allows to try the PIN when the token says that one more wrong one locks it. ``measured``: how much the
    keystore does a second as well, which keeps it busy for a second.
    """
    walk: Walk = {"pkcs11": _walk_pkcs11, "software": _walk_software}.get(config.kind, _walk_other)
    steps: list[CheckStep] = []
    try:
        for step in walk(config, prompt, final_try, measured):
            steps.append(step)  # one by one: those before an error are kept
    except KeystoreError as error:
        steps.append(failed(error.step, error))
        steps.append(CheckStep(NOT_REACHED, "warning", f"not tried, because the step {error.step!r} failed"))
    return steps


def _walk_pkcs11(config: KeystoreConfig, prompt: Prompt | None, final_try: bool, measured: bool) -> Iterator[CheckStep]:
    if config.module is None:
        raise ConfigIncomplete("a PKCS#11 keystore needs the path of the token's module")
    loaded = module.acquire(config.module)
    try:
        yield CheckStep("module file", "ok", str(config.module))
        library = loaded.library
        version = ".".join(str(number) for number in library.cryptoki_version)
        yield CheckStep(
            "module loads", "ok", f"{library.library_description}, by {library.manufacturer_id}, Cryptoki {version}"
        )
        yield CheckStep("slots", "ok", f"{len(loaded.slots())} with a token in them")
        with loaded.alone():
            token = loaded.find_token(config.token_label)
        yield CheckStep("token", "ok", f"{token.label!r}, model {token.model}, in slot {token.slot.slot_id}")
        with loaded.alone():
            warning = check_pin_flags(token, final_try=final_try)
        pin = read_pin(config, prompt=prompt)
        yield CheckStep("PIN source", "ok", source_name(config))
        yield from _login_and_check(loaded, config, pin, warning, final_try, measured)
    finally:
        loaded.release()


def _login_and_check(
    loaded: module.Module,
    config: KeystoreConfig,
    pin: SecretBytes,
    warning: str | None,
    final_try: bool,
    measured: bool,
) -> Iterator[CheckStep]:
    session = open_session(loaded, config.token_label, pin, most=config.sessions, final_try=final_try)
    try:
        yield CheckStep(
            "login",
            "warning" if warning else "ok",
            f"logged in, though {warning}" if warning else "the token took the PIN",
            "find out who tried a wrong PIN" if warning else "",
        )
        yield CheckStep("sessions", "ok", _how_many(session, config))
        yield from _whole_walk(Pkcs11Keystore(session), measured)
    finally:
        close_session(session)


def _how_many(session: TokenSession, config: KeystoreConfig) -> str:
    if not session.module.bears_threads:
        return "one: the module takes one call at a time"
    return f"{session.most} at once at most (keystore.sessions)" if config.sessions > 1 else "one (keystore.sessions)"


def _walk_software(
    config: KeystoreConfig, prompt: Prompt | None, _final_try: bool, measured: bool
) -> Iterator[CheckStep]:
    if config.path is None:
        raise ConfigIncomplete("a software keystore needs the path of its file")
    SoftwareKeystore.check_form(config.path)
    yield CheckStep("store file", "ok", f"{config.path} is whole")
    passphrase = read_pin(config, prompt=prompt)
    yield CheckStep("PIN source", "ok", source_name(config))
    store = SoftwareKeystore(config.path, passphrase)
    yield CheckStep("login", "ok", "the passphrase opens the file")
    yield from _checked(store, measured)


def _walk_other(config: KeystoreConfig, prompt: Prompt | None, _final_try: bool, measured: bool) -> Iterator[CheckStep]:
    yield CheckStep("back end", "ok", f"{backend(config.kind).__module__}")
    store = open_keystore(config, prompt=prompt, notice=lambda _: None)
    yield CheckStep("opens", "ok", "the keystore opens")
    yield from _checked(store, measured)


def _checked(store: Keystore, measured: bool) -> Iterator[CheckStep]:
    try:
        yield from _whole_walk(store, measured)
    finally:
        let_go(store)


def _whole_walk(store: Keystore, measured: bool) -> Iterator[CheckStep]:
    """The keystore's own walk, and where all of that is well how much it does, if that is asked for."""
    steps = store.check()
    yield from steps
    if measured and not any(step.status == "failure" for step in steps):
        yield from check_pace(store)
