"""The agent of a home out of its settings, and what runs beside it."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dta.base import place
from dta.base.errors import UsageError
from dta.base.home import FILE_MODE, Home, make_directory
from dta.client.custody.blocks import HttpClient, http_by
from dta.client.custody.session import Session
from dta.client.identity.keyring import Keyring
from dta.client.ledger.rpc import Rpc
from dta.service import news
from dta.service.access import Caller, Credential, Doorkeeper
from dta.service.agent import Agent
from dta.service.audit import AuditFile
from dta.service.certificates import ProxiedCertificates
from dta.service.idempotency import IdempotencyStore
from dta.service.news import Place, Told
from dta.service.oidc import Issuers
from dta.service.problems import kind_of
from dta.service.settings import ServeFile, Webhook
from dta.service.tokens import TokenStore
from dta.service.webhooks import Sender
from dta.service.workplace import Workplace

_log = logging.getLogger(__name__)

KEEP_TRUST_S: Final = 60.0


def agent(
    home: Home,
    ring: Keyring,
    connect: Callable[[], Rpc],
    settings: ServeFile,
    http: HttpClient | None = None,
) -> Agent:
    """The agent of ``home``. Raises UsageError, PlaceFailure."""
    directory = make_directory(home.path / "serve")
    certificates = ProxiedCertificates(settings.certificates, frozenset(settings.trusted_proxies))
    doorkeeper = Doorkeeper(
        TokenStore(directory / "tokens"), Issuers(settings.issuers) if settings.issuers else None,
        certificates if settings.certificates else None,
    )  # fmt: skip
    workplace = Workplace(home, ring, connect, http or http_by(verify=True))
    calls = IdempotencyStore(directory / "calls.sqlite")
    return Agent(workplace, doorkeeper, calls, AuditFile(directory / "audit.jsonl"), settings)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """The only agent of ``home``, wherever it listens: its retries are known to one process. Raises UsageError."""
    path = make_directory(home / "serve") / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise place.failure(error, f"can't write {path}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UsageError(f"an agent serves {home} already", hint="stop it first") from None
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def holder(home: Path) -> int | None:
    """The pid of the agent of ``home``; None where none runs."""
    path = home / "serve" / "lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        said = os.pread(descriptor, 20, 0)
        return int(said) if said.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def senders(agent: Agent, home: Path) -> list[Sender]:
    """One for each webhook. Raises UsageError where one is not as it has to be."""
    return [Sender(hook, home, _looker(agent, hook), now_s=agent.now_s) for hook in agent.settings.webhooks]


def _looker(agent: Agent, hook: Webhook) -> Callable[[Place | None], Awaitable[Told]]:
    caller = Caller(Credential(f"webhook {hook.name}", frozenset({"read"}), (hook.identity,)), hook.identity)

    def read(session: Session, place: Place | None) -> Told:
        if place is None:
            return Told((), news.now(session, agent.waiting), True)
        return news.since(session, agent.waiting, place)

    async def look(place: Place | None) -> Told:
        return await agent.look(caller, lambda session: read(session, place), follows=True)

    return look


async def run(agent: Agent, serving: Coroutine[Any, Any, None], home: Path) -> None:
    """Serves, sends webhooks, and keeps what was verified, until the serving ends."""
    try:
        hooks = senders(agent, home)
    except BaseException:
        serving.close()
        raise
    beside = [asyncio.ensure_future(sender.run()) for sender in hooks]
    beside.append(asyncio.ensure_future(_keep_trust(agent)))
    try:
        await serving
    finally:
        for task in beside:
            task.cancel()
        for outcome in await asyncio.gather(*beside, return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("what runs beside the agent ended: %s", type(outcome).__name__)


async def _keep_trust(agent: Agent, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """For ever: a disk that is full now may not be in a minute."""
    while True:
        await sleep(KEEP_TRUST_S)
        try:
            await agent.looks.here(agent.workplace.keep_trust)
        except Exception as error:
            _log.warning("what was verified can't be kept: %s", kind_of(error))
