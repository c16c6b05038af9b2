"""CometBFT's side of the genesis: validators, consensus parameters, and the document that has both.

Formats: CometBFT v0.38 to v0.40. Keys are Ed25519 in amino's JSON (``{"type": "tendermint/...", "value": base64}``);
64-bit integers are JSON strings. An address is the first 20 bytes of SHA-256 of the public key.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

PUBLIC_KEY_BYTES = 32
ADDRESS_BYTES = 20
MAX_CHAIN_ID_CHARS = 50

BLOCK_MAX_BYTES = 8 * 1024 * 1024
"""``max_txs_bytes`` of the template (6 MiB) stays below this less overhead and evidence: one proposal sees all."""
EVIDENCE_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A first validator: its Ed25519 consensus key (32 bytes), its voting power and a name for people."""

    public_key: bytes
    power: int
    name: str


def address(public_key: bytes) -> bytes:
    """The 20-byte address of an Ed25519 key: a validator's in blocks, and in hexadecimal a node's id."""
    return sha256(public_key).digest()[:ADDRESS_BYTES]


def genesis_json(
    *,
    chain_id: str,
    genesis_time: str,
    validators: Sequence[GenesisValidator],
    app_state: Mapping[str, object],
    initial_height: int = 1,
) -> bytes:
    """The genesis document: UTF-8 JSON, the same bytes for the same arguments. Every node must have the same file.

    ``genesis_time`` is RFC 3339 in UTC. Raises ValueError for a chain id, a key or a power that CometBFT refuses.
    """
    if not 0 < len(chain_id) <= MAX_CHAIN_ID_CHARS:
        raise ValueError(f"a chain id has 1 to {MAX_CHAIN_ID_CHARS} characters")
    if not validators or any(len(v.public_key) != PUBLIC_KEY_BYTES or v.power < 1 for v in validators):
        raise ValueError("genesis needs validators, each with a 32-byte key and a power of at least 1")
    document = {
        "genesis_time": genesis_time,
        "chain_id": chain_id,
        "initial_height": str(initial_height),
        "consensus_params": consensus_params(),
        "validators": [
            {
                "address": address(validator.public_key).hex().upper(),
                "pub_key": public_key_json(validator.public_key),
                "power": str(validator.power),
                "name": validator.name,
            }
            for validator in validators
        ],
        "app_hash": "",
        "app_state": app_state,
    }
    return (json.dumps(document, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def consensus_params() -> dict[str, object]:
    """CometBFT's consensus parameters, all explicit: the defaults differ between its versions.

    Evidence is accepted for 100,000 blocks and 48 hours (both must pass). ``max_gas`` is -1, so that a proposer is
    shown its whole mempool; our cost limit is ``params.max_block_cost``. Vote extensions are off: a share released
    for a block that is not decided yet could be released for one that never is.
    """
    return {
        "block": {"max_bytes": str(BLOCK_MAX_BYTES), "max_gas": "-1"},
        "evidence": {
            "max_age_num_blocks": "100000",
            "max_age_duration": str(48 * 3600 * 10**9),
            "max_bytes": str(EVIDENCE_MAX_BYTES),
        },
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {"app": "0"},
        "abci": {"vote_extensions_enable_height": "0"},
    }


def public_key_json(public_key: bytes) -> dict[str, str]:
    """An Ed25519 public key (32 bytes) in amino's JSON."""
    return {"type": "tendermint/PubKeyEd25519", "value": b64encode(public_key).decode("ascii")}
