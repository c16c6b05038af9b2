"""CometBFT's RPC methods, and those of them that a door answers: parameters that each takes, and takes at most."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from abci_app.limits import MAX_TX_BYTES

COMETBFT_S_OWN = (
    "abci_info", "abci_query", "block", "block_by_hash", "block_results", "block_search", "blockchain",
    "broadcast_evidence", "broadcast_tx_async", "broadcast_tx_commit", "broadcast_tx_sync", "check_tx", "commit",
    "consensus_params", "consensus_state", "dial_peers", "dial_seeds", "dump_consensus_state", "genesis",
    "genesis_chunked", "header", "header_by_hash", "health", "net_info", "num_unconfirmed_txs", "status", "subscribe",
    "tx", "tx_search", "unconfirmed_txs", "unsafe_flush_mempool", "unsubscribe", "unsubscribe_all", "validators",
)  # fmt: skip
"""Every method of v0.39.4 (rpc/core/routes.go), the unsafe ones too."""
LISTED: dict[str, dict[str, Any]] = {
    "status": {}, "header": {"height": "5"}, "commit": {"height": "5"}, "block": {}, "block_results": {"height": "1"},
    "validators": {"height": "5", "page": "1", "per_page": "100"}, "consensus_params": {"height": "5"},
    "tx": {"hash": "YWJj", "prove": False}, "genesis_chunked": {"chunk": "0"}, "broadcast_tx_sync": {"tx": "YWJj"},
    "abci_query": {"path": "/store", "data": "00ff", "height": "0", "prove": True},
}  # fmt: skip


@dataclass(frozen=True)
class Bound:
    """What a parameter may be at most, and what is one more than that."""

    largest: tuple[Any, ...]
    beyond: tuple[Any, ...]


def _base64(size: int) -> str:
    return b64encode(bytes(size)).decode("ascii")


_HEX_OF_KEY = "ab" * 1_024
_BOUNDS = {
    "height": Bound(("0", "9" * 19), ("1" + "0" * 19, "-1")),
    "page": Bound(("1", "9" * 6), ("1" + "0" * 6, "0")),
    "per_page": Bound(("1", "9" * 6), ("1" + "0" * 6, "0")),
    "chunk": Bound(("0", "9" * 6), ("1" + "0" * 6, "-1")),
    "hash": Bound((_base64(32),), (_base64(33), _base64(34))),
    "tx": Bound((_base64(MAX_TX_BYTES),), (_base64(MAX_TX_BYTES + 1), _base64(MAX_TX_BYTES + 2))),
    "path": Bound(("/store", "/app/height"), ("/stor", "/store/", "/app/heights", "")),
    "data": Bound((_HEX_OF_KEY, _HEX_OF_KEY.upper()), (_HEX_OF_KEY + "a", _HEX_OF_KEY + "ab")),
    "prove": Bound((True, False), (1, "true", None)),
    "tx.prove": Bound((False,), (True, 0)),
}
"""By the parameter's name, or by its method's and its own where two methods mean another thing by one name."""


def bound_of(method: str, parameter: str) -> Bound:
    """KeyError: a method was given a parameter that nobody tries at its bounds."""
    return _BOUNDS.get(f"{method}.{parameter}") or _BOUNDS[parameter]
