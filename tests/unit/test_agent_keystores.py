"""The agent's hold on its keystore: a wrong PIN is not tried again, a lost token is opened again, silence is told."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from pkcs11.exceptions import FunctionFailed

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm.errors import PinUnusable, PinWrong, TokenFailure, TokenMissing
from dta.node.agent import keystores
from dta.node.agent.keystores import KeystoreHolder
from dta.node.hooks.errors import Retry
from tests.support.patience import PATIENCE_S

_KEY = SigningKey(bytes(32))


class Token:
    """A keystore that has a node key until it loses it; ``opened`` counts how often it was opened."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.open: Callable[[], None] = lambda: None
        self.has_key = True
        self.use: Callable[[], None] = lambda: None
        self.closing: Callable[[], None] = lambda: None
        self.relied_on = ""

    kind = "test"

    def signing_public_key(self, _: str) -> bytes | None:
        return bytes(_KEY.verify_key) if self.has_key else None

    def has_prf_key(self, _: str) -> bool:
        return True

    def rely_on(self, label: str) -> None:
        self.relied_on = label

    def sign(self, _: str, message: bytes) -> bytes:
        self.use()
        return _KEY.sign(message).signature

    def prf(self, _: str, data: bytes) -> SecretBytes:
        self.use()
        return SecretBytes(hashlib.sha256(data).digest())

    def close(self) -> None:
        self.closed += 1
        self.closing()


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Token:
    made = Token()

    def open_keystore(*_: Any, **__: Any) -> Token:
        made.opened += 1
        made.open()
        return made

    monkeypatch.setattr(keystores, "open_keystore", open_keystore)
    for name in ("PIN_POLL_S", "PROBE_EVERY_S", "SILENT_AFTER_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(keystores, name, 0.01)
    return made


def run(holder: KeystoreHolder, story: Callable[[], Any]) -> None:
    async def both() -> None:
        task = asyncio.create_task(holder.keep_open())
        try:
            await story()
        finally:
            task.cancel()

    asyncio.run(both())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_token_that_is_not_there_is_looked_for_until_it_is(token: Token) -> None:
    holder = KeystoreHolder(KeystoreConfig("pkcs11"))
    token.open = failing(TokenMissing("no token"))

    async def story() -> None:
        await until(lambda: token.opened >= 3)
        assert "no token" in holder.trouble
        with pytest.raises(Retry):
            holder.get()
        token.open = lambda: None
        await until(lambda: not holder.trouble)
        assert holder.get() is token

    run(holder, story)


def test_a_wrong_pin_is_tried_again_only_when_its_file_changes(token: Token, tmp_path: Path) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("wrong")
    holder = KeystoreHolder(KeystoreConfig("pkcs11", pin_file=pin_file))
    token.open = failing(PinWrong("the token refused the PIN"))

    async def story() -> None:
        await until(lambda: token.opened)
        await asyncio.sleep(0.2)
        assert token.opened == 1
        token.open = lambda: None
        pin_file.write_text("right one")
        await until(lambda: not holder.trouble)
        assert token.opened == 2

    run(holder, story)


@pytest.mark.parametrize("refusal", [PinWrong, PinUnusable])
def test_a_pin_that_an_open_token_refuses_is_not_tried_once_more_by_opening_it(
    token: Token, tmp_path: Path, refusal: type[PinWrong | PinUnusable]
) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("of the token before")
    holder = KeystoreHolder(KeystoreConfig("pkcs11", pin_file=pin_file))

    async def story() -> None:
        await until(lambda: not holder.trouble)
        token.use = token.open = failing(refusal("the token refused the PIN"))
        await until(lambda: token.closed)
        await asyncio.sleep(0.2)
        assert token.opened == 1
        token.use = token.open = lambda: None
        pin_file.write_text("of this token")
        await until(lambda: not holder.trouble)
        assert token.opened == 2

    run(holder, story)


def test_a_pin_file_that_changed_before_the_token_refused_the_old_one_is_tried(token: Token, tmp_path: Path) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("old")
    holder = KeystoreHolder(KeystoreConfig("pkcs11", pin_file=pin_file))

    def refuse_once() -> None:
        token.use = lambda: None
        raise PinWrong("the token refused the PIN")

    async def story() -> None:
        await until(lambda: not holder.trouble)
        pin_file.write_text("the new one")
        token.use = refuse_once
        await until(lambda: token.opened == 2 and not holder.trouble)

    run(holder, story)


def test_a_token_that_shows_its_keys_no_more_is_opened_again(token: Token) -> None:
    holder = KeystoreHolder(KeystoreConfig("pkcs11"))

    async def story() -> None:
        await until(lambda: not holder.trouble)
        token.has_key = False
        await until(lambda: token.closed >= 1)
        assert "node-key" in holder.trouble
        token.has_key = True
        await until(lambda: not holder.trouble)
        assert token.opened >= 2

    run(holder, story)


def test_a_key_that_is_shown_but_fails_when_used_counts_as_lost(token: Token) -> None:
    holder = KeystoreHolder(KeystoreConfig("pkcs11"))

    async def story() -> None:
        await until(lambda: not holder.trouble)
        token.use = failing(TokenFailure("a session that is stuck"))
        await until(lambda: token.closed >= 2)
        assert "stuck" in holder.trouble
        token.use = lambda: None
        await until(lambda: not holder.trouble)

    run(holder, story)


@pytest.mark.parametrize("error", [TokenFailure("no"), FunctionFailed(), ValueError("anything")])
def test_whatever_opening_using_or_closing_raises_it_is_opened_again(token: Token, error: Exception) -> None:
    holder = KeystoreHolder(KeystoreConfig("pkcs11"))

    async def story() -> None:
        await until(lambda: not holder.trouble)
        for fails in ("use", "closing", "open"):
            before = token.opened
            token.closing, token.use = lambda: None, failing(error)
            setattr(token, fails, failing(error))
            await until(lambda: holder.trouble)
            token.use = lambda: None
            await until(lambda before=before: token.opened > before + 1 or not holder.trouble)
            token.open = lambda: None
            await until(lambda: not holder.trouble)
            assert holder.get() is token

    run(holder, story)


def test_absence_counts_only_beside_the_root(token: Token) -> None:
    holder = KeystoreHolder(KeystoreConfig("pkcs11"))

    async def story() -> None:
        await until(lambda: not holder.trouble)
        assert token.relied_on == "root"

    run(holder, story)


def test_a_token_that_does_not_answer_is_told_with_for_how_long(token: Token) -> None:
    holder, release = KeystoreHolder(KeystoreConfig("pkcs11")), threading.Event()
    token.open = lambda: release.wait(PATIENCE_S) and None

    async def story() -> None:
        try:
            await until(lambda: holder.silent_s > 0)
            assert "does not answer" in holder.trouble
        finally:
            release.set()
        await until(lambda: not holder.trouble)
        assert holder.silent_s == 0

    run(holder, story)
