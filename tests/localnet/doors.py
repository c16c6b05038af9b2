"""A localnet of which nothing is reached but its doors, by TLS under an authority of its own; a network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from dta.base.config import load_node_config, write_node_config
from dta.base.home import Home
from dta.http.tls import vouched_by
from dta.localnet.network import Plan
from tests.localnet.abci_calls import WatchedNetwork
from tests.support.certificates import Authority

NAMESPACE, INSIDE, OUTSIDE = "dta-doors", "dta-door-in", "dta-door-out"
HOST, PRINCIPAL = "10.123.45.1", "10.123.45.2"


@contextmanager
def network_namespace() -> Iterator[str]:
    """A namespace from which only HOST is reached; its name, or "" where this machine, or its user, can make none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        yield ""
        return
    steps = [
        f"netns add {NAMESPACE}", f"link add {OUTSIDE} type veth peer name {INSIDE} netns {NAMESPACE}",
        f"addr add {HOST}/30 dev {OUTSIDE}", f"link set {OUTSIDE} up", f"-n {NAMESPACE} link set lo up",
        f"-n {NAMESPACE} addr add {PRINCIPAL}/30 dev {INSIDE}", f"-n {NAMESPACE} link set {INSIDE} up",
    ]  # fmt: skip
    try:
        made = all(_ip(step) for step in steps)
        yield NAMESPACE if made else ""
    finally:
        _ip(f"netns del {NAMESPACE}")  # the pair of interfaces goes with it
        _ip(f"link del {OUTSIDE}")


def _ip(arguments: str) -> bool:
    return subprocess.run(["ip", *arguments.split()], capture_output=True, check=False).returncode == 0


class DoorNetwork(WatchedNetwork):
    """Its doors speak TLS at ``host``; clients run in ``namespace``, where it is none of this machine's own."""

    host: ClassVar[str] = "127.0.0.1"
    namespace: str = ""

    def door_url(self, node: int) -> str:
        return f"https://{self.host}:{self.gateway_port(node)}"

    def door_bind(self, node: int) -> str:
        return f"0.0.0.0:{self.gateway_port(node)}"

    @property
    def ca_file(self) -> Path | None:
        return self.root / "tls" / "consortium.pem"

    def create(self, plan: Plan, parameters: Sequence[str] = ()) -> None:
        super().create(plan, parameters)
        authority = Authority(self.root / "tls", "consortium", dict.fromkeys(("127.0.0.1", self.host)))
        for node in self.nodes():
            home = self.home(node)
            certificate, key = home / "door.pem", home / "door.key"
            authority.write(certificate, key)
            config = load_node_config(home)
            door = replace(config.gateway, tls_certificate=certificate, tls_key=key, ca_file=authority.file)
            write_node_config(replace(config, gateway=door))
            Home(home).save_client(replace(Home(home).load_client(), ca_file=authority.file))

    def command(self, arguments: Sequence[str], home: Path | None) -> list[str]:
        plain = super().command(arguments, home)
        if self.namespace and home is not None and home.is_relative_to(self.root / "clients"):
            return ["ip", "netns", "exec", self.namespace, *plain]
        return plain


@asynccontextmanager
async def held_streams(net: DoorNetwork, node: int, count: int, per_address: int) -> AsyncIterator[int]:
    """Event streams at a door, of as many strangers as it takes (127.0.0.2 and on), held open; how many it gave."""
    context = vouched_by(net.ca_file)
    assert isinstance(context, ssl.SSLContext)
    port = net.gateway_port(node)
    writers: list[asyncio.StreamWriter] = []

    async def opened(number: int) -> bool:
        stranger = f"127.0.0.{2 + number // per_address}"
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=(stranger, 0))
        writers.append(writer)
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: door\r\n\r\n")
        return b" 200 " in await asyncio.wait_for(reader.readline(), 60)

    try:
        given = [await opened(number) for number in range(count)]
        yield sum(given)
    finally:
        for writer in writers:
            writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await asyncio.sleep(0)
