"""A PIN, and what becomes of a client secret with it: the token (docs/spec/mfa.md, The token)."""

from __future__ import annotations

from typing import Final

from abci_app.crypto.curve import G1
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.mpin.secret_point import SecretPoint

MIN_PIN_DIGITS: Final = 4
MAX_PIN_DIGITS: Final = 12


class Pin:
    """4 to 12 decimal digits, used as the number they write. ``repr`` shows nothing."""

    __slots__ = ("_value",)

    def __init__(self, digits: SecretBytes) -> None:
        """Raises UsageError for anything but digits; it does not say which."""
        text = digits.reveal()
        if not MIN_PIN_DIGITS <= len(text) <= MAX_PIN_DIGITS or any(char not in b"0123456789" for char in text):
            raise UsageError(f"a PIN has {MIN_PIN_DIGITS} to {MAX_PIN_DIGITS} digits, and nothing else")
        self._value = int(text)

    def reveal(self) -> int:
        """The number: call it where it is used, and keep nothing."""
        return self._value

    def __repr__(self) -> str:
        return "<redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<redacted>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def token_of(secret: SecretPoint[G1], a: G1, pin: Pin) -> SecretPoint[G1]:
    """The token: the client secret without PIN*A. It alone is kept; whoever has it still has to know the PIN."""
    return SecretPoint(secret.reveal() - a * pin.reveal())


def secret_of(token: SecretPoint[G1], a: G1, pin: Pin) -> SecretPoint[G1]:
    """The client secret again. Any PIN gives *a* point: nothing on the client's side tells the right one."""
    return SecretPoint(token.reveal() + a * pin.reveal())


def changed(token: SecretPoint[G1], a: G1, old: Pin, new: Pin) -> SecretPoint[G1]:
    """The token for a new PIN. Nobody else is asked; a wrong ``old`` goes unnoticed and makes the token useless."""
    return SecretPoint(token.reveal() + a * (old.reveal() - new.reveal()))
