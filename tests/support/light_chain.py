"""A chain made by hand, with real keys, headers, commits and proofs, and a node that serves it: honestly, or not."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx
from nacl.signing import SigningKey

from abci_app.block import Changes, Time, TxResult
from abci_app.pb.dta.abci.v1 import abci_pb2
from abci_app.pb.dta.v1 import params_pb2
from abci_app.server.query import answer_query
from abci_app.state.records import CHAIN
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.client.ledger.flow import Now, Sleep
from dta.client.ledger.rpc import Rpc
from dta.client.receipt.format import time_text
from dta.light import wire
from dta.light.hashes import ResultLeaf, commit_hash, data_hash, header_hash, results_hash, validators_hash
from dta.light.trust import TrustFile
from dta.light.types import (
    FLAG_ABSENT,
    FLAG_COMMIT,
    FLAG_NIL,
    BlockId,
    Commit,
    CommitSig,
    Header,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
    Version,
)

START_S = 1_800_000_000
CHAIN_ID = "test-chain"
GID = bytes(range(32))
NO_TIME = Time(-62135596800)
Members = tuple[tuple[SigningKey, int], ...]


def members(count: int, power: int = 10, first: int = 0) -> Members:
    return tuple((SigningKey(sha256(b"validator %d" % i).digest()), power) for i in range(first, first + count))


def set_of(group: Members) -> ValidatorSet:
    return ValidatorSet.ordered(tuple(Validator(bytes(key.verify_key), power) for key, power in group))


def sign_commit(
    header: Header,
    group: Members,
    *,
    absent: Iterable[SigningKey] = (),
    nil: Iterable[SigningKey] = (),
    times: Mapping[bytes, Time] = {},
    round_: int = 0,
) -> Commit:
    """Everybody in ``group`` signs, but for those absent, and those that vote nil. ``times``: by public key."""
    block = BlockId(header_hash(header), PartSetHeader(1, sha256(b"parts").digest()))
    by_key = {bytes(key.verify_key): key for key, _ in group}
    absent_keys, nil_keys = {bytes(k) for k in absent}, {bytes(k) for k in nil}
    signatures = []
    for index, validator in enumerate(set_of(group).validators):
        key = by_key[validator.public_key]
        if bytes(key) in absent_keys:
            signatures.append(CommitSig(FLAG_ABSENT, b"", NO_TIME, b""))
            continue
        flag = FLAG_NIL if bytes(key) in nil_keys else FLAG_COMMIT
        time = times.get(validator.public_key, Time(header.time.seconds + 1, index))
        message = wire.precommit_sign_bytes(
            header.chain_id, header.height, round_, block if flag == FLAG_COMMIT else None, time
        )
        signatures.append(CommitSig(flag, validator.address, time, key.sign(message).signature))
    return Commit(header.height, round_, block, tuple(signatures))


class Chain:
    """Blocks of a real state tree, signed by ``group``."""

    def __init__(self, group: Members, chain_id: str = CHAIN_ID, gid: bytes = GID) -> None:
        self.chain_id = chain_id
        self.group = self.next_group = group
        self.genesis_validators = set_of(group)
        self.state = StateDB(MemoryStore())
        self.blocks: dict[int, LightBlock] = {}
        self.txs: dict[int, tuple[bytes, ...]] = {}
        self.results: dict[int, tuple[TxResult, ...]] = {}
        record = params_pb2.ChainRecord(chain_id=chain_id, gid=gid, genesis_time_s=START_S, initial_height=1)
        self._genesis = ((CHAIN.key(), record.SerializeToString(deterministic=True)),)

    @property
    def height(self) -> int:
        return len(self.blocks)

    def trust_file(self, gid: bytes = GID) -> TrustFile:
        return TrustFile(self.chain_id, gid, b"", 0, b"", self.genesis_validators, START_S)

    def add(
        self,
        leaves: Sequence[tuple[bytes, bytes]] = (),
        txs: Sequence[bytes] = (),
        results: Sequence[TxResult] = (),
        *,
        absent: Iterable[SigningKey] = (),
        next_group: Members | None = None,
        commit: Callable[[Header, Members], Commit] | None = None,
    ) -> LightBlock:
        """One more block, 5 seconds after the one before; ``next_group`` signs from the next one on.

        ``commit``: how it is signed, where not all sign for it as they should.
        """
        height = self.height + 1
        last = self.blocks.get(height - 1)
        group, following = self.next_group, next_group or self.next_group
        header = Header(
            version=Version(11, 1),
            chain_id=self.chain_id,
            height=height,
            time=Time(START_S + 5 * height, 123_000_000 + height),
            last_block_id=last.signed.commit.block_id if last else BlockId(),
            last_commit_hash=commit_hash(last.signed.commit) if last else sha256(b"").digest(),
            data_hash=data_hash(txs),
            validators_hash=validators_hash(set_of(group)),
            next_validators_hash=validators_hash(set_of(following)),
            consensus_hash=sha256(b"consensus").digest(),
            app_hash=self.state.app_hash,
            last_results_hash=results_hash(
                [ResultLeaf(r.code, r.data, r.gas_wanted, r.gas_used) for r in self.results.get(height - 1, ())]
            ),
            evidence_hash=sha256(b"").digest(),
            proposer_address=set_of(group).validators[0].address,
        )
        signed = commit(header, group) if commit else sign_commit(header, group, absent=absent)
        block = LightBlock(SignedHeader(header, signed), set_of(group))
        written = sorted([*(self._genesis if height == 1 else ()), *leaves])
        self.state.commit(self.state.stage(height, Changes(leaves=tuple(written))))
        self.blocks[height], self.txs[height] = block, tuple(txs)
        self.results[height] = tuple(results) or tuple(TxResult(0) for _ in txs)
        self.group, self.next_group = group, following
        return block


def b64(value: bytes) -> str:
    return b64encode(value).decode()


def hexed(value: bytes) -> str:
    return value.hex().upper()


def time_json(time: Time) -> str:
    """As Go writes it: no zeros at the end of a fraction."""
    text = time_text(time).removesuffix("Z").rstrip("0")
    return text.removesuffix(".") + "Z"


def block_id_json(value: BlockId) -> dict[str, Any]:
    return {"hash": hexed(value.hash), "parts": {"total": value.parts.total, "hash": hexed(value.parts.hash)}}


def header_json(value: Header) -> dict[str, Any]:
    plain = (
        "last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash",
        "last_results_hash", "evidence_hash", "proposer_address",
    )  # fmt: skip
    return {
        "version": {"block": str(value.version.block), "app": str(value.version.app)},
        "chain_id": value.chain_id,
        "height": str(value.height),
        "time": time_json(value.time),
        "last_block_id": block_id_json(value.last_block_id),
        **{name: hexed(getattr(value, name)) for name in plain},
    }


def commit_json(value: Commit) -> dict[str, Any]:
    return {
        "height": str(value.height),
        "round": value.round,
        "block_id": block_id_json(value.block_id),
        "signatures": [
            {
                "block_id_flag": s.flag,
                "validator_address": hexed(s.validator_address),
                "timestamp": time_json(s.time),
                "signature": b64(s.signature) if s.signature else None,
            }
            for s in value.signatures
        ],
    }


def validator_json(value: Validator) -> dict[str, Any]:
    key = {"type": "tendermint/PubKeyEd25519", "value": b64(value.public_key)}
    return {"address": hexed(value.address), "pub_key": key, "voting_power": str(value.power)}


def result_json(value: TxResult) -> dict[str, Any]:
    return {
        "code": value.code, "data": b64(value.data) if value.data else None, "log": value.log,
        "info": value.reason,
        "gas_wanted": str(value.gas_wanted), "gas_used": str(value.gas_used), "events": [], "codespace": "",
    }  # fmt: skip


class RpcFailure(Exception):
    """What the node answers as a JSON-RPC error."""


Lie = Callable[[dict[str, Any], Any], Any]


@dataclass
class Node:
    """Answers CometBFT's RPC from a chain. ``lies[method](params, honest answer)`` gives what it says instead."""

    chain: Chain
    indexing: bool = True
    lies: dict[str, Lie] = field(default_factory=dict)
    check_tx: Callable[[bytes], dict[str, Any]] = lambda tx: {"code": 0}
    calls: list[str] = field(default_factory=list)
    earliest: int = 1

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return self._search(dict(request.url.params))
        asked = json.loads(request.content)
        method, params = asked["method"], asked["params"]
        self.calls.append(method)
        try:
            result = getattr(self, "do_" + method)(params)
            if method in self.lies:
                result = self.lies[method](params, result)
        except RpcFailure as failure:
            error = {"code": -32603, "message": "Internal error", "data": str(failure)}
            return httpx.Response(500, json={"jsonrpc": "2.0", "id": asked["id"], "error": error})
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], "result": result})

    def _search(self, params: dict[str, str]) -> httpx.Response:
        """As a door answers /v1/search, all on one page."""
        self.calls.append("search")
        found = self.search(params)
        if "search" in self.lies:
            found = self.lies["search"](params, found)
        return httpx.Response(200, json=found)

    def search(self, params: dict[str, str]) -> Any:
        return {"events": [], "next": None, "from_height": 1, "height": self.chain.height}

    def _height(self, params: dict[str, Any]) -> int:
        height = int(params["height"])
        if not 1 <= height <= self.chain.height:
            raise RpcFailure(f"height {height} must be less than or equal to the current blockchain height")
        return height

    def do_status(self, params: dict[str, Any]) -> Any:
        height = self.chain.height
        time = self.chain.blocks[height].header.time if height else NO_TIME
        return {
            "node_info": {"network": self.chain.chain_id, "id": "ab" * 20, "moniker": "node", "version": "0.39.4"},
            "sync_info": {
                "latest_block_height": str(height), "latest_block_time": time_json(time), "latest_block_hash": "",
                "earliest_block_height": str(self.earliest), "catching_up": False,
            },
            "validator_info": {"address": "AB" * 20},
        }  # fmt: skip

    def do_commit(self, params: dict[str, Any]) -> Any:
        signed = self.chain.blocks[self._height(params)].signed
        return {
            "signed_header": {"header": header_json(signed.header), "commit": commit_json(signed.commit)},
            "canonical": True,
        }

    def do_validators(self, params: dict[str, Any]) -> Any:
        found = self.chain.blocks[self._height(params)].validators.validators
        start = (int(params["page"]) - 1) * int(params["per_page"])
        page = found[start : start + int(params["per_page"])]
        return {
            "block_height": params["height"], "total": str(len(found)), "count": str(len(page)),
            "validators": [validator_json(v) for v in page],
        }  # fmt: skip

    def do_abci_query(self, params: dict[str, Any]) -> Any:
        request = abci_pb2.QueryRequest(
            path=params["path"].encode(), data=bytes.fromhex(params["data"]), height=int(params["height"]),
            prove=params["prove"],
        )  # fmt: skip
        answer = answer_query(self.chain.state, request)
        ops = [{"type": op.type, "key": b64(op.key), "data": b64(op.data)} for op in answer.proof_ops.ops]
        return {
            "response": {
                "code": answer.code, "log": answer.log, "info": answer.info, "index": "0",
                "key": b64(answer.key) or None, "value": b64(answer.value) or None, "height": str(answer.height),
                "proofOps": {"ops": ops} if ops else None, "codespace": "",
            }
        }  # fmt: skip

    def do_block(self, params: dict[str, Any]) -> Any:
        height = self._height(params)
        block = self.chain.blocks[height]
        return {
            "block_id": block_id_json(block.signed.commit.block_id),
            "block": {"header": header_json(block.header), "data": {"txs": [b64(t) for t in self.chain.txs[height]]}},
        }

    def do_block_results(self, params: dict[str, Any]) -> Any:
        height = self._height(params)
        results = [result_json(r) for r in self.chain.results[height]]
        return {"height": str(height), "txs_results": results or None, "finalize_block_events": None}

    def do_tx(self, params: dict[str, Any]) -> Any:
        wanted = b64decode(params["hash"])
        for height, txs in self.chain.txs.items():
            for index, tx in enumerate(txs):
                if self.indexing and sha256(tx).digest() == wanted:
                    result = result_json(self.chain.results[height][index])
                    return {
                        "hash": hexed(wanted), "height": str(height), "index": index, "tx": b64(tx),
                        "tx_result": result,
                    }  # fmt: skip
        raise RpcFailure(f"tx ({hexed(wanted)}) not found")

    def do_broadcast_tx_sync(self, params: dict[str, Any]) -> Any:
        tx = b64decode(params["tx"])
        return {"data": "", "log": "", "codespace": "", "hash": hexed(sha256(tx).digest()), **self.check_tx(tx)}


class ClockedRpc(Rpc):
    """Talks to a test's node. Its clock stands at the newest block and moves by sleeping only."""

    def __init__(self, node: Node, on_sleep: Callable[[], None] | None = None) -> None:
        super().__init__("http://node.test:26657/rpc", transport=httpx.MockTransport(node.handle))
        self.node = node
        self.slept_s = 0.0
        self.offset_s = 0.0
        self._on_sleep = on_sleep

    def _perform(self, effect: Any) -> Any:
        if isinstance(effect, Sleep):
            self.slept_s += effect.seconds
            if self._on_sleep is not None:
                self._on_sleep()
            return None
        if isinstance(effect, Now):
            return START_S + 5 * self.node.chain.height + self.offset_s if effect.wall else self.slept_s
        return super()._perform(effect)
