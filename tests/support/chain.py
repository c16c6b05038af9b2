"""A chain in one process: the real transition functions over a view in memory, block by block."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from itertools import count

from google.protobuf import json_format
from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import transition
from abci_app.block import Block, BlockResult, Genesis, Misbehaviour, Time, TxResult, ValidatorUpdate
from abci_app.genesis import genesis_id
from abci_app.mempool import Mempool
from abci_app.params import default_params
from abci_app.pb.dta.v1 import params_pb2
from abci_app.state.memory_view import MemoryView
from tests.support.actors import Actor, body_bytes, seeded, signed_tx

CHAIN_ID = "dta-test"
GENESIS_TIME_S = 1_700_000_000


def make_genesis(
    founders: Sequence[Actor], params: params_pb2.Params | None = None, chain_id: str = CHAIN_ID
) -> tuple[Genesis, bytes]:
    """A genesis with these founders (their documents get their proofs here) and its gid."""
    state = params_pb2.GenesisState(params=params or default_params())
    validators = []
    for founder in founders:
        validator_key = bytes(SigningKey(seeded("validator", founder.name)).verify_key)
        validators.append(ValidatorUpdate(validator_key, 10))
        draft = founder.sealed_document(bytes(32), founder.document(None))
        state.fiduciaries.add(document=draft, validator_key=validator_key, power=10)

    def build() -> Genesis:
        text = json.dumps(json_format.MessageToDict(state))
        return Genesis(chain_id, Time(GENESIS_TIME_S), 1, tuple(validators), text.encode())

    gid = genesis_id(build(), state)
    for founder, entry in zip(founders, state.fiduciaries, strict=True):
        document = founder.document(None)
        entry.document = founder.sealed_document(gid, document)
        founder.block = entry.document
        founder.identity = _identity_of(founder)
    return build(), gid


def _identity_of(founder: Actor) -> bytes:
    from abci_app.crypto import statements

    return statements.identity_id(founder.document(None))


class Chain:
    """One replica and the means to feed it. ``run`` puts transactions in the next block and returns their results."""

    def __init__(self, fiduciaries: int = 4, params: params_pb2.Params | None = None, seed: int = 0) -> None:
        self.founders = [Actor(f"fiduciary-{n}", fiduciary=True, seed=seed) for n in range(fiduciaries)]
        self.genesis, self.gid = make_genesis(self.founders, params)
        self.view = MemoryView()
        self.view.apply(transition.init_chain(self.genesis))
        self.height = 0
        self.time_s = GENESIS_TIME_S
        self.mempool = Mempool()
        self.blocks: list[Block] = []
        self._salts = count()

    def tx(
        self, signer: Actor, message: Message, *, key: SigningKey | None = None, expires_in: int = 50
    ) -> bytes:
        """A transaction of ``signer``, by its transaction key unless another is given."""
        salt = sha256(str(next(self._salts)).encode()).digest()[:16]
        body = body_bytes(CHAIN_ID, message, self.height + expires_in, salt)
        return signed_tx(self.gid, signer.identity, key or signer.tx_key, body)

    def check(self, tx: bytes, *, recheck: bool = False) -> TxResult:
        self.mempool.height, self.mempool.time = self.height, Time(self.time_s)
        return transition.check_tx(self.view, tx, self.mempool, recheck=recheck)

    def block(
        self, *txs: bytes, seconds: int = 1, misbehaviour: tuple[Misbehaviour, ...] = ()
    ) -> BlockResult:
        """Decide and commit the next block."""
        self.height += 1
        self.time_s += seconds
        block = Block(self.height, Time(self.time_s), tuple(txs), misbehaviour=misbehaviour)
        result = transition.apply_block(self.view, block)
        self.view.apply(result.changes)
        self.blocks.append(block)
        self.mempool.begin_recheck(self.height, block.time)
        return result

    def run(self, signer: Actor, message: Message, *, key: SigningKey | None = None, seconds: int = 1) -> TxResult:
        """One transaction in a block of its own."""
        return self.block(self.tx(signer, message, key=key), seconds=seconds).tx_results[0]

    def result(self, fiduciary: Actor, message: Message) -> TxResult:
        """A hook's result, signed by the node key."""
        return self.run(fiduciary, message, key=fiduciary.node_key)

    def register(self, *actors: Actor) -> None:
        """Register actors, sponsored by the first founder."""
        from abci_app.pb.dta.v1 import tx_pb2

        for actor in actors:
            message = tx_pb2.RegisterIdentity(envelope=actor.enrol(self.gid))
            result = self.run(self.founders[0], message)
            assert result.code == 0, result


def as_base64(value: bytes) -> str:
    return b64encode(value).decode()
