"""What a client stands on once it is opened: the ledger, who acts, whom names mean; by a home, or by keys in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from dta.base.errors import UsageError
from dta.base.home import Home, default_home, read_file
from dta.client.acting import party_of, profile_of
from dta.client.custody.blocks import Blocks, http_by
from dta.client.custody.session import Party, Progress, Session
from dta.client.genesis import trusting
from dta.client.identity.keyring import Keyring
from dta.client.ledger.flow import Sleep, sleep
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.rpc import Rpc, door_rpc, nodes_of
from dta.client.names import NameBook
from dta.hsm.errors import told_as_ours
from dta.http.tls import vouched_by
from dta.light.trust import TrustFile
from dta.sdk.faces import Stopped
from dta.sdk.keys import Keys, Pins, party_of_keys, prompts_of

T = TypeVar("T")


class Opened:
    """One client at work. ``home`` None: its keys are in memory. ``begins``: the trust file that receipts begin at.

    For one action at a time, whichever thread asks for it.
    """

    def __init__(self, session: Session, names: NameBook, home: Home | None = None) -> None:
        self.session = session
        self.names = names
        self.home = home
        self.stop = threading.Event()
        self.closing = ExitStack()
        self._turn = threading.Lock()
        self._kept_height = session.ledger.trust.file.height

    @property
    def ledger(self) -> Ledger:
        """The ledger, every read of which is proved."""
        return self.session.ledger

    @property
    def begins(self) -> TrustFile:
        """Where receipts begin: at genesis, where it is known, so that they serve everybody."""
        if self.home is not None and self.home.genesis_file.exists():
            return trusting.trust_of(read_file(self.home.genesis_file, "the genesis file"))
        return self.ledger.trust.file

    @property
    def seen_height(self) -> int:
        """The newest height whose state was proved to this client: a later read is of no earlier one."""
        return max(self.ledger.trust.newest.height - 1, 0)

    def perform(self, work: Callable[[], T]) -> T:
        """Runs ``work``; keystores' and the machine's failures become errors of ours (:mod:`dta.base.errors`)."""
        with self._turn:
            try:
                with told_as_ours():
                    return work()
            finally:
                self._keep_trust()

    def pause(self, seconds: float) -> None:
        """Waits, so that others have their turn."""
        self.ledger.rpc.run(sleep(seconds))

    def _keep_trust(self) -> None:
        """What was verified moves the home's trust file on; one that can't be written makes the next start slower."""
        newest = self.ledger.trust.newest
        if self.home is None or newest.header is None or newest.height <= self._kept_height:
            return
        self._kept_height = newest.height
        try:
            self.ledger.trust.file.moved(newest).save(self.home.trust_file)
        except UsageError:
            return

    def close(self) -> None:
        """Lets connections and keystores go."""
        with self._turn:
            self.closing.close()


class StoppableRpc(Rpc):
    """Asks a node, or waits, unless whoever waits for that has gone."""

    opened: Opened | None = None

    def _perform(self, effect: Any) -> Any:
        stop = None if self.opened is None else self.opened.stop
        if stop is None:
            return super()._perform(effect)
        if stop.is_set() or (isinstance(effect, Sleep) and stop.wait(effect.seconds)):
            raise Stopped
        return None if isinstance(effect, Sleep) else super()._perform(effect)


@dataclass(frozen=True, slots=True)
class Place:
    """From where a client is opened: ``home``, or ``trust`` and ``nodes`` with ``keys`` (without: it only reads).

    ``nodes``: fiduciaries' doors, base URLs; ``ca``: a file in PEM with the authorities that vouch for them, where the
    machine's own do not.

    ``pins``: PINs and passphrases of the home's keystores, by what is to be opened; where none is given, the files
    that the profile names. ``directory``: where keys in memory keep what they asked for, sealed under the root; None:
    a directory that goes with the client.
    """

    home: Path | str | None = None
    identity: str = ""
    pins: Pins | None = None
    keys: Keys | None = None
    trust: TrustFile | bytes | None = None
    nodes: Sequence[str] = ()
    ca: Path | str | None = None
    directory: Path | str | None = None
    contacts: Mapping[str, str] = field(default_factory=dict)

    def open(self, progress: Progress) -> Opened:
        """Nothing is asked of a node yet. Raises UsageError, NotFound."""
        if self.trust is None:
            if self.keys is not None or self.nodes or self.ca is not None:
                raise UsageError("keys in memory need a trust file or a genesis", hint="give trust and nodes")
            return self._open_home(Home(Path(self.home) if self.home is not None else default_home()), progress)
        if self.home is not None or self.identity or self.pins is not None:
            raise UsageError("a client is opened from a home, or from keys and a trust file", hint="give one of both")
        return self._open_memory(progress)

    def _open_home(self, home: Home, progress: Progress) -> Opened:
        if not home.client_file.exists():
            raise UsageError(f"{home.path} is on no ledger yet", hint="run `dta init client`, or give another home")
        client = home.load_client()
        trust = TrustFile.load(home.trust_file)
        if trust.gid != client.gid:
            raise UsageError(f"{home.trust_file} is of another ledger than {home.client_file}")
        profile = profile_of(home, self.identity)
        with ExitStack() as closing:
            party = _NOBODY
            if profile is not None:
                party = party_of(closing.enter_context(Keyring(prompt_for=prompts_of(self.pins))), profile)
            opened = self._connected(closing, trust, nodes_of(client), client.ca_file, party, home.path, progress)
            opened.names, opened.home = NameBook.of_home(home), home
            opened.closing = closing.pop_all()
        return opened

    def _open_memory(self, progress: Progress) -> Opened:
        assert self.trust is not None
        trust = trusting.trust_of(self.trust) if isinstance(self.trust, bytes) else self.trust
        if not self.nodes:
            raise UsageError("which node should be asked?", hint="give nodes, such as https://alpha.example:8443")
        with ExitStack() as closing:
            if self.directory is None:
                directory = Path(closing.enter_context(TemporaryDirectory(prefix="dta-client-")))
            else:
                directory = Path(self.directory)
            party = _NOBODY if self.keys is None else party_of_keys(self.keys)
            doors = [door_rpc(url) for url in self.nodes]
            ca = None if self.ca is None else Path(self.ca)
            opened = self._connected(closing, trust, doors, ca, party, directory, progress)
            if isinstance(self.trust, bytes) and trusting.is_genesis(self.trust):
                opened.names = NameBook.of_genesis(self.trust)
            opened.closing = closing.pop_all()
        for name, text in self.contacts.items():
            opened.names.ids[name] = opened.names.resolve(text)
        return opened

    def _connected(
        self, closing: ExitStack, trust: TrustFile, urls: Sequence[str], ca_file: Path | None, party: Party,
        directory: Path, progress: Progress,
    ) -> Opened:  # fmt: skip
        verify = vouched_by(ca_file)
        rpc = StoppableRpc(urls[0], others=urls[1:], verify=verify)
        closing.enter_context(rpc)
        ledger = Ledger(rpc, trust)
        blocks = Blocks(directory / "envelopes", trust.gid, http_by(verify))
        session = Session(ledger, party, blocks, directory, progress)
        opened = rpc.opened = Opened(session, NameBook())
        return opened


class _Reader:
    """Nobody: reads need no identity."""

    @property
    def identity(self) -> bytes:
        raise UsageError("this client has no identity to act as", hint="open it with one: identity, or keys")

    def sign(self, message: bytes) -> bytes:
        del message
        raise UsageError("this client has no identity to act as", hint="open it with one: identity, or keys")


_NOBODY = Party(_Reader())
