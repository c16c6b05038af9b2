"""What python-pkcs11 does not offer of PKCS#11 (v2.40), by ctypes: initialising a module for several threads,
C_InitToken, a token's figures, logging out apart from closing, and ending what it has given up.

Called through the module's own function list, so nothing is passed to another program and no PIN is ever an argument
of a process. The module must be loaded by :mod:`dta.hsm.module`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_LABEL_BYTES = 32
_INFO_BYTES = 256  # CK_INFO has 88
_ULONG = ctypes.c_ulong
_UNAVAILABLE = ctypes.c_ulong(-1).value

_MAX_MODULES = 64

# Positions in CK_FUNCTION_LIST, counted after the version.
_C_INITIALIZE = 0
_C_FINALIZE = 1
_C_GET_INFO = 2
_C_GET_TOKEN_INFO = 6
_C_INIT_TOKEN = 9
_C_CLOSE_SESSION = 13
_C_LOGOUT = 19

CKR_OK = 0
CKR_GENERAL_ERROR = 5
CKR_CRYPTOKI_NOT_INITIALIZED = 0x190
PIN_REFUSALS = (0xA0, 0xA1, 0xA2)
"""CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE."""


class _TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO."""

    _fields_ = (
        ("label", ctypes.c_char * 32),
        ("manufacturer_id", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serial_number", ctypes.c_char * 16),
        ("flags", _ULONG),
        ("max_session_count", _ULONG),
        ("session_count", _ULONG),
        ("max_rw_session_count", _ULONG),
        ("rw_session_count", _ULONG),
        ("max_pin_len", _ULONG),
        ("min_pin_len", _ULONG),
        ("total_public_memory", _ULONG),
        ("free_public_memory", _ULONG),
        ("total_private_memory", _ULONG),
        ("free_private_memory", _ULONG),
        ("versions", ctypes.c_ubyte * 4),
        ("utc_time", ctypes.c_char * 16),
    )


class _FunctionList(ctypes.Structure):
    """The head of CK_FUNCTION_LIST: enough for the functions above."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * (_C_LOGOUT + 1)))


class _InitializeArgs(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS: no mutexes of ours, the flags, and what is reserved."""

    _fields_ = (("mutexes", ctypes.c_void_p * 4), ("flags", _ULONG), ("reserved", ctypes.c_void_p))


_CKF_OS_LOCKING_OK = 2


@dataclass(frozen=True)
class TokenFigures:
    """What a token says of its room. None where it does not say."""

    free_private_bytes: int | None
    max_sessions: int | None
    open_sessions: int | None


def init_token(module: Path, slot: int, label: str, so_pin: bytes) -> int:
    """C_InitToken on ``slot``: gives it ``label`` (at most 32 bytes) and the security officer's PIN. The CK_RV."""
    padded = label.encode("ascii").ljust(_LABEL_BYTES)
    if len(padded) != _LABEL_BYTES:
        raise ValueError(f"a token's label has at most {_LABEL_BYTES} bytes")
    prototype = ctypes.CFUNCTYPE(_ULONG, _ULONG, ctypes.c_char_p, _ULONG, ctypes.c_char_p)
    return int(prototype(_function(module, _C_INIT_TOKEN))(slot, so_pin, len(so_pin), padded))


def token_figures(module: Path, slot: int) -> TokenFigures:
    """C_GetTokenInfo's figures for the token in ``slot``; all None when it does not answer."""
    info = _TokenInfo()
    prototype = ctypes.CFUNCTYPE(_ULONG, _ULONG, ctypes.POINTER(_TokenInfo))
    if _answer(module, _C_GET_TOKEN_INFO, prototype, slot, ctypes.byref(info)) != CKR_OK:
        return TokenFigures(None, None, None)
    return TokenFigures(
        _said(info.free_private_memory),
        _said(info.max_session_count) or None,  # 0 is CK_EFFECTIVELY_INFINITE
        _said(info.session_count),
    )


def is_initialised(module: Path) -> bool:
    """Whether C_Initialize was called in this process, and C_Finalize not or in vain since."""
    prototype = ctypes.CFUNCTYPE(_ULONG, ctypes.c_void_p)
    return _answer(module, _C_GET_INFO, prototype, ctypes.create_string_buffer(_INFO_BYTES)) == CKR_OK


def initialise(module: Path, *, threads: bool) -> int:
    """C_Initialize; with ``threads`` the module has to bear calls from several at once, by the system's own locks.
    The CK_RV: one that bears none answers CKR_CANT_LOCK, or another."""
    arguments = ctypes.byref(_InitializeArgs(flags=_CKF_OS_LOCKING_OK)) if threads else None
    return _answer(module, _C_INITIALIZE, ctypes.CFUNCTYPE(_ULONG, ctypes.c_void_p), arguments)


def finalise(module: Path) -> int:
    """C_Finalize. The CK_RV."""
    return _answer(module, _C_FINALIZE, ctypes.CFUNCTYPE(_ULONG, ctypes.c_void_p), None)


def logout(module: Path, session: int) -> int:
    """C_Logout, of all sessions that this process has with the token. The CK_RV."""
    return _answer(module, _C_LOGOUT, ctypes.CFUNCTYPE(_ULONG, _ULONG), session)


def close_session(module: Path, session: int) -> int:
    """C_CloseSession. The CK_RV."""
    return _answer(module, _C_CLOSE_SESSION, ctypes.CFUNCTYPE(_ULONG, _ULONG), session)


def _said(value: int) -> int | None:
    return None if value == _UNAVAILABLE else value


def _answer(module: Path, position: int, prototype: Callable[[int], Any], *arguments: object) -> int:
    """The CK_RV; CKR_GENERAL_ERROR where the module gives no functions."""
    try:
        return int(prototype(_function(module, position))(*arguments))
    except OSError:
        return CKR_GENERAL_ERROR


def _function(module: Path, position: int) -> int:
    """Its address. Raises OSError where the module gives no list."""
    return int(_functions(module)[position])


@lru_cache(_MAX_MODULES)
def _functions(module: Path) -> Any:
    """The functions' addresses. Kept: a file that is removed or replaced while it is loaded stays the module it was."""
    entry = getattr(ctypes.CDLL(str(module)), "C_GetFunctionList", None)
    functions = ctypes.POINTER(_FunctionList)()
    if entry is None or entry(ctypes.byref(functions)) != CKR_OK:
        raise OSError(f"C_GetFunctionList of {module} failed")
    return functions.contents.functions
