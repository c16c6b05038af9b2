"""Where identity documents are kept: every fiduciary's gateway, before the transaction that names them is sent.

The ledger carries a document's envelope when it is registered, and keeps its CID; the gateways keep the block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import httpx

from abci_app.crypto import statements
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import IDENTITIES
from dta.blocks.auth import PutSigner
from dta.blocks.peers import Uploader, UploadResult
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.ledger import fiduciaries as fiduciaries_now
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger

_TIMEOUT_S = 30.0


def founding_ids(genesis: GenesisFile) -> list[bytes]:
    """The founders' identity ids, in the genesis' order."""
    return [statements.identity_id(read.document) for read in genesis.documents()]


def fiduciaries(ledger: Ledger, genesis: GenesisFile) -> dict[bytes, identity_pb2.IdentityRecord]:
    """The active fiduciaries' identities as the ledger has them now, proved. Raises what a verified read raises."""
    active = fiduciaries_now.current(ledger, founding_ids(genesis))
    return {identity: ledger.get(leaves.of(IDENTITIES, identity)) for identity in active}


def gateways_of(records: Mapping[bytes, identity_pb2.IdentityRecord]) -> list[str]:
    """The base URLs of their gateways, each once."""
    return list(dict.fromkeys(url for record in records.values() for url in record.gateways))


def upload(
    block: bytes,
    gateways: Sequence[str],
    gid: bytes,
    signer: PutSigner | None,
    http: Callable[[], httpx.AsyncClient],
) -> list[UploadResult]:
    """PUT a document's block to every gateway: one result each, nothing is raised for one.

    ``signer`` None: whoever is not registered yet (or suspended) may put one self-signed document. ``http`` makes the
    client that they are asked by.
    """

    async def put() -> list[UploadResult]:
        async with http() as client:
            return await Uploader(client, gid, attempt_s=_TIMEOUT_S).upload(block, gateways, signer)

    return asyncio.run(put())
