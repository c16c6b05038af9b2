"""TLS of a server's own, and whom a client takes for a server.

A certificate is read again when its files change; the old one stays while the new one can't be used, which is tried
until it can.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dta.base.errors import UsageError
from dta.base.place import Stamp, stamp_of

LOOK_EVERY_S: Final = 10.0
SAY_EVERY_S: Final = 60.0
"""A certificate that can't be used is said so often, while it is there."""
_log = logging.getLogger(__name__)


class OwnTls:
    """A certificate chain and its key, both PEM. Raises UsageError where they can't be used at the start."""

    def __init__(self, certificate: Path, key: Path, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._certificate = certificate
        self._key = key
        self._monotonic_s = monotonic_s
        self._said_at_s: float | None = None
        self._seen = self._stamp()
        try:
            self._current = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise UsageError(
                f"the certificate {certificate} and its key {key} can't be used: {_reason(error)}",
                hint="both are PEM; the certificate's chain is in one file, the server's own first",
            ) from None
        # What is handed to a listener stays: who connects is given the context of the day.
        self.context = self._load()
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    async def keep_current(self) -> None:
        """Look at the files every few seconds, until cancelled."""
        import asyncio  # a server has it; commands, which come here for the authority's file, do without

        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self.look)

    def look(self) -> bool:
        """Whether the files changed and are in use now. Where they can't be used what was is kept, it is said, and the
        next look tries them again: what hinders may be no fault of theirs (rights, descriptors that ran out)."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        try:
            self._current = self._load()
        except (OSError, ValueError) as error:
            self._complain(_reason(error))
            return False
        self._seen, self._said_at_s = stamp, None
        _log.info("the certificate %s was read again", self._certificate)
        return True

    def _complain(self, reason: str) -> None:
        now_s = self._monotonic_s()
        if self._said_at_s is None or now_s - self._said_at_s >= SAY_EVERY_S:
            self._said_at_s = now_s
            _log.error("the new certificate %s can't be used: %s", self._certificate, reason)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # The empty password: OpenSSL would ask a terminal for that of a sealed key.
        context.load_cert_chain(self._certificate, self._key, password="")
        return context

    def _stamp(self) -> tuple[Stamp | None, Stamp | None]:
        return stamp_of(self._certificate), stamp_of(self._key)


def vouched_by(ca_file: Path | None) -> ssl.SSLContext | bool:
    """How a client checks a server's certificate: by this PEM file of authorities alone; None: by the system's.

    Raises UsageError where the file can't be read, or holds no certificate.
    """
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"{ca_file} holds no authority's certificates: {_reason(error)}", hint="it is a PEM file (ca_file, --ca)"
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
