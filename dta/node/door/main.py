"""The door's process: ``python -m dta.node.door.main --home DIR`` (docs/spec/door.md).

It opens no keystore and signs nothing. It may run as another user, in a home of its own that has a ``node.toml``: what
it needs of the node is CometBFT's RPC on loopback and the agent's socket. Killed, it loses nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
from pathlib import Path

from dta.base.config import NodeConfig, debugging, load_node_config
from dta.base.errors import DtaError, UsageError
from dta.base.hardening import harden
from dta.http.logs import count_strangers
from dta.http.tls import OwnTls
from dta.node.door.config import DoorConfig
from dta.node.door.index import Index
from dta.node.door.server import Door

BIND_AGAIN_S = 2.0
_log = logging.getLogger(__name__)


def door_config(config: NodeConfig) -> DoorConfig:
    """What ``node.toml`` says of the door."""
    host, port = config.gateway_bind
    gateway = config.gateway
    return DoorConfig(
        rpc_url=config.rpc_url, blocks_socket=config.gateway_socket, chain_id=config.chain_id, identity=config.identity,
        host=host, port=port, trusted_proxies=frozenset(gateway.trusted_proxies),
        fiduciary_addresses=frozenset(gateway.fiduciary_addresses), rpc_units_per_minute=gateway.rpc_units_per_minute,
    )  # fmt: skip


async def run(config: NodeConfig, stop: asyncio.Event) -> None:
    """Be the door until ``stop`` is set. Raises UsageError for a certificate or an index that can't be used."""
    gateway = config.gateway
    tls = None
    if gateway.tls_certificate is not None and gateway.tls_key is not None:
        tls = OwnTls(gateway.tls_certificate, gateway.tls_key)
    config.door_dir.mkdir(mode=0o700, exist_ok=True)
    index = _index(config)
    try:
        door = Door(door_config(config), index, tls.context if tls else None)
        looking = asyncio.create_task(tls.keep_current()) if tls else None
        try:
            if await _listens(door, stop):
                await stop.wait()
        finally:
            if looking is not None:
                looking.cancel()
            await door.stop()
    finally:
        index.close()


def _index(config: NodeConfig) -> Index:
    path = config.door_dir / "events.sqlite"
    try:
        return Index(path, config.chain_id)
    except sqlite3.Error as error:
        raise UsageError(
            f"the index {path} can't be opened: {error}",
            hint="is the disk full, or has another process the file? It is tried again, and nothing in it is lost",
        ) from error


async def _listens(door: Door, stop: asyncio.Event) -> bool:
    """Whether the door listens: tried until it does, for the address may still be in use, or ``stop`` is set."""
    while not stop.is_set():
        try:
            host, port = await door.start()
        except OSError as error:
            _log.warning("the door can't listen: %s", error.strerror or error)
            await asyncio.sleep(BIND_AGAIN_S)
        else:
            _log.info("the door listens on %s:%d", host, port)
            return True
    return False


async def _run(config: NodeConfig) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await run(config, stop)


def run_until_told(config: NodeConfig) -> None:
    """Be the door until SIGTERM or SIGINT. Raises UsageError for a certificate or an index that can't be used."""
    logging.basicConfig(
        level=logging.DEBUG if debugging() else logging.INFO, stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )  # fmt: skip
    count_strangers()
    if not debugging():
        logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_run(config))


def main() -> None:
    """Run until told to stop. Exit codes: those of :mod:`dta.base.errors`."""
    parser = argparse.ArgumentParser(prog="python -m dta.node.door.main")
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args().home
    harden()
    try:
        run_until_told(load_node_config(home))
    except DtaError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
