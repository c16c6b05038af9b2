"""Opening the node's keystore, and opening it again for as long as it does not open and whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dta.base.keystore_config import KeystoreConfig
from dta.base.place import Stamp, stamp_of
from dta.hsm import labels, selftest
from dta.hsm.errors import KeystoreError, PassphraseWrong, PinFinalTry, PinUnusable, PinWrong
from dta.hsm.keystore import Keystore, let_go, open_keystore
from dta.hsm.pin import PIN_FILE_VARIABLE
from dta.node.agent.seen import seen
from dta.node.hooks.errors import Retry

T = TypeVar("T")

PIN_POLL_S = 2.0
PROBE_EVERY_S = 5.0
SILENT_AFTER_S = 10.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
_MAX_NOTICES = 20
_WRONG_PIN = (PinWrong, PinUnusable, PinFinalTry, PassphraseWrong)
_log = logging.getLogger(__name__)


class KeystoreHolder:
    """The open keystore, once there is one. Nothing that a token does ends this: it reports and tries again.

    ``trouble``: what is wrong, empty where nothing is. ``silent_s``: for how long it has not answered, 0 where it does.
    """

    def __init__(self, config: KeystoreConfig) -> None:
        self._config = config
        self._keystore: Keystore | None = None
        self._pin_tried = self._pin_file_stamp()
        self.trouble = "it is not open yet"
        self.notices: list[str] = []
        self.silent_s = 0.0

    def get(self) -> Keystore:
        """The open keystore. Raises :class:`Retry` while there is none. For any thread."""
        keystore = self._keystore
        if keystore is None:
            raise Retry(f"the keystore is not open: {self.trouble}")
        return keystore

    async def keep_open(self) -> None:
        """Open it, and again whenever it is lost: for ever. Cancel it to give up."""
        while True:
            keystore = await self._open_at_last()
            error = await self._until_lost(keystore)
            await self._answer_of(self.close)
            if isinstance(error, _WRONG_PIN):  # a token that was changed refused it: to open it would try it once more
                await self._until_the_pin_file_changes()

    async def _open_at_last(self) -> Keystore:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._keystore = keystore = await self._answer_of(self._open)
            except Exception as error:
                self._say(_described(error))
                if isinstance(error, _WRONG_PIN):
                    await self._until_the_pin_file_changes()
            else:
                self.trouble = ""
                return keystore
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _until_lost(self, keystore: Keystore) -> Exception:
        """Use the node's keys now and then: why they can't be used any more.

        A token that was away may be back, and show nothing of what it holds.
        """
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                await self._answer_of(lambda: selftest.require_node_keys(keystore))
            except Exception as error:
                self._say(_described(error))
                return error
            self.trouble = ""

    async def _answer_of(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns or raises, however long it takes: a thread in a module that hangs can't be stopped."""
        asked = asyncio.create_task(asyncio.to_thread(ask))
        asked.add_done_callback(seen)
        asked_s = time.monotonic()
        while not (await asyncio.wait([asked], timeout=SILENT_AFTER_S))[0]:
            self.silent_s = time.monotonic() - asked_s
            self._say("the keystore does not answer (hint: is the token still there? its module hangs)")
        self.silent_s = 0.0
        return asked.result()

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("keystore: %s", trouble)
        self.trouble = trouble

    async def _until_the_pin_file_changes(self) -> None:
        """Trying a wrong PIN again would bring the token nearer to its lock, and teach nothing.

        A change since it was last read counts too: where token and file get another PIN, the file may be first.
        """
        while self._pin_file_stamp() == self._pin_tried:
            await asyncio.sleep(PIN_POLL_S)

    def _pin_file_stamp(self) -> Stamp | None:
        named = self._config.pin_file or os.environ.get(PIN_FILE_VARIABLE)
        return stamp_of(Path(named)) if named else None

    def _open(self) -> Keystore:
        self._pin_tried = self._pin_file_stamp()
        keystore = open_keystore(self._config, notice=self.note)
        try:
            keystore.rely_on(labels.root())
            selftest.require_node_keys(keystore)
        except BaseException:
            let_go(keystore)
            raise
        return keystore

    def note(self, notice: str) -> None:
        """Keep something to be shown for as long as this process runs."""
        _log.warning("%s", notice)
        if notice not in self.notices:
            self.notices = [*self.notices[-_MAX_NOTICES + 1 :], notice]

    def close(self) -> None:
        """Let go of it."""
        keystore, self._keystore = self._keystore, None
        if keystore is not None:
            let_go(keystore)



def _described(error: Exception) -> str:
    if isinstance(error, KeystoreError):
        return f"{error} (hint: {error.hint})"
    # A module, or a back end of others, may raise anything, with anything in its text.
    return f"it failed with {type(error).__name__} (hint: {KeystoreError.default_hint})"
