"""What the door bears, and the places that its kinds of requests have apart from each other (docs/spec/door.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dta.base.config import RPC_UNITS_PER_MINUTE
from dta.http.places import Places


@dataclass(frozen=True, slots=True)
class DoorConfig:
    """Where the door listens, what is behind it, and what it bears. ``port`` 0: any free one.

    ``rpc_url``: the node's CometBFT; ``blocks_socket``: the agent's gateway. ``fiduciary_addresses``: more addresses
    than those of the fiduciaries' gateways from which fiduciaries fetch blocks. A connection that waits, or sends a
    request, is cut after ``connection_s``.
    """

    rpc_url: str
    blocks_socket: Path
    chain_id: str
    identity: bytes
    host: str = "127.0.0.1"
    port: int = 8180
    trusted_proxies: frozenset[str] = frozenset()
    fiduciary_addresses: frozenset[str] = frozenset()
    connection_s: float = 20.0
    body_s: float = 15.0
    answer_s: float = 60.0
    upload_s: float = 45.0
    max_connections: int = 256
    max_connections_per_address: int = 32
    max_reserved: int = 64
    max_reserved_per_address: int = 32
    max_ipfs: int = 64
    max_ipfs_per_address: int = 16
    max_rpc: int = 64
    max_rpc_per_address: int = 16
    max_bulk: int = 12
    max_bulk_per_address: int = 4
    max_queries: int = 2
    query_s: float = 10.0
    rpc_units_per_minute: int = RPC_UNITS_PER_MINUTE
    max_reads: int = 32
    max_reads_per_address: int = 8
    reads_per_minute: int = 240
    max_streams: int = 64
    max_streams_per_address: int = 4
    stream_s: float = 900.0
    slow_reader_s: float = 10.0
    heartbeat_s: float = 15.0


@dataclass(slots=True)
class Budgets:
    """Places by kind of request: one that is used up leaves the others as they were.

    ``arriving`` and ``reserved`` are for fiduciaries alone: the first while a connection of theirs waits or sends a
    request, the second while a block is on its way.
    """

    arriving: Places
    reserved: Places
    ipfs: Places
    rpc: Places
    bulk: Places
    reads: Places
    streams: Places

    @classmethod
    def of(cls, config: DoorConfig) -> Budgets:
        """Those of a configuration, all free."""
        return cls(
            arriving=Places(config.max_reserved, config.max_reserved_per_address),
            reserved=Places(config.max_reserved, config.max_reserved_per_address),
            ipfs=Places(config.max_ipfs, config.max_ipfs_per_address),
            rpc=Places(config.max_rpc, config.max_rpc_per_address),
            bulk=Places(config.max_bulk, config.max_bulk_per_address),
            reads=Places(config.max_reads, config.max_reads_per_address),
            streams=Places(config.max_streams, config.max_streams_per_address),
        )
