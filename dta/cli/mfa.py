"""``dta mfa``: M-Pin on a person's side: log in, change the PIN (docs/howto/mfa.md). Servers: ``mfa_serve.py``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from abci_app.mfa import points
from dta.base import ids
from dta.base.errors import UsageError
from dta.base.home import write_file
from dta.cli.custody import table
from dta.cli.mfa_pin import PinFd, PinFile, new_mpin, read_mpin
from dta.cli.session import Session, session_of
from dta.client.mfa.credentials import Credential, CredentialStore
from dta.client.mfa.login import LoggedIn, MfaClient, Permit
from dta.client.mfa.permits import take
from dta.mpin.logins import Mode
from dta.mpin.pin import changed
from dta.mpin.sealing import Sealer

Label = Annotated[str, typer.Argument(help="What this home calls the credential.")]


def login(
    context: typer.Context,
    label: Label,
    url: Annotated[str, typer.Option(help="The authentication server's address. Without: the last one.")] = "",
    server: Annotated[str, typer.Option(help="Its identity, 64 hex digits. Without: the last one.")] = "",
    ca: Annotated[Path | None, typer.Option(help="Who may certify the server: a PEM file.")] = None,
    mode: Annotated[Mode, typer.Option(help="full also proves the server and makes a session key.")] = Mode.FULL,
    mpin_file: PinFile = None,
    mpin_fd: PinFd = None,
    ticket_out: Annotated[
        Path | None, typer.Option(help="Write the one-time ticket for a service here, in hex, mode 0600.")
    ] = None,
    key_out: Annotated[Path | None, typer.Option(help="Write the session key here, in hex, mode 0600.")] = None,
) -> None:
    """Log in. What a service gets is the ticket, which it redeems at the authentication server within a minute."""
    session = session_of(context)
    if key_out is not None and mode is not Mode.FULL:
        raise UsageError("only --mode full makes a session key")
    with _store(session, label) as store:
        credential = store.load(label)
        where = credential.at(
            ids.resolve(server, "server") if server else credential.server, url or credential.url
        )  # fmt: skip
        if not where.server or not where.url:
            raise UsageError("at which server?", hint="give --url and --server once: they are kept with the credential")
        permit = _permit(session, where)
        pin = read_mpin(mpin_file, mpin_fd)
        with session.working("logging in"), MfaClient(where.url, ca) as client:
            done = client.login(where, where.server, pin, mode, permit)
        if where != credential and mode is Mode.FULL:
            store.replace(label, where)  # only a server that proved itself is kept
    for path, secret in ((ticket_out, done.ticket), (key_out, done.session_key)):
        if path is not None and secret is not None:
            write_file(path, (secret.reveal().hex() + "\n").encode())
    _show(session, where, done)


def _permit(session: Session, credential: Credential) -> Permit | None:
    """Today's permit where the realm wants one: from the ledger by proof, never from the server that asks for it."""
    if not credential.permits_required:
        return None
    with session.working("reading today's permit"), session.ledger() as ledger:
        return take(ledger, credential, points.day_of(int(time.time())))


def _show(session: Session, credential: Credential, done: LoggedIn) -> None:
    data = {
        "name": credential.name, "client": done.client.hex(), "realm": credential.realm.hex(),
        "server": done.server.hex(), "mode": done.mode.value, "day": done.day, "url": credential.url,
    }  # fmt: skip
    proved = "it proved that it is this server" if done.mode is Mode.FULL else "it was not proved to be this server"
    lines = [
        f"logged in  {credential.name}", f"mode       {done.mode.value}",
        f"server     {done.server.hex()} ({proved})",
    ]  # fmt: skip
    session.show(data, lines)


def credentials(context: typer.Context) -> None:
    """List the credentials of this home. What is in them stays in them."""
    session = session_of(context)
    store = CredentialStore(session.home.path)
    rows: list[dict[str, object]] = [
        {"label": label, "sealed": "yes" if store.is_sealed(label) else "no"} for label in store.labels()
    ]
    session.show({"credentials": rows}, table(rows) or ["no credentials"])


def change_pin(
    context: typer.Context,
    label: Label,
    mpin_file: PinFile = None,
    mpin_fd: PinFd = None,
    new_file: Annotated[Path | None, typer.Option("--new-mpin-file", help="The new PIN, as --mpin-file.")] = None,
    new_fd: Annotated[int | None, typer.Option("--new-mpin-fd", min=0, help="The new PIN, as --mpin-fd.")] = None,
    ca: Annotated[Path | None, typer.Option(help="With --check: who may certify the server, a PEM file.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Log in with the old PIN first, to be sure of it.")] = False,
) -> None:
    """Change the PIN, here alone: nobody is told.

    Without --check a wrong old PIN goes unnoticed, and no PIN opens the token any more.
    """
    session = session_of(context)
    with _store(session, label) as store:
        credential = store.load(label)
        if check and not credential.url:
            raise UsageError("this credential has logged in nowhere yet: --check can't", hint="run `dta mfa login`")
        permit = _permit(session, credential) if check else None
        old = read_mpin(mpin_file, mpin_fd, "Present M-Pin PIN: ")
        new = new_mpin(new_file, new_fd)
        if check:
            with session.working("checking the present PIN"), MfaClient(credential.url, ca) as client:
                client.login(credential, credential.server, old, Mode.FULL, permit)
        a = credential.parties(credential.server or bytes(32)).a
        store.replace(label, credential.with_token(changed(credential.token, a, old, new)))
    session.show({"label": label, "checked": check}, [f"the PIN of {label} is changed"])
    if not check:
        session.talk("If the old PIN was wrong, no PIN opens it now: log in to see.")


@contextmanager
def _store(session: Session, label: str) -> Iterator[CredentialStore]:
    """The home's credentials; a sealed one opens with the keystore of the identity to act as."""
    plain = CredentialStore(session.home.path)
    if not plain.is_sealed(label):
        yield plain
        return
    with session.keyring() as ring:
        yield CredentialStore(session.home.path, Sealer(ring.keystore(session.profile().root)))
