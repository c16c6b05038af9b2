"""How the M-Pin commands get a PIN: from a private file, a descriptor, or a terminal; never from the command line."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dta.base.errors import UsageError
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm.pin import read_pin
from dta.mpin.pin import MAX_PIN_DIGITS, MIN_PIN_DIGITS, Pin

PinFile: TypeAlias = Annotated[
    Path | None, typer.Option("--mpin-file", help="Read the M-Pin PIN from this private file (mode 0600).")
]
PinFd: TypeAlias = Annotated[
    int | None, typer.Option("--mpin-fd", min=0, help="Read the M-Pin PIN from this file descriptor.")
]


def read_mpin(file: Path | None, descriptor: int | None, question: str = "M-Pin PIN: ") -> Pin:
    """The PIN of somebody who logs in. Raises UsageError, KeystoreError (an unreadable or open file)."""
    return Pin(_read(file, descriptor, question))


def new_mpin(file: Path | None, descriptor: int | None) -> Pin:
    """A PIN that is chosen now: typed twice on a terminal. Raises as :func:`read_mpin`."""
    first = _read(file, descriptor, f"New M-Pin PIN, {MIN_PIN_DIGITS} to {MAX_PIN_DIGITS} digits: ")
    if file is None and descriptor is None and first != _read(None, None, "The same again: "):
        raise UsageError("the two are not the same", hint="nothing was changed: run it again")
    return Pin(first)


def _read(file: Path | None, descriptor: int | None, question: str) -> SecretBytes:
    if file is not None and descriptor is not None:
        raise UsageError("the PIN comes from a file or from a descriptor, not from both")
    if file is not None or descriptor is not None:
        return read_pin(KeystoreConfig("", pin_file=file, pin_fd=descriptor))
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the PIN", hint="give --mpin-file FILE, or --mpin-fd")
    try:
        return SecretBytes(getpass(question, stream=sys.stderr).encode("utf-8"))
    except EOFError:
        raise UsageError("nobody answered") from None
