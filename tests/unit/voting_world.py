"""The ledger of tests/support/order_flow.py, whose validators change as the fiduciaries decide, two heights later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from abci_app.block import BlockResult, ValidatorUpdate
from abci_app.params import default_params
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from dta.client.ledger.ledger import Ledger
from tests.support import governance
from tests.support.actors import Actor, seeded
from tests.support.light_chain import ClockedRpc, Members
from tests.support.order_flow import ActorSigner, LiveChain, LiveNode, World


class VotingChain(LiveChain):
    """What block h answers to CometBFT is announced by header h + 1, and signs from h + 2 on."""

    def __init__(self, fiduciaries: int, params: params_pb2.Params) -> None:
        super().__init__(fiduciaries, params)
        self.signing_keys = {bytes(key.verify_key): key for key, _ in self.group}
        self._answered: tuple[ValidatorUpdate, ...] = ()
        self._announced: Members | None = None
        execute = self.replica.block

        def watched(*txs: bytes, **more: Any) -> BlockResult:
            result = execute(*txs, **more)
            self._answered = result.validator_updates
            return result

        self.replica.block = watched  # type: ignore[method-assign]

    def know(self, key: SigningKey) -> None:
        """Somebody signs with this key, should it become a validator's."""
        self.signing_keys[bytes(key.verify_key)] = key

    def add(self, *arguments: Any, **more: Any) -> Any:
        announced, self._announced = self._announced, None
        block = super().add(*arguments, **more, next_group=announced)
        if self._answered:
            powers = {bytes(key.verify_key): power for key, power in self.next_group}
            powers |= {update.public_key: update.power for update in self._answered}
            self._announced = tuple((self.signing_keys[key], power) for key, power in powers.items() if power)
        return block


class VotingWorld(World):
    """Four fiduciaries that vote, and alice, bob and carol. ``chain`` is a VotingChain."""

    chain: VotingChain

    @property
    def fiduciaries(self) -> list[Actor]:
        return self.chain.replica.founders

    def ledger(self, at_height: int | None = None) -> Ledger:
        """A client's; with ``at_height``, one whose trust file stands at that header, else at genesis."""
        chain = self.chain
        rpc = ClockedRpc(self.node, on_sleep=lambda: chain.make_block() and None)
        ledger = Ledger(rpc, chain.trust_file(chain.replica.gid))
        if at_height is not None:
            state = rpc.run(ledger.trust.state_at(at_height))
            ledger = Ledger(rpc, ledger.trust.file.moved(state))
        return ledger

    def signer(self, number: int) -> ActorSigner:
        """The operator of a founder."""
        return ActorSigner(self.fiduciaries[number])

    def decide(self, action: pb.Action, *voters: Actor, tag: object = 0) -> bytes:
        """Have it proposed and voted for by these (three founders by default); the proposal's id."""
        first, *others = voters or self.fiduciaries[:3]
        result = self.chain.run(first, pb.Propose(nonce=seeded("proposal", tag), action=action))
        assert result.code == 0, result
        digest = governance.record(self.chain.replica, result.data).content_digest
        for other in others:
            voted = self.chain.run(other, pb.Vote(proposal=result.data, content_digest=digest))
            assert voted.code == 0, voted
        return result.data

    def register(self, actor: Actor, sponsor: Actor | None = None) -> Actor:
        """Registered, sponsored by a fiduciary."""
        message = tx_pb2.RegisterIdentity(envelope=actor.enrol(self.chain.replica.gid))
        assert self.chain.run(sponsor or self.fiduciaries[0], message).code == 0
        return actor

    def admit(self, name: str, power: int = 10, *voters: Actor) -> Actor:
        """A new fiduciary, whose validator signs."""
        made = self.register(Actor(name, fiduciary=True), *voters[:1])
        self.chain.know(governance.validator_key(name))
        self.decide(governance.admit(self.chain.replica, made, name, power), *voters, tag=("admit", name))
        return made


def make_voting_world(directory: Path, window_blocks: int = 6) -> VotingWorld:
    """A chain of a few blocks on which alice, bob and carol are registered."""
    params = default_params()
    params.validator_change_window_blocks = window_blocks
    chain = VotingChain(4, params)
    world = VotingWorld(chain, LiveNode(chain), directory)
    chain.make_block()
    for actor in (world.alice, world.bob, world.carol):
        world.register(actor)
    chain.make_block()
    return world
