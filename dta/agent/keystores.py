"""Opening the node's keystore, and trying again for as long as it does not open."""

from __future__ import annotations

import asyncio
import logging

from dta.hooks.errors import Retry
from dta.hsm import labels
from dta.hsm.config import KeystoreConfig
from dta.hsm.errors import KeyMissing, KeystoreError
from dta.hsm.keystore import Keystore, open_keystore

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_log = logging.getLogger(__name__)


class KeystoreHolder:
    """The open keystore, once there is one. A token that fails does not end the agent: it reports and tries again."""

    def __init__(self, config: KeystoreConfig) -> None:
        self._config = config
        self._keystore: Keystore | None = None
        self.trouble = "it is not open yet"
        self.notices: list[str] = []

    def get(self) -> Keystore:
        """The open keystore. Raises :class:`Retry` while there is none. For any thread."""
        keystore = self._keystore
        if keystore is None:
            raise Retry(f"the keystore is not open: {self.trouble}")
        return keystore

    async def open(self) -> None:
        """Until it is open. Cancel it to give up."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._keystore = await asyncio.to_thread(self._open)
            except KeystoreError as error:
                trouble = f"{error} (hint: {error.hint})"
                if trouble != self.trouble:
                    _log.error("keystore: %s", trouble)
                self.trouble = trouble
            else:
                self.trouble = ""
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _open(self) -> Keystore:
        keystore = open_keystore(self._config, notice=self._note)
        try:
            if keystore.signing_public_key(labels.node_key()) is None:
                raise KeyMissing("the keystore opens, but has no node-key", label=labels.node_key())
        except KeystoreError:
            keystore.close()
            raise
        return keystore

    def _note(self, notice: str) -> None:
        _log.warning("%s", notice)
        self.notices.append(notice)

    def close(self) -> None:
        """Let go of it."""
        keystore, self._keystore = self._keystore, None
        if keystore is not None:
            keystore.close()
