"""Which keystore a node uses. The PIN itself is never in here: only where it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_SESSIONS: Final = 8


@dataclass(frozen=True)
class KeystoreConfig:
    """``kind`` names the entry point (``pkcs11``, ``software``).

    ``path`` is the software keystore's file; ``module`` the PKCS#11 module and ``token_label`` the token in it.
    ``sessions`` is how many a process has with the token at most, each used by one thread at a time.
    ``pin_file`` names a file that holds the PIN or passphrase, ``pin_fd`` an open descriptor it is read from, once.
    """

    kind: str
    path: Path | None = None
    module: Path | None = None
    token_label: str | None = None
    pin_file: Path | None = None
    pin_fd: int | None = None
    sessions: int = DEFAULT_SESSIONS
