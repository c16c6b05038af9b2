"""PKCS#11's return codes, as python-pkcs11 raises them, turned into our errors with their hints."""

from __future__ import annotations

from pathlib import Path

from pkcs11 import exceptions as p11

from dta.hsm.errors import (
    CapacityExhausted,
    KeystoreError,
    MechanismMissing,
    PinLocked,
    PinUnusable,
    PinWrong,
    TokenFailure,
    TokenGone,
)

_GONE = (p11.TokenNotPresent, p11.DeviceRemoved, p11.TokenNotRecognised)
_CLASSES: tuple[tuple[tuple[type[Exception], ...], type[KeystoreError], str], ...] = (
    ((p11.PinIncorrect,), PinWrong, "the token refused the PIN"),
    ((p11.PinLocked, p11.UserPinNotInitialized), PinLocked, "the token's user PIN is locked or was never set"),
    ((p11.PinInvalid, p11.PinLenRange, p11.PinTooWeak), PinUnusable, "the PIN breaks the token's rules"),
    ((p11.PinExpired,), PinLocked, "the token's user PIN has expired"),
    (
        (p11.MechanismInvalid, p11.MechanismParamInvalid, p11.FunctionNotSupported, p11.DomainParamsInvalid),
        MechanismMissing,
        "the token does not offer that mechanism",
    ),
    (
        (p11.DeviceMemory, p11.HostMemory, p11.SessionCount),
        CapacityExhausted,
        "the token has no room for another key or session",
    ),
    (_GONE, TokenGone, "the token went away"),
)


# What is wrong with the request itself: another session would answer the same.
_OF_THE_REQUEST = (
    p11.ArgumentsBad,
    p11.AttributeReadOnly,
    p11.AttributeSensitive,
    p11.AttributeTypeInvalid,
    p11.AttributeValueInvalid,
    p11.DataInvalid,
    p11.DataLenRange,
    p11.DomainParamsInvalid,
    p11.FunctionNotSupported,
    p11.KeySizeRange,
    p11.KeyTypeInconsistent,
    p11.MechanismInvalid,
    p11.MechanismParamInvalid,
    p11.TemplateIncomplete,
    p11.TemplateInconsistent,
    p11.TokenWriteProtected,
)


def may_be_the_sessions(error: Exception) -> bool:
    """Whether another session might answer otherwise: of every code, a vendor's own too, but those that rule it out."""
    return not isinstance(error, _OF_THE_REQUEST)


def translated(
    error: p11.PKCS11Error, module: Path, token: str | None, *, step: str | None = None, label: str | None = None
) -> KeystoreError:
    """Our error for python-pkcs11's; TokenFailure where no class fits."""
    for causes, kind, message in _CLASSES:
        if isinstance(error, causes):
            return kind(f"{message} ({name(error)})", step=step, module=module, token=token, label=label)
    return TokenFailure(f"the token answered {describe(error)}", step=step, module=module, token=token, label=label)


def name(error: p11.PKCS11Error) -> str:
    """The return code's name as python-pkcs11 writes it: ``GeneralError`` for CKR_GENERAL_ERROR."""
    return type(error).__name__


def describe(error: p11.PKCS11Error) -> str:
    """The return code's name, and what the loader said where it said something."""
    text = str(error)
    return f"{name(error)}: {text}" if text else name(error)


def load_hint(error: p11.PKCS11Error, *, is_loaded: bool) -> str:
    """What to do about a module that does not load, or that did and does not initialise or show its slots."""
    if isinstance(error, _GONE):
        return TokenGone.default_hint
    if isinstance(error, p11.GeneralError):
        return (
            "the module itself refused to start: check its own configuration and its rights to read it "
            "(SoftHSM: SOFTHSM2_CONF must name a file whose directories.tokendir this user may read and write)"
        )
    if is_loaded or type(error) is not p11.PKCS11Error:
        return "the module is loaded and refuses to work: are its device and its service there? Look into its own log"
    return "check that the file is a PKCS#11 module for this machine's architecture, and not another library"
