"""What both sides of a login call it: its mode, and how long the names in it are (docs/spec/mfa.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

ID_BYTES: Final = 32
"""Of a realm, a server, a client (the salted hash of its name) and a session."""


class Mode(StrEnum):
    """How somebody logged in."""

    TWO_PASS = "two-pass"  # noqa: S105
    ONE_PASS = "one-pass"  # noqa: S105
    FULL = "full"
