"""What every command works with: the home, the ledger, the keys, and how it speaks to a person or a program.

Data goes to stdout, talk to stderr. With ``--json`` stdout carries exactly one JSON value, an error too.

Every command makes one of these, `--help` too, and few need all that it gives: each method imports what it stands on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getpass
from typing import TYPE_CHECKING

import typer

from dta.base.errors import DtaError, JsonValue, Unreachable, UsageError
from dta.base.home import ClientConfig, Home
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm.errors import PinFileMissing, PinUnusable
from dta.hsm.pin import Prompt, read_pin

if TYPE_CHECKING:
    import ssl

    from dta.client.custody.blocks import Blocks, HttpClient
    from dta.client.identity.keyring import Keyring
    from dta.client.identity.profile import Profile
    from dta.client.ledger.ledger import Ledger
    from dta.client.ledger.rpc import Rpc
    from dta.light.trust import TrustFile


def on_terminal(text: str) -> str:
    """``text`` with escapes for what moves a terminal's cursor, colours it or turns the direction of writing.

    Part of it may be a node's own words, or a stranger's. Line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


@dataclass
class Session:
    """One run of ``dta``. ``identity``: the profile named by ``--identity``, else empty. ``pin_fd``: ``--pin-fd``."""

    home: Home
    as_json: bool = False
    identity: str = ""
    pin_fd: int | None = None
    _pins: dict[KeystoreConfig | None, SecretBytes] = field(default_factory=dict)

    # --- speaking -----------------------------------------------------------------------------------------------
    def show(self, data: Mapping[str, object], lines: Sequence[str] = ()) -> None:
        """The command's result: ``data`` as JSON, or ``lines`` for a person. Printed once, at the end."""
        text = json.dumps(data, indent=2, ensure_ascii=True) if self.as_json else on_terminal("\n".join(lines))
        if text:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def show_line(self, data: Mapping[str, object], lines: Sequence[str]) -> None:
        """One of many results of a command that goes on: ``data`` as one line of JSON, or ``lines`` for a person."""
        text = json.dumps(data, ensure_ascii=True) if self.as_json else on_terminal("\n".join(lines))
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def talk(self, line: str) -> None:
        """A line for a person, on stderr."""
        sys.stderr.write(on_terminal(line) + "\n")
        sys.stderr.flush()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Shows on a terminal that something takes time, and for how long it has."""
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        if not console.is_terminal or self.as_json:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(what, total=None)
            yield

    def confirm(self, question: str, yes: bool) -> None:
        """Returns when the person agrees. Raises UsageError when not, or when there is nobody to ask."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageError("this needs to be confirmed", hint="run it on a terminal, or give --yes")
        self.talk(question)
        if input("Type yes to go on: ").strip() != "yes":
            raise UsageError("not confirmed: nothing was done")

    def ask(self, question: str, yes: bool) -> None:
        """Asks a person at a terminal; a script has decided by what it runs. Raises UsageError for a no."""
        if sys.stdin.isatty():
            self.confirm(question, yes)

    # --- keys ---------------------------------------------------------------------------------------------------
    def keyring(self) -> Keyring:
        """A keyring that asks this person; use it as a context manager."""
        from dta.client.identity.keyring import Keyring

        return Keyring(prompt_for=self.prompt_for, notice=lambda text: self.talk(f"warning: {text}"))

    def prompt_for(self, config: KeystoreConfig) -> Prompt | None:
        """Where a PIN comes from when no file is configured: ``--pin-fd``, else the terminal."""
        if self.pin_fd is not None:
            return self._pin_from_descriptor
        if not sys.stdin.isatty():
            return None
        return lambda: self._pin_from_terminal(config)

    def _pin_from_descriptor(self) -> SecretBytes:
        # A descriptor can be read once only; several keystores may be opened with it.
        if None not in self._pins:
            self._pins[None] = read_pin(KeystoreConfig("", pin_fd=self.pin_fd))
        return self._pins[None]

    def _pin_from_terminal(self, config: KeystoreConfig) -> SecretBytes:
        if config not in self._pins:
            where = config.token_label or str(config.path or config.kind)
            is_new = config.kind == "software" and config.path is not None and not config.path.exists()
            entered = _ask(f"{'New passphrase' if is_new else 'PIN or passphrase'} for {where}: ")
            if is_new and entered != _ask("The same again: "):
                raise PinUnusable("the two are not the same")
            self._pins[config] = entered
        return self._pins[config]

    # --- who and where ------------------------------------------------------------------------------------------
    def client(self) -> ClientConfig:
        """``client.toml``. Raises UsageError where this home is on no ledger yet."""
        if not self.home.client_file.exists():
            raise UsageError(
                f"{self.home.path} is on no ledger yet", hint="run `dta init client`, or give --home or DTA_HOME"
            )
        return self.home.load_client()

    def profile_name(self) -> str:
        """The local name of the identity to act as. Raises UsageError when that is not clear."""
        if self.identity:
            return self.identity
        default = self.home.load_client().default_identity if self.home.client_file.exists() else ""
        names = self.home.profile_names()
        if default or len(names) == 1:
            return default or names[0]
        raise UsageError(
            "as which identity?" if names else f"there is no identity in {self.home.path}",
            hint=f"give --identity: {', '.join(names)}" if names else "run `dta identity create`",
        )

    def profile(self) -> Profile:
        """The identity to act as. Raises NotFound, UsageError."""
        from dta.client.identity.profile import load_profile

        return load_profile(self.home, self.profile_name())

    def trust(self) -> TrustFile:
        """``trust.json``. Raises UsageError; it must be of this home's ledger."""
        from dta.light.trust import TrustFile

        trust = TrustFile.load(self.home.trust_file)
        if trust.gid != self.client().gid:
            raise UsageError(
                f"{self.home.trust_file} is of another ledger than {self.home.client_file}",
                hint="run `dta init client` with the right genesis",
            )
        return trust

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, by the home's nodes, each asked when those before it do not answer.

        What was verified moves the trust file on.
        """
        from dta.client.ledger.ledger import Ledger

        trust = self.trust()
        with self._rpc() as rpc:
            ledger = Ledger(rpc, trust)
            yield ledger
            newest = ledger.trust.newest
            if newest.header is not None and newest.height > trust.height:
                self._keep_trust(trust.moved(newest))

    def _keep_trust(self, trust: TrustFile) -> None:
        """What was verified is true without being kept: a home that can't be written makes the next command slower."""
        try:
            trust.save(self.home.trust_file)
        except UsageError as error:
            self.talk(f"warning: what was verified is not kept for the next time: {error.message}")

    @contextmanager
    def _rpc(self) -> Iterator[Rpc]:
        from dta.client.ledger import requests
        from dta.client.ledger.rpc import Rpc, nodes_of

        config, verify = self.client(), self.verify()
        urls = nodes_of(config)
        trouble: list[DtaError] = []
        for place, url in enumerate(urls):
            # Each is asked for itself first, so that where none answers it is said of each why.
            with Rpc(url, verify=verify) as first:
                try:
                    first.call(requests.status())
                except DtaError as error:
                    trouble.append(error)
                    continue
            with Rpc(url, others=[*urls[place + 1 :], *urls[:place]], verify=verify) as rpc:
                yield rpc
                return
        if len(trouble) == 1:
            raise trouble[0]
        reasons: list[JsonValue] = [error.message for error in trouble]
        raise Unreachable(
            f"none of the {len(trouble)} nodes in {self.home.client_file} answers",
            hint="are they running? are the addresses right?",
            data={"reasons": reasons},
        )

    def verify(self) -> ssl.SSLContext | bool:
        """Who vouches for the certificates of doors and gateways. Raises UsageError."""
        from dta.http.tls import vouched_by

        return vouched_by(self.client().ca_file)

    def http(self) -> HttpClient:
        """What makes clients of the fiduciaries' gateways. Raises UsageError."""
        from dta.client.custody.blocks import http_by

        return http_by(self.verify())

    def blocks(self, gid: bytes) -> Blocks:
        """Blocks at the fiduciaries' gateways, and this home's copies."""
        from dta.client.custody.blocks import Blocks

        return Blocks(self.home.path / "envelopes", gid, self.http())


def _ask(question: str) -> SecretBytes:
    try:
        return SecretBytes(getpass(question, stream=sys.stderr).encode("utf-8"))
    except EOFError:
        raise PinFileMissing("nobody answered") from None


def session_of(context: typer.Context) -> Session:
    """The session that ``main`` made."""
    found = context.find_object(Session)
    if found is None:
        raise AssertionError("a command runs under main, which makes the session")
    return found
