"""A node's gateway alone, as a process: ``python -m tests.support.gateway_process HOME TEXT``.

It listens where the home's ``node.toml`` says, as the agent's does, and its store has the text as a block.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from dta.base.config import load_node_config
from dta.blocks.embedded import EmbeddedStore
from dta.node.agent.agent import gateway_config
from dta.node.gateway.server import Gateway, GatewayPorts

LISTENS = "it listens"


async def nobody(_identity: bytes) -> None:
    return None


async def status() -> Mapping[str, object]:
    return {}


async def run(home: Path, text: str) -> None:
    config = load_node_config(home)
    store = EmbeddedStore(config.blocks_dir)
    store.put(text.encode())
    await Gateway(store, bytes(32), GatewayPorts(nobody, lambda _: False, status), gateway_config(config)).start()
    print(LISTENS, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
