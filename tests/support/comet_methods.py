"""CometBFT's RPC methods, and those of them that a door answers, each with parameters that it takes."""

from __future__ import annotations

from typing import Any

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
