"""``dta mfa serve``: an authentication server, and what its operator does about lockouts (docs/howto/mfa.md)."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from abci_app.crypto.curve import BadPoint
from dta.base import address, ids
from dta.base.address import MAX_PORT
from dta.base.errors import NotFound, NotVerified, UsageError
from dta.cli.custody import moment, table
from dta.cli.session import Session, session_of
from dta.client.mfa.credentials import ServerSecret, load_server_secret
from dta.client.mfa.source import LedgerRealm
from dta.http.logs import count_strangers
from dta.login.http import HttpConfig, HttpServer, serve
from dta.login.realm_file import FileRealm
from dta.login.server import AuthenticationServer
from dta.login.store import ServerState
from dta.mpin.realm import RealmSource, ReopeningRealm
from dta.mpin.sealing import Sealer

SecretFile: TypeAlias = Annotated[
    Path | None, typer.Option("--secret", help="The server's sealed secret. Without: the only one in this home.")
]


def serve_logins(
    context: typer.Context,
    secret: SecretFile = None,
    facts: Annotated[
        Path | None, typer.Option(help="Take the realm's facts from this file instead of the ledger.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=MAX_PORT, help="The port to listen on; 0 takes a free one.")] = 8280,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="A proxy's address, whose X-Forwarded-For is believed; repeat it.")
    ] = None,
) -> None:
    """Serve logins until it is told to stop (SIGTERM or Ctrl-C). One process a state: failures are counted there."""
    session = session_of(context)
    path = _secret_path(session, secret)
    with session.keyring() as ring:
        own = load_server_secret(path, Sealer(ring.keystore(session.profile().root)))
    proxies = frozenset(trusted_proxy or [])
    config = HttpConfig(host=host, port=port, trusted_proxies=proxies, tls=_tls(tls_cert, tls_key))
    if config.tls is None and host not in ("127.0.0.1", "::1", "localhost"):
        session.talk("warning: without TLS, names, salts and tickets travel in the clear: put a TLS proxy before it")
    with _source(session, own, facts) as source, _state(path) as state:
        if state.is_new:
            session.talk("a new state was made: no failure, lockout or used login from before is known here")
        try:
            server = AuthenticationServer(source, own.server, own.secret, state)
        except BadPoint:
            raise NotVerified(
                "server-secret",
                f"the secret in {path} is not this realm's key's",
                hint="is it of another realm? `dta mfa server request-secret` asks for a new one",
            ) from None
        _run(session, HttpServer(server, config), config)


def _run(session: Session, http: HttpServer, config: HttpConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    count_strangers()
    scheme = "http" if config.tls is None else "https"

    def started(host: str, port: int) -> None:
        url = f"{scheme}://{address.join(host, port)}"
        session.show({"listening": url}, [f"listening on {url}"])

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that goes away is no wish to stop
        await serve(http, started, stop.wait())

    try:
        asyncio.run(main())
    except OSError as error:
        raise UsageError(
            f"can't listen on {address.join(config.host, config.port)}: {error.strerror}", hint="give --host and --port"
        ) from None


def lockouts(context: typer.Context, secret: SecretFile = None) -> None:
    """List the clients that are locked out at this server now, by their hashes."""
    session = session_of(context)
    with _state(_kept(_secret_path(session, secret))) as state:
        found = state.locked(int(time.time()))
    rows: list[dict[str, object]] = [
        {"client": client.hex(), "until": "the operator unlocks it" if until is None else moment(until)}
        for client, until in found
    ]
    data = [{"client": client.hex(), "until_s": until} for client, until in found]
    session.show({"locked": data}, table(rows) or ["nobody is locked out"])


def unlock(
    context: typer.Context,
    client: Annotated[str, typer.Argument(help="The client's hash, 64 hex digits, or its first if it is locked out.")],
    secret: SecretFile = None,
) -> None:
    """Lift a client's lockout, and forget its failures. Whoever may do this may give somebody more guesses."""
    session = session_of(context)
    with _state(_kept(_secret_path(session, secret))) as state:
        id_ = ids.resolve(client, "client", lambda: [known for known, _ in state.locked(int(time.time()))])
        if not state.unlock(id_):
            raise NotFound("nothing is held against this client here")
    session.show({"client": id_.hex(), "unlocked": True}, [f"unlocked  {id_.hex()}"])


def _secret_path(session: Session, given: Path | None) -> Path:
    if given is not None:
        return given
    found = sorted((session.home.path / "mfa" / "servers").glob("*.json"))
    if len(found) == 1:
        return found[0]
    raise UsageError(
        "which server's?" if found else f"there is no server secret in {session.home.path}",
        hint="give --secret FILE" if found else "`dta mfa server request-secret` asks the fiduciaries for one",
    )


def _state_path(secret: Path) -> Path:
    return secret.with_suffix(".sqlite")


def _kept(secret: Path) -> Path:
    """``secret``, where there is a state beside it: looking makes none. Raises NotFound."""
    if not _state_path(secret).exists():
        raise NotFound(
            f"there is no state {_state_path(secret)}: nobody is known to be locked out",
            hint="the server makes it when it first runs; where it ran before, the file was lost",
        )
    return secret


@contextmanager
def _state(secret: Path) -> Iterator[ServerState]:
    """What the server remembers, beside its secret."""
    state = ServerState(_state_path(secret), int(time.time()))
    try:
        yield state
    finally:
        state.close()


@contextmanager
def _source(session: Session, own: ServerSecret, file: Path | None) -> Iterator[RealmSource]:
    """The facts of the realm that the secret is of: proved by the ledger, or believed of a file."""

    @contextmanager
    def on_ledger() -> Iterator[RealmSource]:
        with session.ledger() as ledger:
            yield LedgerRealm(ledger, own.realm)

    with ExitStack() as held:
        if file is None:
            source: RealmSource = held.enter_context(closing(ReopeningRealm(on_ledger)))
        else:
            source = FileRealm(file)
        facts = source.facts()
        if (facts.gid, facts.realm, facts.authority) != (own.gid, own.realm, own.authority):
            raise UsageError(
                f"{file or 'this ledger'} is of another realm than the secret", hint="check --secret and --facts"
            )
        yield source


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("TLS takes both --tls-cert and --tls-key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"can't load the certificate or its key: {error.strerror or type(error).__name__}") from None
    return context
