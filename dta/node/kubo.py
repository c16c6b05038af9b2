"""The Kubo that a node runs itself, where its configuration names a program for it."""

from __future__ import annotations

from dta.base.config import NodeConfig
from dta.blocks.daemon import KuboDaemon, daemon_of


def own_kubo(config: NodeConfig) -> KuboDaemon | None:
    """The Kubo that this node is to run itself; None: it has none. Raises UsageError for addresses that can't be."""
    if config.blocks != "kubo" or not config.kubo_binary:
        return None
    return daemon_of(config.kubo_binary, config.kubo_dir, config.kubo_api, config.kubo_gateway)
