"""Initialising a token: its label, the security officer's PIN and the user's. No PIN is ever in an argument list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, TokenNotPresent, TokenNotRecognised

from dta.base.secret import SecretBytes
from dta.hsm import cryptoki, faults, module, softhsm
from dta.hsm.errors import PinUnusable, SlotMissing, TokenExists, TokenFailure

_TOKEN_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,32}")


def init_token(module_path: Path, label: str, so_pin: SecretBytes, pin: SecretBytes) -> None:
    """Initialises the first blank token that the module shows, with ``label`` (1 to 32 of ``[A-Za-z0-9_.-]``).

    A token that is initialised already is never touched. For SoftHSM2 the environment's SOFTHSM2_CONF says where
    tokens are (:func:`dta.hsm.softhsm.make_home`). Raises TokenExists, SlotMissing (no blank token), PinUnusable,
    TokenFailure, ModuleMissing, ModuleBroken, ValueError for the label.
    """
    if not _TOKEN_LABEL.fullmatch(label):
        raise ValueError("a token's label is 1 to 32 characters of A-Z, a-z, 0-9, underscore, dot and hyphen")
    loaded = module.acquire(module_path)
    try:
        with loaded.alone(), loaded.lock:
            if any(token.label == label for token in loaded.tokens()):
                raise TokenExists(f"token {label!r} is in {module_path} already", module=module_path, token=label)
            slot = _blank_slot(loaded)
            code = cryptoki.init_token(loaded.path, slot.slot_id, label, so_pin.reveal())
            if code != cryptoki.CKR_OK:
                raise _refusal(code, loaded.path, slot.slot_id, label)
            _set_user_pin(loaded, label, so_pin, pin)
    finally:
        loaded.release()
    softhsm.TokenFiles(softhsm.token_directory()).flush()


def _blank_slot(loaded: module.Module) -> Any:
    for slot in loaded.slots():
        try:
            token = slot.get_token()
        except (TokenNotPresent, TokenNotRecognised):
            continue
        if not token.flags & TokenFlag.TOKEN_INITIALIZED:
            return slot
    raise SlotMissing(f"{loaded.path} shows no blank token", module=loaded.path, hint="insert a blank token")


def _set_user_pin(loaded: module.Module, label: str, so_pin: SecretBytes, pin: SecretBytes) -> None:
    try:
        session = loaded.find_token(label).open(rw=True, so_pin=so_pin.reveal().decode("utf-8"))
        try:
            session.init_pin(pin.reveal().decode("utf-8"))
        finally:
            session.close()
    except PKCS11Error as error:
        raise faults.translated(error, loaded.path, label, step="initialise") from error


def _refusal(code: int, path: Path, slot: int, label: str) -> PinUnusable | TokenFailure:
    if code in cryptoki.PIN_REFUSALS:
        return PinUnusable(
            f"the token refused the security officer's PIN (CKR 0x{code:x})", module=path, slot=slot, token=label
        )
    return TokenFailure(f"C_InitToken answered 0x{code:x}", step="initialise", module=path, slot=slot, token=label)
