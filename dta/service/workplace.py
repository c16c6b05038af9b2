"""What the agent works with: one home, its keystores held open, and verified ledgers kept for the next call.

Agent and command line may use a home at once: every file of it is replaced as a whole, and the trust file only by one
that is further on.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from dta.base.errors import UsageError
from dta.base.home import Home, read_file
from dta.base.secret import SecretBytes
from dta.client.acting import party_of
from dta.client.custody.blocks import Blocks, HttpClient
from dta.client.custody.session import Session
from dta.client.genesis import trusting
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import Profile, load_profile
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.rpc import Rpc
from dta.client.names import NameBook
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.errors import KeystoreError
from dta.hsm.keystore import Keystore
from dta.light.trust import TrustFile
from dta.node.founding import publish

MAX_IDLE_LEDGERS: Final = 16
MAC_PURPOSE: Final = "serve-mac"


def mac_key(root: Keystore, gid: bytes, identity: bytes) -> SecretBytes:
    """The key (32 bytes) of what the agent keeps about calls for an identity, out of its root (docs/spec/rest.md)."""
    return derive(root, labels.root(), MAC_PURPOSE, gid + identity, 32)


class Workplace:
    """A home at work. Several threads may call; each call has a ledger of its own for as long as it takes.

    ``connect`` makes the RPC client of a new ledger; ``http`` what envelopes go through.
    """

    def __init__(
        self,
        home: Home,
        ring: Keyring,
        connect: Callable[[], Rpc],
        http: HttpClient,
    ) -> None:
        """Raises UsageError where the home is on no ledger."""
        self.home = home
        self.ring = ring
        self._connect = connect
        self._http = http
        self._lock = threading.Lock()
        self._idle: list[Ledger] = []
        self._trust = TrustFile.load(home.trust_file)
        self._macs: dict[bytes, SecretBytes] = {}
        if self._trust.gid != home.load_client().gid:
            raise UsageError(f"{home.trust_file} is of another ledger than {home.client_file}")

    @property
    def gid(self) -> bytes:
        """The ledger's genesis id, 32 bytes."""
        return self._trust.gid

    @property
    def chain_id(self) -> str:
        return self._trust.chain_id

    def from_genesis(self) -> TrustFile:
        """What a receipt begins at that is to serve everybody, whatever they trust later."""
        return trusting.trust_of(read_file(self.home.genesis_file, "the genesis"))

    def identities(self) -> Mapping[str, bytes]:
        """This home's identities: local name -> id."""
        return {name: load_profile(self.home, name).identity for name in self.home.profile_names()}

    def profile(self, name: str) -> Profile:
        """The identity called ``name``, as its file has it now. Raises NotFound."""
        return load_profile(self.home, name)

    def names(self) -> NameBook:
        """Whom this home knows."""
        return NameBook.of_home(self.home)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """A ledger that was verified as far as any here, for one thread. After an error it is not used again."""
        with self._lock:
            ledger = self._idle.pop() if self._idle else None
        if ledger is None:
            ledger = Ledger(self._connect(), self._trust)
        try:
            yield ledger
        except BaseException:
            ledger.rpc.close()
            raise
        self._remember(ledger)
        with self._lock:
            if len(self._idle) < MAX_IDLE_LEDGERS:
                self._idle.append(ledger)
                return
        ledger.rpc.close()

    def _remember(self, ledger: Ledger) -> None:
        newest = ledger.trust.newest
        with self._lock:
            if newest.header is not None and newest.height > self._trust.height:
                self._trust = self._trust.moved(newest)

    def keep_trust(self) -> None:
        """Writes the trust file, where what was verified here is further on than what it has."""
        trust = self._trust
        if trust.height > TrustFile.load(self.home.trust_file).height:
            trust.save(self.home.trust_file)

    @contextmanager
    def at_work(self, name: str, within_s: float = math.inf) -> Iterator[Session]:
        """What the client's flows take, for one identity of this home. A keystore that fails is opened anew.

        ``within_s``: nodes are asked for so long; what is asked later raises TimedOut.
        """
        profile = self.profile(name)
        with self.ledger() as ledger, ledger.rpc.within(within_s):
            blocks = Blocks(self.home.path / "envelopes", self.gid, self._http)
            try:
                yield Session(ledger, party_of(self.ring, profile), blocks, self.home.path)
            except KeystoreError:
                self.ring.close()
                raise

    def publish(self, block: bytes, gateways: Sequence[str]) -> None:
        """Puts an identity's document to gateways. The ledger carries it too: none that is down stops anything."""
        publish.upload(block, gateways, self.gid, None, self._http)

    def mac_key(self, name: str) -> SecretBytes:
        """The key of what is kept at rest about calls for an identity: of its keystore, so no file gives it away."""
        profile = self.profile(name)
        with self._lock:
            found = self._macs.get(profile.identity)
        if found is None:
            try:
                found = mac_key(self.ring.keystore(profile.root), self.gid, profile.identity)
            except KeystoreError:
                self.ring.close()
                raise
            with self._lock:
                self._macs[profile.identity] = found
        return found

    def close(self) -> None:
        """Keeps what was verified, and lets go of connections and keystores."""
        self.keep_trust()
        with self._lock:
            idle, self._idle = self._idle, []
        for ledger in idle:
            ledger.rpc.close()
        self.ring.close()
