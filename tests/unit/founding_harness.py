"""Founders with real keys in cheap software keystores, and a ledger in memory behind the client's interface."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf.message import Message

from abci_app import transition
from abci_app.block import Block, Time
from abci_app.codes import Code
from abci_app.state.memory_view import MemoryView
from abci_app.state.records import IDENTITIES
from dta.base.errors import RefusedByLedger
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.identity.create import KeystorePlan
from dta.client.identity.keyring import Keyring
from dta.client.identity.keys import place
from dta.client.ledger import leaves
from dta.client.ledger.leaves import Leaf
from dta.client.ledger.tx import Signer, build_tx
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.node.founding import draft as drafts
from dta.node.founding.draft import Draft, Founder, Signed
from dta.node.founding.fiduciary import NodePlan, init_fiduciary, sign_draft

TIME_S = 1_790_000_000
CHAIN_ID = "dta-founding-test"


def write_pin(directory: Path) -> Path:
    """A PIN file as keystores accept it."""
    path = directory / "pin"
    if not path.exists():
        path.write_text("a passphrase of the tests\n")
        path.chmod(0o600)
    return path


def software(home: Home, name: str) -> KeystoreConfig:
    """A software keystore of this home."""
    pin = write_pin(home.path.parent)
    return place("software", path=home.keystores_dir / name, module=None, token_label="", pin_file=pin)


def quiet() -> Keyring:
    """A keyring that says nothing."""
    return Keyring(notice=lambda _: None)


def make_founder(home: Home, number: int, *, power: int = 10, timeout_commit_ms: int = 1_000) -> Founder:
    """A founder's home."""
    plan = NodePlan(
        gateway_url=f"http://127.0.0.1:{8_000 + number}", gateway_bind=("127.0.0.1", 8_000 + number),
        p2p=f"node{number}.example:26656", p2p_bind="0.0.0.0:26656", power=power, timeout_commit_ms=timeout_commit_ms,
    )  # fmt: skip
    keystores = KeystorePlan(software(home, "operator"), software(home, "next"), software(home, "node"))
    name = f"fiduciary-{number}"
    with quiet() as ring:
        return init_fiduciary(home, ring, name, name, keystores, plan, scrypt_log2_n=MIN_LOG2_N)


def sign(home: Home, draft: Draft) -> Signed:
    with quiet() as ring:
        return sign_draft(home, ring, draft)


@dataclass
class Consortium:
    """Founders, their draft and what each signed."""

    homes: list[Home]
    cards: list[Founder]
    draft: Draft
    signed: list[Signed] = field(default_factory=list)

    def finish(self) -> GenesisFile:
        return drafts.finish(self.draft, self.signed)


def consortium(root: Path, founders: int, *settings: str) -> Consortium:
    """So many founders who agreed on a draft and signed it."""
    homes = [Home(root / f"node{number}") for number in range(founders)]
    cards = [make_founder(home, number) for number, home in enumerate(homes)]
    draft = drafts.make_draft(CHAIN_ID, TIME_S, drafts.params_with(settings), cards)
    return Consortium(homes, cards, draft, [sign(home, draft) for home in homes])


class LocalLedger:
    """The real state machine, with those methods of :class:`dta.client.ledger.ledger.Ledger` that are used.

    ``lose_answers``: so many sends are committed and then fail, as when a client is killed before it hears of it.
    """

    def __init__(self, genesis: GenesisFile) -> None:
        self.view = MemoryView()
        self.view.apply(transition.init_chain(genesis.genesis))
        self.trust = SimpleNamespace(gid=genesis.gid, chain_id=genesis.genesis.chain_id)
        self.height = 0
        self.lose_answers = 0
        self._salts = count()

    def find(self, leaf: Leaf[Any], at_least: int = 0) -> Any:
        return leaf.read(self.view.get(leaf.key))

    def identity(self, id_: bytes, at_least: int = 0) -> Any:
        leaf = leaves.of(IDENTITIES, id_)
        return leaf.found(self.find(leaf))

    def send(self, signer: Signer, message: Message) -> Any:
        salt = next(self._salts).to_bytes(16, "big")
        tx = build_tx(self.trust.chain_id, self.trust.gid, signer, message, self.height + 50, salt)
        self.height += 1
        result = transition.apply_block(self.view, Block(self.height, Time(TIME_S + self.height), (tx.tx,)))
        self.view.apply(result.changes)
        done = result.tx_results[0]
        if done.code != Code.OK:
            raise RefusedByLedger(done.code, Code(done.code).name, done.log, height=self.height)
        if self.lose_answers:
            self.lose_answers -= 1
            raise KeyboardInterrupt
        return SimpleNamespace(height=self.height, code=done.code, data=done.data)
