"""``dta serve``: the agent that applications reach by REST, and their tokens (docs/howto/serve.md)."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from dta.base import address
from dta.base.errors import UsageError
from dta.cli.custody import moment, table
from dta.cli.session import Session, session_of
from dta.service.tokens import SCOPES, Token, TokenStore, Unreadable

if TYPE_CHECKING:
    from socket import socket
    from ssl import SSLContext

    from dta.service.guard import Listener
    from dta.service.settings import ServeFile

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def serve_home(context: typer.Context) -> None:
    """Serve this home's identities until it is told to stop (SIGTERM or Ctrl-C): a unix socket, or serve.toml's."""
    from dta.client.custody.blocks import http_by
    from dta.client.ledger.rpc import Rpc, nodes_of
    from dta.http.logs import count_strangers
    from dta.service import build, server, settings
    from dta.service.app import application

    session = session_of(context)
    urls, verify = nodes_of(session.client()), session.verify()
    config = settings.load(session.home.path)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    count_strangers()
    tls = _tls(session, config)
    with build.alone(session.home.path), session.keyring() as ring:
        agent = build.agent(
            session.home, ring, lambda: Rpc(urls[0], others=urls[1:], verify=verify), config, http_by(verify)
        )
        try:
            for name in agent.workplace.identities():
                agent.workplace.mac_key(name)  # a keystore that does not open says so now, and not to the first caller
            listening, listener, where = _bind(session, config, tls is not None)
            app = application(agent, listener)
            asyncio.run(
                build.run(agent, server.serve(app, listening, tls, lambda: _started(session, where)), session.home.path)
            )
        finally:
            agent.close()


def _started(session: Session, where: str) -> None:
    session.show({"listening": where}, [f"listening on {where}"])


def _bind(session: Session, config: ServeFile, has_tls: bool) -> tuple[socket, Listener, str]:
    """Where it listens, by which names it may be called there, and what to tell people."""
    from dta.service import server
    from dta.service.guard import Listener

    if config.listen is None:
        path = session.home.path / "run" / "serve.sock"
        return server.bind_unix(path), Listener(origins=frozenset(config.origins)), f"unix:{path}"
    host, port = address.split(config.listen)
    bound = server.bind_tcp(host, port)
    port = bound.getsockname()[1]
    shown = f"{'https' if has_tls else 'http'}://{address.join(host, port)}"
    return bound, Listener.on_tcp(config.hosts, config.origins), shown


def _tls(session: Session, config: ServeFile) -> SSLContext | None:
    from dta.service import server

    if (config.tls_certificate is None) != (config.tls_key is None):
        raise UsageError("TLS takes both tls_certificate and tls_key")
    if config.tls_certificate is None or config.tls_key is None:
        if config.listen is not None and address.split(config.listen)[0] not in LOOPBACK:
            raise UsageError(
                f"beyond loopback ({config.listen}) the agent wants TLS",
                hint="give tls_certificate and tls_key in serve.toml",
            )
        return None
    home = session.home.path
    return server.tls_context(home / config.tls_certificate, home / config.tls_key)


def _tokens(session: Session) -> TokenStore:
    session.client()
    return TokenStore(session.home.path / "serve" / "tokens")


def create_token(
    context: typer.Context,
    scope: Annotated[list[str], typer.Option(help=f"What it may do, of: {', '.join(SCOPES)}; repeat it.")],
    expires: Annotated[str, typer.Option(help="For how long: 90d, 12h, 30m; or never.")] = "90d",
    name: Annotated[str, typer.Option(help="What it is for, as lists show it.")] = "",
    every: Annotated[bool, typer.Option("--all-identities", help="For every identity of this home.")] = False,
) -> None:
    """Make a token for an application, and show it: once. Who has it acts as the identity, within its scopes.

    For the identity that --identity names, or the only one.
    """
    session = session_of(context)
    store, now_s = _tokens(session), int(time.time())
    identities = ("*",) if every else (session.profile().name,)
    token, shown = store.create(
        name=name, scopes=frozenset(scope), identities=identities, now_s=now_s, expires_at_s=_until(expires, now_s)
    )
    session.show({**_token_json(token), "token": shown}, [f"token  {shown}", f"id     {token.id}"])
    session.talk("It is not shown again, and this home keeps no more than its hash.")


def _until(text: str, now_s: int) -> int:
    if text == "never":
        return 0
    found = _SPAN.fullmatch(text)
    if found is None:
        raise UsageError(f"not a length of time: {text!r}", hint="write it as 90d, 12h, 30m, or never")
    return now_s + int(found[1]) * _UNITS_S[found[2]]


def _token_json(token: Token) -> dict[str, object]:
    return {
        "id": token.id, "name": token.name, "scopes": sorted(token.scopes), "identities": list(token.identities),
        "created_at_s": token.created_at_s, "expires_at_s": token.expires_at_s,
    }  # fmt: skip


def list_tokens(context: typer.Context) -> None:
    """List the tokens: what each may do, and as whom; never the token itself.

    A file that can't be read lets nobody in, and is revoked as any other.
    """
    session = session_of(context)
    found = _tokens(session).all()
    shown = {
        "tokens": [_token_json(one) for one in found if isinstance(one, Token)],
        "unreadable": [_unreadable_json(one) for one in found if isinstance(one, Unreadable)],
    }  # fmt: skip
    session.show(shown, table([_token_row(one) for one in found]) or ["no tokens"])


def _token_row(one: Token | Unreadable) -> dict[str, object]:
    if isinstance(one, Unreadable):
        return {"id": one.id, "name": "-", "as": "-", "may": f"nothing: {one.why}", "until": "-"}
    return {
        "id": one.id, "name": one.name or "-", "as": ", ".join(one.identities), "may": ", ".join(sorted(one.scopes)),
        "until": moment(one.expires_at_s) if one.expires_at_s else "-",
    }  # fmt: skip


def _unreadable_json(one: Unreadable) -> dict[str, object]:
    return {"id": one.id, "why": one.why}


def revoke_token(context: typer.Context, token: Annotated[str, typer.Argument(help="The token's id.")]) -> None:
    """Revoke a token, from its application's next call on."""
    session = session_of(context)
    gone = _tokens(session).revoke(token)
    facts = _token_json(gone) if isinstance(gone, Token) else _unreadable_json(gone)
    session.show({**facts, "revoked": True}, [f"revoked  {gone.id}"])
