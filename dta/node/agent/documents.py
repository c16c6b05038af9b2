"""Identity documents that no gateway has: they are on the chain, in genesis or in the transaction that brought them.

Registration carries the block itself, so nobody need have uploaded it. Blocks are checked by their hash like any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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


def genesis_documents(path: Path) -> dict[str, bytes]:
    """The founders' documents out of CometBFT's ``genesis.json``, by CID; none where it can't be read."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_GENESIS_BYTES))
        state = json_format.ParseDict(value["app_state"], params_pb2.GenesisState())
    except (OSError, ValueError, KeyError, TypeError, RecursionError, json_format.ParseError):
        return {}
    return {cid_of(founder.document): founder.document for founder in state.fiduciaries}


def transactions_of(view: StateView, wanted: Iterable[str]) -> dict[str, bytes]:
    """CID -> hash of the transaction that brought the document, for those of ``wanted`` that one did."""
    missing = frozenset(wanted)
    found = {}
    for record in IDENTITIES.all(view) if missing else ():
        if record.document_cid not in missing:
            continue
        for sequence in range(record.history_count):
            entry = IDENTITY_HISTORY.find(view, record.id, sequence)
            if entry is not None and entry.document_cid == record.document_cid and entry.tx_hash:
                found[record.document_cid] = entry.tx_hash
                break
    return found


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
