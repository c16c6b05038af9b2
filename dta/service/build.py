"""The agent of a home out of its settings, and what runs beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from dta.base.home import Home, make_directory
from dta.client.custody import blocks as custody_blocks
from dta.client.custody.blocks import HttpClient
from dta.client.identity.keyring import Keyring
from dta.client.ledger.rpc import Rpc
from dta.service import models
from dta.service.access import Caller, Credential, Doorkeeper
from dta.service.agent import Agent
from dta.service.audit import AuditFile
from dta.service.certificates import ProxiedCertificates
from dta.service.idempotency import IdempotencyStore
from dta.service.oidc import Issuers
from dta.service.routes import inbox
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
    http: HttpClient = custody_blocks.default_http,
) -> Agent:
    """The agent of ``home``. Raises UsageError, PlaceFailure."""
    directory = make_directory(home.path / "serve")
    certificates = ProxiedCertificates(settings.certificates, frozenset(settings.trusted_proxies))
    doorkeeper = Doorkeeper(
        TokenStore(directory / "tokens"), Issuers(settings.issuers) if settings.issuers else None,
        certificates if settings.certificates else None,
    )  # fmt: skip
    return Agent(
        Workplace(home, ring, connect, http), doorkeeper, IdempotencyStore(directory / "calls.sqlite"),
        AuditFile(directory / "audit.jsonl"), settings,
    )  # fmt: skip


def senders(agent: Agent, home: Path) -> list[Sender]:
    """One for each webhook. Raises UsageError where one is not as it has to be."""
    return [Sender(hook, home, _looker(agent, hook), now_s=agent.now_s) for hook in agent.settings.webhooks]


def _looker(agent: Agent, hook: Webhook) -> Callable[[int], Awaitable[models.Inbox]]:
    caller = Caller(Credential(f"webhook {hook.name}", frozenset({"read"}), (hook.identity,)), hook.identity)

    async def look(after: int) -> models.Inbox:
        return await agent.look(caller, lambda session: inbox.page(session, after, models.MAX_LIMIT))

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


async def _keep_trust(agent: Agent) -> None:
    while True:
        await asyncio.sleep(KEEP_TRUST_S)
        await agent.jobs.look(agent.workplace.keep_trust)
