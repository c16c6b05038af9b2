"""Identity documents that no gateway has: they are on the chain, in genesis or in the transaction that brought them.

Registration carries the block itself, so nobody need have uploaded it. Blocks are checked by their hash like any.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from abci_app.cid import cid_of
from abci_app.limits import MAX_GENESIS_BYTES
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from abci_app.state.records import IDENTITIES, IDENTITY_HISTORY
from abci_app.state.view import StateView
from dta.base.errors import RpcError
from dta.client.ledger import requests
from dta.client.ledger.rpc import AsyncRpc
from dta.node.agent.due import Reads


class DocumentsOnChain:
    """Finds one of them. ``identity_of`` says whose document a CID is, or None. Genesis is read once."""

    def __init__(
        self, state: Reads, rpc: AsyncRpc, genesis: Path, identity_of: Callable[[str], bytes | None]
    ) -> None:
        self._state = state
        self._rpc = rpc
        self._genesis = genesis
        self._identity_of = identity_of
        self._founders: dict[str, bytes] | None = None

    async def find(self, cid: str) -> bytes | None:
        """The document; None where it is none, or not on the chain. Raises StateUnavailable, Unreachable, BadAnswer."""
        identity = self._identity_of(cid)
        if identity is None:
            return None
        if self._founders is None:
            self._founders = await asyncio.to_thread(genesis_documents, self._genesis)
        if cid in self._founders:
            return self._founders[cid]
        tx_hash = await asyncio.to_thread(self._transaction_of, identity, cid)
        return None if tx_hash is None else await document_in(self._rpc, tx_hash, cid)

    def _transaction_of(self, identity: bytes, cid: str) -> bytes | None:
        with self._state.pin() as now:
            return transaction_of(now.view, identity, cid)


def genesis_documents(path: Path) -> dict[str, bytes]:
    """The founders' documents out of CometBFT's ``genesis.json``, by CID; none where it can't be read."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_GENESIS_BYTES))
        state = json_format.ParseDict(value["app_state"], params_pb2.GenesisState())
    except (OSError, ValueError, KeyError, TypeError, RecursionError, json_format.ParseError):
        return {}
    return {cid_of(founder.document): founder.document for founder in state.fiduciaries}


def transaction_of(view: StateView, identity: bytes, cid: str) -> bytes | None:
    """The hash of the transaction that brought ``identity`` this document; None where none did, or it has another."""
    record = IDENTITIES.find(view, identity)
    if record is None or record.document_cid != cid:
        return None
    for sequence in range(record.history_count):
        entry = IDENTITY_HISTORY.find(view, identity, sequence)
        if entry is not None and entry.document_cid == cid and entry.tx_hash:
            return entry.tx_hash
    return None


async def document_in(rpc: AsyncRpc, tx_hash: bytes, cid: str) -> bytes | None:
    """The document ``cid`` out of a transaction, as this node's index has it; None where it has not.

    Raises Unreachable, BadAnswer.
    """
    try:
        included = await rpc.call(requests.tx(tx_hash))
        body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(included.tx).body)
    except (RpcError, DecodeError):
        return None
    field = body.WhichOneof("message")
    if field not in ("register_identity", "rotate_identity"):
        return None
    block: bytes = getattr(body, field).envelope
    return block if cid_of(block) == cid else None
